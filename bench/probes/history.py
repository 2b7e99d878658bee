"""History into a new database: `python -m bench.probes.history ROWS`.

Files as Kraken offers them for download, and a venue that answers at once from memory.
"""

import asyncio
import json
import sys
import time
from bisect import bisect_left
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import cast

from bench.probes.store import walk
from bench.process import BenchFailed
from bench.scratch import server_folder
from data.bar import Bar, Timeframe
from data.clock import ManualClock, SystemClock
from data.collect.gaps import Means, fill_gaps
from data.feeds.kraken import TRAITS
from data.feeds.source import Cursor, MarketSource
from data.instrument import Notional, Quantity, Side, Symbol
from data.kraken_db.archives import series_of
from data.kraken_db.csv_importer import import_series
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.postgres.progress import PostgresProgress
from data.postgres.trades import PostgresTradeStore
from data.trade import Trade

_BTC = Symbol("BTC/USD")
_MINUTE = timedelta(minutes=1)
_A_MINUTE = 10  # trades
_GIVEN = 720  # bars in an answer


class Memory:
    """What the gap filler asks of a venue, over a list of trades and the bars made of them."""

    def __init__(self, trades: Sequence[Trade], bars: Sequence[Bar]) -> None:
        self.traits = replace(TRAITS, bars_kept=len(bars) + _GIVEN)
        self._trades = trades
        self._bars = bars

    async def past_trades(self, symbol: Symbol, cursor: Cursor) -> tuple[Sequence[Trade], Cursor]:
        start = bisect_left(self._trades, cursor.since, key=attrgetter("traded_at"))
        page = self._trades[start : start + self.traits.page]
        page = [trade for trade in page if trade.trade_id >= (cursor.trade_id or 0)]
        if not page:
            return (), cursor
        return page, Cursor(since=page[-1].traded_at, trade_id=page[-1].trade_id + 1)

    async def past_bars(
        self, symbol: Symbol, timeframe: Timeframe, since: datetime
    ) -> Sequence[Bar]:
        start = bisect_left(self._bars, since, key=attrgetter("opened_at"))
        return self._bars[start : start + _GIVEN]


def traded(bars: Iterable[Bar]) -> Iterator[Trade]:
    """Ten trades a bar, each of its volume and at its close."""
    for minute, bar in enumerate(bars):
        for place in range(_A_MINUTE):
            yield Trade(
                symbol=bar.symbol,
                trade_id=minute * _A_MINUTE + place + 1,
                traded_at=bar.opened_at + _MINUTE / _A_MINUTE * place,
                side=Side.SELL if place % 2 else Side.BUY,
                price=bar.close,
                quantity=bar.volume,
            )


def as_they_were_traded(bars: Iterable[Bar]) -> Iterator[Bar]:
    """The bars that come of those trades."""
    for bar in bars:
        volume = Quantity(bar.volume * _A_MINUTE)
        yield replace(
            bar,
            open=bar.close,
            high=bar.close,
            low=bar.close,
            volume=volume,
            turnover=Notional(volume * bar.close),
            trades=_A_MINUTE,
        )


def bar_line(bar: Bar) -> str:
    opened = int(bar.opened_at.timestamp())
    return f"{opened},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume},{bar.trades}\n"


def trade_line(trade: Trade) -> str:
    return f"{Decimal(trade.traded_at.timestamp()):.4f},{trade.price},{trade.quantity}\n"


async def timed(work: Awaitable[int], rows: int, wanted: int) -> dict[str, float]:
    """So many rows a second of the input, if so many bars came of them.

    Raises:
        BenchFailed: other bars came of them.
    """
    began = time.perf_counter()
    made = await work
    spent = time.perf_counter() - began
    if made != wanted:
        raise BenchFailed(f"history: {made:,} bars, not {wanted:,}")
    return {"rows": rows, "per_s": rows / spent}


async def imported(pool: Pool, path: Path, exchange: str) -> int:
    done = await import_series(
        series_of(path),
        PostgresBarStore(pool, exchange=exchange),
        PostgresProgress(pool, collector=path.name, exchange=exchange),
        clock=SystemClock(),
    )
    return done.bars


async def filled(pool: Pool, venue: Memory, bars: Sequence[Bar], means: Means) -> int:
    until = bars[-1].closed_at
    report = await fill_gaps(
        cast("MarketSource", venue),
        PostgresTradeStore(pool, exchange=f"filled with {means}"),
        PostgresBarStore(pool, exchange=f"filled with {means}"),
        _BTC,
        since=bars[0].opened_at,
        until=until,
        clock=ManualClock(until + _MINUTE),
        means=means,
    )
    return report.bars_from_trades + report.bars_from_venue


async def measured(rows: int) -> dict[str, object]:
    bars = list(walk(_BTC, 0, rows))
    trades = list(traded(bars[: rows // _A_MINUTE]))
    few = list(as_they_were_traded(bars[: rows // _A_MINUTE]))
    with server_folder() as folder:
        files = folder / "XBTUSD_1.csv", folder / "XBTUSD.csv"
        files[0].write_text("".join(map(bar_line, bars)), encoding="utf-8")
        files[1].write_text("".join(map(trade_line, trades)), encoding="utf-8")
        async with EmbeddedPostgres(folder / "postgres") as dsn, await connect(dsn) as pool:
            await migrate(pool)
            venue = Memory(trades, few)
            return {
                "bars": await timed(imported(pool, files[0], "bars"), rows, rows),
                "trades": await timed(imported(pool, files[1], "trades"), len(trades), len(few)),
                "filled": await timed(
                    filled(pool, venue, few, Means.TRADES), len(trades), len(few)
                ),
                "given": await timed(filled(pool, Memory((), bars), bars, Means.BARS), rows, rows),
            }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(int(sys.argv[1])))))
