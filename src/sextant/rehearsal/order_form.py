"""What an order asks for, read from Kraken's forms: pure functions.

A form is the body of REST's AddOrder as flat text; a command of the socket is put in that form
first, so that both are read by the same rules.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, TypeVar

from data.faults import Refused
from data.instrument import Price, Quantity, Side
from sextant.rehearsal.listing import Listing, Register

Form = Mapping[str, str]
_Choice = TypeVar("_Choice", bound=StrEnum)
_FREE_TEXT: Final = re.compile(r"[\x20-\x7e]{1,18}")
_OFFSET: Final = re.compile(r"[+-][0-9]+(\.[0-9]+)?%?")
_MOST_DEADLINE: Final = timedelta(seconds=60)
_MOST: Final = "most"  # the leverage of a margin order over the socket, which names none
_TRUE: Final = frozenset({"true", "True", "1"})


class Declined(Refused):
    """Kraken's answer to what it does not do; the text is Kraken's own."""


class OrderType(StrEnum):
    """The kinds of orders taken here; icebergs are not."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop-loss"
    TAKE_PROFIT = "take-profit"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"

    @property
    def waits(self) -> bool:
        """Whether a price has to set it off."""
        return self not in (OrderType.MARKET, OrderType.LIMIT)

    @property
    def has_limit(self) -> bool:
        return self in _LIMITED

    @property
    def takes_profit(self) -> bool:
        return self in (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)

    @property
    def trails(self) -> bool:
        """Whether its trigger follows the last price."""
        return self in (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT)


_LIMITED: Final = (
    OrderType.LIMIT,
    OrderType.STOP_LOSS_LIMIT,
    OrderType.TAKE_PROFIT_LIMIT,
    OrderType.TRAILING_STOP_LIMIT,
)


class TimeInForce(StrEnum):
    """How long what does not fill at once stays."""

    GTC = "GTC"
    IOC = "IOC"
    GTD = "GTD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The order that each fill brings into being, on the other side and of the fill's size."""

    kind: OrderType
    trigger: Price | None
    limit: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """A relative price, as Kraken writes it: `+2.5%` or `+100`; of a limit perhaps `-0.5%`."""

    amount: Decimal  # signed
    is_percent: bool

    def of(self, price: Decimal) -> Decimal:
        """What it comes to at `price`, in quote currency."""
        return price * self.amount / 100 if self.is_percent else self.amount

    @property
    def text(self) -> str:
        return f"{self.amount:+f}{'%' if self.is_percent else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """How an order follows the last price: its trigger so far behind it, its limit off that.

    Source: docs.kraken.com, "Add Order": the trigger's direction goes by the order's side.
    """

    trigger: Offset  # above zero
    limit: Offset | None

    def prices(self, last: Price, side: Side, listing: Listing) -> tuple[Price, Price | None]:
        """The trigger and the limit with the last price at `last`, on the tick grid."""
        instrument = listing.instrument
        behind = last + side.sign * self.trigger.of(last)
        trigger = instrument.stop_price(behind, side.opposite)
        if self.limit is None:
            return trigger, None
        limit = instrument.stop_price(trigger + self.limit.of(trigger), side.opposite)
        return trigger, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as asked for; without `leverage` it is spot."""

    listing: Listing
    side: Side
    kind: OrderType
    quantity: Quantity
    trigger: Price | None
    limit: Price | None
    leverage: int | None
    reduce_only: bool
    post_only: bool
    time_in_force: TimeInForce
    expires_at: datetime | None
    deadline: datetime | None
    close: Close | None
    cl_ord_id: str | None
    userref: int | None
    validate: bool
    trail: Trail | None = None  # its trigger and its limit are where the market has taken them


def ticket_of(form: Form, register: Register, now: datetime) -> Ticket:
    """The order that `form` asks for.

    Raises:
        Declined: it asks for none that could be taken, whatever is owned.
    """
    listing = register.find(form.get("pair", ""))
    if listing is None:
        raise Declined("EQuery:Unknown asset pair")
    kind = _choice(form, "ordertype", OrderType)
    trail = _trail(form, kind) if kind.trails else None
    trigger, limit = (None, None) if trail is not None else prices_of(form, kind, listing)
    flags = frozenset(filter(None, form.get("oflags", "").split(",")))
    if flags - {"post", "fciq"}:
        raise bad("oflags")
    expires_at = _moment(form, "expiretm", now)
    return Ticket(
        listing=listing,
        side=_choice(form, "type", Side),
        kind=kind,
        quantity=quantity_of(form, "volume", listing),
        trigger=trigger,
        limit=limit,
        leverage=_leverage(form, listing),
        reduce_only=is_true(form, "reduce_only"),
        post_only="post" in flags,
        time_in_force=_time_in_force(form, expires_at),
        expires_at=expires_at,
        deadline=deadline_of(form, now),
        close=_close(form, listing),
        cl_ord_id=_client_order_id(form),
        userref=int(number(form, "userref")) if form.get("userref") else None,
        validate=is_true(form, "validate"),
        trail=trail,
    )


def bad(name: str) -> Declined:
    return Declined(f"EGeneral:Invalid arguments:{name}")


def is_true(form: Form, name: str) -> bool:
    return form.get(name, "") in _TRUE


def number(form: Form, name: str) -> Decimal:
    """A number above zero.

    Raises:
        Declined: it is none.
    """
    try:
        value = Decimal(form[name])
    except (KeyError, InvalidOperation):
        raise bad(name) from None
    if not (value.is_finite() and value > 0):
        raise bad(name)
    return value


def quantity_of(form: Form, name: str, listing: Listing) -> Quantity:
    """A quantity on the lot grid, and not below the pair's minimum."""
    value = number(form, name)
    if value % listing.instrument.lot:
        raise bad(name)
    if value < listing.min_quantity:
        raise Declined("EOrder:Order minimum not met")
    return Quantity(value)


def price_of(form: Form, name: str, listing: Listing) -> Price:
    value = number(form, name)
    if value % listing.tick:
        raise Declined("EOrder:Tick size check failed")
    return Price(value)


def prices_of(
    form: Form, kind: OrderType, listing: Listing, prefix: str = "{}"
) -> tuple[Price | None, Price | None]:
    """Trigger and limit: `price` is the trigger of an order that waits, `price2` its limit."""
    first, second = prefix.format("price"), prefix.format("price2")
    if kind.waits:
        trigger = price_of(form, first, listing)
        return trigger, price_of(form, second, listing) if kind.has_limit else None
    return None, price_of(form, first, listing) if kind.has_limit else None


def form_of_command(params: Mapping[str, Any]) -> dict[str, str]:
    """The command `add_order` of the socket as a form of REST."""
    kind, triggers = str(params.get("order_type", "")), params.get("triggers") or {}
    waits = "price" in triggers
    trigger = _relative(triggers.get("price"), triggers.get("price_type"))
    limit = _relative(params.get("limit_price"), params.get("limit_price_type"))
    form = {
        "pair": params.get("symbol"),
        "type": params.get("side"),
        "ordertype": kind,
        "volume": params.get("order_qty"),
        "price": trigger if waits else limit,
        "price2": limit if waits else None,
        "reduce_only": params.get("reduce_only"),
        "leverage": _MOST if params.get("margin") else None,
        "oflags": "post" if params.get("post_only") else None,
        "timeinforce": str(params.get("time_in_force", "gtc")).upper(),
        "expiretm": _seconds(params.get("expire_time")),
        "deadline": params.get("deadline"),
        "cl_ord_id": params.get("cl_ord_id"),
        "userref": params.get("order_userref"),
        "validate": params.get("validate"),
        **_close_of_command(params.get("conditional") or {}),
    }
    return {name: _text(value) for name, value in form.items() if value is not None}


def _relative(price: object, kind: object) -> object:
    """A price of the socket in REST's words: what is no static price is an offset."""
    if price is None or kind in (None, "static"):
        return price
    text = _text(price)
    signed = text if text.startswith("-") else f"+{text}"
    return f"{signed}%" if kind == "pct" else signed


def _trail(form: Form, kind: OrderType) -> Trail:
    limit = _offset(form, "price2") if kind.has_limit else None
    trigger = _offset(form, "price")
    if trigger.amount < 0 or (trigger.is_percent and trigger.amount >= 100):
        raise bad("price")
    return Trail(trigger=trigger, limit=limit)


def _offset(form: Form, name: str) -> Offset:
    """A relative price, which begins with its sign."""
    text = form.get(name, "")
    if not _OFFSET.fullmatch(text):
        raise bad(name)
    amount = Decimal(text.removesuffix("%"))
    if not amount:
        raise bad(name)
    return Offset(amount=amount, is_percent=text.endswith("%"))


def _close_of_command(conditional: Mapping[str, Any]) -> dict[str, Any]:
    if not conditional:
        return {}
    trigger, limit = conditional.get("trigger_price"), conditional.get("limit_price")
    prices = [price for price in (trigger, limit) if price is not None]
    names = ("close[price]", "close[price2]")
    return {
        "close[ordertype]": conditional.get("order_type"),
        **dict(zip(names, prices, strict=False)),
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value)


def _seconds(stamp: str | None) -> str | None:
    return None if stamp is None else str(datetime.fromisoformat(stamp).timestamp())


def _choice(form: Form, name: str, kind: type[_Choice]) -> _Choice:
    try:
        return kind(form.get(name, ""))
    except ValueError:
        raise bad(name) from None


def _leverage(form: Form, listing: Listing) -> int | None:
    text = form.get("leverage", "none")
    if text in ("none", "1", "0"):
        return None
    if text == _MOST and listing.leverages:
        return max(listing.leverages)
    leverage = int(number(form, "leverage"))
    if leverage not in listing.leverages:
        raise bad("leverage")
    return leverage


def _time_in_force(form: Form, expires_at: datetime | None) -> TimeInForce:
    default = TimeInForce.GTC if expires_at is None else TimeInForce.GTD
    found = _choice({"timeinforce": form.get("timeinforce", default)}, "timeinforce", TimeInForce)
    if (found is TimeInForce.GTD) != (expires_at is not None):
        raise bad("expiretm")
    return found


def _moment(form: Form, name: str, now: datetime) -> datetime | None:
    """A time in seconds since 1970, or `+` seconds from now; 0 is none."""
    text = form.get(name, "0")
    try:
        seconds = float(text)
        at = now + timedelta(seconds=seconds) if text[0] == "+" else _since_1970(seconds)
    except (ValueError, IndexError, OverflowError):
        raise bad(name) from None
    if not seconds:
        return None
    if at <= now:
        raise bad(name)
    return at


def _since_1970(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def deadline_of(form: Form, now: datetime) -> datetime | None:
    """Until when the order may reach the book; at most a minute ahead.

    Raises:
        Declined: it is over, or no such time.
    """
    text = form.get("deadline")
    if not text:
        return None
    try:
        deadline = datetime.fromisoformat(text)
    except ValueError:
        raise bad("deadline") from None
    if deadline.tzinfo is None or deadline > now + _MOST_DEADLINE:
        raise bad("deadline")
    if deadline <= now:
        raise Declined("EService:Deadline elapsed")
    return deadline


def _close(form: Form, listing: Listing) -> Close | None:
    if not form.get("close[ordertype]"):
        return None
    kind = _choice({"close": form["close[ordertype]"]}, "close", OrderType)
    if kind is OrderType.MARKET or kind.trails:
        raise bad("close")
    trigger, limit = prices_of(form, kind, listing, prefix="close[{}]")
    return Close(kind=kind, trigger=trigger, limit=limit)


def _client_order_id(form: Form) -> str | None:
    """A UUID with hyphens or without, or free text of at most 18 characters."""
    text = form.get("cl_ord_id")
    if not text:
        return None
    if form.get("userref"):
        raise bad("cl_ord_id")
    if not _FREE_TEXT.fullmatch(text):
        try:
            uuid.UUID(text)
        except ValueError:
            raise bad("cl_ord_id") from None
    return text
