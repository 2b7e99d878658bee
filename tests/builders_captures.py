"""The recorded frames of Binance and Hyperliquid, read from the shared data."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any


def frames(path: Path, *, leave_out: str | None = None) -> Iterator[dict[str, Any]]:
    """The JSON of each line behind its time: both archives write `time[:] {...}`."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            start = line.find("{")
            if start >= 0 and not (leave_out and leave_out in line):
                yield json.loads(line[start:])


def answers(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The address and the JSON of each REST answer that cryptofeed recorded."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            address, arrow, rest = line.partition(" -> ")
            if arrow:
                yield address, json.loads(rest[rest.index("{") :])


class Rebuilt:
    """An order book kept the simplest way, to compare with: all levels of both sides."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[Decimal, Decimal]] = defaultdict(dict)

    def put(self, frame: dict[str, Any], bids: str = "b", asks: str = "a") -> None:
        for side in (bids, asks):
            for price, size in frame[side]:
                level, quantity = Decimal(price), Decimal(size)
                levels = self.sides[side[0]]
                levels[level] = quantity
                if not quantity:
                    del levels[level]

    def best(self, depth: int) -> tuple[list[tuple[Decimal, Decimal]], ...]:
        bids = sorted(self.sides["b"].items(), reverse=True)[:depth]
        return bids, sorted(self.sides["a"].items())[:depth]
