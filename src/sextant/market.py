"""The market that a daemon trades on, opened: its clock, its past, its feed, and what is collected
beside.

A made-up market runs on a clock of its own and brings its own past. A live one is an exchange's
public data: what is told is kept too, and what the store lacks of the past the exchange is asked.
"""

import contextlib
from collections.abc import Awaitable, Callable, Container, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from data.bar import Timeframe
from data.clock import Clock, PacedClock, SystemClock
from data.collect.filling import fill_store
from data.collect.gaps import Means
from data.collect.news import FeedHealth, collect_news
from data.collect.patience import Patience
from data.collect.payments import FundingFailed, FundingFill, collect_funding
from data.collect.venues import Exchange, open_source, rate_budget
from data.faults import Refused, Transient
from data.feed import MarketEvent, MarketFeed
from data.feeds.live import LiveFeed
from data.feeds.live_ports import FeedWatcher
from data.feeds.rate_budget import RateBudget
from data.feeds.source import MarketSource, SourceRefused
from data.feeds.synthetic import SyntheticFeed, SyntheticMarket
from data.instrument import Symbol
from data.kraken_db.order_book import BookSnapshots
from data.kraken_db.websocket_writer import StoreWriter
from data.news import NewsItem
from data.order_book import OrderBook
from data.postgres.bars import PostgresBarStore
from data.postgres.books import PostgresBookStore
from data.postgres.funding import PostgresFundingStore
from data.postgres.news import PostgresNewsStore
from data.postgres.pool import Pool
from data.postgres.trades import PostgresTradeStore
from data.store import StoreUnavailable
from execution.journal import OrderJournal
from sextant.settings import (
    LiveMarketSettings,
    RecordedMarketSettings,
    RehearsalMarketSettings,
    Settings,
    SyntheticMarketSettings,
)

Newest = Mapping[Symbol, datetime]
T = TypeVar("T")
_FILL_EVERY, _FILL_BACK = timedelta(hours=1), timedelta(hours=24)
_FUNDING_EVERY, _FUNDING_BACK = timedelta(minutes=10), timedelta(days=30)
_HEADLINES_EVERY = timedelta(seconds=10)
_SPARE = 2  # bars more than are needed are asked for: the newest may still be open
_log = structlog.get_logger(__name__)


class NoSuchMarket(Refused):
    """The configuration asks for a market that a daemon cannot open."""


class ClockBehind(Refused):
    """This machine's clock stands before the end of our own records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An exchange that stands in for a real one: its addresses, and a key made up with it."""

    urls: Mapping[str, Any]
    key: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Work beside the trading; one that fails is on the log, and trading goes on without it."""

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


DaemonMarketSettings = SyntheticMarketSettings | LiveMarketSettings | RehearsalMarketSettings


def require_daemon_market(settings: Settings) -> DaemonMarketSettings:
    """The settings of a market that a daemon can open.

    Raises:
        NoSuchMarket: the configured source is for replays.
    """
    market = settings.market
    if isinstance(market, RecordedMarketSettings):
        raise NoSuchMarket(
            f"market.source = {market.source!r}: recorded bars go through `sextant replay`; a "
            "daemon runs on 'synthetic', on a 'rehearsal' or on an exchange"
        )
    return market


def open_market(settings: Settings, pool: Pool) -> DaemonMarket:
    """The market that the settings name; raises as `require_daemon_market` does."""
    match require_daemon_market(settings):
        case SyntheticMarketSettings() as made_up:
            return MadeUpMarket(settings, made_up, pool)
        case RehearsalMarketSettings() as rehearsal:
            from sextant.rehearsal_market import RehearsalMarket

            return RehearsalMarket(settings, rehearsal, pool)
        case LiveMarketSettings() as live:
            exchange, clock = Exchange(live.source), SystemClock()
            budget = rate_budget(exchange, clock)
            source = open_source(exchange, clock, budget=budget, urls=live.urls)
            return LiveMarket(
                settings, live, pool, name=exchange, clock=clock, source=source, budget=budget
            )


class MadeUpMarket:
    """A seeded market in its own time."""

    def __init__(self, settings: Settings, made_up: SyntheticMarketSettings, pool: Pool) -> None:
        instruments = list(settings.instruments.values())
        self._market = SyntheticMarket(seed=made_up.seed, instruments=instruments)
        self._base = settings.market.timeframe
        self.name = self._market.name
        self.clock = PacedClock(made_up.start, speed=made_up.speed, standing=True)
        self._bars = PostgresBarStore(pool, exchange=self.name)

    def begin_after(self, at: datetime) -> None:
        self.clock.stand_at(at)

    async def reach(self, books: OrderJournal) -> None: ...

    async def bring_past(
        self, symbol: Symbol, needs: Mapping[Timeframe, int], until: datetime
    ) -> None:
        """A symbol that was never seen comes with its own past, in bars of the market's size."""
        if not await self._bars.last(symbol, self._base, 1):
            minutes = max(count * (t.delta // self._base.delta) for t, count in needs.items())
            await self._bars.put(self._market.history(symbol, until, minutes))

    def feed(self, newest: Newest, watcher: FeedWatcher) -> MarketFeed:
        return SyntheticFeed(self._market, self.clock, start_after=min(newest.values()))

    def go(self) -> None:
        self.clock.go()

    def services(self, learn: Callable[[NewsItem], None]) -> Sequence[Service]:
        return ()

    async def keep(self, event: MarketEvent) -> None: ...

    site = budget = None

    async def close(self) -> None: ...


class LiveMarket:
    """An exchange's public data, kept as it comes; no key is needed, and none is sent."""

    def __init__(
        self,
        settings: Settings,
        live: LiveMarketSettings | RehearsalMarketSettings,
        pool: Pool,
        *,
        name: str,
        clock: Clock,
        source: MarketSource,
        budget: RateBudget,
    ) -> None:
        self.name = name
        self.budget = budget
        self.clock = clock
        self._live = live
        self._symbols = tuple(settings.instruments)
        self._max_behind = settings.watch.max_skew
        self._news_age = settings.news.max_age
        self._pool = pool
        self._bars = PostgresBarStore(pool, exchange=name)
        self._source = source
        trades = PostgresTradeStore(pool, exchange=name)
        self._writer = StoreWriter(trades, self._bars, clock=self.clock)
        books = PostgresBookStore(pool, exchange=name)
        self._snapshots = BookSnapshots(books, self._symbols, clock=self.clock)

    def begin_after(self, at: datetime) -> None:
        now = self.clock.now()
        if at > now + self._max_behind:
            raise ClockBehind(
                f"the records of this account end at {at:%Y-%m-%d %H:%M:%S}, and it is "
                f"{now:%Y-%m-%d %H:%M:%S} here: set this machine's clock right"
            )

    async def reach(self, books: OrderJournal) -> None:
        await self._insist(self._source.server_time)

    async def bring_past(
        self, symbol: Symbol, needs: Mapping[Timeframe, int], until: datetime
    ) -> None:
        """What the store lacks is asked of the exchange, each size for itself."""
        for timeframe, count in needs.items():
            since = until - (count + _SPARE) * timeframe.delta
            kept = await self._bars.last(symbol, timeframe, count, until=until)
            if len(kept) < count or kept[0].closed_at < since:
                known = {bar.closed_at for bar in kept}
                await self._ask_past(symbol, timeframe, since, until, known)

    async def _ask_past(
        self,
        symbol: Symbol,
        timeframe: Timeframe,
        since: datetime,
        until: datetime,
        known: Container[datetime],
    ) -> None:
        """Keep what the exchange has of [since, until]; what is known stays as it was made here."""
        asked_from = since
        while since + timeframe.delta <= until:
            ask = partial(self._source.past_bars, symbol, timeframe, since)
            try:
                page = [bar for bar in await self._insist(ask) if bar.closed_at <= until]
            except SourceRefused as error:
                _log.warning("no past", symbol=symbol, timeframe=timeframe, why=str(error))
                return
            if not page or page[-1].closed_at <= since:
                break
            await self._bars.put([bar for bar in page if bar.closed_at not in known])
            since = page[-1].closed_at
        if since == asked_from:
            _log.warning("no past", symbol=symbol, timeframe=timeframe, why="nothing was told")

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer, and say each time that there is none."""
        return await Patience(clock=self.clock).insist(ask, waiting_for(self.name))

    def feed(self, newest: Newest, watcher: FeedWatcher) -> MarketFeed:
        live = self._live
        return LiveFeed(
            self._source,
            self.clock,
            symbols=self._symbols,
            timeframe=live.timeframe,
            newest=newest,
            settings=live.feed,
            patience=Patience(clock=self.clock),
            book_depth=live.book_depth,
            with_funding=live.funding,
            sink=self._writer if live.keep_trades else None,
            corrections=self._bars,
            watcher=watcher,
        )

    def go(self) -> None: ...

    def services(self, learn: Callable[[NewsItem], None]) -> Sequence[Service]:
        live = self._live
        services = [
            Service(name="news", run=self._collect_news),
            Service(name="headlines", run=partial(self._tell_headlines, learn)),
        ]
        if live.keep_trades:
            services += [
                Service(name="trades", run=self._writer.run, close=self._writer.drain),
                Service(name="gaps", run=self._fill_gaps),
            ]
        if live.book_depth is not None:
            services.append(Service(name="books", run=self._snapshots.run))
        if live.funding:
            services.append(Service(name="funding", run=self._collect_funding))
        return services

    async def keep(self, event: MarketEvent) -> None:
        if isinstance(event, OrderBook):
            await self._snapshots.take(event)

    site = None

    async def close(self) -> None:
        await self._source.close()

    async def _collect_news(self) -> None:
        news = PostgresNewsStore(self._pool)
        await collect_news(self._live.news, news, self.clock, report=_tell_news)

    async def _tell_headlines(self, learn: Callable[[NewsItem], None]) -> None:
        """What any collector has kept becomes known to the desks within seconds."""
        news, told = PostgresNewsStore(self._pool), self.clock.now() - self._news_age
        while True:
            now = self.clock.now()
            with contextlib.suppress(StoreUnavailable):
                for item in await news.known(since=told, until=now):
                    learn(item)
                told = now
            await self.clock.sleep(_HEADLINES_EVERY)

    async def _collect_funding(self) -> None:
        await collect_funding(
            self._source,
            PostgresFundingStore(self._pool, exchange=self.name),
            self._symbols,
            self.clock,
            since=self.clock.now() - _FUNDING_BACK,
            every=_FUNDING_EVERY,
            report=_tell_funding,
        )

    async def _fill_gaps(self) -> None:
        """What was lost while nobody looked: soon after the start, and then every hour."""
        while True:
            for symbol in self._symbols:
                try:
                    await self._fill(symbol, self.clock.now())
                except (Transient, SourceRefused) as error:
                    _log.warning("gaps are left for later", symbol=symbol, error=str(error))
            await self.clock.sleep(_FILL_EVERY)

    async def _fill(self, symbol: Symbol, now: datetime) -> None:
        (report,) = await fill_store(
            self._pool,
            self._source,
            self.name,
            (symbol,),
            since=now - _FILL_BACK,
            until=now - self._live.timeframe.delta,
            clock=self.clock,
            means=Means.TRADES,
        )
        if report.changed or report.left:
            _log.info(
                "gaps filled",
                symbol=symbol,
                minutes=report.minutes,
                trades=report.trades,
                left=len(report.left),
            )


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


def _tell_news(health: FeedHealth) -> None:
    if health.error is not None:
        _log.warning("a news feed fails", feed=health.feed, error=health.error)


def _tell_funding(told: FundingFill | FundingFailed) -> None:
    if isinstance(told, FundingFailed):
        _log.warning("no funding rates", symbol=told.symbol, reason=told.reason)
