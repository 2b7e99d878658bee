"""Indicators bar by bar: each state keeps what the next bar needs, and nothing allocates an array.

A value that is 0/0 (a relative strength where nothing moved) is NaN, as in the batch.
"""

from collections import deque
from math import log10, nan
from typing import Final

from data.rolling import Deviation, RollingMax, RollingSum, exponential, wilder

SECONDS_PER_DAY: Final = 86_400.0
LEAST_RSI_RANGE: Final = 1e-6  # RSI points; a window that spans less holds rounding only
LEAST_BAND_WIDTH: Final = 1e-9  # of the mean; far below one tick in a window, far above rounding
CLEARLY_INSIDE: Final = 1.0 - 1e-9  # bands that differ by rounding only touch: that is no squeeze


class TrueRange:
    """The range of a bar that counts the jump from the close before; NaN at the first bar."""

    __slots__ = ("_close",)

    def __init__(self) -> None:
        self._close = nan

    def update(self, high: float, low: float, close: float) -> float:
        before = self._close
        self._close = close
        if before != before:
            return nan
        if before > high:  # a tenth of what max and min cost
            high = before
        if before < low:
            low = before
        return high - low


class AverageTrueRange:
    """Wilder's average of the true range; first at index `period`."""

    __slots__ = ("_average", "_range")

    def __init__(self, period: int) -> None:
        self._range = TrueRange()
        self._average = wilder(period)

    def update(self, high: float, low: float, close: float) -> float:
        true_range = self._range.update(high, low, close)
        return nan if true_range != true_range else self._average.update(true_range)


class RelativeStrength:
    """Wilder's RSI of closes, 0 to 100; first at index `period`, NaN where nothing ever moved."""

    __slots__ = ("_close", "_gain", "_loss")

    def __init__(self, period: int) -> None:
        self._gain = wilder(period)
        self._loss = wilder(period)
        self._close = nan

    def update(self, close: float) -> float:
        change = close - self._close
        self._close = close
        if change != change:
            return nan
        gain = self._gain.update(max(0.0, change))
        movement = gain + self._loss.update(-change if change < 0.0 else 0.0)
        return 100.0 * gain / movement if movement else nan


class EmaState:
    """Seeded by the mean of the first closes."""

    __slots__ = ("_average",)

    def __init__(self, period: int) -> None:
        self._average = exponential(period)

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        return (self._average.update(close),)


class FirstSeededEmaState:
    """Seeded by the first close, so valid from the first bar."""

    __slots__ = ("_alpha", "_value")

    def __init__(self, period: int) -> None:
        self._alpha = 2 / (period + 1)
        self._value: float | None = None

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        value = self._value
        if value is None:
            value = close
        else:
            value += self._alpha * (close - value)
        self._value = value
        return (value,)


class SmaState:
    __slots__ = ("_period", "_sum")

    def __init__(self, period: int) -> None:
        self._sum = RollingSum(period)
        self._period = period

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        return (self._sum.update(close) / self._period,)


class AdxState:
    """Directional movement as TA-Lib has it: a bar without direction leaves the index unchanged.

    Movements are Wilder sums, seeded by the first period - 1 of them; the true range that would
    divide both of them cancels.
    """

    __slots__ = ("_adx", "_bars", "_high", "_low", "_minus", "_period", "_plus")

    def __init__(self, period: int) -> None:
        self._period = period
        self._bars = 0
        self._high = self._low = nan
        self._plus = self._minus = self._adx = 0.0

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        if self._bars:
            self._move(high, low)
        self._high, self._low = high, low
        self._bars += 1
        return (self._adx if self._bars >= 2 * self._period else nan,)

    def _move(self, high: float, low: float) -> None:
        rise, fall = high - self._high, self._low - low
        # The first period - 1 movements are summed undecayed.
        keep = 1.0 - 1.0 / self._period if self._bars >= self._period else 1.0
        self._plus = self._plus * keep + (rise if rise > fall and rise > 0.0 else 0.0)
        self._minus = self._minus * keep + (fall if fall > rise and fall > 0.0 else 0.0)
        if self._bars >= self._period:
            self._average(self._direction())

    def _direction(self) -> float | None:
        """The directional movement index of this bar, 0 to 100; None where there is none."""
        movement = self._plus + self._minus
        return 100.0 * abs(self._plus - self._minus) / movement if movement else None

    def _average(self, index: float | None) -> None:
        if index is None:
            return
        if self._bars < 2 * self._period:
            self._adx += index / self._period
        else:
            self._adx += (index - self._adx) / self._period


class SupertrendState:
    """A stop line that follows the price at a multiple of its true range, and flips when crossed.

    Only the line in force is held back; the other is fresh at every bar.
    """

    __slots__ = ("_atr", "_direction", "_lower", "_multiplier", "_upper")

    def __init__(self, period: int, multiplier: float) -> None:
        self._atr = AverageTrueRange(period)
        self._multiplier = multiplier
        self._direction = 1.0
        self._upper = self._lower = nan

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        reach = self._multiplier * self._atr.update(high, low, close)
        if reach != reach:
            return nan, nan
        middle = (high + low) / 2.0
        upper, lower = middle + reach, middle - reach
        if close > self._upper:
            self._direction = 1.0
        elif close < self._lower:
            self._direction = -1.0
        elif self._direction > 0.0:
            lower = max(lower, self._lower)
        else:
            upper = min(upper, self._upper)
        self._upper, self._lower = upper, lower
        return (lower if self._direction > 0.0 else upper), self._direction


class RsiState:
    __slots__ = ("_strength",)

    def __init__(self, period: int) -> None:
        self._strength = RelativeStrength(period)

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        return (self._strength.update(close),)


class RocState:
    __slots__ = ("_closes",)

    def __init__(self, period: int) -> None:
        self._closes = deque([nan] * period, maxlen=period)

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        before = self._closes[0]
        self._closes.append(close)
        return (100.0 * (close - before) / before,)


class StochasticRsiState:
    """Where RSI stands in its recent range; a NaN in the chain empties what it went into."""

    __slots__ = ("_d", "_high", "_k", "_low", "_period", "_strength")

    def __init__(self, rsi: int, stochastic: int, k: int, d: int) -> None:
        self._strength = RelativeStrength(rsi)
        self._period = stochastic
        self._k = deque([nan] * k, maxlen=k)
        self._d = deque([nan] * d, maxlen=d)
        self._forget_range()

    def _forget_range(self) -> None:
        self._high = RollingMax(self._period)
        self._low = RollingMax(self._period)  # of the negated RSI

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        self._k.append(self._stand(self._strength.update(close)))
        k = sum(self._k) / len(self._k)
        self._d.append(k)
        d = sum(self._d) / len(self._d)
        return (nan if d != d else k), d

    def _stand(self, strength: float) -> float:
        if strength != strength:
            self._forget_range()
            return nan
        lowest = -self._low.update(-strength)
        spread = self._high.update(strength) - lowest
        return 100.0 * (strength - lowest) / spread if spread > LEAST_RSI_RANGE else nan


class MacdState:
    """The three appear together, at index slow + signal - 1."""

    __slots__ = ("_fast", "_left", "_signal", "_slow")

    def __init__(self, fast: int, slow: int, signal: int) -> None:
        self._fast = exponential(fast)
        self._slow = exponential(slow)
        self._signal = exponential(signal)
        self._left = slow + signal - 1

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        line = self._fast.update(close) - self._slow.update(close)
        signal = nan if line != line else self._signal.update(line)
        if self._left:
            self._left -= 1
            return nan, nan, nan
        return line, signal, line - signal


class AtrState:
    __slots__ = ("_atr",)

    def __init__(self, period: int) -> None:
        self._atr = AverageTrueRange(period)

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        return (self._atr.update(high, low, close),)


class MeanAtrState:
    __slots__ = ("_atr", "_length", "_sum")

    def __init__(self, period: int, length: int) -> None:
        self._atr = AverageTrueRange(period)
        self._sum = RollingSum(length)
        self._length = length

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        atr = self._atr.update(high, low, close)
        return (nan if atr != atr else self._sum.update(atr) / self._length,)


class BollingerState:
    __slots__ = ("_deviation", "_multiplier")

    def __init__(self, period: int, multiplier: float) -> None:
        self._deviation = Deviation(period)
        self._multiplier = multiplier

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        middle, deviation = self._deviation.update(close)
        reach = self._multiplier * deviation
        width = 2.0 * reach / middle
        position = (close - middle + reach) / (2.0 * reach) if width > LEAST_BAND_WIDTH else nan
        return middle + reach, middle, middle - reach, width, position


class KeltnerState:
    __slots__ = ("_atr", "_average", "_multiplier")

    def __init__(self, period: int, atr_period: int, multiplier: float) -> None:
        self._average = exponential(period)
        self._atr = AverageTrueRange(atr_period)
        self._multiplier = multiplier

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        middle = self._average.update(close)
        reach = self._multiplier * self._atr.update(high, low, close)
        if middle != middle or reach != reach:
            return nan, nan, nan
        return middle + reach, middle, middle - reach


class ObvState:
    __slots__ = ("_close", "_total")

    def __init__(self) -> None:
        self._close = 0.0  # below every price: the first bar counts as a rise
        self._total = 0.0

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        if close > self._close:
            self._total += volume
        elif close < self._close:
            self._total -= volume
        self._close = close
        return (self._total,)


class VwapState:
    __slots__ = ("_session", "_value", "_volume")

    def __init__(self) -> None:
        self._session = nan
        self._value = self._volume = 0.0

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        session = -(-closed_at // SECONDS_PER_DAY)  # a close at midnight ends the day before
        if session != self._session:
            self._session = session
            self._value = self._volume = 0.0
        self._value += (high + low + close) / 3.0 * volume
        self._volume += volume
        return (self._value / self._volume if self._volume else nan,)


class VolumeSmaState:
    __slots__ = ("_period", "_sum")

    def __init__(self, period: int) -> None:
        self._sum = RollingSum(period)
        self._period = period

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        mean = self._sum.update(volume) / self._period
        return mean, (volume / mean if mean else nan)


class ChoppinessState:
    __slots__ = ("_high", "_low", "_path", "_range", "_scale")

    def __init__(self, period: int) -> None:
        self._range = TrueRange()
        self._path = RollingSum(period)
        self._high = RollingMax(period)
        self._low = RollingMax(period)  # of the negated lows
        self._scale = 100.0 / log10(period)

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        span = self._high.update(high) + self._low.update(-low)
        true_range = self._range.update(high, low, close)
        if true_range != true_range:
            return (nan,)
        path = self._path.update(true_range)
        return (self._scale * log10(path / span) if span > 0.0 else nan,)


class SqueezeState:
    __slots__ = ("_band", "_channel", "_deviation", "_path", "_range")

    def __init__(self, period: int, band: float, channel: float) -> None:
        self._deviation = Deviation(period)
        self._range = TrueRange()
        self._path = RollingSum(period)
        self._band = band
        self._channel = channel * CLEARLY_INSIDE / period

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        deviation = self._deviation.update(close)[1]
        true_range = self._range.update(high, low, close)
        if true_range != true_range:
            return (nan,)
        channel = self._channel * self._path.update(true_range)
        if channel != channel:
            return (nan,)
        return (1.0 if self._band * deviation < channel else 0.0,)
