"""What a simulated venue knows of us: balances, positions, and what these let us afford.

On spot (an instrument with leverage 1) no balance is spent below zero. On margin what is missing is
borrowed, as long as the notional of all positions stays within leverage times equity, both at the
last prices in the order's quote currency. Resting orders reserve nothing; the fill is what is
checked. Who watches whether it can still be carried is `execution.paper_margin`.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from data.instrument import Instrument, Price, Quantity, Side, Symbol
from execution.charge import Charge
from execution.exact import EXACT
from execution.fill import Fill

_ZERO = Decimal(0)
_NOTHING = Quantity(_ZERO)


class Books(Protocol):
    """An account at a simulated venue, as the matching core asks it."""

    @property
    def balances(self) -> Mapping[str, Decimal]: ...

    def apply(self, fill: Fill) -> None:
        """Take a fill in."""
        ...

    def reducible(self, symbol: Symbol, side: Side) -> Quantity:
        """How much an order on `side` can take off the position before it would turn."""
        ...

    def shortfall(
        self, instrument: Instrument, fill: Fill, prices: Mapping[Symbol, Price]
    ) -> str | None:
        """Why `fill` cannot be afforded, or None; `prices` are the last ones of every symbol."""
        ...


class VenueBooks:
    """Balances by asset and signed positions by symbol, moved by fills and charges alone."""

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        self._balances = defaultdict(Decimal, balances)
        self._positions: defaultdict[Symbol, Decimal] = defaultdict(Decimal)
        self._exchanges: set[str] = set()  # client order ids

    @property
    def balances(self) -> Mapping[str, Decimal]:
        return dict(self._balances)

    def apply(self, fill: Fill) -> None:
        """Take a fill in; its fee is in quote currency."""
        base, _, quote = fill.symbol.partition("/")
        change = fill.quantity if fill.side.sign > 0 else EXACT.minus(fill.quantity)
        paid = EXACT.add(EXACT.multiply(change, fill.price), fill.fee)
        self._balances[base] = EXACT.add(self._balances[base], change)
        self._balances[quote] = EXACT.subtract(self._balances[quote], paid)
        if fill.client_order_id in self._exchanges:
            return
        self._positions[fill.symbol] = EXACT.add(self._positions[fill.symbol], change)

    def exchange(self, client_order_id: str) -> None:
        """What fills of this order is spot, whatever its instrument: no position comes of it."""
        self._exchanges.add(client_order_id)

    def is_exchange(self, client_order_id: str) -> bool:
        return client_order_id in self._exchanges

    def charge(self, charge: Charge) -> None:
        """Take a charge in; it is paid whether or not the balance allows it."""
        self._balances[charge.asset] = EXACT.subtract(self._balances[charge.asset], charge.amount)

    def reducible(self, symbol: Symbol, side: Side) -> Quantity:
        """How much an order on `side` can take off the position before it would turn."""
        held = self._positions.get(symbol, _ZERO)
        opposed = (held < 0) if side is Side.BUY else (held > 0)
        return Quantity(held.copy_abs()) if opposed else _NOTHING

    def equity(self, quote: str, prices: Mapping[Symbol, Price]) -> Decimal | None:
        """All balances in `quote`; None where one has no price."""
        return _value(self._balances, quote, prices)

    def rate(self, asset: str, quote: str, prices: Mapping[Symbol, Price]) -> Decimal | None:
        """The price of an asset in `quote`; None where there is none."""
        return _rate(asset, quote, prices)

    def shortfall(
        self, instrument: Instrument, fill: Fill, prices: Mapping[Symbol, Price]
    ) -> str | None:
        """Why `fill` cannot be afforded, or None; `prices` are the last ones of every symbol."""
        if instrument.shortable and not self.is_exchange(fill.client_order_id):
            return self._margin_shortfall(instrument, fill, prices)
        asset, needed = fill.symbol.base, Decimal(fill.quantity)
        if fill.side is Side.BUY:
            cost = EXACT.multiply(fill.quantity, fill.price)
            asset, needed = fill.symbol.quote, EXACT.add(cost, fill.fee)
        held = self._balances.get(asset, _ZERO)
        return f"needs {needed} {asset}, has {held}" if needed > held else None

    def _margin_shortfall(
        self, instrument: Instrument, fill: Fill, prices: Mapping[Symbol, Price]
    ) -> str | None:
        symbol = fill.symbol
        if fill.quantity <= self.reducible(symbol, fill.side):
            return None
        after = dict(self._positions)
        after[symbol] = self._positions.get(symbol, _ZERO) + fill.side.sign * fill.quantity
        sizes: defaultdict[str, Decimal] = defaultdict(Decimal)
        for held, size in after.items():
            sizes[held.base] += abs(size)
        exposure = _value(sizes, symbol.quote, prices)
        equity = _value(self._balances, symbol.quote, prices)
        if exposure is None or equity is None:
            return f"no price values the account in {symbol.quote}"
        room = instrument.max_leverage * (equity - fill.fee)
        return f"exposure {exposure} would pass {room} {symbol.quote}" if exposure > room else None


def _value(
    amounts: Mapping[str, Decimal], quote: str, prices: Mapping[Symbol, Price]
) -> Decimal | None:
    """The sum of `amounts` in `quote`; None where one has no price."""
    total = _ZERO
    for asset, amount in amounts.items():
        if amount:
            rate = _rate(asset, quote, prices)
            if rate is None:
                return None
            total += amount * rate
    return total


def _rate(asset: str, quote: str, prices: Mapping[Symbol, Price]) -> Decimal | None:
    if asset == quote:
        return Decimal(1)
    direct, inverse = prices.get(Symbol(f"{asset}/{quote}")), prices.get(Symbol(f"{quote}/{asset}"))
    if direct is not None:
        return direct
    return 1 / inverse if inverse is not None else None
