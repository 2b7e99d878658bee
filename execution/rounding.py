"""How far a venue's balances may be from exact ones that count the same trades."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_ZERO: Final = Decimal(0)
_AMOUNTS: Final = 3  # of one fill: its value, its fee, and what a reduction realises


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookings:
    """How often an asset's balance was moved, and how much each time was held, by the books."""

    count: int = 0
    carried: Decimal = _ZERO  # the position at each fill, in base, summed: the larger of two sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """The last place of what a venue books in one asset; zero where it keeps every digit.

    Of each amount it may lose one of the last place. Where it knows a position's cost by the
    average price alone, the cost is off by as much of that price for each unit held, and with each
    fill what is realised of it stays in the balance.
    """

    amount: Decimal
    entry_price: Decimal = _ZERO

    def leeway(self, bookings: Bookings) -> Decimal:
        """The most that all of it together can make."""
        amounts = 1 + _AMOUNTS * bookings.count  # and the balance itself, as it is told
        return amounts * self.amount + bookings.carried * self.entry_price


KEEPS_ALL: Final = Rounding(amount=_ZERO)
