"""Binance's budgets, as we reckon them before anything is sent."""

from datetime import timedelta

import pytest

from data.feeds.binance import rate_budget
from execution.venue import VenueUnavailable
from execution.venues.binance_limits import BinanceLimits
from tests.builders_venue import NOON
from tests.fakes_kraken import QuickClock


@pytest.fixture
def clock():
    return QuickClock(NOON)


def limits(clock, reserve=0.2):
    return BinanceLimits(clock, rate_budget(clock), reserve=reserve)


@pytest.mark.parametrize(
    ("method", "weight"),
    [
        ("fapiPrivateGetOpenOrders", 40),
        ("fapiPrivateGetUserTrades", 5),
        ("fapiPrivatePostOrder", 0),
        ("fapiPrivateDeleteOrder", 1),
        ("fapiPrivateGetOrder", 1),
    ],
)
async def test_what_a_question_weighs(clock, method, weight):
    budgets = limits(clock)
    await budgets.ask(method)
    assert budgets.weighed == weight


@pytest.mark.req("S1-20")
async def test_the_weight_is_shared_with_whoever_asks_from_this_address(clock):
    budget = rate_budget(clock)
    budgets = BinanceLimits(clock, budget, reserve=0)
    await budget.spend(600)
    await budgets.ask("fapiPrivateGetOpenOrders")
    assert clock.now() - NOON == timedelta(seconds=40 / 30)


async def test_never_more_orders_in_any_span_than_binance_takes(clock):
    budgets, times = limits(clock, reserve=0), []
    for _ in range(2_500):
        await budgets.place(reduces=True)
        times.append(clock.now())
    for most, seconds in ((300, 10), (1_200, 60)):
        span = timedelta(seconds=seconds)
        pairs = zip(times, times[most:], strict=False)
        assert all(later - first >= span for first, later in pairs)


async def test_entries_leave_room_for_exits(clock):
    budgets = limits(clock, reserve=0.2)
    for _ in range(120):
        await budgets.place(reduces=False)
    with pytest.raises(VenueUnavailable, match="none was sent"):
        await budgets.place(reduces=False)
    for _ in range(30):
        await budgets.place(reduces=True)
    assert clock.now() == NOON
    await budgets.place(reduces=True)
    assert clock.now() > NOON


async def test_when_binance_asks_for_patience_nothing_goes_out(clock):
    budgets = limits(clock)
    budgets.rest(timedelta(seconds=30))
    with pytest.raises(VenueUnavailable):
        await budgets.place(reduces=False)
    await budgets.ask("fapiPrivateGetOrder")
    assert clock.now() - NOON == timedelta(seconds=30)


@pytest.mark.parametrize("reserve", [-0.1, 1.0])
def test_a_reserve_is_a_share(clock, reserve):
    with pytest.raises(ValueError, match="reserve"):
        limits(clock, reserve=reserve)
