"""Lifting a halt by hand: on record with who and why, between two runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from data.clock import ManualClock
from data.faults import Refused
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from risk.breaker import Reset, RiskState, TradingState, next_state
from risk.limits import RiskLimits
from sextant.facts import RunStarted, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.postgres import PostgresJournal
from sextant.settings import Settings, secret

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CannotReset(Refused):
    """No halt is in force that a person could lift, or its limits cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A halt that was lifted."""

    reset: Reset
    before: RiskState
    after: RiskState


async def run_reset(settings: Settings, *, by: str, why: str) -> Lifted:
    """Lift the halt that is on record, and put on record who did it and why.

    Raises:
        CannotReset: nothing is halted, or nothing is on record.
        FolderInUse, JournalHeld: a daemon is running; it would not hear of it.
        Fault: the database cannot be opened.
    """
    folder = settings.state_folder / "postgres"
    dsn = secret(settings.storage.dsn_env)
    if dsn is None and not (folder / "data").exists():
        raise CannotReset(f"{settings.state_folder}: nothing is on record yet")
    async with database(dsn, folder) as address, await connect(address) as pool:
        await migrate(pool)
        return await reset(pool, by=by, why=why)


async def reset(
    pool: Pool, *, by: str, why: str, lock_within: timedelta = timedelta(seconds=20)
) -> Lifted:
    """The same in an open database; a daemon that was just killed holds the journal a little.

    The reset is dated as the newest record: the market's time stands there until the next start.

    It is judged by the limits of the last run, under which the halt came about, so that the journal
    alone says what it came to.
    """
    clock = ManualClock(_EPOCH)
    journal = PostgresJournal(
        pool, name=DESK_JOURNAL, codec=codec(), clock=clock, lock_within=lock_within
    )
    async with journal:
        if journal.last is not None:
            clock.move_to(journal.last.at)
        before, limits = await _last_run(journal)
        event = Reset(by=by, why=why, at=clock.now())
        lifted = Lifted(reset=event, before=before, after=next_state(before, event, limits))
        async with _writing(journal):
            journal.write(lifted.reset)
            journal.write(lifted.after)
            await journal.flush()
    return lifted


@contextlib.asynccontextmanager
async def _writing(journal: PostgresJournal) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(journal.run(), name="journal")
        yield
        writer.cancel()


async def _last_run(journal: PostgresJournal) -> tuple[RiskState, RiskLimits]:
    """The newest risk state, which is halted, and the limits of the run that it is of."""
    state: RiskState | None = None
    run: RunStarted | None = None
    async for fact in journal.facts():
        if isinstance(fact, RiskState):
            state = fact
        elif isinstance(fact, RunStarted):
            run = fact
    if state is None or run is None or state.trading is not TradingState.HALTED:
        raise CannotReset(_why_not(state))
    return state, limits_of(run)


def limits_of(run: RunStarted) -> RiskLimits:
    """The limits that a run began with.

    Raises:
        CannotReset: another version wrote them.
    """
    try:
        return RiskLimits.model_validate(run.settings["risk"])
    except (KeyError, ValidationError) as error:
        raise CannotReset(f"the run of {run.at} has limits of another version") from error


def _why_not(state: RiskState | None) -> str:
    match state:
        case RiskState(trading=TradingState.REDUCING):
            return f"a stop for {state.reason} ends by itself; only a halt is lifted by hand"
        case RiskState():
            return "nothing is halted, so there is nothing to reset"
        case None:
            return "nothing is on record yet, so there is nothing to reset"
