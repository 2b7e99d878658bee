"""The rules on what has been lost, and on the times at which nothing is entered."""

from decimal import Decimal

from risk.breaker import (
    DAILY_LOSS,
    DAY_DRAWDOWN,
    DRAWDOWN,
    MONTHLY_LOSS,
    WEEKLY_LOSS,
    TradingState,
    trading_at,
)
from risk.case import Case, known
from risk.objection import Objection, plain, unknown


def trading_state(case: Case) -> Objection | None:
    """No entry while the breaker is not ACTIVE."""
    state = trading_at(case.state, case.now)
    if state is TradingState.ACTIVE:
        return None
    reason = case.state.reason
    return Objection(rule="trading_state", observed=f"{state} ({reason})", limit="active", unit="")


def daily_loss_limit(case: Case) -> Objection | None:
    """No entry once the day's loss, unrealised included, has reached its limit."""
    return _loss(DAILY_LOSS, case, case.state.day.equity, case.limits.max_daily_loss)


def weekly_loss_limit(case: Case) -> Objection | None:
    """No entry once the week's loss, unrealised included, has reached its limit."""
    return _loss(WEEKLY_LOSS, case, case.state.week.equity, case.limits.max_weekly_loss)


def monthly_loss_limit(case: Case) -> Objection | None:
    """No entry once the month's loss, unrealised included, has reached its limit."""
    return _loss(MONTHLY_LOSS, case, case.state.month.equity, case.limits.max_monthly_loss)


def day_drawdown_limit(case: Case) -> Objection | None:
    """No entry once the fall from the day's peak, unrealised included, has reached its limit."""
    most = case.limits.max_day_drawdown
    return _loss(DAY_DRAWDOWN, case, case.state.day_peak, most) if most < 1 else None


def drawdown_limit(case: Case) -> Objection | None:
    """No entry once the fall from the peak, unrealised included, has reached its limit."""
    return _loss(DRAWDOWN, case, case.state.peak_equity, case.limits.max_drawdown)


def _loss(rule: str, case: Case, since: Decimal | None, most: Decimal) -> Objection | None:
    start, left = known(since), case.left
    if start is None or left is None:
        return unknown(rule, "share")
    if left > start * (1 - most):
        return None
    lost = (start - left) / start
    return Objection(rule=rule, observed=plain(lost), limit=f"< {plain(most)}", unit="share")


def cool_down(case: Case) -> Objection | None:
    """No entry in a symbol before its cool-down is over."""
    until = case.state.cool_down_until.get(case.intent.symbol)
    if until is None or case.now >= until:
        return None
    observed, limit = case.now.isoformat(), f">= {until.isoformat()}"
    return Objection(rule="cool_down", observed=observed, limit=limit, unit="time")


def model_failures(case: Case) -> Objection | None:
    """No entry of a desk whose models have failed too often, before its pause is over."""
    until = case.state.paused_until.get(case.intent.strategy_id)
    if until is None or case.now >= until:
        return None
    observed, limit = case.now.isoformat(), f">= {until.isoformat()}"
    return Objection(rule="model_failures", observed=observed, limit=limit, unit="time")


def restricted_hours(case: Case) -> Objection | None:
    """No entry in the hours of the day that the operator has ruled out."""
    for hours in case.limits.restricted_hours:
        if hours.hold(case.now):
            limit = f"not {hours.start:%H:%M} to {hours.end:%H:%M}"
            observed = f"{case.now:%H:%M:%S}"
            return Objection(rule="restricted_hours", observed=observed, limit=limit, unit="UTC")
    return None
