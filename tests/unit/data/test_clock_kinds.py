"""What is special to each clock."""

import asyncio
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from data.clock import ManualClock, PacedClock, SystemClock
from data.utc import NaiveTime
from tests.builders_feeds import MINUTE, OPENING, other_tasks

NAIVE = datetime(2024, 3, 1)  # noqa: DTZ001 - naive on purpose
ELSEWHERE = datetime(2024, 3, 1, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize("start", [NAIVE, ELSEWHERE], ids=["naive", "not in UTC"])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(ManualClock, id="manual"),
        pytest.param(lambda start: PacedClock(start, speed=1), id="paced"),
        pytest.param(lambda start: ManualClock(OPENING).move_to(start), id="manual, moved"),
    ],
)
def test_a_clock_is_set_in_utc(make, start):
    with pytest.raises(NaiveTime):
        make(start)


@pytest.mark.parametrize("speed", [0, -1, math.nan, math.inf])
def test_a_pace_is_a_positive_number(speed):
    with pytest.raises(ValueError, match="speed"):
        PacedClock(OPENING, speed=speed)


async def test_market_time_runs_at_the_stated_speed():
    clock, system = PacedClock(OPENING, speed=3600), SystemClock()
    began = system.now()
    await clock.sleep(timedelta(minutes=1))
    took = (system.now() - began).total_seconds()
    assert clock.now() >= OPENING + MINUTE
    assert took < 1  # a sixtieth of a second, on an idle machine


async def test_manual_time_stands_until_it_is_moved():
    clock = ManualClock(OPENING)
    await other_tasks()
    assert clock.now() == OPENING


async def test_moving_back_changes_nothing():
    clock = ManualClock(OPENING)
    clock.move_to(OPENING - MINUTE)
    assert clock.now() == OPENING


async def test_one_move_wakes_by_time_then_by_turn():
    clock, woken = ManualClock(OPENING), []

    async def nap(name, delay):
        await clock.sleep(delay)
        woken.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name, minutes in (("late", 3), ("first", 1), ("second", 1)):
            tasks.create_task(nap(name, minutes * MINUTE))
        await other_tasks()
        clock.move_to(OPENING + timedelta(hours=1))
    assert woken == ["first", "second", "late"]


async def test_a_nap_before_its_time_goes_on():
    clock = ManualClock(OPENING)
    async with asyncio.TaskGroup() as tasks:
        nap = tasks.create_task(clock.sleep(MINUTE))
        await other_tasks()
        clock.move_to(OPENING + MINUTE - timedelta(microseconds=1))
        await other_tasks()
        assert not nap.done()
        clock.move_to(OPENING + MINUTE)


async def test_given_up_waits_do_not_pile_up():
    clock = ManualClock(OPENING)
    for _ in range(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await clock.sleep(timedelta(days=1))
    assert clock._sleepers == []


async def test_a_wait_woken_and_cancelled_at_once_is_cancelled():
    clock = ManualClock(OPENING)
    async with asyncio.TaskGroup() as tasks:
        nap = tasks.create_task(clock.sleep(MINUTE))
        await other_tasks()
        clock.move_to(OPENING + MINUTE)
        nap.cancel()
    assert nap.cancelled()


def test_the_system_clock_tells_the_present():
    assert SystemClock().now() > datetime(2025, 1, 1, tzinfo=UTC)
