"""A live feed on the Kraken of loopback, and a market that happens to it second by second."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from data.bar import Bar, Timeframe
from data.clock import ManualClock, SystemClock
from data.collect.patience import Patience
from data.feed import FeedInterrupted
from data.feeds.ccxt_source import exact
from data.feeds.kraken import KrakenSource, trade_of_frame
from data.feeds.live import LiveFeed, LiveFeedSettings
from data.feeds.rate_budget import RateBudget
from data.instrument import Symbol
from data.order_book import OrderBook
from data.store_memory import MemoryBarStore
from data.trade_bars import TradeBars
from tests.wire.kraken import KrakenServer

BTC, XRP = Symbol("BTC/USD"), Symbol("XRP/USD")
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MINUTES = 4  # that the market lives
STEP = 3  # seconds that pass at once
_MOST_STEPS = 400  # after the market's end, until everything must be told
QUIET = 3  # the minute in which nothing is traded


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    second: int
    at: datetime
    price: str
    quantity: str
    side: str


def the_market(seed=7, *, minutes=MINUTES) -> list[Deal]:
    """Some trades in most steps, none in the quiet minute, and one at the end of each other."""
    rng, price, deals = random.Random(seed), 85_600.0, []
    for second in range(0, minutes * 60, STEP):
        if second // 60 == QUIET:
            continue
        offsets = sorted(rng.sample(range(1, STEP * 1000), rng.choice((0, 1, 2, 3))))
        if second % 60 == 60 - STEP:
            offsets.append(STEP * 1000 - 1)
        for offset in offsets:
            price += rng.choice((-0.5, -0.1, 0.1, 0.4))
            deals.append(
                Deal(
                    second=second + STEP,
                    at=START + timedelta(seconds=second, milliseconds=offset),
                    price=f"{price:.1f}",
                    quantity=f"{rng.randrange(1, 50_000_000) / 10**8:.8f}",
                    side=rng.choice(("buy", "sell")),
                )
            )
    return deals


class Sink:
    """Takes every trade, as a collector would."""

    def __init__(self) -> None:
        self.trades = []

    def take(self, trades):
        self.trades += trades
        return True


class Watcher:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.notes = []

    def book_broken(self, symbol, *, now):
        self.notes.append(("book", symbol))

    def missing_trades(self, symbol, count, *, now):
        self.notes.append(("missing", symbol, count))

    def clock_skew(self, ahead, *, now):
        self.notes.append(("skew", ahead))


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything of one run: the venue, the feed, and what has been heard."""

    clock: ManualClock
    server: KrakenServer
    feed: LiveFeed
    source: KrakenSource
    store: MemoryBarStore
    sink: Sink
    watcher: Watcher
    events: list = field(default_factory=list)
    failure: Exception | None = None

    @property
    def bars(self):
        return [event for event in self.events if isinstance(event, Bar)]

    @property
    def gaps(self):
        return [event for event in self.events if isinstance(event, FeedInterrupted)]

    @property
    def books(self):
        return [event for event in self.events if isinstance(event, OrderBook)]

    async def listen(self) -> None:
        try:
            async with contextlib.aclosing(self.feed.events()) as events:
                async for event in events:
                    self.events.append(event)
                    if isinstance(event, Bar):
                        await self.store.put([event])
        except Exception as failure:  # noqa: BLE001 - it is asked for
            self.failure = failure

    async def outcome(self) -> None:
        """Raise what the feed ended with."""
        await self.until(lambda: self.failure is not None, step=0)
        raise self.failure

    async def pass_time(self, seconds: float) -> None:
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))
        await settled()

    async def until(self, happened: Callable[[], bool], *, step: float = 1.0) -> None:
        """Let time pass until that has happened."""
        for _ in range(_MOST_STEPS):
            if happened():
                return
            await self.pass_time(step)
        raise AssertionError(f"never: {self.feed.health()} {self.events[-3:]}")

    async def live(self, deals, accidents=None) -> None:
        """Let the market happen, and at their seconds the accidents; then tell all bars of it."""
        for second in range(0, MINUTES * 60 + 1, STEP):
            self.clock.move_to(START + second * SECOND)
            for accident in (accidents or {}).get(second, ()):
                done = accident(self.server)
                if asyncio.iscoroutine(done):
                    await done
            for deal in (deal for deal in deals if deal.second == second):
                await self.server.trade(BTC, deal.price, deal.quantity, deal.side, at=deal.at)
            await settled()
        await self.until(lambda: bool(self.bars) and self.bars[-1].closed_at >= END)


END = START + MINUTES * MINUTE


async def settled() -> None:
    """Let what is on the way over loopback arrive."""
    for _ in range(2):
        await SystemClock().sleep(timedelta(milliseconds=1))


@contextlib.asynccontextmanager
async def a_stage(
    *, settings=None, newest=None, symbols=(BTC,), book_depth=None, begin=START, before=None
) -> AsyncIterator[Stage]:
    """A feed that listens to a Kraken of its own; `before` prepares the venue."""
    clock = ManualClock(begin)
    async with KrakenServer(clock) as server:
        await server.change_book(BTC, **a_book())
        if before is not None:
            await before(server)
        source = KrakenSource(
            clock=clock,
            budget=RateBudget(clock, capacity=10_000, per_second=1_000),
            urls=server.urls,
        )
        store, sink, watcher = MemoryBarStore(), Sink(), Watcher()
        feed = LiveFeed(
            source,
            clock,
            symbols=symbols,
            timeframe=Timeframe.M1,
            newest=newest or {},
            settings=settings or LiveFeedSettings(),
            patience=Patience(clock=clock, chance=random.Random(1)),
            book_depth=book_depth,
            sink=sink,
            corrections=store,
            watcher=watcher,
        )
        stage = Stage(
            clock=clock,
            server=server,
            feed=feed,
            source=source,
            store=store,
            sink=sink,
            watcher=watcher,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                listener = tasks.create_task(stage.listen())
                await server.subscribed(*(f"trade@{symbol}" for symbol in symbols))
                yield stage
                listener.cancel()
        finally:
            await source.close()


def a_book(mid=85_600.0, levels=12):
    """Two sides of a book around `mid`."""
    bids = {f"{mid - 0.1 * n:.1f}": f"{1 + n / 10:.8f}" for n in range(1, levels + 1)}
    asks = {f"{mid + 0.1 * n:.1f}": f"{1 + n / 10:.8f}" for n in range(1, levels + 1)}
    return {"bids": bids, "asks": asks}


def bars_of(server, symbol=BTC, until=END, since=START):
    """What all trades that there were make of bars."""
    builder = TradeBars(symbol, Timeframe.M1, since=since)
    prints = server.markets[symbol].prints
    trades = [trade_of_frame(symbol, exact(orjson.dumps(made.frame(symbol)))) for made in prints]
    built = [bar for trade in trades for bar in builder.add(trade)]
    return [*built, *builder.close_until(until)]
