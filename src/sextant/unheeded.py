"""Liquidations that a crash has cut off from the halt that each of them brings."""

from execution.fill import Fill
from execution.ledger import Ledger
from risk.breaker import RiskState
from sextant.subaccount import DeskRiskState


class UnheededLiquidations:
    """Follows a journal: a liquidation is heeded once a risk state is on record behind it.

    The halt is put on record with the fill, but not as one with it. What the next start finds
    unheeded halts then; a halt that is in force it leaves as it is.
    """

    def __init__(self) -> None:
        self._fills: dict[str, Fill] = {}  # by their ids

    def take(self, fact: object) -> None:
        """Take in the next fact; of most kinds nothing comes."""
        match fact:
            case Fill() if fact.forced:
                self._fills[fact.fill_id] = fact
            case RiskState() | DeskRiskState():
                self._fills.clear()
            case _:
                pass

    def booked_in(self, ledger: Ledger) -> tuple[Fill, ...]:
        """Those that are ours, in their order."""
        return tuple(fill for fill in self._fills.values() if ledger.has(fill.fill_id))
