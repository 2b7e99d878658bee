"""One line of the journal, and the chain that binds it to all before it."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from data.clock import Clock
from data.faults import Corrupt
from sextant.journal.codec import Codec

GENESIS = "0" * 64  # what the first record has in place of a digest before it


class ChainBroken(Corrupt):
    """A record was changed, is missing, or belongs to another journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A fact as it is kept; `seq` counts from 1 without gaps."""

    name: str  # of the journal
    seq: int
    at: datetime  # when we learned it, UTC; when it happened is in the fact
    topic: str
    body: bytes  # canonical JSON
    previous: str  # digest of the record before
    digest: str


@lru_cache(maxsize=16)
def moment(at: datetime) -> str:
    """`at`, in UTC, as records have it; kept, for what one bar leads to is recorded at one time."""
    return at.isoformat()


def digest_of(*, name: str, seq: int, at: datetime, topic: str, body: bytes, previous: str) -> str:
    """SHA-256, in hex, of `previous name seq at topic body`, one a line, `body` without line end.

    `at` is written as ISO 8601 with `+00:00`, microseconds only where there are any. No part but
    `body` can hold a line break, and JSON text has none either, so no two records have one text.
    """
    head = f"{previous}\n{name}\n{seq}\n{moment(at)}\n{topic}\n"
    return sha256(head.encode() + body).hexdigest()


def require_whole(record: Record) -> None:
    """Raise `ChainBroken` unless the record's digest is that of its content."""
    if record.digest != digest_of(
        name=record.name,
        seq=record.seq,
        at=record.at,
        topic=record.topic,
        body=record.body,
        previous=record.previous,
    ):
        raise ChainBroken(f"{_place(record)}: its digest is not that of its content")


def require_follows(record: Record, before: Record | None) -> None:
    """Raise `ChainBroken` unless `record` comes right after `before`, or is a journal's first."""
    expected = (record.name, 1, GENESIS)
    if before is not None:
        expected = (before.name, before.seq + 1, before.digest)
    if (record.name, record.seq, record.previous) != expected:
        after = _place(before) if before is not None else "nothing"
        raise ChainBroken(f"{_place(record)}: it does not follow {after}")


def _place(record: Record) -> str:
    return f"journal {record.name}, record {record.seq}"


class Chain:
    """Makes the next record out of a fact."""

    __slots__ = ("_clock", "_codec", "_name", "last")

    def __init__(self, name: str, codec: Codec, clock: Clock, last: Record | None) -> None:
        self._name = name
        self._codec = codec
        self._clock = clock
        self.last = last

    def extend(self, fact: object) -> Record:
        """The record of `fact`, now the last."""
        topic, body = self._codec.encode(fact)
        before = self.last
        seq, previous = (before.seq + 1, before.digest) if before is not None else (1, GENESIS)
        at = self._clock.now()
        digest = digest_of(
            name=self._name, seq=seq, at=at, topic=topic, body=body, previous=previous
        )
        self.last = Record(
            name=self._name,
            seq=seq,
            at=at,
            topic=topic,
            body=body,
            previous=previous,
            digest=digest,
        )
        return self.last
