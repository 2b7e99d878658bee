"""Trades kept in PostgreSQL."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from data.instrument import Price, Quantity, Side, Symbol
from data.postgres.bulk import batches, copy_incoming
from data.postgres.pool import Pool, unavailable
from data.trade import Trade

_PAGE: Final = 5_000  # trades that `between` holds at once
_LONG: Final = 600.0  # seconds; days of a busy market are millions of trades
_REPLACE: Final = """
    ON CONFLICT (exchange, symbol, traded_at, trade_id) DO UPDATE
    SET side = excluded.side, price = excluded.price, quantity = excluded.quantity,
        buyer = excluded.buyer, seller = excluded.seller
    WHERE (kept.side, kept.price, kept.quantity, kept.buyer, kept.seller)
        IS DISTINCT FROM
        (excluded.side, excluded.price, excluded.quantity, excluded.buyer, excluded.seller)
"""
_GIVEN: Final = """
    INSERT INTO trades AS kept
    SELECT $1, * FROM unnest($2::text[], $3::timestamptz[], $4::bigint[], $5::text[],
                             $6::numeric[], $7::numeric[], $8::text[], $9::text[])
"""
_COPIED: Final = "INSERT INTO trades AS kept SELECT * FROM incoming_trades"
_PUT: Final = f"{_GIVEN} {_REPLACE}"
_MERGE: Final = f"{_COPIED} {_REPLACE}"
_FIRST_PAGE: Final = """
    SELECT * FROM trades
    WHERE exchange = $1 AND symbol = $2 AND traded_at >= $3 AND traded_at < $4
    ORDER BY traded_at, trade_id
    LIMIT $5
"""
_NEXT_PAGE: Final = """
    SELECT * FROM trades
    WHERE exchange = $1 AND symbol = $2 AND traded_at >= $3 AND traded_at < $4
      AND (traded_at, trade_id) > ($3, $6)
    ORDER BY traded_at, trade_id
    LIMIT $5
"""
_NEWEST: Final = """
    SELECT * FROM trades
    WHERE exchange = $1 AND symbol = $2
    ORDER BY traded_at DESC, trade_id DESC
    LIMIT 1
"""
_VOLUMES: Final = """
    SELECT date_trunc('minute', traded_at, 'UTC') AS minute, sum(quantity) AS volume
    FROM trades
    WHERE exchange = $1 AND symbol = $2 AND traded_at >= $3 AND traded_at < $4
    GROUP BY 1
"""
_MISSING: Final = """
    SELECT before + 1 AS first, trade_id - 1 AS last
    FROM (
        SELECT trade_id, lag(trade_id) OVER (ORDER BY trade_id) AS before FROM trades
        WHERE exchange = $1 AND symbol = $2 AND traded_at >= $3 AND traded_at < $4
    ) AS pair
    WHERE trade_id - before > 1
    ORDER BY trade_id
"""


class PostgresTradeStore:
    """The trades of one exchange, numbers exact to the last decimal."""

    def __init__(self, pool: Pool, *, exchange: str) -> None:
        self._pool = pool
        self._exchange = exchange

    async def put(self, trades: Sequence[Trade]) -> None:
        """Keep `trades` in one statement; of two with the same key the later one counts.

        Raises:
            StoreUnavailable: nothing was kept, or, where the connection broke during the commit,
                all were; to put them again is right either way.
        """
        if not trades:
            return
        columns = zip(*(_record(self._exchange, trade) for trade in _once(trades)), strict=True)
        _, *given = map(list, columns)
        with unavailable():
            await self._pool.execute(_PUT, self._exchange, *given)

    async def put_many(self, trades: Iterable[Trade]) -> int:
        """Keep any number of `trades`, a batch a transaction; return it.

        Raises:
            StoreUnavailable: the batches before are kept; to put all again is right.
        """
        count = 0
        for batch in batches(trades):
            records = [_record(self._exchange, trade) for trade in _once(batch)]
            with unavailable():
                async with self._pool.acquire() as connection, connection.transaction():
                    await copy_incoming(connection, "trades", records)
                    await connection.execute(_MERGE)
            count += len(batch)
        return count

    async def between(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> AsyncIterator[Trade]:
        """The trades in [since, until) by time, then id; a page in memory at once.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        key = (self._exchange, symbol)
        with unavailable():
            rows = await self._pool.fetch(_FIRST_PAGE, *key, since, until, _PAGE)
        while rows:
            for row in rows:
                yield _trade(symbol, row)
            last = rows[-1]
            with unavailable():
                rows = await self._pool.fetch(
                    _NEXT_PAGE, *key, last["traded_at"], until, _PAGE, last["trade_id"]
                )

    async def newest(self, symbol: Symbol) -> Trade | None:
        """The last trade by time, then id.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        with unavailable():
            row = await self._pool.fetchrow(_NEWEST, self._exchange, symbol)
        return None if row is None else _trade(symbol, row)

    async def volumes(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> dict[datetime, Quantity]:
        """What was traded in [since, until) by the minutes' opens.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        with unavailable():
            rows = await self._pool.fetch(
                _VOLUMES, self._exchange, symbol, since, until, timeout=_LONG
            )
        return {row["minute"]: Quantity(row["volume"]) for row in rows}

    async def missing_ids(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> list[tuple[int, int]]:
        """Ranges of ids that stand between trades kept in [since, until), and are not kept.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        with unavailable():
            rows = await self._pool.fetch(
                _MISSING, self._exchange, symbol, since, until, timeout=_LONG
            )
        return [(row["first"], row["last"]) for row in rows]


def _once(trades: Sequence[Trade]) -> Iterable[Trade]:
    """Of trades with the same key the last, in order of the key: two writers never deadlock."""
    keyed = {(trade.symbol, trade.traded_at, trade.trade_id): trade for trade in trades}
    return [keyed[key] for key in sorted(keyed)]


def _record(exchange: str, trade: Trade) -> tuple[object, ...]:
    """The columns of `trades` in their order."""
    return (
        exchange,
        trade.symbol,
        trade.traded_at,
        trade.trade_id,
        trade.side.value,
        trade.price,
        trade.quantity,
        trade.buyer,
        trade.seller,
    )


def _trade(symbol: Symbol, row: asyncpg.Record) -> Trade:
    return Trade(
        symbol=symbol,
        trade_id=row["trade_id"],
        traded_at=row["traded_at"],
        side=Side(row["side"]),
        price=Price(row["price"]),
        quantity=Quantity(row["quantity"]),
        buyer=row["buyer"],
        seller=row["seller"],
    )
