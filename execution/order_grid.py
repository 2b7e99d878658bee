"""What a venue has against an order's numbers, whatever the account owns."""

from data.instrument import Instrument
from execution.order import Order


def malformed(order: Order, instrument: Instrument) -> str | None:
    """What is wrong with the order's numbers, whatever we own."""
    if order.quantity % instrument.lot or order.quantity < instrument.min_quantity:
        return (
            f"quantity {order.quantity} is not a multiple of {instrument.lot}"
            f" from {instrument.min_quantity} on"
        )
    for name in ("trigger", "limit", "stop"):
        price = getattr(order, name)
        if price is not None and (price <= 0 or price % instrument.tick):
            return f"{name} {price} is not a multiple of {instrument.tick} above 0"
    return None
