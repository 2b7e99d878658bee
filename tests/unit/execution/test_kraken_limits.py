"""Kraken's counters, as we reckon them before anything is sent."""

from datetime import timedelta

import pytest

from execution.venue import VenueUnavailable
from execution.venues.kraken_limits import KrakenLimits, Tier
from tests.builders_venue import BTC, NOON, XRP
from tests.fakes_kraken import QuickClock


@pytest.fixture
def clock():
    return QuickClock(NOON)


def limits(clock, tier=Tier.INTERMEDIATE, reserve=0.2):
    return KrakenLimits(clock, tier, reserve=reserve)


@pytest.mark.parametrize(
    ("tier", "calls", "waited"),
    [
        pytest.param(Tier.STARTER, 14, 0, id="starter: fourteen at once"),
        pytest.param(Tier.STARTER, 16, 1 + 1 / 0.33, id="starter: the next decay first"),
        pytest.param(Tier.INTERMEDIATE, 21, 1 + 2, id="intermediate"),
        pytest.param(Tier.PRO, 21, 1 + 1, id="pro"),
    ],
)
async def test_questions_wait_before_they_are_sent(clock, tier, calls, waited):
    """And a second longer: so late they may get there, and begin to decay."""
    counters = limits(clock, tier)
    for _ in range(calls):
        await counters.ask("Balance")
    assert (clock.now() - NOON).total_seconds() == pytest.approx(waited, abs=0.001)


async def test_histories_count_twice(clock):
    counters = limits(clock)
    await counters.ask("TradesHistory")
    await counters.ask("OpenOrders")
    assert counters.asked == 3


@pytest.mark.parametrize("tier", Tier)
async def test_years_of_history_are_read_and_the_dead_mans_switch_never_waits(clock, tier):
    counters = limits(clock, tier)
    for _ in range(100):
        await counters.room_for("TradesHistory")
        await counters.ask("TradesHistory")
        before = clock.now()
        for method in ("CancelAllOrdersAfter", "OpenOrders", "Balance", "OpenPositions"):
            await counters.ask(method)
        assert clock.now() == before


@pytest.mark.parametrize(
    ("age", "cost"),
    [(0, 8), (4.9, 8), (5, 6), (12, 5), (30, 4), (89, 2), (299, 1), (300, 0)],
)
async def test_a_young_order_costs_more_to_take_back(clock, age, cost):
    counters = limits(clock)
    counters.was_placed("id", clock.now())
    clock.move_to(NOON + timedelta(seconds=age))
    await counters.cancel(BTC, "id")
    assert counters.traded(BTC) == cost


async def test_an_order_of_unknown_age_counts_as_new(clock):
    counters = limits(clock)
    await counters.cancel(BTC, "never seen")
    assert counters.traded(BTC) == 8


async def test_an_amendment_makes_an_order_young_again(clock):
    counters = limits(clock)
    counters.was_placed("id", clock.now())
    clock.move_to(NOON + timedelta(seconds=20))
    await counters.amend(BTC, "id")
    await counters.amend(BTC, "id")
    assert counters.traded(BTC) == 1 + 4


async def test_entries_leave_room_for_exits(clock):
    counters = limits(clock, reserve=0.2)
    for _ in range(98):
        await counters.place(BTC, reduces=False)
    with pytest.raises(VenueUnavailable, match="none was sent"):
        await counters.place(BTC, reduces=False)
    for _ in range(24):
        await counters.place(BTC, reduces=True)
    assert clock.now() == NOON
    await counters.place(BTC, reduces=True)
    assert clock.now() > NOON


async def test_no_cancellation_waits_for_entries(clock):
    """Whatever of ours rests in a pair can be taken back at once, though all of it is new."""
    counters, names = limits(clock, Tier.STARTER, reserve=0.0), []
    with pytest.raises(VenueUnavailable):
        for number in range(100):
            await counters.place(BTC, reduces=False, rests=True)
            names.append(f"entry {number}")
            counters.was_placed(names[-1], clock.now(), rests_in=BTC)
    assert len(names) == 6
    for name in names:
        await counters.cancel(BTC, name)
    assert clock.now() == NOON


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda counters, clock: counters.has_ended("old"), id="it has ended"),
        pytest.param(lambda _, clock: clock.move_to(NOON + timedelta(minutes=5)), id="it is old"),
    ],
)
async def test_what_costs_nothing_to_take_back_needs_no_room(clock, end):
    counters = limits(clock, Tier.STARTER, reserve=0.85)
    await counters.place(BTC, reduces=False)
    counters.was_placed("old", clock.now(), rests_in=BTC)
    with pytest.raises(VenueUnavailable):
        await counters.place(BTC, reduces=False)
    end(counters, clock)
    await counters.place(BTC, reduces=False)


async def test_each_pair_has_a_counter_of_its_own(clock):
    counters = limits(clock, reserve=0.99)
    await counters.place(BTC, reduces=False)
    with pytest.raises(VenueUnavailable):
        await counters.place(BTC, reduces=False)
    await counters.place(XRP, reduces=False)


async def test_what_kraken_has_counted_otherwise_runs_down_first(clock):
    counters = limits(clock)
    counters.rest(BTC)
    with pytest.raises(VenueUnavailable):
        await counters.place(BTC, reduces=False)
    await counters.place(BTC, reduces=True)
    assert clock.now() - NOON == timedelta(seconds=15)


@pytest.mark.parametrize("reserve", [-0.1, 1.0])
def test_a_reserve_is_a_share(clock, reserve):
    with pytest.raises(ValueError, match="reserve"):
        limits(clock, reserve=reserve)
