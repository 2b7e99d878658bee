"""The auditor: every decision made again from the journal, and held against what was recorded.

What came from outside (bars, fills, what the venue said, what models answered) is fed in as it was
recorded. What followed from it (decisions, orders, risk states, vetoes) must come out again, in the
same order and the same to the byte. Only the moment at which an order was put on record is taken
from the record: it is the clock's, and decides nothing.
"""

from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from agents.llm.budget import Budget
from agents.panel import RecordedSeat, Seat
from agents.vote import Abstention, Ballot, RecordedAnswer, VoterId
from data.clock import ManualClock
from data.faults import Refused
from data.instrument import Price, Quantity, Symbol
from data.news import NewsItem
from data.regime import Regime
from data.snapshot import Snapshot
from execution.charge import Charge
from execution.dead_man import UNTOLD, GuardChanged, chosen, unguarded
from execution.difference import Reconciliation
from execution.dust import DustLeft
from execution.fill import Fill
from execution.holdings import SetAside
from execution.order import Amended, Amending, Cancelling, Submitted, Submitting
from execution.protection import NakedSeen
from execution.relisted import Relisted
from execution.rounding import KEEPS_ALL, Rounding
from execution.venue import OrderChanged, Venue, VenueEvent, VenueOrder
from risk.approval import ApprovedOrder, Rejection, Revision
from risk.breaker import Flatten, Halt, Resume, RiskState
from risk.referral import Referral
from sextant import wiring
from sextant.alerts import Alert
from sextant.allocator import Allocated, AllocationState
from sextant.command import CannotObey
from sextant.cycle import Decision, Regeneration
from sextant.desk import Desk
from sextant.facts import (
    BarSeen,
    BookSeen,
    Commanded,
    DecisionFailed,
    DecisionSkipped,
    DefectsSeen,
    FlawsSeen,
    FundingSeen,
    NewsSeen,
    PastKnown,
    RestingWithdrawn,
    RunStarted,
    RunStopped,
    Watched,
)
from sextant.history import PastOnRecord, warm_up
from sextant.journal.codec import Codec
from sextant.journal.record import Record
from sextant.offline import Ordered, Past
from sextant.operator import obey
from sextant.outside import Outside
from sextant.referrals import End, ReferralEnded
from sextant.rests import RestGivenUp
from sextant.session import Session
from sextant.settings import Settings
from sextant.stage_settings import Mode
from sextant.stages import Cleared
from sextant.subaccount import DeskRiskState, rebook
from sextant.unheeded import UnheededLiquidations

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Derived: TypeAlias = (
    Decision
    | Regeneration
    | Submitting
    | Cancelling
    | Amending
    | RiskState
    | DeskRiskState
    | ReferralEnded
    | Rejection
    | Revision
    | Referral
    | FlawsSeen
    | Alert
    | Allocated
    | AllocationState
    | SetAside
    | DustLeft
    | RestGivenUp
    | NakedSeen
)
"""What the program makes of facts; everything else in the journal came from outside."""

_OF_THE_BOOKS = (
    Submitting
    | Submitted
    | Cancelling
    | Amending
    | Amended
    | OrderChanged
    | Fill
    | Charge
    | SetAside
    | Reconciliation
)
"""What rebuilds orders and ledger."""

Sighting: TypeAlias = tuple[str, str, datetime]
"""A desk, a symbol, and the close of the bar that is decided on."""

Said: TypeAlias = dict[tuple[Symbol, datetime], RecordedAnswer | Abstention]


class NothingToAudit(Refused):
    """The journal holds decisions, and not the bars that they were made on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Something that came out otherwise than it was recorded; "" is nothing."""

    seq: int
    topic: str
    recorded: str
    made: str


class Made:
    """A journal that keeps what was made until it is compared."""

    def __init__(self) -> None:
        self.facts_made: deque[Derived] = deque()

    def write(self, fact: object) -> None:
        if isinstance(fact, Derived):
            self.facts_made.append(fact)

    async def flush(self) -> None: ...

    async def facts(self) -> AsyncIterator[object]:
        for fact in tuple(self.facts_made):
            yield fact


class NothingGoesOut:
    """A venue for an audit: what the real one said is in the journal, and nobody asks this one."""

    name = "audit"
    pending = False

    def __init__(
        self, *, attaches_stops: bool, targets_in: Collection[Symbol] = (), amends: bool = False
    ) -> None:
        self.attaches_stops = attaches_stops
        self.amends = amends
        self._targets_in = targets_in

    def holds_targets(self, symbol: Symbol) -> bool:
        return symbol in self._targets_in

    async def submit(self, order: ApprovedOrder) -> None: ...

    async def cancel(self, client_order_id: str) -> None: ...

    async def amend(self, client_order_id: str, *, trigger: Price, quantity: Quantity) -> None: ...

    async def order(self, client_order_id: str) -> VenueOrder | None: ...

    async def open_orders(self) -> Sequence[VenueOrder]:
        return ()

    async def fills(self, *, after: int = 0) -> Sequence[Fill]:
        return ()

    async def charges(self, *, since: datetime | None = None) -> Sequence[Charge]:
        return ()

    async def balances(self) -> Mapping[str, Decimal]:
        return {}

    def rounding(self, asset: str) -> Rounding:
        return KEEPS_ALL

    def drain(self) -> Sequence[VenueEvent]:
        return ()

    async def wait(self) -> None: ...


class Auditor:
    """Follows a journal record by record. After a mismatch it waits for the next run to begin."""

    def __init__(self, codec: Codec) -> None:
        self.mismatches: list[Mismatch] = []
        self.compared: Counter[str] = Counter()  # by topic
        self.runs = 0
        self.session: Session | None = None
        self._codec = codec
        self._past = PastOnRecord()
        self._made = Made()
        self._clock = ManualClock(EPOCH)
        self._orders: list[object] = []  # facts that rebuild orders and ledger
        self._state: RiskState | None = None
        self._allocation = AllocationState()
        self._news: list[NewsItem] = []
        self._desk_states: dict[str, RiskState] = {}
        self._due: deque[RiskState | DeskRiskState] = deque()  # what an order must have come to
        self._run: RunStarted | None = None  # the last
        self._cleared: Cleared | None = None  # for the run that begins next
        self._said: dict[VoterId, Said] = {}
        self._desks: dict[str, Desk] = {}
        self._seen: dict[Sighting, Snapshot] = {}  # what is to be decided on
        self._revised: dict[Sighting, tuple[Snapshot, Regime, Revision]] = {}
        self._has_bars = False
        self.reconciled: Reconciliation | None = None  # the last
        self._guard = UNTOLD
        self._liquidations = UnheededLiquidations()
        self._naked_seen: dict[Symbol, NakedSeen] = {}

    async def follow(self, record: Record) -> None:
        """Take in one record: a fact from outside, or something to compare.

        Raises:
            NothingToAudit: the journal is of a replay that put no bars on record.
        """
        fact = self._codec.decode(record.topic, record.body)
        if isinstance(fact, Cleared):
            self._cleared = fact
        elif isinstance(fact, RunStarted):
            self._require_cleared(record, fact)
            self._run = fact
            await self._begin(fact)
        elif isinstance(fact, Halt | Flatten | Resume):
            self._apply(fact)
        elif self._due:
            self._compare_due(record, fact)
        elif self.session is not None:
            await self._go_on(self.session, record, fact)
        self._liquidations.take(fact)
        if isinstance(fact, PastKnown):
            self._past.take(fact)
        if isinstance(fact, _OF_THE_BOOKS):
            self._orders.append(fact)
        if isinstance(fact, Reconciliation):
            self.reconciled = fact
        if isinstance(fact, GuardChanged):
            self._guard = fact.guard
        if isinstance(fact, NakedSeen):
            self._naked_seen[fact.symbol] = fact
        if isinstance(fact, RiskState):
            self._state = fact
        if isinstance(fact, AllocationState):
            self._allocation = fact
        if isinstance(fact, NewsSeen):
            self._news.append(fact.item)
        if isinstance(fact, DeskRiskState):
            self._desk_states[fact.strategy_id] = fact.state

    def _require_cleared(self, record: Record, run: RunStarted) -> None:
        """What let real money in stands on record before the run, and for each run anew."""
        cleared, self._cleared = self._cleared, None
        if Mode(run.mode).is_real and (cleared is None or cleared.stage != run.mode):
            self._differ(record, f"no run: mode {run.mode} was not cleared")

    async def _go_on(self, session: Session, record: Record, fact: object) -> None:
        match fact:
            case BarSeen():
                self._see(session, fact)
            case Watched():
                self._clock.move_to(fact.at)
                session.guard(fact.at)
            case RestingWithdrawn():
                self._clock.move_to(fact.at)
                session.withdraw_resting()
            case Decision():
                await self._decide(session, fact)
            case Regeneration():
                await self._ask_again(session, fact)
            case Allocated():
                self._clock.move_to(fact.at)
                session.allocate(fact.at)
            case BookSeen():
                session.note(fact.book)
            case FundingSeen():
                session.note(fact.rate)
            case NewsSeen():
                session.learn(fact.item)
            case DefectsSeen():
                session.defects[fact.symbol] = fact.defects
            case DecisionSkipped():
                self._seen.pop((fact.strategy_id, fact.symbol, fact.bar_closed_at), None)
            case DecisionFailed():
                self._seen.pop((fact.strategy_id, fact.symbol, fact.bar_closed_at), None)
                self._clock.move_to(fact.at)
                session.note_failure(fact)
            case Submitted() | Amended():
                session.book.engine.take_outcome(fact)
            case OrderChanged() | Fill() | Charge():
                session.book.engine.record(fact)
            case Reconciliation():
                session.book.engine.conclude(fact)
                session.vigil.hear(fact)
            case Commanded():
                self._obey(session, record, fact)
            case Relisted():
                session.relist(fact)
            case GuardChanged():
                self._guard_again(session, record, fact)
            case RunStopped():
                self._end(record)
                self.session = None
        if isinstance(fact, Derived) and not _is_of_the_start(fact):
            self._compare(record, fact)

    def _obey(self, session: Session, record: Record, ordered: Commanded) -> None:
        self._clock.move_to(ordered.at)
        try:
            obey(session, ordered.command, self._made, now=ordered.at)
        except CannotObey as refused:
            self._differ(record, str(refused))

    def _guard_again(self, session: Session, record: Record, changed: GuardChanged) -> None:
        """Choose the guard of resting entries anew, and drop what it leaves unguarded."""
        engine = session.book.engine
        guard = chosen(self._guard, engine.orders, changed.means)
        dropped = unguarded(self._guard, guard, engine.orders, engine.outbox.waiting)
        if (guard, dropped) != (changed.guard, changed.dropped):
            made = replace(changed, guard=guard, dropped=dropped)
            self._differ(record, self._codec.encode(made)[1].decode())
            return
        self.compared[record.topic] += 1
        for client_order_id in dropped:
            engine.cancel(client_order_id)

    def _apply(self, event: Ordered) -> None:
        """It comes when no daemon runs: a run that was killed before has ended by then."""
        self.session = None
        if self._state is not None and self._run is not None:
            past = Past(state=self._state, desks=self._desk_states, run=self._run)
            self._due.extend(past.after(event))

    def _compare_due(self, record: Record, recorded: object) -> None:
        """The records after a person's order are the states that it came to."""
        made = self._due.popleft()
        if made == recorded:
            self.compared[record.topic] += 1
        else:
            self._differ(record, self._codec.encode(made)[1].decode())

    async def _begin(self, run: RunStarted) -> None:
        """The house as it was when the run began."""
        settings = Settings.model_validate(dict(run.settings))
        self.runs += 1
        self._clock.move_to(run.at)
        self._made = Made()
        self._said, self._seen, self._revised = {}, {}, {}
        engine_settings = settings.engine.model_copy(update={"queue": 1_000_000})
        venue: Venue = NothingGoesOut(
            attaches_stops=run.attaches_stops, targets_in=run.holds_targets, amends=run.amends
        )
        engine = wiring.engine(
            settings.model_copy(update={"engine": engine_settings}), venue, self._made, self._clock
        )
        parts = wiring.subaccounts(settings, self._clock)
        await engine.recover(self._order_facts(), tell=partial(rebook, parts))
        past = self._past.of(run, settings.market.timeframe)
        wiring.mark(engine, parts, past)
        self.session = wiring.session(
            settings,
            self._roster(settings, run),
            engine=engine,
            state=self._state,
            parts=parts,
            desk_states=self._desk_states,
            allocation=self._allocation,
            paper=None,
            journal=self._made,
            clock=self._clock,
            keep_all=True,
            outside=self._past_news(settings),
            naked_seen=self._naked_seen.values(),
        )
        self.session.book.begin(now=run.at)
        warm_up(self.session.desks, past)
        self._desks = {desk.strategy_id: desk for desk in self.session.desks}
        self.session.book.heed(self._liquidations.booked_in(engine.ledger))

    def _past_news(self, settings: Settings) -> Outside:
        """The headlines that were known when the run began."""
        outside = Outside(settings.news)
        for item in self._news:
            outside.learn(item)
        return outside

    async def _order_facts(self) -> AsyncIterator[object]:
        for fact in self._orders:
            yield fact

    def _roster(self, settings: Settings, run: RunStarted) -> wiring.Roster:
        """Stand-ins vote again; what models said, or why they did not, is read from the record."""
        seats: list[Seat] = []
        for seat in settings.seat:
            stand_in = run.stand_ins.get(seat.voter)
            if stand_in is not None:
                seats.append(wiring.stand_in(seat.voter, stand_in))
            else:
                said = self._said.setdefault(seat.voter, {})
                seats.append(RecordedSeat(voter=seat.voter, model=seat.model, said=said))
        unasked = Budget(daily_limit=Decimal(0), decision_limit=Decimal(0), clock=self._clock)
        return wiring.roster_of(settings, tuple(seats), unasked)

    def _see(self, session: Session, seen: BarSeen) -> None:
        self._has_bars = True
        self._clock.move_to(seen.at)
        for desk, snapshot in session.see(seen.bar, seen.at):
            self._seen[desk.strategy_id, seen.bar.symbol, snapshot.bar.closed_at] = snapshot

    async def _decide(self, session: Session, decision: Decision) -> None:
        self._clock.move_to(decision.decided_at)
        for ballot in decision.ballots:
            said = _said_by(ballot, decision)
            if ballot.voter in self._said and said is not None:
                self._said[ballot.voter].clear()
                self._said[ballot.voter][decision.symbol, decision.bar_closed_at] = said
        key = (decision.strategy_id, decision.symbol, decision.bar_closed_at)
        snapshot = self._seen.pop(key, None)
        if snapshot is None:
            return  # the comparison will say that nothing was made
        desk = self._desks[decision.strategy_id]
        deliberation = await desk.strategy.decide(snapshot)
        verdict = session.conclude(desk, snapshot, deliberation, now=decision.decided_at)
        if isinstance(verdict, Revision):
            self._revised[key] = snapshot, deliberation.regime, verdict

    async def _ask_again(self, session: Session, again: Regeneration) -> None:
        self._clock.move_to(again.decided_at)
        key = (again.strategy_id, again.symbol, again.bar_closed_at)
        if (revised := self._revised.pop(key, None)) is not None:
            desk = self._desks[again.strategy_id]
            await session.ask_again(desk, *revised)

    def _compare(self, record: Record, recorded: Derived) -> None:
        made = self._made.facts_made.popleft() if self._made.facts_made else None
        if made is None and self._is_bare:
            raise NothingToAudit(
                f"journal {record.name}: its chain is unbroken, but no bar is on record before "
                f"record {record.seq}; replay with --all-records to have it audited"
            )
        if isinstance(recorded, Submitting | Cancelling | Amending) and type(made) is type(
            recorded
        ):
            made = replace(made, at=recorded.at)
        text = self._codec.encode(made)[1].decode() if made is not None else ""
        if made is None or self._codec.encode(made) != (record.topic, record.body):
            self._differ(record, text)
        else:
            self.compared[record.topic] += 1

    @property
    def _is_bare(self) -> bool:
        """Whether this is a run without a past of which no bar is on record: a replay's."""
        return not self._has_bars and self._run is not None and not self._run.warm_up_bars

    def _end(self, record: Record) -> None:
        """A run that ended in order has recorded everything that it made."""
        if self._made.facts_made:
            left = self._codec.encode(self._made.facts_made[0])[1].decode()
            self._differ(record, left)

    def _differ(self, record: Record, made: str) -> None:
        self.mismatches.append(
            Mismatch(seq=record.seq, topic=record.topic, recorded=record.body.decode(), made=made)
        )
        self.session = None


def _is_of_the_start(fact: object) -> bool:
    """Whether it tells how the run before was left, which follows from nothing in this one."""
    return isinstance(fact, ReferralEnded) and fact.end is End.STOPPED


def _said_by(ballot: Ballot, decision: Decision) -> RecordedAnswer | Abstention | None:
    """What a model's seat said: its answer, or why there was none."""
    answers = (answer for answer in decision.answers if answer.voter == ballot.voter)
    return next(answers, ballot if isinstance(ballot, Abstention) else None)
