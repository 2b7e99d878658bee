"""Return, risk and cost of an equity curve."""

import math
from collections.abc import Sequence

import numpy as np

from data.bar import FloatArray

DAYS_PER_YEAR = 365  # crypto markets do not close


def simple_returns(values: Sequence[float]) -> FloatArray:
    """Period returns of consecutive positive values; shape (n - 1,), fractions."""
    curve = np.asarray(values, dtype=np.float64)
    return np.diff(curve) / curve[:-1] if len(curve) > 1 else np.empty(0)


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


def max_drawdown(values: Sequence[float]) -> float:
    """The largest fall from a running peak, as a fraction of the peak; 0 for an empty curve."""
    curve = np.asarray(values, dtype=np.float64)
    if not len(curve):
        return 0.0
    peaks = np.maximum.accumulate(curve)
    return float(np.max((peaks - curve) / peaks))


_NOISE = 1e-15  # below this a deviation is what is left of rounding
