"""Passive first: an order rests at the touch, and takes what it has not got after a delay.

The touch is the best price of its own side, where it pays the maker's fee and no spread. Two orders
at most come of one intent, never at the same time:

    first   post-only at the touch, for all that is approved; cancelled after `cross_after`
    rest    at market, for what the first has not got, once that is over and its fills are booked

The rest is asked for where it is certain that the first gets nothing more: the venue has refused
it, has let it expire, or has cancelled it because we asked for that. Where the venue never answered
for the first, or somebody else has cancelled it, nothing more is asked for. Nor is it where we
ourselves have not sent an entry: nothing would have taken it back had we died, or it could not be
sent in time. Nor is it after a restart, which no approval outlives: what still rests then is
cancelled in its time. The rest is judged as every order is, an entry as the whole that it is
(`risk.completion`): what the market or the account has become since then counts. Source:
PARAMETERS.md, "Execution": passive first, cross after 10 s.

Only entries and the exits that a strategy wishes go out so. A stop, a flatten, and what care or a
breaker closes are at market from the start. Where the daemon stops in order, nobody is there to see
to what rests: an entry is withdrawn, and an exit takes at once what it has not got.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from data.instrument import Instrument, Price, Quantity, Side, Toward
from execution.blotter import OrderDone, Settled
from execution.order import OrderStatus
from execution.tracking import TrackedOrder
from risk.approval import ApprovedOrder
from risk.intent import Direction, OrderIntent, Purpose, completion_id


class PassiveSettings(BaseModel):
    """Which orders rest before they take: the `[passive]` section of config/*.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    entries: bool = False
    """Whether entries do."""
    exits: bool = False
    """Whether exits do that a strategy wishes."""
    cross_after: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=10)
    """How long the first order may rest, from its approval on; PARAMETERS.md has 10 s. The end that
    the venue may set to an entry that rests comes later."""


AT_ONCE = PassiveSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """An order that rests first: what was approved of its intent, signed, and for whom."""

    intent: OrderIntent
    quantity: Quantity

    @property
    def enters(self) -> bool:
        return not self.intent.reduces


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A first order that is over; sizes in base, above zero."""

    first: First
    filled: Quantity
    left: Quantity  # what is to be taken at market; zero: nothing


def passive_form(
    intent: OrderIntent, touch: Price, instrument: Instrument, settings: PassiveSettings
) -> OrderIntent:
    """`intent` as a post-only order at the `touch`, if such intents rest first; else as it is."""
    if not _may_rest(intent, settings):
        return intent
    toward = Toward.LOWER if wished_side(intent) is Side.BUY else Toward.HIGHER
    return replace(intent, limit=instrument.price(touch, toward), post_only=True)


def at_market(intent: OrderIntent) -> OrderIntent:
    """`intent` as it was before `passive_form`."""
    return replace(intent, limit=None, post_only=False) if intent.post_only else intent


def wished_side(intent: OrderIntent) -> Side:
    """The side of the order that it asks for."""
    if intent.quantity is not None:
        return Side.of(intent.quantity)
    return Side.BUY if intent.direction is Direction.LONG else Side.SELL


def rest_of(ended: Ended, now: datetime) -> OrderIntent:
    """What asks for the rest of an order that is over; an entry is asked for as a whole again."""
    first = ended.first
    sign = Side.of(first.quantity).sign
    whole = first.quantity if first.enters else Quantity(ended.left * sign)
    return replace(
        at_market(first.intent),
        intent_id=completion_id(first.intent.intent_id),
        decided_at=now,
        quantity=whole,
        completes=first.intent.intent_id,
    )


class PassiveOrders:
    """The orders of one account that rest first, and how each ends; a restart forgets them."""

    def __init__(self, settings: PassiveSettings) -> None:
        self.settings = settings
        self._firsts: dict[str, First] = {}
        self._crossing: set[str] = set()  # we have asked to have them cancelled
        self._ended: list[Ended] = []

    def begin(self, approved: ApprovedOrder) -> None:
        """Note that `approved`, which is post-only, is on its way."""
        first = First(intent=approved.intent, quantity=approved.quantity)
        self._firsts[approved.intent.intent_id] = first

    def follows(self, intent: OrderIntent) -> bool:
        """Whether its order is on its way, or rests."""
        return intent.intent_id in self._firsts

    def hear(self, settled: Settled) -> None:
        """Take in what came of an order."""
        if not isinstance(settled, OrderDone) or not settled.order.order.post_only:
            return
        tracked = settled.order
        first = self._firsts.pop(tracked.client_order_id, None)
        asked = tracked.client_order_id in self._crossing
        self._crossing.discard(tracked.client_order_id)
        if first is None:
            return
        is_certain = settled.refused or tracked.status is OrderStatus.EXPIRED
        is_certain |= asked and tracked.status is OrderStatus.CANCELLED
        is_certain |= asked and settled.withheld and not first.enters
        left = tracked.order.quantity - tracked.filled if is_certain else Decimal(0)
        self._ended.append(Ended(first=first, filled=tracked.filled, left=Quantity(left)))

    def overdue(self, orders: Iterable[TrackedOrder], now: datetime) -> Sequence[str]:
        """The orders that were approved so long ago, whichever life of ours has placed them."""
        return [
            order.client_order_id
            for order in orders
            if _rests(order) and now - order.order.approved_at >= self.settings.cross_after
        ]

    def crosses(self, client_order_id: str) -> None:
        """Note that an order is cancelled so that its rest can be taken."""
        self._crossing.add(client_order_id)

    @property
    def has_exits(self) -> bool:
        """Whether an exit is on its way, rests, or is over and nobody has taken it up."""
        firsts = (*self._firsts.values(), *(ended.first for ended in self._ended))
        return any(not first.enters for first in firsts)

    @property
    def has_ended(self) -> bool:
        """Whether an order is over, and nobody has taken it up."""
        return bool(self._ended)

    def take_ended(self) -> Sequence[Ended]:
        """The orders that are over since the last call."""
        ended, self._ended = self._ended, []
        return ended


def as_booked(ended: Ended, tracked: TrackedOrder) -> Ended:
    """The same with what has come in of its fills since it was over."""
    filled = max(tracked.filled, tracked.reported)
    left = max(min(ended.left, tracked.order.quantity - filled), Decimal(0))
    return replace(ended, filled=filled, left=Quantity(left))


def resting(orders: Iterable[TrackedOrder]) -> Sequence[str]:
    """The orders that rest first, or are about to, and that nobody has had cancelled."""
    return [order.client_order_id for order in orders if _rests(order)]


def _rests(order: TrackedOrder) -> bool:
    return order.order.post_only and not (order.cancelling or order.status.is_final)


def _may_rest(intent: OrderIntent, settings: PassiveSettings) -> bool:
    is_at_market = intent.trigger is None and (intent.limit is None or intent.post_only)
    match intent.purpose:
        case Purpose.ENTRY:
            return settings.entries and is_at_market and not intent.reduces
        case Purpose.EXIT:
            return settings.exits and is_at_market and intent.reduces
        case _:
            return False
