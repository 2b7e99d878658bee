"""Intents, consents, a breaker's orders and alerts: what each of them carries."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

import pytest

from data.instrument import Quantity
from risk.alerts import alerts
from risk.breaker import (
    DRAWDOWN,
    WEEKLY_LOSS,
    BreakerActed,
    Flatten,
    Halt,
    Marked,
    next_state,
)
from risk.breaker_orders import BreakerOrders, breaker_intents
from risk.intent import Direction, OrderIntent, Purpose, attempt_id, completion_id, intent_id
from risk.objection import Objection, plain
from risk.referral import Consent, ReferralExpired, consent, still_open
from tests.builders_risk import (
    BTC,
    INSTRUMENT,
    LIMITS,
    NOW,
    XRP,
    a_position,
    a_state,
    an_account,
    an_entry,
    judged,
    limits_with,
    price,
)

MINUTE = timedelta(minutes=1)
FIRSTS_REST = "3085f203-5adb-51cc-9964-28095080f140"
MONDAY = NOW - timedelta(days=2)


def test_only_a_long_and_a_short_have_a_sign():
    assert [direction.sign for direction in Direction] == [1, -1, 0, 0]


def test_the_id_of_a_decision_is_the_same_on_every_machine():
    first = intent_id("a-desk", BTC, NOW, Purpose.ENTRY)
    assert first == "3313e0ae-ea88-5703-b8ef-ddc5dac113e9"
    others = {
        intent_id("another", BTC, NOW, Purpose.ENTRY),
        intent_id("a-desk", XRP, NOW, Purpose.ENTRY),
        intent_id("a-desk", BTC, NOW + MINUTE, Purpose.ENTRY),
        intent_id("a-desk", BTC, NOW, Purpose.EXIT),
        attempt_id(first, 0),
        attempt_id(first, 1),
    }
    assert len(others - {first}) == 6
    assert attempt_id(first, 1) == "356199f5-1f0b-5291-af93-a0c0e992bfb3"


def test_an_intent_is_decided_at_a_time_in_utc():
    with pytest.raises(ValueError, match="UTC"):
        an_entry(decided_at=datetime(2025, 3, 5))  # noqa: DTZ001 - a naive time is the point


def test_what_completes_another_has_an_id_of_its_own():
    assert completion_id("first") == completion_id("first")
    assert completion_id("first") == FIRSTS_REST
    assert completion_id("second") != FIRSTS_REST


@pytest.mark.parametrize(
    ("limit", "trigger", "can_be"),
    [
        pytest.param("99", None, True, id="a limit order"),
        pytest.param(None, None, False, id="at market"),
        pytest.param(None, "99", False, id="a stop order"),
        pytest.param("99", "98", False, id="a limit order from its trigger on"),
    ],
)
def test_only_a_limit_order_can_be_post_only(limit, trigger, can_be):
    given = {"limit": price(limit), "trigger": price(trigger), "post_only": True}
    if can_be:
        assert an_entry(**given).post_only
        return
    with pytest.raises(ValueError, match=r"^an-intent: only a limit order can be post-only$"):
        an_entry(**given)


@pytest.mark.parametrize(
    "falsified_at",
    [
        pytest.param("0", id="nothing"),
        pytest.param("-1", id="below nothing"),
        pytest.param("NaN", id="no number"),
        pytest.param("Infinity", id="without end"),
    ],
)
def test_a_thesis_is_falsified_at_a_price_or_nowhere(falsified_at):
    with pytest.raises(ValueError, match=f"^an-intent: nothing is falsified at {falsified_at}$"):
        an_entry(falsified_at=price(falsified_at))


def test_a_price_however_small_falsifies():
    assert an_entry(falsified_at=price("0.5")).falsified_at == Decimal("0.5")


@pytest.mark.parametrize(
    "purpose", [pytest.param(p, id=p) for p in Purpose if p is not Purpose.PROTECTION]
)
def test_only_a_stop_takes_the_place_of_a_stop(purpose):
    with pytest.raises(ValueError, match=r"^an-intent: only a stop takes the place of a stop$"):
        an_entry(purpose=purpose, replaces="a-stop")
    assert an_entry(purpose=Purpose.PROTECTION, replaces="a-stop").replaces == "a-stop"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"replaces": "another", "trigger": price("95")}, id="and replaces one"),
        pytest.param({"trigger": None}, id="and is no stop"),
        pytest.param({"replaces": "another", "trigger": None}, id="neither"),
    ],
)
def test_a_stop_is_changed_in_place_or_replaced(changes):
    said = r"^an-intent: a stop is changed in place, or replaced$"
    with pytest.raises(ValueError, match=said):
        an_entry(purpose=Purpose.PROTECTION, amends="a-stop", **changes)
    changed = an_entry(purpose=Purpose.PROTECTION, amends="a-stop", trigger=price("95"))
    assert changed.amends == "a-stop"


ASKS = limits_with(refer_above="0.1")


def test_a_consent_carries_who_why_and_for_how_long():
    referral = judged(an_entry(), limits=ASKS)
    assert consent(referral, by="Ada", why="looked", now=NOW + MINUTE) == Consent(
        intent_id="an-intent",
        quantity=referral.quantity,
        by="Ada",
        why="looked",
        at=NOW + MINUTE,
        expires_at=NOW + 15 * MINUTE,
    )


def test_a_consent_that_is_refused_says_why():
    referral = judged(an_entry(), limits=ASKS)
    with pytest.raises(ValueError, match=r"^a consent needs a name and a reason$"):
        consent(referral, by="Ada", why="", now=NOW)
    with pytest.raises(
        ReferralExpired, match=r"^an-intent: open until 2025-03-05 12:15:00\+00:00$"
    ):
        consent(referral, by="Ada", why="late", now=referral.expires_at)


def test_a_consent_to_no_number_is_none():
    given = {"by": "Ada", "why": "looked", "at": NOW, "expires_at": NOW + MINUTE}
    with pytest.raises(ValueError, match=r"^an-intent: a consent to NaN is none$"):
        Consent(intent_id="an-intent", quantity=Quantity(Decimal("NaN")), **given)


@pytest.mark.parametrize(
    ("asked", "covered"),
    [
        pytest.param("0.5", True, id="all of it"),
        pytest.param("0.1", True, id="less"),
        pytest.param("0.51", False, id="more"),
        pytest.param("-0.5", False, id="the other way"),
        pytest.param("0", False, id="nothing"),
    ],
)
def test_what_a_consent_covers(asked, covered):
    yes = Consent(
        intent_id="an-intent",
        quantity=Quantity(Decimal("0.5")),
        by="Ada",
        why="looked",
        at=NOW,
        expires_at=NOW + MINUTE,
    )
    assert yes.covers(an_entry(), Quantity(Decimal(asked)), NOW) is covered
    nothing = replace(yes, quantity=Quantity(Decimal(0)))
    assert not nothing.covers(an_entry(), Quantity(Decimal(asked)), NOW)


def orders(state, account, now=NOW, **limits):
    return breaker_intents(
        state,
        account,
        limits_with(**limits),
        instruments={BTC: INSTRUMENT, XRP: replace(INSTRUMENT, symbol=XRP)},
        closing=frozenset(),
        now=now,
    )


def marked(equity, at=NOW, state=None):
    return next_state(state or a_state(), Marked(equity=Decimal(equity), at=at), LIMITS)


@pytest.mark.req("S0-24")
def test_a_breakers_order_flattens_for_certain():
    asked = orders(marked("900"), an_account("900", a_position("-3")))
    assert asked == BreakerOrders(
        intents=(
            OrderIntent(
                intent_id=intent_id("breaker", BTC, NOW, Purpose.FLATTEN),
                strategy_id="breaker",
                symbol=BTC,
                purpose=Purpose.FLATTEN,
                direction=Direction.CLOSE,
                decided_at=NOW,
                confidence=1.0,
                quantity=Quantity(Decimal("1.5")),
                reduce_only=True,
            ),
        ),
        acted=BreakerActed(reason=WEEKLY_LOSS, at=NOW),
    )


@pytest.mark.req("S1-97")
def test_a_persons_kill_switch_closes_in_the_operators_name():
    state = next_state(a_state(), Flatten(by="Ada", why="storm", at=NOW), LIMITS)
    asked = orders(state, an_account("1000", a_position("3")))
    assert [(intent.strategy_id, intent.quantity) for intent in asked.intents] == [("operator", -3)]
    assert asked.acted == BreakerActed(reason="flatten", at=NOW)


@pytest.mark.req("S0-25")
@pytest.mark.parametrize(
    ("held", "asked"),
    [
        pytest.param("0.12345", "-0.12345", id="in whole, though off the grid"),
        pytest.param("-2", "2", id="a short"),
        pytest.param("0.04", None, id="not dust"),
    ],
)
def test_a_drawdown_closes_what_is_held(held, asked):
    closing = orders(marked("790"), an_account("790", a_position(held)))
    if asked is None:
        assert closing is None
        return
    assert [intent.quantity for intent in closing.intents] == [Decimal(asked)]
    assert closing.acted == BreakerActed(reason=DRAWDOWN, at=NOW)


@pytest.mark.req("S0-25")
def test_what_is_being_closed_is_left_alone_and_a_drawdown_need_not_close():
    account = an_account("790", a_position("2"), a_position("3", symbol=XRP))
    given = {"instruments": {XRP: replace(INSTRUMENT, symbol=XRP)}, "now": NOW}
    closing = breaker_intents(marked("790"), account, LIMITS, closing=frozenset({BTC}), **given)
    assert [(intent.symbol, intent.quantity) for intent in closing.intents] == [(XRP, -3)]
    kept = limits_with(drawdown_closes=False)
    state = next_state(a_state(), Marked(equity=Decimal(790), at=NOW), kept)
    assert state.latch is None
    assert orders(state, account, drawdown_closes=False, weekly_cut=0) is None


def test_referrals_end_by_themselves():
    referral = judged(an_entry(), limits=ASKS)
    later = replace(referral, referred_at=NOW + MINUTE, expires_at=NOW + 20 * MINUTE)
    for minutes, still in ((0, (referral,)), (14, (referral, later)), (15, (later,)), (20, ())):
        assert still_open((referral, later), NOW + minutes * MINUTE) == still


def test_a_persons_halt_closes_nothing():
    halted = next_state(a_state(), Halt(by="Ada", why="upgrade", at=NOW), LIMITS)
    assert orders(halted, an_account("1000", a_position("3"))) is None


@pytest.mark.req("S0-24")
@pytest.mark.parametrize(
    ("acted", "cuts"),
    [
        pytest.param(MONDAY, False, id="on the week's first day"),
        pytest.param(MONDAY - timedelta(days=1), True, id="the day before"),
    ],
)
def test_a_cut_belongs_to_its_week(acted, cuts):
    state = next_state(marked("900"), BreakerActed(reason=WEEKLY_LOSS, at=acted), LIMITS)
    assert (orders(state, an_account("900", a_position("3"))) is not None) is cuts


@pytest.mark.req("S1-97")
def test_what_comes_near_says_what_was_seen():
    account = an_account("800", a_position("5"), a_position("-3", symbol=XRP))
    said = alerts(a_state(), account, limits_with(margin_leverage=2))
    assert [(near.rule, near.observed, near.limit, near.unit) for near in said] == [
        ("near.daily_loss", "0.2", "< 0.03", "share"),
        ("near.drawdown", "0.2", "< 0.1", "share"),
        ("near.exposure", "1", "< 0.7", "share"),
        ("near.margin_use", "0.5", "< 0.4", "share"),
    ]
    assert all(isinstance(near, Objection) for near in said)


def test_marks_that_are_off_warn_of_nothing():
    off = {"warn_daily_loss": 0, "warn_exposure": 0, "warn_margin_use": 0, "derisk_drawdown": "0.2"}
    account = an_account("990", a_position("5"))
    assert alerts(a_state(), account, limits_with(**off)) == ()


def test_numbers_are_written_the_same_whatever_the_context():
    with localcontext(prec=4):
        assert plain(Decimal("1.2345678901234567")) == "1.234567890123457"
