"""Anyone's trades, as a venue publishes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from data.faults import Malformed
from data.instrument import Price, Quantity, Side, Symbol
from data.utc import require_utc

_INFINITY = Decimal("Infinity")


class MalformedTrade(Malformed):
    """Numbers that no trade can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade between two others: price in quote currency, quantity in base.

    Raises:
        MalformedTrade: price or quantity is not finite or not above zero, or the id is negative.
        NaiveTime: `traded_at` is not in UTC.
    """

    symbol: Symbol
    trade_id: int  # the venue's own, once per symbol; whether ids are consecutive is the venue's
    traded_at: datetime  # exchange time, UTC
    side: Side  # the taker's
    price: Price
    quantity: Quantity
    buyer: str | None = None  # addresses, where the venue is a public ledger
    seller: str | None = None

    def __post_init__(self) -> None:
        require_utc(self.traded_at)
        for number in (self.price, self.quantity):
            if not (number.is_finite() and 0 < number < _INFINITY):
                raise MalformedTrade(f"{self.symbol} trade {self.trade_id}: {number}")
        if self.trade_id < 0:
            raise MalformedTrade(f"{self.symbol}: a trade's id is {self.trade_id}")


def missing_ids(ids: Iterable[int]) -> list[tuple[int, int]]:
    """Ranges of ids, both ends included, that lie between `ids` and are not among them.

    Ascending; `ids` may come in any order, and more than once. Right only for a venue whose ids are
    consecutive.
    """
    known = sorted(set(ids))
    return [(before + 1, after - 1) for before, after in pairwise(known) if after - before > 1]
