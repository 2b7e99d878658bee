"""Times are in UTC, and say so."""

from datetime import UTC, datetime, timedelta


class NaiveTime(ValueError):
    """A time without a zone, or not in UTC, was given where only UTC is meant."""


def require_utc(at: datetime) -> None:
    """Raise `NaiveTime` unless `at` is in UTC."""
    if at.tzinfo is not UTC and at.utcoffset() != timedelta(0):
        raise NaiveTime(f"{at!r} is not in UTC")
