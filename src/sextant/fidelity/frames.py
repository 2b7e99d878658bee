"""Recorded frames of one venue as a tape: Binance, Hyperliquid, and Kraken's WebSocket v1.

A line is a time of receipt and the frame as it came: `NANOSECONDS {...}` as hftbacktest writes it,
`SECONDS: {...}` and `URL -> SECONDS: {...}` as cryptofeed does. What is neither, such as a
subscription that was sent, is passed over.
"""

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from data.faults import Malformed
from data.feeds.ccxt_source import at_seconds, exact
from data.feeds.source import BookBroken
from data.feeds.text_file import open_text
from sextant.fidelity.tape import Tape
from sextant.fidelity.venues import BinanceTape, HyperliquidTape, KrakenTape, VenueTape

_LINE: Final = re.compile(r"(?:(?P<url>\S+) -> )?(?P<at>\d+(?:\.\d+)?):? (?P<body>[\[{].*)")
_NANOSECONDS: Final = 19  # digits of a time in them


class NothingRecorded(Malformed):
    """The files hold no order book and trades that can be played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame, when it was received, and the address that was asked, if it is an answer."""

    at: datetime
    url: str | None
    body: Any


def read_tape(files: Sequence[Path], *, name: str | None, depth: int) -> Tape:
    """The market that the venue calls `name`, or the only one; `depth` levels a side are kept.

    Raises:
        NothingRecorded: there is no such market, or more than one and none is named; there are
            frames of two venues; or there is no book, or no trade.
        Malformed: a line is damaged, or the book is not whole.
        OSError: a file cannot be read.
    """
    tapes: dict[str, VenueTape] = {}
    for frame in heapq.merge(*(_frames(path) for path in files), key=attrgetter("at")):
        with _reading(frame):
            _take(tapes, frame, name, depth)
    shown = ", ".join(str(path) for path in files)
    if len({type(tape) for tape in tapes.values()}) > 1:
        raise NothingRecorded(f"{shown}: frames of more than one venue")
    if len(tapes) != 1:
        found = ", ".join(sorted(tapes)) or "none"
        raise NothingRecorded(f"{shown}: name one of the markets recorded with --symbol: {found}")
    (recorded,) = tapes.values()
    tape = recorded.tape()
    if tape is None:
        raise NothingRecorded(f"{shown}: no whole order book of {recorded.symbol}, or no trades")
    return tape


def _take(tapes: dict[str, VenueTape], frame: Frame, wanted: str | None, depth: int) -> None:
    found = _market_of(frame, tapes)
    if found is None:
        return
    kind, name = found
    if wanted is not None and name != wanted:
        return
    if name not in tapes:
        tapes[name] = kind(name, depth=depth)
    tapes[name].take(frame.at, frame.body)


def _market_of(frame: Frame, known: Mapping[str, VenueTape]) -> tuple[type[VenueTape], str] | None:
    """Whose frame it is, and of which market; None for what tells of none.

    Binance's REST answer does not name its market: the address does, or there is only one.
    """
    match frame.body:
        case {"stream": str(), "data": {"s": str(name)}}:
            return BinanceTape, name
        case {"lastUpdateId": _}:
            asked = parse_qs(urlsplit(frame.url or "").query).get("symbol", list(known))
            return (BinanceTape, asked[0]) if len(asked) == 1 else None
        case {"channel": "l2Book", "data": {"coin": str(name)}}:
            return HyperliquidTape, name
        case {"channel": "trades", "data": [{"coin": str(name)}, *_]}:
            return HyperliquidTape, name
        case [int(), *_, str(channel), str(name)] if channel.startswith(("book-", "trade")):
            return KrakenTape, name
        case _:
            return None


@contextmanager
def _reading(frame: Frame) -> Iterator[None]:
    """Turn what a surprising frame does to its reader into `Malformed`, and say where it stood."""
    try:
        yield
    except (BookBroken, Malformed) as error:
        raise Malformed(f"frame received at {frame.at:%H:%M:%S.%f}: {error}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        raise Malformed(f"frame received at {frame.at:%H:%M:%S.%f}: unreadable: {said}") from error


def _frames(path: Path) -> Iterator[Frame]:
    with open_text(path) as lines:
        for line in lines:
            found = _LINE.match(line)
            if found is not None:
                at, body = _time(found["at"]), _json(path, found["body"])
                yield Frame(at=at, url=found["url"], body=body)


def _json(path: Path, text: str) -> Any:
    try:
        return exact(text)
    except ValueError as error:
        raise Malformed(f"{path}: {text[:60]!r} is no JSON: {error}") from error


def _time(text: str) -> datetime:
    if "." not in text and len(text) == _NANOSECONDS:
        text = f"{text[:-9]}.{text[-9:]}"
    return at_seconds(text)
