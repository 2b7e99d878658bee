"""Closed OHLCV bars, one by one and as aligned arrays."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from data.clock import require_utc
from data.faults import Malformed
from data.instrument import Price, Quantity, Symbol

FloatArray: TypeAlias = npt.NDArray[np.float64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # weeks open on Mondays


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One closed OHLCV bar: prices in quote currency, volume in base.

    Raises:
        MalformedBar: a price is not finite or not above zero, open or close lies outside
            [low, high], or the volume is negative or not finite.
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

    def __post_init__(self) -> None:
        require_utc(self.closed_at)
        # A comparison with NaN raises InvalidOperation in Decimal, so finiteness is asked first;
        # low above zero and high finite bound the four prices.
        if not (self.low.is_finite() and self.high.is_finite() and self.volume.is_finite()):
            raise MalformedBar(f"{self.symbol} {self.closed_at}: a number is not finite")
        if not (self.open.is_finite() and self.close.is_finite()):
            raise MalformedBar(f"{self.symbol} {self.closed_at}: a price is not finite")
        if self.low <= 0 or self.volume < 0:
            raise MalformedBar(f"{self.symbol} {self.closed_at}: price or volume below zero")
        if not (self.low <= self.open <= self.high and self.low <= self.close <= self.high):
            raise MalformedBar(f"{self.symbol} {self.closed_at}: prices outside [low, high]")

    @property
    def opened_at(self) -> datetime:
        return self.closed_at - self.timeframe.delta


@dataclass(frozen=True, slots=True)
class BarSeries:
    """Consecutive closed bars of one timeframe as aligned arrays, oldest first, each shape (n,).

    `closed_at` is in seconds since 1970-01-01 UTC. The arrays are views: read them, never write.
    """

    _rows: FloatArray  # shape (6, capacity): closed_at, open, high, low, close, volume
    _start: int
    _stop: int

    def __len__(self) -> int:
        return self._stop - self._start

    def _column(self, row: int) -> FloatArray:
        return self._rows[row, self._start : self._stop]

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
        rows = [_numbers(bar) for bar in bars]
        return cls(np.array(rows, dtype=np.float64).reshape(len(rows), 6).T.copy(), 0, len(rows))


class BarHistory:
    """The newest `capacity` bars of one timeframe; `series` is an immutable view of the present.

    Adding costs O(1) amortised: rows fill a block of twice the capacity, and a full block is
    replaced by a new one, so that earlier views keep what they saw.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a history holds at least one bar, not {capacity}")
        self._capacity = capacity
        self._rows = np.empty((6, 2 * capacity), dtype=np.float64)
        self._stop = 0

    def add(self, closed_at: float, ohlcv: tuple[float, float, float, float, float]) -> None:
        """Append one bar; the caller adds them in order."""
        if self._stop == self._rows.shape[1]:
            kept = self._rows[:, -self._capacity + 1 :] if self._capacity > 1 else self._rows[:, :0]
            self._rows = np.empty_like(self._rows)
            self._stop = kept.shape[1]
            self._rows[:, : self._stop] = kept
        self._rows[:, self._stop] = (closed_at, *ohlcv)
        self._stop += 1

    @property
    def series(self) -> BarSeries:
        return BarSeries(self._rows, max(0, self._stop - self._capacity), self._stop)


def seconds(at: datetime) -> float:
    """Seconds since 1970-01-01 UTC: time as the float arrays hold it."""
    return (at - _EPOCH).total_seconds()


def _numbers(bar: Bar) -> tuple[float, float, float, float, float, float]:
    return (
        seconds(bar.closed_at),
        float(bar.open),
        float(bar.high),
        float(bar.low),
        float(bar.close),
        float(bar.volume),
    )
