"""Parts: indicators, snapshot and journal by themselves."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, spread
from bench.process import Run, run

_MOST_BARS = 50_000
_ROWS = {
    "all standard indicators, µs a bar": ("indicators_us", ".1f"),
    "the same over 1,000 bars at once, ms": ("indicators_at_once_ms", ".2f"),
    "bar to snapshot, indicators included, µs": ("snapshot_us", ".1f"),
    "journal of a replay, records a second": ("journal_per_s", ",.0f"),
}


def measure(plan: Plan, console: Console) -> None:
    """Measure each part over `plan.bars` bars, at most 50,000, and print the table."""
    count = str(min(plan.bars, _MOST_BARS))
    runs = []
    for number in range(1, plan.runs + 1):
        with console.status(f"parts: {number} of {plan.runs}"):
            runs.append(run([sys.executable, "-m", "bench.probes.parts", count]))
    console.print(_table(runs))


def _table(runs: Sequence[Run]) -> Table:
    table = Table("part", "median (range)", title="parts of the road")
    for name, (key, form) in _ROWS.items():
        table.add_row(name, spread([float(r.answer[key]) for r in runs], form))
    return table
