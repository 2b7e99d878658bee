"""An exchange's public data as the market of a daemon: what is told is kept too, and what the store
lacks of the past the exchange is asked.
"""

import contextlib
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, repeat
from typing import Protocol, TypeVar

import structlog

from data.bar import Timeframe
from data.clock import Clock
from data.collect.filling import fill_store
from data.collect.gaps import Means
from data.collect.news import FeedHealth, collect_news
from data.collect.patience import Patience
from data.collect.payments import FundingFailed, FundingFill, collect_funding
from data.faults import Transient
from data.feed import MarketEvent, MarketFeed
from data.feeds.live import LiveFeed
from data.feeds.live_ports import FeedWatcher
from data.feeds.rate_budget import Allowance, RateBudget
from data.feeds.source import MarketSource, SourceRefused
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
from data.postgres.progress import PostgresProgress
from data.postgres.trades import PostgresTradeStore
from data.store import StoreUnavailable
from execution.journal import OrderJournal
from sextant.market import ClockBehind, Newest, Service, waiting_for
from sextant.market_settings import LiveMarketSettings, RehearsalMarketSettings
from sextant.settings import Settings

T = TypeVar("T")
_FILL_EVERY, _FILL_BACK = timedelta(hours=1), timedelta(hours=24)
_FUNDING_EVERY, _FUNDING_BACK = timedelta(minutes=10), timedelta(days=30)
_FILLER = "gaps"  # in collector_progress
_HEADLINES_EVERY = timedelta(seconds=10)
_SPARE = 2  # bars more than are needed are asked for: the newest may still be open
_log = structlog.get_logger(__name__)


class Opened(Protocol):
    """Opens the exchange's public data for who spends from `budget`."""

    def __call__(self, *, budget: Allowance) -> MarketSource: ...


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
        budget: RateBudget,
        opened: Opened,
    ) -> None:
        """`opened` is called for the feed, and for the collectors, which leave it its share."""
        self.name = name
        self.budget = budget
        self.clock = clock
        self._live = live
        self._symbols = tuple(settings.instruments)
        self._tells_trades = settings.paper_books is not None
        self._max_behind = settings.watch.max_skew
        self._news_age = settings.news.max_age
        self._pool = pool
        self._bars = PostgresBarStore(pool, exchange=name)
        self._source = opened(budget=budget)
        self._past = opened(budget=budget.patient)
        self._filled = PostgresProgress(pool, collector=_FILLER, exchange=name)
        self._newest: Newest = {}  # before this run
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

    def goes_on_from(self, newest: datetime, needs: Mapping[Timeframe, int]) -> datetime:
        """Kraken has 720 bars: after a longer time away the oldest are the past of a new beginning,
        and only the rest is told.
        """
        base, kept = self._live.timeframe, self._source.traits.bars_kept
        told = max(kept - needs[base] - _SPARE, kept // 2)
        now = self.clock.now()
        if (now - newest) // base.delta <= told:
            return newest
        return base.close_after(now) - told * base.delta

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
        self._newest = newest
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
            with_trades=self._tells_trades,
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
        await self._past.close()

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
            self._past,
            PostgresFundingStore(self._pool, exchange=self.name),
            self._symbols,
            self.clock,
            since=self.clock.now() - _FUNDING_BACK,
            every=_FUNDING_EVERY,
            report=_tell_funding,
        )

    async def _fill_gaps(self) -> None:
        """What was lost while nobody could look: at the start, soon after it, and then every hour.

        Trades that a kill took out of the buffer, behind the last that were kept, are a hole only
        when the first of this life are kept. Soon, too, after the venue or the store was away.
        """
        soon = 2 * self._live.timeframe.delta
        for pause in chain([soon], repeat(_FILL_EVERY)):
            filled = [await self._is_filled(symbol) for symbol in self._symbols]
            await self.clock.sleep(pause if all(filled) else soon)

    async def _is_filled(self, symbol: Symbol) -> bool:
        try:
            await self._fill(symbol, self.clock.now())
        except SourceRefused as error:  # as while the market is halted
            _log.warning("gaps are left for later", symbol=symbol, error=str(error))
        except Transient as error:
            _log.warning("gaps are left for a while", symbol=symbol, error=str(error))
            return False
        return True

    async def _fill(self, symbol: Symbol, now: datetime) -> None:
        """Look a day back, and as far as nobody has looked before, however long we were away."""
        (report,) = await fill_store(
            self._pool,
            self._past,
            self.name,
            (symbol,),
            since=min(now - _FILL_BACK, await self._filled_until(symbol, now)),
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
        await self._filled.save(symbol, report.until.isoformat(), now=self.clock.now())

    async def _filled_until(self, symbol: Symbol, now: datetime) -> datetime:
        """Up to when gaps have been looked for; before the first time, the newest bar dealt with.

        A kill in the middle of a long fill leaves it where it was.
        """
        kept = await self._filled.load(symbol)
        return self._newest.get(symbol, now) if kept is None else datetime.fromisoformat(kept)


def _tell_news(health: FeedHealth) -> None:
    if health.error is not None:
        _log.warning("a news feed fails", feed=health.feed, error=health.error)


def _tell_funding(told: FundingFill | FundingFailed) -> None:
    if isinstance(told, FundingFailed):
        _log.warning("no funding rates", symbol=told.symbol, reason=told.reason)
