"""Start-up: from the command to the first bar, on a new state folder and on one that is there."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figures import Plan, spread
from bench.process import PROJECT, Run, run
from bench.scratch import server_folder

_AIM = 3.0  # seconds, on a state folder that is there
_FAST = 60_000  # market seconds a second, so that nothing waits for the first minute to close
_IMPORTS = ("", "sextant.cli", "sextant.daemon", "sextant.replay")
_STATUS = "open('/proc/self/status').read()"
_ANSWER = f"print('{{\"peak_kib\": %s}}' % {_STATUS}.split('VmHWM:')[1].split()[0])"


def measure(plan: Plan, console: Console) -> None:
    """Start the rehearsal again and again, each time until its first bar, and print the tables."""
    with console.status("start-up: the daemon"):
        pairs = [_cold_and_warm() for _ in range(plan.runs)]
    cold, warm = zip(*pairs, strict=True)
    table = Table(
        *("state folder", "to the first bar, s", "whole run, s", "CPU s", "peak MiB"),
        title=f"start-up to the first bar, database included; aim: below {_AIM:g} s where warm",
    )
    table.add_row("new (initdb, migrations, history)", *_row(cold))
    table.add_row("there (warm)", *_row(warm))
    console.print(table)
    with console.status("start-up: imports"):
        imports = {name: [_imported(name) for _ in range(plan.runs)] for name in _IMPORTS}
    console.print(_import_table(imports))


def _cold_and_warm() -> tuple[Run, Run]:
    with server_folder() as folder:
        config = folder / "start.toml"
        config.write_text(
            f'extends = "{PROJECT / "config" / "synthetic.toml"}"\n'
            f"[market]\nspeed = {_FAST}\n"
            f'[storage]\nfolder = "{folder / "state"}"\n',
            encoding="utf-8",
        )
        (folder / "state").mkdir(mode=0o711)
        sextant = [sys.executable, "-m", "bench.probes.first_bar"]
        command = [*sextant, "run", "--config", str(config), "--no-view", "--bars", "1"]
        return run(command), run(command)


def _row(runs: Sequence[Run]) -> list[str]:
    return [
        spread([r.answer["first_bar_at"] - r.began for r in runs], ".2f"),
        spread([r.wall_s for r in runs], ".2f"),
        spread([r.cpu_s for r in runs], ".2f"),
        spread([r.peak_mib for r in runs]),
    ]


def _imported(module: str) -> Run:
    return run([sys.executable, "-c", (f"import {module}; " if module else "") + _ANSWER])


def _import_table(imports: dict[str, list[Run]]) -> Table:
    """Peaks as the processes tell: ours, from which they fork, is larger than a bare one."""
    table = Table(
        "import", "wall s", "CPU s", "peak MiB", title="imports, a fresh interpreter each"
    )
    for module, runs in imports.items():
        table.add_row(
            module or "(nothing)",
            spread([r.wall_s for r in runs], ".2f"),
            spread([r.cpu_s for r in runs], ".2f"),
            spread([r.answer["peak_kib"] / 1024 for r in runs]),
        )
    return table
