"""Averages, sums and extremes of a stream of numbers, one by one; NaN until there are enough.

Sums and extremes over a window are O(1) amortised and never subtract, so no rounding error outlives
its window.
"""

from collections import deque
from itertools import accumulate
from math import dist, fsum, nan, sqrt


class SeededAverage:
    """Exponential smoothing by `alpha`, seeded with the mean of the first `period` values."""

    __slots__ = ("_alpha", "_period", "_seed", "_value")

    def __init__(self, period: int, alpha: float) -> None:
        self._period = period
        self._alpha = alpha
        self._seed: list[float] | None = []
        self._value = nan

    def update(self, value: float) -> float:
        if self._seed is None:
            self._value += self._alpha * (value - self._value)
        else:
            self._collect(self._seed, value)
        return self._value

    def _collect(self, seed: list[float], value: float) -> None:
        seed.append(value)
        if len(seed) == self._period:
            self._value = fsum(seed) / self._period
            self._seed = None


def exponential(period: int) -> SeededAverage:
    """The usual exponential average: the weight of a value falls by 1 - 2 / (period + 1)."""
    return SeededAverage(period, 2.0 / (period + 1))


def wilder(period: int) -> SeededAverage:
    """Wilder's average: the weight of a value falls by 1 - 1 / period a bar.

    Source:
        J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    return SeededAverage(period, 1.0 / period)


class RollingSum:
    """The sum of the newest `period` values; NaN until there are as many.

    Two stacks: sums over the newest 1, 2, ... values of the block before, and the sum so far of the
    block that fills. One addition a bar; a full block is summed backwards once.
    """

    __slots__ = ("_block", "_older", "_sum")

    def __init__(self, period: int) -> None:
        self._block: list[float] = []
        self._older = [nan] * (period - 1)
        self._sum = 0.0

    def update(self, value: float) -> float:
        self._block.append(value)
        self._sum += value
        if self._older:
            return self._older.pop() + self._sum
        total = self._sum
        self._older = list(accumulate(reversed(self._block)))
        self._older.pop()
        self._block.clear()
        self._sum = 0.0
        return total


class RollingMax:
    """The largest of the newest `period` values, as `RollingSum` sums them."""

    __slots__ = ("_block", "_max", "_older")

    def __init__(self, period: int) -> None:
        self._block: list[float] = []
        self._older = [nan] * (period - 1)
        self._max = -float("inf")

    def update(self, value: float) -> float:
        self._block.append(value)
        largest = max(self._max, value)
        self._max = largest
        if self._older:
            older = self._older.pop()
            return max(older, largest)  # NaN while warming up
        self._older = list(accumulate(reversed(self._block), max))
        self._older.pop()
        self._block.clear()
        self._max = -float("inf")
        return largest


class Deviation:
    """Mean and population deviation of the newest `period` values; NaN until there are as many.

    Costs O(period), in C: running sums of squares would cancel at prices far above their spread.
    """

    __slots__ = ("_period", "_root", "_window")

    def __init__(self, period: int) -> None:
        self._window: deque[float] = deque(maxlen=period)
        self._period = period
        self._root = sqrt(period)

    def update(self, value: float) -> tuple[float, float]:
        window = self._window
        window.append(value)
        if len(window) < self._period:
            return nan, nan
        mean = fsum(window) / self._period
        return mean, dist(window, (mean,) * self._period) / self._root
