"""Resident memory while bars go by: `python -m bench.probes.memory CSV OUT EVERY`."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

import sextant.replay
from bench.probes.replay import replayed
from data.clock import ManualClock
from data.feed import MarketEvent
from sextant.session import Session

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of this process in memory now: proc(5), statm."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def watched(
    events: Iterable[MarketEvent], every: int, seen: list[tuple[int, int]]
) -> Iterator[MarketEvent]:
    """The same events; every so many, their number and the memory go into `seen`."""
    for number, event in enumerate(events):
        if number % every == 0:
            seen.append((number, resident()))
        yield event


def main(csv: str, out: str, every: str) -> None:
    seen: list[tuple[int, int]] = []
    drive = sextant.replay.drive

    async def and_watched(
        session: Session, events: Iterable[MarketEvent], clock: ManualClock
    ) -> None:
        await drive(session, watched(events, int(every), seen), clock)

    with patch.object(sextant.replay, "drive", and_watched):
        summary = replayed(Path(csv), Path(out))
    print(json.dumps({"bars": summary.bars, "buys": summary.trading.buys, "resident": seen}))


if __name__ == "__main__":
    main(*sys.argv[1:])
