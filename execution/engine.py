"""The engine: an order is on record before it is on the wire, and goes there once."""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from data.account import AccountState
from data.clock import Clock
from data.faults import Refused, Transient
from data.instrument import Instrument, Symbol
from execution.answering import intent_of
from execution.blotter import Blotter, OrderRisen, Settled
from execution.charge import Charge
from execution.charges_due import ChargesDue
from execution.difference import Reconciliation
from execution.fill import Fill
from execution.holdings import SetAside
from execution.journal import OrderJournal
from execution.ledger import Ledger
from execution.order import Amended, Amending, Cancelling, Outcome, Submitted, Submitting
from execution.outbox import Guardian, Outbox
from execution.planned_stop import PlannedStop
from execution.tracking import OrderEvent, TrackedOrder
from execution.venue import OrderChanged, Venue, VenueEvent
from risk.approval import ApprovedOrder


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


class _Nobody:
    """Where the venue is ours, what rests there ends with us."""

    async def before(self, approved: ApprovedOrder) -> None: ...

    def heard(self, fact: object) -> None: ...


class Engine:
    """Carries approved orders to a venue and its fills to the ledger, for one account.

    The caller drives it (`work` and `settle`, bar by bar), or `run` does. Orders wait in the
    `outbox`, which says what goes out when; with `settings.queue` of them it takes no more.
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
        self._charges_due = ChargesDue()
        self._foreign_charges: frozenset[str] = frozenset()  # of those last told
        self._assets = {asset for symbol in instruments for asset in (symbol.base, symbol.quote)}
        self.listener: Callable[[Settled | Reconciliation], None] = lambda heard: None
        self.guardian: Guardian = _Nobody()
        self._journal = journal
        self.clock = clock
        self._settings = settings
        self.outbox = Outbox(
            self,
            venue=venue,
            journal=journal,
            clock=clock,
            retries=settings.retries,
            retry_delay=settings.retry_delay,
            lost_after=settings.lost_after,
            entries_last=entries_last,
        )
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
            self._charges_due.hear(fact)
            if isinstance(fact, Amending):
                since.pop(fact.client_order_id, None)
            elif isinstance(fact, Submitted | Amended) and fact.outcome is Outcome.UNKNOWN:
                since[fact.client_order_id] = fact.at
            elif isinstance(fact, Reconciliation) and fact.reconciled:
                self.fills_seen = fact.fills_seen
        now = self.clock.now()
        for order in self.blotter.orders:
            is_lost = order.is_unanswered and order.parent is None
            if is_lost or order.amending is not None:
                self.outbox.ask_about(order, since.get(order.client_order_id, now))
            if order.cancelling:
                self.outbox.put_cancel(order)
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
        intent, waiting = approved.intent, self.outbox.waiting
        if intent.intent_id in waiting or self.blotter.find(intent.intent_id) is not None:
            return
        if self.blotter.may_have_had(intent.decided_at):
            raise StaleIntent(f"{intent.intent_id}: decided at {intent.decided_at}")
        if self._is_closed:
            raise IntakeClosed(f"{intent.intent_id}: the engine is stopping")
        if len(waiting) >= self._settings.queue:
            raise QueueFull(f"{intent.intent_id}: {len(waiting)} orders wait")
        self.record(self._begun(approved))
        self.outbox.put(approved)
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
        self.outbox.put_cancel(order)
        self._wake.set()

    async def work(self) -> None:
        """Send and ask what is queued and not paused; return once each outcome is on record.

        It does not wait for a pause to end: call again when time has passed. A submission on the
        wire is shielded from cancellation until its outcome is on record.
        """
        await self.outbox.work()

    def settle(self) -> None:
        """Put on record and book what the venue has told since the last call."""
        if self.venue.pending:
            for event in self.venue.drain():
                if self._is_news(event):
                    self.record(event)

    def record(self, fact: Submitting | OrderEvent | Charge | SetAside | Reconciliation) -> None:
        """Write a fact to the journal, take it in, and tell the listener what came of it."""
        self._journal.write(fact)
        self._charges_due.hear(fact)
        for settled in self.blotter.apply(fact):
            if isinstance(settled, OrderRisen):
                self.insist_cancelled(settled.order)
            self.listener(settled)
        self.guardian.heard(fact)

    def take_outcome(self, fact: Submitted | Amended) -> None:
        """Take in, from a record, what came of an order that waits here to be sent."""
        self.outbox.take_out(intent_of(fact))
        self.record(fact)

    def conclude(self, reconciliation: Reconciliation) -> None:
        """Put the result on record, and tell it; new exposure rests on it from now on."""
        self.record(reconciliation)
        self.reconciled = reconciliation.reconciled
        self.listener(reconciliation)

    async def collect_fills(self) -> FillsCollected:
        """Book what the venue has filled and never told; hold `outbox.wire` while this runs."""
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
        """Book what the venue has charged us for; hold `outbox.wire` while this runs.

        The fills that it is charged for are booked before: a charge counts in its open trade.

        Returns:
            The ids of the charges that are not ours, each once.
        """
        charges = await self.venue.charges(since=self._charges_due.since)
        self.settle()
        for charge in charges:
            if self._is_news(charge):
                self.record(charge)
        foreign = [charge.charge_id for charge in charges if not self._is_ours(charge)]
        before, self._foreign_charges = self._foreign_charges, frozenset(foreign)
        return tuple(charge_id for charge_id in foreign if charge_id not in before)

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
        async with self.outbox.wire:
            self.outbox.withdraw_all("not sent before the engine stopped")
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
            if self.outbox.has_work:
                self._wake.set()
