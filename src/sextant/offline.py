"""A halt, a flatten, and lifting them, by hand between two runs: on record with who and why."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from data.clock import ManualClock
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from risk.breaker import Flatten, Halt, Resume, RiskState, next_state
from risk.limits import RiskLimits
from sextant.command import CannotObey, Command, Verb
from sextant.facts import RunStarted, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.postgres import PostgresJournal
from sextant.operator import halts_of, require_liftable
from sextant.settings import Settings, secret
from sextant.subaccount import DeskRiskState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK_WITHIN = timedelta(seconds=20)

Ordered = Halt | Flatten | Resume


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A person's hand on the risk state: what it was, and what it came to."""

    event: Ordered
    lifted: tuple[str, ...]  # why entries were halted before, of the account and of the desks
    after: RiskState  # the account's

    @property
    def in_words(self) -> str:
        """What came of it."""
        match self.event:
            case Halt():
                return f"{self.after.reason}; the next start lets no entry in"
            case Flatten():
                return (
                    "no daemon runs, so nothing is cancelled or closed yet: it is on record, and "
                    "the next start does it first"
                )
            case Resume():
                trading = self.after.trading
                return f"lifted: {', '.join(self.lifted)}; trading is {trading} from the next start"


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

    def after_of_account(self, event: Ordered) -> RiskState:
        """The account's state after `event`."""
        return next_state(self.state, event, limits_of(self.run))

    def after(self, event: Ordered) -> list[RiskState | DeskRiskState]:
        """What goes on record after `event`: the account's state, and those of desks it changes.

        Every halt is lifted by the same word; a halt or a flatten is the account's.
        """
        made: list[RiskState | DeskRiskState] = [self.after_of_account(event)]
        for desk, state in self.desks.items() if isinstance(event, Resume) else ():
            lifted = next_state(state, event, limits_of(self.run, desk))
            if lifted is not state:
                made.append(DeskRiskState(strategy_id=desk, state=lifted))
        return made


async def obey_offline(settings: Settings, command: Command) -> Applied:
    """Have the next start begin halted, flattening, or with what is on record lifted.

    Raises:
        CannotObey: there is nothing to which it applies, or nothing is on record.
        FolderInUse, JournalHeld: a daemon is running; it is to be asked instead.
        Fault: the database cannot be opened.
    """
    async with _opened(settings) as pool:
        return await apply(pool, command)


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Pool]:
    folder = settings.state_folder / "postgres"
    dsn = secret(settings.storage.dsn_env)
    if dsn is None and not (folder / "data").exists():
        raise CannotObey(f"{settings.state_folder}: nothing is on record yet")
    async with database(dsn, folder) as address, await connect(address) as pool:
        await migrate(pool)
        yield pool


async def apply(pool: Pool, command: Command, *, lock_within: timedelta = _LOCK_WITHIN) -> Applied:
    """The same in an open database; a daemon that was just killed holds the journal a little.

    It is dated as the newest record: the market's time stands there until the next start. It is
    judged by the limits of the last run, so that the journal alone says what it came to.
    """
    event_of = _event_of(command)
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
    return Applied(
        event=event,
        lifted=tuple(halts_of(past.states)),
        after=past.after_of_account(event),
    )


def _event_of(command: Command) -> Callable[[Past, datetime], Ordered]:
    """What a command is to a past, at a time.

    Raises:
        CannotObey: only a running daemon can do it.
    """
    by, why = command.by, command.why
    match command.verb:
        case Verb.HALT:
            return lambda past, at: Halt(by=by, why=why, at=at)
        case Verb.FLATTEN:
            return lambda past, at: Flatten(by=by, why=why, at=at)
        case Verb.RESUME:
            return lambda past, at: _resume(past, by, why, at)
        case Verb.APPROVE | Verb.DENY | Verb.WAITING:
            raise CannotObey("no daemon runs, so no order waits")


def _resume(past: Past, by: str, why: str, at: datetime) -> Resume:
    require_liftable(past.states)
    latches = (state.latch for state in past.states if state.latch is not None)
    if left := [latch.reason for latch in latches if not latch.is_done]:
        raise CannotObey(
            f"the kill switch has not done its work: {'; '.join(left)}; the next start goes on "
            "with it, until the venue says that nothing of ours is left"
        )
    return Resume(by=by, why=why, at=at)


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
        raise CannotObey("nothing is on record yet, so there is nothing to halt, end or resume")
    return Past(state=state, desks=desks, run=run)


def limits_of(run: RunStarted, desk: str | None = None) -> RiskLimits:
    """The limits that a run began with, of the account or of one desk's own part of it.

    Raises:
        CannotObey: another version wrote them.
    """
    try:
        limits = dict(run.settings["risk"])
        if desk is not None:
            (own,) = (d["limits"] for d in run.settings["desk"] if d["strategy_id"] == desk)
            limits |= own
        return RiskLimits.model_validate(limits)
    except (KeyError, ValueError) as error:
        raise CannotObey(f"the run of {run.at} has limits of another version") from error
