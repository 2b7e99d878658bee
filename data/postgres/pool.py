"""Connections to PostgreSQL, and its errors told by what the caller does next."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from data.faults import Refused
from data.store import StoreUnavailable

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

_PASSING = (
    OSError,  # no socket, refused, reset, timed out
    asyncpg.PostgresConnectionError,  # class 08, and a connection lost in mid-operation
    asyncpg.OperatorInterventionError,  # class 57: shutting down, starting up, cancelled
    asyncpg.InsufficientResourcesError,  # class 53: disk full, out of memory, too many connections
    asyncpg.TransactionRollbackError,  # class 40: deadlock
    asyncpg.LockNotAvailableError,  # somebody holds the table for longer than `lock_timeout`
    asyncpg.InternalClientError,  # asyncpg lost the thread, as where a server dies in mid-answer
)
"""What passes, or is put right by a person, while the statement had no effect.
Source: PostgreSQL, appendix A, error codes."""

_LOST = ("connection is closed", "pool is clos", "released back to the pool")
"""What asyncpg says of a connection that broke before it was used again; else it was misused."""

_SESSION = {
    "application_name": "sextant",
    "timezone": "UTC",
    # Over TCP the server drops a session, and its locks, 15 s after its machine is gone.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
}

_NO_ENTRY = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,  # no such database
    asyncpg.ClientConfigurationError,
)


class StoreRefused(Refused):
    """The database does not let us in: the user, the password, the database or the DSN is wrong."""


async def connect(
    dsn: str,
    *,
    size: int = 8,
    connect_within: timedelta = timedelta(seconds=10),
    answer_within: timedelta = timedelta(seconds=30),
) -> Pool:
    """A pool of up to `size` connections; close it, or use it with `async with`.

    `numeric` is Decimal both ways, exactly; times are UTC.

    Raises:
        StoreUnavailable: the server cannot be reached now.
        StoreRefused: the server does not let us in, or the DSN is none.
    """
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,  # else the pool reconnects by itself during an outage, and logs each failure
        max_size=size,
        timeout=connect_within.total_seconds(),
        command_timeout=answer_within.total_seconds(),
        server_settings=_SESSION,
    )
    try:
        with unavailable():
            await pool
            await pool.execute("SELECT 1")
    except BaseException as error:
        pool.terminate()
        if isinstance(error, _NO_ENTRY):
            raise StoreRefused(f"database: {error}") from error
        if isinstance(error, ValueError):  # it quotes a part of the address, perhaps the password
            raise StoreRefused("database: its address cannot be read as a DSN") from None
        raise
    return pool


@contextlib.contextmanager
def unavailable() -> Iterator[None]:
    """Raise `StoreUnavailable` for what another try may do away with.

    A connection lost while a commit was under way leaves its outcome open: what is tried again
    must change nothing where it was done already.
    """
    try:
        yield
    except _PASSING as error:
        raise StoreUnavailable(f"database: {type(error).__name__}: {error}") from error
    except asyncpg.InterfaceError as error:
        if not any(sign in str(error) for sign in _LOST):
            raise
        raise StoreUnavailable(f"database: {error}") from error
