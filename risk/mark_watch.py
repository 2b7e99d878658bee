"""Marks that change nothing, told at the price of three comparisons."""

from datetime import date, datetime
from decimal import Decimal

from data.instrument import Notional
from risk.breaker import RiskState, TradingState, marked
from risk.limits import RiskLimits


class MarkWatch:
    """`next_state` for the marks of every bar, at the price of three comparisons for most.

    From a state follows between which equities, and on which day, a mark changes nothing; it is
    worked out once. Where something is kept beside the trading book, each is worked out.
    """

    def __init__(self, limits: RiskLimits) -> None:
        self._limits = limits
        self._state: RiskState | None = None  # the one that the rest is of
        self._day = date.min
        self._floor = self._ceiling = Decimal(0)  # above the one, up to the other

    def after(
        self,
        state: RiskState,
        equity: Notional | None,
        at: datetime,
        *,
        whole: Notional | None = None,
    ) -> RiskState:
        """The state after the book was valued; the same object where nothing changes."""
        if state is not self._state:
            self._learn(state)
        if (
            whole is None
            and equity is not None
            and equity.is_finite()
            and self._floor < equity <= self._ceiling
            and at.date() == self._day
        ):
            return state
        return marked(state, equity, at, self._limits, whole=whole)

    def _learn(self, state: RiskState) -> None:
        self._state, self._day = state, state.day.date
        self._floor = self._ceiling = Decimal(0)
        limits = self._limits
        starts = [
            (state.day.equity, limits.max_daily_loss),
            (state.week.equity, limits.max_weekly_loss),
            (state.month.equity, limits.max_monthly_loss),
        ]
        tops = [(state.peak_equity, limits.max_drawdown)]
        if limits.max_day_drawdown < 1:
            tops.append((state.day_peak, limits.max_day_drawdown))
        known = [(top, most) for top, most in tops if top is not None]
        if (
            state.trading is TradingState.ACTIVE
            and len(known) == len(tops)
            and all(start.is_finite() for start, _ in starts + known)
        ):
            self._floor = max(start * (1 - most) for start, most in starts + known)
            self._ceiling = min(top for top, _ in known)
