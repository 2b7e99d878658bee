"""What holds for every clock: UTC, never backwards, and no sleep that ends too soon."""

import asyncio
from datetime import UTC, timedelta

import pytest

from data.clock import FollowedClock, ManualClock, PacedClock, SystemClock
from tests.builders_feeds import OPENING, other_tasks, until_done

SLACK = timedelta(milliseconds=2)  # the wall clock may be slewed while the loop's timer runs


def a_followed_clock():
    clock = FollowedClock(OPENING, lease=timedelta(hours=1))
    clock.follow(OPENING, speed=12_000)
    return clock


@pytest.fixture(
    params=[
        pytest.param((SystemClock, timedelta(milliseconds=5)), id="system"),
        pytest.param((lambda: PacedClock(OPENING, speed=12_000), timedelta(minutes=1)), id="paced"),
        pytest.param((a_followed_clock, timedelta(minutes=1)), id="followed"),
        pytest.param((lambda: ManualClock(OPENING), timedelta(minutes=1)), id="manual"),
    ]
)
def clock_and_delay(request):
    make, delay = request.param
    return make(), delay


async def finish(clock, *naps):
    """Run `naps` to their ends; time that has to be moved is moved."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(nap) for nap in naps]
        if isinstance(clock, ManualClock):
            for task in running:
                await until_done(task, clock, timedelta(seconds=10))


async def test_now_is_utc(clock_and_delay):
    clock, _ = clock_and_delay
    assert clock.now().tzinfo is UTC


async def test_time_never_runs_backwards(clock_and_delay):
    clock, delay = clock_and_delay
    seen = [clock.now()]
    for _ in range(3):
        await finish(clock, clock.sleep(delay))
        seen.append(clock.now())
    assert seen == sorted(seen)


async def test_a_sleep_lasts_at_least_its_delay(clock_and_delay):
    clock, delay = clock_and_delay
    began = clock.now()
    await finish(clock, clock.sleep(delay))
    assert clock.now() - began >= delay - SLACK


async def test_a_sleep_until_a_moment_ends_there(clock_and_delay):
    clock, delay = clock_and_delay
    moment = clock.now() + delay
    await finish(clock, clock.sleep_until(moment))
    assert clock.now() >= moment
    async with asyncio.timeout(60):
        await clock.sleep_until(moment)  # it has passed


class HeldBack(PacedClock):
    """Shows no more than `limit`, and that already when it is looked at for the second time."""

    limit = OPENING + timedelta(minutes=1)
    looks = 0

    def now(self):
        self.looks += 1
        return OPENING if self.looks == 1 else self.limit


async def test_who_waits_for_a_moment_does_not_reckon_from_a_later_one():
    async with asyncio.timeout(60):
        await HeldBack(OPENING, speed=60_000).sleep_until(HeldBack.limit)


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=-1)], ids=["none", "negative"])
async def test_no_delay_is_no_wait(clock_and_delay, delay):
    clock, _ = clock_and_delay
    async with asyncio.timeout(60):
        await clock.sleep(delay)


async def test_the_shorter_sleep_ends_first(clock_and_delay):
    """One that begins late, because the machine was busy, may end late."""
    clock, delay = clock_and_delay
    woken = []

    async def nap(factor):
        due = clock.now() + delay * factor
        await clock.sleep(delay * factor)
        woken.append(due)

    await finish(clock, nap(4), nap(1), nap(2))
    assert woken == sorted(woken)
    assert len(woken) == 3


async def test_a_cancelled_sleep_ends_alone(clock_and_delay):
    clock, delay = clock_and_delay
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        given_up = tasks.create_task(clock.sleep(timedelta(days=3650)))
        other = tasks.create_task(clock.sleep(delay))
        await other_tasks()
        given_up.cancel()
        if isinstance(clock, ManualClock):
            await until_done(other, clock, timedelta(seconds=10))
    assert given_up.cancelled()
    assert not other.cancelled()
