"""The rest of an entry that has filled in part: judged as the whole, approved for what is left."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Notional
from risk.approval import ApprovedOrder, Rejection
from risk.case import DeskAccount
from risk.completion import without
from risk.intent import Direction
from tests.builders_risk import (
    BTC,
    NOW,
    XRP,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    in_flight,
    judged,
    limits_with,
)
from tests.cases_risk_book import overlays

WHOLE = an_entry("2", completes="the first")  # at 100 the position cap of a fifth allows 2


def rest(intent=WHOLE, *, filled="0.5", held=None, **changes):
    """The verdict on what is left once so much has filled, of which so much is still held."""
    held = filled if held is None else held
    positions = [a_position(held)] if Decimal(held) else []
    account = an_account("1000", *positions)
    return judged(intent, **({"account": account, "filled": Decimal(filled)} | changes))


@pytest.mark.req("S0-19")
@pytest.mark.parametrize(
    ("filled", "left"),
    [
        pytest.param("0", "2", id="nothing has filled: all of it"),
        pytest.param("0.5", "1.5", id="a part has"),
        pytest.param("1.9", "0.1", id="nearly all has"),
    ],
)
def test_what_is_left_of_the_whole_is_approved(filled, left):
    verdict = rest(filled=filled)
    assert isinstance(verdict, ApprovedOrder)
    assert verdict.quantity == Decimal(left)
    assert verdict.intent is WHOLE


def test_a_short_one_is_completed_likewise():
    short = an_entry("-2", stop="102", completes="the first", direction=Direction.SHORT)
    verdict = rest(short, filled="-0.5")
    assert verdict.quantity == Decimal("-1.5")


def test_what_the_account_allows_by_now_counts_for_the_whole():
    verdict = rest(limits=limits_with(max_position="0.1"))  # 1 in all
    assert verdict.quantity == Decimal("0.5")


@pytest.mark.parametrize(
    ("filled", "rule"),
    [
        pytest.param("1", "minimum_order", id="all that is allowed is held"),
        pytest.param("1.5", "minimum_order", id="more than that is held"),
        pytest.param("0.97", "minimum_order", id="what is left is dust"),
    ],
)
def test_where_nothing_is_left_nothing_is_approved(filled, rule):
    verdict = rest(filled=filled, limits=limits_with(max_position="0.1"))
    assert isinstance(verdict, Rejection)
    assert [objection.rule for objection in verdict.objections] == [rule]


def test_what_is_too_little_says_how_much_it_is():
    verdict = rest(filled="0.97", limits=limits_with(max_position="0.1"))
    (said,) = verdict.objections
    assert (said.observed, said.limit, said.unit) == ("0.03", "0.0001", "base")


OVERLAID = {
    "market": a_market(overlays=overlays(-0.01)),
    "limits": limits_with(overlay_timeframes=["1h"], shadow=["overlay_trend"]),
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="approved"),
        pytest.param({"filled": "2"}, id="too little is left"),
        pytest.param({"refer_above": "0.01"}, id="a person would have to consent"),
        pytest.param({"stop": "99.9"}, id="its stop would have to be another"),
    ],
)
def test_what_is_only_tried_is_told_of_every_rest(changes):
    refers = {key: value for key, value in changes.items() if key == "refer_above"}
    limits = limits_with(overlay_timeframes=["1h"], shadow=["overlay_trend"], **refers)
    intent = replace(WHOLE, stop=Decimal(changes.get("stop", WHOLE.stop)))
    filled = changes.get("filled", "0.5")
    verdict = rest(intent, filled=filled, **(OVERLAID | {"limits": limits}))
    assert [objection.rule for objection in verdict.shadowed] == ["overlay_trend"]


def test_a_fall_of_the_whole_account_is_seen_by_the_judgement_itself():
    """Nobody has told the breaker yet: what is kept beside has fallen since."""
    account = replace(an_account("1000"), kept=Notional(Decimal(500)))
    state = replace(a_state(), account_peak=Notional(Decimal(3000)))
    limits = limits_with(max_account_drawdown="0.4")
    verdict = judged(an_entry("1"), account=account, state=state, limits=limits)
    assert "trading_state" in [objection.rule for objection in verdict.objections]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"market": a_market(price=Decimal(97))}, "stop_loss", id="beyond its stop"),
        pytest.param({"held": "0.8"}, "one_entry", id="more is held than it has bought"),
        pytest.param(
            {"state": a_state(cool_down_until={BTC: NOW + timedelta(minutes=1)})},
            "cool_down",
            id="cooling down",
        ),
        pytest.param(
            {"account": an_account("1000", a_position("0.5"), in_flight=(in_flight("1"),))},
            "one_entry",
            id="another entry is in flight",
        ),
    ],
)
def test_every_rule_is_asked_again(changes, rule):
    verdict = rest(**changes)
    assert isinstance(verdict, Rejection)
    assert rule in [objection.rule for objection in verdict.objections]


def test_what_a_person_would_have_to_consent_to_is_rejected():
    verdict = rest(limits=limits_with(refer_above="0.01"))
    assert isinstance(verdict, Rejection)
    assert [objection.rule for objection in verdict.objections] == ["referral"]


def test_what_could_be_put_right_is_rejected():
    verdict = rest(replace(WHOLE, stop=Decimal("99.9")), can_revise=True)
    assert isinstance(verdict, Rejection)


def test_a_desk_of_its_own_is_asked_too_and_holds_no_part_of_it():
    desk = DeskAccount(
        account=an_account("1000", a_position("0.5")),
        state=a_state(),
        limits=limits_with(max_position="0.1"),
    )
    assert rest(desk=desk).quantity == Decimal("0.5")
    exposed = replace(desk, limits=limits_with(max_exposure="0.2"))  # the whole, and no more
    assert rest(desk=exposed).quantity == Decimal("1.5")


def test_the_account_without_a_part_of_a_position():
    account = an_account("1000", a_position("2", mark="50"), a_position("10", symbol=XRP))
    left = without(account, BTC, Decimal("0.5"))
    assert left.positions[XRP] is account.positions[XRP]
    assert (left.positions[BTC].quantity, left.positions[BTC].notional) == (Decimal("1.5"), 75)
    assert BTC not in without(account, BTC, Decimal(2)).positions
    assert without(an_account(), BTC, Decimal(1)) == an_account()
