"""Migrations: each once, in order, and fixed from then on."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from data.postgres.migrate import MIGRATIONS, MigrationFailed, SchemaMismatch, migrate
from data.postgres.pool import StoreRefused, connect
from data.store import StoreUnavailable


@pytest.fixture
def folder(tmp_path):
    """Our own files, and room for more."""
    for file in MIGRATIONS.glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path


def add(folder, name, sql):
    (folder / name).write_text(sql)


async def test_applied_twice_they_change_nothing(pool):
    assert await migrate(pool) == []  # the fixture's database has them all


async def test_a_new_file_is_applied_after_the_others(pool, folder):
    add(folder, "0900_more.sql", "CREATE TABLE more (n int); INSERT INTO more VALUES (7);")
    assert [migration.name for migration in await migrate(pool, folder)] == ["more"]
    assert await pool.fetchval("SELECT n FROM more") == 7
    assert await migrate(pool, folder) == []


async def test_two_daemons_at_once_apply_it_once(pool, folder):
    add(folder, "0900_more.sql", "CREATE TABLE more (n int);")
    applied = await asyncio.gather(*(migrate(pool, folder) for _ in range(3)))
    assert sorted(len(migrations) for migrations in applied) == [0, 0, 1]


async def test_a_failing_file_leaves_nothing_and_is_named(pool, folder):
    add(folder, "0900_good.sql", "CREATE TABLE good (n int);")
    add(folder, "0901_bad.sql", "CREATE TABLE half (n int); SELECT nonsense;")
    with pytest.raises(MigrationFailed, match="0901 bad"):
        await migrate(pool, folder)
    assert await pool.fetchval("SELECT to_regclass('good') IS NOT NULL")
    assert await pool.fetchval("SELECT to_regclass('half') IS NULL")


async def test_without_a_transaction_where_a_file_says_so(pool, folder):
    sql = "-- no transaction\nVACUUM bars;\nVACUUM journal;\n"  # refused inside one
    add(folder, "0900_vacuum.sql", sql)
    assert len(await migrate(pool, folder)) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda file: file.write_text(file.read_text() + "\n"), id="changed"),
        pytest.param(lambda file: file.unlink(), id="gone"),
        pytest.param(
            lambda file: (file.parent / "0000_late.sql").write_text("SELECT 1"), id="one before"
        ),
    ],
)
async def test_applied_files_are_fixed(pool, folder, change):
    change(folder / "0002_journal.sql")
    with pytest.raises(SchemaMismatch):
        await migrate(pool, folder)


async def test_no_server_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailable):
        await connect(f"postgresql://postgres@/postgres?host={tmp_path}")


async def test_no_such_database_is_refused(postgres_server):
    with pytest.raises(StoreRefused, match="nowhere"):
        await connect(postgres_server.replace("@/postgres?", "@/nowhere?"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET body = '{}'",
        "DELETE FROM journal",
        "TRUNCATE journal",
    ],
)
@pytest.mark.req("S1-153")
async def test_the_journal_can_only_grow(any_pool, statement):
    for seq, month in enumerate((3, 4), 1):  # in two chunks, where there are chunks
        at = datetime(2025, month, 1, tzinfo=UTC)
        await any_pool.execute(
            "INSERT INTO journal VALUES ('j', $1, $2, 'bar', '{}', '', '')", seq, at
        )
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await any_pool.execute(statement)
    assert await any_pool.fetchval("SELECT count(*) FROM journal") == 2
