"""What rests on both sides of a market."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from data.faults import Malformed
from data.instrument import Price, Quantity, Side, Symbol
from data.utc import require_utc


class MalformedBook(Malformed):
    """Levels that no order book can have."""


class Level(NamedTuple):
    """So much rests at this price: quote per base, and base."""

    price: Price
    quantity: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """The best levels of both sides at one moment, best first; a side may be empty.

    A crossed book is a book, and bad: `is_crossed` tells. What judges it asks.

    Raises:
        MalformedBook: a number is not finite or not above zero, or levels are out of order.
        NaiveTime: `at` is not in UTC.
    """

    symbol: Symbol
    at: datetime  # exchange time, UTC
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def __post_init__(self) -> None:
        require_utc(self.at)
        _require_side(self.symbol, self.bids, falling=True)
        _require_side(self.symbol, self.asks, falling=False)

    @property
    def is_crossed(self) -> bool:
        """Whether somebody would buy for more than another sells for, or for the same."""
        return bool(self.bids and self.asks) and self.bids[0].price >= self.asks[0].price

    @property
    def mid(self) -> Price | None:
        """Half way between the best bid and ask; None where a side is empty."""
        if not (self.bids and self.asks):
            return None
        return Price((self.bids[0].price + self.asks[0].price) / 2)

    @property
    def spread_bps(self) -> float | None:
        """From bid to ask in basis points of the mid price; None where a side is empty."""
        mid = self.mid
        if mid is None:
            return None
        return float((self.asks[0].price - self.bids[0].price) / mid * 10_000)

    def taken_by(self, side: Side) -> tuple[Level, ...]:
        """The levels that an order on `side` would take, best first."""
        return self.asks if side is Side.BUY else self.bids

    def depth(self, side: Side) -> Quantity:
        """Base that an order on `side` could take of the levels that are known."""
        return Quantity(sum((level.quantity for level in self.taken_by(side)), Decimal(0)))


def _require_side(symbol: Symbol, levels: Sequence[Level], *, falling: bool) -> None:
    for price, quantity in levels:
        if not (price.is_finite() and quantity.is_finite() and price > 0 and quantity > 0):
            raise MalformedBook(f"{symbol}: {quantity} at {price} in an order book")
    for better, worse in pairwise(levels):
        if better.price <= worse.price if falling else better.price >= worse.price:
            raise MalformedBook(f"{symbol}: {worse.price} stands behind {better.price}")
