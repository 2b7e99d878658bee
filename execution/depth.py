"""What one side of an order book still offers us: what was told, less what we have taken of it."""

from collections.abc import Sequence
from decimal import Decimal

from data.instrument import Price, Quantity, Side
from data.order_book import Level
from execution.paper_terms import limit_is_passed

_ZERO = Decimal(0)


class Depth:
    """The levels that orders of ours on one side can take, best first.

    A venue's book knows nothing of our simulated fills. What we took of a level stays taken for as
    long as others are told to stand there, and no longer than that: what comes on top is new.
    """

    __slots__ = ("_taken", "_told")

    def __init__(self, levels: Sequence[Level] = ()) -> None:
        self._told = tuple(levels)
        self._taken: dict[Price, Decimal] = {}

    @property
    def offered(self) -> tuple[Level, ...]:
        if not self._taken:
            return self._told
        left = (
            Level(price, Quantity(quantity - self._taken.get(price, _ZERO)))
            for price, quantity in self._told
        )
        return tuple(level for level in left if level.quantity > 0)

    def tell(self, levels: Sequence[Level]) -> None:
        """The book is told anew."""
        self._told = tuple(levels)
        if self._taken:
            standing = dict(self._told)
            self._taken = {
                price: min(taken, standing[price])
                for price, taken in self._taken.items()
                if price in standing
            }

    def take(self, price: Price, quantity: Decimal) -> None:
        """An order of ours took so much at `price`."""
        if quantity:
            self._taken[price] = self._taken.get(price, _ZERO) + quantity

    def give_way(self, side: Side, price: Price, quantity: Quantity) -> None:
        """Somebody else's order on `side` took so much at `price`, and all that was better.

        The book may have told it already; it is believed twice then, until the next one.
        """
        left: list[Level] = []
        for level in self._told:
            if limit_is_passed(price, level.price, side):
                continue
            if level.price == price:
                level = Level(price, Quantity(level.quantity - quantity))
            if level.quantity > 0:
                left.append(level)
        self._told = tuple(left)


def walk(
    levels: Sequence[Level], side: Side, quantity: Quantity, limit: Price | None = None
) -> tuple[Level, ...]:
    """What an order on `side` takes of `levels`, best first, no further than `limit`."""
    taken: list[Level] = []
    left = quantity
    for level in levels:
        if not left or (limit is not None and limit_is_passed(level.price, limit, side)):
            break
        part = min(left, level.quantity)
        taken.append(Level(level.price, part))
        left = Quantity(left - part)
    return tuple(taken)
