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
from execution.blotter import ChargeBooked, FillBooked, Settled
from execution.charge import Charge
from execution.fill import Fill
from execution.ledger import Ledger
from execution.relisted import Relisted
from risk.breaker import RiskState
from risk.limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskRiskState:
    """The risk state of one desk's part of the account."""

    strategy_id: str
    state: RiskState


def rebook(parts: Sequence["Subaccount"], settled: Settled) -> None:
    """Bring parts up to date with what came of a fact on record, in their order."""
    match settled:
        case FillBooked(fill=fill, order=order) if not order.purpose.exchanges:
            for part in parts:
                part.book(fill)
        case ChargeBooked(charge=charge):
            for part in parts:
                part.charge(charge)
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

    def relist(self, listed: Relisted, *, before: RiskLimits) -> None:
        """Go by other grids, minimums and fees; limits with a fee of their own keep it.

        `before` is what the account's limits were until now.
        """
        if self.limits.taker_fee == before.taker_fee:
            self.limits = self.limits.model_copy(update={"taker_fee": listed.taker_fee})
        for instrument in listed.instruments:
            self.ledger.relist(instrument)

    def mark(self, bar: Bar) -> None:
        """Value `bar`'s symbol at its close."""
        self.ledger.mark(bar.symbol, bar.close, bar.closed_at)

    def of(self, account: AccountState) -> AccountState:
        """The desk's part of `account`: what is in flight in its instruments counts here too."""
        in_flight = tuple(o for o in account.in_flight if o.symbol in self.symbols)
        return self.ledger.account(
            as_of=account.as_of, in_flight=in_flight, reconciled=account.reconciled
        )
