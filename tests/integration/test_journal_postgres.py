"""The daemon's journal through outages, full queues and foreign hands."""

import asyncio

import pytest

from data.clock import ManualClock
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import connect
from data.store import StoreUnavailable
from sextant.journal.port import JournalFailed, JournalFull
from sextant.journal.postgres import PostgresJournal
from sextant.journal.record import ChainBroken
from sextant.journal.verify import verify
from tests.builders_journal import CODEC, NOON, Postgres, a_fill, collected


@pytest.fixture
async def server(server_folder):
    server = EmbeddedPostgres(server_folder)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def own_pool(server):
    """Connections to a server that the test may stop."""
    async with await connect(server.dsn) as pool:
        await migrate(pool)
        yield pool


async def tamper(pool, statement):
    """What a superuser can do who switches the triggers off."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement)


async def test_an_outage_loses_nothing_and_keeps_the_order(server, own_pool):
    facts = [a_fill(number) for number in range(1200)]
    async with Postgres(own_pool).opened() as journal:
        for fact in facts[:100]:
            journal.write(fact)
        await journal.flush()
        await server.stop()
        for fact in facts[100:700]:
            journal.write(fact)
        flush = asyncio.ensure_future(journal.flush())  # noqa: TID251
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(flush)
        with pytest.raises(StoreUnavailable):
            await collected(journal.records())
        await server.start()
        await flush
        for fact in facts[700:]:
            journal.write(fact)
        await journal.flush()
        assert await collected(journal.facts()) == facts
        assert await verify(journal.records()) == 1200


async def test_lost_sessions_in_the_middle_of_commits_lose_and_repeat_nothing(pool):
    facts = [a_fill(number) for number in range(3000)]
    async with Postgres(pool).opened() as journal:
        for start in range(0, 3000, 100):
            for fact in facts[start : start + 100]:
                journal.write(fact)
            if start % 500 == 0:
                await pool.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
        await journal.flush()
        assert await collected(journal.facts()) == facts
        assert await verify(journal.records()) == 3000


async def test_a_full_queue_says_so_and_leaves_no_gap(server, own_pool):
    async with Postgres(own_pool).opened(capacity=10) as journal:
        await server.stop()
        with pytest.raises(JournalFull, match="10 records"):
            for number in range(11):
                journal.write(a_fill(number))
        await server.start()
        await journal.flush()
        journal.write(a_fill(99))
        await journal.flush()
        assert await verify(journal.records()) == 11


async def test_stopping_while_the_database_is_away_says_what_is_lost(server, own_pool):
    with pytest.RaisesGroup(pytest.RaisesExc(JournalFailed, match="2 records not written")):
        async with Postgres(own_pool).opened() as journal:
            await server.stop()
            journal.write(a_fill(1))
            journal.write(a_fill(2))


async def test_what_waits_when_the_daemon_stops_is_committed(pool):
    async with PostgresJournal(pool, name="main", codec=CODEC, clock=ManualClock(NOON)) as journal:
        journal.write(a_fill(1))  # and its writer never came to run
    assert await collected(journal.facts()) == [a_fill(1)]


async def test_without_its_writer_a_journal_takes_nothing(pool):
    async with Postgres(pool).opened() as journal:
        pass
    with pytest.raises(JournalFailed, match=r"closed|stopped"):
        journal.write(a_fill(1))
    with pytest.raises(JournalFailed, match=r"closed|stopped"):
        await journal.flush()


async def test_a_writer_that_dies_fails_those_who_wait(pool):
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="journal.* does not exist")):
        async with Postgres(pool).opened() as journal:
            await pool.execute("DROP TABLE journal")
            journal.write(a_fill(1))
            with pytest.raises(JournalFailed, match="does not exist"):
                await journal.flush()
            with pytest.raises(JournalFailed, match="does not exist"):
                journal.write(a_fill(2))


async def test_a_journal_that_another_continued_during_an_outage_is_not_ours_any_more(pool):
    with pytest.RaisesGroup(pytest.RaisesExc(ChainBroken, match="record 2, not ours")):
        async with Postgres(pool).opened() as first:
            first.write(a_fill(1))
            await first.flush()
            first._drop()  # the lock is gone, as after a lost session
            async with Postgres(pool).opened() as second:
                second.write(a_fill(2))
                await second.flush()
            first.write(a_fill(3))
            with pytest.raises(JournalFailed):
                await first.flush()


@pytest.mark.req("S1-153")
@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE journal SET body = replace(body, '"42000.1"', '"42000.2"') WHERE seq = 2""",
        "UPDATE journal SET at = at + interval '1 microsecond' WHERE seq = 2",
        "UPDATE journal SET topic = 'bar' WHERE seq = 2",
        "DELETE FROM journal WHERE seq = 2",
        "DELETE FROM journal WHERE seq = 1",
    ],
)
async def test_tampering_is_found_out(pool, statement):
    async with Postgres(pool).opened() as journal:
        for number in range(3):
            journal.write(a_fill(number))
        await journal.flush()
        await tamper(pool, statement)
        with pytest.raises(ChainBroken):
            await verify(journal.records())
        with pytest.raises(ChainBroken):  # and nobody rebuilds his books from it
            [fact async for fact in journal.facts()]


async def test_a_journal_is_not_continued_behind_a_changed_record(pool):
    async with Postgres(pool).opened() as journal:
        journal.write(a_fill(1))
        await journal.flush()
    await tamper(pool, "UPDATE journal SET body = '{}'")
    with pytest.raises(ChainBroken):
        async with PostgresJournal(pool, name="main", codec=CODEC, clock=ManualClock(NOON)):
            pass


async def test_the_body_can_be_queried_as_json(pool):
    async with Postgres(pool).opened() as journal:
        journal.write(a_fill(7))
        await journal.flush()
    assert await pool.fetchval("SELECT (body::jsonb ->> 'price')::numeric > 42000 FROM journal")
