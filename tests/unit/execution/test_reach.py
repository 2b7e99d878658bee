"""Which bars a venue need not hold against its resting orders one by one."""

from dataclasses import replace
from decimal import Decimal

import pytest

from execution.order import OrderStatus
from execution.venue import OrderChanged
from execution.venue_books import VenueBooks
from execution.venue_state import Placed, StopTriggered, VenueState
from tests.builders_venue import BTC, MINUTE, NOON, XRP, a_bar, an_id, an_order

INSIDE, DIPS, RISES = "100 105 95 100", "100 105 90 100", "100 110 95 100"


def a_state(*orders):
    state = VenueState("paper", latency=MINUTE, books=VenueBooks({"USDT": Decimal(100_000)}))
    for order in orders:
        state.apply(Placed(order=order, at=NOON))
    return state


def concerned(state, symbol=BTC):
    return {p for p in (INSIDE, DIPS, RISES) if state.reach(symbol).may_concern(a_bar(p))}


@pytest.mark.parametrize(
    ("orders", "bars"),
    [
        pytest.param([], set(), id="none"),
        pytest.param([an_order("a", "1")], {INSIDE, DIPS, RISES}, id="at the market"),
        pytest.param([an_order("a", "-1", trigger="90")], {DIPS}, id="a stop to sell"),
        pytest.param([an_order("a", "1", limit="90")], {DIPS}, id="a limit to buy"),
        pytest.param([an_order("a", "1", trigger="110")], {RISES}, id="a stop to buy"),
        pytest.param([an_order("a", "-1", limit="110")], {RISES}, id="a limit to sell"),
        pytest.param(
            [an_order("a", "-1", trigger="80"), an_order("b", "-1", trigger="90")],
            {DIPS},
            id="the nearest of several",
        ),
        pytest.param(
            [an_order("a", "-1", trigger="90"), an_order("b", "-1", limit="110")],
            {DIPS, RISES},
            id="on both sides",
        ),
        pytest.param([an_order("a", "1", symbol=XRP)], set(), id="in another symbol"),
    ],
)
def test_a_bar_concerns_the_orders_that_it_might_fill(orders, bars):
    assert concerned(a_state(*orders)) == bars


def test_it_is_found_anew_when_an_order_changes():
    state = a_state(an_order("a", "-1", trigger="90"))
    assert concerned(state) == {DIPS}
    state.apply(Placed(order=an_order("b", "1", trigger="110"), at=NOON))
    assert concerned(state) == {DIPS, RISES}
    state.apply(StopTriggered(client_order_id=an_id("a"), at=NOON))
    assert concerned(state) == {INSIDE, DIPS, RISES}
    gone = replace(state.orders[an_id("a")].view, status=OrderStatus.CANCELLED)
    state.apply(OrderChanged(order=gone, at=NOON))
    assert concerned(state) == {RISES}
