"""A halt, and lifting one, by hand between two runs: on record with who and why."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from data.clock import ManualClock
from data.faults import Refused
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from risk.breaker import Halt, Reset, RiskState, next_state
from risk.limits import RiskLimits
from sextant.facts import RunStarted, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.postgres import PostgresJournal
from sextant.operator import is_halted, nothing_to_reset
from sextant.settings import Settings, secret
from sextant.subaccount import DeskRiskState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK_WITHIN = timedelta(seconds=20)


class CannotReset(Refused):
    """No halt is in force that a person could lift, or its limits cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A person's hand on the risk state: what it was, and what it came to."""

    event: Halt | Reset
    lifted: tuple[str, ...]  # why entries were halted, of the account and of the desks
    after: RiskState  # the account's


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """How the risk stood when the last run ended."""

    state: RiskState
    desks: Mapping[str, RiskState]  # of the desks' own parts
    run: RunStarted

    @property
    def states(self) -> tuple[RiskState, ...]:
        """The account's, then those of the desks."""
        return (self.state, *self.desks.values())

    def after_of_account(self, event: Halt | Reset) -> RiskState:
        """The account's state after `event`."""
        return next_state(self.state, event, limits_of(self.run))

    def after(self, event: Halt | Reset) -> list[RiskState | DeskRiskState]:
        """What goes on record after `event`: the account's state, and those of desks it changes.

        A reset lifts every halt; a person's halt is the account's.
        """
        made: list[RiskState | DeskRiskState] = [self.after_of_account(event)]
        for desk, state in self.desks.items() if isinstance(event, Reset) else ():
            lifted = next_state(state, event, limits_of(self.run, desk))
            if lifted is not state:
                made.append(DeskRiskState(strategy_id=desk, state=lifted))
        return made


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

    def lift(past: Past, at: datetime) -> Reset:
        if not any(map(is_halted, past.states)):
            raise CannotReset(nothing_to_reset(past.state))
        return Reset(by=by, why=why, at=at)

    return await _apply(pool, lift, lock_within)


async def halt(pool: Pool, *, by: str, why: str, lock_within: timedelta = _LOCK_WITHIN) -> Applied:
    """Halt in an open database."""
    return await _apply(pool, lambda past, at: Halt(by=by, why=why, at=at), lock_within)


async def _apply(
    pool: Pool, event_of: Callable[[Past, datetime], Halt | Reset], lock_within: timedelta
) -> Applied:
    """Put the event on record, and the states that it comes to; a daemon that was just killed holds
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
        past = await _past(journal)
        event = event_of(past, clock.now())
        account, *desks = past.after(event)
        async with _writing(journal):
            for fact in (event, account, *desks):
                journal.write(fact)
            await journal.flush()
    halts = sorted({state.reason for state in past.states if is_halted(state)})
    return Applied(event=event, lifted=tuple(halts), after=past.after_of_account(event))


@contextlib.asynccontextmanager
async def _writing(journal: PostgresJournal) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(journal.run(), name="journal")
        yield
        writer.cancel()


async def _past(journal: PostgresJournal) -> Past:
    """The newest risk states, and the run that they are of."""
    state: RiskState | None = None
    desks: dict[str, RiskState] = {}
    run: RunStarted | None = None
    async for fact in journal.facts():
        match fact:
            case RiskState():
                state = fact
            case DeskRiskState():
                desks[fact.strategy_id] = fact.state
            case RunStarted():
                run = fact
    if state is None or run is None:
        raise CannotReset(nothing_to_reset(state))
    return Past(state=state, desks=desks, run=run)


def limits_of(run: RunStarted, desk: str | None = None) -> RiskLimits:
    """The limits that a run began with, of the account or of one desk's own part of it.

    Raises:
        CannotReset: another version wrote them.
    """
    try:
        limits = dict(run.settings["risk"])
        if desk is not None:
            (own,) = (d["limits"] for d in run.settings["desk"] if d["strategy_id"] == desk)
            limits |= own
        return RiskLimits.model_validate(limits)
    except (KeyError, ValueError) as error:
        raise CannotReset(f"the run of {run.at} has limits of another version") from error
