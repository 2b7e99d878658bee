"""The journal as the daemon uses it, and how it fails."""

from collections.abc import AsyncIterator
from typing import Protocol

from data.faults import Fault, Refused
from sextant.journal.record import Record


class JournalFailed(Fault):
    """The journal can make nothing durable any more: stop, start again, and reconcile."""


class JournalFull(JournalFailed):
    """So much waits for the database that no more fits; nothing was written."""


class JournalHeld(Refused):
    """Another process writes this journal."""


class Journal(Protocol):
    """An append-only log of facts; `tests/contract/test_journal.py` holds for every one."""

    @property
    def last(self) -> Record | None:
        """The newest record written, durable or not; None in a new journal."""
        ...

    def write(self, fact: object) -> None:
        """Put `fact` at the end; it is ordered now, and durable after the next `flush`.

        Raises:
            Unencodable: its type has no topic here, or its values have no JSON form.
            JournalFull: too much waits to become durable.
            JournalFailed: nothing will become durable any more.
        """
        ...

    async def flush(self) -> None:
        """Return once everything written so far is durable.

        Raises:
            JournalFailed: it never will be.
        """
        ...

    def records(self) -> AsyncIterator[Record]:
        """Every durable record, oldest first."""
        ...

    def facts(self) -> AsyncIterator[object]:
        """What the durable records hold, oldest first.

        Raises:
            ChainBroken: a record is not what was written, or not where it was.
        """
        ...
