"""A journal that keeps nothing."""

from collections.abc import AsyncIterator


class UnkeptJournal:
    """For books that nobody opens again, such as those of a venue that lives for one replay."""

    def write(self, fact: object) -> None:
        """Forget `fact`."""

    async def flush(self) -> None:
        """Return at once: nothing waits."""

    async def facts(self) -> AsyncIterator[object]:
        """None."""
        nothing: tuple[object, ...] = ()
        for fact in nothing:
            yield fact
