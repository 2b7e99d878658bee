"""A risk state in force: moved by events, and on record as soon as it has changed."""

from collections.abc import Callable
from datetime import datetime

from data.account import ClosedTrade
from data.instrument import Notional
from risk.breaker import RiskEvent, RiskState, next_state
from risk.limits import RiskLimits
from risk.mark_watch import MarkWatch

Told = Callable[[RiskState, RiskState, datetime], None]


class RiskRecord:
    """The state of one account, or of one desk's part of it."""

    def __init__(
        self,
        state: RiskState,
        limits: RiskLimits,
        *,
        write: Callable[[RiskState], None],
        changed: Told,
    ) -> None:
        self.state = state
        self.limits = limits
        self._write = write
        self._changed = changed
        self._kept: RiskState | None = None
        self._marks = MarkWatch(limits)

    def note(self, event: RiskEvent) -> None:
        """Let the state know of `event`."""
        at = event.closed_at if isinstance(event, ClosedTrade) else event.at
        self._become(next_state(self.state, event, self.limits), at)

    def mark(self, equity: Notional | None, *, at: datetime, whole: Notional | None = None) -> None:
        """Let the state know what the book is worth, and what with all that is kept beside it."""
        self._become(self._marks.after(self.state, equity, at, whole=whole), at)

    def keep(self) -> None:
        """See to it that the state is on record, before the order that it allows."""
        if self.state is not self._kept:
            self._write(self.state)
            self._kept = self.state

    def _become(self, state: RiskState, at: datetime) -> None:
        before = self.state
        if state is not before:
            self.state = state
            self.keep()
            self._changed(before, state, at)
