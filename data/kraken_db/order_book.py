"""Keeps a snapshot of each order book a minute, on the minute (S0-32).

`python -m data.kraken_db.order_book --db-url "$DATABASE_URL" --symbols BTC/USDT`

The snapshot of 12:00 is the newest book of 12:00 or before, by the venue's time, and is kept under
12:00. A book that nobody should believe then is left out and counted: what is not there is a gap,
what is wrong would be data.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer
from pydantic import BaseModel, ConfigDict, Field

from data.clock import Clock, SystemClock
from data.collect.command import DbUrl, NamedSymbols, run
from data.collect.patience import Patience
from data.collect.venues import Exchange, open_source
from data.faults import Fault
from data.feeds.source import Channel, MarketSource
from data.feeds.subscription import Connection, Subscription
from data.instrument import Symbol
from data.order_book import OrderBook
from data.postgres.books import PostgresBookStore
from data.postgres.migrate import migrate
from data.postgres.pool import connect
from data.store import BookStore, StoreUnavailable

_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_Span = Annotated[timedelta, Field(gt=timedelta(0))]


class SnapshotSettings(BaseModel):
    """How deep, how often. Source of the defaults: PARAMETERS.md 1.9."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: Annotated[int, Field(ge=1)] = 25
    """Levels of each side."""
    every: _Span = timedelta(seconds=60)
    max_age: _Span = timedelta(seconds=30)
    """An older book is left out; a subscription that is silent for so long is opened anew."""
    most: Annotated[int, Field(ge=1)] = 10_000
    """So many wait while the store is away; then the oldest is left out for each new one."""


class LeftOut(StrEnum):
    """Why a snapshot was not kept."""

    NONE = "none"  # no book since the subscription began, or broke
    STALE = "stale"
    CROSSED = "crossed"
    EMPTY = "empty"  # one side of it, or both
    NO_ROOM = "no_room"  # the store was away for too long


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHealth:
    """What became of the snapshots that were due, since the start."""

    kept: int
    waiting: int  # for the store to come back
    left_out: Mapping[LeftOut, int]
    outages: int


class BookSnapshots:
    """Is told of books as they come; `run` keeps one of each symbol whenever it is due."""

    def __init__(
        self,
        store: BookStore,
        symbols: Sequence[Symbol],
        *,
        clock: Clock,
        settings: SnapshotSettings | None = None,
    ) -> None:
        self._store = store
        self._symbols = tuple(symbols)
        self._clock = clock
        self._settings = settings or SnapshotSettings()
        self._due = self._next(clock.now())
        self._newest: dict[Symbol, OrderBook] = {}
        self._in_time: dict[Symbol, OrderBook] = {}  # the newest that is not of after `_due`
        self._waiting: list[OrderBook] = []
        self._left_out: Counter[LeftOut] = Counter()
        self._kept = self._outages = 0

    @property
    def health(self) -> SnapshotHealth:
        return SnapshotHealth(
            kept=self._kept,
            waiting=len(self._waiting),
            left_out=dict(self._left_out),
            outages=self._outages,
        )

    async def take(self, book: OrderBook) -> None:
        """The book as it is now."""
        self._newest[book.symbol] = book
        if book.at <= self._due:
            self._in_time[book.symbol] = book

    async def forget(self, symbol: Symbol) -> None:
        """The stream of `symbol` has ended: what it told is not the book any more."""
        self._newest.pop(symbol, None)
        self._in_time.pop(symbol, None)

    async def run(self) -> None:
        """Keep snapshots until cancelled."""
        while True:
            await self._clock.sleep_until(self._due)
            await self._snap()

    async def _snap(self) -> None:
        for symbol in self._symbols:
            self._choose(self._in_time.get(symbol))
        self._due = self._next(self._clock.now())
        self._in_time = dict(self._newest)
        try:
            await self._write()
        except StoreUnavailable:  # the next minute tries again
            self._outages += 1

    def _choose(self, book: OrderBook | None) -> None:
        reason = self._defect(book)
        if reason is not None or book is None:
            self._left_out[reason or LeftOut.NONE] += 1
            return
        if len(self._waiting) >= self._settings.most:
            del self._waiting[0]
            self._left_out[LeftOut.NO_ROOM] += 1
        depth = self._settings.depth
        self._waiting.append(
            replace(book, at=self._due, bids=book.bids[:depth], asks=book.asks[:depth])
        )

    def _defect(self, book: OrderBook | None) -> LeftOut | None:
        if book is None:
            return LeftOut.NONE
        if self._due - book.at > self._settings.max_age:
            return LeftOut.STALE
        if not (book.bids and book.asks):
            return LeftOut.EMPTY
        return LeftOut.CROSSED if book.is_crossed else None

    async def _write(self) -> None:
        waiting = list(self._waiting)
        if waiting:
            await self._store.put(waiting)
            del self._waiting[: len(waiting)]
            self._kept += len(waiting)

    def _next(self, now: datetime) -> datetime:
        """The first due time after `now`."""
        return now - (now - _EPOCH) % self._settings.every + self._settings.every


async def collect_books(
    source: MarketSource,
    snapshots: BookSnapshots,
    symbols: Sequence[Symbol],
    *,
    clock: Clock,
    settings: SnapshotSettings,
    patience: Patience | None = None,
) -> None:
    """Subscribe to the books of `symbols`, and keep their snapshots until cancelled."""
    connection = Connection(source)

    def subscription(symbol: Symbol) -> Subscription[OrderBook]:
        async def interrupted(_: Fault) -> None:
            await snapshots.forget(symbol)

        return Subscription(
            symbol,
            Channel.BOOK,
            lambda: source.books(symbol, settings.depth),
            snapshots.take,
            interrupted=interrupted,
            limit=settings.max_age,
            clock=clock,
            patience=patience or Patience(clock=clock),
            connection=connection,
        )

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(snapshots.run(), name="book-snapshots")
        for symbol in symbols:
            tasks.create_task(subscription(symbol).run(), name=f"book-{symbol}")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(db_url: DbUrl, symbols: NamedSymbols) -> None:
    """Keep 25 levels of each side of Kraken's order books every minute, until Ctrl-C."""
    asyncio.run(_collect(db_url, [Symbol(text) for text in symbols]))


async def _collect(db_url: str, symbols: Sequence[Symbol]) -> None:
    clock, settings = SystemClock(), SnapshotSettings()
    async with await connect(db_url) as pool:
        await migrate(pool)
        store = PostgresBookStore(pool, exchange=Exchange.KRAKEN)
        source = open_source(Exchange.KRAKEN, clock)
        try:
            await source.instruments(symbols)  # says at once if there is no such market
            snapshots = BookSnapshots(store, symbols, clock=clock, settings=settings)
            await collect_books(source, snapshots, symbols, clock=clock, settings=settings)
        finally:
            await source.close()


if __name__ == "__main__":
    run(app)
