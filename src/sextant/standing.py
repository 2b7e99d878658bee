"""How an account stands by its journal, whether or not its daemon runs; nothing is written."""

import contextlib
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from data.account import AccountState
from data.postgres.embedded import EmbeddedPostgres, FolderInUse, database
from data.postgres.pool import Pool, connect, unavailable
from execution.blotter import Blotter
from execution.ledger import Ledger
from risk.breaker import RiskState
from sextant.facts import BarSeen, RunStarted, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.record import Record
from sextant.journal.source import records_of
from sextant.settings import Settings, secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account and its risk state as they were at the newest record."""

    at: datetime  # when that was made; a market that is made up stands still since then
    state: RiskState
    account: AccountState


async def read_standing(settings: Settings) -> Standing | None:
    """What the journal says; None where it does not yet hold a risk state.

    A daemon may write it meanwhile: nothing is locked. Where none runs, the embedded server is
    started for as long as it takes.

    Raises:
        Fault: the database cannot be reached, or a record is none of ours.
    """
    dsn, folder = secret(settings.storage.dsn_env), settings.state_folder / "postgres"
    if dsn is None and not (folder / "data").exists():
        return None
    async with contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(database(dsn, folder))
        except FolderInUse:
            address = EmbeddedPostgres(folder).dsn  # the daemon's server answers us too
        pool = await stack.enter_async_context(await connect(address, size=2))
        return await standing_of(settings, pool)


async def standing_of(settings: Settings, pool: Pool) -> Standing | None:
    """The same from an open database."""
    memory = _Memory(settings)
    reading = codec()
    with contextlib.suppress(asyncpg.UndefinedTableError):  # nobody has made a schema yet
        async for record in records_of(pool, DESK_JOURNAL):
            memory.take(record, reading.decode(record.topic, record.body))
    return memory.standing()
