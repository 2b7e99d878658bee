"""Who does the work: ours, the yardstick, and the peers whose environments are there."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.process import PROJECT
from bench.work import SCRIPTS, Bars, Fill, reference

OURS, YARDSTICK = "sextant", "yardstick: one plain loop"
PEERS_ENV = "SEXTANT_BENCH_PEERS"
_PEERS = PROJECT / "var" / "bench" / "peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A program that does the work on some bars and prints what came of it."""

    name: str
    fill: Fill
    command: Callable[[Bars, Path], list[str | Path]]  # of the bars and a scratch folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A public engine, in an environment of its own: their pins conflict."""

    name: str
    fill: Fill  # its own way with bars, where it has one: the cheapest for it
    environment: str
    package: str
    script: str
    options: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        return peers_folder() / self.environment / "bin" / "python"

    def command(self, bars: Bars, _scratch: Path) -> list[str | Path]:
        return [self.python, SCRIPTS / self.script, bars.npy, self.fill, *self.options]


PEERS = (
    Peer(
        name="backtesting.py 0.6.6",
        fill=Fill.OPEN,
        environment="simple",
        package="backtesting==0.6.6",
        script="peer_backtesting.py",
    ),
    Peer(
        name="backtesting.py 0.6.6, EMA in next()",
        fill=Fill.OPEN,
        environment="simple",
        package="backtesting==0.6.6",
        script="peer_backtesting.py",
        options=("--incremental",),
    ),
    Peer(
        name="nautilus_trader 1.221",
        fill=Fill.CLOSE,
        environment="nautilus",
        package="nautilus_trader==1.221.0",
        script="peer_nautilus.py",
    ),
)


def peers_folder() -> Path:
    """Where the environments of the peers are looked for."""
    return Path(os.environ.get(PEERS_ENV) or _PEERS)


def present() -> list[Engine]:
    """The yardstick, ours, and every peer that is installed, in the order in which they run."""
    peers = [Engine(name=p.name, fill=p.fill, command=p.command) for p in PEERS if _is_there(p)]
    return [
        Engine(name=YARDSTICK, fill=Fill.OPEN, command=lambda bars, _: reference(bars, Fill.OPEN)),
        Engine(name=OURS, fill=Fill.OPEN, command=_ours),
        Engine(name=f"{OURS} --all-records", fill=Fill.OPEN, command=_ours_recording),
        *peers,
    ]


def missing() -> list[str]:
    """How to install each peer that is not there, as commands; empty if all are."""
    absent = {p.environment: p.package for p in PEERS if not _is_there(p)}
    folder = peers_folder()
    return [
        f"python3.11 -m venv {folder / environment} && "
        f"{folder / environment}/bin/pip install {package}"
        for environment, package in absent.items()
    ]


def _is_there(peer: Peer) -> bool:
    return peer.python.exists()


def _ours(bars: Bars, scratch: Path) -> list[str | Path]:
    return [sys.executable, "-m", "bench.probes.replay", bars.csv, scratch]


def _ours_recording(bars: Bars, scratch: Path) -> list[str | Path]:
    return [*_ours(bars, scratch), "--all-records"]
