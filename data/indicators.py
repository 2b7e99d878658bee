"""Indicators: whole series through the indicator library, and bar by bar in O(1).

Each of them gives the same values either way, causally: a value never depends on a later bar. A
cell that is warming up is NaN, never zero; so is one that is 0/0: RSI and stochastic RSI where
nothing moved, a position between bands without width, VWAP and volume ratio without volume,
choppiness without a range. ATR and ADX are 0 there, which is true of them. The outputs of one
indicator appear together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite, nan
from typing import Final, Literal, Protocol

import numpy as np

from data import indicator_library as library
from data import indicator_states as states
from data.bar import BarSeries, FloatArray


class IndicatorState(Protocol):
    """One indicator that is fed closed bars one by one."""

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> tuple[float, ...]:
        """The values at this bar, in the order of the indicator's `names`; NaN while warming up."""
        ...


class Indicator(Protocol):
    """An indicator with its parameters; one may have several outputs."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        """Every output over the whole series, each shape (n,); NaN while warming up."""
        ...

    def start(self) -> IndicatorState:
        """A fresh state that gives the same values bar by bar."""
        ...


def _named(indicator: Indicator, *lines: FloatArray) -> dict[str, FloatArray]:
    return dict(zip(indicator.names, lines, strict=True))


def _require_periods(*periods: int, least: int = 1) -> None:
    for period in periods:
        if period < least:
            raise ValueError(f"a period here is at least {least}, not {period}")


def _require_multipliers(*multipliers: float) -> None:
    for multiplier in multipliers:
        if not (isfinite(multiplier) and multiplier > 0.0):
            raise ValueError(f"a multiplier is finite and above 0, not {multiplier}")


@dataclass(frozen=True, slots=True)
class Ema:
    """Exponential average of closes, alpha = 2 / (period + 1).

    Seeded by the mean of the first `period` closes, first at index period - 1; or by the first
    close, valid from it on, and then named `ema_<period>_first`.
    """

    period: int
    seed: Literal["sma", "first"] = "sma"

    def __post_init__(self) -> None:
        _require_periods(self.period)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"ema_{self.period}" + ("_first" if self.seed == "first" else ""),)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        if self.seed == "sma":
            return _named(self, library.ema(series.close, self.period))
        # Not the library's: it refuses a series shorter than the period.
        alpha = 2 / (self.period + 1)
        values = accumulate(series.close.tolist(), lambda value, c: value + alpha * (c - value))
        return _named(self, np.fromiter(values, dtype=np.float64, count=len(series)))

    def start(self) -> IndicatorState:
        if self.seed == "sma":
            return states.EmaState(self.period)
        return states.FirstSeededEmaState(self.period)


@dataclass(frozen=True, slots=True)
class Sma:
    """Mean of the newest closes; first at index period - 1."""

    period: int

    def __post_init__(self) -> None:
        _require_periods(self.period)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"sma_{self.period}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, library.sma(series.close, self.period))

    def start(self) -> IndicatorState:
        return states.SmaState(self.period)


@dataclass(frozen=True, slots=True)
class Adx:
    """Average directional index, 0 to 100: how strong a trend is, not which way it goes.

    First at index 2 * period - 1.

    Source:
        J. W. Wilder, New Concepts in Technical Trading Systems, 1978; seeded as in TA-Lib.
    """

    period: int = 14

    def __post_init__(self) -> None:
        _require_periods(self.period, least=2)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"adx_{self.period}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, library.adx(series.high, series.low, series.close, self.period))

    def start(self) -> IndicatorState:
        return states.AdxState(self.period)


@dataclass(frozen=True, slots=True)
class Supertrend:
    """A trailing line at `multiplier` true ranges, and its direction +1 or -1.

    First at index `period`. As in pandas-ta-classic, only the line in force is held back.
    """

    period: int = 10
    multiplier: float = 3.0

    def __post_init__(self) -> None:
        _require_periods(self.period)
        _require_multipliers(self.multiplier)

    @property
    def names(self) -> tuple[str, ...]:
        return (
            f"supertrend_{self.period}_{self.multiplier:g}",
            f"supertrend_direction_{self.period}_{self.multiplier:g}",
        )

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        lines = library.supertrend(
            series.high, series.low, series.close, self.period, self.multiplier
        )
        return _named(self, *lines)

    def start(self) -> IndicatorState:
        return states.SupertrendState(self.period, self.multiplier)


@dataclass(frozen=True, slots=True)
class Rsi:
    """Relative strength index of closes, 0 to 100; first at index `period`.

    Source:
        J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """

    period: int = 14

    def __post_init__(self) -> None:
        _require_periods(self.period)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"rsi_{self.period}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, library.rsi(series.close, self.period))

    def start(self) -> IndicatorState:
        return states.RsiState(self.period)


@dataclass(frozen=True, slots=True)
class Roc:
    """Rate of change over `period` bars, in percent as the field writes it; first at `period`."""

    period: int = 10

    def __post_init__(self) -> None:
        _require_periods(self.period)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"roc_{self.period}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, library.roc(series.close, self.period))

    def start(self) -> IndicatorState:
        return states.RocState(self.period)


@dataclass(frozen=True, slots=True)
class StochasticRsi:
    """Where RSI stands in its range of `stochastic` bars, 0 to 100, smoothed to %K and again to %D.

    Both first at index rsi + stochastic + k + d - 3.

    Source:
        T. Chande, S. Kroll, The New Technical Trader, 1994.
    """

    rsi: int = 14
    stochastic: int = 14
    k: int = 3
    d: int = 3

    def __post_init__(self) -> None:
        _require_periods(self.rsi, self.k, self.d)
        _require_periods(self.stochastic, least=2)

    @property
    def names(self) -> tuple[str, ...]:
        parameters = f"{self.rsi}_{self.stochastic}_{self.k}_{self.d}"
        return f"stoch_rsi_k_{parameters}", f"stoch_rsi_d_{parameters}"

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        lines = library.stochastic_rsi(series.close, self.rsi, self.stochastic, self.k, self.d)
        return _named(self, *lines)

    def start(self) -> IndicatorState:
        return states.StochasticRsiState(self.rsi, self.stochastic, self.k, self.d)


@dataclass(frozen=True, slots=True)
class Macd:
    """Difference of two exponential averages, its own average (the signal), and their difference.

    All first at index slow + signal - 1. Each average is seeded by its own first closes; TA-Lib
    seeds the fast one by the closes just before index `slow`, so its first hundred values differ.
    """

    fast: int = 12
    slow: int = 26
    signal: int = 9

    def __post_init__(self) -> None:
        _require_periods(self.fast, self.slow, self.signal)
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow, not {self.fast} and {self.slow}")

    @property
    def names(self) -> tuple[str, ...]:
        parameters = f"{self.fast}_{self.slow}_{self.signal}"
        return f"macd_{parameters}", f"macd_signal_{parameters}", f"macd_histogram_{parameters}"

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, *library.macd(series.close, self.fast, self.slow, self.signal))

    def start(self) -> IndicatorState:
        return states.MacdState(self.fast, self.slow, self.signal)


@dataclass(frozen=True, slots=True)
class Atr:
    """Wilder's average true range, in quote currency; first at index `period`.

    Source:
        J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """

    period: int = 14

    def __post_init__(self) -> None:
        _require_periods(self.period)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"atr_{self.period}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, library.atr(series.high, series.low, series.close, self.period))

    def start(self) -> IndicatorState:
        return states.AtrState(self.period)


@dataclass(frozen=True, slots=True)
class MeanAtr:
    """Mean of the newest `length` average true ranges; first at index period + length - 1."""

    period: int = 14
    length: int = 20

    def __post_init__(self) -> None:
        _require_periods(self.period, self.length)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"mean_atr_{self.period}_{self.length}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        high, low, close = series.high, series.low, series.close
        return _named(self, library.mean_atr(high, low, close, self.period, self.length))

    def start(self) -> IndicatorState:
        return states.MeanAtrState(self.period, self.length)


@dataclass(frozen=True, slots=True)
class BollingerBands:
    """Mean of closes and `multiplier` population deviations on either side; first at period - 1.

    Width is a share of the middle; position is 0 at the lower band and 1 at the upper, and may lie
    outside of both.
    """

    period: int = 20
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        _require_periods(self.period, least=2)
        _require_multipliers(self.multiplier)

    @property
    def names(self) -> tuple[str, ...]:
        outputs = ("upper", "middle", "lower", "width", "position")
        return tuple(f"bb_{output}_{self.period}" for output in outputs)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, *library.bollinger(series.close, self.period, self.multiplier))

    def start(self) -> IndicatorState:
        return states.BollingerState(self.period, self.multiplier)


@dataclass(frozen=True, slots=True)
class KeltnerChannel:
    """Exponential average of closes and `multiplier` average true ranges on either side.

    First at index max(period - 1, atr_period).
    """

    period: int = 20
    atr_period: int = 10
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        _require_periods(self.period, self.atr_period)
        _require_multipliers(self.multiplier)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"kc_{output}_{self.period}" for output in ("upper", "middle", "lower"))

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        lines = library.keltner(
            series.high, series.low, series.close, self.period, self.atr_period, self.multiplier
        )
        return _named(self, *lines)

    def start(self) -> IndicatorState:
        return states.KeltnerState(self.period, self.atr_period, self.multiplier)


@dataclass(frozen=True, slots=True)
class Obv:
    """On-balance volume, in base: volume added on a rise and taken off on a fall; from index 0.

    It starts with the first bar's volume, so its level depends on where the series starts; only
    its changes mean something.
    """

    @property
    def names(self) -> tuple[str, ...]:
        return ("obv",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, library.obv(series.close, series.volume))

    def start(self) -> IndicatorState:
        return states.ObvState()


@dataclass(frozen=True, slots=True)
class Vwap:
    """Volume-weighted mean of (high + low + close) / 3 since the UTC day began; from index 0.

    A series that starts within a day covers that day from there.
    """

    @property
    def names(self) -> tuple[str, ...]:
        return ("vwap",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        values = library.vwap(
            series.closed_at, series.high, series.low, series.close, series.volume
        )
        return _named(self, values)

    def start(self) -> IndicatorState:
        return states.VwapState()


@dataclass(frozen=True, slots=True)
class VolumeSma:
    """Mean volume in base, and this bar's volume as a multiple of it; first at period - 1."""

    period: int = 20

    def __post_init__(self) -> None:
        _require_periods(self.period)

    @property
    def names(self) -> tuple[str, ...]:
        return f"volume_sma_{self.period}", f"volume_ratio_{self.period}"

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        mean = library.sma(series.volume, self.period)
        return _named(self, mean, series.volume / np.where(mean > 0.0, mean, np.nan))

    def start(self) -> IndicatorState:
        return states.VolumeSmaState(self.period)


@dataclass(frozen=True, slots=True)
class Choppiness:
    """Length of the path against the ground it covered, 0 (straight) to 100; first at `period`.

    100 * log10(sum of true ranges / (highest high - lowest low)) / log10(period). A jump from the
    close before the window lets it pass 100.

    Source:
        E. W. Dreiss, the Choppiness Index, 1993.
    """

    period: int = 14

    def __post_init__(self) -> None:
        _require_periods(self.period, least=2)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"choppiness_{self.period}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        return _named(self, library.choppiness(series.high, series.low, series.close, self.period))

    def start(self) -> IndicatorState:
        return states.ChoppinessState(self.period)


@dataclass(frozen=True, slots=True)
class Squeeze:
    """1 while the Bollinger bands lie inside the Keltner channel, else 0; first at index `period`.

    Both around the simple average of `period` closes: `band` population deviations against
    `channel` mean true ranges. A motionless market is no squeeze.

    Source:
        J. F. Carter, Mastering the Trade, 2005 (the TTM squeeze).
    """

    period: int = 20
    band: float = 2.0
    channel: float = 1.5

    def __post_init__(self) -> None:
        _require_periods(self.period, least=2)
        _require_multipliers(self.band, self.channel)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"squeeze_{self.period}",)

    def batch(self, series: BarSeries) -> Mapping[str, FloatArray]:
        values = library.squeeze(
            series.high, series.low, series.close, self.period, self.band, self.channel
        )
        return _named(self, values)

    def start(self) -> IndicatorState:
        return states.SqueezeState(self.period, self.band, self.channel)


STANDARD: Final[tuple[Indicator, ...]] = (
    *(Ema(period) for period in (9, 21, 50, 200)),
    *(Sma(period) for period in (20, 50, 200)),
    Adx(),
    Supertrend(),
    Rsi(),
    Roc(),
    StochasticRsi(),
    Macd(),
    Atr(),
    BollingerBands(),
    KeltnerChannel(),
    Obv(),
    Vwap(),
    VolumeSma(),
    Choppiness(),
    Squeeze(),
)


class IndicatorBank:
    """Several indicators over one stream of bars.

    Raises:
        ValueError: two of them give an output of the same name.
    """

    def __init__(self, indicators: Iterable[Indicator]) -> None:
        chosen = tuple(indicators)
        names = [name for indicator in chosen for name in indicator.names]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"more than one indicator is named {', '.join(sorted(twice))}")
        self._unknown = dict.fromkeys(names, nan)
        steps = [(indicator.names, indicator.start().update) for indicator in chosen]
        self._of_one = tuple((given[0], update) for given, update in steps if len(given) == 1)
        self._of_several = tuple((given, update) for given, update in steps if len(given) > 1)

    def update(
        self, closed_at: float, open_: float, high: float, low: float, close: float, volume: float
    ) -> dict[str, float]:
        """Every output at this bar by name, in a dict of its own; NaN while warming up."""
        values = self._unknown.copy()  # keeps the order of the indicators
        for name, update in self._of_one:
            (values[name],) = update(closed_at, open_, high, low, close, volume)
        for names, update in self._of_several:
            several = update(closed_at, open_, high, low, close, volume)
            values.update(zip(names, several, strict=True))
        return values
