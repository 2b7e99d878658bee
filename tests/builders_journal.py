"""Facts, and journals of every kind that can be opened, left and lost."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.instrument import Price, Quantity, Side, Symbol
from execution.fill import Fill, Liquidity
from execution.order import Order
from execution.venue import OrderChanged
from sextant.journal.codec import Codec
from sextant.journal.jsonl import JsonlJournal
from sextant.journal.memory import MemoryJournal
from sextant.journal.postgres import PostgresJournal

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
CODEC = Codec({"bar": Bar, "fill": Fill, "order_changed": OrderChanged, "order": Order})


def a_fill(number):
    return Fill(
        fill_id=f"F{number}",
        client_order_id="6f6d3f3c-5e2b-5f0e-9d6a-5e87a9a1c0de",
        symbol=Symbol("BTC/USD"),
        side=Side.BUY,
        quantity=Quantity(Decimal("0.10")),
        price=Price(Decimal("42000.1")),
        fee=Decimal("1.68"),
        fee_asset="USD",
        liquidity=Liquidity.TAKER,
        filled_at=NOON + timedelta(seconds=number),
    )


def a_bar(number):
    price = Price(Decimal("42000.10") + number)
    return Bar(
        symbol=Symbol("BTC/USD"),
        timeframe=Timeframe.M1,
        closed_at=NOON + timedelta(minutes=number),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Quantity(Decimal("1.5")),
    )


async def collected(iterator):
    return [item async for item in iterator]


class Memory:
    """Gone when it is left."""

    @contextlib.asynccontextmanager
    async def opened(self, name="main"):
        yield MemoryJournal(codec=CODEC, clock=ManualClock(NOON), name=name)


@dataclass
class Jsonl:
    folder: object
    sync: bool

    def path(self, name="main"):
        return self.folder / f"{name}.jsonl"

    @contextlib.asynccontextmanager
    async def opened(self, name="main"):
        with JsonlJournal(
            self.path(name), codec=CODEC, clock=ManualClock(NOON), sync=self.sync
        ) as journal:
            yield journal

    def lose_unflushed(self, journal):
        journal._waiting.clear()


@dataclass
class Postgres:
    pool: object

    @contextlib.asynccontextmanager
    async def opened(self, name="main", **settings):
        journal = PostgresJournal(
            self.pool,
            name=name,
            codec=CODEC,
            clock=ManualClock(NOON),
            lock_within=timedelta(milliseconds=50),
            **settings,
        )
        async with journal, asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(journal.run())
            try:
                yield journal
            finally:
                writer.cancel()

    def lose_unflushed(self, journal):
        journal._pending.clear()
