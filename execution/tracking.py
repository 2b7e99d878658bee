"""The order state machine: where an order stands after each thing that we or its venue report.

    now \\ event    accepted  refused,     unknown  venue:   partly  filled  cancelled,  rejected
                             withheld,             open                     expired
                             unavailable
    submitting     open      rejected     unknown  open     partly  filled  as said     rejected
    unknown        open      rejected     unknown  open     partly  filled  as said     rejected
    open           open      Corrupt      open     open     partly  filled  as said     rejected
    partly filled  partly    Corrupt      partly   partly   partly  filled  as said     Corrupt
    filled         filled    Corrupt      filled   filled   filled  filled  filled      Corrupt
    cancelled      as is     Corrupt      as is    as is    as is   as is   as is       as is (5)
    expired        as is     Corrupt      as is    as is    as is   as is   as is       as is (5)
    rejected       as is     as is        as is    as is    as is   as is   as is       as is (5)

1. A final status never changes: what comes later about the status is late, doubled or reordered.
   Of changes that come in the wrong order, the latest by the venue's time sets the size.
2. Fills are counted whatever the status, each `fill_id` once, for money has moved: a fill that
   comes after the end, even after a rejection, is booked and leaves the status. A first fill makes
   a working order partly filled, the last one filled.
3. What the venue says is filled but has not yet sent as fills is still to come: the order is not
   `done`, and its remainder is not zero, until those fills are here.
4. More filled than was asked, another symbol, side or size, or a state that no venue has is
   `Corrupt`: it is not our order that the venue talks about. Children and reduce-only orders may
   be smaller at the venue than here; there they follow the position.
5. A venue's rejection of an order that has traded is `Corrupt`, whatever the status.
6. To cancel only marks an order that still works; the venue decides whether it came in time.
7. So does to amend one. Trigger and size become what was asked for once the venue has accepted it;
   until there is an answer, the larger size may fill. From the first answer on, trigger and size
   are what the venue says, unless it says so of a time before the latest answer.

Who sees to it that each state ends, and when:

    submitting     `Engine`: an entry waits no longer than `max_price_age` of the limits, and any
                   order no longer than its retries; then it is given up
    unknown        `Engine`: asked after until the venue answers; what it does not know `lost_after`
                   from the doubt on never was
    open, partly   what rests first: `passive.cross_after`; an exchange of holdings: its `patience`;
      filled       an entry at a limit: `venue.entries_rest`, where the venue ends orders, and
                   should we die `execution.dead_man`; a stop or a target: with its position, and
                   an exit beside its stop, by `execution.protection`
    cancelling     `reconcile`: an open question after `lost_after`, and asked for again
    amending       as unknown
    filled         `reconcile`: an open question until the fills are here

While a question is open nothing is entered, and one that outlasts a look goes to a person
(`AlertKind.BOOKS`).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Self

from data.faults import Corrupt
from data.instrument import Quantity
from execution.fill import Fill
from execution.order import (
    Amended,
    Amending,
    Cancelling,
    Order,
    OrderStatus,
    Outcome,
    Submitted,
    Submitting,
)
from execution.venue import OrderChanged, VenueOrder, stop_id
from risk.intent import Purpose

OrderEvent = Submitted | Cancelling | Amending | Amended | OrderChanged | Fill

_NOTHING = Quantity(Decimal(0))


class IllegalTransition(Corrupt):
    """An order cannot come to be what it is said to be."""


_UNSETTLED = frozenset({OrderStatus.SUBMITTING, OrderStatus.UNKNOWN})
_AFTER_OUTCOME = (
    {(status, Outcome.ACCEPTED): OrderStatus.OPEN for status in _UNSETTLED}
    | {
        (status, outcome): OrderStatus.REJECTED
        for status in _UNSETTLED
        for outcome in (Outcome.REFUSED, Outcome.WITHHELD, Outcome.UNAVAILABLE)
    }
    | {(status, Outcome.UNKNOWN): OrderStatus.UNKNOWN for status in _UNSETTLED}
    | {
        (status, outcome): status
        for status in OrderStatus
        for outcome in Outcome
        if status not in _UNSETTLED
        and (outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN) or status is OrderStatus.REJECTED)
    }
)
"""Where a submission's outcome leads; what is not here is illegal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedOrder:
    """An order of ours and all that is known of it; sizes in base, above zero."""

    order: Order
    decided_at: datetime
    recorded_at: datetime  # when it was put on record; a child's parent, for a child
    status: OrderStatus = OrderStatus.SUBMITTING
    size: Quantity  # at the venue, as it last said
    filled: Quantity = _NOTHING  # the fills that are booked
    reported: Quantity = _NOTHING  # the most that the venue has said is filled
    fill_ids: frozenset[str] = frozenset()
    changed_at: datetime | None = None  # venue time of the latest change that it has told
    cancelling_since: datetime | None = None  # we asked for its end first
    parent: str | None = None  # the entry that a venue's own protective stop belongs to
    amending: Amending | None = None  # what was asked for, and has no answer
    amended_at: datetime | None = None  # the latest answer to such a wish
    largest: Quantity = _NOTHING  # of the sizes it had or was asked to have; zero: never amended
    is_fixed: bool = False  # the venue has declined to amend it

    @classmethod
    def of(cls, fact: Submitting) -> Self:
        return cls(
            order=fact.order,
            decided_at=fact.decided_at,
            recorded_at=fact.at,
            size=fact.order.quantity,
        )

    def child(self) -> "TrackedOrder":
        """The protective stop that a venue places for this entry, before it has said anything.

        It may grow to the entry's whole quantity and has no size yet.
        """
        parent = self.order
        stop = replace(
            parent,
            client_order_id=stop_id(parent.client_order_id),
            side=parent.side.opposite,
            purpose=Purpose.PROTECTION,
            trigger=parent.stop,
            limit=None,
            stop=None,
            target=None,
            thesis="",
            falsified_at=None,
            atr=None,
            post_only=False,
            completes=None,
            reduce_only=True,
        )
        return TrackedOrder(
            order=stop,
            decided_at=self.decided_at,
            recorded_at=self.recorded_at,
            size=_NOTHING,
            parent=parent.client_order_id,
        )

    @property
    def client_order_id(self) -> str:
        return self.order.client_order_id

    @property
    def is_unanswered(self) -> bool:
        """It was sent, or perhaps sent, and the venue has not said what became of it."""
        return self.status in _UNSETTLED

    @property
    def is_done(self) -> bool:
        """Nothing more is to come: the status is final, and every reported fill is booked."""
        return self.status.is_final and self.filled >= self.reported

    @property
    def remaining(self) -> Quantity:
        """What may still fill, or has filled at the venue and is not yet booked here."""
        size = self.reported if self.status.is_final else max(self.size, self.reported)
        return Quantity(max(size - self.filled, _NOTHING))

    @property
    def cancelling(self) -> bool:
        """Whether we have asked for its end."""
        return self.cancelling_since is not None

    @property
    def told_at(self) -> datetime:
        """The time that an answer to a question about it has, which is new whatever came before."""
        known = self.changed_at or self.recorded_at
        return known if self.amended_at is None else max(known, self.amended_at)

    @property
    def can_change(self) -> bool:
        """Whether the venue may be asked to amend it: a stop of our own that rests, and of which
        nothing has filled or is under way."""
        busy = self.cancelling or self.filled or self.reported or self.amending is not None
        is_free = self.is_protective and self.parent is None and not self.is_fixed
        return is_free and not busy and self.status is OrderStatus.OPEN

    @property
    def coming(self) -> Quantity:
        """What remains of it beside `remaining`, or instead, once it is amended as asked; zero
        where nothing is asked."""
        return Quantity(self.amending.quantity - self.filled) if self.amending else _NOTHING

    @property
    def is_protective(self) -> bool:
        """Whether it is a stop that can only reduce a position."""
        order = self.order
        return order.reduce_only and order.trigger is not None and not order.takes_profit

    @property
    def is_target(self) -> bool:
        """Whether it is a take-profit order that can only reduce a position."""
        return self.order.reduce_only and self.order.takes_profit

    def after(self, event: OrderEvent) -> "TrackedOrder":
        """This order once `event` is known; itself, if that is nothing new.

        Raises:
            IllegalTransition: what the module's table and rules 4 and 5 exclude.
        """
        match event:
            case Submitted():
                return self._after_outcome(event)
            case Cancelling():
                idle = self.cancelling or self.status.is_final
                return self if idle else replace(self, cancelling_since=event.at)
            case Amending():
                return self._after_wish(event)
            case Amended():
                return self._after_answer(event)
            case OrderChanged():
                return self._after_change(event)
            case Fill():
                return self._after_fill(event)

    def _after_outcome(self, event: Submitted) -> "TrackedOrder":
        status = _AFTER_OUTCOME.get((self.status, event.outcome))
        if status is None:
            raise self._illegal(event)
        return self if status is self.status else replace(self, status=status)

    def _after_wish(self, wish: Amending) -> "TrackedOrder":
        if self.status.is_final:
            return self
        largest = max(self.largest, self.order.quantity, wish.quantity)
        return replace(self, amending=wish, largest=largest)

    def _after_answer(self, event: Amended) -> "TrackedOrder":
        """The order once the venue has said what came of a wish; other answers are old ones."""
        wish = self.amending
        is_open = event.outcome is Outcome.UNKNOWN
        if wish is None or wish.amendment_id != event.amendment_id or is_open:
            return self
        order, size = self.order, self.size
        if event.outcome is Outcome.ACCEPTED:
            size = wish.quantity
            order = replace(order, trigger=wish.trigger, quantity=size)
        is_whole = not self.status.is_final and self.filled >= order.quantity
        return replace(
            self,
            order=order,
            size=self.size if self.status.is_final else size,
            status=OrderStatus.FILLED if is_whole else self.status,
            amending=None,
            amended_at=event.at,
            is_fixed=self.is_fixed or event.outcome is Outcome.REFUSED,
        )

    def _after_change(self, event: OrderChanged) -> "TrackedOrder":
        said = event.order
        traded = max(self.filled, self.reported, said.filled) > 0
        if not self._is_about_this(said) or (said.status is OrderStatus.REJECTED and traded):
            raise self._illegal(event)
        status = self.status if self.status.is_final else said.status
        if status is OrderStatus.OPEN and traded:
            status = OrderStatus.PARTIALLY_FILLED
        whole = said.quantity if said.status is OrderStatus.FILLED else said.filled
        reported = max(self.reported, whole)
        late = self.changed_at is not None and event.at < self.changed_at
        before = self.amended_at is not None and event.at < self.amended_at
        size = self.size if late or before or self.status.is_final else said.quantity
        order = self.order if late or before else self._as_said(said)
        if (order, status, reported, size) == (self.order, self.status, self.reported, self.size):
            return self
        changed_at = self.changed_at if late else event.at
        return replace(
            self, order=order, status=status, reported=reported, size=size, changed_at=changed_at
        )

    def _as_said(self, said: VenueOrder) -> Order:
        """What the venue says that it holds, of an order that has been amended."""
        if self.amended_at is None or self.status.is_final or said.trigger is None:
            return self.order
        return replace(self.order, trigger=said.trigger, quantity=said.quantity)

    def _is_about_this(self, said: VenueOrder) -> bool:
        order = self.order
        follows = order.reduce_only and said.quantity <= self._most
        return (
            said.status not in _UNSETTLED
            and (said.symbol, said.side) == (order.symbol, order.side)
            and (said.quantity == order.quantity or follows)
            and said.filled <= said.quantity
        )

    @property
    def _most(self) -> Quantity:
        """What may fill of it, whatever has become of our wishes."""
        return max(self.order.quantity, self.largest)

    def _after_fill(self, fill: Fill) -> "TrackedOrder":
        if fill.fill_id in self.fill_ids:
            return self
        order, filled = self.order, Quantity(self.filled + fill.quantity)
        ours = (fill.symbol, fill.side) == (order.symbol, order.side)
        if not ours or fill.quantity <= 0 or filled > self._most:
            raise self._illegal(fill)
        status = self.status
        if not status.is_final:
            asked = self.amending.quantity if self.amending is not None else _NOTHING
            whole = filled >= max(order.quantity, asked)
            status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
        return replace(
            self,
            status=status,
            filled=filled,
            reported=max(self.reported, filled),
            fill_ids=self.fill_ids | {fill.fill_id},
        )

    def _illegal(self, event: OrderEvent) -> IllegalTransition:
        return IllegalTransition(f"{self} cannot be followed by {event}")
