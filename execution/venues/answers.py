"""What the failures of requests through ccxt have in common, whatever the exchange."""

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import aiohttp
import ccxt  # type: ignore[import-untyped]

from data.faults import Fault, Refused
from data.instrument import Symbol
from execution.venue import NotTraded, OrderRefused, OutcomeUnknown, VenueUnavailable

FAILURES: Final = (ccxt.BaseError, aiohttp.ClientError, OSError, TimeoutError)
"""What a request can come to, beside an answer."""

_UNTOLD: Final = timedelta(minutes=1)  # ours: how long questions can lag behind fills
_QUOTED: Final = 200  # characters of an answer that an error repeats
_UNREADABLE: Final = (ArithmeticError, LookupError, TypeError, ValueError)


class KeyRefused(Refused):
    """The venue does not let this key do what we need, or lets it do what it must not."""


def require_listed(venue: str, symbols: Iterable[Symbol], listed: Container[str]) -> None:
    """Raise unless `venue` has all of `symbols`.

    Raises:
        NotTraded: it has not.
    """
    if missing := [symbol for symbol in symbols if symbol not in listed]:
        raise NotTraded(
            f"{venue} does not list {', '.join(missing)}: take it out of the configuration"
        )


def require_forgotten(order: str, *, filled_at: datetime, now: datetime) -> None:
    """Raise where `order`, of which there is a fill, may yet be told, though it is not known now.

    A venue can tell a fill before it answers questions after the order. Whose it is nobody may
    guess: a fill of ours that is taken for a foreign one is never booked.

    Raises:
        VenueUnavailable: the fill is of the last minute; ask again.
    """
    if now - filled_at < _UNTOLD:
        raise VenueUnavailable(f"{order}, which has filled, is not told yet")


def placing_fault_unsaid(error: BaseException, text: str) -> Fault:
    """What a failure means to an order that was being placed, where the exchange has said nothing.

    What is not known to be harmless is not: then nobody knows.
    """
    match error:
        case VenueUnavailable() | OrderRefused() | OutcomeUnknown() | KeyRefused():
            return error
        case ccxt.RateLimitExceeded() | ccxt.DDoSProtection():
            return VenueUnavailable(text)
        case ccxt.PermissionDenied():
            return OrderRefused(text)
        case _ if was_never_sent(error):
            return VenueUnavailable(text)
        case _:
            return OutcomeUnknown(text)


def asking_fault_unsaid(error: BaseException, text: str) -> Fault:
    """What a failure means to what may be repeated, where the exchange has said nothing of note."""
    match error:
        case VenueUnavailable() | KeyRefused():
            return error
        case Refused() | ccxt.PermissionDenied():
            return KeyRefused(text)
        case _:
            return VenueUnavailable(text)


def was_never_sent(error: BaseException) -> bool:
    """Whether no connection came about at all, so that not one byte has left."""
    return any(
        isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        for cause in _causes(error)
    )


def in_short(error: BaseException) -> str:
    """The kind of an error and the beginning of what it says."""
    return f"{type(error).__name__}: {str(error)[:_QUOTED]}"


@contextmanager
def reading(asked: str) -> Iterator[None]:
    """Turn what a surprising answer does to its reader into `VenueUnavailable`."""
    try:
        yield
    except _UNREADABLE as error:
        raise VenueUnavailable(f"{asked}: unreadable: {in_short(error)}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
