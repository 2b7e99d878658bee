"""The breaker: whether the account may take on new exposure at all.

Everything is computed from stored anchors and the time that an event carries, so a process that was
down over midnight or Monday comes to the same answer as one that was not. It only ever stops
entries: orders that reduce a position are not asked about it.

    ACTIVE     entries are judged by the other rules
    REDUCING   no entries for a time: loss of day, week or month, a losing streak, equity unknown
    HALTED     no entries until `Resume`: drawdown, of the trading book or of the whole account, too
               long a losing streak, a liquidation by the venue, a person's `Halt` or `Flatten`

`Flatten`, and a drawdown where the limits say so, throw the kill switch too: `risk.latch`.

A volatility spike, and models that fail, stop no account: the one halves the size in its symbol,
the other pauses its desk. What a breaker closes is in `risk.breaker_orders`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from data.account import ClosedTrade
from data.instrument import Notional, Symbol
from risk.events import BreakerActed as BreakerActed
from risk.events import FlatSeen as FlatSeen
from risk.events import Flatten as Flatten
from risk.events import Halt as Halt
from risk.events import Liquidated as Liquidated
from risk.events import Marked as Marked
from risk.events import MarketSeen as MarketSeen
from risk.events import ModelAnswered as ModelAnswered
from risk.events import ModelFailed as ModelFailed
from risk.events import OrderPlaced as OrderPlaced
from risk.events import Rebalanced as Rebalanced
from risk.events import Resume as Resume
from risk.events import RiskEvent as RiskEvent
from risk.events import Withdrawn as Withdrawn
from risk.latch import Latch, looked_at, thrown
from risk.limits import RiskLimits

Key = TypeVar("Key", bound=str)

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)

DAILY_LOSS = "daily_loss_limit"
WEEKLY_LOSS = "weekly_loss_limit"
MONTHLY_LOSS = "monthly_loss_limit"
DAY_DRAWDOWN = "day_drawdown_limit"
DRAWDOWN = "drawdown_limit"
ACCOUNT_DRAWDOWN = "account_drawdown_limit"
LOSS_STREAK = "loss_streak"
EQUITY_UNKNOWN = "equity_unknown"
LIQUIDATION = "liquidation"


class TradingState(StrEnum):
    """What new exposure may expect; the module's head says what leads to which."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The first known equity of a UTC day, of an ISO week by its Monday, or of a month by its first
    day."""

    date: date
    equity: Notional


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskState:
    """What the breaker remembers of one account; persisted before any order that rests on it.

    `trading` and `reason` are as of the last event; `trading_at` says what is in force later.
    """

    trading: TradingState
    reason: str  # why it is not ACTIVE; empty if it is
    peak_equity: Notional | None  # since the start or the last drawdown's end; None: not marked yet
    day: Anchor
    week: Anchor
    month: Anchor
    day_peak: Notional | None  # of `day`; None: not marked yet, or its limit is off
    equity_known: bool
    loss_streak: int
    cool_down_until: Mapping[Symbol, datetime]
    spike_until: Mapping[Symbol, datetime]  # a size is cut before this
    model_failures: Mapping[str, int]  # in a row, by desk; none is not listed
    paused_until: Mapping[str, datetime]  # by desk; no entry before this
    weekly_reached: date | None  # the newest week, by its Monday, in which its limit was reached
    acted: Mapping[str, datetime]  # by reason: when a breaker's reducing orders were last asked for
    halted_until: datetime | None  # no entry in any symbol before this
    halted_for: str  # what `halted_until` is for; empty if that is None
    latch: Latch | None  # the kill switch; None: it is off
    account_peak: Notional | None = None  # of equity with what is kept beside it; None: not known


def initial_state(equity: Notional, at: datetime) -> RiskState:
    """The state of an account that has never traded.

    Raises:
        ValueError: `equity` is not above zero, so no share of it means anything.
    """
    if not (equity.is_finite() and equity > 0):
        raise ValueError(f"cannot start from an equity of {equity}")
    return RiskState(
        trading=TradingState.ACTIVE,
        reason="",
        peak_equity=equity,
        day=Anchor(date=at.date(), equity=equity),
        week=Anchor(date=_monday(at.date()), equity=equity),
        month=Anchor(date=at.date().replace(day=1), equity=equity),
        day_peak=equity,
        equity_known=True,
        loss_streak=0,
        cool_down_until={},
        spike_until={},
        model_failures={},
        paused_until={},
        weekly_reached=None,
        acted={},
        halted_until=None,
        halted_for="",
        latch=None,
    )


def trading_at(state: RiskState, now: datetime) -> TradingState:
    """What is in force at `now`, any time after the state's last event."""
    if state.trading is TradingState.HALTED:
        return TradingState.HALTED
    if not state.equity_known or (state.halted_until is not None and now < state.halted_until):
        return TradingState.REDUCING
    return TradingState.ACTIVE


def next_state(state: RiskState, event: RiskEvent, limits: RiskLimits) -> RiskState:
    """The state after `event`; the same object where nothing changes.

    An unknown equity stops entries until the next known one. A trade of unknown PnL is a loss.
    """
    match event:
        case Marked():
            return marked(state, event.equity, event.at, limits, whole=event.whole)
        case Withdrawn():
            return _after_withdrawal(state, event)
        case ClosedTrade():
            return _after_trade(state, event, limits)
        case OrderPlaced():
            until = event.at + limits.cool_down_after_order
            return _cooled_down(state, event.symbol, until)
        case MarketSeen():
            return _after_market(state, event, limits)
        case Rebalanced():
            until = event.at + limits.cool_down_after_rebalance
            return _cooled_down(state, event.symbol, until)
        case ModelFailed():
            return _after_failure(state, event, limits)
        case ModelAnswered():
            return _after_answer(state, event)
        case BreakerActed():
            acted = _later(state.acted, event.reason, event.at)
            return state if acted is state.acted else replace(state, acted=acted)
        case Halt():
            return _halted(state, f"halted by {event.by}: {event.why}")
        case Liquidated():
            return _halted(state, f"{LIQUIDATION} of {event.symbol}")
        case Flatten():
            return _latched(state, f"flattened by {event.by}: {event.why}", event.at)
        case FlatSeen():
            latch = looked_at(state.latch, event)
            return state if latch is state.latch else replace(state, latch=latch)
        case Resume():
            return _after_resume(state, event, limits)


def marked(
    state: RiskState,
    equity: Notional | None,
    at: datetime,
    limits: RiskLimits,
    *,
    whole: Notional | None = None,
) -> RiskState:
    """`next_state` after `Marked`."""
    if whole is not None and whole.is_finite() and _is_a_top(state.account_peak):
        state = _marked_whole(state, whole, limits)
    elif whole is not None:
        equity = None  # nobody can tell how far the whole account has fallen
    if equity is None or not equity.is_finite():
        return _settled(replace(state, equity_known=False), at) if state.equity_known else state
    return _settled(_tripped(_anchored(state, equity, at, limits), equity, at, limits), at)


def _marked_whole(state: RiskState, whole: Notional, limits: RiskLimits) -> RiskState:
    """What is kept beside the trading book counts for a drawdown of its own, which closes nothing:
    entries stop, and no holding is sold."""
    peak = _higher(state.account_peak, whole)
    if peak is not state.account_peak:
        state = replace(state, account_peak=peak)
    fallen = _has_fallen(peak, whole, limits.max_account_drawdown)
    return _halted(state, ACCOUNT_DRAWDOWN) if fallen else state


def _after_withdrawal(state: RiskState, event: Withdrawn) -> RiskState:
    """Losses are measured on what is left: every start and top is lower by as much."""
    amount = event.amount

    def lower(anchor: Anchor) -> Anchor:
        return replace(anchor, equity=Notional(anchor.equity - amount))

    return replace(
        state,
        day=lower(state.day),
        week=lower(state.week),
        month=lower(state.month),
        peak_equity=_less(state.peak_equity, amount),
        day_peak=_less(state.day_peak, amount),
    )


def _less(top: Notional | None, amount: Notional) -> Notional | None:
    return Notional(top - amount) if top is not None else None


def _anchored(state: RiskState, equity: Notional, at: datetime, limits: RiskLimits) -> RiskState:
    """A new day, week and month, and a new peak, start from `equity`; a peak above zero.

    A peak that is no amount stays as it is, so that what reads it refuses.
    """
    today, top = at.date(), state.day_peak
    if today > state.day.date:
        state, top = _on_a_new_day(state, equity, today), None
    peak = _higher(state.peak_equity, equity)
    if peak is not state.peak_equity:
        state = replace(state, peak_equity=peak)
    if limits.max_day_drawdown < 1:
        top = _higher(top, equity)
    if state.equity_known and top is state.day_peak:
        return state
    return replace(state, equity_known=True, day_peak=top)


def _on_a_new_day(state: RiskState, equity: Notional, today: date) -> RiskState:
    """A week and a month begin with one of their days."""
    state = replace(state, day=Anchor(date=today, equity=equity))
    if (monday := _monday(today)) > state.week.date:
        state = replace(state, week=Anchor(date=monday, equity=equity))
    if (first := today.replace(day=1)) > state.month.date:
        state = replace(state, month=Anchor(date=first, equity=equity))
    return state


def _is_a_top(peak: Notional | None) -> bool:
    """Whether a peak is an amount, or has yet to be seen."""
    return peak is None or (peak.is_finite() and peak > 0)


def _higher(top: Notional | None, equity: Notional) -> Notional | None:
    if top is None:
        return equity if equity > 0 else None
    return equity if top.is_finite() and 0 < top < equity else top


def _tripped(state: RiskState, equity: Decimal, at: datetime, limits: RiskLimits) -> RiskState:
    """Every limit that `equity` has reached, at the limit included, takes effect."""
    if _has_fallen(state.day.equity, equity, limits.max_daily_loss):
        state = _stopped_until(state, _midnight(state.day.date + _DAY), DAILY_LOSS)
    if _has_fallen(state.week.equity, equity, limits.max_weekly_loss):
        state = _stopped_until(state, _midnight(state.week.date + _WEEK), WEEKLY_LOSS)
        if state.weekly_reached != state.week.date:
            state = replace(state, weekly_reached=state.week.date)
    if _has_fallen(state.month.equity, equity, limits.max_monthly_loss):
        state = _stopped_until(state, _midnight(_next_month(state.month.date)), MONTHLY_LOSS)
    if _has_fallen(state.peak_equity, equity, limits.max_drawdown):
        state = _fallen(state, DRAWDOWN, at, limits)
    if limits.max_day_drawdown < 1 and _has_fallen(state.day_peak, equity, limits.max_day_drawdown):
        state = _fallen(state, DAY_DRAWDOWN, at, limits)
    return state


def _fallen(state: RiskState, why: str, at: datetime, limits: RiskLimits) -> RiskState:
    """A drawdown halts, and throws the kill switch where the limits say so."""
    return _latched(state, why, at) if limits.drawdown_closes else _halted(state, why)


def _has_fallen(start: Decimal | None, equity: Decimal, most: Decimal) -> bool:
    """Whether from a start that can be read; of another one the rules say that it is unknown."""
    return start is not None and start.is_finite() and equity <= start * (1 - most)


def _after_market(state: RiskState, seen: MarketSeen, limits: RiskLimits) -> RiskState:
    """A spike cuts sizes in its symbol for a time; an unusual move lets nothing in for a time."""
    if _spikes(seen, limits):
        until = _later(state.spike_until, seen.symbol, seen.at + limits.spike_span)
        if until is not state.spike_until:
            state = replace(state, spike_until=until)
    move = seen.move
    if limits.unusual_move and move is not None and limits.unusual_move < abs(move) < math.inf:
        state = _cooled_down(state, seen.symbol, seen.at + limits.cool_down_after_move)
    return state


def _spikes(seen: MarketSeen, limits: RiskLimits) -> bool:
    atr, mean = seen.atr, seen.mean_atr
    if not limits.spike_ratio or atr is None or mean is None or not 0 < mean < math.inf:
        return False
    return limits.spike_ratio * mean < atr < math.inf


def _after_failure(state: RiskState, event: ModelFailed, limits: RiskLimits) -> RiskState:
    """From the last failure allowed on, each pauses the desk for a time."""
    desk = event.strategy_id
    failures = state.model_failures.get(desk, 0) + 1
    state = replace(state, model_failures={**state.model_failures, desk: failures})
    if failures < limits.max_model_failures:
        return state
    until = event.at + limits.model_failure_pause
    return replace(state, paused_until=_later(state.paused_until, desk, until))


def _after_answer(state: RiskState, event: ModelAnswered) -> RiskState:
    """An answer ends the count; a pause runs its time."""
    if event.strategy_id not in state.model_failures:
        return state
    left = {d: n for d, n in state.model_failures.items() if d != event.strategy_id}
    return replace(state, model_failures=left)


def _after_trade(state: RiskState, trade: ClosedTrade, limits: RiskLimits) -> RiskState:
    if trade.pnl is not None and trade.pnl.is_finite() and trade.pnl >= 0:
        won = trade.pnl > 0 and state.loss_streak > 0
        return replace(state, loss_streak=0) if won else state
    at = trade.closed_at
    state = replace(state, loss_streak=state.loss_streak + 1)
    state = _cooled_down(state, trade.symbol, at + limits.cool_down_after_loss)
    step = limits.streak_step(state.loss_streak)
    if step is not None and step.cool_down:
        state = _stopped_until(state, at + step.cool_down, LOSS_STREAK)
    if state.loss_streak > limits.max_loss_streak:
        state = _halted(state, LOSS_STREAK)
    return _settled(state, at)


def _after_resume(state: RiskState, event: Resume, limits: RiskLimits) -> RiskState:
    """Lift a halt; a drawdown is measured anew from the next mark, and a fatal streak forgiven.

    A kill switch that has not done its work stays on, and the halt with it.
    """
    latch = state.latch
    if state.trading is not TradingState.HALTED or (latch is not None and not latch.is_done):
        return state
    fatal_streak = state.loss_streak > limits.max_loss_streak
    reasons = {state.reason, latch.reason if latch is not None else ""}
    lifted = replace(
        state,
        trading=TradingState.ACTIVE,
        latch=None,
        peak_equity=None if DRAWDOWN in reasons else state.peak_equity,
        account_peak=None if ACCOUNT_DRAWDOWN in reasons else state.account_peak,
        day_peak=None if DAY_DRAWDOWN in reasons else state.day_peak,
        loss_streak=0 if fatal_streak else state.loss_streak,
    )
    return _settled(lifted, event.at)


def _cooled_down(state: RiskState, symbol: Symbol, until: datetime) -> RiskState:
    """No entry in `symbol` before `until`; a cool-down only lengthens."""
    later = _later(state.cool_down_until, symbol, until)
    return state if later is state.cool_down_until else replace(state, cool_down_until=later)


def _later(times: Mapping[Key, datetime], key: Key, until: datetime) -> Mapping[Key, datetime]:
    """`times` with that of `key` no earlier than `until`; itself where nothing changes."""
    known = times.get(key)
    return times if known is not None and known >= until else {**times, key: until}


def _stopped_until(state: RiskState, until: datetime, why: str) -> RiskState:
    """No entry at all before `until`; such a halt only lengthens."""
    if state.halted_until is not None and state.halted_until >= until:
        return state
    return replace(state, halted_until=until, halted_for=why)


def _halted(state: RiskState, why: str) -> RiskState:
    """Halt until a person resumes; the first reason stands."""
    if state.trading is TradingState.HALTED:
        return state
    return replace(state, trading=TradingState.HALTED, reason=why)


def _latched(state: RiskState, why: str, at: datetime) -> RiskState:
    """Halt, and throw the kill switch; whoever throws it first stays its reason."""
    latch = thrown(state.latch, why, at)
    return _halted(state if latch is state.latch else replace(state, latch=latch), why)


def _settled(state: RiskState, at: datetime) -> RiskState:
    """`trading` and `reason` as they are at `at`, and no halt that is over."""
    if state.halted_until is not None and at >= state.halted_until:
        state = replace(state, halted_until=None, halted_for="")
    trading = trading_at(state, at)
    reason = _reason(state, trading)
    if (trading, reason) == (state.trading, state.reason):
        return state
    return replace(state, trading=trading, reason=reason)


def _reason(state: RiskState, trading: TradingState) -> str:
    match trading:
        case TradingState.HALTED:
            return state.reason
        case TradingState.REDUCING:
            return state.halted_for if state.equity_known else EQUITY_UNKNOWN
        case TradingState.ACTIVE:
            return ""


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
