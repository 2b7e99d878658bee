"""Feed: trades from a socket to bars and rows, beside ccxt's own client on the same frames."""

import sys

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, ratios, spread
from bench.process import BenchFailed, Run, run

_MOST_TRADES = 40_000
_WAYS = {
    "ccxt": "bare ccxt.pro watch_trades",
    "source": "to trades (KrakenSource)",
    "feed": "to bars (LiveFeed)",
    "rows": "to committed rows (StoreWriter, embedded PostgreSQL)",
}


def measure(plan: Plan, console: Console) -> None:
    """Receive as many trades as the plan has bars, at most 40,000, and print the table."""
    count = min(plan.bars, _MOST_TRADES)
    runs: dict[str, list[Run]] = {way: [] for way in _WAYS}
    for number in range(1, plan.runs + 1):
        for way, done in runs.items():
            with console.status(f"feed: {way}, {number} of {plan.runs}"):
                done.append(run([sys.executable, "-m", "bench.probes.feed", way, str(count)]))
    for way in ("source", "feed", "rows"):
        _require_whole(way, runs[way], count)
    console.print(_table(runs, count))


def _require_whole(way: str, runs: list[Run], count: int) -> None:
    for done in runs:
        if done.answer["told"] != count:
            raise BenchFailed(f"{way}: {done.answer['told']:,} of {count:,} trades told")


def _table(runs: dict[str, list[Run]], count: int) -> Table:
    table = Table(
        "way",
        "trades a second",
        "µs of CPU a trade",
        "times ccxt",
        "told",
        title=f"{count:,} trades from a socket, one a frame; the server on another core",
    )
    floor = _all(runs["ccxt"], "per_s")
    for way, name in _WAYS.items():
        speeds = _all(runs[way], "per_s")
        table.add_row(
            name,
            spread(speeds),
            spread(_all(runs[way], "cpu_us"), ",.1f"),
            spread(ratios(speeds, floor), ".2f"),
            f"{min(_all(runs[way], 'told')):,.0f}",
        )
    return table


def _all(runs: list[Run], key: str) -> list[float]:
    return [float(done.answer[key]) for done in runs]
