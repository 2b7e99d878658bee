"""The kill switches that are on, and what keeps each of them from being lifted."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from data.account import AccountState
from data.instrument import Symbol
from execution.difference import Reconciliation
from execution.engine import Engine
from execution.kill_switch import doubts, still_open, within
from execution.tracking import TrackedOrder
from risk.breaker import FlatSeen
from sextant.risks import Purview, Risks


class Latches:
    """Holds what a kill switch has yet to end against our books, and the venue's last word."""

    def __init__(self, engine: Engine, risks: Risks) -> None:
        self._engine = engine
        self._risks = risks
        self.looked: Reconciliation | None = None  # the last

    def look(self, found: Reconciliation) -> None:
        """Let each kill switch know whether the venue has anything left of ours."""
        self.looked = found
        for latched in self._risks.latched(self._engine.account(found.at)):
            is_flat = not (self._still_open(latched) or self._doubts(latched))
            latched.risk.note(FlatSeen(is_flat=is_flat, at=found.at))

    def ending(self, account: AccountState) -> AbstractSet[Symbol]:
        """The symbols in which a kill switch ends everything."""
        ending: set[Symbol] = set()
        for latched in self._risks.latched(account):
            ending |= self._symbols(latched)
        return ending

    def is_ending(self, now: datetime) -> bool:
        """Whether the kill switch is on, and our own books show something left to end."""
        latched = self._risks.latched(self._engine.account(now))
        return any(self._still_open(each) for each in latched)

    @property
    def awaits_venue(self) -> bool:
        """Whether a kill switch is on of which the venue has yet to say that nothing is left."""
        states = (self._risks.account.state, *self._risks.desk_states.values())
        return any(state.latch is not None and not state.latch.is_done for state in states)

    def unfinished(self, now: datetime) -> tuple[str, ...]:
        """What keeps the kill switch from being lifted, in words; nothing, where it is off."""
        left: dict[str, None] = {}
        for latched in self._risks.latched(self._engine.account(now)):
            words = self._still_open(latched) + self._doubts(latched)
            latch = latched.risk.state.latch
            if not words and latch is not None and not latch.is_done:
                words = ("the venue has yet to say that nothing is left",)
            left |= dict.fromkeys(words)
        return tuple(left)

    def within_reach(self, symbols: AbstractSet[Symbol] | None) -> Sequence[TrackedOrder]:
        """What a kill switch ends: the account's ends all, a desk's none that is not a desk's."""
        return self._engine.orders if symbols is None else self._engine.trading_orders

    def _still_open(self, latched: Purview) -> tuple[str, ...]:
        orders = self.within_reach(latched.symbols)
        return still_open(latched.account, within(orders, latched.symbols))

    def _doubts(self, latched: Purview) -> tuple[str, ...]:
        bases = {symbol.base for symbol in self._symbols(latched)}
        return doubts(self.looked, bases) if self.looked is not None else ()

    def _symbols(self, latched: Purview) -> AbstractSet[Symbol]:
        return self._engine.instruments.keys() if latched.symbols is None else latched.symbols
