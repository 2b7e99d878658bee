"""What a profit sets aside, when it buys, and that nothing is ever taken from a bag."""

from datetime import timedelta
from decimal import Decimal

import pytest

from agents.hodl import HodlState, after_trade, ended, purchase_due, purchased, split
from data.instrument import Side
from sextant.journal.codec import Codec
from tests.builders_allocation import HOUR, INSTRUMENTS, PRICES, a_profit, hodl_settings
from tests.builders_venue import BTC, NOON, XRP

SETTINGS = hodl_settings()
FRESH = HodlState()


def waiting(state):
    return {asset: bag.waiting for asset, bag in state.bags.items()}


def set_aside(state):
    return sum(bag.waiting + bag.cost for bag in state.bags.values())


def due(state, at=NOON, prices=PRICES):
    return purchase_due(state, prices, INSTRUMENTS, SETTINGS, now=at)


def rich(pnl="1000"):
    return after_trade(FRESH, a_profit(pnl), SETTINGS)


@pytest.mark.req("S0-36")
@pytest.mark.parametrize(
    ("pnl", "amount"),
    [
        pytest.param("100", "10", id="a tenth"),
        pytest.param("1", "0.1", id="the least profit"),
        pytest.param("0.99", "0", id="less"),
        pytest.param("0", "0", id="none"),
        pytest.param("-100", "0", id="a loss"),
        pytest.param(None, "0", id="unknown"),
        pytest.param("NaN", "0", id="no number"),
        pytest.param("10000", "1000", id="at the limit of one"),
        pytest.param("10010", "1000", id="beyond it"),
    ],
)
def test_a_tenth_of_a_profit_is_set_aside(pnl, amount):
    state = after_trade(FRESH, a_profit(pnl), SETTINGS)
    assert set_aside(state) == Decimal(amount)
    assert (state is FRESH) is (amount == "0")


@pytest.mark.req("S0-36")
def test_losses_take_nothing_back():
    state = rich("100")
    assert after_trade(state, a_profit("-1000"), SETTINGS) is state


def test_a_day_has_a_limit_that_midnight_lifts():
    state = FRESH
    for n in range(6):
        state = after_trade(state, a_profit("9000", NOON + n * HOUR), SETTINGS)
    assert set_aside(state) == 5000
    assert state.set_aside == 5000
    next_day = after_trade(state, a_profit("10", NOON + 12 * HOUR), SETTINGS)
    assert set_aside(next_day) == 5001
    assert next_day.set_aside == 1


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        pytest.param("10", {"XRP": "3.333", "BTC": "3.333", "USDT": "3.334"}, id="thirds"),
        pytest.param("0.0001", {"XRP": "0", "BTC": "0", "USDT": "0.0001"}, id="the least"),
        pytest.param(
            "0.1", {"XRP": "0.0333", "BTC": "0.0333", "USDT": "0.0334"}, id="the currency takes it"
        ),
    ],
)
def test_what_is_set_aside_is_split_without_a_rest(amount, parts):
    found = split(Decimal(amount), SETTINGS)
    assert found == {asset: Decimal(part) for asset, part in parts.items()}
    assert sum(found.values()) == Decimal(amount)


@pytest.mark.parametrize(
    ("pnl", "kept"),
    [pytest.param("29.9", "0", id="below one"), pytest.param("30", "1.0002", id="from one on")],
)
def test_the_currency_needs_no_order(pnl, kept):
    bag = rich(pnl).bag("USDT")
    assert bag.quantity == bag.cost == Decimal(kept)
    assert (bag.waiting == 0) is (kept != "0")


@pytest.mark.parametrize(
    ("pnl", "symbols"),
    [
        pytest.param("450", [], id="less than any threshold"),
        pytest.param("450.05", [BTC], id="enough for bitcoin"),
        pytest.param("750", [BTC], id="not quite for ripple"),
        pytest.param("750.08", [XRP, BTC], id="enough for both"),
    ],
)
def test_a_purchase_waits_for_its_threshold(pnl, symbols):
    state, found = rich(pnl), []
    while True:
        state, purchase = due(state)
        if purchase is None:
            break
        found.append(purchase.trade.symbol)
        assert purchase.trade.side is Side.BUY
    assert found == symbols


def test_a_purchase_costs_no_more_than_waits_even_at_its_worst_price():
    state, purchase = due(rich())
    worst = purchase.trade.price * (1 + SETTINGS.max_slippage)
    assert purchase.trade.quantity == 66
    assert purchase.trade.quantity * worst <= state.bag("XRP").waiting


@pytest.mark.parametrize(
    "prices",
    [
        pytest.param({}, id="no prices"),
        pytest.param({"XRP": Decimal(4), "USDT": Decimal(1)}, id="less than the venue takes"),
    ],
)
def test_what_cannot_be_bought_waits(prices):
    state = rich()
    assert due(state, prices=prices) == (state, None)


def test_one_purchase_of_an_asset_at_a_time():
    state, first = due(rich())
    state, second = due(state)
    assert (first.asset, second.asset) == ("XRP", "BTC")
    assert due(state) == (state, None)


def test_what_is_bought_is_in_the_bag_and_no_longer_waits():
    state, purchase = due(rich())
    before = set_aside(state)
    bought = purchased(state, "XRP", purchase.trade.quantity, Decimal("33.1"))
    bag = bought.bag("XRP")
    assert (bag.quantity, bag.cost) == (66, Decimal("33.1"))
    assert bag.waiting == Decimal("0.23")
    assert set_aside(bought) == before
    over = purchased(bought, "XRP", Decimal(1), Decimal("0.5"))
    assert over.bag("XRP").waiting == Decimal("-0.27")


@pytest.mark.parametrize(
    ("quantity", "cost"),
    [pytest.param("-1", "-0.5", id="a sale"), pytest.param("0", "0", id="nothing")],
)
@pytest.mark.req("S0-36")
def test_nothing_is_sold_from_a_bag(quantity, cost):
    with pytest.raises(ValueError, match="no purchase"):
        purchased(rich(), "XRP", Decimal(quantity), Decimal(cost))


def test_three_tries_more_and_then_tomorrow():
    state, at, tries = rich(), NOON, []
    for _ in range(4):
        state, purchase = due(state, at)
        tries.append(purchase.asset)
        state = ended(state, "XRP", has_bought=False, settings=SETTINGS, now=at)
        early = due(state, at + timedelta(seconds=29))[1]
        assert early is None or early.asset == "BTC"
        at += timedelta(seconds=30)
    assert tries == ["XRP"] * 4
    assert state.bag("XRP").not_before == NOON + 12 * HOUR
    assert due(state, at)[1].asset == "BTC"
    assert due(state, NOON + 12 * HOUR)[1].asset == "XRP"


def test_a_purchase_that_filled_forgets_what_failed():
    state, _ = due(rich())
    state = ended(state, "XRP", has_bought=False, settings=SETTINGS, now=NOON)
    state, purchase = due(state, NOON + HOUR)
    state = purchased(state, "XRP", purchase.trade.quantity, Decimal(33))
    state = ended(state, "XRP", has_bought=True, settings=SETTINGS, now=NOON + HOUR)
    bag = state.bag("XRP")
    assert (bag.failures, bag.not_before, bag.asked_at) == (0, None, None)


def test_a_restart_finds_what_is_under_way():
    codec = Codec({"hodl": HodlState})
    state, _ = due(rich())
    restored = codec.decode(*codec.encode(state))
    assert restored == state
    assert due(restored)[1].asset == "BTC"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"split": {"XRP": "0.5", "USDT": "0.4"}}, id="a split of less than all"),
        pytest.param({"thresholds": {"XRP": "25"}}, id="a threshold missing"),
        pytest.param({"currency": "EUR"}, id="no share for the currency"),
        pytest.param({"share": "1"}, id="all of a profit"),
        pytest.param({"slippage": "1"}, id="a key that nobody reads"),
    ],
)
def test_settings_that_cannot_be_meant(change):
    with pytest.raises(ValueError, match="validation error"):
        hodl_settings(**change)
