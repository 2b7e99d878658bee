"""The store: one bar at a time, a bulk import, what it takes up, and how fast it is read."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, percentile, spread
from bench.process import Run, run
from data.bar import Timeframe

_FIVE_YEARS = 5 * 365 * 24 * 60 + 24 * 60  # minutes, with a leap day
_SHARE = 10  # of the replay's bars, for each of the symbols
_SYMBOLS = 3


def measure(plan: Plan, console: Console) -> None:
    """Import minutes of three symbols into a new database, read and add to it, and print tables.

    `plan.bars` / 10 minutes each, or with `plan.full` five years, and then once.

    Raises:
        BenchFailed: a run failed.
    """
    minutes = _FIVE_YEARS if plan.full else max(1_500, plan.bars // _SHARE)
    count = 1 if plan.full else plan.runs
    runs = []
    for number in range(1, count + 1):
        with console.status(f"store: {minutes:,} minutes of {_SYMBOLS} symbols, {number}/{count}"):
            probe = [sys.executable, "-m", "bench.probes.store", str(minutes), str(_SYMBOLS)]
            runs.append(run(probe))
    console.print(_written(runs, minutes))
    console.print(_read(runs))


def _written(runs: Sequence[Run], minutes: int) -> Table:
    table = Table(
        "store on embedded PostgreSQL",
        "",
        title=f"{minutes:,} one-minute bars of {_SYMBOLS} symbols, with the eight longer sizes",
    )
    for name, key, form in (
        ("imported: bars a second, longer sizes included", "import_bars_per_s", ",.0f"),
        ("seconds of that", "import_s", ",.1f"),
        ("imported again, unchanged: bars a second", "again_bars_per_s", ",.0f"),
        ("longer sizes made anew: seconds", "fold_s", ",.1f"),
        ("one-minute bars: MiB", "bars_mib", ",.0f"),
        ("longer bars: MiB", "longer_mib", ",.0f"),
    ):
        table.add_row(name, spread([r.answer[key] for r in runs], form))
    for share in (0.5, 0.99):
        waits = [percentile(r.answer["put_ms"], share) for r in runs]
        table.add_row(f"one bar put, p{share * 100:.0f}: ms", spread(waits, ".2f"))
    return table


def _read(runs: Sequence[Run]) -> Table:
    table = Table("ms", *Timeframe, title="the last 1,000 bars of each size, as values")
    cells = (spread([r.answer["last_ms"][t] for r in runs], ".1f") for t in Timeframe)
    table.add_row("last", *cells)
    return table
