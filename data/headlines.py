"""Headlines as others write them, read into dated items, or refused.

What cannot be placed in time never becomes an item: no date is made up, and no zone guessed
(PARAMETERS.md 5.5). A title is data, never instruction.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from html import unescape
from typing import Final, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from data.faults import Malformed
from data.injection import purged
from data.news import NewsItem, NewsStream

TITLE_LENGTH: Final = 300  # characters that are kept
_URL_LENGTH: Final = 2_048
_READ: Final = 4_000  # characters of a title that are looked at
_EXAMPLES: Final = 5

Stated: TypeAlias = str | int | float | None
"""A time as a source wrote it: a text, or the seconds or milliseconds since 1970."""


class Refusal(StrEnum):
    """Why something is no item."""

    NO_TITLE = "no title"
    UNDATED = "no date"
    UNREADABLE = "unreadable date"
    NO_ZONE = "date without a time zone"
    FUTURE = "dated after it was seen"


class HeadlineRefused(Malformed):
    """It cannot become an item, and why."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(f"{refusal.value}: {text}")
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One headline as its source wrote it."""

    title: str | None
    url: str | None
    published: Stated
    first_seen: Stated = None  # only an archive that was collected live knows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What we were told about a source."""

    source: str
    stream: NewsStream
    zone: ZoneInfo | None = None  # of times that name none; None refuses these
    tolerance: timedelta = timedelta(minutes=2)  # by which its clock may be ahead of ours
    assumed_lag: timedelta | None = None
    """From publication to sight where an archive does not know the latter: an assumption of
    whoever imports it. None takes the time of import, and shows no such item to the past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of some drafts."""

    items: tuple[NewsItem, ...]  # in the order of the drafts, each key once
    refused: Mapping[Refusal, int]
    examples: tuple[str, ...]  # the first few that were refused
    duplicates: int
    injections: int  # phrases that speak to a model; they stay in the title, and out of prompts


def read_drafts(drafts: Iterable[Draft], terms: Terms, *, now: datetime) -> Reading:
    """Read what was received at `now` into items."""
    items: dict[tuple[str, str, str], NewsItem] = {}
    refused: Counter[Refusal] = Counter()
    examples: list[str] = []
    duplicates = injections = 0
    for draft in drafts:
        try:
            item = _item(draft, terms, now)
        except HeadlineRefused as error:
            refused[error.refusal] += 1
            if len(examples) < _EXAMPLES:
                examples.append(str(error))
            continue
        duplicates += item.key in items
        injections += purged(item.title).removed
        items.setdefault(item.key, item)
    return Reading(
        items=tuple(items.values()),
        refused=dict(refused),
        examples=tuple(examples),
        duplicates=duplicates,
        injections=injections,
    )


def _item(draft: Draft, terms: Terms, now: datetime) -> NewsItem:
    title = clean_title(draft.title or "")
    if not title:
        raise HeadlineRefused(
            Refusal.NO_TITLE, f"{terms.source} {draft.published!r}"[:TITLE_LENGTH]
        )
    try:
        published_at = read_time(draft.published, terms.zone)
        seen_at = _first_seen(draft, terms, published_at, now)
    except HeadlineRefused as error:
        raise HeadlineRefused(error.refusal, f"{title[:80]!r}: {error}") from error
    if published_at > seen_at + terms.tolerance or seen_at > now:
        raise HeadlineRefused(
            Refusal.FUTURE, f"{title[:80]!r}: dated {published_at}, seen {seen_at}, now {now}"
        )
    return NewsItem(
        source=terms.source,
        stream=terms.stream,
        title=title,
        url=clean_url(draft.url or ""),
        published_at=published_at,
        first_seen_at=seen_at,
    )


def _first_seen(draft: Draft, terms: Terms, published_at: datetime, now: datetime) -> datetime:
    if draft.first_seen is not None:
        return read_time(draft.first_seen, terms.zone)
    if terms.assumed_lag is not None and published_at <= now:
        return min(published_at + terms.assumed_lag, now)
    return now


_TAG: Final = re.compile(r"<(?:/?[A-Za-z][^<>]*|[!?][^<>]*)>")
_ESCAPES: Final = 3  # how often a text may have been escaped on its way


def clean_title(text: str) -> str:
    """`text` on one line without markup, control and invisible characters, of bounded length."""
    text = text[:_READ]
    for _ in range(_ESCAPES):
        text = _TAG.sub(" ", unescape(text))
    shown = "".join(_shown(c) for c in unicodedata.normalize("NFC", text))
    return " ".join(shown.split())[:TITLE_LENGTH].rstrip()


def _shown(character: str) -> str:
    """Itself; a space for what parts words; nothing for what cannot be seen."""
    if character.isprintable():
        return character
    return " " if character.isspace() or unicodedata.category(character) == "Cc" else ""


def clean_url(text: str) -> str:
    """`text` if it is the address of a page on the web, else empty."""
    text = text.strip()
    if len(text) > _URL_LENGTH or not text.isprintable() or " " in text:
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return (
        text if parts.scheme in {"http", "https"} and parts.hostname and not parts.username else ""
    )


_MONTHS: Final = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_HOURS_EAST: Final = {
    "UT": 0, "UTC": 0, "GMT": 0, "Z": 0,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}  # fmt: skip
"""The zones that RFC 822, section 5, names; other names mean several zones each."""

_RFC_822: Final = re.compile(
    r"(?:[A-Za-z]{3,9}\.?,?\s+)?(?P<day>\d{1,2})\s+(?P<month>[A-Za-z]{3,9})\.?\s+"
    r"(?P<year>\d{4}|\d{2})\s+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"(?:\s*(?P<zone>[A-Za-z]{1,5}|[+-]\d{2}:?\d{2}))?(?:\s*\([^()]*\))?"
)
_ISO_8601: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:\s?(?:Z|UTC|[+-]\d{2}:?\d{2}))?",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d{10}(?:\.\d{1,9})?|\d{13}")


def read_time(stated: Stated, zone: ZoneInfo | None) -> datetime:
    """What a source wrote, in UTC: RFC 822, ISO 8601 or a count since 1970.

    A time that names no zone is `zone`'s; where clocks go back and it means two, the later one.
    A day without a time of day is none.

    Raises:
        HeadlineRefused: UNDATED, UNREADABLE, or NO_ZONE.
    """
    match stated:
        case None:
            raise HeadlineRefused(Refusal.UNDATED, "nothing")
        case bool():
            raise HeadlineRefused(Refusal.UNREADABLE, repr(stated))
        case int() | float():
            return _counted(stated)
    text = stated.strip()
    if not text:
        raise HeadlineRefused(Refusal.UNDATED, "nothing")
    if _NUMBER.fullmatch(text):
        return _counted(float(text))
    try:
        local = _calendar(text)
        if local.tzinfo is not None:
            return local.astimezone(UTC)
        if zone is not None:
            return max(local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except (ValueError, OverflowError) as error:
        raise HeadlineRefused(Refusal.UNREADABLE, repr(text[:80])) from error
    raise HeadlineRefused(Refusal.NO_ZONE, repr(text[:80]))


def _counted(count: float) -> datetime:
    if 1e9 <= count < 1e10:  # from 2001 on
        return datetime.fromtimestamp(count, UTC)
    if 1e12 <= count < 1e13:
        return datetime.fromtimestamp(count / 1_000, UTC)
    raise HeadlineRefused(Refusal.UNREADABLE, "a number, but neither seconds nor milliseconds")


def _calendar(text: str) -> datetime:
    """The time in `text`, with its zone if it names one.

    Raises:
        ValueError: it is none.
    """
    if _ISO_8601.fullmatch(text):
        return datetime.fromisoformat(re.sub(r"\s?(?:z|utc)$", "+00:00", text, flags=re.IGNORECASE))
    found = _RFC_822.fullmatch(text)
    if found is None:
        raise ValueError(text)
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 2000 if year < 50 else 1900  # RFC 2822, section 4.3
    return datetime(
        year,
        _MONTHS.index(found["month"][:3].lower()) + 1,
        int(found["day"]),
        int(found["hour"]),
        int(found["minute"]),
        int(found["second"] or 0),
        tzinfo=_offset(found["zone"]),
    )


def _offset(zone: str | None) -> timezone | None:
    """The zone of this name or offset; None for none.

    Raises:
        ValueError: it could be one of several.
    """
    if zone is None:
        return None
    if zone[0] in "+-":
        sign = -1 if zone[0] == "-" else 1
        return timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])))
    if zone.upper() not in _HOURS_EAST:
        raise ValueError(f"which zone is {zone}?")
    return timezone(timedelta(hours=_HOURS_EAST[zone.upper()]))
