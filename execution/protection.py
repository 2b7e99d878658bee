"""Every position has its stop at the venue, for exactly its size; or it is closed.

Stops that a venue attached to an entry count like our own. What is missing is asked for, what is
too much is cancelled, and what stays without an acknowledged stop for too long is flattened. A stop
that is too large stays until one that fits has taken its place, and while the position is being
closed at market: both are reduce-only, so that together they cannot turn it. All that is asked for
is an intent, and takes the road of every intent: `risk.approval.judge` first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from data.account import AccountState, Position
from data.instrument import Instrument, Price, Quantity, Side, Symbol
from execution.order import OrderStatus
from execution.planned_stop import PlannedStop, is_passed
from execution.tightening import CareSettings
from execution.tracking import TrackedOrder
from risk.intent import Direction, OrderIntent, Purpose, intent_id

UNPLANNED = "protection"
"""Who asks to close a position that no entry's stop is known for."""

_NOTHING = Quantity(Decimal(0))
_ON_ITS_WAY = (OrderStatus.SUBMITTING, OrderStatus.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """An order that is to work no more: an idle stop, or the entry of a position that ends."""

    client_order_id: str
    reason: str


ProtectiveAction = OrderIntent | CancelOrder


class ProtectionSettings(CareSettings):
    """When protection acts: the `[protection]` section of config/*.toml."""

    patience: Annotated[timedelta, Field(ge=timedelta(0))]
    """How long stops may not fit before we act, and between two attempts; venues attach theirs."""
    deadline: Annotated[timedelta, Field(gt=timedelta(0))]
    """How long a position may be without acknowledged stops before it is closed; one that no stop
    is known for waits for nothing, and is closed after `patience`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """How the stops of one symbol fit its position; sizes in base, above zero."""

    acknowledged: Quantity  # covered by stops that the venue has said it holds
    missing: Quantity  # neither covered, nor about to be, nor being closed
    closing: Quantity  # asked for by orders at market
    superfluous: tuple[TrackedOrder, ...]


def cover(held: Quantity, orders: Sequence[TrackedOrder]) -> Cover:
    """Hold a signed position against the live orders of its symbol.

    Of the acknowledged stops the tightest are kept; one larger than what they leave to cover is
    superfluous, and what it covered is missing. A stop on its way replaces no other until it is
    acknowledged, and one that is being cancelled covers nothing. What a venue attached to an entry
    that still works is the venue's to fit.
    """
    side, size = Side.of(held), abs(held)
    alive = {order.client_order_id for order in orders}
    acknowledged = coming = closing = Decimal(0)
    superfluous = []
    for order in sorted(orders, key=lambda o: _looseness(o, side)):
        left = size - acknowledged
        if _closes(order, side):
            closing += order.remaining
        elif not _is_stop(order):
            continue
        elif order.parent in alive:
            acknowledged += min(order.remaining, left)
        elif not held or order.order.side is side:
            superfluous.append(order)
        elif order.status in _ON_ITS_WAY:
            coming += order.remaining
        elif order.remaining > left:
            superfluous.append(order)
        else:
            acknowledged += order.remaining
    return Cover(
        acknowledged=Quantity(acknowledged),
        missing=Quantity(max(size - acknowledged - coming - closing, _NOTHING)),
        closing=Quantity(closing),
        superfluous=tuple(superfluous),
    )


class Protection:
    """Watches the stops of one account, and since when each position's do not fit.

    A restart begins each wait anew. What is below the venue's minimum counts as flat: it can be
    neither protected nor closed.
    """

    def __init__(
        self, instruments: Mapping[Symbol, Instrument], settings: ProtectionSettings
    ) -> None:
        self._instruments = instruments
        self._settings = settings
        self._since: dict[Symbol, datetime] = {}  # the stops do not fit
        self._tried: dict[Symbol, datetime] = {}  # we last asked for a stop
        self._flattened: dict[Symbol, datetime] = {}  # we last asked to be flat
        self._seen: int | None = None
        self._symbols: frozenset[Symbol] = frozenset()

    def review(
        self,
        account: AccountState,
        orders: Sequence[TrackedOrder],
        plans: Mapping[Symbol, PlannedStop],
        *,
        revision: int,
    ) -> tuple[ProtectiveAction, ...]:
        """What has to be done at `account.as_of`; nothing, and fast, while all fits.

        `revision` changes whenever `orders` or a position does.
        """
        if self.is_settled(account, revision):
            return ()
        symbols = account.positions.keys()
        self._seen, self._symbols = revision, frozenset(symbols)
        protected = {order.order.symbol for order in orders if order.is_protective}
        actions: list[ProtectiveAction] = []
        for symbol in sorted(protected | symbols | self._since.keys()):
            working = [order for order in orders if order.order.symbol == symbol]
            actions += self._review(symbol, account, working, plans.get(symbol))
        return tuple(actions)

    def is_settled(self, account: AccountState, revision: int) -> bool:
        """Whether all fitted when it was last reviewed, and nothing has changed since."""
        return (
            revision == self._seen
            and not self._since
            and account.positions.keys() == self._symbols  # a price alone can make dust of one
        )

    def _review(
        self,
        symbol: Symbol,
        account: AccountState,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop | None,
    ) -> Sequence[ProtectiveAction]:
        now, position = account.as_of, account.positions.get(symbol)
        fit = cover(account.held(symbol), orders)
        if position is None:
            self._forget(symbol)
            return [
                CancelOrder(client_order_id=o.client_order_id, reason="flat")
                for o in fit.superfluous
            ]
        is_naked = self._matters(position, abs(position.quantity) - fit.acknowledged)
        if not is_naked and not fit.superfluous:
            self._forget(symbol)
            return ()
        waited = now - self._since.setdefault(symbol, now)
        if waited < self._settings.patience:
            return ()
        is_late = is_naked and (plan is None or waited >= self._settings.deadline)
        is_missing = self._matters(position, fit.missing)
        if is_late or (is_missing and plan is not None and is_passed(plan, position.mark)):
            return self._flatten(position, fit, plan, now)
        stand_in = _stand_in(fit, position) if is_naked else None
        actions: list[ProtectiveAction] = [
            CancelOrder(client_order_id=o.client_order_id, reason="too large")
            for o in fit.superfluous
            if o is not stand_in
        ]
        if is_missing and plan is not None and self._may_try(symbol, now):
            self._tried[symbol] = now
            actions.append(self._stop(position, fit.missing, plan, stand_in, now))
        return actions

    def _matters(self, position: Position, quantity: Decimal) -> bool:
        """Whether a part of the position is large enough to be traded."""
        return quantity > 0 and not self._instruments[position.symbol].is_dust(
            quantity, position.mark
        )

    def _may_try(self, symbol: Symbol, now: datetime) -> bool:
        tried = self._tried.get(symbol)
        return tried is None or now - tried >= self._settings.patience

    def _stop(
        self,
        position: Position,
        missing: Quantity,
        plan: PlannedStop,
        stand_in: TrackedOrder | None,
        now: datetime,
    ) -> OrderIntent:
        return reduction(
            position,
            self._instruments[position.symbol],
            missing,
            strategy_id=plan.strategy_id,
            purpose=Purpose.PROTECTION,
            now=now,
            trigger=plan.price,
            replaces=stand_in.client_order_id if stand_in is not None else None,
        )

    def _flatten(
        self, position: Position, fit: Cover, plan: PlannedStop | None, now: datetime
    ) -> Sequence[OrderIntent]:
        symbol = position.symbol
        asked = self._flattened.get(symbol)
        rests = asked is not None and now - asked < self._settings.deadline
        size = abs(position.quantity)
        if rests or not self._matters(position, size - fit.closing):
            return ()
        self._flattened[symbol] = now
        strategy_id = plan.strategy_id if plan is not None else UNPLANNED
        left = Quantity(size - fit.closing)
        return (
            reduction(
                position,
                self._instruments[symbol],
                left,
                strategy_id=strategy_id,
                purpose=Purpose.FLATTEN,
                now=now,
            ),
        )

    def _forget(self, symbol: Symbol) -> None:
        for times in (self._since, self._tried, self._flattened):
            times.pop(symbol, None)


def reduction(
    position: Position,
    instrument: Instrument,
    quantity: Quantity,
    *,
    strategy_id: str,
    purpose: Purpose,
    now: datetime,
    trigger: Price | None = None,
    limit: Price | None = None,
    replaces: str | None = None,
) -> OrderIntent:
    """Take `quantity`, above zero, off the position; at market where there is no `trigger`."""
    side = Side.of(position.quantity).opposite
    return OrderIntent(
        intent_id=intent_id(strategy_id, position.symbol, now, purpose),
        strategy_id=strategy_id,
        symbol=position.symbol,
        purpose=purpose,
        direction=Direction.CLOSE,
        decided_at=now,
        confidence=1.0,
        quantity=Quantity(instrument.quantity(quantity) * side.sign),
        trigger=trigger,
        limit=limit,
        reduce_only=True,
        replaces=replaces,
    )


def _stand_in(fit: Cover, position: Position) -> TrackedOrder | None:
    """The tightest stop that is too large: it stays until one that fits can take its place."""
    side = Side.of(position.quantity)
    return next((order for order in fit.superfluous if order.order.side is not side), None)


def _is_stop(order: TrackedOrder) -> bool:
    return order.is_protective and order.remaining > 0 and not order.cancelling


def _looseness(order: TrackedOrder, side: Side) -> tuple[Decimal, str]:
    """Sorts the stops of a position on `side`, the tightest first."""
    trigger = order.order.trigger or Decimal(0)
    return (-trigger if side is Side.BUY else trigger, order.client_order_id)


def _closes(order: TrackedOrder, side: Side) -> bool:
    """Whether it is an order at market that takes a position on `side` down."""
    return order.order.exits and order.order.side is not side
