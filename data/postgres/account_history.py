"""Own trades and ledger entries kept in PostgreSQL."""

from collections.abc import Sequence
from typing import Final

from data.own_trade import LedgerEntry, OwnTrade
from data.postgres.pool import Pool, unavailable

_PUT_TRADE: Final = """
    INSERT INTO private_trades
           (exchange, trade_id, order_id, pair, traded_at, side, order_type, price, quantity, cost,
            fee, margin, misc)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (exchange, trade_id) DO UPDATE
    SET order_id = excluded.order_id, pair = excluded.pair, traded_at = excluded.traded_at,
        side = excluded.side, order_type = excluded.order_type, price = excluded.price,
        quantity = excluded.quantity, cost = excluded.cost, fee = excluded.fee,
        margin = excluded.margin, misc = excluded.misc
"""
_PUT_ENTRY: Final = """
    INSERT INTO ledger_entries
           (exchange, ledger_id, refid, at, type, subtype, asset, amount, fee, balance)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (exchange, ledger_id) DO UPDATE
    SET refid = excluded.refid, at = excluded.at, type = excluded.type,
        subtype = excluded.subtype, asset = excluded.asset, amount = excluded.amount,
        fee = excluded.fee, balance = excluded.balance
"""


class PostgresAccountHistory:
    """The own trades and ledger entries on one exchange, numbers exact to the last decimal."""

    def __init__(self, pool: Pool, *, exchange: str) -> None:
        self._pool = pool
        self._exchange = exchange

    async def put_trades(self, trades: Sequence[OwnTrade]) -> None:
        """Keep `trades`, all or none; one with the same id is replaced.

        Raises:
            StoreUnavailable: nothing was kept, or, where the connection broke during the commit,
                all were; to put them again is right either way.
        """
        with unavailable():
            await self._pool.executemany(
                _PUT_TRADE, [(self._exchange, *_trade_columns(trade)) for trade in trades]
            )

    async def put_entries(self, entries: Sequence[LedgerEntry]) -> None:
        """Keep `entries`, in the same way."""
        with unavailable():
            await self._pool.executemany(
                _PUT_ENTRY, [(self._exchange, *_entry_columns(entry)) for entry in entries]
            )


def _trade_columns(trade: OwnTrade) -> tuple[object, ...]:
    return (
        trade.trade_id,
        trade.order_id,
        trade.pair,
        trade.traded_at,
        trade.side.value,
        trade.order_type,
        trade.price,
        trade.quantity,
        trade.cost,
        trade.fee,
        trade.margin,
        trade.misc,
    )


def _entry_columns(entry: LedgerEntry) -> tuple[object, ...]:
    return (
        entry.ledger_id,
        entry.refid,
        entry.at,
        entry.type,
        entry.subtype,
        entry.asset,
        entry.amount,
        entry.fee,
        entry.balance,
    )
