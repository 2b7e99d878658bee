"""One symbol's page: what a reduction earns, and when a trade is over."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Price
from execution.ledger_page import Page
from tests.builders_venue import BTC, NOON, instruments

LISTED = instruments()[BTC]


def a_page():
    return Page(instrument=LISTED, quote="USDT", in_currency=True)


def bought(*lots):
    """A page after these purchases, or sales, each a signed quantity and a price."""
    page = a_page()
    for hour, (quantity, price) in enumerate(lots):
        page.open(Decimal(quantity), Price(Decimal(price)), NOON + timedelta(hours=hour))
    return page


@pytest.mark.parametrize(
    ("lots", "reduced", "at", "earned", "left", "cost"),
    [
        pytest.param([("2", "100")], "-2", "110", "20", "0", "0", id="all of it"),
        pytest.param([("2", "100")], "-1", "90", "-10", "1", "100", id="half, at a loss"),
        pytest.param(
            [("1", "100"), ("3", "120")], "-1", "115", "0", "3", "345", id="at the mean of two"
        ),
        pytest.param([("-2", "100")], "1", "90", "10", "-1", "-100", id="a short one"),
    ],
)
def test_a_reduction_releases_its_share_of_the_cost(lots, reduced, at, earned, left, cost):
    page = bought(*lots)
    assert page.reduce(Decimal(reduced), Price(Decimal(at))) == Decimal(earned)
    assert (page.quantity, page.cost) == (Decimal(left), Decimal(cost))
    assert page.trade.realised == Decimal(earned)


@pytest.mark.parametrize(
    ("left", "is_over"),
    [
        pytest.param("0", True, id="nothing is left"),
        pytest.param("0.000001", True, id="dust is left"),
        pytest.param("1", False, id="something is left"),
    ],
)
def test_a_trade_is_over_when_what_is_left_cannot_be_traded(left, is_over):
    page = bought(("2", "100"))
    page.reduce(Decimal(left) - 2, Price(Decimal(100)))
    trade = page.end(Price(Decimal(100)))
    assert (trade is not None) is is_over
    assert (page.trade is None) is is_over


def test_a_trade_knows_its_beginning_and_its_largest_size():
    page = bought(("-1", "100"), ("-2", "90"))
    page.reduce(Decimal(3), Price(Decimal(95)))
    trade = page.end(Price(Decimal(95)))
    assert (trade.opened_at, trade.peak, page.opened_at) == (NOON, Decimal(-3), NOON)
    page.open(Decimal(1), Price(Decimal(80)), NOON + timedelta(hours=9))
    assert page.opened_at == page.trade.opened_at == NOON + timedelta(hours=9)
