"""Whole series through pandas-ta-classic: the only module that imports it, and only when asked.

Three habits of the library are undone here, and only here: it answers None and logs where a series
is too short (we give NaN), it fills some warm-up cells with numbers (we blank them), and it puts
an epsilon where a range is zero, so that 0/0 reads as 0 or 1 (we give NaN, or take the TA-Lib path
that the library offers as `talib=True`). Every function takes and gives arrays of shape (n,).
"""

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data.bar import FloatArray
from data.indicator_states import CLEARLY_INSIDE, LEAST_BAND_WIDTH, LEAST_RSI_RANGE

if TYPE_CHECKING:
    import pandas as pd

_NANOSECONDS: Final = 1_000_000_000


def ema(close: FloatArray, period: int) -> FloatArray:
    return _line("ema", period - 1, close, length=period)


def sma(values: FloatArray, period: int) -> FloatArray:
    return _line("sma", period - 1, values, length=period)


def adx(high: FloatArray, low: FloatArray, close: FloatArray, period: int) -> FloatArray:
    """TA-Lib's: the library's own lets a bar without direction shift the weights that follow."""
    return _lines(
        "adx", ("ADX",), 2 * period - 1, high, low, close, length=period, lensig=period, talib=True
    )[0]


def supertrend(
    high: FloatArray, low: FloatArray, close: FloatArray, period: int, multiplier: float
) -> tuple[FloatArray, ...]:
    """The line, and +1 or -1."""
    names = ("SUPERT", "SUPERTd")
    return _lines(
        "supertrend", names, period, high, low, close, length=period, multiplier=multiplier
    )


def rsi(close: FloatArray, period: int) -> FloatArray:
    return _line("rsi", period, close, length=period)


def roc(close: FloatArray, period: int) -> FloatArray:
    return _line("roc", period, close, length=period)


def stochastic_rsi(
    close: FloatArray, rsi_period: int, stochastic: int, k: int, d: int
) -> tuple[FloatArray, ...]:
    """%K and %D; put together here, as the library reads a steady RSI of 100 as 0."""
    warm_up = rsi_period + stochastic + k + d - 3
    if len(close) <= warm_up:
        return _nothing(close), _nothing(close)
    strength = rsi(close, rsi_period)
    windows = sliding_window_view(strength, stochastic)
    lowest, highest = windows.min(axis=1), windows.max(axis=1)
    spread = np.where(highest - lowest > LEAST_RSI_RANGE, highest - lowest, np.nan)
    stand = _nothing(close)
    stand[stochastic - 1 :] = 100.0 * (strength[stochastic - 1 :] - lowest) / spread
    smooth_k = sma(stand, k)
    smooth_d = sma(smooth_k, d)
    smooth_k[np.isnan(smooth_d)] = np.nan
    return smooth_k, smooth_d


def macd(close: FloatArray, fast: int, slow: int, signal: int) -> tuple[FloatArray, ...]:
    """The line, its signal and their difference."""
    names = ("MACD", "MACDs", "MACDh")
    return _lines("macd", names, slow + signal - 1, close, fast=fast, slow=slow, signal=signal)


def atr(high: FloatArray, low: FloatArray, close: FloatArray, period: int) -> FloatArray:
    return _line("atr", period, high, low, close, length=period, talib=True)


def mean_atr(
    high: FloatArray, low: FloatArray, close: FloatArray, period: int, length: int
) -> FloatArray:
    """Mean of the newest `length` values of `atr`."""
    values = _nothing(close)
    values[period:] = sma(atr(high, low, close, period)[period:], length)
    return values


def bollinger(close: FloatArray, period: int, multiplier: float) -> tuple[FloatArray, ...]:
    """Upper, middle, lower, width as a share of the middle, and the close's position in [0, 1]."""
    names = ("BBU", "BBM", "BBL")
    upper, middle, lower = _lines(
        "bbands", names, period - 1, close, length=period, std=multiplier, ddof=0
    )
    width = (upper - lower) / middle
    span = np.where(width > LEAST_BAND_WIDTH, upper - lower, np.nan)
    return upper, middle, lower, width, (close - lower) / span


def keltner(
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    period: int,
    atr_period: int,
    multiplier: float,
) -> tuple[FloatArray, ...]:
    """Upper, middle, lower; the library's own has one period for both averages."""
    reach = multiplier * atr(high, low, close, atr_period)
    middle = np.where(np.isnan(reach), np.nan, ema(close, period))
    return middle + reach, middle, middle - reach


def obv(close: FloatArray, volume: FloatArray) -> FloatArray:
    return _line("obv", 0, close, volume)


def vwap(
    closed_at: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
) -> FloatArray:
    """By UTC days; a bar that closes at midnight belongs to the day before."""
    import pandas as pd

    if len(close) < 2:  # too few for the library to see their order, which it logs about
        return np.where(volume > 0.0, (high + low + close) / 3.0, np.nan)
    inside = (closed_at * _NANOSECONDS).astype(np.int64) - 1
    # Without a zone: the library warns about one, and means UTC days by none.
    return _line("vwap", 0, high, low, close, volume, index=pd.DatetimeIndex(inside), anchor="D")


def choppiness(high: FloatArray, low: FloatArray, close: FloatArray, period: int) -> FloatArray:
    """Put together here: the library's own adds an epsilon to each motionless bar."""
    values = _nothing(close)
    if len(close) <= period:
        return values
    path = period * _line("sma", period, _true_range(high, low, close), length=period)
    highest = sliding_window_view(high, period).max(axis=1)
    lowest = sliding_window_view(low, period).min(axis=1)
    ground = np.where(highest > lowest, highest - lowest, np.nan)
    values[period:] = 100.0 * np.log10(path[period:] / ground[1:]) / np.log10(period)
    return values


def squeeze(
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    period: int,
    band: float,
    channel: float,
) -> FloatArray:
    """1 where the Bollinger bands lie inside the Keltner channel around the same average, else 0.

    Put together here: the library's own calls a motionless market a squeeze or not by its price.
    """
    deviation = _line("stdev", period - 1, close, length=period, ddof=0)
    mean_range = _line("sma", period, _true_range(high, low, close), length=period)
    reach = channel * CLEARLY_INSIDE * mean_range
    return np.where(np.isnan(reach), np.nan, (band * deviation < reach).astype(np.float64))


def _true_range(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    return _line("true_range", 1, high, low, close, talib=True)


def _nothing(like: FloatArray) -> FloatArray:
    return np.full(len(like), np.nan)


def _line(
    name: str,
    warm_up: int,
    *columns: FloatArray,
    index: "pd.Index[Any] | None" = None,
    **parameters: object,
) -> FloatArray:
    """The library's one answer to indicator `name`, blank before index `warm_up`."""
    if len(columns[0]) <= warm_up:
        return _nothing(columns[0])
    return _blanked(_ask(name, columns, index, parameters), warm_up)


def _lines(
    name: str, outputs: tuple[str, ...], warm_up: int, *columns: FloatArray, **parameters: object
) -> tuple[FloatArray, ...]:
    """The library's several answers by the first part of their names, since their order varies."""
    if len(columns[0]) <= warm_up:
        return tuple(_nothing(columns[0]) for _ in outputs)
    answer = _ask(name, columns, None, parameters)
    by_name = {str(column).partition("_")[0]: column for column in answer.columns}
    return tuple(_blanked(answer[by_name[output]], warm_up) for output in outputs)


def _ask(
    name: str,
    columns: tuple[FloatArray, ...],
    index: "pd.Index[Any] | None",
    parameters: dict[str, object],
) -> Any:
    import pandas as pd

    series = (pd.Series(np.array(column), index=index) for column in columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        return getattr(_library(), name)(*series, **parameters)


@cache
def _library() -> Any:
    with warnings.catch_warnings():
        # As it is imported, it uses a name that pandas 3 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import pandas_ta_classic
    return pandas_ta_classic


def _blanked(answer: Any, warm_up: int) -> FloatArray:
    values: FloatArray = answer.to_numpy(dtype=np.float64, copy=True)
    values[:warm_up] = np.nan
    return values
