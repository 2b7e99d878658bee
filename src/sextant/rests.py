"""What an order that rested first has not got: why it is asked for no more, if it is not.

The rest of an entry is given up wherever its desk could not have decided now: on data that is not
fit, after we stood still since its approval, or as the daemon stops. An exit was decided on data
that was fit and only reduces: none of these keeps it in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from data.account import Position
from data.instrument import Quantity, Symbol
from execution.order import Order
from execution.passive import Ended

STOOD_STILL = "the process stood still meanwhile"
THE_END = "the daemon stops"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestGivenUp:
    """What an order that rested first has not got is asked for no more."""

    at: datetime
    intent_id: str  # of the order that is over
    symbol: Symbol
    reason: str


def why_no_entry(
    ended: Ended,
    order: Order,
    *,
    held: Quantity,
    unfit: Sequence[str],
    slept: bool,
    longest: timedelta,
    now: datetime,
) -> str:
    """Why the rest of an entry is given up; empty if it is not.

    Args:
        held: What there is of the symbol, signed, dust included.
        unfit: What keeps everybody from deciding on the symbol, by name.
        slept: Whether we stood still since the approval.
        longest: So long after its approval it may still be asked for.
    """
    if held * order.side.sign < ended.filled:
        return "what was filled of it is closed"
    if now - order.approved_at > longest:
        return "it was approved too long ago"
    if slept:
        return STOOD_STILL
    return f"its data: {', '.join(unfit)}" if unfit else ""


def why_no_exit(order: Order, position: Position | None) -> str:
    """Why the rest of an exit is given up; empty if it is not. Of dust there is no position."""
    if position is None or position.quantity * order.side.sign >= 0:
        return "nothing is left for it to close"
    return "its position is another" if position.opened_at > order.approved_at else ""
