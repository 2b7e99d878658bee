"""Execution: from an approved order to the wire, and the parts that fills and recovery rest on."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, percentile, spread
from bench.process import Run, run

_MOST_ORDERS = 1_000
_LATENCIES = {
    "approved order to its last byte sent": "wire_ms",
    "approved order to the exchange's answer": "answer_ms",
}
_RATES = {
    "matching core against a book, orders a second": "book_per_s",
    "matching core against bars, orders a second": "bars_per_s",
    "ledger, fills a second": "fills_per_s",
}


def measure(plan: Plan, console: Console) -> None:
    """Send `plan.bars` orders, at most 1,000, to the rehearsal exchange, and print the tables.

    Raises:
        BenchFailed: a run failed, or an order did not get there.
    """
    count = str(min(plan.bars, _MOST_ORDERS))
    runs = []
    for number in range(1, plan.runs + 1):
        with console.status(f"execution: {count} orders, {number} of {plan.runs}"):
            runs.append(run([sys.executable, "-m", "bench.probes.execution", count]))
    console.print(_latencies(runs, count))
    console.print(_parts(runs))


def _latencies(runs: Sequence[Run], count: str) -> Table:
    table = Table(
        *("ms", "p50", "p90", "p99", "worst"),
        title=f"orders to Kraken's protocol: {count} entries with a stop, one after the other",
        caption="ccxt signs and sends; the exchange is the rehearsal's, in the same process",
    )
    for name, key in _LATENCIES.items():
        shares = (0.5, 0.9, 0.99, 1.0)
        table.add_row(
            name, *(spread([percentile(r.answer[key], s) for r in runs], ".2f") for s in shares)
        )
    return table


def _parts(runs: Sequence[Run]) -> Table:
    table = Table("part", "median (range)", title="parts of execution")
    for name, key in _RATES.items():
        table.add_row(name, spread([float(r.answer[key]) for r in runs]))
    orders = runs[0].answer["orders"]
    table.add_row(
        f"reconciliation with {orders:,} open orders, ms",
        spread([float(r.answer["reconcile_ms"]) for r in runs], ",.1f"),
    )
    return table
