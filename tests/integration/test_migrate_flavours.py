"""Every earlier schema becomes the newest one, with and without TimescaleDB, and keeps its bars."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from data.bar import Bar, Resampler, Timeframe
from data.instrument import Price, Quantity, Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.migrate import (
    MIGRATIONS,
    Flavour,
    MigrationFailed,
    flavour_of,
    migrate,
    read_migrations,
)
from data.postgres.pool import connect
from data.postgres.progress import PostgresProgress
from data.postgres.upkeep import Retention, upkeep
from tests.builders_stores import ON_TIMESCALE

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
BTC = Symbol("BTC/USD")
OLD = "INSERT INTO bars VALUES ($1, $2, $3, $4, 1, 4, 1, 2, 5)"  # columns of 0001
RECORD = "INSERT INTO journal VALUES ('desk', 1, $1::timestamptz, 'fill', '{}', '', '')"
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name ~ $1
    ORDER BY 1, 2
"""
SCHEMA = """
    SELECT table_name, column_name, data_type, column_default FROM information_schema.columns
    WHERE table_schema = current_schema() ORDER BY 1, ordinal_position
"""
LONGER = [timeframe for timeframe in Timeframe if timeframe is not Timeframe.M1]


def a_bar(minute):
    price = Price(Decimal(100 + minute % 7))
    return Bar(
        symbol=BTC,
        timeframe=Timeframe.M1,
        closed_at=NOON + timedelta(minutes=minute),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Quantity(Decimal(minute)),
    )


def resampled(bars, timeframe):
    resampler = Resampler(timeframe)
    return [longer for bar in bars for longer in resampler.add(bar)]


@pytest.fixture(params=["plain", ON_TIMESCALE])
def empty(request):
    """The DSN of a database, or a schema, without a table; and its flavour."""
    if request.param == "plain":
        return request.getfixturevalue("empty_postgres"), Flavour.PLAIN
    return request.getfixturevalue("empty_timescale"), Flavour.TIMESCALE


@pytest.fixture
async def empty_postgres(postgres):
    session = await asyncpg.connect(postgres)
    await session.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await session.close()
    return postgres


def up_to(version, folder):
    """The files as they were when `version` was the newest."""
    folder.mkdir()
    for file in MIGRATIONS.glob("*.sql"):
        if int(file.name[:4]) <= version:
            (folder / file.name).write_text(file.read_text())
    return folder


async def schema_of(pool):
    return [tuple(row) for row in await pool.fetch(SCHEMA)]


async def test_applied_twice_they_change_nothing(empty):
    dsn, flavour = empty
    async with await connect(dsn, size=1) as pool:
        assert len(await migrate(pool)) == len(read_migrations(MIGRATIONS, flavour))
        before = await schema_of(pool)
        assert await migrate(pool) == []
        assert await schema_of(pool) == before
        assert await flavour_of(pool) is flavour


@pytest.mark.parametrize("version", sorted({int(f.name[:4]) for f in MIGRATIONS.glob("*.sql")}))
async def test_from_every_earlier_version(empty, version, tmp_path):
    dsn, _ = empty
    async with await connect(dsn, size=1) as pool:
        await migrate(pool, up_to(version, tmp_path / "old"))
        if version >= 2:
            await pool.execute(RECORD, NOON)
        if version < 3:
            for minute in range(1, 6):
                at = NOON.replace(minute=minute)
                await pool.execute(OLD, "kraken", BTC, "1m", at)
            await pool.execute(OLD, "kraken", BTC, "4h", NOON)
        await migrate(pool)
        assert await migrate(pool) == []
        assert await pool.fetchval("SELECT count(*) FROM journal") == (version >= 2)
        assert len(await pool.fetch(COLUMNS, "^bars_[0-9]+[mhdw]$")) == 8 * 15
        store = PostgresBarStore(pool, exchange="kraken")
        if version < 3:
            (five,) = await store.last(BTC, Timeframe.M5, 9)
            assert (five.open, five.high, five.volume, five.turnover) == (1, 4, 25, None)
            assert len(await store.last(BTC, Timeframe.M1, 9)) == 5
            (given,) = await store.last(BTC, Timeframe.H4, 9)
            assert (given.closed_at, given.close) == (NOON, Decimal(2))


@pytest.mark.timescale
@pytest.mark.xdist_group("timescale")
async def test_both_flavours_have_the_same_relations_and_columns(pool, timescale_pool):
    ours = "^(bars(_[0-9]+[mhdw])?|given_bars|trades|books|funding|news|kept_bars)$"
    plain, timescale = [
        [tuple(r) for r in await p.fetch(COLUMNS, ours)] for p in (pool, timescale_pool)
    ]
    assert plain == timescale


@pytest.mark.parametrize("flavour", Flavour)
def test_every_number_has_one_file_for_a_flavour_at_most(flavour):
    versions = [migration.version for migration in read_migrations(MIGRATIONS, flavour)]
    assert versions == sorted(set(versions))


async def test_a_file_for_some_flavours_is_passed_over_by_the_others(pool, tmp_path):
    folder = up_to(9999, tmp_path / "all")
    (folder / "0900_more.plain.apache.sql").write_text("CREATE TABLE more (n int)")
    (folder / "0900_more.timescale.sql").write_text("SELECT nonsense")
    (folder / "0901_others.timescale.sql").write_text("SELECT nonsense")
    assert [migration.name for migration in await migrate(pool, folder)] == ["more"]
    (folder / "0900_more.timescale.sql").write_text("SELECT other_nonsense")
    assert await migrate(pool, folder) == []


def test_a_flavour_that_there_is_not_is_an_error(tmp_path):
    (tmp_path / "0001_a.timescael.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="timescael"):
        read_migrations(tmp_path, Flavour.PLAIN)


async def test_what_a_database_was_it_stays(pool):
    """TimescaleDB may be installed later; its files would not apply to what is there."""
    async with pool.acquire() as session:
        await session.execute("SET timescaledb.disable_load = 'off'")
        assert await flavour_of(session) is Flavour.PLAIN


async def test_timescaledb_that_cannot_be_created_is_not_passed_over(pool):
    async with pool.acquire() as session:
        await session.execute("SET timescaledb.disable_load = 'off'")
        await session.execute("UPDATE schema_migrations SET flavour = NULL")
        with pytest.raises(MigrationFailed, match="CREATE EXTENSION timescaledb"):
            await flavour_of(session)


@pytest.mark.timescale
@pytest.mark.xdist_group("timescale")
async def test_without_its_licence_timescaledb_has_hypertables_and_plain_rollups(
    empty_timescale, tmp_path
):
    async with await connect(empty_timescale, size=1) as pool:
        await migrate(pool, up_to(4, tmp_path / "old"))
        await pool.execute("UPDATE schema_migrations SET flavour = 'apache' WHERE version = 4")
        names = [migration.name for migration in await migrate(pool)]
        assert names == ["hypertables", "rollup_views", "journal_hypertable"]
        tables = await pool.fetch(
            """
            SELECT hypertable_name FROM timescaledb_information.hypertables
            WHERE hypertable_schema = current_schema() ORDER BY 1
            """
        )
        assert [row[0] for row in tables] == ["bars", "books", "journal", "trades"]
        bars = [a_bar(minute) for minute in range(1, 21 * 24 * 60, 61)]
        store = PostgresBarStore(pool, exchange="kraken")
        await store.put_many(bars)
        await upkeep(pool, Retention(minutes=timedelta(weeks=1)), now=NOON + timedelta(weeks=3))
        left = await store.last(BTC, Timeframe.M1, len(bars))
        assert left == bars[-len(left) :]
        assert len(left) < len(bars)
        for timeframe in LONGER:
            assert await store.last(BTC, timeframe, len(bars)) == resampled(bars, timeframe)


async def test_progress_is_kept_by_collector_exchange_and_symbol(any_pool):
    trades = PostgresProgress(any_pool, collector="trades", exchange="kraken")
    others = PostgresProgress(any_pool, collector="ledger", exchange="kraken")
    assert await trades.load(BTC) is None
    await trades.save(BTC, "1688671955123456789", now=NOON)
    await trades.save(BTC, "1688671955123456790", now=NOON)
    await others.save(None, "L4", now=NOON)
    assert await trades.load(BTC) == "1688671955123456790"
    assert (await others.load(BTC), await others.load(None)) == (None, "L4")
