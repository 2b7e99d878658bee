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
)
"""What passes, or is put right by a person, while the statement had no effect.
Source: PostgreSQL, appendix A, error codes."""

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
    try:
        with unavailable():
            return await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                timeout=connect_within.total_seconds(),
                command_timeout=answer_within.total_seconds(),
                server_settings=_SESSION,
            )
    except _NO_ENTRY as error:
        raise StoreRefused(f"database: {error}") from error


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
        if "clos" not in str(error):  # "connection is closed", "pool is closing": lost, not misused
            raise
        raise StoreUnavailable(f"database: {error}") from error
