"""Whether a journal is what was written."""

from collections.abc import AsyncIterable, AsyncIterator

from sextant.journal.record import Record, require_follows, require_whole


async def verify(records: AsyncIterable[Record], *, after: Record | None = None) -> int:
    """Recompute the chain over `records`, and return how many they are.

    They are a journal from its first record on, or from the one behind `after`, which was verified
    before. That the newest ones are missing shows only against a digest noted elsewhere.

    Raises:
        ChainBroken: names the first record that is not what was written, or not where it was.
    """
    count = 0
    async for _ in verified(records, after=after):
        count += 1
    return count


async def verified(
    records: AsyncIterable[Record], *, after: Record | None = None
) -> AsyncIterator[Record]:
    """The same records, up to the first that `verify` would name."""
    before = after
    async for record in records:
        require_whole(record)
        require_follows(record, before)
        before = record
        yield record
