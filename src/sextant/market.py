"""What a house needs of the market that it trades on: its clock, its past, its feed, and what is
collected beside.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from data.bar import Timeframe
from data.clock import Clock
from data.faults import Refused, Transient
from data.feed import MarketEvent, MarketFeed
from data.feeds.live_ports import FeedWatcher
from data.feeds.rate_budget import RateBudget
from data.instrument import Symbol
from data.news import NewsItem
from execution.journal import OrderJournal

Newest = Mapping[Symbol, datetime]
_log = structlog.get_logger(__name__)


class ClockBehind(Refused):
    """This machine's clock stands before the end of our own records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An exchange that stands in for a real one: its addresses, and a key made up with it.

    Without a key of its own it takes the one in the environment, as the real one does.
    """

    urls: Mapping[str, Any]
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Work beside the trading, without an end; one that fails is on the log, and begun again."""

    name: str
    run: Callable[[], Awaitable[None]]
    close: Callable[[], Coroutine[None, None, None]] | None = None  # once `run` was stopped


class DaemonMarket(Protocol):
    """What a house needs of its market."""

    name: str  # the exchange in the store and in the journal; says so where it is made up

    @property
    def clock(self) -> Clock: ...

    def begin_after(self, at: datetime) -> None:
        """Time goes on from `at`, where the records end, and never back."""
        ...

    async def reach(self, books: OrderJournal) -> None:
        """Return once the market can be asked; until then say so again and again.

        Args:
            books: What an exchange of our own remembers its account by.
        """
        ...

    def goes_on_from(self, newest: datetime, needs: Mapping[Timeframe, int]) -> datetime:
        """Up to when the past of a run is read whose newest bar on record closed at `newest`.

        Later than that where the market no longer tells all bars since, so that desks which need
        so many see none with a hole before it.
        """
        ...

    async def bring_past(
        self, symbol: Symbol, needs: Mapping[Timeframe, int], until: datetime
    ) -> None:
        """See to it that the store has so many bars of each size, where they can be had."""
        ...

    def feed(self, newest: Newest, watcher: FeedWatcher) -> MarketFeed:
        """The market from the bar after the newest of each symbol on."""
        ...

    def go(self) -> None:
        """The house is ready: time runs."""
        ...

    def services(self, learn: Callable[[NewsItem], None]) -> Sequence[Service]:
        """What runs beside the feed; headlines that are kept are to be learned."""
        ...

    async def keep(self, event: MarketEvent) -> None:
        """Take note of an event for what is collected beside."""
        ...

    @property
    def site(self) -> Site | None:
        """Where its orders go, if it is an exchange that stands in for a real one."""
        ...

    @property
    def budget(self) -> RateBudget | None:
        """What its questions spend, where the exchange counts them for the address."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


def waiting_for(name: str) -> Callable[[Transient, int, timedelta], None]:
    """Says on the log that the start waits for somebody who cannot be reached."""

    def report(error: Transient, tried: int, again_in: timedelta) -> None:
        _log.warning(
            f"{name} cannot be reached; the start waits for it",
            error=str(error),
            tried=tried,
            again_in_s=round(again_in.total_seconds(), 1),
        )

    return report
