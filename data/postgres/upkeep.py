"""What a store needs now and then: rollups made good, and what is too old dropped."""

from datetime import datetime, timedelta
from typing import Annotated, Final

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from data.bar import Timeframe
from data.postgres.bulk import IMPORTS
from data.postgres.migrate import Flavour, flavour_of
from data.postgres.pool import Connection, Pool, unavailable

_BATCH: Final = 10_000  # rows a DELETE; a writer waits for no more
_LONG: Final = 3600.0  # seconds
_ROLLUPS: Final = tuple(f"live_bars_{t}" for t in Timeframe if t is not Timeframe.M1)
_Span = Annotated[timedelta, Field(gt=timedelta(0))]

_SYMBOLS: Final = """
    SELECT exchange, symbol, min(closed_at) AS first FROM bars
    WHERE closed_at <= $1
    GROUP BY exchange, symbol
    ORDER BY exchange, symbol
"""
_FOLD: Final = "SELECT fold_bars($1, $2, $3, $4)"
_LOCK: Final = "SELECT lock_bars($1, $2)"
_DROP_WEEK: Final = """
    DELETE FROM bars WHERE exchange = $1 AND symbol = $2 AND closed_at <= $3
"""
_FIRST: Final = "SELECT min(closed_at) FROM bars WHERE exchange = $1 AND symbol = $2"
_OLD_TRADES: Final = """
    DELETE FROM trades WHERE (exchange, symbol, traded_at, trade_id) IN (
        SELECT exchange, symbol, traded_at, trade_id FROM trades WHERE traded_at < $1 LIMIT $2)
"""
_OLD_BOOKS: Final = """
    DELETE FROM books WHERE (exchange, symbol, at) IN (
        SELECT exchange, symbol, at FROM books WHERE at < $1 LIMIT $2)
"""
_FIRST_UNSEALED: Final = "SELECT min(closed_at) FROM bars WHERE closed_at > sealed_until()"
_STOP_WRITERS: Final = "LOCK TABLE bars IN SHARE ROW EXCLUSIVE MODE"
_FOLD_WEEK: Final = """
    SELECT fold_bars(exchange, symbol, min(closed_at), max(closed_at)) FROM bars
    WHERE closed_at > sealed_until() AND closed_at <= $1
    GROUP BY exchange, symbol
"""
_SEAL: Final = "UPDATE bars_sealed SET until = $1 WHERE until < $1"
_DROP_SEALED: Final = """
    SELECT drop_chunks($1::text::regclass, older_than => sealed_until())
    WHERE isfinite(sealed_until())
"""
_MATERIALIZE: Final = "CALL materialize_rollups($1)"
_OVER: Final = "SELECT max(closed_at) - interval '1 hour' FROM bars"  # some symbols lag
_POLICY: Final = """
    SELECT (config->>'drop_after')::interval FROM timescaledb_information.jobs
    WHERE proc_name = 'policy_retention' AND hypertable_name = $1
      AND hypertable_schema = current_schema()
"""
_REMOVE_POLICY: Final = "SELECT remove_retention_policy($1::text::regclass, if_exists => true)"
_ADD_POLICY: Final = "SELECT add_retention_policy($1::text::regclass, drop_after => $2::interval)"


class Retention(BaseModel):
    """How long raw data is kept; what is made of one-minute bars is kept for ever.

    Source of the defaults: PARAMETERS.md 1.9.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: _Span = timedelta(days=365)
    """One-minute bars; whole weeks of them go at a time, once longer bars hold them."""

    trades: _Span = timedelta(days=90)

    books: _Span = timedelta(days=30)


async def upkeep(pool: Pool, retention: Retention, *, now: datetime) -> datetime | None:
    """Bring the rollups up to date, and drop what is older than `retention` allows.

    For the daemon and the collectors, at start and daily; it may be stopped anywhere, and run by
    many. Returns the time up to which one-minute bars are dropped, always whole weeks; None where
    an import is under way, which may be putting parts of those weeks: they wait for the next time.

    Raises:
        StoreUnavailable: it is done in part; the next one does the rest.
    """
    with unavailable():
        flavour = await flavour_of(pool)
        await _keep_trades_and_books(pool, flavour, retention, now)
        async with pool.acquire() as guard:  # gives the lock back with itself
            if not await guard.fetchval("SELECT pg_try_advisory_lock($1)", IMPORTS):
                return None
            cut = Timeframe.W1.close_after(now - retention.minutes) - Timeframe.W1.delta
            if flavour is Flavour.TIMESCALE:
                await _seal_minutes(guard, cut)
            else:
                await _drop_minutes(guard, cut)
        if flavour is Flavour.TIMESCALE and (over := await pool.fetchval(_OVER)) is not None:
            await pool.execute(_MATERIALIZE, over, timeout=_LONG)
    return cut


async def _keep_trades_and_books(
    pool: Pool, flavour: Flavour, retention: Retention, now: datetime
) -> None:
    if flavour is Flavour.TIMESCALE:
        await _set_policy(pool, "trades", retention.trades)
        await _set_policy(pool, "books", retention.books)
    else:
        await _drop_old(pool, _OLD_TRADES, now - retention.trades)
        await _drop_old(pool, _OLD_BOOKS, now - retention.books)


async def _drop_minutes(session: Connection, cut: datetime) -> None:
    """Week by week and symbol by symbol, each folded once more in the transaction that drops it."""
    for row in await session.fetch(_SYMBOLS, cut, timeout=_LONG):
        key, first = (row["exchange"], row["symbol"]), row["first"]
        while first is not None and first <= cut:
            week = Timeframe.W1.close_after(first - Timeframe.M1.delta)
            async with session.transaction():
                await session.execute(_LOCK, *key)
                await session.execute(_FOLD, *key, first, week)
                await session.execute(_DROP_WEEK, *key, week)
                first = await session.fetchval(_FIRST, *key)


async def _drop_old(pool: Pool, statement: str, before: datetime) -> None:
    while await pool.execute(statement, before, _BATCH) != "DELETE 0":
        pass


async def _seal_minutes(session: Connection, cut: datetime) -> None:
    """Fold the weeks up to `cut` one by one, and drop the chunks of what is folded."""
    while (first := await session.fetchval(_FIRST_UNSEALED)) is not None and first <= cut:
        week = Timeframe.W1.close_after(first - Timeframe.M1.delta)
        async with session.transaction():
            await session.execute(_STOP_WRITERS)
            await session.execute(_FOLD_WEEK, week, timeout=_LONG)
            await session.execute(_SEAL, week)
    for relation in ("bars", *_ROLLUPS):
        await session.execute(_DROP_SEALED, relation, timeout=_LONG)


async def _set_policy(pool: Pool, table: str, keep: timedelta) -> None:
    """Have the server drop the chunks of `table` that are older than `keep`, by its own clock."""
    async with pool.acquire() as connection, connection.transaction():
        try:
            if await connection.fetchval(_POLICY, table) != keep:
                await connection.execute(_REMOVE_POLICY, table)
                await connection.execute(_ADD_POLICY, table, keep)
        except asyncpg.DuplicateObjectError:  # another daemon did the same
            pass
