"""Which of Binance's orders is which of ours: order ids, client order ids, conditional orders.

Trades name the order that they fill by its id alone. A triggered conditional order goes on as a
plain one of another id, which does not tell its trigger any more; here the two are one.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Final, TypeVar

from data.instrument import Symbol
from execution.order import Order
from execution.venue import VenueOrder

_KEPT: Final = 16_384  # orders; of what is forgotten, Binance is asked again
K = TypeVar("K")
V = TypeVar("V")


class Names:
    """What is known of each order, the latest 16,384 of them."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, int], str] = OrderedDict()  # by market and order id
        self._conditional: OrderedDict[str, VenueOrder | None] = OrderedDict()
        self._plain: OrderedDict[str, None] = OrderedDict()
        self._placed: OrderedDict[str, int] = OrderedDict()  # by conditional orders
        self._symbols: OrderedDict[str, Symbol] = OrderedDict()

    def expect(self, order: Order) -> None:
        """An order of ours is about to be placed."""
        _keep(self._symbols, order.client_order_id, order.symbol)
        if order.trigger is not None:
            _keep(self._conditional, order.client_order_id, None)
        else:
            self.learn_plain(order.client_order_id)

    def learn(self, market_id: str, order_id: int, client_order_id: str, symbol: Symbol) -> str:
        """Take in what a plain order says of itself; the name that we know it by."""
        name = self._names.get((market_id, order_id), client_order_id)
        _keep(self._names, (market_id, order_id), name)
        _keep(self._symbols, name, symbol)
        return name

    def learn_plain(self, client_order_id: str) -> None:
        """No conditional order has that id."""
        _keep(self._plain, client_order_id, None)

    def learn_conditional(self, market_id: str, order: VenueOrder, placed: int | None) -> None:
        """Take in what a conditional order says, and which plain one it has placed."""
        _keep(self._symbols, order.client_order_id, order.symbol)
        _keep(self._conditional, order.client_order_id, order)
        if placed is not None:
            self.learn_placed(market_id, order.client_order_id, placed)

    def learn_placed(self, market_id: str, client_order_id: str, order_id: int) -> None:
        _keep(self._names, (market_id, order_id), client_order_id)
        _keep(self._placed, client_order_id, order_id)

    def name(self, market_id: str, order_id: int) -> str | None:
        """The client order id that we know an order by."""
        return self._names.get((market_id, order_id))

    def symbol(self, client_order_id: str) -> Symbol | None:
        return self._symbols.get(client_order_id)

    def is_conditional(self, client_order_id: str) -> bool:
        return client_order_id in self._conditional

    def is_plain(self, client_order_id: str) -> bool:
        return client_order_id in self._plain

    def placed(self, client_order_id: str) -> int | None:
        """The id of the plain order that a conditional one has placed."""
        return self._placed.get(client_order_id)

    def with_trigger(self, order: VenueOrder) -> VenueOrder:
        """A plain order, with the prices of the conditional one that has placed it."""
        conditional = self._conditional.get(order.client_order_id)
        if conditional is None:
            return order
        return replace(order, trigger=conditional.trigger, limit=conditional.limit)


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _KEPT:
        kept.popitem(last=False)
