"""Replay: bars a second and peak memory of the EMA desk, beside the yardstick and the peers."""

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import engines, work
from bench.engines import OURS, YARDSTICK, Engine
from bench.figures import Plan, ratios, spread
from bench.process import Run, run

Runs = Mapping[str, Sequence[Run]]  # by engine, round by round


def measure(plan: Plan, console: Console) -> None:
    """Run every engine in turn, `plan.runs` times, and print the table.

    Raises:
        BenchFailed: an engine failed, or came to another equity or number of trades.
    """
    if not work.SCRIPTS.is_dir():
        console.print(f"replay: skipped, no {work.SCRIPTS}: the series and the yardstick are there")
        return
    with console.status("replay: making the series"):
        bars = work.generated(plan.bars, plan.cache)
    competing = engines.present()
    console.print(_table(bars.count, competing, _rounds(bars, competing, plan, console)))
    for line in engines.missing():
        console.print(f"a peer is missing; to have it: {line}", soft_wrap=True, markup=False)


def _rounds(bars: work.Bars, competing: Sequence[Engine], plan: Plan, console: Console) -> Runs:
    right = {fill: work.expected(bars, fill) for fill in {e.fill for e in competing}}
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("replay", total=plan.runs * len(competing))
        for _ in range(plan.runs):
            for engine in competing:
                progress.update(task, description=f"replay: {engine.name}")
                runs[engine.name].append(_once(engine, bars, right[engine.fill]))
                progress.advance(task)
    return runs


def _once(engine: Engine, bars: work.Bars, right: work.Outcome) -> Run:
    with tempfile.TemporaryDirectory() as scratch:
        done = run(engine.command(bars, Path(scratch)))
    work.require_right(engine.name, done.answer, right)
    return done


def _table(count: int, competing: Sequence[Engine], runs: Runs) -> Table:
    table = Table(
        "engine",
        "fill",
        *("user s", "wall s", "peak MiB", "user / yardstick", "k bars/s, whole"),
        *("k bars/s, inside", "sextant: times as fast"),
        title=f"replay of {count:,} bars, every result right; median (range)",
    )
    for engine in competing:
        table.add_row(engine.name, engine.fill, *_row(count, runs, engine.name))
    return table


def _row(count: int, runs: Runs, name: str) -> list[str]:
    mine = runs[name]
    inside = _inside(mine)
    return [
        spread([r.user_s for r in mine], ".2f"),
        spread([r.wall_s for r in mine], ".2f"),
        spread([r.peak_mib for r in mine]),
        spread(ratios([r.user_s for r in mine], [r.user_s for r in runs[YARDSTICK]]), ".1f"),
        spread([count / r.wall_s / 1e3 for r in mine], ",.1f"),
        spread(inside, ",.1f"),
        spread(ratios(_inside(runs[OURS]), inside), ".2f"),
    ]


def _inside(runs: Sequence[Run]) -> list[float]:
    """Thousand bars a second without start-up; ours reads its file meanwhile, the others before."""
    return [float(r.answer["bars_per_s"]) / 1e3 for r in runs]
