"""The work that all engines are given, and what must come of it.

EMA(20)/EMA(50) of the close, long or flat with 1 BTC, 0.26 % fee, on seeded one-minute bars.
Generator, yardstick and peers are scripts of the project's shared folder, beside the checkout.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.process import PROJECT, BenchFailed, run

SCRIPTS = PROJECT.parent / "shared" / "bench_peers"
_TOLERANCE = Decimal("1e-6")  # in account currency; the others count in floats


class Fill(StrEnum):
    """At which price a market order fills."""

    OPEN = "open"  # the next bar's
    CLOSE = "close"  # the same bar's


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run must end with."""

    equity: Decimal
    buys: int
    sells: int

    def agrees(self, other: "Outcome") -> bool:
        trades = (self.buys, self.sells) == (other.buys, other.sells)
        return trades and abs(self.equity - other.equity) <= _TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One series as both kinds of file."""

    count: int
    csv: Path
    npy: Path


_PUBLISHED = {
    (500_000, Fill.OPEN): Outcome(equity=Decimal("8217630.080772"), buys=4973, sells=4973),
    (500_000, Fill.CLOSE): Outcome(equity=Decimal("8218278.692248"), buys=4973, sells=4973),
}
"""README of the scripts' folder: what five engines came to, each by itself."""
_DIGESTS = {500_000: "5a8a74e2b46516548879a4bb9fc12856cfa92632420f28c781678266bc4d2970"}


def generated(count: int, cache: Path) -> Bars:
    """The series of `count` bars, made once and kept in `cache`.

    Raises:
        BenchFailed: it is not the series that the published outcomes are of.
    """
    folder = cache / f"bars-{count}"
    bars = Bars(count=count, csv=folder / "synthetic_BTCUSDT_1m.csv", npy=folder / "bars.npy")
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _generate(count, made)
            (made / "bars.csv").rename(made / bars.csv.name)
            made.rename(folder)
    _require_published(bars)
    return bars


def _generate(count: int, folder: Path) -> None:
    script = SCRIPTS / "gen_data.py"
    made = subprocess.run(
        [sys.executable, script, folder, str(count)], check=False, capture_output=True, text=True
    )
    if made.returncode != 0:
        raise BenchFailed(f"{script}: exit {made.returncode}\n{made.stderr}")


def _require_published(bars: Bars) -> None:
    wanted = _DIGESTS.get(bars.count)
    with bars.csv.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted is not None and digest != wanted:
        raise BenchFailed(f"{bars.csv}: not the published series ({digest[:12]}); remove it")


def reference(bars: Bars, fill: Fill) -> list[str | Path]:
    """The yardstick: the same rule as one plain loop in floats, and nothing around it."""
    return [sys.executable, SCRIPTS / "reference.py", bars.npy, "loop", fill]


def expected(bars: Bars, fill: Fill) -> Outcome:
    """The published outcome, or for a series of another length the yardstick's."""
    return _PUBLISHED.get((bars.count, fill)) or outcome(run(reference(bars, fill)).answer)


def outcome(answer: Mapping[str, Any]) -> Outcome:
    """What an engine says that it came to."""
    return Outcome(
        equity=Decimal(str(answer["equity"])),
        buys=int(answer["buys"]),
        sells=int(answer["sells"]),
    )


def require_right(name: str, answer: Mapping[str, Any], right: Outcome) -> None:
    """Raise unless the work was done right: a wrong result has no speed.

    Raises:
        BenchFailed: it was not.
    """
    came_to = outcome(answer)
    if not came_to.agrees(right):
        raise BenchFailed(f"{name}: no speed for a wrong result: {came_to}, not {right}")
