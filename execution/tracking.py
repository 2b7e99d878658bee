"""The order state machine: where an order stands after each thing that we or its venue report.

    now \\ event    accepted  refused,     unknown  venue:   partly  filled  cancelled,  rejected
                             unavailable           open                     expired
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
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Self

from data.faults import Corrupt
from data.instrument import Quantity
from execution.fill import Fill
from execution.order import Cancelling, Order, OrderStatus, Outcome, Submitted, Submitting
from execution.venue import OrderChanged, VenueOrder, stop_id
from risk.intent import Purpose

OrderEvent = Submitted | Cancelling | OrderChanged | Fill

_NOTHING = Quantity(Decimal(0))


class IllegalTransition(Corrupt):
    """An order cannot come to be what it is said to be."""


_UNSETTLED = frozenset({OrderStatus.SUBMITTING, OrderStatus.UNKNOWN})
_AFTER_OUTCOME = (
    {(status, Outcome.ACCEPTED): OrderStatus.OPEN for status in _UNSETTLED}
    | {(status, Outcome.REFUSED): OrderStatus.REJECTED for status in _UNSETTLED}
    | {(status, Outcome.UNAVAILABLE): OrderStatus.REJECTED for status in _UNSETTLED}
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
    cancelling: bool = False
    parent: str | None = None  # the entry that a venue's own protective stop belongs to

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
    def is_done(self) -> bool:
        """Nothing more is to come: the status is final, and every reported fill is booked."""
        return self.status.is_final and self.filled >= self.reported

    @property
    def remaining(self) -> Quantity:
        """What may still fill, or has filled at the venue and is not yet booked here."""
        size = self.reported if self.status.is_final else max(self.size, self.reported)
        return Quantity(max(size - self.filled, _NOTHING))

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
                return self if idle else replace(self, cancelling=True)
            case OrderChanged():
                return self._after_change(event)
            case Fill():
                return self._after_fill(event)

    def _after_outcome(self, event: Submitted) -> "TrackedOrder":
        status = _AFTER_OUTCOME.get((self.status, event.outcome))
        if status is None:
            raise self._illegal(event)
        return self if status is self.status else replace(self, status=status)

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
        size = self.size if late or self.status.is_final else said.quantity
        if (status, reported, size) == (self.status, self.reported, self.size):
            return self
        changed_at = self.changed_at if late else event.at
        return replace(self, status=status, reported=reported, size=size, changed_at=changed_at)

    def _is_about_this(self, said: VenueOrder) -> bool:
        order = self.order
        follows = order.reduce_only and said.quantity < order.quantity
        return (
            said.status not in _UNSETTLED
            and (said.symbol, said.side) == (order.symbol, order.side)
            and (said.quantity == order.quantity or follows)
            and said.filled <= said.quantity
        )

    def _after_fill(self, fill: Fill) -> "TrackedOrder":
        if fill.fill_id in self.fill_ids:
            return self
        order, filled = self.order, Quantity(self.filled + fill.quantity)
        ours = (fill.symbol, fill.side) == (order.symbol, order.side)
        if not ours or fill.quantity <= 0 or filled > order.quantity:
            raise self._illegal(fill)
        status = self.status
        if not status.is_final:
            whole = filled == order.quantity
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
