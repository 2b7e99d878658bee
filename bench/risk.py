"""Risk: whole judgements beside bare Decimal checks, and what it costs to keep the risk state."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, ratios, spread
from bench.process import Run, run

_MOST_JUDGEMENTS = 50_000
_AIM = "aim: 30,000 judgements a second, p99 below 100 µs"
_CORE = "a second of one core for what only computes; p50 and p99 by the clock"
_ROWS = {
    "judgement, every rule on": "full",
    "judgement, config/paper.toml": "paper",
    "floor: 16 bare Decimal checks": "floor",
    "risk state, encoded": "encode",
    "risk state, kept in memory": "memory",
    "risk state, durable in the embedded PostgreSQL": "postgres",
}


def measure(plan: Plan, console: Console) -> None:
    """Judge as often as there are `plan.bars`, at most 50,000 times, and print the table."""
    count = str(min(plan.bars, _MOST_JUDGEMENTS))
    runs = []
    for number in range(1, plan.runs + 1):
        with console.status(f"risk: {number} of {plan.runs}"):
            runs.append(run([sys.executable, "-m", "bench.probes.risk", count]))
    console.print(_table(runs))


def _table(runs: Sequence[Run]) -> Table:
    table = Table(
        "risk",
        "a second",
        "p50, µs",
        "p99, µs",
        "of the floor",
        title=f"risk; {_AIM}",
        caption=_CORE,
    )
    floor = _all(runs, "floor_per_s")
    for name, key in _ROWS.items():
        rate = _all(runs, f"{key}_per_s")
        share = spread(ratios(rate, floor), ".2f") if key in ("full", "paper") else ""
        table.add_row(
            name,
            spread(rate),
            spread(_all(runs, f"{key}_p50_us"), ".1f"),
            spread(_all(runs, f"{key}_p99_us"), ".1f"),
            share,
        )
    return table


def _all(runs: Sequence[Run], key: str) -> list[float]:
    return [float(r.answer[key]) for r in runs]
