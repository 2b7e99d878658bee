"""What a person should be told at once, told once: on record, and to whoever listens."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from data.account import AccountState
from execution.journal import OrderJournal
from risk.alerts import alerts
from risk.breaker import RiskState, TradingState
from risk.latch import Latch
from risk.limits import RiskLimits

_AGAIN_AFTER = timedelta(hours=1)  # what comes and goes around its mark is not told every time


class AlertKind(StrEnum):
    """What an alert is about; `subject` names the thing."""

    NEAR_LIMIT = "near_limit"  # a limit's warning mark is reached
    TRADING = "trading"  # entries stop, or are let in again
    KILL_SWITCH = "kill_switch"  # it is thrown, has done its work, or has to begin again
    NO_STOP = "no_stop"  # a position is closed for want of the stop that it should have
    LIQUIDATION = "liquidation"  # the venue has taken a position of ours by force
    BOOKS = "books"  # ours and the venue's do not agree, and so nothing is entered
    DESK_PAUSED = "desk_paused"  # its models failed too often in a row
    DRIFT = "drift"  # holdings are far from their target shares
    ERROR = "error"  # a decision ended in an exception
    STALE_OVERLAY = "stale_overlay"  # a higher timeframe is too old to be read: it is neutral


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing that a person should know."""

    at: datetime
    kind: AlertKind
    subject: str
    text: str


class Alerts:
    """Tells each thing when it begins."""

    def __init__(self, limits: RiskLimits, journal: OrderJournal) -> None:
        self.listener: Callable[[Alert], None] | None = None
        self._limits = limits
        self._journal = journal
        self._told: dict[tuple[AlertKind, str], datetime] = {}
        self._quiet_state: RiskState | None = None  # the one that `_floor` is of
        self._floor = Decimal(0)  # above it, a flat account is near no limit

    def tell(self, kind: AlertKind, subject: str, text: str, *, at: datetime) -> None:
        """Tell it, unless the same was told within the hour."""
        before = self._told.get((kind, subject))
        if before is not None and at - before < _AGAIN_AFTER:
            return
        self._told[kind, subject] = at
        alert = Alert(at=at, kind=kind, subject=subject, text=text)
        self._journal.write(alert)
        if self.listener is not None:
            self.listener(alert)

    def note(self, before: RiskState, after: RiskState, at: datetime, *, of: str = "") -> None:
        """Tell what changed for entries; `of` says whose, where it is a desk's own part."""
        if (before.trading, before.reason) != (after.trading, after.reason):
            subject = f"{of}{after.reason or after.trading}"
            if after.trading is TradingState.HALTED:  # not muted by a milder stop of the same name
                self._told.pop((AlertKind.TRADING, subject), None)
            self.tell(AlertKind.TRADING, subject, _trading(after), at=at)
        if after.latch is not None and after.latch is not before.latch:
            subject, text = _latched(before.latch, after.latch)
            self._told.pop((AlertKind.KILL_SWITCH, of + subject), None)
            self.tell(AlertKind.KILL_SWITCH, of + subject, text, at=at)
        if before.paused_until is not after.paused_until:
            for desk, until in after.paused_until.items():
                if before.paused_until.get(desk) != until:
                    text = f"its models fail; no entry before {until:%H:%M:%S}"
                    self.tell(AlertKind.DESK_PAUSED, desk, text, at=at)

    def look(self, state: RiskState, account: AccountState, *, now: datetime) -> None:
        """Tell which limits are near."""
        if not account.positions and self._is_quiet(state, account.equity):
            return
        for near in alerts(state, account, self._limits):
            text = f"{near.observed} of {near.unit}; the mark is {near.limit}"
            self.tell(AlertKind.NEAR_LIMIT, near.rule, text, at=now)

    def _is_quiet(self, state: RiskState, equity: Decimal | None) -> bool:
        """Whether only equity could be near a limit, and is not: at the price of a comparison."""
        if state is not self._quiet_state:
            self._quiet_state, limits = state, self._limits
            peak = state.peak_equity or Decimal(0)
            day = state.day.equity * (1 - limits.warn_daily_loss) if limits.warn_daily_loss else 0
            self._floor = max(peak * (1 - limits.derisk_drawdown), Decimal(day))
        return equity is not None and equity > self._floor


def _latched(before: Latch | None, after: Latch) -> tuple[str, str]:
    """What has become of the kill switch, in a word and in a sentence."""
    if after.is_done:
        said = "the venue says that nothing of ours is left; `sextant resume` lets entries in again"
        return "done", said
    if before is None:
        return "thrown", f"{after.reason}: orders are cancelled and positions closed"
    return "again", "something of ours has turned up at the venue; it is ended too"


def _trading(state: RiskState) -> str:
    match state.trading:
        case TradingState.ACTIVE:
            return "entries are let in again"
        case TradingState.REDUCING:
            until = f" until {state.halted_until:%Y-%m-%d %H:%M}" if state.halted_until else ""
            return f"no entries{until}: {state.reason}"
        case TradingState.HALTED:
            return f"no entries until `sextant resume`: {state.reason}"
