"""What a simulated venue knows: the orders it took on, their fills, and our account there.

Every change is a fact, and `VenueState.apply` is all that a fact does, so whoever keeps the facts
can make the same state again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Self

from data.bar import Bar
from data.faults import Corrupt
from data.instrument import Price, Quantity, Side, Symbol
from execution.fill import Fill
from execution.liquidation import LIQUIDATION
from execution.order import Order, OrderStatus
from execution.venue import OrderChanged, VenueOrder, stop_id
from execution.venue_books import Books

_NOTHING = Quantity(Decimal(0))
_INFINITE = Price(Decimal("Infinity"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The venue has taken on an order."""

    order: Order
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTriggered:
    """An order was set off: it is at market, or at its limit; what does not fill stays so."""

    client_order_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSent:
    """We have asked for the end of an order; until that has travelled, it can fill."""

    client_order_id: str
    at: datetime
    status: OrderStatus  # as which it then ends
    reason: str

    def ends(self, latency: timedelta) -> "Leaving":
        """When and how it ends, if it travels for `latency`."""
        return Leaving(self.at + latency, self.status, self.reason)


class Leaving(NamedTuple):
    """The end of an order that is on its way to the venue."""

    at: datetime
    status: OrderStatus
    reason: str


VenueFact = Placed | StopTriggered | CancelSent | Fill | OrderChanged


@dataclass(slots=True, kw_only=True)
class WorkingOrder:
    """An order at the venue; `view` is what the venue tells of it."""

    view: VenueOrder
    effective_at: datetime  # it can fill from here on
    stop: Price | None  # of the protective child order that its fills bring into being
    found_at: Price | None = None  # a child's: the price at which its parent first filled
    takes_profit: bool = False  # its trigger lies where the price is better, not worse
    post_only: bool = False
    is_triggered: bool = False
    leaving: Leaving | None = None  # what we have asked for, where that has to travel
    forced: str = ""  # why it is the venue's own; empty: somebody asked for it

    @property
    def remaining(self) -> Quantity:
        return Quantity(self.view.quantity - self.view.filled)

    @property
    def is_final(self) -> bool:
        return self.view.status.is_final

    @property
    def waits(self) -> bool:
        """Whether a price has to set it off."""
        return self.view.trigger is not None and not self.is_triggered

    @property
    def trigger_side(self) -> Side:
        """Of the stop order whose trigger the same price would reach."""
        return self.view.side.opposite if self.takes_profit else self.view.side


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The prices between which a bar concerns no order that rests."""

    low: Price
    high: Price

    @classmethod
    def of(cls, resting: Iterable[WorkingOrder]) -> Self:
        """Above `low` no stop to sell and no limit to buy, below `high` the other two.

        A take-profit order is set off where a stop order of the other side is.
        """
        low, high = Price(-_INFINITE), _INFINITE
        for working in resting:
            view = working.view
            price = view.trigger if working.waits else view.limit
            if price is None:  # it fills at any price
                return cls(low=_INFINITE, high=Price(-_INFINITE))
            falls_to = working.trigger_side is Side.SELL if working.waits else view.side is Side.BUY
            if falls_to:
                low = max(low, price)
            else:
                high = min(high, price)
        return cls(low=low, high=high)

    def may_concern(self, bar: Bar) -> bool:
        """Whether one of the orders might fill; a limit that is touched only does not."""
        return bar.low <= self.low or bar.high >= self.high


class VenueState:
    """Orders by client order id, those that still work by symbol too; fills; balances."""

    def __init__(self, venue: str, *, latency: timedelta, books: Books) -> None:
        self.venue = venue
        self.books = books
        self.fills: list[Fill] = []
        self.orders: dict[str, WorkingOrder] = {}
        self.resting: dict[Symbol, dict[str, WorkingOrder]] = {}
        self._latency = latency
        self._reach: dict[Symbol, Reach] = {}  # as far as it was asked for since the last fact

    def apply(self, fact: VenueFact) -> None:
        """Make `fact` so.

        Raises:
            Corrupt: it concerns an order that was never placed.
        """
        self._reach.clear()
        match fact:
            case Placed():
                self._place(fact)
            case StopTriggered():
                self._known(fact.client_order_id).is_triggered = True
            case CancelSent():
                self._known(fact.client_order_id).leaving = fact.ends(self._latency)
            case Fill():
                self._fill(fact)
            case OrderChanged():
                self._see(self._known(fact.order.client_order_id), fact.order)

    def reach(self, symbol: Symbol) -> Reach:
        """Of the orders that rest in `symbol`."""
        reach = self._reach.get(symbol)
        if reach is None:
            reach = Reach.of(self.resting.get(symbol, {}).values())
            self._reach[symbol] = reach
        return reach

    def parent(self, working: WorkingOrder) -> WorkingOrder | None:
        """The entry that `working` protects, if it is a child."""
        parent = working.view.parent
        return self.orders[parent] if parent is not None else None

    def child(self, working: WorkingOrder) -> WorkingOrder | None:
        """The protective stop of `working`, once something has filled."""
        if working.stop is None:
            return None
        return self.orders.get(stop_id(working.view.client_order_id))

    def _place(self, fact: Placed) -> None:
        order = fact.order
        view = VenueOrder(
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            filled=_NOTHING,
            trigger=order.trigger,
            limit=order.limit,
            reduce_only=order.reduce_only,
            status=OrderStatus.OPEN,
        )
        self._add(
            WorkingOrder(
                view=view,
                effective_at=fact.at + self._latency,
                stop=order.stop,
                takes_profit=order.takes_profit,
                post_only=order.post_only,
                forced=order.thesis if order.strategy_id == LIQUIDATION else "",
            )
        )

    def _fill(self, fill: Fill) -> None:
        working = self._known(fill.client_order_id)
        self.books.apply(fill)
        self.fills.append(fill)
        filled = Quantity(working.view.filled + fill.quantity)
        whole = filled == working.view.quantity
        status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
        self._see(working, replace(working.view, filled=filled, status=status))
        if working.stop is not None:
            self._protect(working, working.stop, fill)

    def _protect(self, parent: WorkingOrder, trigger: Price, fill: Fill) -> None:
        """Let the child stop cover all that has filled; one that has ended stays ended."""
        child = self.child(parent)
        if child is None:
            view = _protective(parent.view, trigger)
            self._add(
                WorkingOrder(view=view, effective_at=fill.filled_at, stop=None, found_at=fill.price)
            )
        elif not child.is_final:
            self._see(child, replace(child.view, quantity=parent.view.filled))

    def _add(self, working: WorkingOrder) -> None:
        view = working.view
        self.orders[view.client_order_id] = working
        self.resting.setdefault(view.symbol, {})[view.client_order_id] = working

    def _see(self, working: WorkingOrder, view: VenueOrder) -> None:
        working.view = view
        if view.status.is_final:
            self.resting[view.symbol].pop(view.client_order_id, None)

    def _known(self, client_order_id: str) -> WorkingOrder:
        working = self.orders.get(client_order_id)
        if working is None:
            raise Corrupt(f"{self.venue}: no order {client_order_id} was ever placed here")
        return working


def _protective(parent: VenueOrder, trigger: Price) -> VenueOrder:
    """The child stop for what has filled of `parent`."""
    return VenueOrder(
        client_order_id=stop_id(parent.client_order_id),
        symbol=parent.symbol,
        side=parent.side.opposite,
        quantity=parent.filled,
        filled=_NOTHING,
        trigger=trigger,
        limit=None,
        reduce_only=True,
        status=OrderStatus.OPEN,
        parent=parent.client_order_id,
    )
