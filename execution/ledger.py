"""The ledger: what our fills have made of the opening balances.

What is kept for its own sake stands in `HoldingsBook`; the rest is the trading book. There, a fill
moves the base one way and the quote the other; what is sold short leaves base below zero.
A position is a signed quantity and its signed cost, not an average price, so that nothing is lost
to rounding: a reduction releases its share of the cost, to 12 places, and the rest stays. Cash is
what no position holds. For every currency, to the last digit and after every fill,

    cash + sum(quantity * mark) == opening balance + realised + unrealised - fees - charges - bags

over the positions quoted in it, where bags is what they have cost. `balances` is cash with the
quantities of the positions and of what is kept. A fee in base makes the position that much smaller,
and counts as a fee in quote at its fill's price; that of an exchange is paid out of what is kept.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

from data.account import AccountState, ClosedTrade, Holding, InFlight, Position
from data.faults import Corrupt
from data.instrument import Instrument, Notional, Price, Quantity, Symbol, UnknownSymbol
from execution.charge import Charge
from execution.exact import EXACT, proportion, reduction
from execution.fill import Fill
from execution.holdings import HoldingsBook, SetAside
from execution.rounding import Bookings

_ZERO = Decimal(0)
_ONE = Decimal(1)
_NO_POSITIONS: Mapping[Symbol, Position] = MappingProxyType({})


class UnbookableFill(Corrupt):
    """A fill of something that is not traded here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The last price of a symbol, and since when it holds."""

    price: Price
    at: datetime


@dataclass(slots=True, kw_only=True)
class _Trade:
    """A position since it was last flat."""

    opened_at: datetime
    peak: Decimal = _ZERO  # largest signed quantity
    realised: Decimal = _ZERO  # in quote currency, before fees
    fees: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


@dataclass(slots=True, kw_only=True)
class _Line:
    """One symbol's page: its position, its price, and the page that converts its quote."""

    instrument: Instrument
    quote: str
    in_currency: bool  # the quote is the account's currency
    converter: "_Line | None" = None  # QUOTE/CURRENCY, where it is traded
    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO  # signed as the quantity, in quote currency
    entry: Price | None = None  # average; None while nothing is held
    value: Decimal | None = None  # of the quantity in the account's currency, at the last valuation
    opened_at: datetime | None = None
    trade: _Trade | None = None
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


class Ledger:
    """The book of one account, valued in `currency`.

    `portfolio` is what of the balances is kept beside the trading book from the beginning. Where
    another currency has to be valued, the mark of OTHER/`currency` does it. With `stale_after`, a
    mark older than that is no price for `account`.
    """

    def __init__(
        self,
        currency: str,
        balances: Mapping[str, Decimal],
        instruments: Mapping[Symbol, Instrument],
        *,
        stale_after: timedelta | None = None,
        portfolio: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> None:
        self._currency = currency
        self._stale_after = stale_after
        self.holdings = HoldingsBook(portfolio)
        self._cash = defaultdict(Decimal, balances)
        for asset, amount in portfolio.items():
            self._cash[asset] = EXACT.subtract(self._cash[asset], amount)
        self._fees: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._realised: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._charges: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._bookings: defaultdict[str, int] = defaultdict(int)
        self._carried: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._booked: set[str] = set()
        self._charged: set[str] = set()
        self._lines = {
            symbol: _Line(
                instrument=instrument, quote=symbol.quote, in_currency=symbol.quote == currency
            )
            for symbol, instrument in instruments.items()
        }
        for line in self._lines.values():
            line.converter = self._converter(line.quote)
        self._held: tuple[_Line, ...] = ()
        self._priced: tuple[_Line, ...] = ()  # those by whose prices equity is known
        self._foreign: tuple[tuple[Decimal, _Line | None], ...] = ()
        self._equity: Notional | None = None
        self._kept: Notional | None = Notional(_ZERO)
        self._shown_holdings: tuple[Holding, ...] = ()
        self._positions: Mapping[Symbol, Position] = _NO_POSITIONS
        self._equity_is_current = False
        self._positions_are_current = True
        self._plan_valuation()

    def has(self, fill_id: str) -> bool:
        """Whether the fill is booked."""
        return fill_id in self._booked

    def relist(self, instrument: Instrument) -> None:
        """Go by its grid from now on: what is too little to be traded is no position."""
        self._lines[instrument.symbol].instrument = instrument
        self._positions_are_current = False

    def book(self, fill: Fill) -> ClosedTrade | None:
        """Take in a fill, once; the trade that it ended, if it ended one.

        A fill whose `fill_id` is booked already changes nothing and returns None.

        Raises:
            UnbookableFill: its symbol is not traded here.
        """
        if fill.fill_id in self._booked:
            return None
        line = self._lines.get(fill.symbol)
        if line is None:
            raise UnbookableFill(f"fill {fill.fill_id}: {fill.symbol} is not traded here")
        self._booked.add(fill.fill_id)
        before = line.quantity
        change, fee_asset, fee = self._pay(fill)
        closed = self._move(line, change, fee_asset, fee, fill)
        self._count(line, before)
        self._plan_valuation()
        return closed

    def exchange(self, fill: Fill, *, for_bag: bool) -> None:
        """Take in, once, a fill that moves what is kept; no position comes of it.

        Raises:
            UnbookableFill: its symbol is not traded here.
        """
        if fill.fill_id in self._booked:
            return
        if fill.symbol not in self._lines:
            raise UnbookableFill(f"fill {fill.fill_id}: {fill.symbol} is not traded here")
        self._booked.add(fill.fill_id)
        if for_bag:
            self._buy_for_bag(fill)
        else:
            self.holdings.exchange(fill)
        for asset in {fill.symbol.base, fill.symbol.quote, fill.fee_asset}:
            self._bookings[asset] += 1
        self._plan_valuation()

    def set_aside(self, amount: SetAside) -> None:
        """Move cash of the trading book into the bag of its currency."""
        self._cash[amount.asset] = EXACT.subtract(self._cash[amount.asset], amount.amount)
        self.holdings.fill_bag(amount.asset, amount.amount, amount.amount)
        self._plan_valuation()

    def has_charge(self, charge_id: str) -> bool:
        """Whether the charge is booked."""
        return charge_id in self._charged

    def charge(self, charge: Charge) -> bool:
        """Take in a charge, once, and whether it was new.

        It is a cost of its symbol's trade, if one is open by then.
        """
        if charge.charge_id in self._charged:
            return False
        self._charged.add(charge.charge_id)
        asset, amount = charge.asset, charge.amount
        self._cash[asset] = EXACT.subtract(self._cash[asset], amount)
        self._charges[asset] = EXACT.add(self._charges[asset], amount)
        self._bookings[asset] += 1
        line = self._lines.get(charge.symbol) if charge.symbol is not None else None
        if line is not None and line.trade is not None:
            line.trade.fees[asset] = EXACT.add(line.trade.fees[asset], amount)
        self._plan_valuation()
        return True

    def mark(self, symbol: Symbol, price: Price, at: datetime) -> None:
        """Value `symbol` at `price` from now on.

        Raises:
            UnknownSymbol: it is not traded here.
        """
        line = self._lines.get(symbol)
        if line is None:
            raise UnknownSymbol(f"{symbol} is not traded here")
        line.price = price
        line.priced_at = at
        if line.matters:
            self._equity_is_current = self._positions_are_current = False

    def last_mark(self, symbol: Symbol) -> Mark | None:
        """The newest mark of `symbol`, if it was ever marked."""
        line = self._lines.get(symbol)
        if line is None or line.price is None or line.priced_at is None:
            return None
        return Mark(price=line.price, at=line.priced_at)

    def rate(self, asset: str) -> Decimal | None:
        """The price of one unit of `asset` in the account's currency; None where unknown."""
        if asset == self._currency:
            return _ONE
        line = self._converter(asset)
        return line.price if line is not None else None

    def held(self, symbol: Symbol) -> Quantity:
        """The signed position, dust included; what is not traded here is not held."""
        line = self._lines.get(symbol)
        return Quantity(line.quantity if line is not None else _ZERO)

    def cost(self, symbol: Symbol) -> Notional:
        """The signed cost of the position, in quote currency; value less cost is unrealised."""
        line = self._lines.get(symbol)
        return Notional(line.cost if line is not None else _ZERO)

    def bookings(self, asset: str) -> Bookings:
        """How often its balance was moved, and by what positions: what a venue has rounded."""
        return Bookings(count=self._bookings[asset], carried=self._carried[asset])

    @property
    def cash(self) -> Mapping[str, Decimal]:
        """What no position holds, by asset; below zero is borrowed."""
        return dict(self._cash)

    @property
    def balances(self) -> Mapping[str, Decimal]:
        """Every asset's balance, as a venue counts it: cash and holdings, with the positions in
        their base."""
        balances = defaultdict(Decimal, self._cash)
        for symbol, line in self._lines.items():
            if line.quantity:
                balances[symbol.base] = EXACT.add(balances[symbol.base], line.quantity)
        for asset in self.holdings.assets:
            balances[asset] = EXACT.add(balances[asset], self.holdings.quantity(asset))
        return dict(balances)

    @property
    def fees(self) -> Mapping[str, Decimal]:
        """Fees paid so far, by asset; those in base count in quote, at their fills' prices."""
        return dict(self._fees)

    @property
    def charges(self) -> Mapping[str, Decimal]:
        """What was charged so far apart from fills, by asset; below zero was received."""
        return dict(self._charges)

    @property
    def realised(self) -> Mapping[str, Decimal]:
        """Profit less loss of what was closed so far, before fees, by quote currency."""
        return dict(self._realised)

    @property
    def equity(self) -> Notional | None:
        """Cash and positions at the marks, in `currency`; None where a price is missing."""
        if not self._equity_is_current:
            self._equity = self._valued()
            self._equity_is_current = True
        return self._equity

    @property
    def earned(self) -> Notional | None:
        """Equity as it would be had nothing of it gone into bags: what trading has come to."""
        equity, spent = self.equity, self.holdings.spent
        return Notional(EXACT.add(equity, spent)) if equity is not None and spent else equity

    @property
    def whole(self) -> Notional | None:
        """Equity with what is kept beside it; None where nothing is, or a price is missing."""
        equity = self.equity
        if equity is None or not self.holdings.assets:
            return None
        self._show()
        return Notional(EXACT.add(equity, self._kept)) if self._kept is not None else None

    def account(
        self,
        *,
        as_of: datetime,
        in_flight: tuple[InFlight, ...] = (),
        exchanging: tuple[InFlight, ...] = (),
        reconciled: bool = True,
    ) -> AccountState:
        """The book at `as_of`; what is dust counts as flat, and in equity.

        A position that no price values yet shows its entry price for its mark, or its quote
        currency for the account's. Equity is None then, so it can be closed and nothing opened; so
        it is where no price, or none that is fresh, values what is kept.
        """
        equity = self.equity
        self._show()
        return AccountState(
            as_of=as_of,
            currency=self._currency,
            equity=None if self._kept is None or self._is_stale(as_of) else equity,
            cash=Notional(self._balance_of_currency),
            positions=self._positions,
            in_flight=in_flight,
            reconciled=reconciled,
            holdings=self._shown_holdings,
            exchanging=exchanging,
            kept=self._kept if self._kept is not None else Notional(_ZERO),
        )

    def _show(self) -> None:
        """Bring up to date what is shown of positions and holdings."""
        if self._positions_are_current:
            return
        self._positions = self._shown() if self._held else _NO_POSITIONS
        if self.holdings.assets:
            self._shown_holdings = self.holdings.shown(self.rate)
            self._kept = self.holdings.worth(self.rate)
        self._positions_are_current = True

    def _buy_for_bag(self, fill: Fill) -> None:
        """Pay with cash of the trading book; a fee in base makes the purchase smaller."""
        base, quote = fill.symbol.base, fill.symbol.quote
        quantity, cost = Decimal(fill.quantity), EXACT.multiply(fill.quantity, fill.price)
        if fill.fee_asset == base:
            quantity = EXACT.subtract(quantity, fill.fee)
        elif fill.fee_asset == quote:
            cost = EXACT.add(cost, fill.fee)
        else:
            self._cash[fill.fee_asset] = EXACT.subtract(self._cash[fill.fee_asset], fill.fee)
        self._cash[quote] = EXACT.subtract(self._cash[quote], cost)
        self.holdings.fill_bag(base, quantity, cost)

    def _converter(self, asset: str) -> _Line | None:
        return self._lines.get(f"{asset}/{self._currency}")  # type: ignore[call-overload, no-any-return]  # a Symbol is its text

    def _pay(self, fill: Fill) -> tuple[Decimal, str, Decimal]:
        """Move the cash of a fill; the change of position, and the fee by what it counts in."""
        base, _, quote = fill.symbol.partition("/")
        change = fill.quantity if fill.side.sign > 0 else EXACT.minus(fill.quantity)
        paid = EXACT.multiply(change, fill.price)
        self._cash[quote] = EXACT.subtract(self._cash[quote], paid)
        fee_asset, fee = fill.fee_asset, fill.fee
        if fee_asset == base:
            change = EXACT.subtract(change, fee)
            fee_asset, fee = quote, EXACT.multiply(fee, fill.price)
        else:
            self._cash[fee_asset] = EXACT.subtract(self._cash[fee_asset], fee)
        self._fees[fee_asset] = EXACT.add(self._fees[fee_asset], fee)
        return change, fee_asset, fee

    def _count(self, line: _Line, before: Decimal) -> None:
        carried = max(before.copy_abs(), line.quantity.copy_abs())
        self._bookings[line.quote] += 1
        self._carried[line.quote] = EXACT.add(self._carried[line.quote], carried)

    def _move(
        self, line: _Line, change: Decimal, fee_asset: str, fee: Decimal, fill: Fill
    ) -> ClosedTrade | None:
        """Reduce the position as far as `change` does, then open one with the rest."""
        reducing = reduction(line.quantity, change)
        fee_of_reducing = proportion(fee, reducing, change) if reducing else _ZERO
        closed = None
        if reducing:
            self._reduce(line, reducing, fill.price)
            closed = self._end_of_trade(line, fee_asset, fee_of_reducing, fill)
        if opening := EXACT.subtract(change, reducing):
            if line.trade is None:
                line.trade = _Trade(opened_at=fill.filled_at)
                line.opened_at = fill.filled_at
            line.quantity = EXACT.add(line.quantity, opening)
            line.cost = EXACT.add(line.cost, EXACT.multiply(opening, fill.price))
            line.trade.peak = max(line.trade.peak, line.quantity, key=abs)
            fee_of_opening = EXACT.subtract(fee, fee_of_reducing)
            line.trade.fees[fee_asset] = EXACT.add(line.trade.fees[fee_asset], fee_of_opening)
        return closed

    def _reduce(self, line: _Line, reducing: Decimal, price: Price) -> None:
        released = proportion(line.cost, EXACT.minus(reducing), line.quantity)
        received = EXACT.minus(EXACT.multiply(reducing, price))
        realised = EXACT.subtract(received, released)
        line.quantity = EXACT.add(line.quantity, reducing)
        line.cost = EXACT.subtract(line.cost, released)
        self._realised[line.quote] = EXACT.add(self._realised[line.quote], realised)
        if line.trade is not None:
            line.trade.realised = EXACT.add(line.trade.realised, realised)

    def _end_of_trade(
        self, line: _Line, fee_asset: str, fee: Decimal, fill: Fill
    ) -> ClosedTrade | None:
        """The trade that a reduction has just ended: what is left of it is nothing, or dust."""
        trade = line.trade
        if trade is None:
            return None
        trade.fees[fee_asset] = EXACT.add(trade.fees[fee_asset], fee)
        if line.quantity and not line.instrument.is_dust(line.quantity, fill.price):
            return None
        line.trade = None
        realised, rate = trade.realised, line.rate()
        fees = self._in_currency(trade.fees)
        pnl = None
        if fees is not None and rate is not None:
            pnl = Notional(EXACT.subtract(EXACT.multiply(realised, rate), fees))
        return ClosedTrade(
            symbol=fill.symbol,
            quantity=Quantity(trade.peak),
            pnl=pnl,
            fees=Notional(fees) if fees is not None else None,
            opened_at=trade.opened_at,
            closed_at=fill.filled_at,
        )

    def _in_currency(self, amounts: Mapping[str, Decimal]) -> Decimal | None:
        total = _ZERO
        for asset, amount in amounts.items():
            rate = self.rate(asset)
            if rate is None and amount:
                return None
            total = EXACT.add(total, EXACT.multiply(amount, rate or _ZERO))
        return total

    def _plan_valuation(self) -> None:
        """Find what equity depends on, once a fill; a bar then costs no more than it must."""
        for line in self._lines.values():
            line.matters = False
        self._held = tuple(line for line in self._lines.values() if line.quantity)
        self._foreign = tuple(
            (amount, self._converter(asset))
            for asset, amount in self._cash.items()
            if amount and asset != self._currency
        )
        for line in self._held:
            line.matters = True
            line.entry = Price((line.cost / line.quantity).copy_abs())
            if line.converter is not None:
                line.converter.matters = True
        kept = (self._converter(asset) for asset in self.holdings.assets)
        for converter in (*(converter for _, converter in self._foreign), *kept):
            if converter is not None:
                converter.matters = True
        self._priced = tuple(line for line in self._lines.values() if line.matters)
        self._balance_of_currency = self._cash[self._currency]
        for symbol, line in self._lines.items():
            if line.quantity and symbol.base == self._currency:
                self._balance_of_currency = EXACT.add(self._balance_of_currency, line.quantity)
        self._equity_is_current = self._positions_are_current = False

    def _valued(self) -> Notional | None:
        total: Decimal | None = self._cash[self._currency]
        for line in self._held:
            value = line.revalue()
            total = EXACT.add(total, value) if total is not None and value is not None else None
        if total is None:
            return None
        for amount, converter in self._foreign:
            if converter is None or converter.price is None:
                return None
            total = EXACT.add(total, EXACT.multiply(amount, converter.price))
        return Notional(total)

    def _is_stale(self, as_of: datetime) -> bool:
        if self._stale_after is None:
            return False
        oldest = as_of - self._stale_after
        for line in self._priced:  # noqa: SIM110 - a third of what `any` costs, every bar
            if line.priced_at is not None and line.priced_at < oldest:
                return True
        return False

    def _shown(self) -> Mapping[Symbol, Position]:
        positions = {}
        for line in self._held:
            position = line.position()
            if position is not None:
                positions[position.symbol] = position
        return MappingProxyType(positions)
