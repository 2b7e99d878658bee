"""The live market of one venue: whole bars, the newest books and rates, and what went wrong.

Over any `MarketSource`. Each symbol has a `MarketLine`, which makes bars of trades, and a
`Subscription` for each channel, which keeps the stream alive; bars go through one `Outbox`.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from data.bar import Timeframe
from data.clock import Clock
from data.collect.patience import Patience
from data.faults import Fault, Transient
from data.feed import MarketEvent
from data.feeds.live_ports import BarCorrections, FeedWatcher, LineHealth, TradeSink
from data.feeds.market_line import MarketLine
from data.feeds.outbox import Outbox
from data.feeds.source import BookBroken, Channel, MarketSource
from data.feeds.subscription import Connection, Subscription, SubscriptionHealth
from data.funding import FundingRate
from data.instrument import Symbol
from data.order_book import OrderBook

_PUNCTUAL: Final = timedelta(seconds=5)  # a loop that is busy wakes us so late
_Positive = Annotated[timedelta, Field(gt=timedelta(0))]


class LiveFeedSettings(BaseModel):
    """How patient a live feed is. Nothing here decides what is traded: `MarketWatch` does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace: _Positive = timedelta(seconds=2)
    """After an interval's end, on the venue's clock, its history is read if no trade came."""

    disorder: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(milliseconds=100)
    """A trade so long past an interval's end closes it: trades are out of order by less."""

    max_ahead: _Positive = timedelta(minutes=1)
    """A trade further in the venue's future than this is left out."""

    reach: _Positive = timedelta(hours=6)
    """A longer gap is told as the venue's bars; PARAMETERS.md 1.9 takes those up to 12 hours."""

    trades_silent_after: _Positive = timedelta(seconds=30)
    """Without a trade for so long, the venue's history says whether the market is quiet."""

    book_silent_after: _Positive = timedelta(seconds=30)

    funding_silent_after: _Positive = timedelta(minutes=2)

    clock_every: _Positive = timedelta(minutes=1)
    """How often the venue's clock is compared with ours."""

    queue: Annotated[int, Field(ge=1)] = 1_000
    """Bars and interruptions that wait for the consumer before the feed waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedHealth:
    """What telemetry shows of a live feed."""

    exchange: str
    skew: timedelta | None  # the venue's clock is so much ahead of ours; None before it was asked
    reconnects: int  # how often we dropped the sockets
    queued: int  # events that wait for the consumer
    replaced: int  # books and funding rates that were newer than what the consumer had fetched
    books_broken: int
    lines: Sequence[LineHealth]
    subscriptions: Sequence[SubscriptionHealth]


class VenueTime:
    """The venue's clock: ours, and by how much that one is ahead."""

    def __init__(self, source: MarketSource, clock: Clock) -> None:
        self.ahead: timedelta | None = None
        self._source = source
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() + (self.ahead or timedelta(0))

    async def measure(self) -> timedelta:
        """Compare the clocks; an answer is taken to be from the middle of the wait for it.

        Raises:
            SourceUnavailable: as the source does.
        """
        asked_at = self._clock.now()
        theirs = await self._source.server_time()
        self.ahead = theirs - (asked_at + (self._clock.now() - asked_at) / 2)
        return self.ahead


class LiveFeed:
    """A `MarketFeed` of one venue: iterate `events` once; it ends by an error or by being closed.

    Args:
        newest: Close of the newest bar known of each symbol: the first told is the one after it,
            and all up to the present are told at once. A symbol that is not in it begins with the
            interval that is open now.
        book_depth: Levels of the books that are told; None tells none.
        with_funding: Whether funding rates are told; the venue must have them.
        with_trades: Whether trades are told, each once and before the bar that it is in.
        sink: Takes every trade once, repaired ones too; without one, or where it has no room,
            trades are only counted.
        corrections: Where bars go that late trades have changed after they were told.
        watcher: Is told of broken books, missing trades and clock skew as they come.
    """

    def __init__(
        self,
        source: MarketSource,
        clock: Clock,
        *,
        symbols: Sequence[Symbol],
        timeframe: Timeframe,
        newest: Mapping[Symbol, datetime],
        settings: LiveFeedSettings,
        patience: Patience,
        book_depth: int | None = None,
        with_funding: bool = False,
        with_trades: bool = False,
        sink: TradeSink | None = None,
        corrections: BarCorrections | None = None,
        watcher: FeedWatcher | None = None,
    ) -> None:
        if with_funding and not source.traits.has_funding:
            raise ValueError(f"{source.traits.exchange} has no funding")
        self._source = source
        self._clock = clock
        self._symbols = tuple(symbols)
        self._timeframe = timeframe
        self._newest = newest
        self._settings = settings
        self._patience = patience
        self._book_depth = book_depth
        self._with_funding = with_funding
        self._with_trades = with_trades
        self._sink = sink
        self._corrections = corrections
        self._watcher = watcher
        self._venue = VenueTime(source, clock)
        self._outbox = Outbox(settings.queue)
        self._connection = Connection(source)
        self._lines: list[MarketLine] = []
        self._subscriptions: list[Subscription[Any]] = []
        self._books_broken = 0

    async def events(self) -> AsyncGenerator[MarketEvent, None]:
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(self._work(), name="live-feed")
            try:
                while True:
                    yield await self._outbox.get()
            except GeneratorExit:
                return  # closed in the middle; out of a task group it would come as an error
            except Exception as error:  # noqa: BLE001 - raised below, and in no group
                failure = error
            finally:
                worker.cancel()
        if failure is not None:
            raise failure

    def health(self) -> FeedHealth:
        return FeedHealth(
            exchange=self._source.traits.exchange,
            skew=self._venue.ahead,
            reconnects=self._connection.drops,
            queued=len(self._outbox),
            replaced=self._outbox.replaced,
            books_broken=self._books_broken,
            lines=tuple(line.health() for line in self._lines),
            subscriptions=tuple(each.health() for each in self._subscriptions),
        )

    async def _work(self) -> None:
        """Run everything until cancelled; an error is told to whoever fetches the next event.

        It must not end the task group around the generator, which would cancel the consumer
        wherever that happens to wait.
        """
        try:
            await self._measure_clock()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_clock(), name="venue-clock")
                for symbol in self._symbols:
                    tasks.create_task(self._follow(symbol), name=f"follow-{symbol}")
        except Exception as error:  # noqa: BLE001 - it is raised where it can be dealt with
            self._outbox.fail(error)

    async def _follow(self, symbol: Symbol) -> None:
        """Tell what was, then what comes, of one symbol."""
        line = self._line(symbol)
        self._lines.append(line)
        await line.begin()
        async with asyncio.TaskGroup() as tasks:
            for subscription in self._of(line):
                self._subscriptions.append(subscription)
                tasks.create_task(subscription.run(), name=f"subscription-{symbol}")
            tasks.create_task(self._close_bars(line), name=f"close-{symbol}")
            tasks.create_task(line.correct_bars(), name=f"correct-{symbol}")

    async def _close_bars(self, line: MarketLine) -> None:
        """Close each bar by time, if no trade did it.

        If that time is long past when we look, we have slept, or our clock was set: then the
        venue's is asked for first.
        """
        grace, delta = self._settings.grace, self._timeframe.delta
        while True:
            left = line.due + grace - self._venue.now()
            if left > timedelta(0):
                await self._clock.sleep(left)
            else:
                if -left > _PUNCTUAL:
                    await self._measure_clock()
                over = self._venue.now() - grace
                await line.close_until(self._timeframe.close_after(over) - delta)

    async def _watch_clock(self) -> None:
        while True:
            await self._clock.sleep(self._settings.clock_every)
            await self._measure_clock()

    async def _measure_clock(self) -> None:
        """Compare the clocks, however long the venue cannot be asked."""
        failed = 0
        while True:
            try:
                ahead = await self._venue.measure()
            except Transient as error:
                failed += 1
                await self._patience.rest(error, failed)
                continue
            if self._watcher is not None:
                self._watcher.clock_skew(ahead, now=self._clock.now())
            return

    def _line(self, symbol: Symbol) -> MarketLine:
        return MarketLine(
            symbol,
            self._timeframe,
            source=self._source,
            venue=self._venue,
            patience=self._patience,
            outbox=self._outbox,
            tells_trades=self._with_trades,
            newest=self._newest.get(symbol),
            reach=self._settings.reach,
            disorder=self._settings.disorder,
            max_ahead=self._settings.max_ahead,
            sink=self._sink,
            corrections=self._corrections,
            watcher=self._watcher,
        )

    def _of(self, line: MarketLine) -> Iterator[Subscription[Any]]:
        """The subscriptions of one symbol."""
        symbol, settings, depth = line.symbol, self._settings, self._book_depth
        source = self._source
        kept = partial(
            Subscription,
            symbol,
            clock=self._clock,
            patience=self._patience,
            connection=self._connection,
        )
        yield kept(
            Channel.TRADES,
            lambda: source.trades(symbol),
            line.take,
            interrupted=line.interrupted,
            limit=settings.trades_silent_after,
            proven_quiet=line.proven_quiet,
        )
        if depth is not None:
            yield kept(
                Channel.BOOK,
                lambda: source.books(symbol, depth),
                self._show,
                interrupted=partial(self._book_ended, symbol),
                limit=settings.book_silent_after,
            )
        if self._with_funding:
            yield kept(
                Channel.FUNDING,
                lambda: source.funding(symbol),
                self._show,
                interrupted=_nothing,
                limit=settings.funding_silent_after,
            )

    async def _show(self, event: OrderBook | FundingRate) -> None:
        self._outbox.show(event)

    async def _book_ended(self, symbol: Symbol, fault: Fault) -> None:
        if isinstance(fault, BookBroken):
            self._books_broken += 1
            if self._watcher is not None:
                self._watcher.book_broken(symbol, now=self._clock.now())


async def _nothing(_: Fault) -> None:
    """Rates that stop coming are no gap in the bars."""
