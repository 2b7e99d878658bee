"""Size, every rule, the cut and the second look."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Quantity
from data.regime import Regime
from risk import approval, rules
from risk.approval import ApprovedOrder, Rejection, Unsealed
from risk.breaker import Halt, Marked, OrderPlaced, next_state
from risk.intent import Direction, Purpose
from risk.objection import Objection, TooLarge, plain
from risk.sizing import sized
from tests.builders_risk import (
    BTC,
    INSTRUMENT,
    LIMITS,
    NOW,
    REGIMES,
    XRP,
    a_case,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    an_exit,
    in_flight,
    judged,
    limits_with,
    price,
)


def objecting(verdict):
    assert isinstance(verdict, Rejection), verdict
    return {objection.rule for objection in verdict.objections}


def reducing(verdict):
    return [objection.rule for objection in verdict.reductions]


@pytest.mark.parametrize(
    ("intent", "changes", "quantity"),
    [
        # 20 % of 1000 at 100 is 2; 2 % of 1000 over a distance of 2 is 10
        pytest.param(an_entry(), {}, "2", id="the cap on a position binds"),
        pytest.param(
            an_entry(), {"limits": limits_with(max_position="2")}, "10", id="the risk binds"
        ),
        pytest.param(an_entry(stop="102", direction=Direction.SHORT), {}, "-2", id="short"),
        pytest.param(an_entry(confidence=0.84), {}, "1.5", id="a lower tier"),
        pytest.param(an_entry(confidence=0.59), {}, "0", id="no tier"),
        pytest.param(an_entry(), {"market": a_market(regime=Regime.CHOPPY)}, "0.5", id="regime"),
        pytest.param(an_entry(), {"state": a_state("1111.11")}, "2", id="just short of de-risking"),
        pytest.param(an_entry(), {"account": an_account("900")}, "0.9", id="de-risked"),
        pytest.param(an_entry(), {"state": a_state(loss_streak=5)}, "1", id="losing"),
        pytest.param(an_entry(), {"market": a_market(rate=Decimal("0.5"))}, "4", id="converted"),
        pytest.param(
            an_entry(),
            {"limits": limits_with(max_position="2"), "market": a_market(rate=Decimal("0.8"))},
            "12.5",
            id="risk converted",
        ),
        pytest.param(an_entry("1.23456"), {}, "1.2345", id="a wish is cut to the grid"),
        pytest.param(an_entry("3"), {}, "2", id="a wish too large"),
        pytest.param(an_entry("-3"), {}, "-2", id="a wish of the wrong sign is not turned round"),
        pytest.param(an_entry("NaN"), {}, "0", id="a wish that is no number"),
        pytest.param(an_entry(stop=None), {}, "0", id="no stop"),
        pytest.param(an_entry(), {"account": an_account(None)}, "0", id="equity unknown"),
        pytest.param(an_entry(), {"market": a_market(price=None)}, "0", id="price unknown"),
        pytest.param(an_entry(), {"state": a_state(peak_equity=None)}, "1", id="peak unknown"),
        pytest.param(
            an_exit(), {"account": an_account("1000", a_position("0.12345"))}, "-0.1234", id="out"
        ),
        pytest.param(
            an_exit("-9"), {"account": an_account("1000", a_position("1"))}, "-9", id="a wish out"
        ),
        pytest.param(an_exit(), {}, "0", id="nothing to get out of"),
    ],
)
def test_size(intent, changes, quantity):
    assert sized(a_case(intent, **changes)) == Decimal(quantity)


@pytest.mark.req("S0-19")
def test_tiny_sizes_at_the_smallest_account_are_refused_and_not_rounded_up():
    """420 x 0.25 x 0.25 = 26.25 USDT buys 8.75 XRP at 3; the least is 10 (section 7, row 8)."""
    instrument = replace(
        INSTRUMENT, symbol=XRP, lot=Decimal("0.00001"), min_quantity=Quantity(Decimal(10))
    )
    calm = {"max_leverage": "1", "min_confidence": 0.6, "size": "0.25"}
    given = {
        "account": an_account("2100"),
        "state": a_state("2100"),
        "limits": limits_with(regimes=REGIMES | {Regime.CHOPPY: calm}),
    }
    market = a_market(instrument=instrument, price=price("3"), regime=Regime.CHOPPY, atr=0.01)
    tiny = an_entry(symbol=XRP, stop="2.9", confidence=0.6)
    verdict = judged(tiny, market=market, **given)
    assert [(o.rule, o.observed) for o in verdict.objections] == [
        ("minimum_order", "8.75, worth 26.25")
    ]
    cheaper = replace(market, price=price("2.625"))
    approved = judged(replace(tiny, stop=price("2.55")), market=cheaper, **given)
    assert approved.quantity == 10


@pytest.mark.req("S0-19", "S1-96")
def test_what_passes_every_rule_is_approved_as_wished():
    verdict = judged(an_entry("1.5", target="110"))
    assert isinstance(verdict, ApprovedOrder)
    assert (verdict.quantity, verdict.reductions, verdict.approved_at) == (Decimal("1.5"), (), NOW)


@pytest.mark.req("S1-96")
def test_every_objection_is_reported():
    verdict = judged(
        an_entry(stop=None, confidence=float("nan"), symbol=XRP),
        account=an_account(None, reconciled=False),
        market=a_market(price=None, rate=None, spread_bps=None, atr=None),
    )
    assert objecting(verdict) == {
        "instrument",
        "trading_state",
        "daily_loss_limit",
        "weekly_loss_limit",
        "monthly_loss_limit",
        "drawdown_limit",
        "reconciled",
        "equity",
        "fresh_price",
        "conversion_rate",
        "spread",
        "confidence",
        "stop_loss",
        "stop_distance",
        "stop_atr",
        "risk_per_trade",
        "position_size",
        "total_exposure",
        "correlated_exposure",
        "leverage",
        "margin_use",
        "minimum_order",
    }


@pytest.mark.parametrize(
    ("intent", "changes", "rule"),
    [
        pytest.param(
            an_entry(stop=None), {}, "stop_loss", marks=pytest.mark.req("S0-26"), id="no stop"
        ),
        pytest.param(
            an_entry(),
            {"account": an_account("950")},
            "daily_loss_limit",
            marks=pytest.mark.req("S0-23"),
            id="a loss that nobody has told the breaker of",
        ),
        pytest.param(
            an_entry(),
            {"account": an_account("900")},
            "weekly_loss_limit",
            marks=pytest.mark.req("S0-24"),
            id="the week's",
        ),
        pytest.param(
            an_entry(),
            {"account": an_account("800")},
            "drawdown_limit",
            marks=pytest.mark.req("S0-25", "S1-97", "S1-99"),
            id="the drawdown",
        ),
        pytest.param(
            an_entry(),
            {"state": next_state(a_state(), OrderPlaced(symbol=BTC, at=NOW), LIMITS)},
            "cool_down",
            marks=pytest.mark.req("S1-93", "S1-96"),
            id="a cool-down",
        ),
        pytest.param(
            an_entry(),
            {"account": an_account("1000", a_position("1"))},
            "one_entry",
            marks=pytest.mark.req("S1-94"),
            id="held already",
        ),
        pytest.param(
            an_entry(),
            {"limits": limits_with(allowed_symbols=[XRP])},
            "allowed_symbol",
            marks=pytest.mark.req("S1-138"),
            id="not listed",
        ),
        pytest.param(
            an_entry(confidence=0.59),
            {
                "limits": limits_with(
                    tiers=[{"min_confidence": 0.1, "size": 1, "max_leverage": 1000}]
                )
            },
            "confidence",
            marks=pytest.mark.req("S1-101"),
            id="unsure",
        ),
        pytest.param(an_entry("-1"), {}, "wished_quantity", id="long, yet to be sold"),
        pytest.param(an_entry(target="101"), {}, "reward_risk", id="not worth its risk"),
        pytest.param(
            an_entry(stop="102", direction=Direction.SHORT),
            {"market": a_market(instrument=replace(INSTRUMENT, max_leverage=Decimal(1)))},
            "shortable",
            id="short on spot",
        ),
        pytest.param(
            an_entry(),
            {
                "account": an_account("1000", a_position("1", symbol=XRP)),
                "limits": limits_with(max_open_positions=1),
            },
            "open_positions",
            id="too many positions",
        ),
    ],
)
def test_one_breach_is_enough(intent, changes, rule):
    assert rule in objecting(judged(intent, **changes))


def test_a_wish_beyond_the_size_is_cut_and_the_cut_is_on_record():
    verdict = judged(an_entry("5"))
    assert verdict.quantity == 2
    assert verdict.reductions == (Objection(rule="sizing", observed="5", limit="2", unit="base"),)


NO_LEVERAGE = {"max_leverage": "0.7", "min_confidence": 0.6, "size": "1"}


@pytest.mark.req("S0-22")
@pytest.mark.parametrize(
    ("account", "limits", "quantity", "cut_by"),
    [
        pytest.param(
            an_account("1000", a_position("1", symbol=XRP, notional="650")),
            LIMITS,
            "1.5",
            ["total_exposure"],
            id="the exposure left",
        ),
        pytest.param(
            an_account("1000", in_flight=(in_flight("1", symbol=XRP, notional="650"),)),
            LIMITS,
            "1.5",
            ["total_exposure"],
            id="what is in flight counts as filled",
        ),
        pytest.param(
            an_account("1000", a_position("1", symbol=XRP, notional="633.333")),
            limits_with(regimes=REGIMES | {Regime.TRENDING_BULL: NO_LEVERAGE}),
            "0.6666",
            ["total_exposure", "leverage"],
            id="the smallest of several, on the grid",
        ),
    ],
)
def test_where_only_the_size_is_wrong_it_is_cut_and_judged_again(account, limits, quantity, cut_by):
    verdict = judged(an_entry(), account=account, limits=limits)
    assert isinstance(verdict, ApprovedOrder), verdict
    assert (verdict.quantity, reducing(verdict)) == (Decimal(quantity), cut_by)


def test_what_a_cut_makes_too_small_is_refused_with_both_reasons():
    full = an_account("1000", a_position("1", symbol=XRP, notional="796"))
    assert objecting(judged(an_entry(), account=full)) == {"total_exposure", "minimum_order"}


def test_a_size_that_no_decimal_can_hold_is_rounded_towards_less():
    fine = replace(INSTRUMENT, lot=Decimal("1E-26"))
    verdict = judged(
        an_entry(stop="2.95"), market=a_market(instrument=fine, price=price("3"), atr=0.01)
    )
    assert isinstance(verdict, ApprovedOrder)
    assert (str(verdict.quantity), verdict.reductions) == ("66.66666666666666666666666666", ())


def test_a_size_is_not_cut_where_something_else_is_wrong_too():
    full = an_account("1000", a_position("1", symbol=XRP, notional="700"))
    verdict = judged(an_entry(confidence=0.5), account=full)
    assert "confidence" in objecting(verdict)


TRAPS = {
    "halted": {"state": next_state(a_state(), Halt(by="a", why="b", at=NOW), LIMITS)},
    "drawdown": {"state": next_state(a_state(), Marked(equity=Decimal(1), at=NOW), LIMITS)},
    "daily loss": {"state": a_state("2000")},
    "cooling down": {"state": next_state(a_state(), OrderPlaced(symbol=BTC, at=NOW), LIMITS)},
    "losing": {"state": a_state(loss_streak=99)},
    "price unknown": {"market": a_market(price=None, priced_at=None, spread_bps=None, atr=None)},
    "rate unknown": {"market": a_market(rate=None)},
    "regime unknown": {"market": a_market(regime=Regime.UNKNOWN)},
    "delisted": {"limits": limits_with(allowed_symbols=[XRP])},
    "much later": {"now": NOW + timedelta(days=9)},
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize(
    "intent",
    [
        pytest.param(an_exit(confidence=0.0), id="exit"),
        pytest.param(an_exit("-2", purpose=Purpose.FLATTEN), id="flatten"),
        pytest.param(
            an_exit("-2", purpose=Purpose.PROTECTION, trigger=price("98")), id="protection"
        ),
        pytest.param(an_exit("-2", direction=Direction.SHORT), id="reduce-only, sold"),
    ],
)
def test_nothing_traps_an_order_that_reduces(intent, trap):
    account = an_account(
        None if trap == "price unknown" else "1000",
        a_position("2"),
        reconciled=trap != "losing",
        in_flight=(in_flight("-2", reduce_only=True),),
    )
    verdict = judged(intent, **({"account": account} | TRAPS[trap]))
    assert isinstance(verdict, ApprovedOrder), verdict
    assert verdict.quantity == -2


@pytest.mark.parametrize(
    ("intent", "held", "outcome"),
    [
        pytest.param(an_exit("-5"), "2", "-2", id="selling through zero ends at flat"),
        pytest.param(an_exit("5"), "-2", "2", id="buying through zero ends at flat"),
        pytest.param(an_exit("1"), "2", "reduces_position", id="buying into a long"),
        pytest.param(an_exit(), "0", "reduces_position", id="nothing held"),
        pytest.param(an_exit("-0.00001"), "2", "reduces_position", id="less than a lot"),
        pytest.param(an_exit("NaN"), "2", "wished_quantity", id="not a number"),
        pytest.param(an_exit("-Infinity"), "2", "wished_quantity", id="without end"),
        pytest.param(
            an_exit("-2", purpose=Purpose.PROTECTION), "2", "protection_trigger", id="no trigger"
        ),
        pytest.param(
            an_exit("-2", trigger=price("NaN")), "2", "order_prices", id="a trigger of no number"
        ),
    ],
)
def test_a_reducing_order_only_reduces(intent, held, outcome):
    verdict = judged(intent, account=an_account("1000", a_position(held)))
    match verdict:
        case ApprovedOrder():
            assert str(verdict.quantity.normalize()) == outcome
        case Rejection():
            assert outcome in objecting(verdict)


def test_what_closes_is_made_reduce_only():
    closing = an_exit(reduce_only=False)
    verdict = judged(closing, account=an_account("1000", a_position("2")))
    assert verdict.intent == replace(closing, reduce_only=True)


def test_an_exit_that_could_open_is_judged_as_an_entry():
    loose = an_exit("-2", direction=Direction.SHORT, reduce_only=False)
    verdict = judged(loose, account=an_account("1000", a_position("2")))
    assert {"entry_purpose", "stop_loss", "opposite_position"} <= objecting(verdict)


@pytest.mark.req("S1-94")
def test_two_approvals_cannot_share_the_same_room():
    first = judged(an_entry())
    filled = an_account("1000", in_flight=(in_flight(str(first.quantity)),))
    assert "one_entry" in objecting(judged(an_entry(), account=filled))


@pytest.mark.parametrize(
    ("intent", "account"),
    [(an_entry(), an_account()), (an_exit(), an_account("1000", a_position("2")))],
    ids=["entry", "exit"],
)
def test_a_rule_that_fails_objects(monkeypatch, intent, account):
    def broken(case):
        raise ZeroDivisionError(case)

    book = (*rules.RULES_FOR_ENTRIES, broken)
    monkeypatch.setattr(approval, "in_force", lambda off: book)
    monkeypatch.setattr(approval, "RULES_FOR_REDUCTIONS", (*rules.RULES_FOR_REDUCTIONS, broken))
    assert judged(intent, account=account).objections == (
        Objection(rule="broken", observed="ZeroDivisionError", limit="no error", unit="error"),
    )


def test_sizing_that_fails_objects_beside_the_rules(monkeypatch):
    def broken(case, made):
        raise OverflowError(case)

    monkeypatch.setattr(approval, "sized", broken)
    assert objecting(judged(an_entry(stop=None))) > {"sizing", "stop_loss"}


def test_a_rule_that_is_never_content_with_a_cut_rejects(monkeypatch):
    def greedy(case):
        objection = Objection(rule="greedy", observed="1", limit="0", unit="base")
        return TooLarge(objection=objection, largest=Quantity(abs(case.quantity) / 2))

    book = (*rules.RULES_FOR_ENTRIES, greedy)
    monkeypatch.setattr(approval, "in_force", lambda off: book)
    assert objecting(judged(an_entry())) == {"greedy"}


def test_nobody_else_makes_an_approved_order():
    approved = judged(an_entry())
    with pytest.raises(Unsealed):
        ApprovedOrder(
            intent=approved.intent,
            quantity=Quantity(Decimal(9)),
            approved_at=NOW,
            reductions=(),
            scales=(),
            shadowed=(),
            seal=object(),
        )


def test_a_hold_is_not_judged():
    with pytest.raises(ValueError, match="HOLD"):
        judged(an_entry(direction=Direction.HOLD))


@pytest.mark.parametrize(
    ("number", "text"),
    [("1E+2", "100"), ("0.5000", "0.5"), ("-0.00", "0"), ("1E-9", "0.000000001"), ("NaN", "NaN")],
)
def test_numbers_are_written_plainly(number, text):
    assert plain(Decimal(number)) == text


def test_limits_can_be_opened_wide_by_numbers_alone():
    calm = {"max_leverage": "1000", "min_confidence": 0, "size": "1"}
    limits = limits_with(
        allowed_symbols=[BTC],
        max_price_age="P36500D",
        max_spread_bps=0,
        min_stop_distance=0,
        max_stop_distance=1000,
        max_stop_distance_of={},
        min_stop_atr=0,
        min_reward_risk=0,
        max_risk_per_trade=1000,
        max_position=1000,
        max_exposure=1000,
        max_leverage=1000,
        max_margin_use=1000,
        max_correlated_exposure=1000,
        max_monthly_loss=1,
        max_daily_loss=1,
        max_weekly_loss=1,
        max_drawdown=1,
        derisk_drawdown=1,
        derisk_size=1,
        tiers=[{"min_confidence": 0, "size": 1, "max_leverage": 1000}],
        loss_streaks=[],
        regimes=dict.fromkeys(Regime, calm),
    )
    market = a_market(price=price("60000"), spread_bps=None, atr=None, regime=Regime.UNKNOWN)
    verdict = judged(an_entry("1", stop="600", confidence=1.0), market=market, limits=limits)
    assert isinstance(verdict, ApprovedOrder), verdict
    assert (verdict.quantity, verdict.reductions) == (1, ())
