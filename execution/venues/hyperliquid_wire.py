"""What we say to Hyperliquid about orders, and what its rows mean: pure translation.

Numbers go out as the text of exact decimals and come in as the text that Hyperliquid wrote. A
client order id is a UUID, and its sixteen bytes are Hyperliquid's `cloid`. Hyperliquid has no
market orders: they are limit orders that take at once, or not at all, within a bound of ours.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from data.feeds.ccxt_source import at_milliseconds
from data.feeds.hyperliquid_wire import tick_at
from data.instrument import Instrument, Price, Quantity, Side, Symbol, Toward, on_grid
from execution.charge import Charge, ChargeKind
from execution.fill import Fill, Liquidity
from execution.order import Order, OrderStatus
from execution.venue import OrderRefused, VenueOrder
from execution.venues.heard import BalanceTold

Json = Mapping[str, Any]
Action = dict[str, Any]

_MONEY: Final = "USDC"
_NOTHING: Final = Decimal(0)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = at_milliseconds(0)
_SOONEST: Final = timedelta(milliseconds=500)
_LATEST: Final = timedelta(seconds=60)
_SIDES: Final = {"B": Side.BUY, "A": Side.SELL}
_TRIGGERED: Final = ("Stop", "Take Profit")
_FORCED: Final = ("Liquidated", "Auto-Deleveraging", "Settlement")


class TimeInForce(StrEnum):
    """How long what is not filled stays; Hyperliquid's names."""

    GOOD_TILL_CANCELLED = "Gtc"
    IMMEDIATE_OR_CANCEL = "Ioc"
    POST_ONLY = "Alo"


class Kind(StrEnum):
    """On which side of the market an order waits for its trigger; Hyperliquid's names."""

    STOP = "sl"
    TARGET = "tp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What sets an order off; from then on it is a limit order, or takes at once."""

    price: Price
    kind: Kind
    takes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an account's orders are placed, beside what each order says of itself."""

    slippage: Decimal  # most that a market order gives from the middle: a share of the price
    stop_slippage: Decimal  # most that a stop order gives from its trigger
    deadline: timedelta  # Hyperliquid takes no order later

    def __post_init__(self) -> None:
        if not (0 < self.slippage < 1 and 0 < self.stop_slippage < 1):
            raise ValueError(f"slippage is a share in (0, 1): {self}")
        if not _SOONEST <= self.deadline <= _LATEST:
            raise ValueError(f"a deadline is of 0.5 to 60 s, not {self.deadline}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A perpetual of the universe: its number there, its name, its grid."""

    asset: int
    coin: str
    size_decimals: int
    instrument: Instrument

    def price(self, price: Decimal, toward: Toward) -> Price:
        """`price` on the grid where it is: the tick grows with the price."""
        return Price(on_grid(price, tick_at(price, self.size_decimals), toward))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One order, in our types; everything on the grid."""

    asset: int
    cloid: str
    side: Side
    quantity: Quantity  # above zero
    price: Price  # the limit; of what takes at once, the bound
    terms: TimeInForce | Trigger
    reduce_only: bool = False


def cloid_of(client_order_id: str) -> str:
    """What Hyperliquid calls an order of ours.

    Raises:
        OrderRefused: the id is no UUID.
    """
    try:
        return f"0x{uuid.UUID(client_order_id).hex}"
    except ValueError:
        raise OrderRefused(f"hyperliquid: {client_order_id} is no UUID") from None


def name_of(row: Json) -> str:
    """What we call the order of a row: the UUID that its `cloid` is, or else its number."""
    cloid = row.get("cloid")
    return str(row["oid"]) if cloid is None else str(uuid.UUID(hex=cloid.removeprefix("0x")))


def handle_of(client_order_id: str) -> str | int | None:
    """By what Hyperliquid knows the order that `name_of` called so; None: it cannot know it."""
    if client_order_id.isdecimal():
        return int(client_order_id)
    try:
        return cloid_of(client_order_id)
    except OrderRefused:
        return None


def ticket_of(order: Order, listing: Listing, terms: Terms, *, middle: Price | None) -> Ticket:
    """How `order` is placed; its own stop is not: protection places one.

    A trigger is rounded nearer to the market, where less is lost or a target is met; a limit where
    it costs no more, and a bound where it allows no more.

    Args:
        middle: Of the book now; a market order needs it.

    Raises:
        OrderRefused: its quantity is not on the lot grid, or nothing bounds its price.
    """
    if order.quantity != listing.instrument.quantity(order.quantity):
        raise OrderRefused(f"{order.client_order_id}: {order.quantity} is no multiple of a lot")
    return Ticket(
        asset=listing.asset,
        cloid=cloid_of(order.client_order_id),
        side=order.side,
        quantity=order.quantity,
        price=listing.price(_worst(order, terms, middle), _cheaper(order.side)),
        terms=_terms_of(order, listing),
        reduce_only=order.reduce_only,
    )


def order_action(ticket: Ticket) -> Action:
    """The action that places `ticket`. The order of the fields is part of what is signed.

    Source: Hyperliquid, API, "Exchange endpoint", "Place an order".
    """
    order = {
        "a": ticket.asset,
        "b": ticket.side is Side.BUY,
        "p": text_of(ticket.price),
        "s": text_of(ticket.quantity),
        "r": ticket.reduce_only,
        "t": _type_form(ticket.terms),
        "c": ticket.cloid,
    }
    return {"type": "order", "orders": [order], "grouping": "na"}


def cancel_action(asset: int, handle: str | int) -> Action:
    """The action that cancels an order, by its `cloid` or by its number."""
    if isinstance(handle, int):
        return {"type": "cancel", "cancels": [{"a": asset, "o": handle}]}
    return {"type": "cancelByCloid", "cancels": [{"asset": asset, "cloid": handle}]}


def leverage_action(asset: int, leverage: int) -> Action:
    """The action that sets the leverage of a perpetual, on cross margin."""
    return {"type": "updateLeverage", "asset": asset, "isCross": True, "leverage": leverage}


def switch_action(at: datetime | None) -> Action:
    """The action that has all orders cancelled at a time; without one it takes that back."""
    action: Action = {"type": "scheduleCancel"}
    return action if at is None else action | {"time": milliseconds(at)}


def text_of(number: Decimal) -> str:
    """A decimal as digits and a point, without zeros at its end: what is signed is unique."""
    return f"{number.normalize():f}"


def milliseconds(at: datetime) -> int:
    """Whole milliseconds since 1970, rounded up."""
    return -(-(at - _EPOCH) // _MILLISECOND)


def described(ticket: Ticket) -> Json:
    """What `static_part` will be of the order that `ticket` becomes."""
    if isinstance(ticket.terms, TimeInForce):
        return {"orderType": "Limit", "tif": ticket.terms.value, "reduceOnly": ticket.reduce_only}
    kind = "Stop" if ticket.terms.kind is Kind.STOP else "Take Profit"
    return {
        "orderType": f"{kind} {'Market' if ticket.terms.takes else 'Limit'}",
        "triggerPx": text_of(ticket.terms.price),
        "reduceOnly": ticket.reduce_only,
    }


def static_part(row: Json) -> Json:
    """What of an order's row never changes, and the stream leaves out."""
    kept = ("orderType", "triggerPx", "reduceOnly", "tif")
    return {name: row[name] for name in kept if name in row}


def order_of_row(row: Json, symbol: Symbol, *, status: str) -> VenueOrder:
    """An order as orderStatus, frontendOpenOrders and openOrders tell it.

    `sz` is what is left of `origSz`. The price of what takes at once is a bound, and no limit.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    left = Decimal(row["sz"])
    quantity = Decimal(row.get("origSz", row["sz"]))
    filled = max(quantity - left, _NOTHING)
    trigger, limit = _prices_of(row)
    return VenueOrder(
        client_order_id=name_of(row),
        symbol=symbol,
        side=_SIDES[row["side"]],
        quantity=Quantity(quantity),
        filled=Quantity(filled),
        trigger=trigger,
        limit=limit,
        reduce_only=bool(row.get("reduceOnly", False)),
        status=status_of(status, quantity=quantity, filled=filled),
    )


def status_of(said: str, *, quantity: Decimal, filled: Decimal) -> OrderStatus:
    """The status that Hyperliquid's word and numbers amount to.

    There are dozens of words, and more to come: the end of each says what it means.

    Raises:
        ValueError: it is a word that we cannot place.
    """
    if said in ("open", "triggered"):
        return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
    if said.lower().endswith("rejected"):
        return OrderStatus.REJECTED
    if said == "filled" or said == "scheduledCancel" or said.lower().endswith("canceled"):
        return OrderStatus.FILLED if 0 < quantity <= filled else OrderStatus.CANCELLED
    raise ValueError(f"an order's status {said!r}")


def forced_by(row: Json, account: str) -> str:
    """What forced a fill of userFills on `account`; empty: nothing did.

    `liquidation` stands in the fills of both sides, and names whose position it was. Where it does
    not, and for what is deleveraged or settled, `dir` says in words what became of the position.

    Source: Hyperliquid, API, WebSocket, "Subscriptions": WsFill and FillLiquidation.

    Raises:
        LookupError, TypeError, ValueError: it is no such row.
    """
    told = dict(row.get("liquidation") or {})
    if told and str(told.get("liquidatedUser") or account).lower() == account:
        return f"liquidation ({told['method']})"
    said = str(row.get("dir", ""))
    return said if said.startswith(_FORCED) else ""


def fill_of_row(
    fill_id: str, row: Json, symbol: Symbol, *, client_order_id: str, account: str
) -> Fill:
    """A fill of `account` as userFills tells it; a fee below zero is a rebate.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    return Fill(
        fill_id=fill_id,
        client_order_id=client_order_id,
        symbol=symbol,
        side=_SIDES[row["side"]],
        quantity=Quantity(Decimal(row["sz"])),
        price=Price(Decimal(row["px"])),
        fee=Decimal(row["fee"]),
        fee_asset=row.get("feeToken", symbol.quote),
        liquidity=Liquidity.TAKER if row["crossed"] else Liquidity.MAKER,
        filled_at=at_milliseconds(row["time"]),
        forced=forced_by(row, account),
    )


def balances_of(state: Json, symbols: Mapping[str, Symbol]) -> dict[str, Decimal]:
    """Balances as if each position had been bought and paid, which is how Hyperliquid has them.

    Its account value is `totalRawUsd` and the value of all positions.

    Args:
        symbols: By the names of the coins; what is not among them is left out.

    Raises:
        LookupError, ArithmeticError, ValueError: it is no clearinghouseState.
    """
    held = {_MONEY: Decimal(state["marginSummary"]["totalRawUsd"])}
    for row in state["assetPositions"]:
        position = row["position"]
        symbol = symbols.get(position["coin"])
        if symbol is not None:
            held[symbol.base] = Decimal(position["szi"])
    return held


def middle_of(middles: Json, coin: str) -> Price:
    """The middle of a coin's book in allMids.

    Raises:
        LookupError, ArithmeticError: it has none.
    """
    return Price(Decimal(middles[coin]))


def taker_fee_of(fees: Json) -> Decimal:
    """What taking costs the account in perpetuals, in userFees."""
    return Decimal(fees["userCrossRate"])


def charge_of_row(row: Json, symbol: Symbol) -> Charge:
    """A payment in userFunding, of which a coin has one at a time; it tells what we receive.

    Raises:
        LookupError, ArithmeticError, ValueError: it is none.
    """
    paid = row["delta"]
    return Charge(
        charge_id=f"funding-{int(row['time'])}-{paid['coin']}",
        kind=ChargeKind.FUNDING,
        asset=_MONEY,
        amount=Decimal(paid["usdc"]).copy_negate(),
        symbol=symbol,
        charged_at=at_milliseconds(row["time"]),
    )


def _worst(order: Order, terms: Terms, middle: Price | None) -> Decimal:
    """The worst price that an order accepts."""
    if order.limit is not None:
        return order.limit
    if order.trigger is not None:
        return order.trigger * (1 + order.side.sign * terms.stop_slippage)
    if middle is None:
        raise OrderRefused(f"{order.client_order_id}: no price to bound a market order by")
    return middle * (1 + order.side.sign * terms.slippage)


def _cheaper(side: Side) -> Toward:
    return Toward.LOWER if side is Side.BUY else Toward.HIGHER


def _terms_of(order: Order, listing: Listing) -> TimeInForce | Trigger:
    if order.trigger is not None:
        kind = Kind.TARGET if order.takes_profit else Kind.STOP
        nearer = _cheaper(order.side.opposite if order.takes_profit else order.side)
        price = listing.price(order.trigger, nearer)
        return Trigger(price=price, kind=kind, takes=order.limit is None)
    if order.limit is None:
        return TimeInForce.IMMEDIATE_OR_CANCEL
    return TimeInForce.POST_ONLY if order.post_only else TimeInForce.GOOD_TILL_CANCELLED


def _type_form(terms: TimeInForce | Trigger) -> Action:
    if isinstance(terms, TimeInForce):
        return {"limit": {"tif": terms.value}}
    return {
        "trigger": {
            "isMarket": terms.takes,
            "triggerPx": text_of(terms.price),
            "tpsl": terms.kind.value,
        }
    }


def _prices_of(row: Json) -> tuple[Price | None, Price | None]:
    """The trigger and the limit of a row."""
    kind: str = row.get("orderType", "Limit")
    is_triggered = kind.startswith(_TRIGGERED)
    takes = kind.endswith("Market") or row.get("tif") in ("Ioc", "FrontendMarket")
    return (
        Price(Decimal(row["triggerPx"])) if is_triggered else None,
        None if takes else Price(Decimal(row["limitPx"])),
    )


def transfers_told(message: Json) -> Iterator[BalanceTold]:
    """What a message of `userNonFundingLedgerUpdates` says: of the past, with which it begins,
    nothing; what is left it does not say.

    Source: Hyperliquid, API, WebSocket, "Subscriptions".

    Raises:
        LookupError, ValueError: it cannot be read.
    """
    data = message["data"]
    if not data.get("isSnapshot"):
        for row in data["nonFundingLedgerUpdates"]:
            at = at_milliseconds(row["time"])
            yield BalanceTold(asset=_MONEY, left=None, at=at, by_trading=False)
