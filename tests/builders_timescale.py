"""TimescaleDB for tests: its own code as WebAssembly, and a fresh, migrated schema for each test.

It runs where `node` and `npm` are; elsewhere its tests are skipped, except in CI, where they fail.
A test file takes the fixtures by importing them, and marks what uses them with `TIMESCALE`.
"""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from data.postgres.migrate import migrate
from data.postgres.pool import connect

ROOT = Path(__file__).resolve().parents[1]
INSTALL = ROOT / "tests" / "timescale" / "install.sh"
FOLDER = ROOT / "var" / "timescale"
TIMESCALE = (pytest.mark.timescale, pytest.mark.xdist_group("timescale"))
_numbers = itertools.count(1)


def missing():
    """Why the server cannot run here; empty where it can. Installs what it needs."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"no {program} on PATH, which runs TimescaleDB's WebAssembly"
    done = subprocess.run([INSTALL], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{INSTALL.name}: {done.stderr[-500:]}"


@pytest.fixture(scope="session")
def timescale_server():
    """The DSN of a server that lives as long as the test run, without a schema."""
    reason = missing()
    if reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no TimescaleDB: {reason}")
    with subprocess.Popen(
        ["node", "server.mjs"],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        word, _, port = server.stdout.readline().partition(" ")
        assert word == "READY"
        yield f"postgresql://postgres@127.0.0.1:{int(port)}/postgres?sslmode=disable"
        server.stdin.close()  # it ends with it


@pytest_asyncio.fixture
async def empty_timescale(timescale_server):
    """The DSN of an empty schema of the test's own."""
    name = f"test_{next(_numbers)}"
    session = await asyncpg.connect(timescale_server)
    await session.execute(f"CREATE SCHEMA {name}")
    await session.close()
    return f"{timescale_server}&search_path={name},public"


@pytest_asyncio.fixture
async def timescale_pool(empty_timescale):
    """A pool over a schema of the test's own, with the newest tables."""
    async with await connect(empty_timescale, size=2) as pool:
        await migrate(pool)
        yield pool
