"""Filling the gaps of a store from an exchange: what the commands do."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console

from data.bar import Timeframe
from data.clock import Clock, SystemClock
from data.collect.gaps import FillReport, Means, Progress, fill_gaps
from data.collect.shown import fill_table, progress_bar
from data.collect.venues import Exchange, open_source
from data.faults import Refused
from data.feeds.source import MarketSource
from data.instrument import Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.coverage import bar_coverage
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.postgres.trades import PostgresTradeStore


class NothingToFill(Refused):
    """Nothing is kept that could have gaps, and nobody says where to begin."""


async def fill_store(
    pool: Pool,
    source: MarketSource,
    exchange: str,
    symbols: Sequence[Symbol],
    *,
    since: datetime | None,
    until: datetime | None,
    clock: Clock,
    progress: Progress | None = None,
    means: Means = Means.TRADES,
) -> list[FillReport]:
    """Fill the gaps of `symbols`, or of all that are kept of the exchange, one after the other.

    Raises:
        NothingToFill: a symbol has no bars, and `since` does not say where to begin.
        SourceUnavailable, SourceRefused, StoreUnavailable: as `fill_gaps` does.
    """
    starts = await _starts(pool, exchange, symbols, since)
    trades = PostgresTradeStore(pool, exchange=exchange)
    bars = PostgresBarStore(pool, exchange=exchange)
    return [
        await fill_gaps(
            source,
            trades,
            bars,
            symbol,
            since=start,
            until=until or clock.now(),
            clock=clock,
            progress=progress,
            means=means,
        )
        for symbol, start in starts.items()
    ]


async def _starts(
    pool: Pool, exchange: str, symbols: Sequence[Symbol], since: datetime | None
) -> dict[Symbol, datetime]:
    if since is not None and symbols:
        return dict.fromkeys(symbols, since)
    kept = {
        found.symbol: since or found.first - Timeframe.M1.delta
        for found in await bar_coverage(pool, exchange=exchange)
        if found.timeframe is Timeframe.M1
    }
    for symbol in symbols:
        if symbol not in kept:
            raise NothingToFill(f"no bars of {exchange} {symbol} are kept: say --since")
    if not kept:
        raise NothingToFill(f"no bars of {exchange} are kept: say --symbols and --since")
    return {symbol: kept[symbol] for symbol in symbols or kept}


async def fill_shown(
    pool: Pool,
    exchange: Exchange,
    symbols: Sequence[Symbol],
    *,
    since: datetime | None,
    until: datetime | None,
    means: Means,
    urls: Mapping[str, Any] | None = None,
) -> list[FillReport]:
    """The same from the exchange itself, or from other `urls`, with a progress bar on stderr."""
    clock = SystemClock()
    source = open_source(exchange, clock, urls=urls)
    try:
        with progress_bar("minutes") as progress:
            return await fill_store(
                pool,
                source,
                exchange,
                symbols,
                since=since,
                until=until,
                clock=clock,
                progress=progress,
                means=means,
            )
    finally:
        await source.close()


def fill(
    exchange: Exchange,
    db_url: str,
    symbols: Sequence[str],
    *,
    since: datetime | None,
    until: datetime | None,
    means: Means,
) -> None:
    """Fill the store at `db_url`, and print what came of it."""
    wanted = [Symbol(text) for text in symbols]

    async def filled() -> list[FillReport]:
        async with await connect(db_url) as pool:
            await migrate(pool)
            return await fill_shown(pool, exchange, wanted, since=since, until=until, means=means)

    Console().print(fill_table(asyncio.run(filled())))
