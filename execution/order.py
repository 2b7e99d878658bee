"""Orders, the states through which they pass, and what we put on record about each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from data.instrument import Price, Quantity, Side, Symbol
from risk.approval import ApprovedOrder
from risk.intent import Purpose
from risk.objection import Objection


class OrderStatus(StrEnum):
    """Where an order stands; what is `SUBMITTING` is on record, and perhaps on the wire."""

    SUBMITTING = "submitting"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"  # by the venue
    UNKNOWN = "unknown"  # sent, but no answer came: ask before trading the symbol again

    @property
    def is_final(self) -> bool:
        return self in _FINAL

    @property
    def works(self) -> bool:
        """Whether the venue holds it, as it has said."""
        return self in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


_FINAL = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a venue is asked for; `client_order_id` is the intent's id, so one intent is one order.

    Without `trigger` and `limit` it is a market order; with `limit` a limit order; with `trigger` a
    stop order, or a take-profit order where that is its purpose; with both it is a limit order from
    its trigger on. What is `post_only` never takes. `stop` asks the venue to place a protective
    stop of its own for what fills: that child order has the client order id
    `venue.stop_id(client_order_id)`. `target`, `thesis`, `falsified_at` and `atr` are no business
    of the venue's: we watch them. A protective stop that `replaces` another takes its place; what
    `completes` another takes what that one was approved for and did not get.
    """

    client_order_id: str
    strategy_id: str
    symbol: Symbol
    side: Side
    quantity: Quantity  # above zero
    purpose: Purpose
    trigger: Price | None
    limit: Price | None
    stop: Price | None
    reduce_only: bool
    approved_at: datetime
    target: Price | None = None
    replaces: str | None = None  # a client order id
    thesis: str = ""
    falsified_at: Price | None = None
    post_only: bool = False
    atr: float | None = None
    completes: str | None = None  # a client order id

    @property
    def takes_profit(self) -> bool:
        """Whether it waits for a price at which a position has won enough."""
        return self.purpose is Purpose.TAKE_PROFIT and self.trigger is not None

    @property
    def rests(self) -> bool:
        """Whether a venue keeps it until its price comes: it is no order at market."""
        return self.limit is not None or self.trigger is not None

    @property
    def exits(self) -> bool:
        """Whether it takes a position down, at market and now."""
        return self.reduce_only and not self.rests

    @classmethod
    def of(cls, approved: ApprovedOrder) -> Self:
        intent = approved.intent
        return cls(
            client_order_id=intent.intent_id,
            strategy_id=intent.strategy_id,
            symbol=intent.symbol,
            side=Side.of(approved.quantity),
            quantity=Quantity(abs(approved.quantity)),
            purpose=intent.purpose,
            trigger=intent.trigger,
            limit=intent.limit,
            stop=intent.stop,
            reduce_only=intent.reduce_only,
            approved_at=approved.approved_at,
            target=intent.target,
            replaces=intent.replaces,
            thesis=intent.thesis,
            falsified_at=intent.falsified_at,
            post_only=intent.post_only,
            atr=intent.atr,
            completes=intent.completes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitting:
    """An order is about to be sent: durable before the wire, with what its approval rests on."""

    order: Order
    decided_at: datetime
    wished: Quantity | None  # signed, as the intent had it
    confidence: float
    reductions: tuple[Objection, ...]
    at: datetime

    @classmethod
    def of(cls, approved: ApprovedOrder, *, at: datetime) -> Self:
        intent = approved.intent
        return cls(
            order=Order.of(approved),
            decided_at=intent.decided_at,
            wished=intent.quantity,
            confidence=intent.confidence,
            reductions=approved.reductions,
            at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Amending:
    """A stop is about to be changed in place: durable before the wire, as an order is."""

    amendment_id: str  # the intent's that asks for it
    client_order_id: str  # the stop's, which keeps it
    trigger: Price
    quantity: Quantity  # above zero, of the whole stop
    decided_at: datetime
    reductions: tuple[Objection, ...]
    at: datetime

    @classmethod
    def of(cls, approved: ApprovedOrder, *, at: datetime) -> Self:
        """What an intent that `amends` asks for.

        Raises:
            ValueError: it is none.
        """
        intent = approved.intent
        if intent.amends is None or intent.trigger is None:
            raise ValueError(f"{intent.intent_id} amends nothing")
        return cls(
            amendment_id=intent.intent_id,
            client_order_id=intent.amends,
            trigger=intent.trigger,
            quantity=Quantity(abs(approved.quantity)),
            decided_at=intent.decided_at,
            reductions=approved.reductions,
            at=at,
        )


class Outcome(StrEnum):
    """What came of submitting or amending an order."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # by the venue
    WITHHELD = "withheld"  # by ourselves: the venue has never seen it
    UNKNOWN = "unknown"  # sent, but no answer came
    UNAVAILABLE = "unavailable"  # it never got there, and will not be sent again


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What came of a `Submitting`; `detail` is the venue's own words."""

    client_order_id: str
    outcome: Outcome
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelling:
    """An order is about to be cancelled."""

    client_order_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """What came of an `Amending`; `detail` is the venue's own words. UNKNOWN is not the last."""

    amendment_id: str
    client_order_id: str
    outcome: Outcome
    detail: str
    at: datetime
