"""What the desks wished and what the rules said, by desk, by day and by rule."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from data.bar import Bar
from risk.approval import Rejection, Revision
from risk.intent import OrderIntent, Purpose
from risk.objection import Objection
from risk.referral import Referral
from sextant.evaluation.counterfactual import Counterfactuals

_DESKS_OWN = frozenset({Purpose.ENTRY, Purpose.EXIT})  # protection and breakers ask for the others


@dataclass(slots=True)
class DeskCount:
    """What one desk decided, and what became of it."""

    decisions: int = 0
    skipped: int = 0  # bars that it was to decide on, and did not
    intents: int = 0
    approved: int = 0  # at once, when asked again, or with consent
    sent_back: int = 0
    referred: int = 0
    vetoed: int = 0


@dataclass(slots=True)
class DayCount:
    """One UTC day at the gate."""

    intents: int = 0
    vetoes: int = 0  # of what protection and breakers ask for, too
    rejections: Counter[str] = field(default_factory=Counter)  # by rule; a veto may name several


class Verdicts:
    """Every wish and every verdict; memory is bounded by some numbers a day and a desk."""

    def __init__(self, *, horizon: int, fee: float) -> None:
        """`horizon` is in bars; `fee` is the taker's, as a share of notional."""
        self.acting = Counterfactuals(horizon=horizon, fee=fee)
        self.shadow = Counterfactuals(horizon=horizon, fee=fee)  # of entries that went through
        self.desks: defaultdict[str, DeskCount] = defaultdict(DeskCount)
        self.days: defaultdict[date, DayCount] = defaultdict(DayCount)
        self.intents = 0
        self.vetoes = 0
        self.rejections: Counter[str] = Counter()  # by rule; one veto may name several
        self.revisions = 0
        self.asked_again = 0  # after a revision
        self.approved_again = 0
        self.referrals = 0
        self.referral_ends: Counter[str] = Counter()

    @property
    def fee(self) -> float:
        """What a trade costs a taker now, as a share of notional."""
        return self.acting.fee

    @fee.setter
    def fee(self, fee: float) -> None:
        self.acting.fee = self.shadow.fee = fee

    def see(self, bar: Bar) -> None:
        """Let one bar pass over what is imagined."""
        self.acting.see(bar)
        self.shadow.see(bar)

    def count(self, strategy_id: str, intent: OrderIntent | None) -> None:
        """Take what a desk wished on one bar."""
        desk = self.desks[strategy_id]
        desk.decisions += 1
        if intent is not None:
            self.intents += 1
            desk.intents += 1
            self.days[intent.decided_at.date()].intents += 1

    def skip(self, strategy_id: str) -> None:
        """Take one bar on which a desk did not decide."""
        self.desks[strategy_id].skipped += 1

    def approve(self, intent: OrderIntent, shadowed: Sequence[Objection]) -> None:
        """Take what may go to the venue, and what rules in shadow had against it."""
        if intent.purpose in _DESKS_OWN:
            self.desks[intent.strategy_id].approved += 1
        if shadowed:
            self.shadow.veto(intent, shadowed)

    def reject(self, rejection: Rejection) -> None:
        """Take one veto, under every rule that objected."""
        intent = rejection.intent
        rules = [objection.rule for objection in rejection.objections]
        if intent.purpose in _DESKS_OWN:
            self.desks[intent.strategy_id].vetoed += 1
        day = self.days[intent.decided_at.date()]
        day.vetoes += 1
        day.rejections.update(rules)
        self.vetoes += 1
        self.rejections.update(rules)
        self.acting.veto(intent, rejection.objections)

    def send_back(self, revision: Revision) -> None:
        """Take one intent that may be asked for once more, otherwise."""
        self.revisions += 1
        self.desks[revision.intent.strategy_id].sent_back += 1

    def ask_again(self, intent: OrderIntent | None, *, approved: bool) -> None:
        """Take what came of a revision; None: the desk asks no more."""
        self.asked_again += intent is not None
        self.approved_again += approved

    def refer(self, referral: Referral) -> None:
        """Take one order that waits for a person."""
        self.referrals += 1
        self.desks[referral.intent.strategy_id].referred += 1

    def end_referral(self, end: str) -> None:
        """Take how the wait of one ended."""
        self.referral_ends[end] += 1
