"""The engine: an order is on record before it is on the wire, and goes there once."""

import asyncio
from collections.abc import AsyncIterable, Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from data.account import AccountState
from data.clock import Clock
from data.faults import Refused, Transient
from data.instrument import Instrument, Symbol
from execution.answering import NEVER_SEEN, answered, intent_of, learned
from execution.blotter import Blotter, OrderRisen, Settled
from execution.charge import Charge
from execution.difference import Reconciliation
from execution.fill import Fill
from execution.holdings import SetAside
from execution.journal import OrderJournal
from execution.ledger import Ledger
from execution.order import (
    Amended,
    Amending,
    Cancelling,
    OrderStatus,
    Outcome,
    Submitted,
    Submitting,
)
from execution.pauses import Pauses
from execution.planned_stop import PlannedStop
from execution.tracking import OrderEvent, TrackedOrder
from execution.venue import (
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    Venue,
    VenueEvent,
    VenueOrder,
    VenueUnavailable,
    Withheld,
)
from risk.approval import ApprovedOrder

_LATE: Final = timedelta(hours=1)  # how long a venue may take to tell of a charge


class QueueFull(Transient):
    """The order was not taken, and nothing of it is on record."""


class IntakeClosed(Refused):
    """The engine is stopping; the order was not taken, and nothing of it is on record."""


class StaleIntent(Refused):
    """The intent is older than orders already forgotten, so it may be one of them; or what it would
    amend cannot be amended any more."""


class EngineSettings(BaseModel):
    """How the engine waits: the `[engine]` section of config/*.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    retries: Annotated[int, Field(ge=0)] = 3
    """How often an order is tried again at a venue that cannot be reached."""
    retry_delay: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=5)
    """Wait before the first retry; each later one waits twice as long."""
    lost_after: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(seconds=10)
    """How long an unanswered order may still turn up at a venue that does not know it."""
    queue: Annotated[int, Field(gt=0)] = 256
    """Orders that may wait to be sent; one more is not taken."""
    remembered: Annotated[int, Field(gt=0)] = 4096
    """Orders kept after they are done, for what the venue says late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillsCollected:
    """What the venue had filled and never told, each in the venue's order."""

    booked: list[str] = field(default_factory=list)  # ids: of orders of ours
    liquidated: list[Fill] = field(default_factory=list)  # forced on us; booked too
    foreign: list[str] = field(default_factory=list)  # ids: left alone


class Guardian(Protocol):
    """Who sees to what becomes of resting orders if we die: `execution.dead_man`."""

    async def before(self, approved: ApprovedOrder) -> None:
        """Called before an order goes out, with `Engine.wire` held; raises as `Venue.submit`."""
        ...

    def heard(self, fact: object) -> None:
        """A fact has gone on record."""
        ...


class _Nobody:
    """Where the venue is ours, what rests there ends with us."""

    async def before(self, approved: ApprovedOrder) -> None: ...

    def heard(self, fact: object) -> None: ...


async def to_the_end(work: Coroutine[None, None, None]) -> None:
    """Await `work` to its end; being cancelled meanwhile takes effect after it."""
    inner = asyncio.get_running_loop().create_task(work)  # awaited below, whatever happens
    cancelled: asyncio.CancelledError | None = None
    while not inner.done():
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError as error:
            cancelled = error
    inner.result()
    if cancelled is not None:
        raise cancelled


class Engine:
    """Carries approved orders to a venue and its fills to the ledger, for one account.

    The caller drives it (`work` and `settle`, bar by bar), or `run` does. Orders wait in a queue of
    `settings.queue`; a full one takes no more. A symbol's orders keep their sequence, but what only
    reduces a position, and cancellations, wait for no entry that could not be sent; while one has
    no answer, nothing else of that symbol goes out. An entry that could not be sent within
    `entries_last` of its approval never is; what reduces waits as long as it takes.
    """

    def __init__(
        self,
        *,
        venue: Venue,
        ledger: Ledger,
        journal: OrderJournal,
        clock: Clock,
        instruments: Mapping[Symbol, Instrument],
        settings: EngineSettings,
        entries_last: timedelta,
    ) -> None:
        self.venue = venue
        self.ledger = ledger
        self._instruments = dict(instruments)
        self.instruments: Mapping[Symbol, Instrument] = MappingProxyType(self._instruments)
        self.blotter = Blotter(ledger, self.instruments, remembered=settings.remembered)
        self.reconciled = False
        self.fills_seen = 0
        self._reconciled_at: datetime | None = None  # when last looked, whatever was found
        self._filled_from: datetime | None = None  # the oldest fill that was booked since then
        self._foreign_charges: frozenset[str] = frozenset()  # of those last told
        self._assets = {asset for symbol in instruments for asset in (symbol.base, symbol.quote)}
        self.listener: Callable[[Settled | Reconciliation], None] = lambda heard: None
        self.guardian: Guardian = _Nobody()
        self.wire = asyncio.Lock()  # held by whoever talks to the venue about orders
        self._journal = journal
        self.clock = clock
        self._settings = settings
        self._entries_last = entries_last
        self._submissions: dict[str, ApprovedOrder] = {}
        self._cancels: dict[str, Symbol] = {}
        self._unknown: dict[str, tuple[Symbol, datetime]] = {}  # since when
        self._pauses = Pauses(first=settings.retry_delay, retries=settings.retries)
        self._entry_pauses = Pauses(first=settings.retry_delay, retries=settings.retries)
        self._is_closed = False
        self._wake = asyncio.Event()

    async def recover(
        self,
        facts: AsyncIterable[object],
        *,
        tell: Callable[[Settled], None] = lambda settled: None,
    ) -> None:
        """Rebuild orders and ledger from the journal; facts of other kinds are passed over.

        The listener has heard what came of them; whose books begin anew is to `tell` himself.

        An order whose outcome is not on record will be asked about, never sent again, and so will
        one that was being amended; one that was being cancelled will be cancelled again. How long
        an order has been without an answer counts from when that went on record. Fills are asked
        for anew since the books last agreed: while they did not, one that the venue told late may
        have been passed over, as it goes before others that were counted.
        """
        since: dict[str, datetime] = {}
        async for fact in facts:
            for settled in self.blotter.apply(fact):
                tell(settled)
            self._date(fact)
            if isinstance(fact, Amending):
                since.pop(fact.client_order_id, None)
            elif isinstance(fact, Submitted | Amended) and fact.outcome is Outcome.UNKNOWN:
                since[fact.client_order_id] = fact.at
            elif isinstance(fact, Reconciliation) and fact.reconciled:
                self.fills_seen = fact.fills_seen
        now = self.clock.now()
        for order in self.blotter.orders:
            is_lost = _is_unanswered(order) and order.parent is None
            if is_lost or order.amending is not None:
                asked_for = since.get(order.client_order_id, now)
                self._unknown[order.client_order_id] = (order.order.symbol, asked_for)
            if order.cancelling:
                self._cancels[order.client_order_id] = order.order.symbol
        self._wake.set()

    def relist(self, instruments: Iterable[Instrument]) -> None:
        """Go by these grids and minimums from now on; everybody who was given ours does too."""
        for instrument in instruments:
            self._instruments[instrument.symbol] = instrument
            self.ledger.relist(instrument)

    def accept(self, approved: ApprovedOrder) -> None:
        """Put an order, or an amendment, on record and queue it; what is known already changes
        nothing.

        Raises:
            QueueFull: try again once `work` has run.
            IntakeClosed: the engine is stopping.
            StaleIntent: it was decided before an order that is forgotten by now, or amends what
                has ended or is about to change.
        """
        intent = approved.intent
        if intent.intent_id in self._submissions or self.blotter.find(intent.intent_id) is not None:
            return
        if self.blotter.may_have_had(intent.decided_at):
            raise StaleIntent(f"{intent.intent_id}: decided at {intent.decided_at}")
        if self._is_closed:
            raise IntakeClosed(f"{intent.intent_id}: the engine is stopping")
        if len(self._submissions) >= self._settings.queue:
            raise QueueFull(f"{intent.intent_id}: {len(self._submissions)} orders wait")
        self.record(self._begun(approved))
        self._submissions[intent.intent_id] = approved
        self._wake.set()

    def _begun(self, approved: ApprovedOrder) -> Submitting | Amending:
        intent, now = approved.intent, self.clock.now()
        if intent.amends is None:
            return Submitting.of(approved, at=now)
        amended = self.blotter.find(intent.amends)
        if amended is None or not amended.can_change:
            raise StaleIntent(f"{intent.intent_id}: {intent.amends} cannot be amended")
        return Amending.of(approved, at=now)

    def cancel(self, client_order_id: str) -> None:
        """Have an order cancelled; one that has ended or is not ours changes nothing.

        `work` takes one that still waits in the queue out of it. The venue's word ends the others.
        """
        order = self.blotter.find(client_order_id)
        if order is None or not self.blotter.is_live(client_order_id) or order.status.is_final:
            return
        if not order.cancelling:
            self.insist_cancelled(order)

    def insist_cancelled(self, order: TrackedOrder) -> None:
        """Have an order cancelled at the venue, whatever we thought of it, or again."""
        if not order.cancelling:
            self.record(Cancelling(client_order_id=order.client_order_id, at=self.clock.now()))
        self._cancels[order.client_order_id] = order.order.symbol
        self._wake.set()

    @property
    def has_work(self) -> bool:
        """Whether `work` has something to send, to ask or to wait for."""
        return bool(self._submissions or self._cancels or self._unknown)

    async def work(self) -> None:
        """Send and ask what is queued and not paused; return once each outcome is on record.

        It does not wait for a pause to end: call again when time has passed. A submission on the
        wire is shielded from cancellation until its outcome is on record.
        """
        if not self.has_work:
            return
        async with self.wire:
            submissions, cancels = tuple(self._submissions.values()), tuple(self._cancels)
            await self._journal.flush()
            await self.ask_unanswered()
            await self._send_cancels(cancels)
            for approved in submissions:
                await self._send(approved)

    async def send_cancels(self) -> None:
        """Send every cancellation that is queued and not paused; hold `wire` while this runs."""
        await self._journal.flush()
        await self._send_cancels(tuple(self._cancels))

    async def send_reducing(self) -> None:
        """Send what waits and only reduces a position; hold `wire` while this runs."""
        if waiting := [each for each in self._submissions.values() if each.intent.reduces]:
            await self._journal.flush()
            for approved in waiting:
                await self._send(approved)

    async def _send_cancels(self, cancels: Iterable[str]) -> None:
        for client_order_id in cancels:
            if client_order_id not in self._submissions:
                await self._send_cancel(client_order_id)

    async def _send(self, approved: ApprovedOrder) -> None:
        """Send what waits in the queue, unless it may not go out now, or not at all."""
        intent = approved.intent
        if intent.intent_id not in self._submissions:
            return
        if intent.intent_id in self._cancels:
            del self._cancels[intent.intent_id]
            self._withdraw(intent.intent_id, "cancelled before it was sent")
        elif self._is_held(intent.symbol) or self._waits_as_entry(approved):
            return
        elif self._is_too_old(approved):
            self._withdraw(intent.intent_id, "too old to be sent")
        elif self._amends_what_ends(approved):
            self._withdraw(intent.intent_id, "what it would amend has ended, or is about to")
        else:
            await to_the_end(self._submit(approved))

    async def ask_unanswered(self, *, at_once: bool = False) -> None:
        """Ask the venue about every order without an answer; hold `wire` while this runs.

        `at_once` asks too where the venue could not tell a moment ago, and would be left in peace.
        """
        for client_order_id, (symbol, since) in tuple(self._unknown.items()):
            if at_once or not self._pauses.holds(symbol, self.clock.now()):
                await self._ask(client_order_id, symbol, since)

    def settle(self) -> None:
        """Put on record and book what the venue has told since the last call."""
        if self.venue.pending:
            for event in self.venue.drain():
                if self._is_news(event):
                    self.record(event)

    def record(self, fact: Submitting | OrderEvent | Charge | SetAside | Reconciliation) -> None:
        """Write a fact to the journal, take it in, and tell the listener what came of it."""
        self._journal.write(fact)
        self._date(fact)
        for settled in self.blotter.apply(fact):
            if isinstance(settled, OrderRisen):
                self.insist_cancelled(settled.order)
            self.listener(settled)
        self.guardian.heard(fact)

    def take_outcome(self, fact: Submitted | Amended) -> None:
        """Take in, from a record, what came of an order that waits here to be sent."""
        self._submissions.pop(intent_of(fact), None)
        self.record(fact)

    def conclude(self, reconciliation: Reconciliation) -> None:
        """Put the result on record, and tell it; new exposure rests on it from now on."""
        self.record(reconciliation)
        self.reconciled = reconciliation.reconciled
        self.listener(reconciliation)

    async def collect_fills(self) -> FillsCollected:
        """Book what the venue has filled and never told; hold `wire` while this runs."""
        fills = await self.venue.fills(after=self.fills_seen)
        self.settle()
        found = FillsCollected()
        for fill in fills:
            if self.ledger.has(fill.fill_id):
                continue
            if self.blotter.find(fill.client_order_id) is not None:
                found.booked.append(fill.fill_id)
            elif self.blotter.is_liquidation(fill):
                found.liquidated.append(fill)
            else:
                found.foreign.append(fill.fill_id)
                continue
            self.record(fill)
        self.fills_seen += len(fills)
        return found

    async def collect_charges(self) -> tuple[str, ...]:
        """Book what the venue has charged us for; hold `wire` while this runs.

        The fills that it is charged for are booked before: a charge counts in its open trade.

        Returns:
            The ids of the charges that are not ours, each once.
        """
        since = self._reconciled_at - _LATE if self._reconciled_at is not None else None
        if since is not None and self._filled_from is not None:
            since = min(since, self._filled_from)  # a fill that comes late has late charges
        charges = await self.venue.charges(since=since)
        self.settle()
        for charge in charges:
            if self._is_news(charge):
                self.record(charge)
        foreign = [charge.charge_id for charge in charges if not self._is_ours(charge)]
        before, self._foreign_charges = self._foreign_charges, frozenset(foreign)
        return tuple(charge_id for charge_id in foreign if charge_id not in before)

    def _date(self, fact: object) -> None:
        """Note how far back charges may have to be asked for."""
        if isinstance(fact, Reconciliation):
            if fact.was_asked:
                self._reconciled_at, self._filled_from = fact.at, None
        elif isinstance(fact, Fill):
            self._filled_from = min(self._filled_from or fact.filled_at, fact.filled_at)

    def _is_news(self, event: VenueEvent | Charge) -> bool:
        """Whether it is not booked yet: what we have asked for, the venue may tell once more."""
        match event:
            case Charge():
                return self._is_ours(event) and not self.ledger.has_charge(event.charge_id)
            case Fill():
                return not self.ledger.has(event.fill_id)
            case OrderChanged():
                return True

    def _is_ours(self, charge: Charge) -> bool:
        """Whether it is for something that is traded here, and paid in something that is."""
        is_traded = charge.symbol is None or charge.symbol in self.instruments
        return is_traded and charge.asset in self._assets

    @property
    def waiting(self) -> Collection[str]:
        """Orders that wait to be sent, or to be sent again."""
        return self._submissions.keys()

    @property
    def has_cancels(self) -> bool:
        """Whether there are cancellations that have not reached the venue."""
        return bool(self._cancels)

    @property
    def unanswered(self) -> frozenset[str]:
        """Orders that were sent, or perhaps sent, and of which the venue has not yet told."""
        return frozenset(self._unknown)

    def may_yet_show(self, order: TrackedOrder) -> bool:
        """Whether the venue's answers may lag behind an order that it does not know when asked."""
        return self.clock.now() - order.told_at < self._settings.lost_after

    def is_overdue(self, order: TrackedOrder) -> bool:
        """Whether its end was asked for so long ago that the venue should have told of it."""
        since = order.cancelling_since
        if since is None or order.status.is_final:
            return False
        return self.clock.now() - since >= self._settings.lost_after

    @property
    def orders(self) -> tuple[TrackedOrder, ...]:
        """The orders that may still fill or have fills to come, oldest first."""
        return self.blotter.orders

    @property
    def trading_orders(self) -> tuple[TrackedOrder, ...]:
        """Those of `orders` that concern positions: all but what exchanges holdings."""
        return self.blotter.trading_orders

    @property
    def plans(self) -> Mapping[Symbol, PlannedStop]:
        """The stop that each open position should have."""
        return self.blotter.plans

    @property
    def revision(self) -> int:
        """A number that grows with every change of an order, and so of a position."""
        return self.blotter.revision

    def account(self, as_of: datetime) -> AccountState:
        """The book at `as_of`, with what is in flight."""
        return self.ledger.account(
            as_of=as_of,
            in_flight=self.blotter.in_flight(),
            exchanging=self.blotter.exchanging(),
            reconciled=self.reconciled,
        )

    async def run(self) -> None:
        """Work until cancelled; if one task fails, the others stop and the error surfaces."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._submit_orders(), name="submit-orders")
            tasks.create_task(self._book_fills(), name="book-fills")
            tasks.create_task(self._resume(), name="resume-paused")

    async def drain(self) -> None:
        """Take no more orders, send those that wait once, and put everything on disk."""
        self._is_closed = True
        await self.work()
        async with self.wire:
            for client_order_id in tuple(self._submissions):
                self._withdraw(client_order_id, "not sent before the engine stopped")
        self.settle()
        await self._journal.flush()

    async def _submit_orders(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.work()

    async def _book_fills(self) -> None:
        while True:
            await self.venue.wait()
            self.settle()

    async def _resume(self) -> None:
        while True:
            await self.clock.sleep(self._settings.retry_delay)
            if self.has_work:
                self._wake.set()

    async def _submit(self, approved: ApprovedOrder) -> None:
        intent = approved.intent
        pauses = self._pauses if intent.reduces else self._entry_pauses
        outcome, detail = await self._outcome(approved)
        if outcome is Outcome.UNAVAILABLE and not pauses.is_exhausted(intent.symbol):
            pauses.failed(intent.symbol, self.clock.now())
            return
        del self._submissions[intent.intent_id]
        pauses.succeeded(intent.symbol)
        self._answer(approved, outcome, detail)
        if outcome is Outcome.UNKNOWN:
            now, subject = self.clock.now(), intent.amends or intent.intent_id
            self._unknown[subject] = (intent.symbol, now)
            await self._ask(subject, intent.symbol, now)

    async def _outcome(self, approved: ApprovedOrder) -> tuple[Outcome, str]:
        try:
            if approved.intent.amends is not None:
                wish = Amending.of(approved, at=approved.approved_at)
                await self.venue.amend(
                    wish.client_order_id, trigger=wish.trigger, quantity=wish.quantity
                )
            else:
                await self.guardian.before(approved)
                await self.venue.submit(approved)
        except VenueUnavailable as error:
            return Outcome.UNAVAILABLE, str(error)
        except Withheld as error:
            return Outcome.WITHHELD, str(error)
        except OrderRefused as error:
            return Outcome.REFUSED, str(error)
        except OutcomeUnknown as error:
            return Outcome.UNKNOWN, str(error)
        return Outcome.ACCEPTED, ""

    async def _ask(self, client_order_id: str, symbol: Symbol, since: datetime) -> None:
        """Learn from the venue what became of an order, or of the wish to amend it, unless an event
        tells of the order first."""
        found, could_tell = None, True
        try:
            found = await self.venue.order(client_order_id)
            if found is not None and found.filled:
                await self.collect_fills()
        except (VenueUnavailable, OutcomeUnknown):
            could_tell = False
        self.settle()
        order, now = self.blotter.find(client_order_id), self.clock.now()
        is_lost = could_tell and now - since >= self._settings.lost_after
        if order is not None and not self._learn(order, found, is_lost=is_lost, now=now):
            self._pauses.failed(symbol, now)
            return
        self._pauses.succeeded(symbol)
        del self._unknown[client_order_id]

    def _learn(
        self, order: TrackedOrder, found: VenueOrder | None, *, is_lost: bool, now: datetime
    ) -> bool:
        """Take in how the venue holds an order, or that it does not; whether that is certain."""
        if order.amending is not None:
            answer = learned(order.amending, found, is_lost=is_lost, at=now)
            if answer is None:
                return False
            self.record(answer)
            order = self.blotter.find(order.client_order_id) or order
        if found is not None:
            self.record(OrderChanged(order=found, at=order.told_at, reason="asked"))
        elif _is_unanswered(order):
            if order.status is OrderStatus.SUBMITTING:
                self._give(order, Outcome.UNKNOWN, "no answer when its process ended", now)
            if not is_lost:
                return False
            self._give(order, Outcome.UNAVAILABLE, NEVER_SEEN, now)
        return True

    def _give(self, order: TrackedOrder, outcome: Outcome, why: str, at: datetime) -> None:
        """Put on record what we make of an order that nobody has answered for."""
        name = order.client_order_id
        self.record(Submitted(client_order_id=name, outcome=outcome, detail=why, at=at))

    async def _send_cancel(self, client_order_id: str) -> None:
        symbol = self._cancels[client_order_id]
        if self._is_held(symbol):
            return
        try:
            await self.venue.cancel(client_order_id)
        except (VenueUnavailable, OutcomeUnknown):
            self._pauses.failed(symbol, self.clock.now())
            return
        self._pauses.succeeded(symbol)
        del self._cancels[client_order_id]

    def _answer(self, approved: ApprovedOrder, outcome: Outcome, detail: str) -> None:
        self.record(answered(approved, outcome, detail, at=self.clock.now()))

    def _withdraw(self, intent_id: str, why: str) -> None:
        self._answer(self._submissions.pop(intent_id), Outcome.WITHHELD, why)

    def _amends_what_ends(self, approved: ApprovedOrder) -> bool:
        amends = approved.intent.amends
        if amends is None:
            return False
        order = self.blotter.find(amends)
        return order is None or order.status.is_final or order.cancelling

    def _is_too_old(self, approved: ApprovedOrder) -> bool:
        """Whether the market may have left the price that an entry was approved at."""
        age = self.clock.now() - approved.approved_at
        return not approved.intent.reduces and age > self._entries_last

    def _waits_as_entry(self, approved: ApprovedOrder) -> bool:
        """Whether the venue has turned away an entry of that symbol of late."""
        intent = approved.intent
        return not intent.reduces and self._entry_pauses.holds(intent.symbol, self.clock.now())

    def _is_held(self, symbol: Symbol) -> bool:
        unanswered = any(symbol == asked for asked, _ in self._unknown.values())
        return unanswered or self._pauses.holds(symbol, self.clock.now())


def _is_unanswered(order: TrackedOrder) -> bool:
    return order.status in (OrderStatus.SUBMITTING, OrderStatus.UNKNOWN)
