"""What is kept for its own sake beside the trading positions: a portfolio, and bags that only grow.

An exchange moves the portfolio alone. A purchase for a bag is paid with cash of the trading book;
what is kept in the account's own currency moves from there into its bag by `SetAside`. So for every
asset, to the last digit, what the venue holds is the trading book's balance with the portfolio's
and the bag's, and each unit stands in one of the three.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.account import Holding
from data.instrument import Notional
from execution.exact import EXACT
from execution.fill import Fill

_ZERO = Decimal(0)

Rate = Callable[[str], Decimal | None]
"""The price of one unit of an asset in the account's currency; None where unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """One asset kept for good, and what it cost in the account's currency, fees included."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO


_EMPTY = Bag()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """So much of the account's currency went from the trading book into its bag."""

    at: datetime
    asset: str
    amount: Decimal  # above zero


class HoldingsBook:
    """Portfolio and bags by asset; a portfolio's fee may take it a little below zero."""

    def __init__(self, portfolio: Mapping[str, Decimal]) -> None:
        self._portfolio = defaultdict(Decimal, portfolio)
        self._bags: dict[str, Bag] = {}

    @property
    def portfolio(self) -> Mapping[str, Decimal]:
        """What is held of each asset at its target share."""
        return dict(self._portfolio)

    @property
    def bags(self) -> Mapping[str, Bag]:
        """What is never sold."""
        return dict(self._bags)

    @property
    def assets(self) -> frozenset[str]:
        """What anything is kept of."""
        return frozenset(asset for asset, amount in self._portfolio.items() if amount).union(
            self._bags
        )

    @property
    def spent(self) -> Decimal:
        """What all bags have cost the trading book."""
        return sum((bag.cost for bag in self._bags.values()), _ZERO)

    def quantity(self, asset: str) -> Decimal:
        """Of portfolio and bag together."""
        bag = self._bags.get(asset, _EMPTY)
        return EXACT.add(self._portfolio.get(asset, _ZERO), bag.quantity)

    def exchange(self, fill: Fill) -> None:
        """Take in a fill that gives one holding for another."""
        base, quote = fill.symbol.base, fill.symbol.quote
        change = EXACT.multiply(fill.quantity, fill.side.sign)
        self._add(base, change)
        self._add(quote, EXACT.minus(EXACT.multiply(change, fill.price)))
        self._add(fill.fee_asset, EXACT.minus(fill.fee))

    def fill_bag(self, asset: str, quantity: Decimal, cost: Decimal) -> None:
        """Put `quantity` into the bag of `asset`, for good."""
        bag = self._bags.get(asset, _EMPTY)
        self._bags[asset] = Bag(
            quantity=EXACT.add(bag.quantity, quantity), cost=EXACT.add(bag.cost, cost)
        )

    def shown(self, rate: Rate) -> tuple[Holding, ...]:
        """The portfolio as the rules see it, by name."""
        return tuple(
            Holding(asset=asset, quantity=amount, value=_value(amount, rate(asset)))
            for asset, amount in sorted(self._portfolio.items())
        )

    def worth(self, rate: Rate) -> Notional | None:
        """Portfolio and bags in the account's currency; None where a price is missing."""
        total = _ZERO
        for asset in self.assets:
            value = _value(self.quantity(asset), rate(asset))
            if value is None:
                return None
            total = EXACT.add(total, value)
        return Notional(total)

    def _add(self, asset: str, change: Decimal) -> None:
        if change:
            self._portfolio[asset] = EXACT.add(self._portfolio[asset], change)


def _value(amount: Decimal, price: Decimal | None) -> Notional | None:
    if not amount:
        return Notional(_ZERO)
    return Notional(EXACT.multiply(amount, price)) if price is not None else None
