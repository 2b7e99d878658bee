"""A venue's rate limit, spent on our clock."""

import asyncio
from datetime import timedelta

import pytest

from data.clock import ManualClock
from data.feeds.rate_budget import RateBudget
from tests.builders_feeds import OPENING, other_tasks

SECOND = timedelta(seconds=1)


def a_budget(clock, capacity=3.0, per_second=1.0):
    return RateBudget(clock, capacity=capacity, per_second=per_second)


async def spent_at(budget, clock, weights):
    """When each of `weights`, asked for at once, was let through, in seconds."""
    times = {}

    async def spend(number, weight):
        await budget.spend(weight)
        times[number] = (clock.now() - OPENING) / SECOND

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(spend(*each)) for each in enumerate(weights)]
        while not all(task.done() for task in waiting):
            await other_tasks()
            clock.move_to(clock.now() + SECOND / 2)
    return [times[number] for number in range(len(weights))]


@pytest.mark.req("S1-20")
@pytest.mark.parametrize(
    ("weights", "times"),
    [
        pytest.param([1, 1, 1], [0, 0, 0], id="what is there goes at once"),
        pytest.param([1, 1, 1, 1, 1], [0, 0, 0, 1, 2], id="then one a second, in order"),
        pytest.param([3, 2, 1], [0, 2, 3], id="weights count"),
        pytest.param([5, 1], [2, 3], id="more than the capacity waits for all of it"),
    ],
)
async def test_spending_waits_its_turn(weights, times):
    clock = ManualClock(OPENING)
    assert await spent_at(a_budget(clock), clock, weights) == times


async def test_a_budget_fills_up_to_its_capacity():
    clock = ManualClock(OPENING)
    budget = a_budget(clock)
    await budget.spend(3)
    assert budget.left == 0
    clock.move_to(OPENING + 2 * SECOND)
    assert budget.left == 2
    clock.move_to(OPENING + timedelta(days=1))
    assert (budget.left, budget.spent) == (3, 3)


async def test_while_the_venue_asks_for_patience_nothing_goes():
    clock = ManualClock(OPENING)
    budget = a_budget(clock)
    budget.rest(4 * SECOND)
    budget.rest(SECOND)
    assert budget.left == 0
    assert await spent_at(budget, clock, [1]) == [4]


@pytest.mark.parametrize("wrong", [{"capacity": 0.0}, {"per_second": 0.0}])
def test_a_budget_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="nothing"):
        a_budget(ManualClock(OPENING), **wrong)


class SetClock(ManualClock):
    """A clock that somebody sets."""

    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


async def test_a_clock_that_is_set_back_keeps_nobody_waiting():
    """A machine may start an hour ahead, and be put right while we run: orders must go on."""
    clock = SetClock(OPENING)
    clock.ahead = timedelta(hours=1)
    budget = a_budget(clock)
    await budget.spend(3)
    budget.rest(2 * SECOND)
    clock.ahead = timedelta(0)
    assert await spent_at(budget, clock, [1, 1]) == [2, 2]
    assert await spent_at(budget, clock, [1, 1]) == [3, 4]


@pytest.mark.req("S1-20")
async def test_who_can_wait_leaves_half_to_those_who_cannot():
    clock = ManualClock(OPENING)
    budget = a_budget(clock, capacity=10.0)
    async with asyncio.TaskGroup() as tasks:
        filling = tasks.create_task(forever(budget.patient))
        for _ in range(100):
            await other_tasks()
            assert budget.left >= 5
            clock.move_to(clock.now() + SECOND / 2)
        filled = budget.spent
        await budget.spend(5)  # an order, say, and what it needs: at once
        assert clock.now() == OPENING + 50 * SECOND
        filling.cancel()
    assert filled >= 50  # and that costs it nothing


async def forever(budget):
    while True:
        await budget.spend(2)


async def test_who_can_wait_is_let_through_however_heavy_the_question():
    clock = ManualClock(OPENING)
    budget = a_budget(clock, capacity=3.0)
    assert await spent_at(budget.patient, clock, [2.5]) == [0]
    assert await spent_at(budget.patient, clock, [2.5]) == [2.5]


async def test_the_patience_that_a_venue_asks_a_collector_for_is_everybodys():
    clock = ManualClock(OPENING)
    budget = a_budget(clock)
    budget.patient.rest(2 * SECOND)
    assert await spent_at(budget, clock, [1]) == [2]
    assert await spent_at(budget.patient, clock, [1]) == [2.5]
