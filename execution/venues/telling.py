"""What a real exchange says, told as the port promises: everything once, fills before changes.

A stream and questions say the same things twice, late and in any order. Here they become one
sequence: a fill is told when it is first heard of, a change once the fills that it counts are told.
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeVar

from execution.fill import Fill
from execution.venue import OrderChanged, VenueEvent, VenueOrder

_KEPT: Final = 16_384  # fills, and orders that have ended, which are known again
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Heard:
    filled: Decimal = Decimal(0)  # the fills that are told
    told: VenueOrder | None = None
    told_at: datetime = _LONG_AGO  # venue time of what is told
    waiting: OrderChanged | None = None  # for its fills


class Telling:
    """Turns what is heard into what is told; its owner drains it, and bounds it by `size`."""

    def __init__(self) -> None:
        self._events: deque[VenueEvent] = deque()
        self._fills: OrderedDict[str, Fill] = OrderedDict()
        self._orders: OrderedDict[str, _Heard] = OrderedDict()

    @property
    def size(self) -> int:
        """Events that nobody has drained."""
        return len(self._events)

    @property
    def working(self) -> Sequence[str]:
        """The orders that are not told to be over, and those of which nothing is told yet."""
        return [
            name
            for name, heard in self._orders.items()
            if heard.told is None or not heard.told.status.is_final
        ]

    def since(self, size: int) -> Sequence[VenueEvent]:
        """What has come since there were `size` undrained, but for what was drained meanwhile."""
        return tuple(itertools.islice(self._events, size, None))

    def drain(self) -> Sequence[VenueEvent]:
        """What is to be told, in order."""
        events = tuple(self._events)
        self._events.clear()
        return events

    def hear(self, event: VenueEvent) -> None:
        """Take in what the exchange says, in whatever way and however often."""
        if isinstance(event, Fill):
            self._hear_fill(event)
        else:
            self._hear_order(event)

    def know_fill(self, fill: Fill) -> None:
        """A fill from before our time: it is not told."""
        _keep(self._fills, fill.fill_id, fill)

    def know_order(self, order: VenueOrder) -> None:
        """An order from before our time, as it stands: only what changes of it is told."""
        self._orders[order.client_order_id] = _Heard(filled=order.filled, told=order)

    def expect_order(self, client_order_id: str) -> None:
        """An order of ours is there, or may be: until it is told to be over, it works."""
        self._heard(client_order_id)

    def awaits_fills(self, order: VenueOrder) -> bool:
        """Whether `order` counts fills that are not told, so that it is not told either."""
        return order.filled > self._heard(order.client_order_id).filled

    def know_past(self, order: VenueOrder) -> None:
        """All fills since our time began are heard: what `order` counts beside them is older."""
        heard = self._heard(order.client_order_id)
        heard.filled = max(heard.filled, order.filled)

    def forget_order(self, client_order_id: str) -> None:
        """The exchange knows no such order: nothing is to come of it, but for what is told."""
        heard = self._orders.get(client_order_id)
        if heard is not None and heard.told is None:
            del self._orders[client_order_id]

    def as_told(self, fill: Fill) -> Fill:
        """The same fill in the words in which it was told: clocks differ in the last digits.

        That it was forced only one of two ways to hear of it may say.
        """
        told = self._fills.get(fill.fill_id, fill)
        return replace(told, forced=fill.forced) if fill.forced and not told.forced else told

    def has_fill(self, fill_id: str) -> bool:
        return fill_id in self._fills

    def _hear_fill(self, fill: Fill) -> None:
        if fill.fill_id in self._fills:
            return
        _keep(self._fills, fill.fill_id, fill)
        heard = self._heard(fill.client_order_id)
        heard.filled += fill.quantity
        self._events.append(fill)
        waiting = heard.waiting
        if waiting is not None and waiting.order.filled <= heard.filled:
            heard.waiting = None
            self._hear_order(waiting)

    def _hear_order(self, event: OrderChanged) -> None:
        order, heard = event.order, self._heard(event.order.client_order_id)
        if heard.told is not None and heard.told.status.is_final:
            return
        if order.filled > heard.filled:
            heard.waiting = _later(heard.waiting, event)
        elif order.filled == heard.filled and _is_news(heard, event):
            heard.told, heard.told_at = order, max(event.at, heard.told_at)
            self._events.append(event)

    def _heard(self, client_order_id: str) -> _Heard:
        heard = self._orders.get(client_order_id) or _Heard()
        self._orders[client_order_id] = heard
        self._orders.move_to_end(client_order_id)
        if len(self._orders) > _KEPT:
            self._forget_one()
        return heard

    def _forget_one(self) -> None:
        """The one that has been silent for longest of those that have ended."""
        for name, heard in self._orders.items():
            if heard.told is not None and heard.told.status.is_final:
                del self._orders[name]
                return


def _is_news(heard: _Heard, event: OrderChanged) -> bool:
    """Whether `event` says more than was told; an answer that was overtaken on its way does not."""
    told, order = heard.told, event.order
    if told is None or order.filled > told.filled or order.status.is_final:
        return True
    return order != told and event.at >= heard.told_at


def _later(one: OrderChanged | None, other: OrderChanged) -> OrderChanged:
    """Of two changes that wait, the one that counts more fills, or is final, or came last."""
    if one is None:
        return other
    rank_one = (one.order.filled, one.order.status.is_final)
    return one if rank_one > (other.order.filled, other.order.status.is_final) else other


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    if len(kept) > _KEPT:
        kept.popitem(last=False)
