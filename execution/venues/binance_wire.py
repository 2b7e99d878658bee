"""What we say to Binance's USD-M futures about orders: pure translation.

Numbers go out as the text of exact decimals. Plain orders live in the matching engine. Conditional
ones live in a service before it ("Algo Service", since December 2025), with ids of their own; when
their price is reached, the service places a plain order under the same client order id.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from data.instrument import Instrument, Price, Quantity, Side, Symbol
from execution.order import Order
from execution.venue import OrderRefused, Withheld
from execution.venues.binance_rows import milliseconds
from execution.venues.grid import on_grid

Form = dict[str, str]

_CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_LONGEST_WINDOW: Final = timedelta(seconds=60)
SOONEST_EXPIRY: Final = timedelta(seconds=600)  # Binance takes none that is nearer


class OrderType(StrEnum):
    """Binance's names of the order types that we place."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"
    STOP = "STOP"  # at a limit, once it is triggered
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"  # at a limit, once it is triggered

    @property
    def is_conditional(self) -> bool:
        return self not in (OrderType.MARKET, OrderType.LIMIT)

    @property
    def is_limited(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT)


class TriggerPrice(StrEnum):
    """Which price sets a conditional order off."""

    LAST = "CONTRACT_PRICE"
    MARK = "MARK_PRICE"


class MarginType(StrEnum):
    """What answers for the losses of a position: the whole account, or what was set aside."""

    CROSSED = "CROSSED"
    ISOLATED = "ISOLATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an account trades; the symbols named here are those that it does."""

    leverage: Mapping[Symbol, int]
    margin: MarginType
    triggered_by: TriggerPrice
    receive_window: timedelta  # Binance takes no request that is older than this
    entries_rest: timedelta | None  # the operator's end of a limit entry; None: it stays

    def __post_init__(self) -> None:
        if not timedelta(0) < self.receive_window <= _LONGEST_WINDOW:
            raise ValueError(f"Binance's recvWindow is at most 60 s, not {self.receive_window}")
        if not self.leverage or any(leverage < 1 for leverage in self.leverage.values()):
            raise ValueError("every symbol that is traded needs its leverage, 1 or more")
        if self.entries_rest is not None and self.entries_rest <= SOONEST_EXPIRY:
            raise ValueError(f"Binance's orders rest for more than 600 s, not {self.entries_rest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One new order, in our types; everything on the instrument's grid.

    What reduces says how much of: `closePosition` would close all that the account holds, and
    several desks may share one net position.
    """

    client_order_id: str
    side: Side
    quantity: Quantity  # above zero
    type: OrderType
    trigger: Price | None = None
    limit: Price | None = None
    reduce_only: bool = False
    post_only: bool = False
    expires_at: datetime | None = None
    triggered_by: TriggerPrice = TriggerPrice.LAST

    def __post_init__(self) -> None:
        if not _CLIENT_ID.fullmatch(self.client_order_id):
            raise ValueError(f"{self.client_order_id!r} is no client order id for Binance")
        if (self.trigger is not None) != self.type.is_conditional:
            raise ValueError(f"{self.client_order_id}: {self.type} and trigger {self.trigger}")
        if (self.limit is not None) != self.type.is_limited:
            raise ValueError(f"{self.client_order_id}: {self.type} and limit {self.limit}")
        if self.type is not OrderType.LIMIT and (self.post_only or self.expires_at is not None):
            raise ValueError(f"{self.client_order_id}: {self.type}: it does not rest in the book")
        if self.post_only and self.expires_at is not None:
            raise ValueError(f"{self.client_order_id}: post-only or expiring, not both (GTX, GTD)")


def ticket_of(
    order: Order,
    instrument: Instrument,
    terms: Terms,
    *,
    now: datetime,
    expires_within: timedelta | None = None,
) -> Ticket:
    """How `order` is placed; its `stop` is for others to place, as Binance attaches none.

    A limit entry ends after the shorter of two times, if any. What is post-only does not expire:
    Binance has one time in force for both.

    Raises:
        OrderRefused: its quantity is off the lot grid, or its id is none for Binance.
        Withheld: it is a conditional or post-only entry that has to expire, which Binance knows for
            other limit orders alone.
    """
    order = on_grid(order, instrument)
    if not _CLIENT_ID.fullmatch(order.client_order_id):
        raise OrderRefused(f"{order.client_order_id}: Binance takes ids of up to 36 characters")
    kind = _type_of(order)
    rests = kind is OrderType.LIMIT and not (order.reduce_only or order.post_only)
    if expires_within is not None and not (rests or order.reduce_only or kind is OrderType.MARKET):
        raise Withheld(f"{order.client_order_id}: Binance lets no such order expire: {kind}")
    spans = [span for span in (terms.entries_rest, expires_within) if span is not None]
    expiry = min(spans) if spans and rests else None
    return Ticket(
        client_order_id=order.client_order_id,
        side=order.side,
        quantity=order.quantity,
        type=kind,
        trigger=order.trigger,
        limit=order.limit,
        reduce_only=order.reduce_only,
        post_only=order.post_only,
        expires_at=now + expiry if expiry is not None else None,
        triggered_by=terms.triggered_by,
    )


def wire_form(ticket: Ticket, market_id: str) -> Form:
    """The parameters of `order`, or of `algoOrder` for a conditional type.

    The position side is said although one-way mode implies it: an account in hedge mode refuses.

    Source: developers.binance.com, USD-M futures, "New Order" and "New Algo Order".
    """
    form = {
        "symbol": market_id,
        "side": ticket.side.value.upper(),
        "positionSide": "BOTH",
        "type": ticket.type.value,
        "quantity": f"{ticket.quantity:f}",
    }
    if ticket.reduce_only:
        form["reduceOnly"] = "true"
    if ticket.limit is not None:
        form |= {"price": f"{ticket.limit:f}", **_time_in_force(ticket)}
    if ticket.trigger is None:
        return form | {"newClientOrderId": ticket.client_order_id, "newOrderRespType": "RESULT"}
    return form | {
        "algoType": "CONDITIONAL",
        "clientAlgoId": ticket.client_order_id,
        "triggerPrice": f"{ticket.trigger:f}",
        "workingType": ticket.triggered_by.value,
    }


def _type_of(order: Order) -> OrderType:
    if order.trigger is None:
        return OrderType.MARKET if order.limit is None else OrderType.LIMIT
    if order.takes_profit:
        return OrderType.TAKE_PROFIT_MARKET if order.limit is None else OrderType.TAKE_PROFIT
    return OrderType.STOP_MARKET if order.limit is None else OrderType.STOP


def _time_in_force(ticket: Ticket) -> Form:
    if ticket.post_only:
        return {"timeInForce": "GTX"}
    if ticket.expires_at is None:
        return {"timeInForce": "GTC"}
    return {"timeInForce": "GTD", "goodTillDate": str(milliseconds(ticket.expires_at))}
