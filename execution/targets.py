"""The take-profit order of a position: it rests beside the stop, and one cancels the other.

Only where the venue holds both as reduce-only orders (`Venue.holds_targets`): whichever fills, what
it leaves to the other cannot turn the position. The stop comes first in everything. A target is
asked for only while the stops that the venue has acknowledged cover the position, and neither its
refusal nor its loss changes anything about them. Pure.

    position grows, by a fill of its entry     another order for what is not covered
    position shrinks, by its stop or an exit   what is too large is cancelled, then asked for anew
    position is over                           every order is cancelled
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from data.account import Position
from data.instrument import Instrument, Price, Quantity, Side, Toward
from execution.planned_stop import PlannedStop
from execution.tracking import TrackedOrder

_NOTHING = Quantity(Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPrices:
    """Where a position is to be taken out with its gain; `limit`: not worse than that."""

    trigger: Price
    limit: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCover:
    """How the take-profit orders of one symbol fit its position; sizes in base, above zero."""

    missing: Quantity  # not covered, and to be asked for now
    superfluous: tuple[TrackedOrder, ...]


def target_prices(plan: PlannedStop, instrument: Instrument, give: Decimal) -> TargetPrices | None:
    """Where the plan wants it, on the grid: the trigger nearer to the market, the limit less so.

    Args:
        give: How much worse than the target it may fill, as a share of it; zero: at market.
    """
    if plan.target is None:
        return None
    long = plan.side is Side.BUY
    trigger = instrument.price(plan.target, Toward.LOWER if long else Toward.HIGHER)
    if not give:
        return TargetPrices(trigger=trigger, limit=None)
    worst = plan.target * (1 - plan.side.sign * give)
    limit = instrument.price(worst, Toward.LOWER if long else Toward.HIGHER)
    return TargetPrices(trigger=trigger, limit=limit)


def target_cover(
    position: Position, orders: Sequence[TrackedOrder], wanted: TargetPrices | None
) -> TargetCover:
    """Hold a position against the live take-profit orders of its symbol, the oldest first.

    What is not where it is wanted is superfluous, and so is one that is larger than what the others
    leave to cover. While one is on its way, or going, nothing is missing: it may still fill.
    """
    side, size = Side.of(position.quantity), Quantity(abs(position.quantity))
    covered = _NOTHING
    superfluous, moves = [], False
    for order in targets(orders):
        asked = order.order
        fits = (
            wanted is not None
            and asked.side is not side
            and (asked.trigger, asked.limit) == (wanted.trigger, wanted.limit)
            and covered + order.remaining <= size
        )
        if order.cancelling or not order.status.works:
            moves = True
        elif not fits:
            superfluous.append(order)
        covered = Quantity(covered + order.remaining)
    is_wanted = wanted is not None and not moves and not superfluous
    return TargetCover(
        missing=Quantity(max(size - covered, _NOTHING)) if is_wanted else _NOTHING,
        superfluous=tuple(superfluous),
    )


def targets(orders: Sequence[TrackedOrder]) -> list[TrackedOrder]:
    """The take-profit orders that may still fill."""
    return [order for order in orders if order.is_target and order.remaining > 0]
