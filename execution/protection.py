"""Every position has its stop at the venue, for exactly its size; or it is closed.

Stops that a venue attached to an entry count like our own. What is missing is asked for, what is
too much is cancelled, and what stays without an acknowledged stop for too long is flattened. A stop
that is too large stays until one that fits has taken its place, and while the position is being
closed at market: both are reduce-only, so that together they cannot turn it. All that is asked for
is an intent, and takes the road of every intent: `risk.approval.judge` first.

Where the venue changes orders in place, a stop of our own that does not fit is amended: one
request, and no moment with two stops. One that it has declined to amend is replaced from then on.
Since when a position is naked goes on record as it begins and as it ends, and a restart goes on
from there: who is killed again and again still closes what stays naked in time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
class NakedSeen:
    """From `at` on, the position in a symbol is not covered by acknowledged stops; or it is again.

    One of which only a part is covered is naked. One that has ended is not.
    """

    at: datetime
    symbol: Symbol
    is_naked: bool


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
    acknowledged, one that is being amended covers what it does until then, and one that is being
    cancelled covers nothing. What a venue attached to an entry that still works is the venue's to
    fit.
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
        elif order.amending is not None:
            held = order.remaining if order.remaining <= left else _NOTHING
            acknowledged += held
            coming += max(order.coming - held, _NOTHING)
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

    What is below the venue's minimum counts as flat: it can be neither protected nor closed. When
    we last asked for something is not remembered over a restart; what came of it is.

    Args:
        amends: Whether the venue changes a stop in place.
        write: Puts on record from when on a position is naked, and when that ends.
        seen: What the runs before have put there, oldest first.
    """

    def __init__(
        self,
        instruments: Mapping[Symbol, Instrument],
        settings: ProtectionSettings,
        *,
        amends: bool = False,
        write: Callable[[NakedSeen], None],
        seen: Iterable[NakedSeen] = (),
    ) -> None:
        self._instruments = instruments
        self._settings = settings
        self._amends = amends
        self._write = write
        newest = {one.symbol: one for one in seen}
        self._naked = {symbol: one.at for symbol, one in newest.items() if one.is_naked}
        self._since = dict(self._naked)  # the stops do not fit
        self._tried: dict[Symbol, datetime] = {}  # we last asked for a stop
        self._flattened: dict[Symbol, datetime] = {}  # we last asked to be flat
        self._seen: int | None = None
        self._symbols: frozenset[Symbol] = frozenset()

    def begin(self, account: AccountState, orders: Sequence[TrackedOrder]) -> None:
        """Note which positions our own record shows naked, before the venue is asked anything."""
        for symbol, position in sorted(account.positions.items()):
            fit = cover(position.quantity, [o for o in orders if o.order.symbol == symbol])
            if self._is_naked(position, fit):
                self._note(symbol, is_naked=True, now=account.as_of)

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
            self._forget(symbol, now)
            return [
                CancelOrder(client_order_id=o.client_order_id, reason="flat")
                for o in fit.superfluous
            ]
        is_naked = self._is_naked(position, fit)
        if not is_naked and not fit.superfluous:
            self._forget(symbol, now)
            return ()
        self._note(symbol, is_naked=is_naked, now=now)
        if now - self._since.setdefault(symbol, now) < self._settings.patience:
            return ()
        is_late = is_naked and (plan is None or self._is_late(symbol, now))
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
            changed = self._to_change(position, orders, stand_in)
            actions.append(self._stop(position, fit.missing, plan, stand_in, changed, now))
        return actions

    def _to_change(
        self, position: Position, orders: Sequence[TrackedOrder], stand_in: TrackedOrder | None
    ) -> TrackedOrder | None:
        """The stop that can be made to fit in place: what is too large, or else the tightest."""
        side = Side.of(position.quantity)
        stops = orders if stand_in is None else [stand_in]
        ours = [o for o in stops if self._amends and o.can_change and o.order.side is not side]
        return min(ours, key=lambda o: _looseness(o, side), default=None)

    def _is_naked(self, position: Position, fit: Cover) -> bool:
        return self._matters(position, abs(position.quantity) - fit.acknowledged)

    def _note(self, symbol: Symbol, *, is_naked: bool, now: datetime) -> None:
        """Begin or end the wait for acknowledged stops; where that is news, it goes on record."""
        if is_naked is (symbol in self._naked):
            return
        if is_naked:
            self._naked[symbol] = now
            self._since.setdefault(symbol, now)
        else:
            del self._naked[symbol]
        self._write(NakedSeen(at=now, symbol=symbol, is_naked=is_naked))

    def _matters(self, position: Position, quantity: Decimal) -> bool:
        """Whether a part of the position is large enough to be traded."""
        return quantity > 0 and not self._instruments[position.symbol].is_dust(
            quantity, position.mark
        )

    def _is_late(self, symbol: Symbol, now: datetime) -> bool:
        return now - self._naked[symbol] >= self._settings.deadline

    def _may_try(self, symbol: Symbol, now: datetime) -> bool:
        tried = self._tried.get(symbol)
        return tried is None or now - tried >= self._settings.patience

    def _stop(
        self,
        position: Position,
        missing: Quantity,
        plan: PlannedStop,
        stand_in: TrackedOrder | None,
        changed: TrackedOrder | None,
        now: datetime,
    ) -> OrderIntent:
        """A stop for what is missing: of its own, or more of one that covers some already."""
        more = changed is not None and changed is not stand_in
        return reduction(
            position,
            self._instruments[position.symbol],
            Quantity(missing + changed.remaining) if changed is not None and more else missing,
            strategy_id=plan.strategy_id,
            purpose=Purpose.PROTECTION,
            now=now,
            trigger=plan.price,
            replaces=stand_in.client_order_id if stand_in is not None and not changed else None,
            amends=changed.client_order_id if changed is not None else None,
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

    def _forget(self, symbol: Symbol, now: datetime) -> None:
        self._note(symbol, is_naked=False, now=now)
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
    amends: str | None = None,
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
        amends=amends,
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
