"""Order book snapshots kept in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from data.instrument import Price, Quantity, Symbol
from data.order_book import Level, OrderBook
from data.postgres.pool import Pool, unavailable

_PUT: Final = """
    INSERT INTO books
           (exchange, symbol, at, bid_prices, bid_quantities, ask_prices, ask_quantities)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (exchange, symbol, at) DO UPDATE
    SET bid_prices = excluded.bid_prices, bid_quantities = excluded.bid_quantities,
        ask_prices = excluded.ask_prices, ask_quantities = excluded.ask_quantities
"""
_LAST: Final = """
    SELECT at, bid_prices, bid_quantities, ask_prices, ask_quantities FROM books
    WHERE exchange = $1 AND symbol = $2 AND at <= coalesce($3::timestamptz, 'infinity')
    ORDER BY at DESC
    LIMIT $4
"""


class PostgresBookStore:
    """The order book snapshots of one exchange, numbers exact to the last decimal."""

    def __init__(self, pool: Pool, *, exchange: str) -> None:
        self._pool = pool
        self._exchange = exchange

    async def put(self, books: Sequence[OrderBook]) -> None:
        """Keep `books`, all or none; one of the same symbol and time is replaced.

        Raises:
            StoreUnavailable: nothing was kept, or, where the connection broke during the commit,
                all were; to put them again is right either way.
        """
        with unavailable():
            await self._pool.executemany(_PUT, [_record(self._exchange, book) for book in books])

    async def last(
        self, symbol: Symbol, count: int, *, until: datetime | None = None
    ) -> list[OrderBook]:
        """The newest `count` snapshots at or before `until`, oldest first.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        with unavailable():
            rows = await self._pool.fetch(_LAST, self._exchange, symbol, until, count)
        return [_book(symbol, row) for row in reversed(rows)]


def _record(exchange: str, book: OrderBook) -> tuple[object, ...]:
    return (
        exchange,
        book.symbol,
        book.at,
        [level.price for level in book.bids],
        [level.quantity for level in book.bids],
        [level.price for level in book.asks],
        [level.quantity for level in book.asks],
    )


def _book(symbol: Symbol, row: asyncpg.Record) -> OrderBook:
    return OrderBook(
        symbol=symbol,
        at=row["at"],
        bids=_levels(row["bid_prices"], row["bid_quantities"]),
        asks=_levels(row["ask_prices"], row["ask_quantities"]),
    )


def _levels(prices: Sequence[Price], quantities: Sequence[Quantity]) -> tuple[Level, ...]:
    return tuple(map(Level, prices, quantities))
