"""How the risk of the account stands, and that of each desk's own part: whom what concerns."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from data.account import AccountState
from data.bar import Bar
from data.instrument import Symbol
from execution.charge import Charge
from execution.fill import Fill
from execution.journal import OrderJournal
from execution.ledger import Ledger
from execution.relisted import Relisted
from risk.breaker import Resume, RiskState, TradingState
from risk.case import DeskAccount
from risk.limits import RiskLimits
from sextant.alerts import Alerts
from sextant.risk_record import RiskRecord
from sextant.subaccount import DeskRiskState, Subaccount


@dataclass(frozen=True, slots=True, kw_only=True)
class Purview:
    """What one risk state is about."""

    risk: RiskRecord
    account: AccountState
    symbols: AbstractSet[Symbol] | None  # None: all


class Risks:
    """The account's risk state, and those of the parts that desks have of it, kept in step."""

    def __init__(
        self,
        state: RiskState,
        limits: RiskLimits,
        *,
        parts: Sequence[Subaccount],
        desk_states: Mapping[str, RiskState],
        journal: OrderJournal,
        alerts: Alerts,
    ) -> None:
        """`state` and `desk_states` are the newest on record."""
        self._journal = journal
        self._alerts = alerts
        self.account = RiskRecord(state, limits, write=journal.write, changed=alerts.note)
        self.parts = {
            part.strategy_id: (part, self._record_of(part, desk_states)) for part in parts
        }

    def _record_of(self, part: Subaccount, states: Mapping[str, RiskState]) -> RiskRecord:
        desk = part.strategy_id

        def write(state: RiskState) -> None:
            self._journal.write(DeskRiskState(strategy_id=desk, state=state))

        def changed(before: RiskState, after: RiskState, at: datetime) -> None:
            self._alerts.note(before, after, at, of=f"{desk}: ")

        state = states.get(desk, part.first_state)
        return RiskRecord(state, part.limits, write=write, changed=changed)

    @property
    def desk_states(self) -> dict[str, RiskState]:
        """How the risk of each desk's own part stands."""
        return {desk: risk.state for desk, (_, risk) in self.parts.items()}

    def mark(self, bar: Bar, ledger: Ledger, *, now: datetime) -> None:
        """Let every state see what its book is worth; `ledger` has been marked at `bar`."""
        self.account.mark(ledger.equity, at=now, whole=ledger.whole)
        for part, risk in self.parts.values():
            part.mark(bar)
            risk.mark(part.ledger.equity, at=now)

    def book(self, fill: Fill) -> None:
        """Let the desks' parts take in a fill, and the state of whose trade it ended know of it."""
        for part, risk in self.parts.values():
            closed = part.book(fill)
            if closed is not None:
                risk.note(closed)

    def charge(self, charge: Charge) -> None:
        """Let the desks' parts take in a charge."""
        for part, _ in self.parts.values():
            part.charge(charge)

    def relist(self, listed: Relisted, *, before: RiskLimits) -> None:
        """Let the parts go by other grids and fees; `before` is what the account's limits were."""
        for part, _ in self.parts.values():
            part.relist(listed, before=before)

    def desk_account(self, strategy_id: str, account: AccountState) -> DeskAccount | None:
        """What an entry of this desk is held to beside the account, if it has a part of its own."""
        if strategy_id not in self.parts:
            return None
        part, risk = self.parts[strategy_id]
        return DeskAccount(account=part.of(account), state=risk.state, limits=part.limits)

    def concerned(self, symbol: Symbol) -> list[RiskRecord]:
        """The states that an order in `symbol` concerns."""
        desks = (risk for part, risk in self.parts.values() if symbol in part.symbols)
        return [self.account, *desks]

    def holder(self, symbol: Symbol) -> tuple[RiskRecord, AbstractSet[Symbol] | None]:
        """Whose a position in `symbol` is, and all the symbols of a desk; None: the account's."""
        for part, risk in self.parts.values():
            if symbol in part.symbols:
                return risk, part.symbols
        return self.account, None

    def restrained(self, account: AccountState) -> Iterator[Purview]:
        """Those whose breaker does not let them trade as they like; the account's is the first."""
        if self.account.state.trading is not TradingState.ACTIVE:
            yield Purview(risk=self.account, account=account, symbols=None)
        for part, risk in self.parts.values():
            if risk.state.trading is not TradingState.ACTIVE:
                yield Purview(risk=risk, account=part.of(account), symbols=part.symbols)

    def latched(self, account: AccountState) -> Iterator[Purview]:
        """Those whose kill switch is on; the account's is the first."""
        if self.account.state.latch is not None:
            yield Purview(risk=self.account, account=account, symbols=None)
        for part, risk in self.parts.values():
            if risk.state.latch is not None:
                yield Purview(risk=risk, account=part.of(account), symbols=part.symbols)

    def lift(self, resume: Resume) -> None:
        """Lift every halt that is in force, of the account and of the desks."""
        for record in (self.account, *(risk for _, risk in self.parts.values())):
            record.note(resume)
