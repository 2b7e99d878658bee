"""Hyperliquid's budgets: what an address may ask, and what an account may do."""

from datetime import timedelta

import pytest

from data.feeds.ccxt_source import exact
from data.feeds.rate_budget import RateBudget
from execution.venue import VenueUnavailable
from execution.venues.hyperliquid_limits import HyperliquidLimits
from tests.builders_venue import NOON
from tests.fakes_kraken import QuickClock


@pytest.fixture
def clock():
    return QuickClock(NOON)


@pytest.fixture
def ip(clock):
    return RateBudget(clock, capacity=1_200, per_second=20)


@pytest.fixture
def limits(clock, ip):
    limits = HyperliquidLimits(clock, ip, reserve=10)
    limits.learn(used=0, most=100)
    return limits


@pytest.mark.req("S1-20")
@pytest.mark.parametrize(
    ("kind", "rows", "weight"),
    [
        pytest.param("orderStatus", {}, 2, id="light"),
        pytest.param("allMids", {}, 2, id="prices"),
        pytest.param("userRole", {}, 60, id="a role"),
        pytest.param("frontendOpenOrders", [0] * 500, 20, id="whatever it holds"),
        pytest.param("userFillsByTime", [0] * 19, 20, id="few fills"),
        pytest.param("userFillsByTime", [0] * 2_000, 120, id="a page of fills"),
    ],
)
async def test_what_a_question_costs(limits, ip, kind, rows, weight):
    await limits.ask(kind)
    await limits.heard(kind, rows)
    assert ip.spent == weight


async def test_the_reserve_is_for_what_reduces(limits):
    for _ in range(90):
        await limits.place(reduces=False)
    with pytest.raises(VenueUnavailable, match="none was sent"):
        await limits.place(reduces=False)
    await limits.place(reduces=True)
    assert limits.left == 9


async def test_who_has_none_left_gets_one_each_ten_seconds(limits, clock):
    limits.learn(used=100, most=100)
    await limits.place(reduces=True)
    await limits.place(reduces=True)
    await limits.place(reduces=True)
    assert clock.now() - NOON == timedelta(seconds=20)


async def test_cancels_go_on_for_longer(limits, clock):
    limits.learn(used=100, most=100)
    for _ in range(100):
        await limits.cancel()
    assert clock.now() == NOON
    for _ in range(2):
        await limits.cancel()
    assert clock.now() - NOON == timedelta(seconds=10)


def test_the_venue_is_asked_when_little_is_left(limits, clock):
    assert not limits.is_unsure
    clock.move_to(NOON + timedelta(minutes=59))
    assert not limits.is_unsure
    clock.move_to(NOON + timedelta(minutes=60))
    assert limits.is_unsure
    limits.learn(used=95, most=100)
    assert not limits.is_unsure
    clock.move_to(clock.now() + timedelta(minutes=1))
    assert limits.is_unsure


async def test_after_too_much_there_is_a_rest(limits, clock):
    limits.rest(timedelta(seconds=30))
    assert limits.is_unsure
    await limits.ask("allMids")
    assert clock.now() - NOON == timedelta(seconds=30)


async def test_the_recorded_budget_is_large(shared_data, limits):
    told = exact((shared_data / "hyperliquid_info" / "userRateLimit.json").read_text())["response"]
    limits.learn(used=told["nRequestsUsed"], most=told["nRequestsCap"])
    assert limits.left == 170_043_731_737 - 36_589_831_368
    await limits.place(reduces=False)


def test_a_reserve_is_not_below_nothing(clock, ip):
    with pytest.raises(ValueError, match="reserve"):
        HyperliquidLimits(clock, ip, reserve=-1)
