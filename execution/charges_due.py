"""How far back a venue has to be asked for what it charges."""

from datetime import datetime, timedelta
from typing import Final

from execution.difference import Reconciliation
from execution.fill import Fill

_LATE: Final = timedelta(hours=1)  # how long a venue may take to tell of a charge


class ChargesDue:
    """Since when charges may be there that were not told; `hear` is given every fact on record."""

    def __init__(self) -> None:
        self._asked_at: datetime | None = None  # when last looked, whatever was found
        self._filled_from: datetime | None = None  # the oldest fill that was booked since then

    def hear(self, fact: object) -> None:
        """Take in a fact that was put on record."""
        if isinstance(fact, Reconciliation):
            if fact.was_asked:
                self._asked_at, self._filled_from = fact.at, None
        elif isinstance(fact, Fill):
            self._filled_from = min(self._filled_from or fact.filled_at, fact.filled_at)

    @property
    def since(self) -> datetime | None:
        """An hour before the venue was last asked, or as old as a fill that came late since then.

        None where it never was: then all of them are due.
        """
        if self._asked_at is None:
            return None
        since = self._asked_at - _LATE
        return since if self._filled_from is None else min(since, self._filled_from)
