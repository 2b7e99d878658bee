"""Return and risk of an equity curve."""

import math
from collections.abc import Sequence

import numpy as np

from data.bar import FloatArray

DAYS_PER_YEAR = 365  # crypto markets do not close
_SHORTEST_TO_ANNUALISE = 30.0  # days; a year made of less is a guess
_NOISE = 1e-15  # below this a deviation is what is left of rounding


def simple_returns(values: Sequence[float]) -> FloatArray:
    """Period returns of consecutive positive values; shape (n - 1,), fractions.

    Empty where a value is not above zero: what comes after such a one is no return.
    """
    curve = np.asarray(values, dtype=np.float64)
    if len(curve) < 2 or np.min(curve) <= 0.0:
        return np.empty(0)
    return np.diff(curve) / curve[:-1]


def annual_return(total_return: float, *, days: float) -> float | None:
    """`total_return`, compounded from `days` to a year of 365; both returns are fractions.

    None where it is undefined: fewer than 30 days, or nothing left to compound.
    """
    if days < _SHORTEST_TO_ANNUALISE or total_return <= -1.0:
        return None
    return float((1.0 + total_return) ** (DAYS_PER_YEAR / days)) - 1.0


def sharpe_ratio(returns: FloatArray, *, periods_per_year: float) -> float | None:
    """Annualised mean return per unit of volatility, over a zero risk-free rate.

    Args:
        returns: Simple returns per period, oldest first; shape (n,), fractions.
        periods_per_year: 365 for daily returns; crypto markets do not close.

    Returns:
        A pure number, or None where it is undefined: n < 2, or no variance.

    Source:
        W. F. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21(1), 1994.
    """
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    if deviation <= _NOISE:
        return None
    return float(np.mean(returns)) / deviation * math.sqrt(periods_per_year)


def sortino_ratio(returns: FloatArray, *, periods_per_year: float) -> float | None:
    """Annualised mean return per unit of downside deviation below zero.

    The deviation is the root of the mean squared shortfall over all n periods.

    Returns:
        A pure number, or None where it is undefined: n < 2, or no losing period.

    Source:
        F. A. Sortino and L. N. Price, "Performance Measurement in a Downside Risk Framework",
        Journal of Investing 3(3), 1994.
    """
    if len(returns) < 2:
        return None
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside <= _NOISE:
        return None
    return float(np.mean(returns)) / downside * math.sqrt(periods_per_year)
