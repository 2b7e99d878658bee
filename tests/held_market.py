"""A made-up market that waits for its daemon, in whichever process that runs.

A market in the machine's time goes on without a daemon that is slower: on a loaded machine desks
pass bars over, and what a test waits for may never come.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from data.bar import Bar
from data.clock import PacedClock
from data.feed import MarketEvent
from sextant import markets
from sextant.daemon import Daemon
from sextant.house import House


class HeldClock(PacedClock):
    """Runs no further than `limit`, so that a slow machine does not fall behind the market."""

    limit: datetime | None = None

    def now(self) -> datetime:
        now = super().now()
        return now if self.limit is None else min(now, self.limit)


class InStep:
    """A feed that holds the clock of `house`, which stands, until the next bar; after the last it
    lets go of it.
    """

    _AHEAD = timedelta(minutes=1)

    def __init__(self, house: House, *first: MarketEvent) -> None:
        assert isinstance(house.clock, HeldClock)
        self._house, self._clock = house, house.clock
        self._first = first
        self._clock.limit = self._clock.now() + self._AHEAD

    async def events(self) -> AsyncIterator[MarketEvent]:
        clock = self._clock
        try:
            for event in self._first:
                yield event
            async for event in self._house.feed.events():
                if isinstance(event, Bar):  # an old one does not set the time back
                    clock.limit = max(clock.limit or event.closed_at, event.closed_at + self._AHEAD)
                yield event
        finally:
            clock.limit = None


def hold_markets(patch: Callable[[object, str, object], None] = setattr) -> None:
    """From now on every made-up market of this process waits for its daemon."""
    begin = Daemon.__init__

    def begin_held(daemon: Daemon, house: House, **options: object) -> None:
        waits = isinstance(house.clock, HeldClock) and not isinstance(house.feed, InStep)
        begin(daemon, replace(house, feed=InStep(house)) if waits else house, **options)

    patch(markets, "PacedClock", HeldClock)
    patch(Daemon, "__init__", begin_held)
