"""The port to where approved orders become fills."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from data.faults import Fault, Refused, Transient
from data.instrument import Price, Quantity, Side, Symbol
from execution.charge import Charge
from execution.fill import Fill
from execution.order import OrderStatus
from execution.rounding import Rounding
from risk.approval import ApprovedOrder


class VenueUnavailable(Transient):
    """Nothing was sent; safe to retry."""


class OrderRefused(Refused):
    """The venue declined; do not retry."""


class OffGrid(OrderRefused):
    """The same, for its price or its size: our grid or our minimums may not be the venue's."""


class NoFunds(OrderRefused):
    """The same, and only for the money that the account has not got."""


class Withheld(OrderRefused):
    """We do not send it: nothing would take it back if we died; the venue has not seen it."""


class OutcomeUnknown(Fault):
    """Sent, but no answer came: ask the venue before trading the symbol again."""


class NotTraded(Refused):
    """The venue does not list a symbol that is to be traded there."""


class SwitchRefused(Refused):
    """The venue has no dead man's switch for this account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue knows it; `parent` is the order that it protects, if it is a child."""

    client_order_id: str
    symbol: Symbol
    side: Side
    quantity: Quantity  # above zero, as asked
    filled: Quantity
    trigger: Price | None
    limit: Price | None
    reduce_only: bool
    status: OrderStatus
    parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """The venue says where an order of ours stands; fills come as `Fill`, each before this."""

    order: VenueOrder
    at: datetime  # venue time
    reason: str = ""


VenueEvent = OrderChanged | Fill


class Venue(Protocol):
    """Where approved orders become fills; `tests/contract/test_venue.py` holds for every one."""

    @property
    def name(self) -> str: ...

    @property
    def attaches_stops(self) -> bool:
        """Whether an order's `stop` becomes a child stop order, there from its first fill on.

        Where it does not, the stop has to be an order of its own.
        """
        ...

    def holds_targets(self, symbol: Symbol) -> bool:
        """Whether a stop and a take-profit order may both rest for the whole of a position.

        Both are reduce-only there, whoever placed them, so that they cannot turn it together. Where
        they are not, or only one of them is taken, the target has to be watched.
        """
        ...

    async def submit(self, order: ApprovedOrder) -> None:
        """Place `order`, once per client order id: a second call with the same id changes nothing.

        The order that it `replaces`, if that still works, is cancelled once this one is there, so
        that one of the two always stands; where this one is declined, the other is left alone.

        Raises:
            VenueUnavailable: nothing was sent; safe to retry.
            OrderRefused: the venue declined; do not retry.
            OutcomeUnknown: sent, but no answer came; ask before trading the symbol again.
        """
        ...

    async def cancel(self, client_order_id: str) -> None:
        """Cancel what is left of an order; one that is final or unknown there is no error."""
        ...

    @property
    def amends(self) -> bool:
        """Whether it changes a stop order in place; where not, nobody calls `amend`."""
        ...

    async def amend(self, client_order_id: str, *, trigger: Price, quantity: Quantity) -> None:
        """Give a stop order that works another trigger and another size, above zero.

        It keeps its id and what has filled of it; there is no moment with two of them, or none.

        Raises:
            VenueUnavailable: nothing was sent; safe to retry.
            OrderRefused: it stays as it is; do not retry. So it is where the order has ended.
            OutcomeUnknown: sent, but no answer came; ask for the order, whose trigger and size
                say what came of it.
        """
        ...

    async def order(self, client_order_id: str) -> VenueOrder | None:
        """The order as the venue knows it; None if it never got there."""
        ...

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Every order of ours that may still fill, children included."""
        ...

    async def fills(self, *, after: int = 0) -> Sequence[Fill]:
        """Our fills in the venue's order, without the first `after` of them."""
        ...

    async def charges(self, *, since: datetime | None = None) -> Sequence[Charge]:
        """What was charged from `since` on, oldest first; None: since our books there began.

        A charge may be told again, and as an event too: always with the same id.
        """
        ...

    async def balances(self) -> Mapping[str, Decimal]:
        """Every asset's balance; below zero is borrowed."""
        ...

    def rounding(self, asset: str) -> Rounding:
        """In how many places it books amounts of `asset`."""
        ...

    @property
    def pending(self) -> bool:
        """Whether there is something to drain; asked on every bar, so it costs next to nothing."""
        ...

    def drain(self) -> Sequence[VenueEvent | Charge]:
        """What has happened since the last call, in order; does not wait.

        Not every venue tells of charges so: ask for them.
        """
        ...

    async def wait(self) -> None:
        """Return once there is something to drain."""
        ...


@lru_cache(maxsize=1024)
def stop_id(client_order_id: str) -> str:
    """The client order id of the protective stop that a venue places for an entry: a UUID too."""
    return str(uuid.uuid5(uuid.UUID(client_order_id), "stop"))
