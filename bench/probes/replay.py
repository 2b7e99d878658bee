"""The real replay of one file: `python -m bench.probes.replay CSV OUT [--all-records]`."""

import json
import sys
import time
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import ParamSpec
from unittest.mock import patch

from rich.console import Console

import sextant.replay
from sextant.evaluation.summary import Summary
from sextant.settings import PROJECT, load_settings

CONFIG = PROJECT / "bench" / "ema_cross.toml"
P = ParamSpec("P")


def timed(work: Callable[P, Awaitable[None]], spent: list[float]) -> Callable[P, Awaitable[None]]:
    """The same work; its seconds are added to `spent`."""

    async def and_timed(*given: P.args, **named: P.kwargs) -> None:
        began = time.perf_counter()
        await work(*given, **named)
        spent.append(time.perf_counter() - began)

    return and_timed


def replayed(csv: Path, out: Path, *, keep_all: bool = False) -> Summary:
    """The EMA desk over `csv`, as `sextant replay` runs it."""
    return sextant.replay.run_replay(
        load_settings(CONFIG),
        [csv],
        out=out,
        keep_all=keep_all,
        ask_models=False,
        console=Console(file=StringIO()),
    )


def main(csv: str, out: str, *options: str) -> None:
    spent: list[float] = []
    with patch.object(sextant.replay, "drive", timed(sextant.replay.drive, spent)):
        summary = replayed(Path(csv), Path(out), keep_all="--all-records" in options)
    answer = {
        "equity": str(summary.equity_end),
        "buys": summary.trading.buys,
        "sells": summary.trading.sells,
        "bars": summary.bars,
        "bars_per_s": summary.bars / sum(spent),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
