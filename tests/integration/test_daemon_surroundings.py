"""A bad world around the daemon: each time a clear word or a wait, and nothing is lost."""

import asyncio
import contextlib
import functools
import os
import signal
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from data.bar import Bar
from data.postgres.embedded import EmbeddedPostgres, EmbeddedServerFailed, FolderInUse
from data.store import BarStore, StoreUnavailable
from execution.order import Submitted, Submitting
from sextant import daemon as daemon_module
from sextant import house as house_module
from sextant.daemon import Daemon
from sextant.facts import RunStopped
from sextant.house import open_house
from sextant.journal.port import JournalFailed, JournalHeld
from sextant.journal.postgres import PostgresJournal
from sextant.settings import FolderUnusable, load_settings
from tests.builders_daemon import (
    Rehearsal,
    a_config,
    flaws,
    ran,
    servers,
    small_disk,
    what_is_left,
)

pytestmark = pytest.mark.xdist_group("daemon")

Act = Callable[[], Awaitable[None]]
DEAD = "postgresql://nobody@127.0.0.1:9/none"  # the discard port; nothing listens there


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch):
    """No configured database, unless the test says otherwise."""
    monkeypatch.delenv("SEXTANT_DATABASE_URL", raising=False)


@pytest.fixture
async def database(server_folder, monkeypatch):
    """The configured database is a server that the test may stop."""
    server = EmbeddedPostgres(server_folder / "own")
    monkeypatch.setenv("SEXTANT_DATABASE_URL", await server.start())
    yield server
    await server.stop()


@pytest.fixture
def hasty(monkeypatch):
    """Journals that wait for a lock no longer than a tenth of a second."""
    journal = functools.partial(PostgresJournal, lock_within=timedelta(milliseconds=100))
    monkeypatch.setattr(house_module, "PostgresJournal", journal)


class Interrupted:
    """A store of bars in whose work something happens: at one bar, and some tries or bars later."""

    def __init__(self, bars: BarStore, *, at: int, first: Act, then: Act, later: int) -> None:
        self._bars = bars
        self._due = {at: first, at + later: then}
        self._count = 0
        self.failures = 0

    async def put(self, bars: Sequence[Bar]) -> None:
        self._count += 1
        await self._due.get(self._count, _nothing)()
        try:
            await self._bars.put(bars)
        except StoreUnavailable:
            self.failures += 1
            raise


async def _nothing() -> None: ...


async def ran_interrupted(config, bars, *, at, first, then=_nothing, later=3):
    """A daemon in whose run things happen; how often the store failed it."""
    async with open_house(load_settings(config)) as house:
        store = Interrupted(house.bars, at=at, first=first, then=then, later=later)
        await Daemon(replace(house, bars=store), max_bars=bars).run(view=False)
        return store.failures


def server_pid(folder):
    return int((folder / "state/postgres/data/postmaster.pid").read_text().splitlines()[0])


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT])
async def test_an_embedded_database_that_dies_is_started_again_and_nothing_is_lost(
    server_folder, sign
):
    config = a_config(server_folder)

    async def kill():
        os.kill(server_pid(server_folder), sign)

    assert await ran_interrupted(config, 150, at=60, first=kill) > 0
    left = await what_is_left(config)
    assert flaws(left) == []
    assert len(left.of(Submitting)) > 5
    assert not servers(server_folder)


async def test_a_configured_database_that_is_away_for_a_while_loses_nothing(
    server_folder, database
):
    config = a_config(server_folder)

    async def come_back():
        await database.start()

    failures = await ran_interrupted(config, 150, at=60, first=database.stop, then=come_back)
    assert failures == 3
    assert flaws(await what_is_left(config)) == []


async def test_a_journal_that_another_session_blocks_makes_the_daemon_wait(
    server_folder, database, hasty
):
    """For longer than its session waits for a lock."""
    config = a_config(server_folder)
    async with contextlib.AsyncExitStack() as stack:

        async def lock():
            connection = await asyncpg.connect(database.dsn)
            stack.push_async_callback(connection.close)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            await connection.execute("BEGIN; LOCK TABLE journal IN EXCLUSIVE MODE")
            tasks.create_task(connection.execute("SELECT pg_sleep(0.5); COMMIT"))

        await ran_interrupted(config, 150, at=60, first=lock)
    assert flaws(await what_is_left(config)) == []


async def test_a_database_without_a_free_connection_is_named(server_folder, database):
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                connection = await asyncpg.connect(database.dsn)
                stack.push_async_callback(connection.close)
        with pytest.raises(StoreUnavailable, match="too many clients"):
            await ran(a_config(server_folder), 3)
    await ran(a_config(server_folder), 3)


async def test_a_stop_while_the_database_is_away_says_how_much_is_not_on_record(
    server_folder, database, monkeypatch
):
    """What it says is lost is found again at the next start."""
    monkeypatch.setattr(daemon_module, "_SETTLE_WITHIN", timedelta(milliseconds=300))
    config = a_config(server_folder)

    async def stop():
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(ExceptionGroup) as raised:
        await ran_interrupted(config, 150, at=60, first=database.stop, then=stop, later=2)
    failures, rest = raised.value.split(JournalFailed)
    assert rest is None
    assert "records not written" in "".join(traceback.format_exception(failures))
    await database.start()
    for _ in range(2):  # the first asks after the order without an answer
        await ran(config, 30)
    assert flaws(await what_is_left(config)) == []


async def test_a_second_daemon_on_the_same_folder_is_turned_away(server_folder):
    config = a_config(server_folder)
    async with open_house(load_settings(config)) as first:
        with pytest.raises(FolderInUse, match=r"another daemon.*stop it, or choose another"):
            await ran(config, 3)
        await Daemon(first, max_bars=30).run(view=False)  # unharmed
    assert flaws(await what_is_left(config)) == []


async def test_a_second_daemon_on_the_same_database_is_turned_away(tmp_path, postgres, monkeypatch):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    hasty = functools.partial(PostgresJournal, lock_within=timedelta(milliseconds=100))
    monkeypatch.setattr(house_module, "PostgresJournal", hasty)
    config = a_config(tmp_path)
    async with open_house(load_settings(config)) as first:
        with pytest.raises(JournalHeld, match="journal desk: another process writes it"):
            await ran(config, 3)
        await Daemon(first, max_bars=30).run(view=False)
    assert flaws(await what_is_left(config)) == []


async def test_a_state_folder_that_is_a_file_is_named(tmp_path):
    config = a_config(tmp_path)
    (tmp_path / "state").write_text("")
    with pytest.raises(FolderUnusable, match=r"storage.folder: .*/state: File exists"):
        await ran(config, 3)


async def test_a_state_folder_that_cannot_be_written_is_named(server_folder):
    with (
        small_disk(server_folder, "4m", "ro") as disk,
        pytest.raises(FolderUnusable, match=r"storage.folder: .*Read-only file system"),
    ):
        await ran(a_config(server_folder, state=disk / "state"), 3)


async def test_a_disk_too_small_for_the_database_is_named(server_folder):
    with small_disk(server_folder, "8m") as disk:
        config = a_config(server_folder, state=disk / "state")
        with pytest.raises(EmbeddedServerFailed, match="No space left on device"):
            await ran(config, 3)


async def test_a_disk_that_fills_up_makes_the_daemon_wait_or_stop_and_loses_nothing(server_folder):
    with small_disk(server_folder, "120m") as disk:
        config = a_config(server_folder, state=disk / "state")
        filler = disk / "filler"

        async def fill():
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(1 << 16)):
                    pass
            asyncio.get_running_loop().call_later(3, make_room)  # whatever waits by then

        def make_room():
            filler.unlink(missing_ok=True)

        try:
            await ran_interrupted(config, 600, at=60, first=fill)
        except* (EmbeddedServerFailed, StoreUnavailable) as group:
            print(group)
        make_room()
        await ran(config, 30)
        assert flaws(await what_is_left(config)) == []


# The command line: what it prints, and how it ends.


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("place", "nth"),
    [
        pytest.param("execution.venues.paper:PaperVenue.submit", 4, id="an order on the wire"),
        pytest.param("execution.venues.paper:PaperVenue._settle", 9, id="a fill being told"),
        pytest.param("agents.baseline_strategy:SeededRandom.decide", 9, id="a decision"),
    ],
)
def test_a_stop_ends_what_is_under_way_on_record(server_folder, place, nth, when):
    rehearsal = Rehearsal(a_config(server_folder))
    stopped = rehearsal.signalled(place, nth, when, signal.SIGTERM)
    assert stopped.code == 0, stopped.said
    assert "stopped: asked to" in stopped.said
    left = asyncio.run(what_is_left(rehearsal.config))
    assert flaws(left) == []
    assert len(left.of(Submitting)) == len(left.of(Submitted)) > 0
    assert len(left.of(RunStopped)) == 1
    assert not servers(server_folder)


def test_a_stop_during_start_up_leaves_no_server_behind(server_folder):
    rehearsal = Rehearsal(a_config(server_folder))
    for sign in (signal.SIGINT, signal.SIGTERM):
        stopped = rehearsal.signalled("sextant.house:migrate", 1, "after", sign)
        assert stopped.code != 0
        assert "Traceback" not in stopped.said
        assert not servers(server_folder)


@pytest.mark.parametrize(
    ("text", "environment", "code", "said"),
    [
        pytest.param("", {"SEXTANT_DATABASE_URL": DEAD}, 1, "Connect call failed", id="no server"),
        pytest.param("[risk]\nmax_drawdwn = 0.1\n", {}, 2, "max_drawdwn", id="unknown key"),
        pytest.param(
            '[engine]\nretries = "some"\n', {}, 2, "engine.retries", id="wrong kind of value"
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, text, environment, code, said):
    ended = Rehearsal(a_config(tmp_path, text), **environment).run(bars=3)
    assert ended.code == code
    assert said in ended.said
    assert "Traceback" not in ended.said
