"""A rejected entry, tracked as if it had been taken."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.bar import Bar, Timeframe
from data.instrument import Price, Quantity
from risk.intent import Direction, Purpose
from sextant.evaluation.counterfactual import MANY, Counterfactuals, RuleWorth
from tests.builders_evaluation import BTC, DAY, START, a_veto


def a_bar(prices, minute):
    open_, high, low, close = (Price(Decimal(p)) for p in prices.split())
    return Bar(
        symbol=BTC,
        timeframe=Timeframe.M1,
        closed_at=START + minute * timedelta(minutes=1),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=Quantity(Decimal(1)),
    )


def object_to(tracked, *rules, **veto):
    """One entry that these rules object to."""
    rejection = a_veto(*rules, **veto)
    tracked.veto(rejection.intent, rejection.objections)


def worth_after(*bars, horizon=5, fee=0.0, **veto):
    tracked = Counterfactuals(horizon=horizon, fee=fee)
    object_to(tracked, "confidence", **veto)
    for minute, prices in enumerate(bars, 1):
        tracked.see(a_bar(prices, minute))
    return tracked.by_rule["confidence"]


SHORT = {"direction": Direction.SHORT, "stop": "105", "target": "90"}


@pytest.mark.req("S1-222")
@pytest.mark.parametrize(
    ("bars", "veto", "in_r"),
    [
        pytest.param(["100 111 99 108"], {}, 2.0, id="long to its target"),
        pytest.param(["100 101 94 96"], {}, -1.0, id="long to its stop"),
        pytest.param(["100 120 90 100"], {}, -1.0, id="both in one bar: the stop came first"),
        pytest.param(["100 101 99 100", "90 92 89 91"], {}, -2.0, id="through the stop by a gap"),
        pytest.param(["100 101 99 100", "115 116 114 115"], {}, 3.0, id="target by a gap"),
        pytest.param(["100 101 99 100"] * 4 + ["100 103 99 102"], {}, 0.4, id="to its horizon"),
        pytest.param(["100 101 89 91"], SHORT, 2.0, id="short to its target"),
        pytest.param(["100 106 99 104"], SHORT, -1.0, id="short to its stop"),
        pytest.param(["100 200 99 150"] * 5, {"target": None}, 10.0, id="no target"),
    ],
)
def test_an_imagined_trade_ends_as_a_real_one_would(bars, veto, in_r):
    worth = worth_after(*bars, **veto)
    assert worth.trades == 1
    assert worth.total_r == pytest.approx(in_r)
    assert worth.won == (in_r > 0)


def test_fees_of_both_sides_count():
    assert worth_after("100 111 99 108", fee=0.01).total_r == pytest.approx(2.0 - 2.1 / 5)


def test_what_opens_beyond_its_stop_could_not_have_been_entered():
    worth = worth_after("94 96 93 95")
    assert (worth.vetoes, worth.trades, worth.mean_r) == (1, 0, None)


@pytest.mark.parametrize(
    "veto",
    [
        pytest.param({"purpose": Purpose.EXIT, "direction": Direction.CLOSE}, id="an exit"),
        pytest.param({"stop": None}, id="without a stop"),
    ],
)
def test_only_entries_with_a_stop_are_imagined(veto):
    tracked = Counterfactuals(horizon=5, fee=0.0)
    object_to(tracked, "confidence", **veto)
    assert not tracked.by_rule


def test_every_rule_that_objected_is_judged_by_the_trade():
    tracked = Counterfactuals(horizon=5, fee=0.0)
    object_to(tracked, "confidence", "cool_down")
    tracked.see(a_bar("100 111 99 108", 1))
    assert {rule: worth.total_r for rule, worth in tracked.by_rule.items()} == {
        "confidence": pytest.approx(2.0),
        "cool_down": pytest.approx(2.0),
    }


def test_one_trade_at_a_time_as_with_a_position():
    tracked = Counterfactuals(horizon=5, fee=0.0)
    for minute in range(1, 4):
        object_to(tracked, "confidence")
        tracked.see(a_bar("100 101 99 100", minute))
    tracked.see(a_bar("100 111 99 108", 4))
    worth = tracked.by_rule["confidence"]
    assert (worth.vetoes, worth.trades) == (3, 1)


@pytest.mark.req("S1-222")
@pytest.mark.parametrize(
    ("vetoes", "alone"),
    [
        pytest.param([("trend",)], {"trend": 1}, id="one rule"),
        pytest.param([("trend", "kelly")], {"trend": 0, "kelly": 0}, id="two rules"),
        pytest.param([("trend", "trend")], {"trend": 1}, id="one rule, two objections"),
        pytest.param(
            [("trend",), ("trend", "kelly"), ("trend",)],
            {"trend": 2, "kelly": 0},
            id="now and then",
        ),
    ],
)
def test_a_rule_stands_alone_where_no_other_objects(vetoes, alone):
    tracked = Counterfactuals(horizon=5, fee=0.0)
    for rules in vetoes:
        object_to(tracked, *rules)
    assert {rule: worth.alone for rule, worth in tracked.by_rule.items()} == alone


@pytest.mark.req("S1-196")
@pytest.mark.parametrize(
    ("by_day", "busy"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([MANY], 0, id="as many as are acceptable"),
        pytest.param([MANY + 1], 1, id="one more"),
        pytest.param([MANY + 1, 1, MANY + 3], 2, id="two days of three"),
    ],
)
def test_days_with_many_vetoes_of_a_rule(by_day, busy):
    worth = RuleWorth(days=Counter({START.date() + i * DAY: n for i, n in enumerate(by_day)}))
    assert worth.busy_days == busy


@given(
    st.lists(st.tuples(st.floats(50, 150), st.floats(0, 20), st.floats(0, 20), st.floats(0, 1))),
    st.integers(1, 10),
)
def test_nothing_is_lost_and_no_loss_is_beyond_the_gap(shapes, horizon):
    """Each veto is open, or ended once; without a gap no trade loses more than its risk."""
    tracked = Counterfactuals(horizon=horizon, fee=0.0)
    last = 100.0
    for minute, (close, up, down, _) in enumerate(shapes, 1):
        object_to(tracked, "rule", stop="60", target=None)
        high, low = max(last, close) + up, min(last, close) - down
        prices = " ".join(f"{max(p, 1):.4f}" for p in (last, high, low, close))
        tracked.see(a_bar(prices, minute))
        last = round(close, 4)
    worth = tracked.by_rule.get("rule")
    if worth is not None:
        assert worth.trades <= worth.vetoes == len(shapes)
        assert worth.total_r >= -worth.trades * (1 + 1e-9)
