"""What the journal says of the time before this start: where we were, and what was left undone."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from data.faults import Refused
from data.instrument import Symbol
from execution.dead_man import UNTOLD, GuardChanged
from execution.protection import NakedSeen
from risk.breaker import RiskState
from risk.referral import Referral
from sextant.allocator import AllocationState
from sextant.allocator_settings import AllocatorSettings, portfolio_of
from sextant.cycle import Decision
from sextant.facts import (
    BarSeen,
    DecisionFailed,
    DecisionSkipped,
    FlawsSeen,
    ModelCosts,
    NewsSeen,
    PastKnown,
    RunStarted,
)
from sextant.history import PastOnRecord
from sextant.outside import Outside
from sextant.referrals import End, ReferralEnded
from sextant.settings import AccountSettings, DeskSettings, Settings
from sextant.stage_settings import Mode
from sextant.subaccount import DeskRiskState
from sextant.unheeded import UnheededLiquidations


class AnotherAccount(Refused):
    """The journal is that of another market, or of another opening balance."""


class Recollection:
    """The end of a journal, fact by fact; memory does not grow with its length."""

    def __init__(self, desks: Sequence[DeskSettings], outside: Outside) -> None:
        self._desks = desks
        self._outside = outside  # which learns the headlines again
        self._costs: ModelCosts | None = None
        self._run: RunStarted | None = None
        self._undecided: dict[tuple[str, str, datetime], None] = {}
        self._waiting: dict[str, None] = {}  # ids of the intents that wait for a person
        self.state: RiskState | None = None  # the newest on record
        self.desk_states: dict[str, RiskState] = {}  # the same of each desk's own part
        self.allocation = AllocationState()  # the newest on record
        self.guard = UNTOLD  # of resting entries, as last changed
        self.liquidations = UnheededLiquidations()
        self.naked_seen: dict[Symbol, NakedSeen] = {}  # the newest, by symbol
        self.past = PastOnRecord()
        self.newest: dict[Symbol, datetime] = {}  # close of the newest bar seen, by symbol

    async def following(self, facts: AsyncIterable[object]) -> AsyncIterator[object]:
        """The same facts, each taken in on its way."""
        async for fact in facts:
            self.take(fact)
            yield fact

    def take(self, fact: object) -> None:
        """Take in the next fact."""
        self.liquidations.take(fact)
        match fact:
            case AllocationState():
                self.allocation = fact
            case RiskState():
                self.state = fact
            case DeskRiskState():
                self.desk_states[fact.strategy_id] = fact.state
            case NewsSeen():
                self._outside.learn(fact.item)
            case ModelCosts():
                self._costs = fact
            case PastKnown():
                self.past.take(fact)
            case RunStarted():
                self._run = fact
                self.newest |= {Symbol(s): at for s, at in fact.warmed_up_to.items()}
                self._undecided.clear()  # the start has said why
            case BarSeen():
                self._see(fact)
            case GuardChanged():
                self.guard = fact.guard
            case NakedSeen():
                self.naked_seen[fact.symbol] = fact
            case Referral():
                self._waiting[fact.intent.intent_id] = None
            case ReferralEnded():
                self._waiting.pop(fact.intent_id, None)
            case Decision() | DecisionSkipped() | DecisionFailed():
                self._undecided.pop((fact.strategy_id, fact.symbol, fact.bar_closed_at), None)
            case FlawsSeen():
                for desk in self._desks:
                    for flaw in fact.flaws:
                        key = (desk.strategy_id, fact.symbol, flaw.closed_at)
                        self._undecided.pop(key, None)

    def require_same(self, settings: Settings, market: str) -> None:
        """Make sure that these books can be gone on with.

        Raises:
            AnotherAccount: they cannot: prices and balances would not be those of their past.
        """
        run = self._run
        if run is None:
            return
        kept = AccountSettings.model_validate(run.settings["account"])
        is_real, venue = Mode(run.mode).is_real, run.settings["venue"]["kind"]
        what = f"{settings.state_folder}: the books that are kept there are"
        instead = "set it back, or choose another storage.folder"
        if run.market != market:
            raise AnotherAccount(f"{what} of the market {run.market}, not {market}; {instead}")
        if is_real is not settings.mode.is_real or venue != settings.venue.kind:
            raise AnotherAccount(f"{what} of mode {run.mode} at {venue}; {instead}")
        if _opening(kept) != _opening(settings.account):
            raise AnotherAccount(f"{what} of another [account]: {_opening(kept)}; {instead}")
        said = run.settings.get("allocation")
        portfolio = portfolio_of(
            kept.balances, AllocatorSettings.model_validate(said) if said is not None else None
        )
        if portfolio != settings.portfolio:
            raise AnotherAccount(
                f"{what} of another [allocation]: beside the trading book, it kept "
                f"{_listed(portfolio) or 'nothing'} when they began; {instead}"
            )

    def spent_on(self, now: datetime) -> Decimal:
        """What models have cost on the day of `now`, in real time, in USD."""
        costs = self._costs
        today = costs is not None and costs.at.date() == now.date()
        return costs.spent_today_usd if costs is not None and today else Decimal(0)

    def undecided(self, now: datetime) -> list[DecisionSkipped]:
        """The bars that a desk had yet to decide on when the last run ended; it will not now."""
        return [
            DecisionSkipped(
                at=now,
                strategy_id=strategy_id,
                symbol=symbol,
                bar_closed_at=closed_at,
                reason="the daemon ended before it was decided on",
            )
            for strategy_id, symbol, closed_at in self._undecided
        ]

    def unanswered(self, now: datetime) -> list[ReferralEnded]:
        """The orders that waited for a person when the last run ended; they wait no more."""
        return [ReferralEnded(at=now, intent_id=key, end=End.STOPPED) for key in self._waiting]

    def _see(self, seen: BarSeen) -> None:
        symbol, closed_at = seen.bar.symbol, seen.bar.closed_at
        self.newest[symbol] = closed_at
        for desk in self._desks:
            if symbol in desk.instruments and desk.timeframe.closes_at(closed_at):
                self._undecided[desk.strategy_id, symbol, closed_at] = None


def _opening(account: AccountSettings) -> str:
    """What the account began with, in `currency`'s books; an asset without a balance is none."""
    return f"{_listed(account.balances)}, counted in {account.currency}"


def _listed(amounts: Mapping[str, Decimal]) -> str:
    named = (f"{amount.normalize():f} {asset}" for asset, amount in amounts.items() if amount)
    return ", ".join(sorted(named))
