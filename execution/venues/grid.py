"""Orders put on their instrument's grid before they are sent."""

from dataclasses import replace

from data.instrument import Instrument, Side, Toward
from execution.order import Order
from execution.venue import OffGrid


def on_grid(order: Order, instrument: Instrument) -> Order:
    """`order` with its prices on the grid.

    A trigger or a stop gives nearer to the market, where less is lost or a target is met, a limit
    where it costs no more.

    Raises:
        OffGrid: its quantity is not on the lot grid, so the venue would trade another.
    """
    if order.quantity != instrument.quantity(order.quantity):
        raise OffGrid(f"{order.client_order_id}: {order.quantity} is no multiple of a lot")
    side, trigger, limit, stop = order.side, order.trigger, order.limit, order.stop
    toward = Toward.LOWER if side is Side.BUY else Toward.HIGHER
    loses_on = side if order.takes_profit else side.opposite  # on the far side of the trigger
    return replace(
        order,
        trigger=None if trigger is None else instrument.stop_price(trigger, loses_on),
        limit=None if limit is None else instrument.price(limit, toward),
        stop=None if stop is None else instrument.stop_price(stop, side),
    )
