"""Writes live trades and bars into the store: in batches, in order, and through its outages.

`python -m data.kraken_db.websocket_writer --db-url "$DATABASE_URL" --symbols BTC/USDT`

A bar is written after every trade that came before it, so that what a kill -9 takes is behind the
newest bar: a gap that the gap filler sees. The buffers are bounded, and say what a full one does:
`put` waits, and `take`, for those who cannot, takes nothing, says so and counts it; trades that
were turned away are a hole in the venue's ids, which the gap filler sees, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Final

import typer
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from data.bar import Bar, Timeframe
from data.clock import Clock, SystemClock
from data.collect.command import DbUrl, NamedSymbols, run
from data.collect.patience import Patience
from data.collect.venues import Exchange, open_source
from data.feed import FeedInterrupted, MarketFeed
from data.feeds.live import LiveFeed, LiveFeedSettings
from data.feeds.source import MarketSource
from data.instrument import Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.migrate import migrate
from data.postgres.pool import connect
from data.postgres.trades import PostgresTradeStore
from data.store import BarStore, StoreUnavailable, TradeStore
from data.trade import Trade

_AT_ONCE: Final = 2_000  # rows in one put after an outage
_Count = Annotated[int, Field(ge=1)]
_Within = Annotated[timedelta, Field(gt=timedelta(0))]


class WriterSettings(BaseModel):
    """How much waits for how long. Source of the defaults: PARAMETERS.md 1.9."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: _Count = 100
    """So many trades are written at once, however young."""
    trades_within: _Within = timedelta(seconds=5)
    bars_within: _Within = timedelta(seconds=1)
    most_trades: _Count = 10_000
    """More do not wait: whoever brings them does, or is turned away."""
    most_bars: _Count = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterHealth:
    """What became of what was brought, since the start."""

    trades: int  # written
    bars: int
    trades_waiting: int
    bars_waiting: int
    turned_away: int  # trades for which there was no room
    outages: int  # writes that failed and were tried again
    away_since: datetime | None  # since when the store has not answered


class StoreWriter:
    """A `TradeSink` over two stores; `run` it as a task, and `drain` it after that."""

    def __init__(
        self,
        trades: TradeStore,
        bars: BarStore,
        *,
        clock: Clock,
        settings: WriterSettings | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._trades_store = trades
        self._bars_store = bars
        self._clock = clock
        self._settings = settings or WriterSettings()
        self._patience = patience or Patience(clock=clock)
        self._trades: list[Trade] = []
        self._bars: list[Bar] = []
        self._oldest: datetime | None = None  # when the first of the trades that wait was brought
        self._many = asyncio.Event()  # a batch of trades waits
        self._room = asyncio.Event()  # something was written since this was cleared
        self._writing = asyncio.Lock()
        self._trades_written = self._bars_written = self._turned_away = self._outages = 0
        self._away_since: datetime | None = None

    @property
    def health(self) -> WriterHealth:
        return WriterHealth(
            trades=self._trades_written,
            bars=self._bars_written,
            trades_waiting=len(self._trades),
            bars_waiting=len(self._bars),
            turned_away=self._turned_away,
            outages=self._outages,
            away_since=self._away_since,
        )

    def take(self, trades: Sequence[Trade]) -> bool:
        """Take all of `trades`, or none and say False where there is no room; wait for nothing."""
        if len(self._trades) + len(trades) > self._settings.most_trades:
            self._turned_away += len(trades)
            self._many.set()
            return False
        self._accept(trades)
        return True

    async def put(self, trades: Sequence[Trade]) -> None:
        """Take `trades`; wait while there is no room: the source waits, and nothing is lost."""
        for trade in trades:
            await self._wait_for(self._trades, self._settings.most_trades)
            self._accept((trade,))

    async def put_bars(self, bars: Sequence[Bar]) -> None:
        """Take `bars`, whose trades were brought before; wait while there is no room."""
        for bar in bars:
            await self._wait_for(self._bars, self._settings.most_bars)
            self._bars.append(bar)

    async def run(self) -> None:
        """Write until cancelled; what waits then is kept for `drain`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write_by_time(), name="write-by-time")
            tasks.create_task(self._write_by_size(), name="write-by-size")

    async def drain(self) -> None:
        """Write what waits, once.

        Raises:
            StoreUnavailable: the store is away; what waits is a gap for the gap filler.
        """
        async with self._writing:
            await self._write_all(_once)

    async def _write_by_time(self) -> None:
        while True:
            await self._clock.sleep(self._settings.bars_within)
            if self._bars or self._is_late():
                await self._write()

    async def _write_by_size(self) -> None:
        while True:
            await self._many.wait()
            await self._write()

    def _is_late(self) -> bool:
        waited = None if self._oldest is None else self._clock.now() - self._oldest
        return waited is not None and waited >= self._settings.trades_within

    async def _write(self) -> None:
        async with self._writing:
            await self._write_all(self._insist)

    async def _write_all(
        self, ask: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        """All that waits now; what is brought meanwhile waits for the next time."""
        bars = list(self._bars)
        trades = list(self._trades)  # brought before the bars, or with them
        self._many.clear()
        self._oldest = None
        for start in range(0, len(trades), _AT_ONCE):
            part = trades[start : start + _AT_ONCE]
            await ask(partial(self._trades_store.put, part))
            del self._trades[: len(part)]
            self._trades_written += len(part)
            self._room.set()
        if bars:
            await ask(partial(self._bars_store.put, bars))
            del self._bars[: len(bars)]
            self._bars_written += len(bars)
            self._room.set()

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, and while the store is away keep all and try again."""
        failed = 0
        while True:
            try:
                await write()
            except StoreUnavailable as error:
                failed += 1
                self._outages += 1
                self._away_since = self._away_since or self._clock.now()
                await self._patience.rest(error, failed)
            else:
                self._away_since = None
                return

    def _accept(self, trades: Sequence[Trade]) -> None:
        self._trades.extend(trades)
        self._oldest = self._oldest or self._clock.now()
        if len(self._trades) >= self._settings.batch:
            self._many.set()

    async def _wait_for(self, waiting: Sequence[object], most: int) -> None:
        while len(waiting) >= most:
            self._room.clear()
            self._many.set()
            await self._room.wait()


async def _once(write: Callable[[], Awaitable[None]]) -> None:
    await write()


async def live_feed(
    source: MarketSource,
    bars: BarStore,
    writer: StoreWriter,
    symbols: Sequence[Symbol],
    *,
    clock: Clock,
    settings: LiveFeedSettings | None = None,
) -> LiveFeed:
    """A feed of minutes that goes on where the store ends, and gives its trades to `writer`.

    Raises:
        StoreUnavailable: nobody knows where the store ends.
    """
    newest: dict[Symbol, datetime] = {}
    for symbol in symbols:
        for bar in await bars.last(symbol, Timeframe.M1, 1):
            newest[symbol] = bar.closed_at
    return LiveFeed(
        source,
        clock,
        symbols=symbols,
        timeframe=Timeframe.M1,
        newest=newest,
        settings=settings or LiveFeedSettings(),
        patience=Patience(clock=clock),
        sink=writer,
        corrections=bars,
    )


async def write_live(
    feed: MarketFeed, writer: StoreWriter, told: Callable[[FeedInterrupted], None]
) -> None:
    """Write what `feed` tells until it ends; interruptions are `told`."""
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(writer.run(), name="store-writer")
        async for event in feed.events():
            if isinstance(event, Bar):
                await writer.put_bars([event])
            elif isinstance(event, FeedInterrupted):
                told(event)
        writing.cancel()


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(db_url: DbUrl, symbols: NamedSymbols) -> None:
    """Write Kraken's trades and one-minute bars as they come, until Ctrl-C (S0-30)."""
    asyncio.run(_collect(db_url, [Symbol(text) for text in symbols]))


async def _collect(db_url: str, symbols: Sequence[Symbol]) -> None:
    clock, said = SystemClock(), Console(stderr=True, soft_wrap=True)
    async with await connect(db_url) as pool:
        await migrate(pool)
        bars = PostgresBarStore(pool, exchange=Exchange.KRAKEN)
        trades = PostgresTradeStore(pool, exchange=Exchange.KRAKEN)
        writer = StoreWriter(trades, bars, clock=clock)
        source = open_source(Exchange.KRAKEN, clock)
        try:
            await source.instruments(symbols)  # says at once if there is no such market
            feed = await live_feed(source, bars, writer, symbols, clock=clock)
            await write_live(feed, writer, lambda event: said.print(_told(event), markup=False))
        finally:
            await source.close()
            await writer.drain()


def _told(event: FeedInterrupted) -> str:
    until = "now" if event.until is None else f"{event.until:%H:%M}"
    return f"{event.symbol}: interrupted from {event.since:%H:%M} to {until}: {event.reason}"


if __name__ == "__main__":
    run(app)
