"""Position care: what becomes of a position that stands and has its stop.

    open for too long                  closed at market
    its mark has come to its target    closed, by an order that rests there or at market
    its thesis has proven wrong        closed at market
    its gain has earned another stop   the stop moves, and only tightens

Where the venue holds a stop and a take-profit order of one position side by side, the target is an
order there (`execution.targets`), and we watch whether it fills: where the mark has been at the
target for `deadline` and the position is still open, it is closed at market. Elsewhere we watch the
target alone, and the stop stays whole at the venue until the exit has filled. Stop and exit are
reduce-only: together they close the position and cannot turn it. What of the entry still works is
cancelled before its position is closed, and so is the order at its target.

A venue may hold back for the stop what an exit would sell, and refuse the exit. From then on the
stop is given up, but only together with the next exit, which replaces it. If that is refused too,
the position is naked, and `execution.protection` puts a stop back, or closes it at its deadline.

A stop moves in place, where the venue amends orders, or by one order that `replaces` another: the
new one is there before the old one goes. One that the venue has declined to amend is replaced the
next time. If the stop never moves, the old one stands, and what was planned binds all the same:
once the mark is beyond it, the position is closed. Nothing of this has to be remembered over a
restart: the plan, the stop that stands and when it was asked for follow from the orders on record.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from data.account import AccountState, Position
from data.instrument import Instrument, Quantity, Side, Symbol
from execution.blotter import FillBooked, OrderDone, Settled
from execution.planned_stop import PlannedStop, is_falsified, is_passed, is_won, tighter
from execution.protection import (
    CancelOrder,
    ProtectionSettings,
    ProtectiveAction,
    cover,
    reduction,
)
from execution.targets import TargetPrices, target_cover, target_prices, targets
from execution.tightening import is_too_old, stop_due
from execution.tracking import TrackedOrder
from risk.intent import OrderIntent, Purpose


class PositionCare:
    """Looks after the positions of one account; `due` says what, `review` that it will be done.

    What was asked for and did not come about is asked for again: an exit after `deadline`, a move
    of a stop after `move_every`, a target after `patience`, or `deadline` once one was refused. A
    restart begins each of these waits anew.

    Args:
        targets_in: The symbols of which the venue holds a stop and a target side by side.
        amends: Whether the venue changes a stop in place.
    """

    def __init__(
        self,
        instruments: Mapping[Symbol, Instrument],
        settings: ProtectionSettings,
        *,
        targets_in: Collection[Symbol] = (),
        amends: bool = False,
    ) -> None:
        self._instruments = instruments
        self._settings = settings
        self._amends = amends
        self._side_by_side = frozenset(targets_in)
        self._targets_in = self._side_by_side if settings.take_profit else frozenset[Symbol]()
        self._is_off = not (settings.tightens or settings.take_profit or settings.max_age)
        self._closed: dict[Symbol, datetime] = {}  # we last asked to be flat
        self._moved: dict[Symbol, datetime] = {}  # we last asked for another stop
        self._aimed: dict[Symbol, datetime] = {}  # we last asked for an order at the target
        self._won: dict[Symbol, datetime] = {}  # since when the mark is at the target
        self._blocked: set[Symbol] = set()  # an exit was refused while the stop stood
        self._declined: set[Symbol] = set()  # an order at the target was refused

    def hear(self, settled: Settled) -> None:
        """Take in what came of an order."""
        match settled:
            case OrderDone(order=TrackedOrder(order=order), refused=True) if order.exits:
                self._give_way(order.symbol)
            case OrderDone(order=tracked, refused=True) if tracked.is_target:
                self._declined.add(tracked.order.symbol)
            case FillBooked(order=order) if order.exits:
                self._blocked.discard(order.symbol)
            case _:
                pass

    def _give_way(self, symbol: Symbol) -> None:
        """Have the next exit replace the stop; the first time it may be asked for at once."""
        if symbol not in self._side_by_side and symbol not in self._blocked:
            self._blocked.add(symbol)
            self._closed.pop(symbol, None)

    def review(
        self,
        account: AccountState,
        orders: Sequence[TrackedOrder],
        plans: Mapping[Symbol, PlannedStop],
        *,
        ending: Collection[Symbol] = (),
    ) -> tuple[ProtectiveAction, ...]:
        """What has to be done at `account.as_of`, in this order; whoever asks does it.

        Args:
            ending: Symbols in which somebody else ends everything: no order goes to a target.
        """
        self._look(account, plans)
        actions = self.due(account, orders, plans, ending=ending)
        for action in actions:
            if isinstance(action, OrderIntent):
                self._asked(action)[action.symbol] = account.as_of
        return actions

    def _look(self, account: AccountState, plans: Mapping[Symbol, PlannedStop]) -> None:
        """Note since when each mark is at its target, and forget the positions that are over."""
        positions = account.positions
        for times in (self._closed, self._aimed, self._won):
            for ended in times.keys() - positions.keys():
                del times[ended]
        self._blocked &= positions.keys()
        self._declined &= positions.keys()
        if not self._targets_in:
            return
        for symbol, position in positions.items():
            plan = plans.get(symbol)
            if plan is not None and is_won(plan, position.mark):
                self._won.setdefault(symbol, account.as_of)
            else:
                self._won.pop(symbol, None)

    def _asked(self, intent: OrderIntent) -> dict[Symbol, datetime]:
        """Where it is noted when the like was last asked for."""
        if intent.trigger is None:
            return self._closed
        return self._aimed if intent.purpose is Purpose.TAKE_PROFIT else self._moved

    def due(
        self,
        account: AccountState,
        orders: Sequence[TrackedOrder],
        plans: Mapping[Symbol, PlannedStop],
        *,
        ending: Collection[Symbol] = (),
    ) -> tuple[ProtectiveAction, ...]:
        """What `review` would say, and nothing is taken as done."""
        actions: list[ProtectiveAction] = [
            _cancelled(order, "its position is over")
            for order in orders
            if order.is_target and not order.cancelling
            if order.remaining > 0 and order.order.symbol not in account.positions
        ]
        if not account.positions:
            return tuple(actions)
        for symbol, position in sorted(account.positions.items()):
            plan = plans.get(symbol)
            if plan is not None and not (self._is_off and plan.falsified_at is None):
                working = [order for order in orders if order.order.symbol == symbol]
                actions += self._due(position, working, plan, account.as_of)
                if symbol in self._targets_in and symbol not in ending:
                    actions += self._aim(position, working, plan, account.as_of)
        return tuple(actions)

    def _due(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        now: datetime,
    ) -> Sequence[ProtectiveAction]:
        if (why := self._ends(position, orders, plan, now)) is not None:
            return self._close(position, orders, plan, why, now)
        standing = self._standing(position, orders)
        if standing is None or (trigger := standing.order.trigger) is None:
            return ()
        bound = tighter(plan.side, plan.price, trigger)
        if bound != trigger and is_passed(plan, position.mark):
            return self._close(position, orders, plan, Purpose.FLATTEN, now)
        instrument = self._instruments[position.symbol]
        stop = stop_due(bound, position, instrument, self._settings, atr=plan.atr)
        if stop == trigger or not self._may_move(standing, now):
            return ()
        in_place = self._amends and standing.can_change
        return (
            reduction(
                position,
                instrument,
                Quantity(abs(position.quantity)),
                strategy_id=plan.strategy_id,
                purpose=Purpose.PROTECTION,
                now=now,
                trigger=stop,
                replaces=None if in_place else standing.client_order_id,
                amends=standing.client_order_id if in_place else None,
            ),
        )

    def _ends(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        now: datetime,
    ) -> Purpose | None:
        """Why the position is to be closed, if it is."""
        if is_too_old(position, now, self._settings):
            return Purpose.MAX_AGE
        if self._settings.take_profit and self._has_won(position, orders, plan, now):
            return Purpose.TAKE_PROFIT
        return Purpose.FALSIFIED if is_falsified(plan, position.mark) else None

    def _has_won(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        now: datetime,
    ) -> bool:
        """Whether we are to take the gain: an order that rests there has `deadline` for it."""
        if not is_won(plan, position.mark):
            return False
        if not targets(orders):
            return True
        return now - self._won.get(position.symbol, now) >= self._settings.deadline

    def _aim(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        now: datetime,
    ) -> Sequence[ProtectiveAction]:
        """Have the venue hold an order of the position's size at the target, beside its stop."""
        instrument = self._instruments[position.symbol]
        wanted = target_prices(plan, instrument, self._settings.take_profit_limit)
        fit = target_cover(position, orders, wanted)
        actions: list[ProtectiveAction] = [
            _cancelled(order, "another target, or another size") for order in fit.superfluous
        ]
        is_missing = fit.missing > 0 and not instrument.is_dust(fit.missing, position.mark)
        if wanted is None or not is_missing or not self._may_aim(position, orders, plan, now):
            return actions
        return [*actions, _at_target(position, instrument, fit.missing, plan, wanted, now)]

    def _may_aim(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        now: datetime,
    ) -> bool:
        """Whether the stops cover the position, nothing closes it, and the last attempt is old."""
        instrument, settings = self._instruments[position.symbol], self._settings
        if is_won(plan, position.mark) or self._ends(position, orders, plan, now) is not None:
            return False
        fit = cover(position.quantity, orders)
        naked = abs(position.quantity) - fit.acknowledged
        if fit.closing or not (naked <= 0 or instrument.is_dust(naked, position.mark)):
            return False
        asked = self._aimed.get(position.symbol)
        wait = settings.deadline if position.symbol in self._declined else settings.patience
        return asked is None or now - asked >= wait

    def _close(
        self,
        position: Position,
        orders: Sequence[TrackedOrder],
        plan: PlannedStop,
        purpose: Purpose,
        now: datetime,
    ) -> Sequence[ProtectiveAction]:
        """Cancel what still enters or waits for the target; close what no order closes already."""
        symbol, instrument = position.symbol, self._instruments[position.symbol]
        actions: list[ProtectiveAction] = [
            _cancelled(order, f"its position ends: {purpose}")
            for order in orders
            if (_enters(order) or order in targets(orders)) and not order.cancelling
        ]
        left = Quantity(abs(position.quantity) - cover(position.quantity, orders).closing)
        asked = self._closed.get(symbol)
        rests = asked is not None and now - asked < self._settings.deadline
        if rests or left <= 0 or instrument.is_dust(left, position.mark):
            return actions
        if symbol in self._blocked:
            actions += [
                _cancelled(order, "the exit that replaces it was refused beside it")
                for order in orders
                if order.is_protective and not order.cancelling
            ]
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
            if order.is_target:
                continue
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
        since = standing.amended_at or standing.decided_at
        asked = self._moved.get(standing.order.symbol, since)
        return now - max(asked, since) >= self._settings.move_every


def _at_target(
    position: Position,
    instrument: Instrument,
    quantity: Quantity,
    plan: PlannedStop,
    wanted: TargetPrices,
    now: datetime,
) -> OrderIntent:
    return reduction(
        position,
        instrument,
        quantity,
        strategy_id=plan.strategy_id,
        purpose=Purpose.TAKE_PROFIT,
        now=now,
        trigger=wanted.trigger,
        limit=wanted.limit,
    )


def _cancelled(order: TrackedOrder, reason: str) -> CancelOrder:
    return CancelOrder(client_order_id=order.client_order_id, reason=reason)


def _enters(order: TrackedOrder) -> bool:
    return not order.order.reduce_only and order.remaining > 0


def _rests(order: TrackedOrder) -> bool:
    is_still = not order.cancelling and order.amending is None
    return order.status.works and is_still and not order.filled
