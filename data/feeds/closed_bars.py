"""Which bars of an answer are closed: venues tell the open one beside them, unmarked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from data.bar import Bar

_LATENESS: Final = timedelta(seconds=2)  # of a bar's last trades, and of our clock


def closed(bars: Sequence[Bar], now: datetime) -> list[Bar]:
    """Those of `bars`, oldest first, that will not change any more.

    That is each one behind which another has opened, and the last if it closed a little before
    `now`: a clock that is ahead must not make half a bar a whole one.
    """
    if bars and bars[-1].closed_at + _LATENESS > now:
        return list(bars[:-1])
    return list(bars)
