"""Recorded bars: files of comma-separated values, read as a stream and played back by a clock.

A file is text, gzip or in a zip, with the header `ts,open,high,low,close,volume` (`ts` in seconds)
or `ts_ms,...` (milliseconds), or without one as Kraken's OHLCVT downloads are, whose seventh column
is the number of trades. The time is the bar's open, in UTC. A row that cannot be a bar, stands
twice or stands too late is left out and counted; bars that are not there are told as
`FeedInterrupted`. Nothing is repaired, filled in or sorted.
"""

import hashlib
import heapq
import itertools
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path

from data.bar import Bar, MalformedBar, Timeframe
from data.clock import Clock
from data.faults import Malformed
from data.feed import FeedInterrupted, MarketEvent
from data.feeds.playback import known_at, play
from data.feeds.text_file import count_lines, open_text
from data.instrument import Price, Quantity, Symbol

_MONDAY_SECONDS = 4 * 86_400  # 1970-01-05, a Monday: the grid on which weeks, and all below, open
_TIMES_PER_SECOND = {  # by header
    "ts,open,high,low,close,volume": 1,
    "ts_ms,open,high,low,close,volume": 1_000,
}
_LAYOUTS = " or ".join(_TIMES_PER_SECOND)
_OHLCVT = re.compile(r"\d{9,11}(,[\d.eE+-]+){5},\d+\s*")  # a row, and so the first, of Kraken's
_EXAMPLES = 20  # refused rows that a report keeps
_NAME = re.compile(  # binance_spot_BTCUSDT_1m_20210420.csv.gz, BTC_USDT-1h.csv
    r"(?:^|[_-])(?P<base>[A-Z0-9]{2,12}?)[_-]?(?P<quote>USDT|USDC|USD|EUR|BTC|ETH)"
    rf"[_-](?P<timeframe>{'|'.join(Timeframe)})(?=[_.-]|$)"
)


class Defect(StrEnum):
    """Why a row was left out."""

    MALFORMED = "malformed"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRefused:
    """A row that was left out; `line` counts from 1, the header included."""

    path: Path
    line: int
    defect: Defect
    detail: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.defect}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How many rows a file may lose before it is no longer believed.

    The reading fails once more than `rows` rows, and more than `share` of those read so far, were
    left out. The defaults let real downloads through, whose faults stay well below 1 %, and stop
    at a wrong file. `Tolerance(rows=0, share=0)` allows none.
    """

    rows: int = 20
    share: float = 0.01  # fraction of the rows read so far

    def passes(self, refused: int, read: int) -> bool:
        return refused <= self.rows or refused <= self.share * read


USUAL = Tolerance()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """What came of a file as far as it was read; each row is a bar or refused."""

    path: Path
    bars: int
    refused: Mapping[Defect, int]
    examples: tuple[RowRefused, ...]  # the first refused rows
    gaps: int
    missing: int  # bars that should stand between the first and the last, and do not
    since: datetime | None  # close of the first bar
    until: datetime | None  # close of the last bar


class BarReading:
    """One pass over a file of bars: iterate it once; `report` says what came of it so far.

    Raises:
        Malformed: at once for the header; while iterating, for more refused rows than the
            tolerance passes, for damaged compression and, at the end, for a file without a bar.
    """

    def __init__(
        self, path: Path, symbol: Symbol, timeframe: Timeframe, tolerance: Tolerance
    ) -> None:
        self._path = path
        self._tolerance = tolerance
        with open_text(path) as lines:
            self._row, self._headings = _row_of(path, lines.readline(), symbol, timeframe)
        self._bars = 0
        self._refused: Counter[Defect] = Counter()
        self._examples: list[RowRefused] = []
        self._gaps = 0
        self._missing = 0
        self._since: datetime | None = None
        self._until: datetime | None = None
        self._events = self._read()

    def __iter__(self) -> Iterator[MarketEvent]:
        return self._events

    @property
    def rows(self) -> int:
        """How many were read so far."""
        return self._bars + self._refused.total()

    @property
    def report(self) -> ReadReport:
        return ReadReport(
            path=self._path,
            bars=self._bars,
            refused=dict(self._refused),
            examples=tuple(self._examples),
            gaps=self._gaps,
            missing=self._missing,
            since=self._since,
            until=self._until,
        )

    def _read(self) -> Iterator[MarketEvent]:
        bar_of, delta = self._row.bar, self._row.timeframe.delta
        first = self._headings
        with open_text(self._path) as lines:
            for number, line in enumerate(itertools.islice(lines, first, None), start=first + 1):
                try:
                    bar = bar_of(line)
                except (ValueError, InvalidOperation, OverflowError, MalformedBar) as error:
                    self._refuse(number, Defect.MALFORMED, f"{line.rstrip()[:80]!r} ({error})")
                    continue
                closed_at, last = bar.closed_at, self._until
                if last is None:
                    self._since = closed_at
                elif closed_at <= last:
                    defect = Defect.DUPLICATE if closed_at == last else Defect.OUT_OF_ORDER
                    self._refuse(number, defect, f"closes at {closed_at}, after one at {last}")
                    continue
                elif closed_at != last + delta:
                    yield self._gap(last, closed_at)
                self._until = closed_at
                self._bars += 1
                yield bar
        if self._until is None:
            raise Malformed(f"{self._path}: no bar in it{self._sample()}; give another file")

    def _gap(self, last: datetime, closed_at: datetime) -> FeedInterrupted:
        missing = (closed_at - last) // self._row.timeframe.delta - 1
        self._gaps += 1
        self._missing += missing
        return FeedInterrupted(
            symbol=self._row.symbol,
            timeframe=self._row.timeframe,
            since=last,
            until=closed_at,
            reason=f"{self._path.name}: bars missing: {missing}",
        )

    def _refuse(self, line: int, defect: Defect, detail: str) -> None:
        self._refused[defect] += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append(
                RowRefused(path=self._path, line=line, defect=defect, detail=detail)
            )
        refused = self._refused.total()
        if not self._tolerance.passes(refused, self._bars + refused):
            raise Malformed(
                f"{self._path}:{line}: {refused} of {self._bars + refused} rows so far are no bars "
                f"in order{self._sample()}; repair or sort the file, or allow a larger tolerance"
            )

    def _sample(self) -> str:
        return f" (the first: {self._examples[0]})" if self._examples else ""


def read_bars(
    path: Path, symbol: Symbol, timeframe: Timeframe, *, tolerance: Tolerance = USUAL
) -> BarReading:
    """The bars of a file and the gaps between them, in time order; memory stays flat.

    Raises:
        Malformed: the file is empty, its header is unknown, or it claims to be gzip and is not.
            Iterating may raise it too: see `BarReading`.
        OSError: the file cannot be opened.
    """
    return BarReading(path, symbol, timeframe, tolerance)


def series_named(path: Path) -> tuple[Symbol, Timeframe]:
    """What a file such as `binance_spot_BTCUSDT_1m_20210420.csv.gz` says that it holds.

    Raises:
        Malformed: the name does not tell.
    """
    found = _NAME.search(path.name)
    if found is None:
        raise Malformed(
            f"{path}: its name tells no symbol and timeframe, as in "
            "binance_spot_BTCUSDT_1m_2021.csv.gz; name both, or rename the file"
        )
    return Symbol(f"{found['base']}/{found['quote']}"), Timeframe(found["timeframe"])


def merge(streams: Sequence[Iterable[MarketEvent]]) -> Iterator[MarketEvent]:
    """Streams that are each in time order as one; at the same time, in the order of `streams`."""
    if len(streams) == 1:
        return iter(streams[0])
    return heapq.merge(*streams, key=known_at)


class RecordedFeed:
    """Recorded streams played back by a clock, from the first event known after `start_after`."""

    def __init__(
        self,
        streams: Sequence[Iterable[MarketEvent]],
        clock: Clock,
        *,
        start_after: datetime | None = None,
    ) -> None:
        self._streams = streams
        self._clock = clock
        self._start_after = start_after

    def events(self) -> AsyncGenerator[MarketEvent, None]:
        events = merge(self._streams)
        after = self._start_after
        if after is not None:
            events = itertools.dropwhile(lambda event: known_at(event) <= after, events)
        return play(events, self._clock)


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal: which data a run has read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Row:
    """How a line of one file becomes a bar."""

    def __init__(self, symbol: Symbol, timeframe: Timeframe, times_per_second: int) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self._times_per_second = times_per_second
        self._delta = timeframe.delta
        self._seconds = int(timeframe.delta.total_seconds())
        self._step = self._seconds * times_per_second
        self._offset = _MONDAY_SECONDS * times_per_second
        self._due = self._offset  # the open that follows the one before, which closed then:
        self._closed_at = datetime.fromtimestamp(_MONDAY_SECONDS, UTC)

    def bar(self, line: str) -> Bar:
        """The bar that `line` holds.

        Raises:
            ValueError, InvalidOperation, OverflowError, MalformedBar: it holds none.
        """
        time, open_, high, low, close, volume = line.split(",")
        return Bar(
            symbol=self.symbol,
            timeframe=self.timeframe,
            closed_at=self._close_of(int(time)),
            open=Price(Decimal(open_)),
            high=Price(Decimal(high)),
            low=Price(Decimal(low)),
            close=Price(Decimal(close)),
            volume=Quantity(Decimal(volume)),
        )

    def _close_of(self, opened: int) -> datetime:
        """When the bar closes that opens then: for most, one interval after the one before."""
        if opened == self._due:
            closed_at = self._closed_at + self._delta
        elif (opened - self._offset) % self._step:
            raise MalformedBar(f"no {self.timeframe} bar opens at {opened}")
        else:
            seconds = opened // self._times_per_second + self._seconds
            closed_at = datetime.fromtimestamp(seconds, UTC)
        self._due = opened + self._step
        self._closed_at = closed_at
        return closed_at


class _OhlcvtRow(_Row):
    """How a line of Kraken's download becomes a bar."""

    def bar(self, line: str) -> Bar:
        time, open_, high, low, close, volume, trades = line.split(",")
        return Bar(
            symbol=self.symbol,
            timeframe=self.timeframe,
            closed_at=self._close_of(int(time)),
            open=Price(Decimal(open_)),
            high=Price(Decimal(high)),
            low=Price(Decimal(low)),
            close=Price(Decimal(close)),
            volume=Quantity(Decimal(volume)),
            trades=int(trades),
        )


def _row_of(path: Path, first: str, symbol: Symbol, timeframe: Timeframe) -> tuple[_Row, int]:
    """How the lines of a file that begins so become bars, and how many lines to leave out first."""
    if not first:
        raise Malformed(f"{path}: empty; its first line should be {_LAYOUTS}")
    if _OHLCVT.fullmatch(first):
        return _OhlcvtRow(symbol, timeframe, times_per_second=1), 0
    found = _TIMES_PER_SECOND.get(first.strip())
    if found is None:
        raise Malformed(f"{path}:1: unknown header {first.strip()[:80]!r}; it should be {_LAYOUTS}")
    return _Row(symbol, timeframe, found), 1


def count_rows(path: Path) -> int:
    """How many lines follow the header, if there is one.

    Raises:
        Malformed: damaged packing.
        OSError: the file cannot be opened.
    """
    with open_text(path) as lines:
        headings = 0 if _OHLCVT.fullmatch(lines.readline()) else 1
    return max(count_lines(path) - headings, 0)
