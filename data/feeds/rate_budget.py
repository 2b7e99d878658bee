"""What a venue lets us ask, drained by every call: collectors and live feeds share one (S1-20)."""

from datetime import datetime, timedelta
from typing import Final, Protocol

from data.clock import Clock

_INSTANT: Final = timedelta(milliseconds=1)  # a rounded wait must not be none


class Allowance(Protocol):
    """What a caller spends from."""

    async def spend(self, weight: float = 1.0) -> None:
        """Return once `weight` may be spent."""
        ...

    def rest(self, delay: timedelta) -> None:
        """Let nothing through for `delay`: the venue has asked for patience."""
        ...

    def counted(self, left: float) -> None:
        """The venue says that no more than `left` may be spent now, by its own count."""
        ...


class RateBudget:
    """A token bucket of `capacity` weights that fills by `per_second`, on our clock.

    Whoever spends more than there is waits for it, in the order of asking. A caller that is
    cancelled while it waits has spent all the same: late is safe, early is a ban. A clock that is
    set back takes what was agreed with it: nobody waits for what it was ahead.
    """

    def __init__(self, clock: Clock, *, capacity: float, per_second: float) -> None:
        if not (capacity > 0 and per_second > 0):
            raise ValueError(f"a budget of {capacity}, {per_second} a second lets nothing through")
        self._clock = clock
        self._capacity = capacity
        self._per_second = per_second
        self._left = capacity  # below zero while somebody waits
        self._at = clock.now()
        self._closed_until = clock.now()
        self.spent = 0.0  # of all calls so far

    @property
    def left(self) -> float:
        """What can be spent at once; 0 while a rest lasts or somebody waits."""
        now = self._present()
        return 0.0 if now < self._closed_until else max(self._left_at(now), 0.0)

    async def spend(self, weight: float = 1.0) -> None:
        """Return once `weight` may be spent; what is above the capacity waits for all of it."""
        now = self._present()
        self._left = self._left_at(now) - weight
        self._at = now
        self.spent += weight
        lacking = timedelta(seconds=max(-self._left, 0.0) / self._per_second)
        await self._clock.sleep(lacking)
        while (rest := self._closed_until - self._present()) > timedelta(0):
            await self._clock.sleep(rest)

    def rest(self, delay: timedelta) -> None:
        """Let nothing through for `delay`: the venue has asked for patience."""
        now = self._present()
        self._left, self._at = self._left_at(now), now
        self._closed_until = max(self._closed_until, now + delay)

    def counted(self, left: float) -> None:
        """Believe a venue that says how little is left: others ask from this address, too."""
        now = self._present()
        self._left, self._at = min(self._left_at(now), left), now

    @property
    def patient(self) -> "PatientBudget":
        """The same budget for who can wait: half of it stays for those who cannot."""
        return PatientBudget(self, reserve=self._capacity / 2)

    async def room_for(self, weight: float) -> None:
        """Return once `weight`, or the whole capacity if that is less, could be spent at once."""
        wanted = min(weight, self._capacity)
        while (lacking := wanted - self.left) > 0:
            filled = timedelta(seconds=lacking / self._per_second)
            await self._clock.sleep(max(filled, self._closed_until - self._present(), _INSTANT))

    def _present(self) -> datetime:
        now = self._clock.now()
        if now < self._at:
            self._closed_until += now - self._at
            self._at = now
        return now

    def _left_at(self, now: datetime) -> float:
        passed = (now - self._at).total_seconds()
        return min(self._left + passed * self._per_second, self._capacity)


class PatientBudget:
    """What collectors of history spend from, so that orders and live feeds never wait for them."""

    def __init__(self, budget: RateBudget, *, reserve: float) -> None:
        self._budget = budget
        self._reserve = reserve

    async def spend(self, weight: float = 1.0) -> None:
        """Return once `weight` is spent, of what was there beyond the reserve."""
        await self.room_for(weight)
        await self._budget.spend(weight)

    async def room_for(self, weight: float) -> None:
        """Return once `weight` could be spent so; nothing is."""
        await self._budget.room_for(weight + self._reserve)

    def rest(self, delay: timedelta) -> None:
        self._budget.rest(delay)

    def counted(self, left: float) -> None:
        self._budget.counted(left)
