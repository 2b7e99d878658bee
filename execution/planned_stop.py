"""The stop that a position should have: from its entries and stop orders, and only tightening."""

from dataclasses import dataclass, replace

from data.instrument import Price, Quantity, Side, Symbol
from execution.order import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStop:
    """Where a position is to be stopped out, and the desk that opened it."""

    symbol: Symbol
    strategy_id: str
    side: Side  # of the position
    price: Price


def tighter(side: Side, one: Price, other: Price) -> Price:
    """Of two stops of a position on `side`, the one that loses less."""
    return max(one, other) if side is Side.BUY else min(one, other)


def after_stop(plan: PlannedStop | None, stop: Order) -> PlannedStop | None:
    """The plan once `stop`, a protective stop order, is on record: what it asks for binds."""
    if plan is None or stop.trigger is None or stop.side is plan.side:
        return plan
    return replace(plan, price=tighter(plan.side, plan.price, stop.trigger))


def after_fill(plan: PlannedStop | None, order: Order, held: Quantity) -> PlannedStop | None:
    """The plan once a fill of `order` has made the position `held`; None for a flat one."""
    if not held:
        return None
    side = Side.of(held)
    current = plan if plan is not None and plan.side is side else None
    if order.stop is None or order.side is not side:
        return current
    entered = PlannedStop(
        symbol=order.symbol, strategy_id=order.strategy_id, side=side, price=order.stop
    )
    if current is None:
        return entered
    return replace(entered, price=tighter(side, current.price, entered.price))
