"""Brings a database to the newest schema: numbered SQL files, each applied once and then fixed."""

import hashlib
from dataclasses import dataclass
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
    )
"""


class SchemaMismatch(Corrupt):
    """The database's schema is not one that these files make."""


class MigrationFailed(Corrupt):
    """A migration does not apply to this database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file `NNNN_name.sql`.

    It runs in a transaction unless its first line is `-- no transaction`; then each statement, up
    to a `;` at the end of a line, runs by itself and must bear being run again.
    """

    version: int
    name: str
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


def read_migrations(folder: Path) -> list[Migration]:
    """The migrations of a folder in order of their numbers."""
    return [
        Migration(version=int(file.stem[:4]), name=file.stem[5:], sql=file.read_text())
        for file in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]


async def migrate(pool: Pool, folder: Path = MIGRATIONS) -> list[Migration]:
    """Apply what the database lacks, one daemon at a time; return what was applied.

    The lock lasts as long as the connection is out of the pool.

    Raises:
        SchemaMismatch: an applied file has changed or is gone, or one was added before it.
        MigrationFailed: a file does not apply; those before it are.
        StoreUnavailable: the database cannot be reached now.
    """
    migrations = read_migrations(folder)
    with unavailable():
        async with pool.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_LONG)
            await connection.execute(_TABLE)
            rows = await connection.fetch("SELECT * FROM schema_migrations ORDER BY version")
            missing = _missing(migrations, rows)
            for migration in missing:
                await _apply(connection, migration)
    return missing


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


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        with unavailable():
            if migration.in_transaction:
                async with connection.transaction():
                    await connection.execute(migration.sql, timeout=_LONG)
                    await _record(connection, migration)
            else:
                for statement in migration.statements:
                    await connection.execute(statement, timeout=_LONG)
                await _record(connection, migration)
    except asyncpg.PostgresError as error:
        raise MigrationFailed(
            f"migration {migration.version:04} {migration.name}: {error}"
        ) from error


async def _record(connection: Connection, migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
        migration.version,
        migration.name,
        migration.checksum,
    )
