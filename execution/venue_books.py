"""What a simulated venue knows of us: balances, positions, and what these let us afford.

On spot (an instrument with leverage 1) no balance is spent below zero. On margin what is missing is
borrowed, as long as the notional of all positions stays within leverage times equity, both at the
last prices in the order's quote currency. Resting orders reserve nothing; the fill is what is
checked. There is no interest and no liquidation.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from data.instrument import Instrument, Price, Quantity, Side, Symbol
from execution.exact import EXACT
from execution.fill import Fill

_ZERO = Decimal(0)
_NOTHING = Quantity(_ZERO)


class VenueBooks:
    """Balances by asset and signed positions by symbol, moved by fills alone."""

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        self._balances = defaultdict(Decimal, balances)
        self._positions: defaultdict[Symbol, Decimal] = defaultdict(Decimal)

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
        self._positions[fill.symbol] = EXACT.add(self._positions[fill.symbol], change)

    def reducible(self, symbol: Symbol, side: Side) -> Quantity:
        """How much an order on `side` can take off the position before it would turn."""
        held = self._positions.get(symbol, _ZERO)
        opposed = (held < 0) if side is Side.BUY else (held > 0)
        return Quantity(held.copy_abs()) if opposed else _NOTHING

    def shortfall(
        self,
        instrument: Instrument,
        side: Side,
        quantity: Quantity,
        price: Price,
        fee: Decimal,
        prices: Mapping[Symbol, Price],
    ) -> str | None:
        """Why this fill cannot be afforded, or None; `prices` are the last ones of every symbol."""
        if instrument.shortable:
            return self._margin_shortfall(instrument, side, quantity, fee, prices)
        symbol = instrument.symbol
        asset, needed = symbol.base, Decimal(quantity)
        if side is Side.BUY:
            asset, needed = symbol.quote, EXACT.add(EXACT.multiply(quantity, price), fee)
        held = self._balances.get(asset, _ZERO)
        return f"needs {needed} {asset}, has {held}" if needed > held else None

    def _margin_shortfall(
        self,
        instrument: Instrument,
        side: Side,
        quantity: Quantity,
        fee: Decimal,
        prices: Mapping[Symbol, Price],
    ) -> str | None:
        symbol = instrument.symbol
        if quantity <= self.reducible(symbol, side):
            return None
        after = dict(self._positions)
        after[symbol] = self._positions.get(symbol, _ZERO) + side.sign * quantity
        sizes: defaultdict[str, Decimal] = defaultdict(Decimal)
        for held, size in after.items():
            sizes[held.base] += abs(size)
        exposure = _value(sizes, symbol.quote, prices)
        equity = _value(self._balances, symbol.quote, prices)
        if exposure is None or equity is None:
            return f"no price values the account in {symbol.quote}"
        room = instrument.max_leverage * (equity - fee)
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
