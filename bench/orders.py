"""Orders: what lies between a closed bar and the venue on the daemon's road, without model time."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, percentile, spread
from bench.process import BenchFailed, Run, run

_AIM = 5.0  # ms, p99 from the bar taken to the order submitted
_MOST_MINUTES = 400
_ROWS = {
    "bar taken to venue.submit": "take_ms",
    "bar arrived (and kept in the store) to venue.submit": "arrival_ms",
    "one bar kept in the store, meanwhile": "put_ms",
    "one row committed while nothing else runs": "commit_ms",
}


def measure(plan: Plan, console: Console) -> None:
    """Run the live path over `plan.bars` minutes, at most 400, and print the table.

    Raises:
        BenchFailed: a run failed, or no bar led to an order.
    """
    minutes = min(plan.bars, _MOST_MINUTES)
    runs = []
    for number in range(1, plan.runs + 1):
        with console.status(f"orders: {minutes} minutes of market, {number} of {plan.runs}"):
            runs.append(run([sys.executable, "-m", "bench.probes.orders", str(minutes)]))
    if not all(r.answer.get("take_ms") for r in runs):
        raise BenchFailed("orders: no bar led to an order; bench/live.toml trades too little")
    console.print(_table(runs))


def _table(runs: Sequence[Run]) -> Table:
    orders = sum(len(r.answer["take_ms"]) for r in runs)
    bars = sum(int(r.answer["bars"]) for r in runs)
    rate = spread([float(r.answer["records_per_s"]) for r in runs])
    table = Table(
        *("ms", "p50", "p90", "p99", "worst"),
        title=f"from a closed bar to the order: {orders:,} orders of {bars:,} bars, no model; "
        f"aim: p99 below {_AIM:g} ms",
        caption=f"journal in PostgreSQL, many waiting: {rate} records/s",
    )
    for name, key in _ROWS.items():
        table.add_row(name, *_row([r.answer[key] for r in runs]))
    return table


def _row(runs: Sequence[Sequence[float]]) -> list[str]:
    """Each share's spread over the runs."""
    return [spread([percentile(r, s) for r in runs], ".2f") for s in (0.5, 0.9, 0.99, 1.0)]
