"""What each verdict carries, whichever way it was come to."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Quantity
from data.regime import Regime
from risk import approval, rules
from risk.approval import ApprovedOrder, Rejection, Revision, Unsealed
from risk.case import DeskAccount
from risk.intent import Direction, Envelope
from risk.objection import Adjustable, Objection, Scale
from risk.referral import Referral, consent
from tests.builders_risk import (
    NOW,
    XRP,
    a_full_market,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    an_exit,
    judged,
    limits_with,
    price,
)

BEARISH = a_market(regime=Regime.TRENDING_BEAR)
TRIED = {"trend_gate": True, "shadow": ["trend"]}
SAID = (Objection(rule="trend", observed="long in trending_bear", limit="with it", unit=""),)
SIZED = (Scale(rule="regime", share=Decimal("0.8")),)
FULL_UP = an_account("1000", a_position("1", symbol=XRP, notional="700"))


def said(rule, observed, limit, unit):
    return Objection(rule=rule, observed=observed, limit=limit, unit=unit)


CUT = said("total_exposure", "860", "800", "USDT")
SURE = said("confidence", "0.5", "0.6 to 1", "probability")
NEAR = said("stop_distance", "0.001", "0.005 to 0.03", "share")
LARGE = said("referral", "100", "<= 50 or consent", "USDT")
TINY = said("minimum_order", "0.04, worth 4", "0.0001, worth 5", "base, quote")
NO_ROOM = an_account("1000", a_position("1", symbol=XRP, notional="796"))


def rejected(intent, *objections):
    return Rejection(intent=intent, objections=objections, shadowed=SAID, rejected_at=NOW)


def referred(intent, quantity, objections, reductions):
    return Referral(
        intent=intent,
        quantity=Quantity(Decimal(quantity)),
        objections=objections,
        reductions=reductions,
        scales=SIZED,
        shadowed=SAID,
        referred_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
    )


SOFT = {"min_stop_atr": 0.0}
UNSURE = an_entry(confidence=0.5)
NEARER = an_entry(stop="99.9")
WISHED = an_entry("5")


@pytest.mark.req("S1-96", "S1-125", "S2-48", "S3-45")
@pytest.mark.parametrize(
    ("intent", "changes", "limits", "verdict"),
    [
        pytest.param(
            UNSURE,
            {},
            {"tiers": [{"min_confidence": 0, "size": 1, "max_leverage": 5}]},
            rejected(UNSURE, SURE),
            id="a rejection",
        ),
        pytest.param(NEARER, {}, SOFT, rejected(NEARER, NEAR), id="what nobody can revise"),
        pytest.param(
            NEARER,
            {"can_revise": True},
            SOFT,
            Revision(
                intent=NEARER,
                objections=(NEAR,),
                envelope=Envelope(
                    nearest_stop=price("99.5"),
                    farthest_stop=price("97"),
                    nearest_target=None,
                    max_quantity=Quantity(Decimal("1.6")),
                ),
                shadowed=SAID,
                revised_at=NOW,
            ),
            id="a revision",
        ),
        pytest.param(
            an_entry(),
            {"account": NO_ROOM},
            {},
            rejected(an_entry(), said("total_exposure", "956", "800", "USDT"), TINY),
            id="what a cut makes too small",
        ),
        pytest.param(
            WISHED,
            {"account": FULL_UP},
            {"refer_above": "0.05"},
            referred(
                WISHED,
                "1",
                (LARGE,),
                (said("sizing", "5", "1.6", "base"), CUT),
            ),
            id="a referral, cut first",
        ),
        pytest.param(
            an_entry("1"),
            {},
            {"refer_above": "0.05"},
            referred(an_entry("1"), "1", (LARGE,), ()),
            id="a referral",
        ),
    ],
)
def test_a_verdict_says_all_that_it_rests_on(intent, changes, limits, verdict):
    given = {"market": BEARISH, "limits": limits_with(**TRIED, **limits)} | changes
    assert judged(intent, **given) == verdict


@pytest.mark.parametrize(
    ("intent", "account", "quantity", "reductions"),
    [
        pytest.param(an_entry(), an_account(), "1.6", (), id="as it was sized"),
        pytest.param(an_entry(), FULL_UP, "1", (CUT,), id="cut"),
    ],
)
def test_an_approval_says_what_made_it_smaller(intent, account, quantity, reductions):
    verdict = judged(intent, account=account, market=BEARISH, limits=limits_with(**TRIED))
    assert isinstance(verdict, ApprovedOrder)
    assert (verdict.quantity, verdict.reductions) == (Decimal(quantity), reductions)
    assert (verdict.scales, verdict.shadowed) == (SIZED, SAID)


def test_a_full_size_was_made_smaller_by_nothing():
    verdict = judged(an_entry())
    assert (verdict.scales, verdict.shadowed) == ((), ())


def test_an_order_of_less_than_one_unit_is_cut_on_its_own_side():
    room = an_account("100", a_position("1", symbol=XRP, notional="70"))
    for intent, quantity in (
        (an_entry(), "0.1"),
        (an_entry(stop="102", direction=Direction.SHORT), "-0.1"),
    ):
        assert judged(intent, account=room, state=a_state("100")).quantity == Decimal(quantity)


@pytest.mark.req("S2-43")
@pytest.mark.parametrize(
    ("market", "scales"),
    [
        pytest.param({"mean_atr": 0.3}, (("volatility_spike", Decimal("0.5")),), id="a spike"),
        pytest.param({"mean_atr": 0.4, "move": 0.03}, (), id="neither"),
        pytest.param({}, (), id="unknown"),
    ],
)
def test_a_spike_that_nobody_has_told_the_breaker_of_cuts(market, scales):
    verdict = judged(an_entry(), market=a_market(**market))
    assert tuple((scale.rule, scale.share) for scale in verdict.scales) == scales


@pytest.mark.parametrize("mean", [None, 1.0], ids=["its mean unknown", "with a mean"])
def test_an_unusual_move_that_nobody_has_told_the_breaker_of_stops(mean):
    verdict = judged(an_entry(), market=a_market(move=-0.0301, mean_atr=mean))
    assert {o.rule for o in verdict.objections} == {"cool_down"}


@pytest.mark.req("S1-125")
def test_an_exit_is_scaled_by_nothing_and_no_scale_is_tried_on_it():
    limits = limits_with(shadow=["volatility_guard"], volatility_guard=0.8)
    held = an_account("1000", a_position("2"))
    wild = a_full_market(realised_volatility=1.6)
    out = judged(an_exit(confidence=0.6), account=held, limits=limits, market=wild)
    assert isinstance(out, ApprovedOrder)
    assert (out.scales, out.shadowed) == ((), ())
    entered = judged(an_entry(), limits=limits, market=wild)
    assert entered.shadowed == (said("volatility_guard", "1", "0.5", "of size"),)


def test_a_consent_turns_a_referral_into_an_order():
    limits = limits_with(refer_above="0.1")
    yes = consent(judged(an_entry(), limits=limits), by="Ada", why="looked", now=NOW)
    assert isinstance(judged(an_entry(), limits=limits, consent=yes), ApprovedOrder)


def desk(equity="1000", *held, **limits):
    return DeskAccount(
        account=an_account(equity, *held), state=a_state(equity), limits=limits_with(**limits)
    )


@pytest.mark.parametrize(
    ("direction", "stop", "quantity"),
    [(Direction.LONG, "98", "1"), (Direction.SHORT, "102", "-1")],
    ids=["long", "short"],
)
def test_the_smaller_of_the_accounts_size_and_the_desks_is_no_cut(direction, stop, quantity):
    verdict = judged(an_entry(stop=stop, direction=direction), desk=desk("500"))
    assert (verdict.quantity, verdict.reductions) == (Decimal(quantity), ())


def test_a_desk_is_held_to_its_own_limits():
    assert judged(an_entry(), desk=desk(max_position="0.05")).quantity == Decimal("0.5")


def test_a_desks_objections_are_named_as_the_desks():
    lost = DeskAccount(account=an_account("949"), state=a_state(), limits=limits_with())
    assert judged(an_entry(), desk=lost).objections == (
        said("desk.trading_state", "reducing (daily_loss_limit)", "active", ""),
        said("desk.daily_loss_limit", "0.051", "< 0.05", "share"),
    )


def test_a_desks_cut_is_named_as_the_desks():
    filled = desk("1000", a_position("1", symbol=XRP, notional="750"))
    verdict = judged(an_entry(), desk=filled)
    assert verdict.quantity == Decimal("0.5")
    assert verdict.reductions == (said("desk.total_exposure", "950", "800", "USDT"),)


def test_where_sizing_fails_every_rule_still_speaks_of_nothing(monkeypatch):
    def broken(case, made):
        raise OverflowError(case)

    monkeypatch.setattr(approval, "sized", broken)
    verdict = judged(an_entry(stop=None))
    assert verdict.objections[0] == said("sizing", "OverflowError", "no error", "error")
    assert [o.rule for o in verdict.objections if o.unit == "error"] == ["sizing"]
    assert verdict.objections[-1].rule == "minimum_order"


RISKY = {"max_risk_per_trade": "0.004", "min_stop_atr": 1.5}


@pytest.mark.req("S3-47", "S3-50")
def test_an_envelope_gives_no_more_than_its_farthest_stop_does():
    """4 at risk buy 1.3333 three away, and 2 at one and a half away."""
    verdict = judged(NEARER, can_revise=True, limits=limits_with(**RISKY))
    assert isinstance(verdict, Revision)
    assert verdict.envelope.max_quantity == Decimal("1.3333")


def test_where_the_farthest_stop_leaves_too_little_there_is_no_envelope():
    limits = limits_with(max_risk_per_trade="0.001", min_stop_atr=0)
    small = {"account": an_account("100"), "state": a_state("100")}
    verdict = judged(NEARER, can_revise=True, limits=limits, **small)
    assert isinstance(verdict, Rejection)
    assert {o.rule for o in verdict.objections} == {"stop_distance"}


def test_where_the_nearest_stop_lies_beyond_the_farthest_there_is_no_envelope():
    verdict = judged(NEARER, can_revise=True, market=a_market(atr=3.0))
    assert isinstance(verdict, Rejection)
    assert {o.rule for o in verdict.objections} == {"stop_distance", "stop_atr"}


@pytest.mark.parametrize("objectionable", ["99.5", "97"], ids=["nearest", "farthest"])
def test_an_envelope_is_tried_at_both_ends_and_no_deeper(monkeypatch, objectionable):
    asked = []

    def one_stop(case):
        asked.append(case.intent.stop)
        objection = said("one_stop", objectionable, "another", "quote")
        return Adjustable(objection=objection) if asked[-1] == price(objectionable) else None

    monkeypatch.setattr(approval, "in_force", lambda off: (*rules.RULES_FOR_ENTRIES, one_stop))
    assert isinstance(judged(NEARER, can_revise=True, limits=limits_with(**SOFT)), Rejection)
    assert asked == [price(stop) for stop in ("99.9", "97", "99.5")][: len(asked)]


def test_a_cheap_short_has_an_envelope_below_one():
    market = a_market(price=price("1"), atr=0.001)
    intent = an_entry(stop="1.001", target="0.999", direction=Direction.SHORT)
    verdict = judged(intent, market=market, can_revise=True, limits=limits_with(taker_fee="0"))
    assert isinstance(verdict, Revision)
    assert verdict.envelope.nearest_target == Decimal("0.95")


def test_who_forges_an_order_is_told_where_one_comes_from():
    given = {"scales": (), "shadowed": (), "reductions": (), "approved_at": NOW, "seal": None}
    with pytest.raises(Unsealed, match=r"^an ApprovedOrder comes only from risk\.approval\.judge$"):
        ApprovedOrder(intent=an_entry(), quantity=Quantity(Decimal(9)), **given)
