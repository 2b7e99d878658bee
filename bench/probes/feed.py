"""Trades from the socket of `flood`: `python -m bench.probes.feed WAY COUNT`.

WAY is `ccxt` (watch_trades, its cache made as large as needed), `source` (values of our own),
`feed` (bars) or `rows` (trades in PostgreSQL).
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, cast

import ccxt.pro  # type: ignore[import-untyped]

from bench.probes import flood
from bench.probes.flood import A_MINUTE, BTC, START
from bench.process import BenchFailed
from bench.scratch import server_folder
from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.collect.patience import Patience
from data.feeds.ccxt_source import config
from data.feeds.kraken import KrakenSource
from data.feeds.live import LiveFeed, LiveFeedSettings
from data.feeds.live_ports import TradeSink
from data.feeds.rate_budget import RateBudget
from data.kraken_db.websocket_writer import StoreWriter, WriterSettings, write_live
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.postgres.trades import PostgresTradeStore
from data.trade import Trade

_PATIENCE_S = 600.0


@asynccontextmanager
async def _server(count: int) -> AsyncGenerator[dict[str, Any], None]:
    """The other end, in a process of its own; its addresses."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", flood.__name__, str(count), stdout=asyncio.subprocess.PIPE
    )
    try:
        line = await cast("asyncio.StreamReader", process.stdout).readline()
        yield json.loads(line)
    finally:
        process.kill()
        await process.wait()


async def _by_ccxt(urls: dict[str, Any], count: int) -> int:
    """How many trades `watch_trades` has told when the last one came."""
    settings = config(urls, timeout=timedelta(seconds=10)) | {"options": {"tradesLimit": count}}
    exchange = ccxt.pro.kraken(settings)
    try:
        await exchange.load_markets()
        told = 0
        while True:
            trades = await exchange.watch_trades(BTC)
            told += len(trades)
            if int(trades[-1]["id"]) == count:
                return told
    finally:
        await exchange.close()


def _source(urls: dict[str, Any], clock: ManualClock) -> KrakenSource:
    return KrakenSource(
        clock=clock, budget=RateBudget(clock, capacity=100, per_second=1), urls=urls
    )


async def _by_source(urls: dict[str, Any], count: int) -> int:
    source, told = _source(urls, ManualClock(START)), 0
    try:
        async with aclosing(cast("AsyncGenerator[Any, None]", source.trades(BTC))) as stream:
            async for batch in stream:
                told += len(batch)
                if batch[-1].trade_id == count:
                    return told
    finally:
        await source.close()
    return told


def _feed(source: KrakenSource, clock: ManualClock, sink: TradeSink | None = None) -> LiveFeed:
    return LiveFeed(
        source,
        clock,
        symbols=[BTC],
        timeframe=Timeframe.M1,
        newest={},
        settings=LiveFeedSettings(max_ahead=timedelta(days=365)),
        patience=Patience(clock=clock),
        sink=sink,
    )


async def _by_feed(urls: dict[str, Any], count: int) -> int:
    """Trades in the bars, when the last whole minute of them was told."""
    clock = ManualClock(START)
    source, told, last = _source(urls, clock), 0, (count - 1) // A_MINUTE
    feed = _feed(source, clock)
    try:
        async with aclosing(feed.events()) as events:
            async for event in events:
                if not isinstance(event, Bar):
                    raise BenchFailed(f"the feed told {event}")
                told += event.trades or 0
                if event.closed_at == START + last * timedelta(minutes=1):
                    return told + count - last * A_MINUTE
    finally:
        await source.close()
    return told


class _Counted:
    """The writer as a sink, and when it has been given all."""

    def __init__(self, writer: StoreWriter, count: int) -> None:
        self.has_all = asyncio.Event()
        self._writer = writer
        self._left = count

    def take(self, trades: Sequence[Trade]) -> bool:
        self._left -= len(trades)
        if self._left <= 0:
            self.has_all.set()
        return self._writer.take(trades)


async def _by_rows(pool: Pool, urls: dict[str, Any], count: int) -> int:
    """Trades on disk, when the last one is; bars are written beside them."""
    clock = ManualClock(START)
    trades, bars = (
        PostgresTradeStore(pool, exchange="bench"),
        PostgresBarStore(pool, exchange="bench"),
    )
    # A market never brings so many at once; none may be turned away here.
    writer = StoreWriter(trades, bars, clock=clock, settings=WriterSettings(most_trades=count))
    sink, source = _Counted(writer, count), _source(urls, clock)
    try:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(
                write_live(_feed(source, clock, sink), writer, lambda event: None)
            )
            await sink.has_all.wait()
            writing.cancel()
        await writer.drain()
    finally:
        await source.close()
    kept: int = await pool.fetchval("SELECT count(*) FROM trades")
    return kept


@asynccontextmanager
async def _database() -> AsyncGenerator[Pool, None]:
    with server_folder() as folder:
        async with EmbeddedPostgres(folder) as dsn, await connect(dsn) as pool:
            await migrate(pool)
            yield pool


Way: TypeAlias = Callable[[dict[str, Any], int], Awaitable[int]]
_WAYS: Mapping[str, Way] = {"ccxt": _by_ccxt, "source": _by_source, "feed": _by_feed}


async def _measure(way: Way, count: int) -> dict[str, float]:
    async with _server(count) as urls, asyncio.timeout(_PATIENCE_S):
        began, worked = time.perf_counter(), time.process_time()
        told = await way(urls, count)
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    return {
        "told": told,
        "per_s": count / seconds,
        "cpu_us": cpu / count * 1e6,
    }


async def _measure_rows(count: int) -> dict[str, float]:
    async with _database() as pool:
        return await _measure(partial(_by_rows, pool), count)


if __name__ == "__main__":
    way, count = sys.argv[1], int(sys.argv[2])
    work = _measure_rows(count) if way == "rows" else _measure(_WAYS[way], count)
    print(json.dumps(asyncio.run(work)))
