"""What waits to be sent: it goes to the venue once and in its turn, or not at all."""

import asyncio
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from data.clock import Clock
from data.instrument import Symbol
from execution.answering import NEVER_SEEN, answered, learned
from execution.blotter import Blotter
from execution.journal import OrderJournal
from execution.order import Amended, Amending, OrderStatus, Outcome, Submitted
from execution.pauses import Pauses
from execution.shielded import to_the_end
from execution.tracking import TrackedOrder
from execution.venue import (
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    Venue,
    VenueOrder,
    VenueUnavailable,
    Withheld,
)
from risk.approval import ApprovedOrder


class Guardian(Protocol):
    """Who sees to what becomes of resting orders if we die: `execution.dead_man`."""

    async def before(self, approved: ApprovedOrder) -> None:
        """Called before an order goes out, with `Outbox.wire` held; raises as `Venue.submit`."""
        ...

    def heard(self, fact: object) -> None:
        """A fact has gone on record."""
        ...


class Books(Protocol):
    """Who takes in what comes of sending: `execution.engine`."""

    @property
    def guardian(self) -> Guardian:
        """Who is asked before an order goes out."""
        ...

    @property
    def blotter(self) -> Blotter:
        """The orders, as they are on record."""
        ...

    def record(self, fact: Submitted | Amended | OrderChanged) -> None:
        """Put `fact` on record, and take it in."""
        ...

    def settle(self) -> None:
        """Take in what the venue has told by itself."""
        ...

    async def collect_fills(self) -> object:
        """Take in what the venue has filled and never told."""
        ...


class Outbox:
    """Orders and cancellations that wait, and orders that were sent and have no answer.

    A symbol's orders keep their sequence, but what only reduces a position, and cancellations, wait
    for no entry that could not be sent; while one has no answer, nothing else of that symbol goes
    out. An entry that could not be sent within `entries_last` of its approval never is; what
    reduces waits as long as it takes.
    """

    def __init__(
        self,
        books: Books,
        *,
        venue: Venue,
        journal: OrderJournal,
        clock: Clock,
        retries: int,
        retry_delay: timedelta,
        lost_after: timedelta,
        entries_last: timedelta,
    ) -> None:
        self.wire = asyncio.Lock()  # held by whoever talks to the venue about orders
        self._books = books
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._lost_after = lost_after
        self._entries_last = entries_last
        self._submissions: dict[str, ApprovedOrder] = {}
        self._cancels: dict[str, Symbol] = {}
        self._unknown: dict[str, tuple[Symbol, datetime]] = {}  # since when
        self._pauses = Pauses(first=retry_delay, retries=retries)
        self._entry_pauses = Pauses(first=retry_delay, retries=retries)

    def put(self, approved: ApprovedOrder) -> None:
        """Have an order, or an amendment, sent; the wish is on record."""
        self._submissions[approved.intent.intent_id] = approved

    def put_cancel(self, order: TrackedOrder) -> None:
        """Have an order cancelled; the wish is on record."""
        self._cancels[order.client_order_id] = order.order.symbol

    def ask_about(self, order: TrackedOrder, since: datetime) -> None:
        """Have the venue asked what became of an order; it has been without an answer `since`."""
        self._unknown[order.client_order_id] = (order.order.symbol, since)

    def take_out(self, intent_id: str) -> None:
        """Leave unsent what waits, if it does: what came of it is known."""
        self._submissions.pop(intent_id, None)

    def withdraw_all(self, why: str) -> None:
        """Put on record of everything that waits that it is not sent."""
        for intent_id in tuple(self._submissions):
            self._withdraw(intent_id, why)

    @property
    def has_work(self) -> bool:
        """Whether there is something to send, to ask or to wait for."""
        return bool(self._submissions or self._cancels or self._unknown)

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
            if at_once or not self._pauses.holds(symbol, self._clock.now()):
                await self._ask(client_order_id, symbol, since)

    async def _submit(self, approved: ApprovedOrder) -> None:
        intent = approved.intent
        pauses = self._pauses if intent.reduces else self._entry_pauses
        outcome, detail = await self._outcome(approved)
        if outcome is Outcome.UNAVAILABLE and not pauses.is_exhausted(intent.symbol):
            pauses.failed(intent.symbol, self._clock.now())
            return
        del self._submissions[intent.intent_id]
        pauses.succeeded(intent.symbol)
        self._answer(approved, outcome, detail)
        if outcome is Outcome.UNKNOWN:
            now, subject = self._clock.now(), intent.amends or intent.intent_id
            self._unknown[subject] = (intent.symbol, now)
            await self._ask(subject, intent.symbol, now)

    async def _outcome(self, approved: ApprovedOrder) -> tuple[Outcome, str]:
        try:
            if approved.intent.amends is not None:
                wish = Amending.of(approved, at=approved.approved_at)
                await self._venue.amend(
                    wish.client_order_id, trigger=wish.trigger, quantity=wish.quantity
                )
            else:
                await self._books.guardian.before(approved)
                await self._venue.submit(approved)
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
            found = await self._venue.order(client_order_id)
            if found is not None and found.filled:
                await self._books.collect_fills()
        except (VenueUnavailable, OutcomeUnknown):
            could_tell = False
        self._books.settle()
        order, now = self._books.blotter.find(client_order_id), self._clock.now()
        is_lost = could_tell and now - since >= self._lost_after
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
            self._books.record(answer)
            order = self._books.blotter.find(order.client_order_id) or order
        if found is not None:
            self._books.record(OrderChanged(order=found, at=order.told_at, reason="asked"))
        elif order.is_unanswered:
            if order.status is OrderStatus.SUBMITTING:
                self._give(order, Outcome.UNKNOWN, "no answer when its process ended", now)
            if not is_lost:
                return False
            self._give(order, Outcome.UNAVAILABLE, NEVER_SEEN, now)
        return True

    def _give(self, order: TrackedOrder, outcome: Outcome, why: str, at: datetime) -> None:
        """Put on record what we make of an order that nobody has answered for."""
        name = order.client_order_id
        self._books.record(Submitted(client_order_id=name, outcome=outcome, detail=why, at=at))

    async def _send_cancel(self, client_order_id: str) -> None:
        symbol = self._cancels[client_order_id]
        if self._is_held(symbol):
            return
        try:
            await self._venue.cancel(client_order_id)
        except (VenueUnavailable, OutcomeUnknown):
            self._pauses.failed(symbol, self._clock.now())
            return
        self._pauses.succeeded(symbol)
        del self._cancels[client_order_id]

    def _answer(self, approved: ApprovedOrder, outcome: Outcome, detail: str) -> None:
        self._books.record(answered(approved, outcome, detail, at=self._clock.now()))

    def _withdraw(self, intent_id: str, why: str) -> None:
        self._answer(self._submissions.pop(intent_id), Outcome.WITHHELD, why)

    def _amends_what_ends(self, approved: ApprovedOrder) -> bool:
        amends = approved.intent.amends
        if amends is None:
            return False
        order = self._books.blotter.find(amends)
        return order is None or order.status.is_final or order.cancelling

    def _is_too_old(self, approved: ApprovedOrder) -> bool:
        """Whether the market may have left the price that an entry was approved at."""
        age = self._clock.now() - approved.approved_at
        return not approved.intent.reduces and age > self._entries_last

    def _waits_as_entry(self, approved: ApprovedOrder) -> bool:
        """Whether the venue has turned away an entry of that symbol of late."""
        intent = approved.intent
        return not intent.reduces and self._entry_pauses.holds(intent.symbol, self._clock.now())

    def _is_held(self, symbol: Symbol) -> bool:
        unanswered = any(symbol == asked for asked, _ in self._unknown.values())
        return unanswered or self._pauses.holds(symbol, self._clock.now())
