"""Bars kept in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from data.bar import Bar, Timeframe
from data.instrument import Price, Quantity, Symbol
from data.postgres.pool import Pool, unavailable

_PUT = """
    INSERT INTO bars (exchange, symbol, timeframe, closed_at, open, high, low, close, volume)
    SELECT DISTINCT ON (symbol, timeframe, closed_at)
           $1, symbol, timeframe, closed_at, open, high, low, close, volume
    FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::numeric[],
                $7::numeric[], $8::numeric[], $9::numeric[])
         WITH ORDINALITY
         AS given (symbol, timeframe, closed_at, open, high, low, close, volume, place)
    ORDER BY symbol, timeframe, closed_at, place DESC
    ON CONFLICT (exchange, symbol, timeframe, closed_at) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume
"""
_LAST = """
    SELECT closed_at, open, high, low, close, volume FROM bars
    WHERE exchange = $1 AND symbol = $2 AND timeframe = $3
      AND closed_at <= coalesce($4::timestamptz, 'infinity')
    ORDER BY closed_at DESC
    LIMIT $5
"""


class PostgresBarStore:
    """The bars of one exchange in the table `bars`, numbers exact to the last decimal."""

    def __init__(self, pool: Pool, *, exchange: str) -> None:
        self._pool = pool
        self._exchange = exchange

    async def put(self, bars: Sequence[Bar]) -> None:
        """Keep `bars` in one statement; of two with the same key the later one counts.

        Raises:
            StoreUnavailable: nothing was kept, or, where the connection broke during the commit,
                all were; to put them again is right either way.
        """
        with unavailable():
            await self._pool.execute(
                _PUT,
                self._exchange,
                [bar.symbol for bar in bars],
                [bar.timeframe.value for bar in bars],
                [bar.closed_at for bar in bars],
                [bar.open for bar in bars],
                [bar.high for bar in bars],
                [bar.low for bar in bars],
                [bar.close for bar in bars],
                [bar.volume for bar in bars],
            )

    async def last(
        self, symbol: Symbol, timeframe: Timeframe, count: int, *, until: datetime | None = None
    ) -> list[Bar]:
        """The newest `count` bars closed at or before `until`, oldest first.

        Raises:
            StoreUnavailable: the store cannot be reached now.
            MalformedBar: somebody else's hand has put in what no bar can be.
        """
        with unavailable():
            rows = await self._pool.fetch(
                _LAST, self._exchange, symbol, timeframe.value, until, count
            )
        return [_bar(symbol, timeframe, row) for row in reversed(rows)]


def _bar(symbol: Symbol, timeframe: Timeframe, row: asyncpg.Record) -> Bar:
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=row["closed_at"],
        open=Price(row["open"]),
        high=Price(row["high"]),
        low=Price(row["low"]),
        close=Price(row["close"]),
        volume=Quantity(row["volume"]),
    )
