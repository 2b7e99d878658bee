"""What a position is for, and where it ends: its stop only tightens, by entries and stop orders."""

from dataclasses import dataclass, replace

from data.instrument import Price, Quantity, Side, Symbol
from execution.order import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStop:
    """Where a position is to be stopped out, has won enough or is proven wrong; and whose it is.

    Target, thesis, where that is falsified and the average true range, in quote currency, are those
    of the newest entry.
    """

    symbol: Symbol
    strategy_id: str
    side: Side  # of the position
    price: Price
    target: Price | None = None
    thesis: str = ""
    falsified_at: Price | None = None
    atr: float | None = None


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
        symbol=order.symbol,
        strategy_id=order.strategy_id,
        side=side,
        price=order.stop,
        target=order.target,
        thesis=order.thesis,
        falsified_at=order.falsified_at,
        atr=order.atr,
    )
    if current is None:
        return entered
    return replace(entered, price=tighter(side, current.price, entered.price))


def is_passed(plan: PlannedStop, mark: Price) -> bool:
    """Whether the price is already beyond the stop: a stop order would come too late."""
    return _is_reached(plan.price, plan.side, mark)


def is_won(plan: PlannedStop, mark: Price) -> bool:
    """Whether the price has come to the target."""
    return plan.target is not None and _is_reached(plan.target, plan.side.opposite, mark)


def is_falsified(plan: PlannedStop, mark: Price) -> bool:
    """Whether the price has shown the thesis to be wrong."""
    return plan.falsified_at is not None and _is_reached(plan.falsified_at, plan.side, mark)


def _is_reached(price: Price, side: Side, mark: Price) -> bool:
    """Whether the mark has come to `price`, which lies where a position on `side` loses."""
    return mark <= price if side is Side.BUY else mark >= price
