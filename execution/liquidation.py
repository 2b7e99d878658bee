"""What a venue takes from us by force: a position of ours, ended or cut without an order of ours.

A venue marks such a fill in words of its own (`Fill.forced`); none is guessed from a difference.
Where it takes down what our books hold it is ours, and is booked; one that would open or turn a
position there is of something that somebody else holds in the account, and stays foreign.
"""

from decimal import Decimal
from typing import Final

from data.instrument import Instrument, Quantity
from execution.fill import Fill
from execution.order import Order
from risk.intent import Purpose

LIQUIDATION: Final = "liquidation"
"""The strategy id of an order that is the venue's own."""

_NOTHING: Final = Decimal(0)


def takes_down(fill: Fill, held: Quantity, instrument: Instrument) -> bool:
    """Whether `fill` takes off a signed position, and goes beyond it by dust at most."""
    if held * fill.side.sign >= 0:
        return False
    beyond = Quantity(max(fill.quantity - abs(held), _NOTHING))
    return not beyond or instrument.is_dust(beyond, fill.price)


def venues_order(fill: Fill) -> Order:
    """The order that a forced fill amounts to: an exit at market, the venue's own."""
    return Order(
        client_order_id=fill.client_order_id,
        strategy_id=LIQUIDATION,
        symbol=fill.symbol,
        side=fill.side,
        quantity=fill.quantity,
        purpose=Purpose.EXIT,
        trigger=None,
        limit=None,
        stop=None,
        reduce_only=True,
        approved_at=fill.filled_at,
        thesis=fill.forced,
    )
