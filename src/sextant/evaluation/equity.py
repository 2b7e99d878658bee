"""The equity curve, exact where it matters and thinned where it is drawn."""

from dataclasses import dataclass
from datetime import date, datetime

from sextant.evaluation.performance import (
    DAYS_PER_YEAR,
    sharpe_ratio,
    simple_returns,
    sortino_ratio,
)
from sextant.evaluation.thinned import Thinned


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """Equity and the fall from its running peak (a fraction) at one moment."""

    at: datetime
    equity: float
    drawdown: float


class EquityCurve:
    """Marks in order of time; memory is bounded by a number a day, however long it runs.

    Peak, largest drawdown and the close of each UTC day are exact; `drawn` is thinned.
    """

    def __init__(self) -> None:
        self._drawn: Thinned[EquityPoint] = Thinned()
        self._day: date | None = None
        self._daily: list[float] = []  # the first mark, then the last mark of each UTC day
        self._peak = float("-inf")
        self.last: EquityPoint | None = None
        self.max_drawdown = 0.0

    def mark(self, at: datetime, equity: float) -> None:
        """Add one mark."""
        day = at.date()
        if not self._daily:
            self._daily.append(equity)
        if day == self._day:
            self._daily[-1] = equity
        else:
            self._day = day
            self._daily.append(equity)
        self._peak = max(self._peak, equity)
        drawdown = (self._peak - equity) / self._peak if self._peak > 0 else 0.0
        self.max_drawdown = max(self.max_drawdown, drawdown)
        self.last = EquityPoint(at=at, equity=equity, drawdown=drawdown)
        self._drawn.add(self.last)

    @property
    def drawn(self) -> list[EquityPoint]:
        return self._drawn.items

    @property
    def first(self) -> float | None:
        """The first mark; None before it."""
        return self._daily[0] if self._daily else None

    @property
    def total_return(self) -> float | None:
        """Last over first equity, less one; None where that is undefined."""
        if self.last is None or self._daily[0] <= 0:
            return None
        return self.last.equity / self._daily[0] - 1.0

    @property
    def sharpe(self) -> float | None:
        """Of daily returns, annualised over 365 days."""
        return sharpe_ratio(simple_returns(self._daily), periods_per_year=DAYS_PER_YEAR)

    @property
    def sortino(self) -> float | None:
        """Of daily returns, annualised over 365 days."""
        return sortino_ratio(simple_returns(self._daily), periods_per_year=DAYS_PER_YEAR)
