"""The kill switch as a latch: on until the venue itself says that nothing of ours is left.

Whoever throws it, a person or a breaker, nothing is entered while it is on, and all that is ours is
ended: entries are cancelled, positions closed. It does not end by itself, and cannot be lifted
before that word has come.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from risk.events import FlatSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """Why and since when the kill switch is on, and whether it has done its work."""

    reason: str
    since: datetime
    flat_at: datetime | None  # when the venue last said that nothing of ours is left; None: not yet

    @property
    def is_done(self) -> bool:
        """Whether a person may lift it."""
        return self.flat_at is not None


def thrown(latch: Latch | None, reason: str, at: datetime) -> Latch:
    """The latch once it is thrown; one that is on already stays as it is."""
    return latch if latch is not None else Latch(reason=reason, since=at, flat_at=None)


def looked_at(latch: Latch | None, seen: FlatSeen) -> Latch | None:
    """The latch once the venue was asked; what turns up after the venue's word takes it back."""
    if latch is None or latch.is_done == seen.is_flat or seen.at < latch.since:
        return latch
    return replace(latch, flat_at=seen.at if seen.is_flat else None)
