"""What a case reckons from its parts, each once."""

from decimal import Decimal

import pytest

from data.instrument import Notional, Symbol
from risk.case import Case, as_decimal, known, readable
from risk.intent import Direction
from tests.builders_risk import (
    XRP,
    a_case,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    in_flight,
    limits_with,
    price,
)

NAN, INF = float("nan"), float("inf")
LONG, SHORT = Direction.LONG, Direction.SHORT
ETH = Symbol("ETH/USDT")


@pytest.mark.parametrize(
    ("direction", "trigger", "limit", "entry"),
    [
        pytest.param(LONG, None, None, "100", id="at the market"),
        pytest.param(LONG, "105", None, "105", id="once it has risen"),
        pytest.param(LONG, "95", None, "100", id="a trigger that was passed"),
        pytest.param(LONG, None, "97", "97", id="once it has fallen so far"),
        pytest.param(LONG, None, "110", "100", id="a limit that the market betters"),
        pytest.param(LONG, "105", "103", "103", id="a trigger, and then a limit"),
        pytest.param(SHORT, "95", None, "95", id="short, once it has fallen"),
        pytest.param(SHORT, "105", None, "100", id="short, a trigger that was passed"),
        pytest.param(SHORT, None, "103", "103", id="short, once it has risen so far"),
        pytest.param(SHORT, None, "90", "100", id="short, a limit that the market betters"),
        pytest.param(SHORT, "95", "97", "97", id="short, a trigger, and then a limit"),
    ],
)
def test_where_an_entry_would_fill(direction, trigger, limit, entry):
    intent = an_entry(direction=direction, trigger=price(trigger), limit=price(limit))
    assert a_case(intent).entry_price == Decimal(entry)


def test_without_a_price_nobody_knows_where_an_entry_would_fill():
    case = a_case(an_entry(trigger=price("99"), limit=price("101")), market=a_market(price=None))
    assert (case.entry_price, case.unit_value, case.stop_distance) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "rate", "value"),
    [
        pytest.param({}, "1", "100", id="in one currency"),
        pytest.param({"trigger": price("105")}, "2", "210", id="at the dearer price, converted"),
        pytest.param(
            {"limit": price("97")}, "2", "200", id="at the market's, where that is dearer"
        ),
    ],
)
def test_what_one_unit_is_worth(changes, rate, value):
    case = a_case(an_entry(**changes), market=a_market(rate=Decimal(rate)))
    assert case.unit_value == Decimal(value)


def test_without_a_rate_nobody_knows_what_one_unit_is_worth():
    assert a_case(market=a_market(rate=None)).unit_value is None


@pytest.mark.parametrize(
    ("equity", "left", "share_of"),
    [("-5", "-5", "0"), ("0", "0", "0"), ("7", "7", "7"), (None, None, "0"), ("NaN", None, "0")],
)
def test_what_is_left_may_be_less_than_nothing_and_shares_are_of_no_less(equity, left, share_of):
    case = a_case(account=an_account(equity))
    assert case.left == (None if left is None else Decimal(left))
    assert case.equity == Decimal(share_of)


def test_everything_held_and_in_flight_counts_and_a_reduction_does_not():
    account = an_account(
        "1000",
        a_position("1", notional="10"),
        a_position("-1", symbol=XRP, notional="20"),
        in_flight=(
            in_flight("1", notional="40"),
            in_flight("-3", notional="80"),
            in_flight("1", notional="160", reduce_only=True),
            in_flight("5", symbol=XRP, notional="320"),
        ),
    )
    case = a_case(account=account)
    assert (case.exposure, case.pending, case.held) == (470, -2, 1)


def test_dust_is_not_held_and_without_a_price_nobody_knows_what_is_dust():
    account = an_account("1000", a_position("0.04"))
    assert a_case(account=account).held == 0
    assert a_case(account=account, market=a_market(price=None)).held == Decimal("0.04")


@pytest.mark.parametrize(
    ("changes", "both"),
    [
        # at a fee of 1 %: 10 less 2.1, and 2 with 1.98 on top
        pytest.param({"target": "110"}, ("7.90", "3.98"), id="long"),
        pytest.param(
            {"target": "90", "stop": "102", "direction": SHORT}, ("8.10", "4.02"), id="short"
        ),
        pytest.param({}, None, id="no target"),
        pytest.param({"target": "110", "stop": None}, None, id="no stop"),
        pytest.param({"target": "NaN"}, None, id="a target of no number"),
    ],
)
def test_reward_and_risk_after_the_fees_of_both_ways(changes, both):
    case = a_case(an_entry(**changes), limits=limits_with(taker_fee="0.01"))
    assert case.reward_over_risk == (both and tuple(map(Decimal, both)))


@pytest.mark.parametrize(
    ("spread", "share"),
    [
        pytest.param(5.0, "0.0067", id="with the spread"),
        pytest.param(0.5, "0.00625", id="with half a basis point"),
        pytest.param(0.0, "0.0062", id="no spread"),
        pytest.param(None, "0.0062", id="unknown"),
        pytest.param(NAN, "0.0062", id="no number"),
        pytest.param(INF, "0.0062", id="without end"),
        pytest.param(-1.0, "0.0062", id="a crossed book"),
    ],
)
def test_the_cost_of_both_ways(spread, share):
    limits = limits_with(taker_fee="0.0026", slippage="0.0005")
    assert a_case(market=a_market(spread_bps=spread), limits=limits).cost_share == Decimal(share)


@pytest.mark.req("S1-125")
@pytest.mark.parametrize("name", ["volatility_guard", "volatility_target"])
def test_what_is_only_tried_is_off(name):
    on = limits_with(**{name: 0.7})
    tried = limits_with(**{name: 0.7}, shadow=[name])
    assert [getattr(a_case(limits=limits), name) for limits in (on, tried)] == [0.7, 0.0]


@pytest.mark.parametrize(
    ("peak", "fallen"), [("1250", "0.2"), ("1000", "0"), (None, "1"), ("NaN", "1"), ("-1", "1")]
)
def test_a_drawdown_that_cannot_be_told_is_a_whole_one(peak, fallen):
    peak = None if peak is None else Notional(Decimal(peak))
    assert a_case(state=a_state(peak_equity=peak)).drawdown == Decimal(fallen)


def test_a_value_is_reckoned_once_and_says_what_it_is():
    case = a_case()
    assert Case.price.__doc__ == "The last price, in quote currency."
    assert "price" not in vars(case)
    assert case.price is case.price is vars(case)["price"]


@pytest.mark.parametrize(
    ("value", "reading"), [("1", "1"), ("0", None), ("-1", None), ("NaN", None), ("Infinity", None)]
)
def test_a_known_value_is_a_number_above_zero(value, reading):
    assert known(Decimal(value)) == (None if reading is None else Decimal(reading))
    assert readable(float(value)) == (None if reading is None else float(reading))


def test_an_estimate_crosses_over_by_its_shortest_text():
    assert str(as_decimal(0.1)) == "0.1"
