"""A journal as long as the process lives: for tests, and for short replays."""

from collections.abc import AsyncIterator

from data.clock import Clock
from sextant.journal.codec import Codec
from sextant.journal.record import Chain, Record


class MemoryJournal:
    """Records in a list without bound; what was not flushed does not show, as after a crash."""

    def __init__(self, *, codec: Codec, clock: Clock, name: str = "memory") -> None:
        self._codec = codec
        self._chain = Chain(name, codec, clock, None)
        self._records: list[Record] = []
        self._durable = 0

    @property
    def last(self) -> Record | None:
        return self._chain.last

    def write(self, fact: object) -> None:
        self._records.append(self._chain.extend(fact))

    async def flush(self) -> None:
        self._durable = len(self._records)

    async def records(self) -> AsyncIterator[Record]:
        for record in self._records[: self._durable]:
            yield record

    async def facts(self) -> AsyncIterator[object]:
        for record in self._records[: self._durable]:
            yield self._codec.decode(record.topic, record.body)
