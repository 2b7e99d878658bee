"""The daemon's journal: ordered at once, committed by one writer that outlasts an outage."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Self

import asyncpg
import structlog

from data.clock import Clock, SystemClock
from data.postgres.pool import Connection, Pool, unavailable
from data.store import StoreUnavailable
from sextant.journal.codec import Codec
from sextant.journal.port import JournalFailed, JournalFull, JournalHeld
from sextant.journal.record import Chain, ChainBroken, Record, require_whole
from sextant.journal.verify import verified

_WALL = SystemClock()  # an outage lasts as long as it lasts, whatever time the market has
_FIRST_WAIT = timedelta(milliseconds=50)
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST_WAIT = timedelta(seconds=5)
_LAST_CHANCE = timedelta(seconds=5)  # for what still waits when the daemon stops
_BATCH = 500  # records a commit
_PAGE = 1000  # records a read
_INSERT = """
    INSERT INTO journal (name, seq, at, topic, body, previous, digest)
    SELECT $1, * FROM unnest(
        $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[])
"""
_AFTER = "SELECT * FROM journal WHERE name = $1 AND seq > $2 ORDER BY seq LIMIT $3"
_LAST = "SELECT * FROM journal WHERE name = $1 ORDER BY seq DESC LIMIT 1"
# Waits a little: the session of a daemon that was just killed, or our own that a broken network
# has cut off, ends within the 15 s of `data.postgres.pool`.
_LOCK = "SELECT pg_advisory_lock(hashtextextended('sextant.journal.' || $1, 0))"
_log = structlog.get_logger(__name__)


class PostgresJournal:
    """The journal `name` in the table `journal`; one process writes it, by an advisory lock.

    `write` orders and digests a fact at once and puts it in a queue of `capacity` records; `run`
    commits the queue in order, through outages, and answers whoever waits in `flush`. The lock and
    the writing share one session, so who has lost the lock cannot write.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        name: str,
        codec: Codec,
        clock: Clock,
        capacity: int = 10_000,
        lock_within: timedelta = timedelta(seconds=20),
    ) -> None:
        self._pool = pool
        self._name = name
        self._codec = codec
        self._chain = Chain(name, codec, clock, None)
        self._capacity = capacity
        self._lock_within = lock_within
        self._session: Connection | None = None
        self._durable: Record | None = None
        self._pending: deque[Record] = deque()
        self._written = asyncio.Event()
        self._flushes: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._failure: str | None = None  # why it takes nothing any more
        self._broken = False  # and what waits cannot be saved

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> Self:
        """Take the journal for this process and continue its chain; then `run` it in a task.

        Raises:
            JournalHeld: another process writes it.
            ChainBroken: its last record is not what was written.
            StoreUnavailable: the database cannot be reached now.
        """
        try:
            await self._connect()
        except BaseException:
            self._drop()
            raise
        self._chain.last = self._durable
        return self

    @property
    def last(self) -> Record | None:
        return self._chain.last

    async def began(self) -> datetime | None:
        """When its first record was written; None while it is empty."""
        with unavailable():
            row = await self._pool.fetchrow(_AFTER, self._name, 0, 1)
        return None if row is None else _record(row).at

    def write(self, fact: object) -> None:
        if self._failure is not None:
            raise JournalFailed(self._failure)
        if len(self._pending) >= self._capacity:
            raise JournalFull(
                f"journal {self._name}: {self._capacity} records wait for the database"
            )
        self._pending.append(self._chain.extend(fact))
        self._written.set()

    async def flush(self) -> None:
        """Return once everything written so far is committed; `run` must be running, or start."""
        if self._failure is not None:
            raise JournalFailed(self._failure)
        if self._pending:
            done = asyncio.get_running_loop().create_future()
            self._flushes.append((self._pending[-1].seq, done))
            await done

    async def records(self) -> AsyncIterator[Record]:
        seq = 0
        while True:
            with unavailable():
                rows = await self._pool.fetch(_AFTER, self._name, seq, _PAGE)
            for row in rows:
                yield _record(row)
            if len(rows) < _PAGE:
                return
            seq = rows[-1]["seq"]

    async def facts(self) -> AsyncIterator[object]:
        async for record in verified(self.records()):
            yield self._codec.decode(record.topic, record.body)

    async def run(self) -> None:
        """Commit what is written until cancelled, then close.

        A task that is cancelled before it began closes nothing: use `async with` around it.

        Raises:
            JournalHeld, ChainBroken: after an outage the journal is no longer ours to continue.
            JournalFailed: as `close`.
        """
        try:
            while True:
                await self._written.wait()
                self._written.clear()
                while self._pending:
                    await self._commit_through_outages()
        except Exception as error:
            self._broken = True
            self._drop()  # without a wait, in which a cancellation could hide the error
            self._fail(f"its writer ended: {error}")
            raise
        finally:
            self._fail("its writer has stopped")
            await self.close()

    async def close(self) -> None:
        """Commit what still waits, and let go of the journal; again changes nothing.

        Raises:
            JournalFailed: the database is away; the records that waited are lost.
        """
        self._fail("it is closed")
        try:
            if self._pending and not self._broken:
                self._drop()  # a commit may have been cut off
                await self._commit_the_rest()
        finally:
            session, self._session = self._session, None
            if session is not None:
                with contextlib.suppress(StoreUnavailable), unavailable():
                    await self._pool.release(session)

    async def _commit_the_rest(self) -> None:
        try:
            async with asyncio.timeout(_LAST_CHANCE.total_seconds()):
                while self._pending:
                    await self._commit()
        except (StoreUnavailable, TimeoutError) as error:
            self._broken = True
            left = len(self._pending)
            raise JournalFailed(f"journal {self._name}: {left} records not written") from error

    def _drop(self) -> None:
        """Break the session off, and with it the lock."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(StoreUnavailable), unavailable():
                session.terminate()

    async def _commit_through_outages(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                await self._commit()
            except StoreUnavailable as error:
                _log.warning("the journal waits", waiting=len(self._pending), error=str(error))
                self._drop()
                await _WALL.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                return

    async def _commit(self) -> None:
        """Make the oldest records in the queue durable."""
        session = self._session if self._session is not None else await self._connect()
        batch = list(islice(self._pending, _BATCH))
        if batch:
            with unavailable():
                await session.execute(_INSERT, self._name, *_columns(batch))
            self._settle(batch[-1])

    async def _connect(self) -> Connection:
        """Take the lock, and settle with what the table already holds."""
        with unavailable():
            session = self._session = await self._pool.acquire()
            await session.execute(f"SET lock_timeout = {self._lock_within // _MILLISECOND}")
            try:
                await session.execute(_LOCK, self._name)
            except asyncpg.LockNotAvailableError:
                raise JournalHeld(f"journal {self._name}: another process writes it") from None
            row = await session.fetchrow(_LAST, self._name)
        last = _record(row) if row is not None else None
        if last is not None:
            require_whole(last)
        self._reconcile(last)
        return session

    def _reconcile(self, last: Record | None) -> None:
        """Settle what was committed though its answer was lost; what else is there is foreign."""
        if last == self._durable:
            return
        if last is not None and (self._chain.last is None or last in self._pending):
            self._settle(last)
            return
        found = f"record {last.seq}" if last is not None else "nothing"
        raise ChainBroken(f"journal {self._name}: after an outage it ends with {found}, not ours")

    def _settle(self, durable: Record) -> None:
        """Everything up to `durable` is committed."""
        self._durable = durable
        while self._pending and self._pending[0].seq <= durable.seq:
            self._pending.popleft()
        while self._flushes and self._flushes[0][0] <= durable.seq:
            done = self._flushes.popleft()[1]
            if not done.done():
                done.set_result(None)

    def _fail(self, why: str) -> None:
        """From now on nothing is taken, and whoever waits learns it."""
        if self._failure is None:
            self._failure = f"journal {self._name}: {why}"
        while self._flushes:
            done = self._flushes.popleft()[1]
            if not done.done():
                done.set_exception(JournalFailed(self._failure))


def _columns(records: Sequence[Record]) -> tuple[list[object], ...]:
    """The records' columns behind the name, in the table's order."""
    return (
        [record.seq for record in records],
        [record.at for record in records],
        [record.topic for record in records],
        [record.body.decode() for record in records],
        [record.previous for record in records],
        [record.digest for record in records],
    )


def _record(row: asyncpg.Record) -> Record:
    return Record(
        name=row["name"],
        seq=row["seq"],
        at=row["at"],
        topic=row["topic"],
        body=row["body"].encode(),
        previous=row["previous"],
        digest=row["digest"],
    )
