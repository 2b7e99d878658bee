"""The equity curve, exact where it matters and thinned where it is drawn."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from data.bar import FloatArray
from sextant.evaluation.performance import (
    DAYS_PER_YEAR,
    sharpe_ratio,
    simple_returns,
    sortino_ratio,
)
from sextant.evaluation.thinned import Thinned

_DAY = timedelta(days=1)
_ROLLING_DAYS = 30  # S1-159


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """Equity and the fall from its running peak (a fraction) at one moment."""

    at: datetime
    equity: float
    drawdown: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A UTC day: its last equity, and the change since the last mark before it (a fraction)."""

    date: date
    equity: float
    change: float | None  # None where there was nothing before


class EquityCurve:
    """Marks in order of time; memory is bounded by a number a day, however long it runs.

    Peak, largest drawdown and the close of each UTC day are exact; `drawn` is thinned. A mark costs
    three comparisons: a drawdown is computed once its trough is known, not on the way down.
    """

    def __init__(self) -> None:
        self._drawn: Thinned[tuple[datetime, Decimal, Decimal]] = Thinned()  # time, equity, peak
        self._first: Decimal | None = None
        self._midnight = datetime.min.replace(tzinfo=UTC)  # the end of the day of the last mark
        self._closes: list[tuple[date, Decimal]] = []  # of the days that are over
        self._peak = Decimal("-Infinity")
        self._trough = Decimal("Infinity")  # since the peak
        self._trough_at = self._midnight
        self._worst: EquityPoint | None = None  # of the peaks that were passed
        self._at = self._midnight
        self._equity = Decimal(0)

    def mark(self, at: datetime, equity: Decimal) -> None:
        """Add one mark."""
        if at >= self._midnight:
            self._end_day(at, equity)
        if equity > self._peak:
            self._worst = self._trough_point
            self._peak = self._trough = equity
        elif equity < self._trough:
            self._trough, self._trough_at = equity, at
        self._at, self._equity = at, equity
        self._drawn.add((at, equity, self._peak))

    def _end_day(self, at: datetime, equity: Decimal) -> None:
        if self._first is None:
            self._first = equity
        else:
            self._closes.append((self._at.date(), self._equity))
        self._midnight = datetime.combine(at.date() + _DAY, time(), UTC)

    @property
    def _trough_point(self) -> EquityPoint | None:
        """The deepest point so far; None before any fall."""
        if not 0 < self._peak > self._trough:
            return self._worst
        deepest = _point(self._trough_at, self._trough, self._peak)
        if self._worst is not None and self._worst.drawdown >= deepest.drawdown:
            return self._worst
        return deepest

    @property
    def max_drawdown(self) -> float:
        """The largest fall from a running peak, as a fraction of the peak (S1-189)."""
        worst = self._trough_point
        return worst.drawdown if worst is not None else 0.0

    @property
    def drawn(self) -> list[EquityPoint]:
        """The curve for drawing, its deepest point and the newest included."""
        points = [_point(*mark) for mark in self._drawn.items]
        worst = self._trough_point
        if worst is not None and worst not in points:
            points = sorted([*points, worst], key=lambda point: point.at)
        return points

    @property
    def last(self) -> EquityPoint | None:
        """The newest mark; None before it."""
        return _point(self._at, self._equity, self._peak) if self._first is not None else None

    @property
    def first(self) -> float | None:
        """The first mark; None before it."""
        return float(self._first) if self._first is not None else None

    @property
    def days(self) -> list[Day]:
        """Every UTC day that has a mark, today's so far included."""
        if self._first is None:
            return []
        before, days = self._first, []
        for on, equity in [*self._closes, (self._at.date(), self._equity)]:
            change = float(equity / before) - 1.0 if before > 0 else None
            days.append(Day(date=on, equity=float(equity), change=change))
            before = equity
        return days

    @property
    def total_return(self) -> float | None:
        """Last over first equity, less one; None where that is undefined."""
        if self._first is None or self._first <= 0:
            return None
        return float(self._equity / self._first) - 1.0

    @property
    def sharpe(self) -> float | None:
        """Of daily returns, annualised over 365 days."""
        return sharpe_ratio(self._returns(), periods_per_year=DAYS_PER_YEAR)

    @property
    def rolling_sharpe(self) -> float | None:
        """The same over the last 30 days."""
        returns = self._returns()[-_ROLLING_DAYS:]
        return sharpe_ratio(returns, periods_per_year=DAYS_PER_YEAR)

    @property
    def sortino(self) -> float | None:
        """Of daily returns, annualised over 365 days."""
        return sortino_ratio(self._returns(), periods_per_year=DAYS_PER_YEAR)

    def _returns(self) -> FloatArray:
        if self._first is None:
            return simple_returns(())
        closes = [equity for _, equity in self._closes]
        return simple_returns([float(e) for e in (self._first, *closes, self._equity)])


def _point(at: datetime, equity: Decimal, peak: Decimal) -> EquityPoint:
    drawdown = float((peak - equity) / peak) if peak > 0 else 0.0
    return EquityPoint(at=at, equity=float(equity), drawdown=drawdown)
