"""Noticing that the process stood still: stopped, starved, or on a machine that slept."""

from datetime import datetime, timedelta

from data.clock import Clock
from execution.difference import Difference, DifferenceKind, Reconciliation
from execution.engine import Engine


class Vigil:
    """Looks at the clock again and again; whoever calls `look` keeps it awake.

    Standing still for longer than `most`, the entries that rested are taken back at the venue, and
    the prices that we know are old. So the books are in doubt until the venue was asked, which lets
    no entry in, and what closed meanwhile is decided on no more. Where `most` is None nothing is
    noticed: the venue stands still with us.
    """

    def __init__(self, engine: Engine, clock: Clock, *, most: timedelta | None) -> None:
        self._engine = engine
        self._clock = clock
        self._most = most
        self._looked_at: datetime | None = None  # not yet
        self._woke_at: datetime | None = None

    def look(self) -> None:
        """Put it on record, if we stood still since the last look."""
        since, now = self._looked_at, self._clock.now()
        self._looked_at = now
        if self._most is None or since is None or now - since <= self._most:
            return
        slept = Difference(
            kind=DifferenceKind.ASLEEP,
            subject="process",
            ours=f"{since:%Y-%m-%dT%H:%M:%SZ}",
            theirs=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        )
        fills_seen = self._engine.fills_seen
        doubt = Reconciliation(at=now, differences=(slept,), fills_seen=fills_seen)
        self._engine.conclude(doubt)
        self.hear(doubt)

    def hear(self, told: Reconciliation) -> None:
        """Take in what is on record of the books: whether we stood still is part of it."""
        if any(found.kind is DifferenceKind.ASLEEP for found in told.differences):
            self._woke_at = told.at

    def slept_through(self, at: datetime) -> bool:
        """Whether what happened at `at` is from before we woke."""
        return self._woke_at is not None and at <= self._woke_at
