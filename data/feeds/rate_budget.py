"""What a venue lets us ask, drained by every call: collectors and live feeds share one (S1-20)."""

from datetime import datetime, timedelta

from data.clock import Clock


class RateBudget:
    """A token bucket of `capacity` weights that fills by `per_second`, on our clock.

    Whoever spends more than there is waits for it, in the order of asking. A caller that is
    cancelled while it waits has spent all the same: late is safe, early is a ban.
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
        now = self._clock.now()
        return 0.0 if now < self._closed_until else max(self._left_at(now), 0.0)

    async def spend(self, weight: float = 1.0) -> None:
        """Return once `weight` may be spent; what is above the capacity waits for all of it."""
        now = self._clock.now()
        self._left = self._left_at(now) - weight
        self._at = max(now, self._at)
        self.spent += weight
        lacking = timedelta(seconds=max(-self._left, 0.0) / self._per_second)
        await self._clock.sleep(lacking)
        while (rest := self._closed_until - self._clock.now()) > timedelta(0):
            await self._clock.sleep(rest)

    def rest(self, delay: timedelta) -> None:
        """Let nothing through for `delay`: the venue has asked for patience."""
        self._closed_until = max(self._closed_until, self._clock.now() + delay)

    def _left_at(self, now: datetime) -> float:
        passed = max((now - self._at).total_seconds(), 0.0)
        return min(self._left + passed * self._per_second, self._capacity)
