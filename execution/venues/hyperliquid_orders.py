"""What is known of each order at Hyperliquid: its number, its coin, and what the stream leaves out.

A fill names its order by Hyperliquid's number alone, and an update tells neither trigger nor
whether an order only reduces; both were told before, by us or by an answer.
"""

from collections import OrderedDict
from typing import Final, TypeVar

from data.feeds.ccxt_source import at_milliseconds
from data.instrument import Symbol
from execution.order import OrderStatus
from execution.venue import OrderChanged
from execution.venues.hyperliquid_wire import (
    Json,
    Ticket,
    described,
    name_of,
    order_of_row,
    static_part,
)

_KEPT: Final = 16_384  # orders; of one forgotten, Hyperliquid is asked again

K = TypeVar("K")
V = TypeVar("V")


class KnownOrders:
    """The latest 16,384 orders."""

    def __init__(self) -> None:
        self._names: OrderedDict[int, str] = OrderedDict()  # by Hyperliquid's numbers
        self._coins: OrderedDict[str, str] = OrderedDict()
        self._described: OrderedDict[str, Json] = OrderedDict()

    def expect(self, client_order_id: str, coin: str, ticket: Ticket) -> None:
        """An order is about to be placed."""
        _keep(self._coins, client_order_id, coin)
        _keep(self._described, client_order_id, described(ticket))

    def learn(self, number: int, client_order_id: str) -> None:
        """An order has that number."""
        _keep(self._names, number, client_order_id)

    def name(self, number: int) -> str | None:
        return self._names.get(number)

    def coin(self, client_order_id: str) -> str | None:
        return self._coins.get(client_order_id)

    def completed(self, update: Json) -> Json | None:
        """An update of the stream with what it leaves out; None where nobody has told that.

        Raises:
            LookupError, ValueError: it is no update.
        """
        row = update["order"]
        rest = self._described.get(name_of(row))
        return None if rest is None else {**update, "order": {**rest, **row}}

    def change(self, row: Json, symbol: Symbol, *, status: str, at: int) -> OrderChanged:
        """What a whole row says, at a time in milliseconds.

        Raises:
            LookupError, ArithmeticError, ValueError: it is no order.
        """
        order = order_of_row(row, symbol, status=status)
        name = order.client_order_id
        self.learn(int(row["oid"]), name)
        _keep(self._coins, name, str(row["coin"]))
        _keep(self._described, name, static_part(row))
        ended = order.status.is_final and order.status is not OrderStatus.FILLED
        return OrderChanged(order=order, at=at_milliseconds(at), reason=status if ended else "")


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _KEPT:
        kept.popitem(last=False)
