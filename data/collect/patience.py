"""Asking again: how long to wait before it, and when to give up."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from data.clock import Clock
from data.faults import Transient
from data.feeds.source import RateLimited

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Waits that double from `first` to `longest`, cut at random so that many do not ask at once.

    The defaults are PARAMETERS.md 1.9's: 1 s to 60 s, ten tries.
    """

    clock: Clock
    chance: random.Random = field(default_factory=random.Random)
    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(seconds=60)
    tries: int = 10

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` answers, at the latest of `tries` times.

        Raises:
            Transient: the last try's; every one had failed so.
        """
        for failed in range(1, self.tries):
            try:
                return await call()
            except Transient as error:
                await self.rest(error, failed)
        return await call()

    async def insist(
        self, call: Callable[[], Awaitable[T]], report: Callable[[Transient, int, timedelta], None]
    ) -> T:
        """What `call` answers, however often it has to be asked.

        Args:
            report: Is told of each failure: the error, the how-manieth in a row, the wait.
        """
        failed = 0
        while True:
            try:
                return await call()
            except Transient as error:
                failed += 1
                pause = self.pause(error, failed)
                report(error, failed, pause)
                await self.clock.sleep(pause)

    async def rest(self, error: Transient, failed: int) -> None:
        """Wait after the `failed`-th failure in a row, counted from 1: see `pause`."""
        await self.clock.sleep(self.pause(error, failed))

    def pause(self, error: Transient, failed: int) -> timedelta:
        """A random half to whole of the doubled wait; never less than the venue asked for."""
        doubled = self.first * 2.0 ** min(failed - 1, 30)
        pause = min(doubled, self.longest) * self.chance.uniform(0.5, 1.0)
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return max(pause, error.retry_after)
        return pause
