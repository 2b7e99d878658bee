"""`python -m bench`: what the machine in front of you makes of it."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import execution, feed, history, memory, orders, parts, replay, risk, start_up, store
from bench.figures import Plan
from bench.process import PROJECT, BenchFailed

_WIDE = 180  # columns where no terminal says how many there are
_CACHE = PROJECT / "var" / "bench"
SECTIONS: Mapping[str, Callable[[Plan, Console], None]] = {
    "replay": replay.measure,
    "memory": memory.measure,
    "orders": orders.measure,
    "execution": execution.measure,
    "start-up": start_up.measure,
    "risk": risk.measure,
    "parts": parts.measure,
    "store": store.measure,
    "feed": feed.measure,
    "history": history.measure,
}
_NAMES = ", ".join(SECTIONS)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this section, of {_NAMES}; may be repeated.")
    ] = None,
    bars: Annotated[
        int,
        typer.Option(
            min=60,
            help="Bars of the replay; the memory section takes twice as many, the others fewer.",
        ),
    ] = 500_000,
    runs: Annotated[int, typer.Option(min=1, help="Runs of everything, in turn.")] = 3,
    full: Annotated[
        bool,
        typer.Option(help="Five years in the store section, once; in history, 20 times as much."),
    ] = False,
    cache: Annotated[
        Path, typer.Option(help="Where generated series are kept.", show_default="var/bench")
    ] = _CACHE,
) -> None:
    """Measure speed, memory, latency and start-up on this machine, offline, and print tables.

    Figures are medians with their range. Trust ratios before seconds: they are taken in turn, in
    one session. A wrong result ends the run with an error, and has no speed.
    """
    unknown = set(only or ()) - set(SECTIONS)
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: no such section; there are {_NAMES}"
        )
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    console.print(_machine(), highlight=False, soft_wrap=True)
    plan = Plan(bars=bars, runs=runs, full=full, cache=cache.absolute())
    try:
        for name in only or SECTIONS:
            SECTIONS[name](plan, console)
    except BenchFailed as failure:
        console.print(str(failure), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def _machine() -> str:
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{_processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, load {load}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    app()
