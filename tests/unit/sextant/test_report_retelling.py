"""The scorecard made again from facts: what each kind of fact adds to it."""

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.feed import FeedInterrupted
from data.quality import Flaw, FlawKind
from data.regime import Regime
from execution.blotter import Blotter
from execution.charge import Charge, ChargeKind
from execution.order import Submitting
from execution.relisted import Relisted
from risk.approval import Revision
from risk.intent import Envelope
from risk.referral import Referral
from sextant.cycle import Approved, Decision, Regeneration, Vetoed
from sextant.evaluation.retelling import Retelling
from sextant.facts import (
    TOPICS,
    BarSeen,
    DecisionFailed,
    DecisionSkipped,
    FlawsSeen,
    GapSeen,
    ModelCosts,
    RunStarted,
)
from sextant.referrals import End, ReferralEnded
from sextant.report_command import _PASSED_OVER, _RUN, _STATE
from tests.builders_engine import a_ledger, an_entry, an_exit
from tests.builders_evaluation import BTC, START, a_bar, a_scorecard, a_veto, a_vote
from tests.builders_venue import a_fill, an_id, instruments

RUN = [field.name for field in fields(RunStarted)]
WISH = a_veto("any").intent
AGAINST = a_veto("trend").objections
PASSED = Approved(quantity=Decimal(1), reductions=(), shadowed=AGAINST)
VETOED = Vetoed(objections=AGAINST)


def a_retelling():
    ledger = a_ledger()
    blotter = Blotter(ledger, instruments(), remembered=100)
    return Retelling(a_scorecard(), ledger, blotter)


def retold(*facts):
    retelling = a_retelling()
    for fact in facts:
        retelling.take(fact)
    retelling.end()
    return retelling


def seen(index, close="100"):
    bar = a_bar(index, close)
    return BarSeen(at=bar.closed_at, bar=bar)


def flawed(index, kind):
    flaw = Flaw(
        kind=kind,
        symbol=BTC,
        timeframe=Timeframe.M1,
        closed_at=a_bar(index).closed_at,
        observed=1.0,
        limit=0.0,
    )
    return FlawsSeen(at=START, symbol=BTC, flaws=(flaw,))


def a_decision(intent=None, ruling=None, *ballots):
    return Decision(
        strategy_id="desk",
        symbol=BTC,
        bar_closed_at=START,
        taken_at=START,
        decided_at=START,
        price=Decimal(100),
        indicators={},
        held=Decimal(0),
        equity=Decimal(1000),
        reports=(),
        ballots=ballots,
        answers=(),
        consensus=None,
        regime=Regime.UNKNOWN,
        rationale="",
        intent=intent,
        ruling=ruling,
    )


def a_second_asking(intent, ruling):
    return Regeneration(
        strategy_id="desk",
        symbol=BTC,
        bar_closed_at=START,
        decided_at=START,
        intent=intent,
        ruling=ruling,
    )


def a_referral(intent):
    return Referral(
        intent=intent,
        quantity=Decimal(1),
        objections=AGAINST,
        reductions=(),
        scales=(),
        shadowed=(),
        referred_at=START,
        expires_at=START + timedelta(minutes=10),
    )


def ended(end, ruling=None):
    return ReferralEnded(at=START, intent_id=WISH.intent_id, end=end, ruling=ruling)


def a_revision():
    one = Decimal(1)
    envelope = Envelope(nearest_stop=one, farthest_stop=one, nearest_target=None, max_quantity=one)
    return Revision(
        intent=WISH, objections=AGAINST, envelope=envelope, shadowed=(), revised_at=START
    )


def costs(usd, *, hours=0):
    return ModelCosts(at=START + timedelta(hours=hours), spent_today_usd=Decimal(usd))


@pytest.mark.parametrize(
    ("facts", "bars", "mark"),
    [
        pytest.param([seen(1)], 1, 100, id="the last fact of all"),
        pytest.param([seen(1), seen(2, "101")], 2, 101, id="bar after bar"),
        pytest.param([seen(1), flawed(1, FlawKind.GAP)], 1, 100, id="a hole before it"),
        pytest.param(
            [seen(1), seen(2, "900"), flawed(2, FlawKind.JUMP)], 2, 100, id="a jump is no price"
        ),
        pytest.param(
            [seen(1), seen(1, "99"), flawed(1, FlawKind.DUPLICATE)], 1, 100, id="a repeat"
        ),
        pytest.param(
            [seen(2), seen(1, "99"), flawed(1, FlawKind.OUT_OF_ORDER)], 1, 100, id="out of order"
        ),
    ],
)
def test_a_bar_counts_as_its_flaws_let_it(facts, bars, mark):
    retelling = retold(*facts)
    assert retelling.card.bars == bars
    assert retelling.ledger.last_mark(BTC).price == mark


@pytest.mark.req("S1-125", "S1-126")
@pytest.mark.parametrize(
    ("facts", "shadowed"),
    [
        pytest.param([a_decision(WISH, PASSED)], 1, id="at once"),
        pytest.param([a_decision(WISH, VETOED)], 0, id="vetoed"),
        pytest.param([a_decision()], 0, id="nothing wished"),
        pytest.param([a_second_asking(WISH, PASSED)], 1, id="when asked again"),
        pytest.param([a_second_asking(None, None)], 0, id="not asked again"),
        pytest.param([a_referral(WISH), ended(End.CONSENTED, PASSED)], 1, id="with consent"),
        pytest.param([a_referral(WISH), ended(End.DENIED)], 0, id="denied"),
        pytest.param([ended(End.STOPPED)], 0, id="of a referral before the record"),
    ],
)
def test_what_went_through_against_a_rule_in_shadow(facts, shadowed):
    worths = retold(*facts).card.verdicts.shadow.by_rule
    assert {rule: worth.vetoes for rule, worth in worths.items()} == (
        {"trend": shadowed} if shadowed else {}
    )


def test_every_kind_of_fact_is_counted_once():
    gap = FeedInterrupted(
        symbol=BTC, timeframe=Timeframe.M1, since=START, until=None, reason="silence"
    )
    failed = DecisionFailed(
        at=START, strategy_id="desk", symbol=BTC, bar_closed_at=START, error="no"
    )
    card = retold(
        a_decision(WISH, VETOED, a_vote()),
        a_veto("trend"),
        a_decision(),
        a_revision(),
        a_second_asking(WISH, PASSED),
        a_referral(WISH),
        ended(End.EXPIRED),
        GapSeen(at=START, gap=gap),
        failed,
        DecisionSkipped(
            at=START, strategy_id="desk", symbol=BTC, bar_closed_at=START, reason="busy"
        ),
    ).card
    verdicts = card.verdicts
    assert (card.decisions, verdicts.intents, verdicts.vetoes) == (2, 1, 1)
    assert (card.interruptions, card.failures) == (1, 1)
    assert (verdicts.revisions, verdicts.asked_again, verdicts.approved_again) == (1, 1, 1)
    assert (verdicts.referrals, verdicts.referral_ends) == (1, {"expired": 1})
    assert card.seats.by_voter["gpt"].votes.total() == 1
    desk = verdicts.desks["desk"]
    assert (desk.decisions, desk.skipped, desk.intents) == (2, 1, 1)
    assert (desk.approved, desk.vetoed, desk.sent_back, desk.referred) == (1, 1, 1, 1)


def fills(first=1):
    """A trade that wins 10 USDT: its two orders, and what became of them."""
    buy, sell = an_entry("order 1"), an_exit("order 2")
    return [
        Submitting.of(buy, at=START),
        a_fill(first, "1", "100"),
        Submitting.of(sell, at=START),
        replace(a_fill(first + 1, "-1", "110"), client_order_id=an_id("order 2")),
    ]


def test_fills_make_trades_and_equity():
    retelling = retold(seen(1), *fills(), seen(2))
    card = retelling.card
    assert (card.buys, card.sells, card.trades, card.wins) == (1, 1, 1, 1)
    assert card.profit == 10.0
    assert retelling.ledger.equity == 100_010
    assert card.equity.total_return == pytest.approx(0.0001)


@pytest.mark.parametrize(
    ("told", "spent"),
    [
        pytest.param([], "0", id="nothing"),
        pytest.param([costs("1"), costs("1.5")], "1.5", id="one day, of which the last counts"),
        pytest.param([costs("2"), costs("0.5", hours=24)], "2.5", id="two days"),
    ],
)
def test_models_cost_what_each_day_came_to(told, spent):
    assert retold(*told).spent == Decimal(spent)


def test_what_was_before_the_window_is_the_accounts_and_not_counted():
    retelling = a_retelling()
    buy, bought, sell, sold = fills()
    for fact in (costs("2"), seen(1), a_decision(), buy, bought, a_referral(WISH)):
        retelling.take(fact)
    retelling.begin(a_scorecard())
    for fact in (costs("2.25"), seen(2, "105"), sell, sold, ended(End.CONSENTED, PASSED)):
        retelling.take(fact)
    retelling.end()
    card = retelling.card
    assert (card.bars, card.decisions, card.buys, card.sells, card.trades) == (1, 0, 0, 1, 1)
    assert card.equity.first == 100_005
    assert retelling.spent == Decimal("0.25")
    assert card.verdicts.shadow.by_rule["trend"].vetoes == 1


def test_the_fee_is_the_venues_own_as_it_changes():
    retelling = a_retelling()
    run = RunStarted(**dict.fromkeys(RUN, None) | {"settings": {"risk": {"taker_fee": "0.004"}}})
    for fact, fee in (
        (run, 0.004),
        (Relisted(at=START, instruments=(), taker_fee=Decimal("0.003")), 0.003),
    ):
        retelling.take(fact)
        assert retelling.card.verdicts.fee == fee
    retelling.begin(a_scorecard())
    verdicts = retelling.card.verdicts
    assert verdicts.acting.fee == verdicts.shadow.fee == 0.003


def test_topics_that_are_passed_over_exist():
    assert _PASSED_OVER | {_RUN, _STATE} <= TOPICS.keys()


def test_charges_are_counted_and_are_in_the_equity():
    charge = Charge(
        charge_id="C1",
        kind=ChargeKind.ROLLOVER,
        asset="USDT",
        amount=Decimal("2.5"),
        symbol=BTC,
        charged_at=START,
    )
    told = retold(charge, charge, seen(0))
    assert told.card.charged == 2.5
    assert told.card.equity.last.equity == 100_000 - 2.5
