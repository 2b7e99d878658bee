"""Position care: what becomes of a position that stands and has its stop.

    open for too long                  closed at market
    its mark has come to its target    closed at market
    its thesis has proven wrong        closed at market
    its gain has earned another stop   the stop moves, and only tightens

A venue is never sent a target. Where two resting orders must not both fill, stop and target would
have to share the position's size, and each share would stand without the other; so we watch the
target against the mark, and the stop stays whole at the venue until the exit has filled. Stop and
exit are reduce-only: together they close the position and cannot turn it. What of the entry still
works is cancelled before its position is closed.

A stop moves by one order that `replaces` another: the new one is there before the old one goes. If
it never gets there, the old one stands, and what was planned binds all the same: once the mark is
beyond it, the position is closed. Nothing of this has to be remembered over a restart: the plan,
the stop that stands and when it was asked for follow from the orders on record.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from data.account import AccountState, Position
from data.instrument import Instrument, Quantity, Side, Symbol
from execution.order import OrderStatus
from execution.planned_stop import PlannedStop, is_falsified, is_passed, is_won, tighter
from execution.protection import (
    CancelOrder,
    ProtectionSettings,
    ProtectiveAction,
    cover,
    reduction,
)
from execution.tightening import is_too_old, stop_due
from execution.tracking import TrackedOrder
from risk.intent import OrderIntent, Purpose

_WORKING = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


class PositionCare:
    """Looks after the positions of one account; `due` says what, `review` that it will be done.

    What was asked for and did not come about is asked for again: an exit after `deadline`, a move
    of a stop after `move_every`. A restart begins each of these waits anew.
    """

    def __init__(
        self, instruments: Mapping[Symbol, Instrument], settings: ProtectionSettings
    ) -> None:
        self._instruments = instruments
        self._settings = settings
        self._is_off = not (settings.tightens or settings.take_profit or settings.max_age)
        self._closed: dict[Symbol, datetime] = {}  # we last asked to be flat
        self._moved: dict[Symbol, datetime] = {}  # we last asked for another stop

    def review(
        self,
        account: AccountState,
        orders: Sequence[TrackedOrder],
        plans: Mapping[Symbol, PlannedStop],
    ) -> tuple[ProtectiveAction, ...]:
        """What has to be done at `account.as_of`, in this order; whoever asks does it."""
        for ended in self._closed.keys() - account.positions.keys():
            del self._closed[ended]
        actions = self.due(account, orders, plans)
        for action in actions:
            if isinstance(action, OrderIntent):
                asked = self._closed if action.trigger is None else self._moved
                asked[action.symbol] = account.as_of
        return actions

    def due(
        self,
        account: AccountState,
        orders: Sequence[TrackedOrder],
        plans: Mapping[Symbol, PlannedStop],
    ) -> tuple[ProtectiveAction, ...]:
        """What `review` would say, and nothing is taken as done."""
        if not account.positions:
            return ()
        actions: list[ProtectiveAction] = []
        for symbol, position in sorted(account.positions.items()):
            plan = plans.get(symbol)
            if plan is not None and not (self._is_off and plan.falsified_at is None):
                working = [order for order in orders if order.order.symbol == symbol]
                actions += self._due(position, working, plan, account.as_of)
        return tuple(actions)

    def _due(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        now: datetime,
    ) -> Sequence[ProtectiveAction]:
        if (why := self._ends(position, plan, now)) is not None:
            return self._close(position, orders, plan, why, now)
        standing = self._standing(position, orders)
        if standing is None or (trigger := standing.order.trigger) is None:
            return ()
        bound = tighter(plan.side, plan.price, trigger)
        if bound != trigger and is_passed(plan, position.mark):
            return self._close(position, orders, plan, Purpose.FLATTEN, now)
        instrument = self._instruments[position.symbol]
        stop = stop_due(bound, position, instrument, self._settings)
        if stop == trigger or not self._may_move(standing, now):
            return ()
        return (
            reduction(
                position,
                instrument,
                Quantity(abs(position.quantity)),
                strategy_id=plan.strategy_id,
                purpose=Purpose.PROTECTION,
                now=now,
                trigger=stop,
                replaces=standing.client_order_id,
            ),
        )

    def _ends(self, position: Position, plan: PlannedStop, now: datetime) -> Purpose | None:
        """Why the position is to be closed, if it is."""
        if is_too_old(position, now, self._settings):
            return Purpose.MAX_AGE
        if self._settings.take_profit and is_won(plan, position.mark):
            return Purpose.TAKE_PROFIT
        return Purpose.FALSIFIED if is_falsified(plan, position.mark) else None

    def _close(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        purpose: Purpose,
        now: datetime,
    ) -> Sequence[ProtectiveAction]:
        """Cancel what still enters, and close what no order at market closes already."""
        symbol, instrument = position.symbol, self._instruments[position.symbol]
        actions: list[ProtectiveAction] = [
            CancelOrder(
                client_order_id=order.client_order_id, reason=f"its position ends: {purpose}"
            )
            for order in orders
            if _enters(order) and not order.cancelling
        ]
        left = Quantity(abs(position.quantity) - cover(position.quantity, orders).closing)
        asked = self._closed.get(symbol)
        rests = asked is not None and now - asked < self._settings.deadline
        if rests or left <= 0 or instrument.is_dust(left, position.mark):
            return actions
        return [
            *actions,
            reduction(
                position, instrument, left, strategy_id=plan.strategy_id, purpose=purpose, now=now
            ),
        ]

    def _standing(self, position: Position, orders: Sequence[TrackedOrder]) -> TrackedOrder | None:
        """The loosest of the stops that cover the position, where nothing about them is moving.

        An entry that still fills, a stop that is on its way, going, or has begun to fill, and an
        exit at market are such movements.
        """
        side, covered, stops = Side.of(position.quantity), Quantity(abs(position.quantity)), []
        for order in orders:
            if not order.is_protective or not _rests(order) or order.order.side is side:
                return None
            covered = Quantity(covered - order.remaining)
            stops.append(order)
        instrument = self._instruments[position.symbol]
        if not stops or covered < 0 or not instrument.is_dust(covered, position.mark):
            return None
        return min(stops, key=lambda stop: (stop.order.trigger or 0) * side.sign)

    def _may_move(self, standing: TrackedOrder, now: datetime) -> bool:
        """Whether `move_every` has passed since the stop was asked for, and since the last move."""
        asked = self._moved.get(standing.order.symbol, standing.decided_at)
        return now - max(asked, standing.decided_at) >= self._settings.move_every


def _enters(order: TrackedOrder) -> bool:
    return not order.order.reduce_only and order.remaining > 0


def _rests(order: TrackedOrder) -> bool:
    return order.status in _WORKING and not order.cancelling and not order.filled
