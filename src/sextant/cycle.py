"""One decision on one sheet, from the snapshot to the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.council.consensus import Consensus
from agents.report import Report
from agents.strategy import Deliberation
from agents.vote import Ballot, RecordedAnswer
from data.instrument import Notional, Price, Quantity, Symbol
from data.order_book import OrderBook
from data.regime import Regime
from data.snapshot import Snapshot
from risk.approval import ApprovedOrder, Rejection, Revision, Verdict
from risk.intent import Envelope, OrderIntent
from risk.objection import Objection, Scale
from risk.referral import Referral
from sextant.book import Book


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The rules let the intent pass, with this size."""

    quantity: Quantity  # signed
    reductions: tuple[Objection, ...]  # what cut the size, if anything did
    scales: tuple[Scale, ...] = ()  # what made it smaller from the start
    shadowed: tuple[Objection, ...] = ()  # of rules that are only tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Vetoed:
    """The rules did not let the intent pass."""

    objections: tuple[Objection, ...]
    shadowed: tuple[Objection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Revised:
    """The strategy may ask once more, inside the envelope."""

    objections: tuple[Objection, ...]
    envelope: Envelope
    shadowed: tuple[Objection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred:
    """The rules let the intent pass with this size, once a person consents."""

    quantity: Quantity  # signed
    objections: tuple[Objection, ...]  # why a person is asked
    expires_at: datetime
    shadowed: tuple[Objection, ...] = ()


Ruling = Approved | Referred | Revised | Vetoed
"""A verdict as it goes on record: an approval does not outlive the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regeneration:
    """What came of a revision: the strategy's second intent for the same bar, and its ruling."""

    strategy_id: str
    symbol: Symbol
    bar_closed_at: datetime
    decided_at: datetime
    intent: OrderIntent | None  # None: it asks no more
    ruling: Ruling | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Everything that one bar led to: what was seen, who said what, and what became of it."""

    strategy_id: str
    symbol: Symbol
    bar_closed_at: datetime
    taken_at: datetime  # when the snapshot was taken
    decided_at: datetime  # when the verdict fell
    price: Price
    indicators: Mapping[str, float]  # of the deciding timeframe; null in a record is "warming up"
    held: Quantity
    equity: Notional | None
    reports: tuple[Report, ...]
    ballots: tuple[Ballot, ...]
    answers: tuple[RecordedAnswer, ...]
    consensus: Consensus | None
    regime: Regime
    rationale: str
    intent: OrderIntent | None
    ruling: Ruling | None  # None where there was no intent


def conclude(
    strategy_id: str,
    snapshot: Snapshot,
    deliberation: Deliberation,
    book: Book,
    *,
    orders: OrderBook | None,
    now: datetime,
) -> tuple[Decision, Verdict | None]:
    """Have the intent judged, if there is one, and put everything on one sheet.

    The agents saw the account as it was when the snapshot was taken; the rules see it as it is
    now. Nothing is awaited here, so what was judged is what goes on record.
    """
    intent = deliberation.intent
    verdict = None
    if intent is not None:
        market = book.market(snapshot, intent, deliberation.regime, orders)
        verdict = book.judge(intent, market, can_revise=True, now=now)
    decision = Decision(
        strategy_id=strategy_id,
        symbol=snapshot.instrument.symbol,
        bar_closed_at=snapshot.bar.closed_at,
        taken_at=snapshot.taken_at,
        decided_at=now,
        price=snapshot.bar.close,
        indicators=snapshot.primary.indicators,
        held=snapshot.account.held(snapshot.instrument.symbol),
        equity=snapshot.account.equity,
        reports=deliberation.reports,
        ballots=deliberation.ballots,
        answers=deliberation.answers,
        consensus=deliberation.consensus,
        regime=deliberation.regime,
        rationale=deliberation.rationale,
        intent=intent,
        ruling=ruling_of(verdict),
    )
    return decision, verdict


def conclude_again(
    revision: Revision,
    intent: OrderIntent | None,
    snapshot: Snapshot,
    regime: Regime,
    book: Book,
    *,
    orders: OrderBook | None,
    now: datetime,
) -> tuple[Regeneration, Verdict | None]:
    """Have the second intent judged, if there is one; another revision it cannot come to."""
    verdict = None
    if intent is not None:
        market = book.market(snapshot, intent, regime, orders)
        verdict = book.judge(intent, market, now=now)
    again = Regeneration(
        strategy_id=revision.intent.strategy_id,
        symbol=snapshot.instrument.symbol,
        bar_closed_at=snapshot.bar.closed_at,
        decided_at=now,
        intent=intent,
        ruling=ruling_of(verdict),
    )
    return again, verdict


def ruling_of(verdict: Verdict | None) -> Ruling | None:
    """The verdict as it goes on record."""
    match verdict:
        case ApprovedOrder():
            return Approved(
                quantity=verdict.quantity,
                reductions=verdict.reductions,
                scales=verdict.scales,
                shadowed=verdict.shadowed,
            )
        case Referral():
            return Referred(
                quantity=verdict.quantity,
                objections=verdict.objections,
                expires_at=verdict.expires_at,
                shadowed=verdict.shadowed,
            )
        case Revision():
            return Revised(
                objections=verdict.objections,
                envelope=verdict.envelope,
                shadowed=verdict.shadowed,
            )
        case Rejection():
            return Vetoed(objections=verdict.objections, shadowed=verdict.shadowed)
        case None:
            return None


def ruling_in_words(ruling: Ruling | None) -> str:
    """What the risk engine said, with every objection."""
    match ruling:
        case None:
            return "no order wished"
        case Approved():
            cut = "".join(f", cut by {o.rule}" for o in ruling.reductions)
            return f"approved {ruling.quantity:+,f}{cut}"
        case Referred():
            return f"waits for consent to {ruling.quantity:+,f} until {ruling.expires_at:%H:%M}"
        case Revised():
            return f"sent back: {_listed(ruling.objections)}"
        case Vetoed():
            return f"vetoed: {_listed(ruling.objections)}"


def _listed(objections: Sequence[Objection]) -> str:
    return "; ".join(f"{o.rule}: {o.observed} against {o.limit} {o.unit}" for o in objections)
