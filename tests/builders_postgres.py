"""A PostgreSQL server for the tests of one process, and a fresh, migrated database for each test.

A `conftest.py` or a test file takes the fixtures by importing them.
"""

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import connect

_numbers = itertools.count(1)


def make_server_folder() -> Path:
    """A new folder that a server started by root can enter; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="sextant-test-"))
    folder.chmod(0o711)
    return folder


@pytest.fixture
def server_folder():
    folder = make_server_folder()
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server():
    """The DSN of a server that lives as long as the test run; its database is the template."""
    folder = make_server_folder()
    async with EmbeddedPostgres(folder) as dsn:
        async with await connect(dsn) as pool:
            await migrate(pool)
        yield dsn
    shutil.rmtree(folder)


@asynccontextmanager
async def a_database(server: str) -> AsyncIterator[str]:
    """The DSN of a database more on `server`, with the newest schema."""
    name = f"test_{next(_numbers)}"
    # Not from a connection to the template itself, which must have none.
    maintenance = await asyncpg.connect(server, database="template1")
    await maintenance.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
    yield server.replace("@/postgres?", f"@/{name}?")
    await maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await maintenance.close()


@pytest_asyncio.fixture
async def postgres(postgres_server):
    """The DSN of a database of the test's own."""
    async with a_database(postgres_server) as dsn:
        yield dsn


@pytest_asyncio.fixture
async def pool(postgres):
    async with await connect(postgres) as pool:
        yield pool
