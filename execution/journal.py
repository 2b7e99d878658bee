"""The journal that execution needs: facts on record before anything is on the wire."""

from collections.abc import AsyncIterator
from typing import Protocol


class OrderJournal(Protocol):
    """An append-only log of facts; `tests/contract/test_journal.py` holds for every one."""

    def write(self, fact: object) -> None:
        """Put `fact` at the end; it is ordered now, and durable after the next `flush`."""
        ...

    async def flush(self) -> None:
        """Return once everything written so far is durable."""
        ...

    def facts(self) -> AsyncIterator[object]:
        """Everything durable, oldest first."""
        ...
