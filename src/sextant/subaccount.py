"""A desk's own part of the account: its capital, its instruments, its limits, its risk state.

What the fills in its instruments, and the charges for them, have made of the capital is what it
has; a charge of which the venue does not say what it is for is the account's alone. Whose order a
fill came of does not matter, so that a stop, or a breaker's cut, counts for the desk too; but what
exchanges holdings is no desk's. No two desks with a part of their own share an instrument.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from data.account import AccountState, ClosedTrade
from data.bar import Bar
from data.instrument import Symbol
from execution.charge import Charge
from execution.fill import Fill
from execution.ledger import Ledger
from execution.order import Submitting
from risk.breaker import RiskState
from risk.limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskRiskState:
    """The risk state of one desk's part of the account."""

    strategy_id: str
    state: RiskState


class Rebooking:
    """Brings parts up to date with facts on record, in their order."""

    def __init__(self, parts: Sequence["Subaccount"]) -> None:
        self._parts = parts
        self._exchanges: set[str] = set()  # client order ids of what exchanges holdings

    def take(self, fact: object) -> None:
        """Take in the next fact; of most kinds nothing comes."""
        match fact:
            case Submitting() if fact.order.purpose.exchanges:
                self._exchanges.add(fact.order.client_order_id)
            case Fill() if fact.client_order_id not in self._exchanges:
                for part in self._parts:
                    part.book(fact)
            case Charge():
                for part in self._parts:
                    part.charge(fact)
            case _:
                pass


class Subaccount:
    """One desk's part; the account's book keeps it in step."""

    def __init__(
        self,
        *,
        strategy_id: str,
        symbols: frozenset[Symbol],
        limits: RiskLimits,
        first_state: RiskState,
        ledger: Ledger,
    ) -> None:
        self.strategy_id = strategy_id
        self.symbols = symbols
        self.limits = limits
        self.first_state = first_state  # of a part that has never traded
        self.ledger = ledger

    def book(self, fill: Fill) -> ClosedTrade | None:
        """Take in a fill, if it is in one of the desk's instruments; the trade that it ended."""
        return self.ledger.book(fill) if fill.symbol in self.symbols else None

    def charge(self, charge: Charge) -> None:
        """Take in a charge, if it is for one of the desk's instruments."""
        if charge.symbol in self.symbols:
            self.ledger.charge(charge)

    def mark(self, bar: Bar) -> None:
        """Value `bar`'s symbol at its close."""
        self.ledger.mark(bar.symbol, bar.close, bar.closed_at)

    def of(self, account: AccountState) -> AccountState:
        """The desk's part of `account`: what is in flight in its instruments counts here too."""
        in_flight = tuple(o for o in account.in_flight if o.symbol in self.symbols)
        return self.ledger.account(
            as_of=account.as_of, in_flight=in_flight, reconciled=account.reconciled
        )
