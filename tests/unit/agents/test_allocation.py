"""Targets, drift, and the road that each trade to a target takes."""

from decimal import Decimal

import pytest

from agents.allocation import (
    Drift,
    DriftLevel,
    Holdings,
    NoRoute,
    after,
    allocation_intent,
    drift_level,
    drifts,
    equal_targets,
    trades_to_target,
)
from data.instrument import Side
from risk.intent import Direction, Purpose
from tests.builders_allocation import (
    ASSETS,
    HOUR,
    INSTRUMENTS,
    PRICES,
    TARGETS,
    holdings_worth,
    settings_with,
)
from tests.builders_venue import BTC, CROSS, NOON, XRP

CENT = Decimal("0.01")


def planned(holdings, pairs=(BTC, XRP, CROSS), min_trade="10"):
    found = trades_to_target(
        holdings, TARGETS, {pair: INSTRUMENTS[pair] for pair in pairs}, min_trade=Decimal(min_trade)
    )
    return [(trade.symbol, trade.side, trade.quantity) for trade in found]


@pytest.mark.req("S0-2")
def test_thirds_leave_the_remainder_to_the_last():
    assert {t.asset: str(t.share) for t in TARGETS} == {
        "BTC": "0.3333",
        "XRP": "0.3333",
        "USDT": "0.3334",
    }


@pytest.mark.req("S0-2")
@pytest.mark.parametrize(
    ("held", "shares"),
    [
        pytest.param({"usdt": 2100}, ["0", "0", "1"], id="all in one"),
        pytest.param({"btc": 500, "xrp": 300, "usdt": 200}, ["0.5", "0.3", "0.2"], id="mixed"),
        pytest.param({}, [], id="nothing is held, so nothing has drifted"),
    ],
)
def test_drift_is_the_share_against_the_target(held, shares):
    assert [d.share for d in drifts(holdings_worth(**held), TARGETS)] == list(map(Decimal, shares))


@pytest.mark.parametrize(
    ("share", "level"),
    [
        pytest.param("0.3832", DriftLevel.CALM, id="just below 5 points"),
        pytest.param("0.3833", DriftLevel.DUE, id="5 points"),
        pytest.param("0.2833", DriftLevel.DUE, id="5 points too little"),
        pytest.param("0.4132", DriftLevel.DUE, id="just below 8"),
        pytest.param("0.4133", DriftLevel.WARNING, id="8 points"),
        pytest.param("0.4832", DriftLevel.WARNING, id="just below 15"),
        pytest.param("0.4833", DriftLevel.CRITICAL, id="15 points"),
    ],
)
def test_each_level_begins_at_its_number(share, level):
    worst = Drift(asset="BTC", share=Decimal(share), target=Decimal("0.3333"))
    calm = Drift(asset="USDT", share=Decimal("0.3334"), target=Decimal("0.3334"))
    assert drift_level((calm, worst), settings_with()) is level


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param(
            {"usdt": 3000},
            [(BTC, Side.BUY, "0.0249"), (XRP, Side.BUY, "1999")],
            id="one gives to two, each over its own pair",
        ),
        pytest.param(
            {"btc": 2000, "xrp": 500, "usdt": 500},
            [(BTC, Side.SELL, "0.0125"), (CROSS, Side.BUY, "999")],
            id="bitcoin buys ripple itself, not over dollars",
        ),
        pytest.param(
            {"btc": 400, "xrp": 1600, "usdt": 1000},
            [(CROSS, Side.SELL, "1199")],
            id="two that are off need one trade",
        ),
        pytest.param(
            {"btc": 1000, "xrp": 1000, "usdt": 1000}, [], id="what is off by less than a trade"
        ),
    ],
)
def test_what_is_too_much_goes_straight_to_what_is_too_little(held, expected):
    wanted = [(symbol, side, Decimal(quantity)) for symbol, side, quantity in expected]
    assert planned(holdings_worth(**held)) == wanted


@pytest.mark.parametrize(
    ("held", "pairs", "expected"),
    [
        pytest.param(
            {"btc": 400, "xrp": 1600, "usdt": 1000},
            (BTC, XRP),
            [(XRP, Side.SELL, "1200"), (BTC, Side.BUY, "0.0149")],
            id="over dollars, sold before bought",
        ),
        pytest.param(
            {"usdt": 3000},
            (BTC, CROSS),
            [(BTC, Side.BUY, "0.0499"), (CROSS, Side.BUY, "1999")],
            id="over bitcoin, first leg first",
        ),
        pytest.param(
            {"usdt": 1000, "xrp": 2000},
            (BTC, XRP),
            [(XRP, Side.SELL, "2000"), (BTC, Side.BUY, "0.0249")],
            id="both legs of one road",
        ),
    ],
)
def test_without_a_pair_the_road_goes_through_the_third(held, pairs, expected):
    wanted = [(symbol, side, Decimal(quantity)) for symbol, side, quantity in expected]
    assert planned(holdings_worth(**held), pairs) == wanted


def test_without_a_road_nothing_is_guessed():
    with pytest.raises(NoRoute, match="XRP"):
        planned(holdings_worth(usdt=1000), (BTC,))


@pytest.mark.parametrize(
    ("extra", "min_trade", "count"),
    [
        pytest.param("20", "10", 2, id="at the least value"),
        pytest.param("20", "14", 0, id="below it"),
        pytest.param("4.9", "1", 0, id="too little for the venue"),
    ],
)
def test_small_trades_are_left_out(extra, min_trade, count):
    held = holdings_worth(btc=1000, xrp=1000, usdt=Decimal(1000) + 2 * Decimal(extra))
    assert len(planned(held, min_trade=min_trade)) == count


def test_trades_at_the_marks_move_no_value():
    held = holdings_worth(btc=2000, xrp=500, usdt=500)
    found = trades_to_target(held, TARGETS, INSTRUMENTS, min_trade=CENT)
    assert after(held, found).total == held.total


@pytest.mark.parametrize(
    ("quantities", "prices"),
    [
        pytest.param({"BTC": Decimal(1)}, {}, id="no price"),
        pytest.param({"BTC": Decimal(1)}, {"BTC": Decimal("NaN")}, id="a price that is no number"),
        pytest.param({"BTC": Decimal(1)}, {"BTC": Decimal(0)}, id="a price of nothing"),
        pytest.param({"BTC": Decimal(-1)}, PRICES, id="borrowed"),
        pytest.param({"BTC": Decimal("Infinity")}, PRICES, id="without end"),
    ],
)
def test_holdings_that_cannot_be_valued_are_none(quantities, prices):
    with pytest.raises(ValueError, match="BTC"):
        Holdings(quantities=quantities, prices=prices)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"assets": ("BTC", "BTC")}, id="an asset twice"),
        pytest.param({"assets": ("BTC",)}, id="one asset"),
        pytest.param({"warn": "0.04"}, id="a warning before the trigger"),
        pytest.param({"batches": 7}, id="batches that reach into the next"),
        pytest.param({"min_trade": "0"}, id="no least trade"),
        pytest.param({"drift": "1"}, id="a key that nobody reads"),
    ],
)
def test_settings_that_cannot_be_meant(change):
    with pytest.raises(ValueError, match=r"1 validation error|extra"):
        settings_with(**change)


@pytest.mark.parametrize("key", sorted(settings_with().model_dump()))
def test_no_setting_has_a_default(key):
    left = settings_with().model_dump()
    del left[key]
    with pytest.raises(ValueError, match=key):
        type(settings_with()).model_validate(left)


@pytest.mark.parametrize(
    ("held", "direction", "sign", "limit"),
    [
        pytest.param(
            {"btc": 333, "xrp": "666.6", "usdt": "1000.4"},
            Direction.LONG,
            1,
            "40200.00",
            id="a purchase",
        ),
        pytest.param(
            {"btc": 1000, "xrp": "666.6", "usdt": "333.4"},
            Direction.SHORT,
            -1,
            "39800.00",
            id="a sale",
        ),
    ],
)
def test_what_is_asked_for_is_a_limit_order_without_a_stop(held, direction, sign, limit):
    (trade,) = trades_to_target(
        holdings_worth(**held), TARGETS, {BTC: INSTRUMENTS[BTC]}, min_trade=Decimal(10)
    )
    asked = [
        allocation_intent(
            "allocation",
            trade,
            INSTRUMENTS[BTC],
            purpose=Purpose.ALLOCATION,
            planned_at=NOON,
            decided_at=NOON + n * HOUR,
            max_slippage=Decimal("0.005"),
        )
        for n in (0, 1)
    ]
    assert asked[0].intent_id == asked[1].intent_id
    assert (asked[0].direction, asked[0].limit) == (direction, Decimal(limit))
    assert asked[0].quantity == sign * trade.quantity
    assert asked[0].stop is None
    assert not asked[0].reduces


def test_other_numbers_of_assets_sum_to_one_too():
    for count in range(2, 12):
        targets = equal_targets([f"A{n}" for n in range(count)])
        assert sum(t.share for t in targets) == 1
    assert len(equal_targets(ASSETS)) == 3
