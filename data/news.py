"""Dated headlines."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from data.faults import Malformed
from data.utc import require_utc


class MalformedNews(Malformed):
    """An item that cannot be placed in time, or says nothing."""


class NewsStream(StrEnum):
    """What an item is about; each stream has readers and a bound of its own (S3-4)."""

    MICRO = "micro"  # a coin, a venue, a project
    MACRO = "macro"  # rates, politics, the economy


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsItem:
    """One headline: when its source says it was published, and when we first saw it.

    Nobody may act on it before `known_at`: sources date items back, and edit them later. Whoever
    sees it again, dated otherwise, keeps what it was at first.

    Raises:
        MalformedNews: title or source is empty.
        NaiveTime: a time is not in UTC.
    """

    source: str
    stream: NewsStream
    title: str
    url: str  # empty where there is none
    published_at: datetime
    first_seen_at: datetime

    def __post_init__(self) -> None:
        require_utc(self.published_at)
        require_utc(self.first_seen_at)
        if not self.title.strip() or not self.source.strip():
            raise MalformedNews(f"news of {self.published_at} from {self.source!r}: {self.title!r}")

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same item: source, URL and title."""
        return self.source, self.url, self.title

    @property
    def known_at(self) -> datetime:
        """The earliest time at which a decision may rest on it."""
        return max(self.published_at, self.first_seen_at)
