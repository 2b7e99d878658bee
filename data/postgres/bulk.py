"""Many rows at once: copied into a table of the transaction's own, and merged from there."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar

from data.postgres.pool import Connection, Pool

IMPORTS = 0x5E87A28
"""The advisory lock that imports share, and that whoever drops what they put must have alone."""

T = TypeVar("T")
_BATCH = 20_000  # rows a transaction: some 10 MB in memory


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists that one transaction each is to keep."""
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch


@asynccontextmanager
async def importing(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that holds `IMPORTS` with others until it goes back to the pool."""
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock_shared($1)", IMPORTS)
        yield connection


async def copy_incoming(
    connection: Connection, table: str, records: Sequence[tuple[object, ...]]
) -> None:
    """Make the temporary table `incoming_<table>` of the columns of `table`, and copy `records`.

    It ends with the transaction, in which the caller must be. Each table has a name of its own, as
    asyncpg remembers the columns of a copy by its statement, for as long as the connection lives.
    """
    incoming = f"incoming_{table}"
    await connection.execute(f"CREATE TEMP TABLE {incoming} (LIKE {table}) ON COMMIT DROP")
    await connection.copy_records_to_table(incoming, records=records)
