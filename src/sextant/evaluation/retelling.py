"""The scorecard made again from the record alone, by the same calls as in the run itself."""

from datetime import date
from decimal import Decimal

from data.bar import Bar
from data.quality import FlawKind
from execution.blotter import Blotter, ChargeBooked, FillBooked
from execution.ledger import Ledger
from execution.relisted import Relisted
from risk.approval import Rejection, Revision
from risk.intent import OrderIntent
from risk.referral import Referral
from sextant.allocator import AllocationState
from sextant.cycle import Approved, Decision, Regeneration, Ruling
from sextant.evaluation.scorecard import Scorecard
from sextant.facts import (
    BarSeen,
    DecisionFailed,
    DecisionSkipped,
    FlawsSeen,
    GapSeen,
    ModelCosts,
    RunStarted,
)
from sextant.referrals import ReferralEnded

_NOT_NEW = (FlawKind.DUPLICATE, FlawKind.OUT_OF_ORDER)


class Retelling:
    """Keeps ledger and orders in step with the facts, and the scorecard with both.

    A bar's flaws stand on record right behind it, so a bar counts once the next fact has come, or
    at the `end`. Memory does not grow with the length of the record, but for what the live
    scorecard, ledger and orders keep too.
    """

    def __init__(self, card: Scorecard, ledger: Ledger, blotter: Blotter) -> None:
        self.card = card
        self.ledger = ledger
        self._blotter = blotter
        self._seen: Bar | None = None  # the newest bar, of which flaws may still be told
        self._waiting: dict[str, OrderIntent] = {}  # for a person, by intent id
        self._costs: tuple[date, Decimal] = (date.min, Decimal(0))  # of the newest day
        self.spent = Decimal(0)  # on models, in USD
        self.allocation = AllocationState()  # the newest on record

    def begin(self, card: Scorecard) -> None:
        """Forget what was counted so far; the account goes on as it is."""
        self.end()
        card.verdicts.fee = self.card.verdicts.fee
        self.card = card
        self.spent = Decimal(0)

    def end(self) -> None:
        """Count the bar that no fact has followed yet."""
        if self._seen is not None:
            bar, self._seen = self._seen, None
            self._count(bar, is_believed=True)

    def mark(self, bar: Bar) -> None:
        """Value its symbol at a bar that was known before the run."""
        self.ledger.mark(bar.symbol, bar.close, bar.closed_at)

    def take(self, fact: object) -> None:
        """Take in the next fact on record; those that change nothing here are passed over."""
        if isinstance(fact, FlawsSeen):
            self._take_flaws(fact)
            return
        self.end()
        verdicts = self.card.verdicts
        match fact:
            case BarSeen():
                self._seen = fact.bar
            case GapSeen():
                self.card.interruptions += 1
            case Decision():
                self._decide(fact)
            case Regeneration():
                verdicts.ask_again(fact.intent, approved=isinstance(fact.ruling, Approved))
                self._approve(fact.intent, fact.ruling)
            case Rejection():
                verdicts.reject(fact)
            case Revision():
                verdicts.send_back(fact)
            case Referral():
                self._waiting[fact.intent.intent_id] = fact.intent
                verdicts.refer(fact)
            case ReferralEnded():
                verdicts.end_referral(fact.end)
                self._approve(self._waiting.pop(fact.intent_id, None), fact.ruling)
            case DecisionSkipped():
                verdicts.skip(fact.strategy_id)
            case DecisionFailed():
                self.card.failures += 1
            case ModelCosts():
                self._spend(fact)
            case AllocationState():
                self.allocation = fact
            case RunStarted():
                verdicts.fee = float(fact.settings["risk"]["taker_fee"])
            case Relisted():
                verdicts.fee = float(fact.taker_fee)
            case _:
                self._trade(fact)

    def _take_flaws(self, fact: FlawsSeen) -> None:
        bar, self._seen = self._seen, None
        kinds = {flaw.kind for flaw in fact.flaws}
        if bar is not None and kinds.isdisjoint(_NOT_NEW):
            self._count(bar, is_believed=FlawKind.JUMP not in kinds)

    def _count(self, bar: Bar, *, is_believed: bool) -> None:
        if is_believed:
            self.mark(bar)
        self.card.see(bar, self.ledger.earned)

    def _decide(self, fact: Decision) -> None:
        self.card.decided(fact.strategy_id, fact.symbol, fact.price, fact.ballots, fact.intent)
        self._approve(fact.intent, fact.ruling)

    def _approve(self, intent: OrderIntent | None, ruling: Ruling | None) -> None:
        """An approval has no record of its own: whoever asked for it tells."""
        if intent is not None and isinstance(ruling, Approved):
            self.card.verdicts.approve(intent, ruling.shadowed)

    def _spend(self, costs: ModelCosts) -> None:
        """A record holds what the whole day has cost so far."""
        day, before = self._costs
        today = costs.at.date()
        self.spent += costs.spent_today_usd - (before if today == day else Decimal(0))
        self._costs = today, costs.spent_today_usd

    def _trade(self, fact: object) -> None:
        for settled in self._blotter.apply(fact):
            if isinstance(settled, ChargeBooked):
                charge = settled.charge
                self.card.charge(charge, self.ledger.rate(charge.asset))
            elif isinstance(settled, FillBooked) and settled.order.purpose.exchanges:
                self.card.exchange(settled.fill)
            elif isinstance(settled, FillBooked):
                fill = settled.fill
                if settled.is_liquidation:
                    self.card.liquidate(fill)
                self.card.fill(fill, self.ledger.rate(fill.symbol.quote))
                if settled.closed is not None:
                    self.card.close(settled.closed, settled.attributed)
