"""The breaker: whether the account may take on new exposure at all.

Everything is computed from stored anchors and the time that an event carries, so a process that was
down over midnight or Monday comes to the same answer as one that was not. It only ever stops
entries: orders that reduce a position are not asked about it.

    ACTIVE     entries are judged by the other rules
    REDUCING   no entries for a time: day's loss, week's loss, a losing streak, or equity unknown
    HALTED     no entries until `Reset`: drawdown, too long a losing streak, or a person's `Halt`
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum

from data.account import ClosedTrade
from data.instrument import Notional, Symbol
from risk.limits import RiskLimits

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)

DAILY_LOSS = "daily_loss_limit"
WEEKLY_LOSS = "weekly_loss_limit"
DRAWDOWN = "drawdown_limit"
LOSS_STREAK = "loss_streak"
EQUITY_UNKNOWN = "equity_unknown"


class TradingState(StrEnum):
    """What new exposure may expect; the module's head says what leads to which."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The first known equity of a UTC day, or of an ISO week by the date of its Monday."""

    date: date
    equity: Notional


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskState:
    """What the breaker remembers of one account; persisted before any order that rests on it.

    `trading` and `reason` are as of the last event; `trading_at` says what is in force later.
    """

    trading: TradingState
    reason: str  # why it is not ACTIVE; empty if it is
    peak_equity: Notional | None  # since the start or the last drawdown reset; None: not marked yet
    day: Anchor
    week: Anchor
    equity_known: bool
    loss_streak: int
    cool_down_until: Mapping[Symbol, datetime]
    halted_until: datetime | None  # no entry in any symbol before this
    halted_for: str  # what `halted_until` is for; empty if that is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The book was valued; an `equity` of None, or not a number, is unknown."""

    equity: Notional | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """An approved order is on its way."""

    symbol: Symbol
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Somebody, or a watchdog, stops all entries."""

    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A person has looked, and lifts a halt. It shortens no halt that ends by itself."""

    by: str
    why: str
    at: datetime


RiskEvent = Marked | ClosedTrade | OrderPlaced | Halt | Reset


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
        equity_known=True,
        loss_streak=0,
        cool_down_until={},
        halted_until=None,
        halted_for="",
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
            return _after_mark(state, event, limits)
        case ClosedTrade():
            return _after_trade(state, event, limits)
        case OrderPlaced():
            until = event.at + limits.cool_down_after_order
            return _cooled_down(state, event.symbol, until)
        case Halt():
            return _halted(state, f"halted by {event.by}: {event.why}")
        case Reset():
            return _after_reset(state, event, limits)


class MarkWatch:
    """`next_state` for the marks of every bar, at the price of three comparisons for most.

    From a state follows between which equities, and on which day, a mark changes nothing; it is
    worked out once.
    """

    def __init__(self, limits: RiskLimits) -> None:
        self._limits = limits
        self._state: RiskState | None = None  # the one that the rest is of
        self._day = date.min
        self._floor = self._ceiling = Decimal(0)  # above the one, up to the other

    def after(self, state: RiskState, equity: Notional | None, at: datetime) -> RiskState:
        """The state after the book was valued; the same object where nothing changes."""
        if state is not self._state:
            self._learn(state)
        if (
            equity is not None
            and equity.is_finite()
            and self._floor < equity <= self._ceiling
            and at.date() == self._day
        ):
            return state
        return next_state(state, Marked(equity=equity, at=at), self._limits)

    def _learn(self, state: RiskState) -> None:
        self._state, self._day = state, state.day.date
        self._floor = self._ceiling = Decimal(0)
        if state.trading is TradingState.ACTIVE and state.peak_equity is not None:
            limits, self._ceiling = self._limits, state.peak_equity
            self._floor = max(
                state.day.equity * (1 - limits.max_daily_loss),
                state.week.equity * (1 - limits.max_weekly_loss),
                state.peak_equity * (1 - limits.max_drawdown),
            )


def _after_mark(state: RiskState, event: Marked, limits: RiskLimits) -> RiskState:
    equity = event.equity
    if equity is None or not equity.is_finite():
        return (
            _settled(replace(state, equity_known=False), event.at) if state.equity_known else state
        )
    return _settled(_tripped(_anchored(state, equity, event.at), equity, limits), event.at)


def _anchored(state: RiskState, equity: Notional, at: datetime) -> RiskState:
    """A new day, a new week and a new peak start from `equity`."""
    today = at.date()
    if today > state.day.date:
        state = replace(state, day=Anchor(date=today, equity=equity))
    if (monday := _monday(today)) > state.week.date:
        state = replace(state, week=Anchor(date=monday, equity=equity))
    if state.peak_equity is None or equity > state.peak_equity:
        state = replace(state, peak_equity=equity)
    return state if state.equity_known else replace(state, equity_known=True)


def _tripped(state: RiskState, equity: Decimal, limits: RiskLimits) -> RiskState:
    """Every limit that `equity` has reached, at the limit included, takes effect."""
    if equity <= state.day.equity * (1 - limits.max_daily_loss):
        state = _stopped_until(state, _midnight(state.day.date + _DAY), DAILY_LOSS)
    if equity <= state.week.equity * (1 - limits.max_weekly_loss):
        state = _stopped_until(state, _midnight(state.week.date + _WEEK), WEEKLY_LOSS)
    if state.peak_equity is not None and equity <= state.peak_equity * (1 - limits.max_drawdown):
        state = _halted(state, DRAWDOWN)
    return state


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


def _after_reset(state: RiskState, event: Reset, limits: RiskLimits) -> RiskState:
    """Lift a halt; a drawdown is measured anew from the next mark, and a fatal streak forgiven."""
    if state.trading is not TradingState.HALTED:
        return state
    fatal_streak = state.loss_streak > limits.max_loss_streak
    lifted = replace(
        state,
        trading=TradingState.ACTIVE,
        peak_equity=None if state.reason == DRAWDOWN else state.peak_equity,
        loss_streak=0 if fatal_streak else state.loss_streak,
    )
    return _settled(lifted, event.at)


def _cooled_down(state: RiskState, symbol: Symbol, until: datetime) -> RiskState:
    """No entry in `symbol` before `until`; a cool-down only lengthens."""
    known = state.cool_down_until.get(symbol)
    if known is not None and known >= until:
        return state
    return replace(state, cool_down_until={**state.cool_down_until, symbol: until})


def _stopped_until(state: RiskState, until: datetime, why: str) -> RiskState:
    """No entry at all before `until`; such a halt only lengthens."""
    if state.halted_until is not None and state.halted_until >= until:
        return state
    return replace(state, halted_until=until, halted_for=why)


def _halted(state: RiskState, why: str) -> RiskState:
    """Halt until a person resets; the first reason stands."""
    if state.trading is TradingState.HALTED:
        return state
    return replace(state, trading=TradingState.HALTED, reason=why)


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


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
