"""How much a price moves, measured on closed bars."""

from datetime import timedelta
from math import sqrt
from typing import Final

import numpy as np

from data.bar import BarSeries, Timeframe

_YEAR: Final = timedelta(days=365)  # crypto markets do not close


def bar_volatility(series: BarSeries, *, bars: int = 30) -> float | None:
    """Sample deviation of the newest `bars` log returns from close to close; a fraction.

    None with fewer returns than that.
    """
    closes = series.close[-1 - bars :]
    if len(closes) <= bars:
        return None
    return float(np.std(np.diff(np.log(closes)), ddof=1))


def annualised(volatility: float, timeframe: Timeframe) -> float:
    """A deviation of the returns of one bar as that of a year of 365 days.

    Source:
        Variances of independent returns add up: times the root of the bars in a year.
    """
    return volatility * sqrt(_YEAR / timeframe.delta)
