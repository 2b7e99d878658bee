"""What a decision may know of the news; pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from data.news import NewsItem, NewsStream


class NewsWindow(BaseModel):
    """How much of the news is shown: ten items a stream (S3-4) of the last days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_stream: Annotated[int, Field(ge=0, le=100)] = 10
    max_age: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(days=7)
    """Since publication. The default is PARAMETERS.md 4's."""


_by_first_sight: Final = attrgetter("first_seen_at", "published_at", "source", "url", "title")
_by_publication: Final = attrgetter("published_at", "first_seen_at", "source", "url", "title")


def known_news(
    items: Iterable[NewsItem], *, at: datetime, window: NewsWindow
) -> tuple[NewsItem, ...]:
    """What a decision at `at` may rest on: newest publication first, every stream bounded.

    An item counts once, as it was when it was first seen, whatever its source made of it later;
    of one title in several places of a stream, the first that was seen stands for all. What
    became known after `at`, by a microsecond, changes nothing.

    Args:
        items: In any order; `NewsStore.known` from `at - max_age` to `at` gives all that matter.
    """
    seen = sorted((item for item in items if item.known_at <= at), key=_by_first_sight)
    by_key: dict[tuple[str, str, str], NewsItem] = {}
    for item in seen:
        by_key.setdefault(item.key, item)
    by_title: dict[tuple[NewsStream, str], NewsItem] = {}
    for item in by_key.values():
        if at - item.published_at <= window.max_age:
            by_title.setdefault((item.stream, item.title.casefold()), item)
    newest = sorted(by_title.values(), key=_by_publication, reverse=True)
    shown = [
        item
        for stream in NewsStream
        for item in [item for item in newest if item.stream is stream][: window.per_stream]
    ]
    return tuple(sorted(shown, key=_by_publication, reverse=True))
