"""One symbol's page of the ledger: what is held of it, what that cost, and the open trade."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from data.account import Position
from data.instrument import Instrument, Notional, Price, Quantity
from execution.exact import EXACT, proportion

_ZERO = Decimal(0)
_ONE = Decimal(1)


@dataclass(slots=True, kw_only=True)
class Trade:
    """A position since it was last flat."""

    opened_at: datetime
    peak: Decimal = _ZERO  # largest signed quantity
    realised: Decimal = _ZERO  # in quote currency, before fees
    fees: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def pay(self, asset: str, fee: Decimal) -> None:
        """Count `fee` as a cost of it."""
        self.fees[asset] = EXACT.add(self.fees[asset], fee)


@dataclass(slots=True, kw_only=True)
class Page:
    """One symbol's position and price, and the page that converts its quote.

    A position is a signed quantity and its signed cost, not an average price, so that nothing is
    lost to rounding: a reduction releases its share of the cost, to 12 places, and the rest stays.
    """

    instrument: Instrument
    quote: str
    in_currency: bool  # the quote is the account's currency
    converter: "Page | None" = None  # QUOTE/CURRENCY, where it is traded
    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO  # signed as the quantity, in quote currency
    entry: Price | None = None  # average; None while nothing is held
    value: Decimal | None = None  # of the quantity in the account's currency, at the last valuation
    opened_at: datetime | None = None
    trade: Trade | None = None
    price: Price | None = None
    priced_at: datetime | None = None
    matters: bool = False  # equity changes with its price

    def rate(self) -> Decimal | None:
        """The account's currency for one unit of this line's quote currency."""
        if self.in_currency:
            return _ONE
        return self.converter.price if self.converter is not None else None

    def revalue(self) -> Decimal | None:
        """Set `value`, and return it; None where a price is missing."""
        value = None
        if self.price is not None:
            value = EXACT.multiply(self.quantity, self.price)
            if not self.in_currency:
                rate = self.rate()
                value = EXACT.multiply(value, rate) if rate is not None else None
        self.value = value
        return value

    def position(self) -> Position | None:
        """As it is shown; None for dust. Goes by `value`, so revalue first."""
        entry, value = self.entry, self.value
        mark = self.price if self.price is not None else entry
        if self.opened_at is None or entry is None or mark is None:
            return None
        if self.instrument.is_dust(self.quantity, mark):
            return None
        if value is None:
            value = EXACT.multiply(EXACT.multiply(self.quantity, mark), self.rate() or _ONE)
        return Position(
            symbol=self.instrument.symbol,
            quantity=Quantity(self.quantity),
            entry_price=entry,
            mark=mark,
            notional=Notional(value.copy_abs()),
            opened_at=self.opened_at,
        )

    def open(self, quantity: Decimal, price: Price, at: datetime) -> Trade:
        """Make the position larger by `quantity`, signed as it is; its trade, a new one if flat."""
        if self.trade is None:
            self.trade = Trade(opened_at=at)
            self.opened_at = at
        self.quantity = EXACT.add(self.quantity, quantity)
        self.cost = EXACT.add(self.cost, EXACT.multiply(quantity, price))
        if self.quantity.copy_abs() > self.trade.peak.copy_abs():
            self.trade.peak = self.quantity
        return self.trade

    def reduce(self, quantity: Decimal, price: Price) -> Decimal:
        """Make it smaller by `quantity`, signed against it; what that earned, before fees."""
        released = proportion(self.cost, EXACT.minus(quantity), self.quantity)
        received = EXACT.minus(EXACT.multiply(quantity, price))
        realised = EXACT.subtract(received, released)
        self.quantity = EXACT.add(self.quantity, quantity)
        self.cost = EXACT.subtract(self.cost, released)
        if self.trade is not None:
            self.trade.realised = EXACT.add(self.trade.realised, realised)
        return realised

    def end(self, price: Price) -> Trade | None:
        """The trade, if it is over at `price`: what is left of it is nothing, or dust."""
        trade = self.trade
        if self.quantity and not self.instrument.is_dust(self.quantity, price):
            return None
        self.trade = None
        return trade
