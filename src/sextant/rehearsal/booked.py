"""What the exchange keeps of an order and of a fill, and what it tells of them."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from data.instrument import Price, Quantity
from execution.fill import Fill
from execution.liquidation import LIQUIDATION
from execution.order import Order
from execution.paper_terms import stop_is_reached
from risk.intent import Purpose
from sextant.rehearsal.order_form import Declined, Ticket

_ZERO: Final = Decimal(0)
LIQUIDATED: Final = "liquidated"
"""Kraken's word, in `misc` and in `executions`."""


class Status(StrEnum):
    """Kraken's words for where an order stands in REST."""

    OPEN = "open"
    CLOSED = "closed"
    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(slots=True, kw_only=True)
class Booked:
    """An order that was taken; in the book only where it waits for no trigger."""

    txid: str
    ticket: Ticket
    opened_at: datetime
    parent: str | None = None  # the order whose fill brought it into being
    status: Status = Status.OPEN
    triggered_at: datetime | None = None
    closed_at: datetime | None = None
    reason: str = ""
    filled: Decimal = _ZERO
    cost: Decimal = _ZERO
    fee: Decimal = _ZERO
    trades: list[str] = field(default_factory=list)
    liquidates: bool = False  # the exchange's own: it ends a position that cannot be carried

    @property
    def misc(self) -> str:
        """What REST says of it beside all else."""
        return LIQUIDATED if self.liquidates else ""

    @property
    def is_open(self) -> bool:
        return self.status is Status.OPEN

    @property
    def waits(self) -> bool:
        """Whether it stands outside the book until its trigger is reached."""
        return self.is_open and self.ticket.kind.waits and self.triggered_at is None

    def follow(self, last: Price) -> None:
        """Move a trigger that trails, and only the way that the market has gone with it."""
        ticket = self.ticket
        if ticket.trail is None or not self.waits:
            return
        trigger, limit = ticket.trail.prices(last, ticket.side, ticket.listing)
        before = ticket.trigger
        if before is None or (before - trigger) * ticket.side.sign > 0:
            self.ticket = replace(ticket, trigger=trigger, limit=limit)

    @property
    def average(self) -> Decimal:
        return self.cost / self.filled if self.filled else _ZERO

    def is_set_off(self, last: Price) -> bool:
        """Whether the last price reaches its trigger; a touch does."""
        ticket = self.ticket
        if ticket.trigger is None:
            return False
        side = ticket.side.opposite if ticket.kind.takes_profit else ticket.side
        return stop_is_reached(ticket.trigger, last, side)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTrade:
    """A fill as the exchange tells it; `number` counts the fills of the account."""

    txid: str
    number: int
    order: str
    fill: Fill
    leverage: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What has just happened to an order, in the words of the `executions` channel."""

    kind: str  # pending_new, new, trade, filled, canceled, expired, amended, status
    order: Booked
    at: datetime
    trade: OwnTrade | None = None


def core_order(txid: str, ticket: Ticket, at: datetime, *, liquidates: bool = False) -> Order:
    """A ticket as the matching core takes it: without the trigger, which is not its business."""
    return Order(
        client_order_id=txid,
        strategy_id=LIQUIDATION if liquidates else "",
        thesis=LIQUIDATED if liquidates else "",
        symbol=ticket.listing.symbol,
        side=ticket.side,
        quantity=ticket.quantity,
        purpose=Purpose.EXIT if ticket.reduce_only else Purpose.ENTRY,
        trigger=None,
        limit=ticket.limit,
        stop=None,
        reduce_only=ticket.reduce_only,
        approved_at=at,
    )


def amended(
    order: Booked,
    quantity: Quantity | None,
    limit: Price | None,
    trigger: Price | None,
    *,
    post_only: bool,
) -> Ticket:
    """The ticket after an amendment.

    Raises:
        Declined: the order has no such price, or less is asked for than has filled.
    """
    ticket = order.ticket
    if limit is not None and (ticket.limit is None or ticket.trail is not None):
        raise Declined("EGeneral:Invalid arguments:limit_price")
    if trigger is not None and (not order.waits or ticket.trail is not None):
        raise Declined("EGeneral:Invalid arguments:trigger_price")
    if quantity is not None and quantity <= order.filled:
        raise Declined("EGeneral:Invalid arguments:order_qty")
    return replace(
        ticket,
        quantity=quantity or ticket.quantity,
        limit=limit or ticket.limit,
        trigger=trigger or ticket.trigger,
        post_only=post_only,
    )


def kraken_words(reason: str) -> str:
    """The matching core's words for a refusal as Kraken's."""
    return next((theirs for ours, theirs in _WORDS.items() if reason.startswith(ours)), reason)


_WORDS: Final = {
    "quantity": "EOrder:Order minimum not met",
    "notional": "EOrder:Cost minimum not met",
    "reduce-only": "EOrder:Reduce only:No position exists",
    "nothing to reduce": "EOrder:Reduce only:Position is closed",
}
