"""For how long a settled funding rate was: venues tell when they paid, not since when."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

_LONGEST: Final = timedelta(hours=8)  # between two payments, at any venue here


def intervals(paid: Sequence[datetime], otherwise: timedelta) -> list[timedelta]:
    """Of each payment of `paid`, oldest first, the time since the one before it.

    Intervals change over the years and by symbol, so today's, `otherwise`, only stands in where
    the one before is not known: for the first, and behind a hole.
    """
    gaps = [after - before for before, after in pairwise(paid)]
    known = [gap if timedelta(0) < gap <= _LONGEST else otherwise for gap in gaps]
    return [otherwise, *known] if paid else []
