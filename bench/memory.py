"""Memory: whether a replay of a million bars needs more than one of a hundred thousand."""

import sys
import tempfile
from collections.abc import Sequence
from statistics import linear_regression

from rich.console import Console
from rich.table import Table

from bench import work
from bench.figures import Plan
from bench.process import run

_SAMPLES = 200
_AIM = 8.0  # bytes a bar
_MIB = 1 << 20


def measure(plan: Plan, console: Console) -> None:
    """Replay twice `plan.bars`, and print how resident memory grows after the first tenth."""
    if not work.SCRIPTS.is_dir():
        console.print(f"memory: skipped, no {work.SCRIPTS}: the series is made there")
        return
    count = 2 * plan.bars
    with console.status(f"memory: making {count:,} bars"):
        bars = work.generated(count, plan.cache)
    with (
        console.status(f"memory: replaying {count:,} bars"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        every = str(max(1, count // _SAMPLES))
        done = run([sys.executable, "-m", "bench.probes.memory", bars.csv, scratch, every])
    seen: list[tuple[int, int]] = done.answer["resident"]
    console.print(_table(count, seen, done.peak_mib, done.answer["buys"]))


def _table(count: int, seen: Sequence[tuple[int, int]], peak_mib: float, buys: int) -> Table:
    table = Table(
        "from bar",
        "to bar",
        "MiB at its begin",
        "at its end",
        "slope, bytes a bar",
        title=f"memory over {count:,} bars, {buys:,} round trips; peak {peak_mib:,.0f} MiB; "
        f"aim: at most {_AIM:g} bytes a bar",
    )
    for since, until in ((0.1, 1.0), (0.1, 0.5), (0.5, 1.0)):
        part = [s for s in seen if since * count <= s[0] <= until * count]
        first, last = part[0], part[-1]
        table.add_row(
            f"{first[0]:,}",
            f"{last[0]:,}",
            f"{first[1] / _MIB:,.1f}",
            f"{last[1] / _MIB:,.1f}",
            f"{_slope(part):,.2f}",
        )
    return table


def _slope(seen: Sequence[tuple[int, int]]) -> float:
    """Bytes a bar, by least squares."""
    bars, resident = zip(*seen, strict=True)
    return linear_regression(bars, resident).slope
