"""Brings a database to the newest schema: numbered SQL files, each applied once and then fixed."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import asyncpg

from data.faults import Corrupt
from data.postgres.pool import Connection, Pool, unavailable

MIGRATIONS = Path(__file__).with_name("migrations")
_NO_TRANSACTION = "-- no transaction"
_LOCK = 0x5E87A27  # an arbitrary number, the same in every daemon
_LONG = 3600.0  # seconds: a migration rewrites tables, or waits for another daemon's
_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    );
    ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS flavour text;
"""
_RECORDED = "SELECT max(flavour) FROM schema_migrations"
_LOADED = "SELECT current_setting('timescaledb.disable_load', true) IS NOT NULL"
_LICENCE = "SELECT current_setting('timescaledb.license', true)"


class SchemaMismatch(Corrupt):
    """The database's schema is not one that these files make."""


class MigrationFailed(Corrupt):
    """A migration does not apply to this database."""


class Flavour(StrEnum):
    """What a database can do; what it was at first it stays, whatever is installed later."""

    PLAIN = "plain"  # PostgreSQL by itself
    APACHE = "apache"  # TimescaleDB without its own licence: hypertables, no aggregates
    TIMESCALE = "timescale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file `NNNN_name.sql`, or `NNNN_name.plain.apache.sql` for some flavours only.

    It runs in a transaction unless its first line is `-- no transaction`; then each statement, up
    to a `;` at the end of a line, runs by itself and must bear being run again.
    """

    version: int
    name: str
    flavours: frozenset[Flavour]
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        return not self.sql.startswith(_NO_TRANSACTION)

    @property
    def statements(self) -> list[str]:
        return [part.strip() for part in self.sql.split(";\n") if part.strip()]


def read_migrations(folder: Path, flavour: Flavour) -> list[Migration]:
    """The migrations of a folder for one flavour, in order of their numbers.

    Raises:
        ValueError: a file is for a flavour that there is not.
    """
    files = map(_read, sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")))
    return [migration for migration in files if flavour in migration.flavours]


def _read(file: Path) -> Migration:
    stem, *flavours = file.name.removesuffix(".sql").split(".")
    return Migration(
        version=int(stem[:4]),
        name=stem[5:],
        flavours=frozenset(map(Flavour, flavours or Flavour)),
        sql=file.read_text(encoding="utf-8"),
    )


async def migrate(pool: Pool, folder: Path = MIGRATIONS) -> list[Migration]:
    """Apply what the database lacks, one daemon at a time; return what was applied.

    The lock lasts as long as the connection is out of the pool.

    Raises:
        SchemaMismatch: an applied file has changed or is gone, or one was added before it.
        MigrationFailed: a file does not apply; those before it are.
        StoreUnavailable: the database cannot be reached now.
    """
    with unavailable():
        async with pool.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_LONG)
            await connection.execute(_TABLE)
            flavour = await flavour_of(connection)
            rows = await connection.fetch("SELECT * FROM schema_migrations ORDER BY version")
            missing = _missing(read_migrations(folder, flavour), rows)
            for migration in missing:
                await _apply(connection, migration, flavour)
    return missing


async def flavour_of(connection: "Connection | Pool") -> Flavour:
    """The flavour on record, or else what the server offers; TimescaleDB is created if it can be.

    Raises:
        MigrationFailed: the server has TimescaleDB loaded, but does not let us create it.
    """
    recorded = await connection.fetchval(_RECORDED)
    if recorded is not None:
        return Flavour(recorded)
    if not await connection.fetchval(_LOADED):  # to create it unloaded would end the session
        return Flavour.PLAIN
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"CREATE EXTENSION timescaledb: {error}") from error
    licence = await connection.fetchval(_LICENCE)
    return Flavour.TIMESCALE if licence == "timescale" else Flavour.APACHE


def _missing(migrations: list[Migration], applied: list[asyncpg.Record]) -> list[Migration]:
    """What follows the applied ones, which must be the first of the files, unchanged."""
    for number, row in enumerate(applied):
        file = migrations[number] if number < len(migrations) else None
        if file is None or (file.version, file.checksum) != (row["version"], row["checksum"]):
            raise SchemaMismatch(
                f"migration {row['version']:04} {row['name']}: the database applied another file "
                f"on {row['applied_at']:%Y-%m-%d}, or this program is older than its database"
            )
    return migrations[len(applied) :]


async def _apply(connection: Connection, migration: Migration, flavour: Flavour) -> None:
    try:
        with unavailable():
            if migration.in_transaction:
                async with connection.transaction():
                    await connection.execute(migration.sql, timeout=_LONG)
                    await _record(connection, migration, flavour)
            else:
                for statement in migration.statements:
                    await connection.execute(statement, timeout=_LONG)
                await _record(connection, migration, flavour)
    except asyncpg.PostgresError as error:
        raise MigrationFailed(
            f"migration {migration.version:04} {migration.name}: {error}"
        ) from error


async def _record(connection: Connection, migration: Migration, flavour: Flavour) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum, flavour) VALUES ($1, $2, $3, $4)",
        migration.version,
        migration.name,
        migration.checksum,
        flavour if len(migration.flavours) < len(Flavour) else None,
    )
