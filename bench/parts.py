"""Parts: risk, indicators, snapshot and journal by themselves, beside the floor of the machine."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, ratios, spread
from bench.process import Run, run
from bench.work import SCRIPTS

_MOST_BARS = 50_000
_ROWS = {
    "judgements a second, full book, every rule": ("judgements_per_s", ",.0f"),
    "one judgement, p50, µs": ("judgement_p50_us", ".1f"),
    "one judgement, p99, µs": ("judgement_p99_us", ".1f"),
    "all standard indicators, µs a bar": ("indicators_us", ".1f"),
    "the same over 1,000 bars at once, ms": ("indicators_at_once_ms", ".2f"),
    "bar to snapshot, indicators included, µs": ("snapshot_us", ".1f"),
    "journal of a replay, records a second": ("journal_per_s", ",.0f"),
}


def measure(plan: Plan, console: Console) -> None:
    """Measure each part over `plan.bars` bars, at most 50,000, and print the table."""
    count = str(min(plan.bars, _MOST_BARS))
    floor_script = SCRIPTS / "floor_risk.py"
    runs, floors = [], []
    for number in range(1, plan.runs + 1):
        with console.status(f"parts: {number} of {plan.runs}"):
            runs.append(run([sys.executable, "-m", "bench.probes.parts", count]))
            if floor_script.is_file():
                floors.append(run([sys.executable, floor_script]))
    console.print(_table(runs, floors))


def _table(runs: Sequence[Run], floors: Sequence[Run]) -> Table:
    table = Table("part", "median (range)", title="parts of the road")
    for name, (key, form) in _ROWS.items():
        table.add_row(name, spread(_all(runs, key), form))
    if floors:
        checks = [float(r.answer["Decimal"]["checks_per_s"]) for r in floors]
        shares = ratios(_all(runs, "judgements_per_s"), checks)
        table.add_row("floor: 16 bare Decimal checks, a second", spread(checks))
        table.add_row("judgements, as a share of that floor", spread(shares, ".2f"))
    return table


def _all(runs: Sequence[Run], key: str) -> list[float]:
    return [float(r.answer[key]) for r in runs]
