"""Trades from a socket: `python -m bench.probes.feed WAY COUNT`; `server` is the other end.

The server sends COUNT trades, one a frame as Kraken does, to whoever subscribes. WAY is `ccxt`
(watch_trades, its cache made as large as needed), `source` (values of our own) or `feed` (bars).
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import ccxt.pro  # type: ignore[import-untyped]
import orjson

from bench.process import BenchFailed
from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.collect.patience import Patience
from data.feeds.ccxt_source import config
from data.feeds.kraken import KrakenSource
from data.feeds.live import LiveFeed, LiveFeedSettings
from data.feeds.rate_budget import RateBudget
from data.instrument import Symbol
from tests.wire.kraken import KrakenServer
from tests.wire.kraken_market import stamp
from tests.wire.loopback import Peer

_BTC = Symbol("BTC/USD")
_START = datetime(2026, 3, 2, 12, tzinfo=UTC)
_A_MINUTE = 200  # trades: 3 a second, as on a busy day
_PATIENCE_S = 600.0


class _Flood(KrakenServer):
    """Tells all trades at once, as text that was made before."""

    def __init__(self, count: int) -> None:
        super().__init__(ManualClock(_START))
        self._frames = [_frame(number) for number in range(count)]

    async def obey(self, peer: Peer, command: dict[str, Any]) -> None:
        await super().obey(peer, command)
        if command["method"] == "subscribe":
            for frame in self._frames:
                await peer.socket.send_str(frame)


def _frame(number: int) -> str:
    at = _START + timedelta(minutes=1) / _A_MINUTE * number
    row = {
        "symbol": _BTC,
        "side": "sell" if number % 3 else "buy",
        "price": 85_600 + number % 997 / 10,
        "qty": (number % 9_973 + 1) / 10**6,
        "ord_type": "market",
        "trade_id": number + 1,
        "timestamp": stamp(at),
    }
    return orjson.dumps({"channel": "trade", "type": "update", "data": [row]}).decode()


async def _serve(count: int) -> None:
    async with _Flood(count) as server:
        print(json.dumps(server.urls), flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def _server(count: int) -> AsyncGenerator[dict[str, Any], None]:
    """The other end, in a process of its own; its addresses."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, "server", str(count), stdout=asyncio.subprocess.PIPE
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
            trades = await exchange.watch_trades(_BTC)
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
    source, told = _source(urls, ManualClock(_START)), 0
    try:
        async with aclosing(cast("AsyncGenerator[Any, None]", source.trades(_BTC))) as stream:
            async for batch in stream:
                told += len(batch)
                if batch[-1].trade_id == count:
                    return told
    finally:
        await source.close()
    return told


async def _by_feed(urls: dict[str, Any], count: int) -> int:
    """Trades in the bars, when the last whole minute of them was told."""
    clock = ManualClock(_START)
    source, told, last = _source(urls, clock), 0, (count - 1) // _A_MINUTE
    feed = LiveFeed(
        source,
        clock,
        symbols=[_BTC],
        timeframe=Timeframe.M1,
        newest={},
        settings=LiveFeedSettings(max_ahead=timedelta(days=365)),
        patience=Patience(clock=clock),
    )
    try:
        async with aclosing(feed.events()) as events:
            async for event in events:
                if not isinstance(event, Bar):
                    raise BenchFailed(f"the feed told {event}")
                told += event.trades or 0
                if event.closed_at == _START + last * timedelta(minutes=1):
                    return told + count - last * _A_MINUTE
    finally:
        await source.close()
    return told


_WAYS = {"ccxt": _by_ccxt, "source": _by_source, "feed": _by_feed}


async def _measure(way: str, count: int) -> dict[str, float]:
    async with _server(count) as urls, asyncio.timeout(_PATIENCE_S):
        began, worked = time.perf_counter(), time.process_time()
        told = await _WAYS[way](urls, count)
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    return {
        "told": told,
        "per_s": count / seconds,
        "cpu_us": cpu / count * 1e6,
    }


if __name__ == "__main__":
    way, count = sys.argv[1], int(sys.argv[2])
    if way == "server":
        asyncio.run(_serve(count))
    else:
        print(json.dumps(asyncio.run(_measure(way, count))))
