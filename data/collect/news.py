"""Headlines of the feeds that the operator chose, kept as they appear; a task of the daemon.

The news is no reason to stop: a feed that is away, broken or lying is asked again later, and its
health says so. What is dated by nobody, or by a clock that runs ahead, is refused and counted.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

import aiohttp
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, model_validator

from data.clock import Clock
from data.collect.download import (
    DownloadLimits,
    Unchanged,
    Validators,
    download,
    open_session,
)
from data.collect.patience import Patience
from data.faults import Transient
from data.feeds.source import SourceUnavailable
from data.headline_documents import (
    JSON_FEED,
    DocumentKind,
    DocumentUnreadable,
    FieldNames,
    parse_document,
)
from data.headlines import Reading, Refusal, Terms, read_drafts
from data.news import NewsItem, NewsStream
from data.store import NewsStore


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"there is no time zone {name!r}; such as Europe/London") from error
    return name


Span = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=7))]
ZoneName = Annotated[str, AfterValidator(_zone)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewsFeedSettings(_Section):
    """One feed."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$")]
    """The source of its items, in the store and in prompts."""
    url: HttpUrl
    kind: DocumentKind
    stream: NewsStream
    zone: ZoneName | None = None
    """Of times that name none. Without it, these are refused."""
    every: Annotated[timedelta, Field(ge=timedelta(seconds=30), le=timedelta(days=7))] = timedelta(
        minutes=5
    )
    fields: FieldNames = JSON_FEED
    """Of a list of JSON objects that is no JSON Feed."""


class NewsSettings(_Section):
    """Whose headlines are collected, and what a feed may take."""

    feeds: tuple[NewsFeedSettings, ...] = ()
    timeout: Span = timedelta(seconds=20)
    max_bytes: Annotated[int, Field(gt=0, le=20_000_000)] = 2_000_000
    longest_wait: Span = timedelta(hours=2)
    """Between two questions to a feed that fails."""
    tolerance: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(minutes=10))] = timedelta(
        minutes=2
    )
    """By which a feed's clock may be ahead of ours."""

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        names = [feed.name for feed in self.feeds]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two feeds are named {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedHealth:
    """How one feed does."""

    feed: str
    stream: NewsStream
    asked_at: datetime | None = None
    answered_at: datetime | None = None  # the last time that all went well
    failures: int = 0  # in a row
    error: str | None = None  # of the last of them
    kept: int = 0  # since the start, each as often as it came anew into the document
    newest: datetime | None = None  # publication
    refused: Mapping[Refusal, int] = field(default_factory=dict)  # of the last document
    examples: tuple[str, ...] = ()
    injections: int = 0  # phrases that speak to a model, in the last document


async def collect_news(
    settings: NewsSettings,
    store: NewsStore,
    clock: Clock,
    *,
    report: Callable[[FeedHealth], None],
) -> None:
    """Ask every feed at its own pace, for ever; with no feeds there is nothing to do.

    Outages of a feed or of the store are waited out. Nothing but cancellation ends it.

    Args:
        report: Is told of a feed's health after each question.
    """
    async with open_session() as session, asyncio.TaskGroup() as tasks:
        for feed in settings.feeds:
            follower = FeedFollower(feed, settings, session, store, clock)
            tasks.create_task(follower.run(report), name=f"news-{feed.name}")


class FeedFollower:
    """One feed, and what of it was seen already."""

    def __init__(
        self,
        feed: NewsFeedSettings,
        settings: NewsSettings,
        session: aiohttp.ClientSession,
        store: NewsStore,
        clock: Clock,
    ) -> None:
        self.health = FeedHealth(feed=feed.name, stream=feed.stream)
        self._feed = feed
        self._session = session
        self._store = store
        self._clock = clock
        self._limits = DownloadLimits(timeout=settings.timeout, max_bytes=settings.max_bytes)
        self._patience = Patience(
            clock=clock, first=feed.every, longest=max(settings.longest_wait, feed.every)
        )
        self._terms = Terms(
            source=feed.name,
            stream=feed.stream,
            zone=None if feed.zone is None else ZoneInfo(feed.zone),
            tolerance=settings.tolerance,
        )
        self._validators = Validators()
        self._put: frozenset[tuple[str, str, str]] = frozenset()  # of the last document

    async def run(self, report: Callable[[FeedHealth], None]) -> None:
        while True:
            wait = await self.poll()
            report(self.health)
            await self._clock.sleep(wait)

    async def poll(self) -> timedelta:
        """Ask once, keep what is new, and say how long to wait before the next time."""
        asked_at = self._clock.now()
        try:
            await self._ask()
        except Transient as error:
            failures = self.health.failures + 1
            self.health = replace(
                self.health, asked_at=asked_at, failures=failures, error=str(error)
            )
            return self._patience.pause(error, failures)
        self.health = replace(
            self.health, asked_at=asked_at, answered_at=asked_at, failures=0, error=None
        )
        return self._feed.every

    async def _ask(self) -> None:
        url, kind = str(self._feed.url), self._feed.kind
        answer = await download(self._session, url, kind, self._validators, self._limits)
        if isinstance(answer, Unchanged):
            return
        seen_at = self._clock.now()
        try:  # aside: a big document takes a second
            reading = await asyncio.to_thread(_read, answer.body, self._feed, self._terms, seen_at)
        except DocumentUnreadable as error:
            raise SourceUnavailable(str(error)) from error
        await self._keep(reading)
        # An item dated ahead may be good later, when the document is still the same.
        self._validators = Validators() if Refusal.FUTURE in reading.refused else answer.validators

    async def _keep(self, reading: Reading) -> None:
        fresh: list[NewsItem] = [item for item in reading.items if item.key not in self._put]
        if fresh:
            await self._store.put(fresh)
        self._put = frozenset(item.key for item in reading.items)
        self.health = replace(
            self.health,
            kept=self.health.kept + len(fresh),
            newest=max((item.published_at for item in reading.items), default=self.health.newest),
            refused=reading.refused,
            examples=reading.examples,
            injections=reading.injections,
        )


def _read(body: bytes, feed: NewsFeedSettings, terms: Terms, seen_at: datetime) -> Reading:
    return read_drafts(parse_document(body, feed.kind, feed.fields), terms, now=seen_at)
