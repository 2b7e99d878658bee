"""Time: the only place where it is read, or waited for."""

import asyncio
import heapq
import itertools
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from data.utc import require_utc

_GLANCE = 0.1  # seconds between two looks at a time that is told


class Clock(Protocol):
    """Time that decides anything; `tests/contract/test_clock.py` holds for every one."""

    def now(self) -> datetime:
        """The present, in UTC."""
        ...

    async def sleep(self, delay: timedelta) -> None:
        """Return once `delay` of this clock's time has passed; at once if it is not positive."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Return once it is `at`, and not for what has passed while that was reckoned."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - here, and nowhere else

    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(max(delay.total_seconds(), 0.0))  # noqa: TID251 - here, and nowhere else

    async def sleep_until(self, at: datetime) -> None:
        while (left := at - self.now()) > timedelta(0):  # it may be set back
            await self.sleep(left)


class PacedClock:
    """Market time from `start` on, at `speed` market seconds a second, for rehearsals.

    A `standing` one shows `start` until it is told to `go`.
    """

    def __init__(self, start: datetime, *, speed: float, standing: bool = False) -> None:
        require_utc(start)
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be above 0 and finite, not {speed}")
        self._start = start
        self._speed = speed
        self._began = None if standing else time.monotonic()

    def stand_at(self, at: datetime) -> None:
        """Show `at` until told to go, unless that is earlier, or time runs already."""
        require_utc(at)
        if self._began is None:
            self._start = max(self._start, at)

    def go(self) -> None:
        """Let time run from here on; it is no matter if it does already."""
        if self._began is None:
            self._began = time.monotonic()

    def skip_to(self, at: datetime) -> None:
        """Leave out the time until `at`, if that is to come; who sleeps is not woken early."""
        require_utc(at)
        if at > self.now():
            self._start = at
            self._began = None if self._began is None else time.monotonic()

    def now(self) -> datetime:
        if self._began is None:
            return self._start
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)

    async def sleep(self, delay: timedelta) -> None:
        await self.sleep_until(self.now() + delay)

    async def sleep_until(self, at: datetime) -> None:
        while (left := (at - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - may end early
            await asyncio.sleep(left / self._speed)  # noqa: TID251 - here, and nowhere else


class FollowedClock:
    """The time of somebody else, as last told, running on at their speed; never back.

    It stands at `start` until it is told for the first time, and again from `lease` of real time
    after it was told last: then theirs may stand, too.
    """

    def __init__(self, start: datetime, *, lease: timedelta) -> None:
        require_utc(start)
        self._lease = lease.total_seconds()
        self._told, self._told_at, self._speed = start, 0.0, 0.0
        self._latest = start

    def stand_at(self, at: datetime) -> None:
        """Show nothing earlier than `at` from now on."""
        require_utc(at)
        self._latest = max(self._latest, at)

    def follow(self, told: datetime, *, speed: float) -> None:
        """It is `told` there, where `speed` seconds pass in one; what is past here stays past."""
        require_utc(told)
        self._told, self._told_at, self._speed = told, time.monotonic(), speed

    def now(self) -> datetime:
        passed = min(time.monotonic() - self._told_at, self._lease)
        self._latest = max(self._latest, self._told + timedelta(seconds=passed * self._speed))
        return self._latest

    async def sleep(self, delay: timedelta) -> None:
        await self.sleep_until(self.now() + delay)

    async def sleep_until(self, at: datetime) -> None:
        while (left := (at - self.now()).total_seconds()) > 0:  # it may jump
            nap = min(left / self._speed, _GLANCE) if self._speed else _GLANCE
            await asyncio.sleep(nap)  # noqa: TID251 - here, and nowhere else


class ManualClock:
    """Time that stands until it is moved, for replay and tests."""

    def __init__(self, start: datetime) -> None:
        require_utc(start)
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._now

    def move_to(self, at: datetime) -> None:
        """Make it `at`, and wake whoever has waited for that; time never runs backwards."""
        require_utc(at)
        if at > self._now:
            self._now = at
        while self._sleepers and self._sleepers[0][0] <= self._now:
            sleeper = heapq.heappop(self._sleepers)[2]
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep(self, delay: timedelta) -> None:
        if delay <= timedelta(0):
            return
        sleeper = asyncio.get_running_loop().create_future()
        entry = (self._now + delay, next(self._order), sleeper)
        heapq.heappush(self._sleepers, entry)
        try:
            await sleeper
        except asyncio.CancelledError:
            self._forget(entry)
            raise

    async def sleep_until(self, at: datetime) -> None:
        await self.sleep(at - self._now)

    def _forget(self, entry: tuple[datetime, int, asyncio.Future[None]]) -> None:
        """Let no given-up wait pile up until its time comes, which may be never."""
        if entry in self._sleepers:  # not if it was woken and cancelled in the same turn
            self._sleepers.remove(entry)
            heapq.heapify(self._sleepers)
