"""Imports downloaded history: Kraken's OHLCVT and trade archives, and bars with a header.

`python -m data.kraken_db.csv_importer Kraken_OHLCVT.zip --db-url "$DATABASE_URL"`

| file               | columns                                       | becomes               |
| ------------------ | --------------------------------------------- | --------------------- |
| XBTUSDT_1.csv      | time, open, high, low, close, volume, trades  | bars of that size     |
| XBTUSDT.csv        | time, price, volume                           | bars of one minute    |
| BTCUSDT_1m.csv.gz  | with the header ts,open,high,low,close,volume | bars of that size     |

Each may be plain, gzip, in a zip archive or in a folder. Memory stays flat. A row that is none is
left out and told with its line; too many of them stop the file.

The trade archives name no ids and no taker: a trade made up from them would stand beside the one
that the venue's id names, and count twice. So they are imported as bars only, exact in volume,
turnover and count; a bar that was made of trades is not replaced by one that knows less. Both of
Kraken's archives leave out minutes without a trade; those are put in as such. In files with a
header they stay gaps, for there nobody knows why they are missing.

A file is known by its content: run again, it goes on where it was, and changes nothing once it is
in. Longer bars of Kraken's are left alone unless asked for: the store makes them of the minutes.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer
from rich.console import Console
from rich.table import Table

from data.bar import Bar, Timeframe
from data.clock import Clock, SystemClock
from data.collect.command import DbUrl, Symbols, run
from data.collect.shown import minute, progress_bar
from data.faults import Malformed
from data.feeds.recorded import USUAL, ReadReport, Tolerance
from data.feeds.text_file import fingerprint
from data.kraken_db.archives import Layout, Series, bars_in, find_series, read_series, rows_in
from data.own_trade import CollectorProgress
from data.postgres.bars import PostgresBarStore
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.postgres.progress import PostgresProgress
from data.store import BarStore

_BATCH: Final = 20_000  # bars between two notes of how far it has come
_DONE: Final = "done"


class BulkBars(BarStore, Protocol):
    """A store of bars that takes many at once."""

    async def put_many(self, bars: Iterable[Bar]) -> int:
        """Keep any number of `bars`, and return it.

        Raises:
            StoreUnavailable: some are kept; to put all again is right.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of a file; `report` is None where it was in the store already."""

    series: Series
    bars: int  # written, minutes without a trade included
    report: ReadReport | None


async def import_series(
    series: Series,
    store: BulkBars,
    progress: CollectorProgress,
    *,
    clock: Clock,
    tolerance: Tolerance = USUAL,
    again: bool = False,
    read: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Put a file into the store, from where an earlier run left off; `read` is told of rows.

    `progress` is of this file's content alone; `again` does not look at it.

    Raises:
        Malformed: the file is damaged, or too much of it is no bar; what came before is kept.
        StoreUnavailable: run it again, and it goes on.
        OSError: the file cannot be opened.
    """
    text = None if again else await progress.load(series.symbol)
    if text == _DONE:
        return Imported(series=series, bars=0, report=None)
    after = None if text is None else datetime.fromisoformat(text)
    reading = read_series(series, tolerance)
    bars = (b for b in bars_in(reading, series.layout) if after is None or b.closed_at > after)
    written = rows = 0
    while batch := list(islice(bars, _BATCH)):
        written += await store.put_many(await _not_poorer(batch, store))
        await progress.save(series.symbol, batch[-1].closed_at.isoformat(), now=clock.now())
        read(reading.rows - rows)
        rows = reading.rows
    await progress.save(series.symbol, _DONE, now=clock.now())
    return Imported(series=series, bars=written, report=reading.report)


async def _not_poorer(bars: Sequence[Bar], store: BulkBars) -> list[Bar]:
    """Those that do not replace a bar of which more is known: one made of trades."""
    first, last = bars[0], bars[-1]
    newest = await store.last(first.symbol, first.timeframe, 1, until=last.closed_at)
    if not newest or newest[0].closed_at < first.closed_at:
        return list(bars)
    count = (last.closed_at - first.opened_at) // first.timeframe.delta
    kept = await store.last(first.symbol, first.timeframe, count, until=last.closed_at)
    exact = {bar.closed_at: bar for bar in kept if bar.turnover is not None}
    return [bar for bar in bars if not _is_poorer(bar, exact.get(bar.closed_at))]


def _is_poorer(bar: Bar, exact: Bar | None) -> bool:
    return exact is not None and bar.turnover is None and bar.volume <= exact.volume


async def import_all(
    pool: Pool,
    found: Sequence[Series],
    *,
    exchange: str,
    clock: Clock,
    tolerance: Tolerance = USUAL,
    again: bool = False,
) -> list[Imported]:
    """Import files one after the other, shown on stderr; errors are those of `import_series`."""
    store = PostgresBarStore(pool, exchange=exchange)
    done: list[Imported] = []
    with progress_bar("rows") as shown:
        for series in found:
            shown.expect(str(series.path), rows_in(series))
            content = f"csv {series.timeframe} {fingerprint(series.path)}"
            progress = PostgresProgress(pool, collector=content, exchange=exchange)
            done.append(
                await import_series(
                    series,
                    store,
                    progress,
                    clock=clock,
                    tolerance=tolerance,
                    again=again,
                    read=shown.advance,
                )
            )
    return done


def import_table(done: Iterable[Imported]) -> Table:
    """What came of each file."""
    table = Table(title="imported; times are UTC")
    for heading in ("file", "symbol", "bars of", "from", "until"):
        table.add_column(heading)
    for heading in ("bars", "missing", "rows left out"):
        table.add_column(heading, justify="right")
    for item in done:
        series, report = item.series, item.report
        named = (series.path.name, series.symbol, series.timeframe.value)
        if report is None or report.since is None or report.until is None:
            table.add_row(*named, "is in the store already")
            continue
        missing = 0 if series.layout is Layout.OHLCVT else report.missing
        numbers = (item.bars, missing, sum(report.refused.values()))
        ends = (minute(report.since), minute(report.until))
        table.add_row(*named, *ends, *(f"{number:,}" for number in numbers))
    return table


def show_imported(done: Sequence[Imported], console: Console) -> None:
    """Print what came of each file, and the first rows that were left out."""
    console.print(import_table(done))
    for item in done:
        for row in item.report.examples if item.report else ():
            console.print(str(row), markup=False)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    paths: Annotated[list[Path], typer.Argument(help="Files, zip archives or folders.")],
    db_url: DbUrl,
    symbols: Symbols = [],  # noqa: B006 - typer wants a list, and makes its own
    timeframes: Annotated[
        list[Timeframe], typer.Option(help="Of archives and folders, only bars of this size.")
    ] = [Timeframe.M1],  # noqa: B006
    exchange: Annotated[str, typer.Option(help="Whose history it is.")] = "kraken",
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="The share of rows that a file may lose.")
    ] = USUAL.share,
    again: Annotated[
        bool, typer.Option("--again", help="Import also what was imported before.")
    ] = False,
) -> None:
    """Import downloaded history; stopped and started again, it goes on where it was."""
    tolerance = Tolerance(rows=USUAL.rows, share=max_bad)
    found = find_series(paths, symbols, timeframes)
    if not found:
        raise Malformed(f"nothing to import in {', '.join(map(str, paths))}")
    done = asyncio.run(_import(db_url, found, exchange, tolerance, again=again))
    show_imported(done, Console(soft_wrap=True))


async def _import(
    db_url: str, found: Sequence[Series], exchange: str, tolerance: Tolerance, *, again: bool
) -> list[Imported]:
    async with await connect(db_url) as pool:
        await migrate(pool)
        return await import_all(
            pool, found, exchange=exchange, clock=SystemClock(), tolerance=tolerance, again=again
        )


if __name__ == "__main__":
    run(app)
