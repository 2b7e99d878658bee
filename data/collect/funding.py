"""Keeps an exchange's funding: `python -m data.collect.funding --exchange hyperliquid`."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from data.clock import SystemClock
from data.collect.command import DbUrl, NamedSymbols, run
from data.collect.patience import Patience
from data.collect.payments import FundingFill, fill_funding
from data.collect.shown import minute
from data.collect.venues import Exchange, open_source
from data.instrument import Symbol
from data.postgres.funding import PostgresFundingStore
from data.postgres.migrate import migrate
from data.postgres.pool import connect

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_GAPS_SHOWN = 3


@app.command()
def main(
    exchange: Annotated[Exchange, typer.Option(help="Whose funding.")],
    db_url: DbUrl,
    symbols: NamedSymbols,
    since: Annotated[datetime, typer.Option(help="From when on, in UTC.")],
) -> None:
    """Fetch the funding rates that were paid from a time until now, and are not kept.

    Looks inside the range and at its ends. May be stopped at any time and run again; a second run
    changes nothing.
    """
    wanted = [Symbol(text) for text in symbols]
    fills = asyncio.run(_fill(exchange, db_url, wanted, since=since.replace(tzinfo=UTC)))
    Console().print(_table(fills))


async def _fill(
    exchange: Exchange, db_url: str, symbols: Sequence[Symbol], *, since: datetime
) -> list[FundingFill]:
    clock = SystemClock()
    async with await connect(db_url) as pool:
        await migrate(pool)
        source = open_source(exchange, clock)
        try:
            return [
                await fill_funding(
                    source,
                    PostgresFundingStore(pool, exchange=exchange),
                    symbol,
                    since=since,
                    until=clock.now(),
                    patience=Patience(clock=clock),
                )
                for symbol in symbols
            ]
        finally:
            await source.close()


def _table(fills: Iterable[FundingFill]) -> Table:
    table = Table(title="funding; times are UTC")
    for heading in ("symbol", "from", "until"):
        table.add_column(heading)
    for heading in ("gaps", "added", "kept"):
        table.add_column(heading, justify="right")
    table.add_column("left")
    for fill in fills:
        table.add_row(
            fill.symbol,
            minute(fill.since),
            minute(fill.until),
            *(f"{number:,}" for number in (len(fill.found), fill.added, fill.kept)),
            _left(fill),
        )
    return table


def _left(fill: FundingFill) -> str:
    parts = [f"{gap.payments:,} after {minute(gap.since)}" for gap in fill.left[:_GAPS_SHOWN]]
    if (more := len(fill.left) - _GAPS_SHOWN) > 0:
        parts.append(f"and {more:,} gaps more")
    return "; ".join(parts) or "nothing"


if __name__ == "__main__":
    run(app)
