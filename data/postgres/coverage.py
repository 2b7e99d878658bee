"""What the store holds, and what it lacks: `sextant data status`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from data.bar import Timeframe
from data.instrument import Symbol
from data.postgres.pool import Pool, unavailable

_LONG: Final = 600.0  # seconds: every row is looked at
_MINUTES: Final = "SELECT exchange, symbol, closed_at, 1::bigint AS minutes FROM bars"
_LONGER: Final = """
    SELECT exchange, symbol, closed_at, max(minutes) AS minutes
    FROM (
        SELECT exchange, symbol, closed_at, minutes FROM bars_{timeframe}
        UNION ALL
        SELECT exchange, symbol, closed_at, $1 FROM given_bars WHERE timeframe = '{timeframe}'
    ) AS each
    GROUP BY exchange, symbol, closed_at
"""
_BARS: Final = """
    SELECT exchange, symbol, min(closed_at) AS first, max(closed_at) AS last, count(*) AS rows,
           count(*) FILTER (WHERE minutes < $1::bigint) AS incomplete,
           coalesce(array_agg(previous + $2::interval ORDER BY closed_at)
                    FILTER (WHERE closed_at > previous + $2), '{{}}') AS gap_firsts,
           coalesce(array_agg(closed_at - $2::interval ORDER BY closed_at)
                    FILTER (WHERE closed_at > previous + $2), '{{}}') AS gap_lasts
    FROM (
        SELECT *, lag(closed_at) OVER (PARTITION BY exchange, symbol ORDER BY closed_at) AS previous
        FROM ({bars}) AS bars
        WHERE exchange = coalesce($3, exchange) AND symbol = coalesce($4, symbol)
    ) AS pair
    GROUP BY exchange, symbol
    ORDER BY exchange, symbol
"""
_TRADES: Final = """
    SELECT exchange, symbol, min(traded_at) AS first, max(traded_at) AS last, count(*) AS rows,
           coalesce(sum(trade_id - before - 1) FILTER (WHERE trade_id > before), 0)::bigint
               AS missing
    FROM (
        SELECT *, lag(trade_id) OVER (PARTITION BY exchange, symbol ORDER BY trade_id) AS before
        FROM trades
        WHERE exchange = coalesce($1, exchange) AND symbol = coalesce($2, symbol)
    ) AS pair
    GROUP BY exchange, symbol
    ORDER BY exchange, symbol
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Bars that are not there, named by the closes of the first and the last of them."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BarCoverage:
    """The bars of one symbol and size, from the close of the first to that of the last."""

    exchange: str
    symbol: Symbol
    timeframe: Timeframe
    first: datetime
    last: datetime
    rows: int
    incomplete: int  # of the rows: made of fewer minutes than they have, or not over yet
    gaps: tuple[Gap, ...]  # oldest first

    @property
    def missing(self) -> int:
        """Bars that should stand between the first and the last, and do not."""
        return (self.last - self.first) // self.timeframe.delta + 1 - self.rows

    def age(self, now: datetime) -> timedelta:
        """How long ago the last one closed."""
        return now - self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeCoverage:
    """The trades of one symbol, from the first to the last."""

    exchange: str
    symbol: Symbol
    first: datetime
    last: datetime
    rows: int
    missing: int  # ids between those that are kept; says something where ids are consecutive

    def age(self, now: datetime) -> timedelta:
        """How long ago the last one was made."""
        return now - self.last


async def bar_coverage(
    pool: Pool, *, exchange: str | None = None, symbol: Symbol | None = None
) -> list[BarCoverage]:
    """Coverage by size, exchange and symbol, of all or of those that are named.

    Raises:
        StoreUnavailable: the store cannot be reached now.
    """
    found: list[BarCoverage] = []
    for timeframe in Timeframe:
        source = _MINUTES if timeframe is Timeframe.M1 else _LONGER.format(timeframe=timeframe)
        minutes = timeframe.delta // Timeframe.M1.delta
        with unavailable():
            rows = await pool.fetch(
                _BARS.format(bars=source), minutes, timeframe.delta, exchange, symbol, timeout=_LONG
            )
        found += [_bars(timeframe, row) for row in rows]
    return found


async def trade_coverage(
    pool: Pool, *, exchange: str | None = None, symbol: Symbol | None = None
) -> list[TradeCoverage]:
    """Coverage by exchange and symbol, of all or of those that are named.

    Raises:
        StoreUnavailable: the store cannot be reached now.
    """
    with unavailable():
        rows = await pool.fetch(_TRADES, exchange, symbol, timeout=_LONG)
    return [
        TradeCoverage(
            exchange=row["exchange"],
            symbol=Symbol(row["symbol"]),
            first=row["first"],
            last=row["last"],
            rows=row["rows"],
            missing=row["missing"],
        )
        for row in rows
    ]


def _bars(timeframe: Timeframe, row: asyncpg.Record) -> BarCoverage:
    gaps = zip(row["gap_firsts"], row["gap_lasts"], strict=True)
    return BarCoverage(
        exchange=row["exchange"],
        symbol=Symbol(row["symbol"]),
        timeframe=timeframe,
        first=row["first"],
        last=row["last"],
        rows=row["rows"],
        incomplete=row["incomplete"],
        gaps=tuple(Gap(first=first, last=last) for first, last in gaps),
    )
