"""The blotter: every order of an account, from the facts on record about it.

The engine while it runs and the recovery after a crash feed it the same facts, so they cannot come
to different books. Orders that are done are forgotten but for the last `remembered`; an id older
than those is told by its decision, which lies no later than the youngest one forgotten.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from data.account import ClosedTrade, InFlight
from data.faults import Corrupt
from data.instrument import Instrument, Notional, Price, Quantity, Symbol
from execution.attribution import AttributedTrade, Attribution, References
from execution.charge import Charge
from execution.fill import Fill
from execution.holdings import SetAside
from execution.ledger import Ledger
from execution.liquidation import takes_down, venues_order
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
from execution.planned_stop import PlannedStop, after_fill, after_stop
from execution.tracking import OrderEvent, TrackedOrder
from execution.venue import OrderChanged, VenueEvent, stop_id
from risk.intent import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class FillBooked:
    """A fill is in the ledger; `closed` is the trade that it ended, if it ended one.

    `order` is ours; of a liquidation it is what the venue's own amounts to.
    """

    fill: Fill
    order: Order
    closed: ClosedTrade | None
    attributed: AttributedTrade | None = None  # that trade in parts, where they are known
    is_liquidation: bool = False  # the venue has taken it from us by force


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDone:
    """An order has ended, and every fill that the venue reports of it is booked."""

    order: TrackedOrder
    refused: bool  # by the venue
    withheld: bool = False  # by ourselves: the venue has never seen it


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRisen:
    """An order that counts as rejected works or trades at the venue after all."""

    order: TrackedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeBooked:
    """A charge is in the ledger."""

    charge: Charge


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEvent:
    """The venue speaks of what is not ours; it changes nothing here."""

    event: VenueEvent


Settled = FillBooked | ChargeBooked | OrderDone | OrderRisen | ForeignEvent


class UnknownOrder(Corrupt):
    """The journal tells the outcome of an order that it does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Current:
    """The live orders, and what of them may still trade, as of a revision."""

    revision: int
    orders: tuple[TrackedOrder, ...]
    trading: tuple[TrackedOrder, ...]  # but for those that exchange holdings
    entering: tuple[TrackedOrder, ...]  # of these, what may still change a position
    exchanging: tuple[TrackedOrder, ...]


class Blotter:
    """Orders that live, orders lately done, and the stop that each position should have."""

    def __init__(
        self, ledger: Ledger, instruments: Mapping[Symbol, Instrument], *, remembered: int
    ) -> None:
        self._ledger = ledger
        self._instruments = instruments
        self._remembered = remembered
        self._live: dict[str, TrackedOrder] = {}
        self._done: OrderedDict[str, TrackedOrder] = OrderedDict()
        self._entry_of: dict[str, str] = {}  # a venue's own stop -> the entry it belongs to
        self._plans: dict[Symbol, PlannedStop] = {}
        self.plans: Mapping[Symbol, PlannedStop] = MappingProxyType(self._plans)
        self._forgotten_until: datetime | None = None
        self._references, self._attribution = References(), Attribution()
        self._revision = 0
        self._snapshot = _Current(revision=0, orders=(), trading=(), entering=(), exchanging=())

    @property
    def revision(self) -> int:
        """A number that grows with every change."""
        return self._revision

    @property
    def orders(self) -> tuple[TrackedOrder, ...]:
        """The orders that may still fill or have fills to come, oldest first."""
        return self._current().orders

    @property
    def trading_orders(self) -> tuple[TrackedOrder, ...]:
        """Those of `orders` that concern positions: all but what exchanges holdings."""
        return self._current().trading

    def find(self, client_order_id: str) -> TrackedOrder | None:
        """A live order, one lately done, or an entry's stop of which the venue has not spoken."""
        order = self._live.get(client_order_id) or self._done.get(client_order_id)
        if order is None and (entry_id := self._entry_of.get(client_order_id)) is not None:
            entry = self.find(entry_id)
            return entry.child() if entry is not None else None
        return order

    def is_live(self, client_order_id: str) -> bool:
        """Whether the order may still fill, or has fills to come."""
        return client_order_id in self._live

    def may_have_had(self, decided_at: datetime) -> bool:
        """Whether an id that is not found may be of an order forgotten, for its decision's age."""
        return self._forgotten_until is not None and decided_at <= self._forgotten_until

    def in_flight(self) -> tuple[InFlight, ...]:
        """What may still change a position, protective stops aside.

        Where no price values it, its notional is infinite: nothing can be added to it.
        """
        entering = self._current().entering
        return tuple(self._in_flight(order) for order in entering) if entering else ()

    def exchanging(self) -> tuple[InFlight, ...]:
        """What may still move what is kept; notionals as those of `in_flight`."""
        exchanging = self._current().exchanging
        return tuple(self._in_flight(order) for order in exchanging) if exchanging else ()

    def apply(self, fact: object) -> tuple[Settled, ...]:
        """Take in one fact, and say what came of it; a fact of another kind changes nothing.

        Raises:
            UnknownOrder: an outcome, a cancellation or an amendment without its `Submitting`, or
                that one twice.
            IllegalTransition: see `execution.tracking`.
            UnbookableFill: see `execution.ledger`.
        """
        match fact:
            case Submitting():
                self._register(fact)
                return ()
            case Submitted() | Cancelling() | Amending() | Amended():
                order = self.find(fact.client_order_id)
                if order is None:
                    raise UnknownOrder(f"no order for {fact}")
                symbol = order.order.symbol
                if isinstance(fact, Submitted):
                    self._references.arrive(fact.client_order_id, self._mark(symbol))
                elif isinstance(fact, Amending):  # what it asks for binds, as a new stop's would
                    wished = replace(order.order, trigger=fact.trigger)
                    self._plan(symbol, after_stop(self._plans.get(symbol), wished))
                return self._advance(order, fact)
            case OrderChanged() | Fill():
                return self._hear(fact)
            case Charge():
                return (ChargeBooked(charge=fact),) if self._ledger.charge(fact) else ()
            case SetAside():
                self._ledger.set_aside(fact)
                return ()
            case _:
                return ()

    def is_liquidation(self, fill: Fill) -> bool:
        """Whether the venue has forced it on a position of ours, and it is not booked."""
        instrument = self._instruments.get(fill.symbol)
        if not fill.forced or instrument is None or self._ledger.has(fill.fill_id):
            return False
        is_theirs = self.find(fill.client_order_id) is None
        return is_theirs and takes_down(fill, self._ledger.held(fill.symbol), instrument)

    def _hear(self, event: VenueEvent) -> tuple[Settled, ...]:
        order = self.find(_subject(event))
        if order is not None:
            return self._advance(order, event)
        if isinstance(event, Fill) and self.is_liquidation(event):
            return (self._liquidate(event),)
        return (ForeignEvent(event=event),)

    def _liquidate(self, fill: Fill) -> FillBooked:
        """Book what the venue has forced; it was decided on, and arrived, at the mark of then."""
        self._revision += 1
        order = venues_order(fill)
        self._references.decide(order, self._mark(fill.symbol))
        booked = self._book(fill, order)
        self._references.forget(order.client_order_id)
        return replace(booked, is_liquidation=True)

    def _register(self, fact: Submitting) -> None:
        client_order_id = fact.order.client_order_id
        if self.find(client_order_id) is not None:
            raise UnknownOrder(f"submitted twice: {fact}")
        order, symbol = TrackedOrder.of(fact), fact.order.symbol
        self._references.decide(fact.order, self._mark(symbol))
        if order.order.stop is not None:
            self._entry_of[stop_id(client_order_id)] = client_order_id
        if order.is_protective:
            self._plan(symbol, after_stop(self._plans.get(symbol), order.order))
        self._keep(order)

    def _advance(self, before: TrackedOrder, event: OrderEvent) -> tuple[Settled, ...]:
        after = before.after(event)
        settled: list[Settled] = []
        if after is not before:
            self._keep(after)
            if isinstance(event, Fill):
                settled.append(self._book(event, after.order))
            if after.is_done and not before.is_done:
                settled.append(_done(after, event))
        if before.status is OrderStatus.REJECTED and _is_alive(event):
            settled.append(OrderRisen(order=after))
        return tuple(settled)

    def _book(self, fill: Fill, order: Order) -> FillBooked:
        if order.purpose.exchanges:
            self._ledger.exchange(fill, for_bag=order.purpose is Purpose.HODL)
            return FillBooked(fill=fill, order=order, closed=None)
        closed = self._ledger.book(fill)
        seen, rate = self._references.of(fill, order), self._ledger.rate(fill.symbol.quote)
        attributed = self._attribution.follow(fill, seen, closed, rate)
        held = self._ledger.held(fill.symbol)
        if held and self._instruments[fill.symbol].is_dust(held, fill.price):
            held = Quantity(Decimal(0))
        self._plan(fill.symbol, after_fill(self._plans.get(fill.symbol), order, held))
        return FillBooked(fill=fill, order=order, closed=closed, attributed=attributed)

    def _mark(self, symbol: Symbol) -> Price | None:
        mark = self._ledger.last_mark(symbol)
        return mark.price if mark is not None else None

    def _plan(self, symbol: Symbol, plan: PlannedStop | None) -> None:
        if plan is not None:
            self._plans[symbol] = plan
        else:
            self._plans.pop(symbol, None)

    def _keep(self, order: TrackedOrder) -> None:
        self._revision += 1
        client_order_id = order.client_order_id
        if not order.is_done:
            self._done.pop(client_order_id, None)
            self._live[client_order_id] = order
            return
        self._live.pop(client_order_id, None)
        self._done[client_order_id] = order
        if len(self._done) > self._remembered:
            self._forget(self._done.popitem(last=False)[1])

    def _forget(self, order: TrackedOrder) -> None:
        self._references.forget(order.client_order_id)
        if order.order.stop is not None:
            self._entry_of.pop(stop_id(order.client_order_id), None)
        if self._forgotten_until is None or order.decided_at > self._forgotten_until:
            self._forgotten_until = order.decided_at

    def _current(self) -> "_Current":
        if self._snapshot.revision != self._revision:
            orders = tuple(self._live.values())
            trading = tuple(o for o in orders if not o.order.purpose.exchanges)
            self._snapshot = _Current(
                revision=self._revision,
                orders=orders,
                trading=trading,
                entering=tuple(
                    o for o in trading if o.remaining and not (o.is_protective or o.is_target)
                ),
                exchanging=tuple(o for o in orders if o.remaining and o.order.purpose.exchanges),
            )
        return self._snapshot

    def _in_flight(self, order: TrackedOrder) -> InFlight:
        symbol = order.order.symbol
        mark, rate = self._ledger.last_mark(symbol), self._ledger.rate(symbol.quote)
        notional = Decimal("Infinity")
        if mark is not None and rate is not None:
            notional = order.remaining * mark.price * rate
        return InFlight(
            client_order_id=order.client_order_id,
            symbol=symbol,
            quantity=Quantity(order.remaining * order.order.side.sign),
            notional=Notional(notional),
            reduce_only=order.order.reduce_only,
            for_bag=order.order.purpose is Purpose.HODL,
        )


def _subject(event: VenueEvent) -> str:
    return event.client_order_id if isinstance(event, Fill) else event.order.client_order_id


def _done(order: TrackedOrder, event: OrderEvent) -> OrderDone:
    """`order` is over by `event`, which says who would not have it, if anybody would not."""
    outcome = event.outcome if isinstance(event, Submitted) else None
    is_rejected = isinstance(event, OrderChanged) and event.order.status is OrderStatus.REJECTED
    return OrderDone(
        order=order,
        refused=is_rejected or outcome is Outcome.REFUSED,
        withheld=outcome is Outcome.WITHHELD,
    )


def _is_alive(event: OrderEvent) -> bool:
    """Whether `event` shows an order that works, or has traded, at the venue."""
    match event:
        case Fill():
            return True
        case OrderChanged(order=said):
            return not said.status.is_final
        case _:
            return False
