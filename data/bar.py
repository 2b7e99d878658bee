"""Closed OHLCV bars: one by one, folded into longer ones, and as aligned arrays."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from data.faults import Malformed
from data.instrument import Notional, Price, Quantity, Symbol
from data.utc import require_utc
from data.value import quick

FloatArray: TypeAlias = npt.NDArray[np.float64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # weeks open on Mondays
_ZERO, _INFINITY = Decimal(0), Decimal("Infinity")
OHLCV: TypeAlias = tuple[float, float, float, float, float]
_COLUMNS = 6
_LEAST_SPARE = 64  # rows of a block beyond its history's capacity
_ROW = struct.Struct(f"={_COLUMNS}d")


class Timeframe(StrEnum):
    """The nine bar sizes."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    H12 = "12h"
    D1 = "1d"
    W1 = "1w"

    @property
    def delta(self) -> timedelta:
        return _DELTAS[self]

    def closes_at(self, at: datetime) -> bool:
        """Whether a bar of this size closes exactly at `at`."""
        return not (at - _MONDAY) % _DELTAS[self]

    def close_after(self, opened: datetime) -> datetime:
        """When the bar that holds the instant `opened` closes; a bar holds its own open."""
        delta = _DELTAS[self]
        return opened - (opened - _MONDAY) % delta + delta


_DELTAS = {
    Timeframe.M1: timedelta(minutes=1),
    Timeframe.M5: timedelta(minutes=5),
    Timeframe.M15: timedelta(minutes=15),
    Timeframe.M30: timedelta(minutes=30),
    Timeframe.H1: timedelta(hours=1),
    Timeframe.H4: timedelta(hours=4),
    Timeframe.H12: timedelta(hours=12),
    Timeframe.D1: timedelta(days=1),
    Timeframe.W1: timedelta(weeks=1),
}


class MalformedBar(Malformed):
    """Numbers that no bar can have."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One closed OHLCV bar: prices in quote currency, volume in base.

    A bar without a trade has the close before it as all its prices, a volume of zero and, where
    that is known, `trades` of zero.

    Raises:
        MalformedBar: a price is not finite or not above zero, open or close lies outside
            [low, high], or the volume or the turnover is negative or not finite.
        NaiveTime: `closed_at` is not in UTC.
    """

    symbol: Symbol
    timeframe: Timeframe
    closed_at: datetime  # exchange time, UTC; the interval is [closed_at - timeframe, closed_at)
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Quantity
    turnover: Notional | None = None  # of all trades, in quote currency; None is unknown
    trades: int | None = None

    def __post_init__(self) -> None:
        require_utc(self.closed_at)
        low, high = self.low, self.high
        try:
            is_sound = (
                _ZERO < low <= self.open <= high < _INFINITY
                and low <= self.close <= high
                and _ZERO <= self.volume < _INFINITY
                and (self.turnover is None or _ZERO <= self.turnover < _INFINITY)
            )
        except InvalidOperation:  # what a comparison with NaN raises
            is_sound = False
        if not is_sound:
            raise MalformedBar(f"{self.symbol} {self.closed_at}: {self._defect()}")

    def _defect(self) -> str:
        turnover = self.turnover or _ZERO
        numbers = (self.open, self.high, self.low, self.close, self.volume, turnover)
        if not all(number.is_finite() for number in numbers):
            return "a number is not finite"
        if self.low <= 0 or self.volume < 0 or turnover < 0:
            return "price, volume or turnover below zero"
        return "prices outside [low, high]"

    @property
    def opened_at(self) -> datetime:
        return self.closed_at - self.timeframe.delta

    @property
    def vwap(self) -> Price | None:
        """Volume-weighted price; None without a trade, or where the turnover is unknown."""
        return Price(self.turnover / self.volume) if self.turnover and self.volume else None

    @property
    def ohlcv(self) -> OHLCV:
        """The five numbers as floats, for what is estimated."""
        return (
            float(self.open),
            float(self.high),
            float(self.low),
            float(self.close),
            float(self.volume),
        )


class Resampler:
    """Folds shorter bars, given in order, into closed bars of a longer `timeframe`.

    A longer bar is made of the bars of its interval that there are; one whose end is missing closes
    with the first bar past it, and an interval without any gives none. The interval in which the
    bars begin is left out unless they begin with it: nobody knows the rest.

    Prices are those of bars with trades. One that is known to be without (`trades` is 0) repeats an
    older close, which counts only where its whole interval was without; None counts as traded.
    """

    def __init__(self, timeframe: Timeframe) -> None:
        self._timeframe = timeframe
        self._closes_at = datetime.min.replace(tzinfo=UTC)
        self._first: Bar | None = None  # of the open interval; None where it is left out
        self._last: Bar | None = None
        self._high = self._low = Price(Decimal(0))
        self._volume = Quantity(Decimal(0))
        self._turnover: Notional | None = None
        self._trades: int | None = None

    def follow(self, longer: Bar) -> None:
        """Go on after a bar of `timeframe` made elsewhere; bars that it holds are passed over."""
        self._closes_at = longer.closed_at
        self._first, self._last = None, longer

    def add(self, bar: Bar) -> tuple[Bar, ...]:
        """The longer bars that are closed now that `bar` is: none, one, or two across a gap."""
        closed: tuple[Bar, ...] = ()
        if bar.closed_at > self._closes_at:
            closed = self._close()
            self._open(bar)
        else:
            self._extend(bar)
        return closed if bar.closed_at < self._closes_at else closed + self._close()

    def _open(self, bar: Bar) -> None:
        self._closes_at = self._timeframe.close_after(bar.opened_at)
        begins_it = bar.opened_at == self._closes_at - self._timeframe.delta
        is_whole = begins_it or self._last is not None
        self._first = bar if is_whole else None
        self._high, self._low, self._last = bar.high, bar.low, bar
        self._volume, self._turnover, self._trades = bar.volume, bar.turnover, bar.trades

    def _extend(self, bar: Bar) -> None:
        trades, before = bar.trades, self._trades
        if before == 0 and trades != 0:  # nothing had traded: prices begin here
            self._first = bar if self._first is not None else None
            self._high, self._low, self._last = bar.high, bar.low, bar
        elif before == 0 or trades != 0:
            if bar.high > self._high:
                self._high = bar.high
            if bar.low < self._low:
                self._low = bar.low
            self._last = bar
        self._volume = Quantity(self._volume + bar.volume)
        if self._turnover is not None:  # one unknown part leaves the whole unknown
            more = bar.turnover
            self._turnover = None if more is None else Notional(self._turnover + more)
        if before is not None:
            self._trades = None if trades is None else before + trades

    def _close(self) -> tuple[Bar, ...]:
        first, self._first = self._first, None
        if first is None or self._last is None:
            return ()
        longer = Bar(
            symbol=first.symbol,
            timeframe=self._timeframe,
            closed_at=self._closes_at,
            open=first.open,
            high=self._high,
            low=self._low,
            close=self._last.close,
            volume=self._volume,
            turnover=self._turnover,
            trades=self._trades,
        )
        return (longer,)


class BarSeries:
    """Consecutive closed bars of one timeframe as aligned arrays, oldest first, each shape (n,).

    `closed_at` is in seconds since 1970-01-01 UTC. The arrays are read-only views, 6 floats apart.
    """

    __slots__ = ("_rows", "_start", "_stop")

    def __init__(self, rows: FloatArray, start: int, stop: int) -> None:
        self._rows = rows  # shape (capacity, 6): closed_at, open, high, low, close, volume
        self._start = start
        self._stop = stop

    def __len__(self) -> int:
        return self._stop - self._start

    def _column(self, column: int) -> FloatArray:
        return self._rows[self._start : self._stop, column]

    @property
    def closed_at(self) -> FloatArray:
        return self._column(0)

    @property
    def open(self) -> FloatArray:
        return self._column(1)

    @property
    def high(self) -> FloatArray:
        return self._column(2)

    @property
    def low(self) -> FloatArray:
        return self._column(3)

    @property
    def close(self) -> FloatArray:
        return self._column(4)

    @property
    def volume(self) -> FloatArray:
        return self._column(5)

    def last(self, count: int) -> "BarSeries":
        """The newest `count` bars, or all where there are fewer."""
        return BarSeries(self._rows, max(self._start, self._stop - count), self._stop)

    @classmethod
    def of(cls, bars: Iterable[Bar]) -> "BarSeries":
        """A series of its own out of bars in order."""
        return cls.of_rows([(seconds(bar.closed_at), *bar.ohlcv) for bar in bars])

    @classmethod
    def of_rows(cls, rows: npt.ArrayLike) -> "BarSeries":
        """A series of its own out of (closed_at, open, high, low, close, volume), in order."""
        copied = np.array(rows, dtype=np.float64).reshape(-1, _COLUMNS)
        copied.flags.writeable = False
        return cls(copied, 0, len(copied))


class BarHistory:
    """The newest `capacity` bars of one timeframe; `series` is an immutable view of the present.

    Adding costs O(1) amortised: rows fill a block of twice the capacity or more, and a full block
    is replaced by a new one, so that earlier views keep what they saw. Rows are packed into bytes,
    which is several times faster than assigning to an array.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a history holds at least one bar, not {capacity}")
        self._capacity = capacity
        self._most = capacity + max(capacity, _LEAST_SPARE)
        self._stop = 0
        self._renew(b"")

    def add(self, closed_at: float, ohlcv: OHLCV) -> None:
        """Append one bar; the caller adds them in order."""
        if self._stop == self._most:
            kept = self._capacity - 1
            self._renew(self._block[(self._most - kept) * _ROW.size :])
            self._stop = kept
        _ROW.pack_into(self._block, self._stop * _ROW.size, closed_at, *ohlcv)
        self._stop += 1

    def _renew(self, kept: bytes | bytearray) -> None:
        self._block = bytearray(kept).ljust(self._most * _ROW.size, b"\0")
        view = memoryview(self._block).toreadonly()
        self._rows = np.frombuffer(view, dtype=np.float64).reshape(-1, _COLUMNS)

    @property
    def series(self) -> BarSeries:
        return BarSeries(self._rows, max(0, self._stop - self._capacity), self._stop)


def seconds(at: datetime) -> float:
    """Seconds since 1970-01-01 UTC: time as the float arrays hold it."""
    return (at - _EPOCH).total_seconds()
