"""What we say to Kraken's REST about orders, and what its answers mean: pure translation.

Numbers go out as the text of exact decimals and come in as the text that Kraken wrote. Kraken's
own names for orders and trades (`OQCLML-BW3P3-BUCMWZ`) are called txids here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from data.feeds.ccxt_source import at_seconds
from data.instrument import Instrument, Price, Quantity, Side, Symbol
from execution.fill import Fill, Liquidity
from execution.order import Order, OrderStatus
from execution.venue import VenueOrder
from execution.venues.grid import on_grid

Json = Mapping[str, Any]
Form = dict[str, str | dict[str, str]]

LIQUIDATED: Final = "liquidated"
"""Kraken's word for what it has ended by force."""

_NOTHING: Final = Decimal(0)
_SOONEST, _LATEST = timedelta(milliseconds=500), timedelta(seconds=60)
_LIMIT: Final = "-limit"


class OrderType(StrEnum):
    """Kraken's names of the order types that we place."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop-loss"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT = "take-profit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"

    @property
    def is_triggered(self) -> bool:
        return self not in (OrderType.MARKET, OrderType.LIMIT)

    @property
    def is_limited(self) -> bool:
        return self is OrderType.LIMIT or self.endswith(_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an account's orders are placed, beside what each order says of itself."""

    leverage: Mapping[Symbol, int]  # what is not named here is spot: nothing is borrowed
    deadline: timedelta | None  # the matching engine takes no order later; None: Kraken's own 5 s
    entries_rest: timedelta | None  # the operator's end of an entry that rests; None: it stays

    def __post_init__(self) -> None:
        if self.deadline is not None and not _SOONEST <= self.deadline <= _LATEST:
            raise ValueError(f"Kraken takes deadlines of 0.5 to 60 s, not {self.deadline}")
        if any(leverage < 2 for leverage in self.leverage.values()):
            raise ValueError("leverage is 2 or more; leave a symbol out to trade it on spot")

    def deadline_at(self, now: datetime) -> datetime | None:
        """Until when the matching engine takes what is sent at `now`; None: as long as it likes."""
        return now + self.deadline if self.deadline is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The order that Kraken places for what an entry fills: a stop or a target, never both."""

    type: OrderType
    price: Price  # the trigger of a triggered type, else the limit
    limit: Price | None = None  # of a triggered type with a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One AddOrder, in our types; everything on the instrument's grid."""

    client_order_id: str
    side: Side
    quantity: Quantity  # above zero
    type: OrderType
    trigger: Price | None = None
    limit: Price | None = None
    leverage: int | None = None
    reduce_only: bool = False  # Kraken knows it for leveraged orders alone
    post_only: bool = False
    deadline: datetime | None = None
    expires_at: datetime | None = None
    close: Close | None = None
    validate: bool = False  # look at it, and place nothing

    def __post_init__(self) -> None:
        if (self.trigger is not None) != self.type.is_triggered:
            raise ValueError(f"{self.client_order_id}: {self.type} and trigger {self.trigger}")
        if (self.limit is not None) != self.type.is_limited:
            raise ValueError(f"{self.client_order_id}: {self.type} and limit {self.limit}")
        if self.post_only and self.type is not OrderType.LIMIT:
            raise ValueError(f"{self.client_order_id}: only a limit order can be post-only")
        if self.reduce_only and self.leverage is None:
            raise ValueError(f"{self.client_order_id}: reduce-only is for leveraged orders")


def ticket_of(
    order: Order,
    instrument: Instrument,
    terms: Terms,
    *,
    now: datetime,
    attach_stop: bool,
    expires_within: timedelta | None = None,
    validate: bool = False,
) -> Ticket:
    """How `order` is placed; an entry that rests ends after the shorter of two times, if any.

    A spot order cannot turn a position, so nothing says reduce-only. What moves holdings is spot.

    Raises:
        OrderRefused: its quantity is not on the lot grid, so Kraken would trade another.
    """
    order = on_grid(order, instrument)
    leverage = None if order.purpose.exchanges else terms.leverage.get(order.symbol)
    rests = order.trigger is not None or order.limit is not None
    spans = [span for span in (terms.entries_rest, expires_within) if span is not None]
    expiry = min(spans) if spans and rests and not order.reduce_only else None
    stop = order.stop if attach_stop else None
    return Ticket(
        client_order_id=order.client_order_id,
        side=order.side,
        quantity=order.quantity,
        type=_type_of(order),
        trigger=order.trigger,
        limit=order.limit,
        leverage=leverage,
        reduce_only=order.reduce_only and leverage is not None,
        post_only=order.post_only,
        deadline=terms.deadline_at(now),
        expires_at=now + expiry if expiry is not None else None,
        close=None if stop is None else Close(type=OrderType.STOP_LOSS, price=stop),
        validate=validate,
    )


def wire_form(ticket: Ticket, pair: str) -> Form:
    """The parameters of AddOrder for `ticket` in Kraken's `pair`.

    Fees are asked for in quote currency, which is what TradesHistory states them in. Flags are the
    text `true`: a Python True would go out as `True`, which Kraken does not read as one.

    Source: docs.kraken.com, "Add Order".
    """
    form: Form = {
        "pair": pair,
        "type": ticket.side.value,
        "ordertype": ticket.type.value,
        "volume": text_of(ticket.quantity),
        "cl_ord_id": ticket.client_order_id,
        "oflags": "fciq,post" if ticket.post_only else "fciq",
    }
    prices = [price for price in (ticket.trigger, ticket.limit) if price is not None]
    form |= {name: text_of(price) for name, price in zip(("price", "price2"), prices, strict=False)}
    if ticket.leverage is not None:
        form["leverage"] = str(ticket.leverage)
    if ticket.reduce_only:
        form["reduce_only"] = "true"
    if ticket.expires_at is not None:
        form |= {"timeinforce": "GTD", "expiretm": str(int(ticket.expires_at.timestamp()))}
    if ticket.deadline is not None:
        form["deadline"] = _rfc3339(ticket.deadline)
    if ticket.close is not None:
        form["close"] = _close_form(ticket.close)
    if ticket.validate:
        form["validate"] = "true"
    return form


def text_of(number: Decimal) -> str:
    """A decimal as digits and a point, never with an exponent."""
    return f"{number:f}"


def amend_form(
    *,
    trigger: Price | None,
    limit: Price | None,
    quantity: Quantity | None,
    post_only: bool,
    deadline: datetime | None,
) -> Form:
    """What AmendOrder changes, and until when; who is amended is for the caller to add.

    Source: docs.kraken.com, "Amend Order".
    """
    new = {"trigger_price": trigger, "limit_price": limit, "order_qty": quantity}
    form: Form = {name: text_of(number) for name, number in new.items() if number is not None}
    if deadline is not None:
        form["deadline"] = _rfc3339(deadline)
    return form | ({"post_only": "true"} if post_only else {})


def order_of_row(row: Json, symbol: Symbol, *, client_order_id: str) -> VenueOrder:
    """An order as OpenOrders, ClosedOrders and QueryOrders tell it.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    described = row["descr"]
    quantity, filled = Decimal(row["vol"]), Decimal(row["vol_exec"])
    trigger, limit = _prices_of(row, described)
    return VenueOrder(
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(described["type"]),
        quantity=Quantity(quantity),
        filled=Quantity(filled),
        trigger=trigger,
        limit=limit,
        reduce_only=bool(row.get("reduce_only", False)),
        status=status_of(row["status"], quantity=quantity, filled=filled),
    )


def changed_at(row: Json) -> datetime:
    """When Kraken says that the order of a row was closed, or else opened."""
    return at_seconds(row.get("closetm") or row["opentm"])


_ENDED: Final = {
    "closed": OrderStatus.CANCELLED,  # unless all of it is filled
    "filled": OrderStatus.CANCELLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
}
_WORKING: Final = frozenset({"pending", "open", "pending_new", "new", "partially_filled"})


def status_of(said: str, *, quantity: Decimal, filled: Decimal) -> OrderStatus:
    """The status that Kraken's word and numbers amount to, over REST and WebSocket alike.

    A reduce-only order that ran out of position is `closed` with less than it asked for.

    Raises:
        ValueError: it is a word that we do not know.
    """
    ended = _ENDED.get(said)
    if ended is not None:
        return OrderStatus.FILLED if 0 < quantity <= filled else ended
    if said not in _WORKING:
        raise ValueError(f"an order's status {said!r}")
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN


def combined(
    children: Sequence[VenueOrder], *, client_order_id: str, parent: str, parent_works: bool
) -> VenueOrder:
    """The close orders of one entry as one: Kraken places one for every fill of it.

    While the entry works it is not over, as there may be more to come. Until it is over, what was
    cancelled of it is no part of its quantity: that guards nothing any more.
    """
    filled = sum((child.filled for child in children), _NOTHING)
    working = [child for child in children if not child.status.is_final]
    if working or parent_works:
        left = sum((child.quantity - child.filled for child in working), _NOTHING)
        quantity = filled + left
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
    else:
        quantity = sum((child.quantity for child in children), _NOTHING)
        status = OrderStatus.FILLED if filled == quantity else OrderStatus.CANCELLED
    return replace(
        (working or children)[0],
        client_order_id=client_order_id,
        quantity=Quantity(quantity),
        filled=Quantity(filled),
        status=status,
        parent=parent,
    )


def is_liquidated(row: Json) -> bool:
    """Whether the row of an order, or of a trade, says that it ended a position by force.

    Source: docs.kraken.com, "Get Closed Orders": `misc` lists, with commas, stopped, touched,
    liquidated, partial.
    """
    return LIQUIDATED in str(row.get("misc") or "").split(",")


def fill_of_row(
    txid: str, row: Json, symbol: Symbol, *, client_order_id: str, forced: str = ""
) -> Fill:
    """A fill as TradesHistory tells it, with its fee in quote currency.

    Args:
        forced: What is known of its order; the row can say it too.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    return Fill(
        fill_id=txid,
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(row["type"]),
        quantity=Quantity(Decimal(row["vol"])),
        price=Price(Decimal(row["price"])),
        fee=Decimal(row["fee"]),
        fee_asset=symbol.quote,
        liquidity=Liquidity.MAKER if row.get("maker") else Liquidity.TAKER,
        filled_at=at_seconds(row["time"]),
        forced=LIQUIDATED if is_liquidated(row) else forced,
    )


def borrowed(rows: Mapping[str, Json], symbols: Mapping[str, Symbol]) -> dict[str, Decimal]:
    """What open margin positions add to each asset: the base bought, and the quote owed for it.

    Kraken leaves them out of its balances until they are closed; the ledger has them in.

    Args:
        rows: OpenPositions by their ids; a part of a position may be closed.
        symbols: Of the pairs in the rows.

    Raises:
        LookupError, ArithmeticError, ValueError: they are no positions.
    """
    held: dict[str, Decimal] = {}
    for row in rows.values():
        symbol, sign = symbols[row["pair"]], Side(row["type"]).sign
        whole = Decimal(row["vol"])
        left = whole - Decimal(row["vol_closed"])
        owed = Decimal(row["cost"]) * left / whole
        held[symbol.base] = held.get(symbol.base, _NOTHING) + sign * left
        held[symbol.quote] = held.get(symbol.quote, _NOTHING) - sign * owed
    return held


def _type_of(order: Order) -> OrderType:
    if order.trigger is None:
        return OrderType.MARKET if order.limit is None else OrderType.LIMIT
    if order.takes_profit:
        return OrderType.TAKE_PROFIT if order.limit is None else OrderType.TAKE_PROFIT_LIMIT
    return OrderType.STOP_LOSS if order.limit is None else OrderType.STOP_LOSS_LIMIT


def _close_form(close: Close) -> dict[str, str]:
    form = {"ordertype": close.type.value, "price": text_of(close.price)}
    return form if close.limit is None else form | {"price2": text_of(close.limit)}


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _prices_of(row: Json, described: Json) -> tuple[Price | None, Price | None]:
    """The trigger and the limit of a row; relative prices are told as what they come to."""
    kind = described["ordertype"]
    if kind.startswith("trailing"):
        return _price(row["stopprice"]), _price(row["limitprice"]) if _LIMIT in kind else None
    if kind == OrderType.LIMIT or kind == "iceberg":
        return None, _price(described["price"])
    if kind == OrderType.MARKET or kind == "settle-position":
        return None, None
    return _price(described["price"]), _price(described["price2"]) if _LIMIT in kind else None


def _price(text: str) -> Price:
    return Price(Decimal(text))
