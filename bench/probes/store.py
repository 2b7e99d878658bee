"""Bars into a new database, and out of it: `python -m bench.probes.store MINUTES SYMBOLS`."""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median

from bench.process import BenchFailed
from bench.scratch import server_folder
from data.bar import Bar, Timeframe
from data.instrument import Notional, Price, Quantity, Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect

_BEGIN = datetime(2020, 1, 6, tzinfo=UTC)  # a Monday
_MINUTE = timedelta(minutes=1)
_PUTS = 1_000
_READS = 5
_LONG = 3_600.0
_MIB = 1 << 20
_FOLD = """
    SELECT fold_bars(exchange, symbol, min(closed_at), max(closed_at))
    FROM bars GROUP BY exchange, symbol
"""


class Timed:
    """The same bars, and the time that it took to make them, which is not the store's."""

    def __init__(self, bars: Iterable[Bar]) -> None:
        self._bars = iter(bars)
        self.spent = 0.0

    def __iter__(self) -> Iterator[Bar]:
        return self

    def __next__(self) -> Bar:
        began = time.perf_counter()
        try:
            return next(self._bars)
        finally:
            self.spent += time.perf_counter() - began


def walk(symbol: Symbol, first: int, count: int) -> Iterator[Bar]:
    """Seeded bars of consecutive minutes; prices in cents, volumes in 1e-8."""
    luck = random.Random(f"{symbol} {first}")
    close = 5_000_000
    for minute in range(first, first + count):
        opened, close = close, max(100_000, close + luck.randint(-5_000, 5_000))
        high = max(opened, close) + luck.randint(0, 2_000)
        low = min(opened, close) - luck.randint(0, 2_000)
        volume = Decimal(luck.randint(1, 10**9)).scaleb(-8)
        price = Decimal(close).scaleb(-2)
        yield Bar(
            symbol=symbol,
            timeframe=Timeframe.M1,
            closed_at=_BEGIN + (minute + 1) * _MINUTE,
            open=Price(Decimal(opened).scaleb(-2)),
            high=Price(Decimal(high).scaleb(-2)),
            low=Price(Decimal(low).scaleb(-2)),
            close=Price(price),
            volume=Quantity(volume),
            turnover=Notional(volume * price),
            trades=luck.randint(1, 500),
        )


async def imported(store: PostgresBarStore, symbols: list[Symbol], minutes: int) -> float:
    """The seconds that the store took."""
    spent = 0.0
    for symbol in symbols:
        bars = Timed(walk(symbol, 0, minutes))
        began = time.perf_counter()
        await store.put_many(bars)
        spent += time.perf_counter() - began - bars.spent
    return spent


async def put_one_by_one(store: PostgresBarStore, symbol: Symbol, minutes: int) -> list[float]:
    """What the minutes after the imported ones cost, in ms each."""
    spent = []
    for bar in walk(symbol, minutes, _PUTS):
        began = time.perf_counter()
        await store.put([bar])
        spent.append((time.perf_counter() - began) * 1e3)
    return spent


async def read(store: PostgresBarStore, symbol: Symbol, minutes: int) -> dict[Timeframe, float]:
    """The last 1,000 bars of each size, in ms.

    Raises:
        BenchFailed: there are not as many as there should be.
    """
    spent = {}
    for timeframe in Timeframe:
        due = min(1_000, minutes // (timeframe.delta // _MINUTE))
        times = []
        for _ in range(_READS):
            began = time.perf_counter()
            bars = await store.last(symbol, timeframe, 1_000)
            times.append((time.perf_counter() - began) * 1e3)
            if len(bars) != due:
                raise BenchFailed(f"store: {len(bars)} bars of {timeframe}, not {due}")
        spent[timeframe] = median(times)
    return spent


async def size_mib(pool: Pool, table: str) -> float:
    size: int = await pool.fetchval("SELECT pg_total_relation_size($1::text::regclass)", table)
    return size / _MIB


async def measured(minutes: int, count: int) -> dict[str, object]:
    symbols = [Symbol(f"COIN{number}/USD") for number in range(count)]
    with server_folder() as folder:
        async with EmbeddedPostgres(folder) as dsn, await connect(dsn) as pool:
            await migrate(pool)
            store = PostgresBarStore(pool, exchange="bench")
            first = await imported(store, symbols, minutes)
            sizes = await size_mib(pool, "bars"), await size_mib(pool, "kept_bars")
            reads = await read(store, symbols[0], minutes)
            puts = await put_one_by_one(store, symbols[0], minutes)
            share = min(minutes, 100_000)
            again = await imported(store, symbols[:1], share)
            began = time.perf_counter()
            await pool.execute(_FOLD, timeout=_LONG)
            fold = time.perf_counter() - began
    return {
        "import_s": first,
        "import_bars_per_s": count * minutes / first,
        "again_bars_per_s": share / again,
        "fold_s": fold,
        "bars_mib": sizes[0],
        "longer_mib": sizes[1],
        "put_ms": puts,
        "last_ms": reads,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(int(sys.argv[1]), int(sys.argv[2])))))
