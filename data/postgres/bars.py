"""Bars kept in PostgreSQL: one-minute bars, and what is made of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from data.bar import Bar, Timeframe
from data.instrument import Notional, Price, Quantity, Symbol
from data.postgres.bulk import batches, copy_incoming, importing
from data.postgres.pool import Connection, Pool, unavailable

_PUT: Final = "SELECT put_bars($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_REFRESH: Final = "CALL refresh_rollups($1, $2)"
_EVER: Final = timedelta(days=365 * 300)
_LONG: Final = 3600.0  # seconds that a refresh after a bulk import may take
_LOCK: Final = "SELECT lock_bars($1, $2)"
_MERGE: Final = """
    INSERT INTO bars AS kept SELECT * FROM incoming_bars ORDER BY symbol, closed_at
    ON CONFLICT (exchange, symbol, closed_at) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, turnover = excluded.turnover, trades = excluded.trades
    WHERE (kept.open, kept.high, kept.low, kept.close, kept.volume, kept.turnover, kept.trades)
        IS DISTINCT FROM
        (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
         excluded.turnover, excluded.trades)
"""
_CHANGED: Final = """
    SELECT coalesce(bool_or(late), false)
    FROM (
        SELECT bars_changed(exchange, symbol, min(closed_at), max(closed_at)) AS late
        FROM incoming_bars GROUP BY exchange, symbol
    ) AS changed
"""
_LAST_MINUTES: Final = """
    SELECT closed_at, open, high, low, close, volume, turnover, trades FROM bars
    WHERE exchange = $1 AND symbol = $2 AND closed_at <= coalesce($3::timestamptz, 'infinity')
    ORDER BY closed_at DESC
    LIMIT $4
"""
# As `Resampler` does, it tells a bucket that is over, or that a later bar has closed, unless it is
# the first of all and lacks its beginning. `first_close` is what TimescaleDB finds chunks by.
_LAST_LONGER: Final = """
    WITH ends AS MATERIALIZED (
        SELECT least(bucket_close($6, (SELECT closed_at FROM bars
                                       WHERE exchange = $1 AND symbol = $2
                                       ORDER BY closed_at LIMIT 1)),
                     (SELECT closed_at FROM kept_bars
                      WHERE exchange = $1 AND symbol = $2 AND timeframe = $3
                      ORDER BY closed_at LIMIT 1)) AS oldest,
               greatest(bucket_close($6, (SELECT closed_at FROM bars
                                          WHERE exchange = $1 AND symbol = $2
                                          ORDER BY closed_at DESC LIMIT 1)),
                        (SELECT closed_at FROM kept_bars
                         WHERE exchange = $1 AND symbol = $2 AND timeframe = $3
                         ORDER BY closed_at DESC LIMIT 1)) AS newest
    ), span AS MATERIALIZED (
        SELECT least(newest, $4) - $7::interval AS since, coalesce($4, 'infinity') AS until
        FROM ends
    )
    SELECT DISTINCT ON (closed_at) closed_at, open, high, low, close, volume, turnover, trades
    FROM (
        (SELECT 1 AS place, closed_at, open, high, low, close, volume, turnover, trades
         FROM given_bars
         WHERE exchange = $1 AND symbol = $2 AND timeframe = $3
           AND closed_at <= (SELECT until FROM span)
         ORDER BY closed_at DESC
         LIMIT $5)
        UNION ALL
        (SELECT 2, closed_at, open, high, low, close, volume, turnover, trades
         FROM {rollup}
         WHERE exchange = $1 AND symbol = $2
           AND closed_at <= (SELECT until FROM span) AND first_close <= (SELECT until FROM span)
           AND closed_at > (SELECT since FROM span) AND first_close > (SELECT since FROM span)
           AND (last_at = closed_at OR closed_at < (SELECT newest FROM ends))
           AND (first_at = first_close OR closed_at > (SELECT oldest FROM ends))
         ORDER BY closed_at DESC
         LIMIT $5)
    ) AS found
    ORDER BY closed_at DESC, place
    LIMIT $5
"""
_LAST: Final[Mapping[Timeframe, str]] = {
    timeframe: _LAST_LONGER.format(rollup=f"bars_{timeframe}")
    for timeframe in Timeframe
    if timeframe is not Timeframe.M1
}


class PostgresBarStore:
    """The bars of one exchange, numbers exact to the last decimal.

    Longer bars are made of the one-minute bars, as `Resampler` makes them; one that was put by
    itself counts before the one that is made.
    """

    def __init__(self, pool: Pool, *, exchange: str) -> None:
        self._pool = pool
        self._exchange = exchange

    async def put(self, bars: Sequence[Bar]) -> None:
        """Keep `bars` in one statement; of two with the same key the later one counts.

        Raises:
            StoreUnavailable: nothing was kept, or, where the connection broke during the commit,
                all were; to put them again is right either way.
        """
        if not bars:
            return
        with unavailable():
            if await _put(self._pool, self._exchange, bars):
                await _refresh(self._pool, bars)

    async def put_many(self, bars: Iterable[Bar]) -> int:
        """Keep any number of `bars`, best in order by symbol, a batch a transaction; return it.

        Raises:
            StoreUnavailable: the batches before are kept; to put all again is right.
        """
        count = 0
        late: list[Bar] = []  # the first and the last of what has to be refreshed
        with unavailable():
            async with importing(self._pool) as connection:
                for batch in batches(bars):
                    async with connection.transaction():
                        is_late = await _copy(connection, self._exchange, batch)
                    count += len(batch)
                    if is_late:
                        late = _ends([*late, *batch])
                if late:
                    await _refresh(connection, late)
        return count

    async def last(
        self, symbol: Symbol, timeframe: Timeframe, count: int, *, until: datetime | None = None
    ) -> list[Bar]:
        """The newest `count` bars closed at or before `until`, oldest first.

        Raises:
            StoreUnavailable: the store cannot be reached now.
            MalformedBar: somebody else's hand has put in what no bar can be.
        """
        with unavailable():
            if timeframe is Timeframe.M1:
                rows = await self._pool.fetch(_LAST_MINUTES, self._exchange, symbol, until, count)
            else:
                rows = await self._last_longer(symbol, timeframe, count, until)
        return [_bar(symbol, timeframe, row) for row in reversed(rows)]

    async def _last_longer(
        self, symbol: Symbol, timeframe: Timeframe, count: int, until: datetime | None
    ) -> list[asyncpg.Record]:
        """Newest first; looked for near the end, and if gaps leave too few there, everywhere."""
        key = (self._exchange, symbol, timeframe.value, until, count, timeframe.delta)
        near = (count + 2) * timeframe.delta
        rows = await self._pool.fetch(_LAST[timeframe], *key, near)
        if len(rows) < count:
            rows = await self._pool.fetch(_LAST[timeframe], *key, _EVER)
        return rows


async def _put(session: "Pool | Connection", exchange: str, bars: Sequence[Bar]) -> bool:
    """Whether rollups have to be refreshed after."""
    late: bool = await session.fetchval(
        _PUT,
        exchange,
        [bar.symbol for bar in bars],
        [bar.timeframe.value for bar in bars],
        [bar.closed_at for bar in bars],
        [bar.open for bar in bars],
        [bar.high for bar in bars],
        [bar.low for bar in bars],
        [bar.close for bar in bars],
        [bar.volume for bar in bars],
        [bar.turnover for bar in bars],
        [bar.trades for bar in bars],
    )
    return late


async def _refresh(session: "Pool | Connection", bars: Sequence[Bar]) -> None:
    """Bring up to date what was made of minutes that are replaced, or came late."""
    closes = [bar.closed_at for bar in bars if bar.timeframe is Timeframe.M1]
    await session.execute(_REFRESH, min(closes), max(closes), timeout=_LONG)


async def _copy(connection: Connection, exchange: str, bars: Sequence[Bar]) -> bool:
    """Whether rollups have to be refreshed after."""
    longer = [bar for bar in bars if bar.timeframe is not Timeframe.M1]
    if longer:
        await _put(connection, exchange, longer)
    minutes = {(b.symbol, b.closed_at): b for b in bars if b.timeframe is Timeframe.M1}
    for symbol in sorted({symbol for symbol, _ in minutes}):
        await connection.execute(_LOCK, exchange, symbol)
    await copy_incoming(connection, "bars", [_record(exchange, b) for b in minutes.values()])
    await connection.execute(_MERGE)
    late: bool = await connection.fetchval(_CHANGED)
    return late


def _ends(bars: Sequence[Bar]) -> list[Bar]:
    minutes = [bar for bar in bars if bar.timeframe is Timeframe.M1]
    return [
        min(minutes, key=lambda bar: bar.closed_at),
        max(minutes, key=lambda bar: bar.closed_at),
    ]


def _record(exchange: str, bar: Bar) -> tuple[object, ...]:
    """The columns of `bars` in their order."""
    return (
        exchange,
        bar.symbol,
        bar.closed_at,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.turnover,
        bar.trades,
    )


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
        turnover=None if row["turnover"] is None else Notional(row["turnover"]),
        trades=row["trades"],
    )
