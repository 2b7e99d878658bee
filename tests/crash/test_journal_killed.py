"""kill -9 while the journal writes: what was flushed is there, and the chain goes on."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data.clock import SystemClock
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import connect
from sextant.journal.jsonl import JsonlJournal
from sextant.journal.postgres import PostgresJournal
from sextant.journal.verify import verify
from tests.builders_journal import CODEC, a_fill, collected
from tests.builders_postgres import make_server_folder

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def in_a_file(folder):
    with JsonlJournal(folder / "journal.jsonl", codec=CODEC, clock=SystemClock()) as journal:
        yield journal


@contextlib.asynccontextmanager
async def in_a_database(folder):
    async with EmbeddedPostgres(folder) as dsn, await connect(dsn) as pool:
        await migrate(pool)
        async with (
            PostgresJournal(pool, name="main", codec=CODEC, clock=SystemClock()) as journal,
            asyncio.TaskGroup() as tasks,
        ):
            writer = tasks.create_task(journal.run())
            yield journal
            writer.cancel()


HOMES = {"file": in_a_file, "database": in_a_database}


async def write_on(home, folder):
    """Two records a flush, for ever; each flushed number goes to standard output."""
    async with HOMES[home](folder) as journal:
        while True:
            for _ in range(2):
                journal.write(a_fill(journal.last.seq + 1 if journal.last else 1))
            await journal.flush()
            print(journal.last.seq, flush=True)


def killed_while_writing(home, folder, enough):
    """The last number that was flushed before the process was killed."""
    with subprocess.Popen(
        [sys.executable, "-B", __file__, home, str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as daemon:
        flushed = 0
        while flushed < enough:
            flushed = int(daemon.stdout.readline())
        daemon.kill()
        rest = daemon.stdout.read().split(b"\n")
    return int(rest[-2]) if len(rest) > 1 else flushed


@pytest.mark.parametrize("home", HOMES)
async def test_what_was_flushed_survives_kill_9_twice(home):
    folder = make_server_folder()
    flushed = killed_while_writing(home, folder, 100)
    flushed = killed_while_writing(home, folder, flushed + 100)
    async with HOMES[home](folder) as journal:
        assert journal.last.seq >= flushed
        journal.write(a_fill(journal.last.seq + 1))
        await journal.flush()
        assert await verify(journal.records()) == journal.last.seq
        expected = [a_fill(number) for number in range(1, journal.last.seq + 1)]
        assert await collected(journal.facts()) == expected
    shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(write_on(sys.argv[1], Path(sys.argv[2])))
