"""Funding rates kept in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from data.funding import FundingRate
from data.instrument import Price, Symbol
from data.postgres.pool import Pool, unavailable

_PUT: Final = """
    INSERT INTO funding (exchange, symbol, at, seen_at, rate, interval, mark_price)
    SELECT DISTINCT ON (symbol, at) $1, symbol, at, seen_at, rate, span, mark_price
    FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::numeric[], $6::interval[],
                $7::numeric[])
         WITH ORDINALITY AS given (symbol, at, seen_at, rate, span, mark_price, place)
    ORDER BY symbol, at, place DESC
    ON CONFLICT (exchange, symbol, at) DO UPDATE
    SET seen_at = excluded.seen_at, rate = excluded.rate, interval = excluded.interval,
        mark_price = excluded.mark_price
"""
_LAST: Final = """
    SELECT at, seen_at, rate, interval, mark_price FROM funding
    WHERE exchange = $1 AND symbol = $2 AND at <= coalesce($3::timestamptz, 'infinity')
    ORDER BY at DESC
    LIMIT $4
"""


class PostgresFundingStore:
    """The funding rates of one exchange, numbers exact to the last decimal."""

    def __init__(self, pool: Pool, *, exchange: str) -> None:
        self._pool = pool
        self._exchange = exchange

    async def put(self, rates: Sequence[FundingRate]) -> None:
        """Keep `rates` in one statement; of two of the same symbol and time the later one counts.

        Raises:
            StoreUnavailable: nothing was kept, or, where the connection broke during the commit,
                all were; to put them again is right either way.
        """
        with unavailable():
            await self._pool.execute(
                _PUT,
                self._exchange,
                [rate.symbol for rate in rates],
                [rate.at for rate in rates],
                [rate.seen_at for rate in rates],
                [rate.rate for rate in rates],
                [rate.interval for rate in rates],
                [rate.mark_price for rate in rates],
            )

    async def last(
        self, symbol: Symbol, count: int, *, until: datetime | None = None
    ) -> list[FundingRate]:
        """The newest `count` rates paid at or before `until`, oldest first.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        with unavailable():
            rows = await self._pool.fetch(_LAST, self._exchange, symbol, until, count)
        return [_rate(symbol, row) for row in reversed(rows)]


def _rate(symbol: Symbol, row: asyncpg.Record) -> FundingRate:
    return FundingRate(
        symbol=symbol,
        at=row["at"],
        seen_at=row["seen_at"],
        rate=row["rate"],
        interval=row["interval"],
        mark_price=None if row["mark_price"] is None else Price(row["mark_price"]),
    )
