"""How an account stands by its journal, whether or not its daemon runs; nothing is written."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from data.account import AccountState
from data.clock import ManualClock
from data.postgres.embedded import EmbeddedPostgres, FolderInUse, database
from data.postgres.pool import Pool, connect
from execution.blotter import Blotter
from execution.ledger import Ledger
from risk.breaker import RiskState
from sextant.facts import BarSeen, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.postgres import PostgresJournal
from sextant.settings import Settings, secret
from sextant.subaccount import DeskRiskState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account and its risk state as of the newest record."""

    at: datetime  # of that record; the market's time of a rehearsal stands there until it goes on
    state: RiskState
    account: AccountState
    desks: Mapping[str, RiskState]  # of the desks with a part of their own


async def read_standing(settings: Settings) -> Standing | None:
    """What the journal says; None where it holds no risk state yet.

    Raises:
        Fault: the database cannot be reached, or a record is none of ours.
    """
    async with reading(settings) as pool:
        return await standing_of(settings, pool) if pool is not None else None


@contextlib.asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator["Pool | None"]:
    """The account's database for reading; None where there is none yet, and none is made.

    A daemon may write it meanwhile: nothing is locked. Where none runs, the embedded server runs
    for as long as this takes.

    Raises:
        Fault: it cannot be reached.
    """
    dsn, folder = secret(settings.storage.dsn_env), settings.state_folder / "postgres"
    if dsn is None and not (folder / "data").exists():
        yield None
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(database(dsn, folder))
        except FolderInUse:
            address = EmbeddedPostgres(folder).dsn  # a running daemon's server answers us too
        yield await stack.enter_async_context(await connect(address, size=2))


async def standing_of(settings: Settings, pool: Pool) -> Standing | None:
    """The same from an open database."""
    reading = codec()
    journal = PostgresJournal(pool, name=DESK_JOURNAL, codec=reading, clock=ManualClock(_EPOCH))
    memory = _Memory(settings)
    with contextlib.suppress(asyncpg.UndefinedTableError):  # nobody has made the schema yet
        async for record in journal.records():
            memory.take(reading.decode(record.topic, record.body), record.at)
    return memory.standing()


class _Memory:
    """Ledger, orders and the newest risk state, fact by fact."""

    def __init__(self, settings: Settings) -> None:
        self._ledger = Ledger(
            settings.account.currency,
            settings.account.balances,
            settings.instruments,
            portfolio=settings.portfolio,
        )
        self._blotter = Blotter(
            self._ledger, settings.instruments, remembered=settings.engine.remembered
        )
        self._state: RiskState | None = None
        self._desks: dict[str, RiskState] = {}
        self._at = _EPOCH

    def take(self, fact: object, at: datetime) -> None:
        """Take in the next fact, put on record at `at`."""
        self._at = at
        if isinstance(fact, RiskState):
            self._state = fact
        elif isinstance(fact, DeskRiskState):
            self._desks[fact.strategy_id] = fact.state
        elif isinstance(fact, BarSeen):
            self._ledger.mark(fact.bar.symbol, fact.bar.close, fact.bar.closed_at)
        else:
            self._blotter.apply(fact)

    def standing(self) -> Standing | None:
        """What it has come to."""
        if self._state is None:
            return None
        account = self._ledger.account(
            as_of=self._at,
            in_flight=self._blotter.in_flight(),
            exchanging=self._blotter.exchanging(),
        )
        return Standing(at=self._at, state=self._state, account=account, desks=self._desks)
