"""History: what the importer and the gap filler put into an empty database a second."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, spread
from bench.process import Run, run

_SHARE = 20  # of the replay's bars
_FULL = 20  # times as many
_ROWS = {
    "Kraken's bars (OHLCVT), rows": "bars",
    "Kraken's trades, as exact bars, rows": "trades",
    "gap filler, trades and bars of them, rows": "filled",
    "gap filler, the venue's bars, rows": "given",
}


def measure(plan: Plan, console: Console) -> None:
    """Import and fill `plan.bars` / 20 rows each, or all with `plan.full`, and print a table."""
    count = max(600, plan.bars // _SHARE * (_FULL if plan.full else 1))
    runs = []
    for number in range(1, plan.runs + 1):
        with console.status(f"history: {count:,} rows, {number} of {plan.runs}"):
            runs.append(run([sys.executable, "-m", "bench.probes.history", str(count)]))
    console.print(_table(runs))


def _table(runs: Sequence[Run]) -> Table:
    table = Table(
        "into embedded PostgreSQL",
        "rows",
        "a second",
        title="history; a venue that does not delay",
    )
    for name, key in _ROWS.items():
        rows = [float(r.answer[key]["rows"]) for r in runs]
        speeds = [float(r.answer[key]["per_s"]) for r in runs]
        table.add_row(name, spread(rows), spread(speeds))
    return table
