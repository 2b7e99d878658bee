"""How far collectors have come, kept in PostgreSQL."""

from datetime import datetime
from typing import Final

from data.instrument import Symbol
from data.postgres.pool import Pool, unavailable

_SAVE: Final = """
    INSERT INTO collector_progress (collector, exchange, symbol, cursor, updated_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (collector, exchange, symbol) DO UPDATE
    SET cursor = excluded.cursor, updated_at = excluded.updated_at
"""
_LOAD: Final = """
    SELECT cursor FROM collector_progress WHERE collector = $1 AND exchange = $2 AND symbol = $3
"""


class PostgresProgress:
    """The cursors of one collector on one exchange, in whatever words the venue pages by."""

    def __init__(self, pool: Pool, *, collector: str, exchange: str) -> None:
        self._pool = pool
        self._key = (collector, exchange)

    async def save(self, symbol: Symbol | None, cursor: str, *, now: datetime) -> None:
        """Go on from `cursor` next time; None is what concerns no symbol, such as a ledger.

        Raises:
            StoreUnavailable: the old cursor holds; safe to retry.
        """
        with unavailable():
            await self._pool.execute(_SAVE, *self._key, symbol or "", cursor, now)

    async def load(self, symbol: Symbol | None) -> str | None:
        """The cursor saved last; None before the first.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        with unavailable():
            cursor: str | None = await self._pool.fetchval(_LOAD, *self._key, symbol or "")
        return cursor
