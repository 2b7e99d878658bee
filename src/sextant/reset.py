"""A halt, and lifting one, by hand between two runs: on record with who and why."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from data.clock import ManualClock
from data.faults import Refused
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from risk.breaker import Halt, Reset, RiskState, TradingState, next_state
from risk.limits import RiskLimits
from sextant.facts import RunStarted, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.postgres import PostgresJournal
from sextant.operator import nothing_to_reset
from sextant.settings import Settings, secret

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK_WITHIN = timedelta(seconds=20)


class CannotReset(Refused):
    """No halt is in force that a person could lift, or its limits cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A person's hand on the risk state: what it was, and what it came to."""

    event: Halt | Reset
    before: RiskState
    after: RiskState


async def run_reset(settings: Settings, *, by: str, why: str) -> Applied:
    """Lift the halt that is on record, and put on record who did it and why.

    Raises:
        CannotReset: nothing is halted, or nothing is on record.
        FolderInUse, JournalHeld: a daemon is running; it is to be asked instead.
        Fault: the database cannot be opened.
    """
    async with _opened(settings) as pool:
        return await reset(pool, by=by, why=why)


async def run_halt(settings: Settings, *, by: str, why: str) -> Applied:
    """Have the next start begin halted; raises as `run_reset` does."""
    async with _opened(settings) as pool:
        return await halt(pool, by=by, why=why)


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Pool]:
    folder = settings.state_folder / "postgres"
    dsn = secret(settings.storage.dsn_env)
    if dsn is None and not (folder / "data").exists():
        raise CannotReset(f"{settings.state_folder}: nothing is on record yet")
    async with database(dsn, folder) as address, await connect(address) as pool:
        await migrate(pool)
        yield pool


async def reset(pool: Pool, *, by: str, why: str, lock_within: timedelta = _LOCK_WITHIN) -> Applied:
    """Lift a halt in an open database."""

    def lift(state: RiskState, at: datetime) -> Reset:
        if state.trading is not TradingState.HALTED:
            raise CannotReset(nothing_to_reset(state))
        return Reset(by=by, why=why, at=at)

    return await _apply(pool, lift, lock_within)


async def halt(pool: Pool, *, by: str, why: str, lock_within: timedelta = _LOCK_WITHIN) -> Applied:
    """Halt in an open database."""
    return await _apply(pool, lambda state, at: Halt(by=by, why=why, at=at), lock_within)


async def _apply(
    pool: Pool, event_of: Callable[[RiskState, datetime], Halt | Reset], lock_within: timedelta
) -> Applied:
    """Put the event on record, and the state that it comes to; a daemon that was just killed holds
    the journal a little.

    It is dated as the newest record: the market's time stands there until the next start. It is
    judged by the limits of the last run, so that the journal alone says what it came to.
    """
    clock = ManualClock(_EPOCH)
    journal = PostgresJournal(
        pool, name=DESK_JOURNAL, codec=codec(), clock=clock, lock_within=lock_within
    )
    async with journal:
        if journal.last is not None:
            clock.move_to(journal.last.at)
        before, limits = await _last_run(journal)
        event = event_of(before, clock.now())
        applied = Applied(event=event, before=before, after=next_state(before, event, limits))
        async with _writing(journal):
            journal.write(applied.event)
            journal.write(applied.after)
            await journal.flush()
    return applied


@contextlib.asynccontextmanager
async def _writing(journal: PostgresJournal) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(journal.run(), name="journal")
        yield
        writer.cancel()


async def _last_run(journal: PostgresJournal) -> tuple[RiskState, RiskLimits]:
    """The newest risk state, and the limits of the run that it is of."""
    state: RiskState | None = None
    run: RunStarted | None = None
    async for fact in journal.facts():
        if isinstance(fact, RiskState):
            state = fact
        elif isinstance(fact, RunStarted):
            run = fact
    if state is None or run is None:
        raise CannotReset(nothing_to_reset(state))
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
