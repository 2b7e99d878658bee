"""The ledger: what our fills have made of the opening balances.

What is kept for its own sake stands in `HoldingsBook`; the rest is the trading book. There, a fill
moves the base one way and the quote the other; what is sold short leaves base below zero.
Cash is what no position holds. For every currency, to the last digit and after every fill,

    cash + sum(quantity * mark) == opening balance + realised + unrealised - fees - charges - bags

over the positions quoted in it, where bags is what they have cost. `balances` is cash with the
quantities of the positions and of what is kept. A fee in base makes the position that much smaller,
and counts as a fee in quote at its fill's price; that of an exchange is paid out of what is kept.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
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
from execution.ledger_page import Page
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
        self._pages = {
            symbol: Page(
                instrument=instrument, quote=symbol.quote, in_currency=symbol.quote == currency
            )
            for symbol, instrument in instruments.items()
        }
        for page in self._pages.values():
            page.converter = self._converter(page.quote)
        self._held: tuple[Page, ...] = ()
        self._priced: tuple[Page, ...] = ()  # those by whose prices equity is known
        self._foreign: tuple[tuple[Decimal, Page | None], ...] = ()
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
        self._pages[instrument.symbol].instrument = instrument
        self._positions_are_current = False

    def book(self, fill: Fill) -> ClosedTrade | None:
        """Take in a fill, once; the trade that it ended, if it ended one.

        A fill whose `fill_id` is booked already changes nothing and returns None.

        Raises:
            UnbookableFill: its symbol is not traded here.
        """
        if fill.fill_id in self._booked:
            return None
        page = self._pages.get(fill.symbol)
        if page is None:
            raise UnbookableFill(f"fill {fill.fill_id}: {fill.symbol} is not traded here")
        self._booked.add(fill.fill_id)
        before = page.quantity
        change, fee_asset, fee = self._pay(fill)
        closed = self._move(page, change, fee_asset, fee, fill)
        self._count(page, before)
        self._plan_valuation()
        return closed

    def exchange(self, fill: Fill, *, for_bag: bool) -> None:
        """Take in, once, a fill that moves what is kept; no position comes of it.

        Raises:
            UnbookableFill: its symbol is not traded here.
        """
        if fill.fill_id in self._booked:
            return
        if fill.symbol not in self._pages:
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
        page = self._pages.get(charge.symbol) if charge.symbol is not None else None
        if page is not None and page.trade is not None:
            page.trade.pay(asset, amount)
        self._plan_valuation()
        return True

    def mark(self, symbol: Symbol, price: Price, at: datetime) -> None:
        """Value `symbol` at `price` from now on.

        Raises:
            UnknownSymbol: it is not traded here.
        """
        page = self._pages.get(symbol)
        if page is None:
            raise UnknownSymbol(f"{symbol} is not traded here")
        page.price = price
        page.priced_at = at
        if page.matters:
            self._equity_is_current = self._positions_are_current = False

    def last_mark(self, symbol: Symbol) -> Mark | None:
        """The newest mark of `symbol`, if it was ever marked."""
        page = self._pages.get(symbol)
        if page is None or page.price is None or page.priced_at is None:
            return None
        return Mark(price=page.price, at=page.priced_at)

    def rate(self, asset: str) -> Decimal | None:
        """The price of one unit of `asset` in the account's currency; None where unknown."""
        if asset == self._currency:
            return _ONE
        page = self._converter(asset)
        return page.price if page is not None else None

    def held(self, symbol: Symbol) -> Quantity:
        """The signed position, dust included; what is not traded here is not held."""
        page = self._pages.get(symbol)
        return Quantity(page.quantity if page is not None else _ZERO)

    def cost(self, symbol: Symbol) -> Notional:
        """The signed cost of the position, in quote currency; value less cost is unrealised."""
        page = self._pages.get(symbol)
        return Notional(page.cost if page is not None else _ZERO)

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
        for symbol, page in self._pages.items():
            if page.quantity:
                balances[symbol.base] = EXACT.add(balances[symbol.base], page.quantity)
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

    def _converter(self, asset: str) -> Page | None:
        return self._pages.get(f"{asset}/{self._currency}")  # type: ignore[call-overload, no-any-return]  # a Symbol is its text

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

    def _count(self, page: Page, before: Decimal) -> None:
        carried = max(before.copy_abs(), page.quantity.copy_abs())
        self._bookings[page.quote] += 1
        self._carried[page.quote] = EXACT.add(self._carried[page.quote], carried)

    def _move(
        self, page: Page, change: Decimal, fee_asset: str, fee: Decimal, fill: Fill
    ) -> ClosedTrade | None:
        """Reduce the position as far as `change` does, then open one with the rest."""
        reducing = reduction(page.quantity, change)
        fee_of_reducing = proportion(fee, reducing, change) if reducing else _ZERO
        closed = None
        if reducing:
            realised = page.reduce(reducing, fill.price)
            self._realised[page.quote] = EXACT.add(self._realised[page.quote], realised)
            closed = self._end_of_trade(page, fee_asset, fee_of_reducing, fill)
        if opening := EXACT.subtract(change, reducing):
            trade = page.open(opening, fill.price, fill.filled_at)
            trade.pay(fee_asset, EXACT.subtract(fee, fee_of_reducing))
        return closed

    def _end_of_trade(
        self, page: Page, fee_asset: str, fee: Decimal, fill: Fill
    ) -> ClosedTrade | None:
        """The trade that a reduction has just ended, if it has."""
        if page.trade is None:
            return None
        page.trade.pay(fee_asset, fee)
        trade = page.end(fill.price)
        if trade is None:
            return None
        fees, rate = self._in_currency(trade.fees), page.rate()
        pnl = None
        if fees is not None and rate is not None:
            pnl = Notional(EXACT.subtract(EXACT.multiply(trade.realised, rate), fees))
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
        for page in self._pages.values():
            page.matters = False
        self._held = tuple(page for page in self._pages.values() if page.quantity)
        self._foreign = tuple(
            (amount, self._converter(asset))
            for asset, amount in self._cash.items()
            if amount and asset != self._currency
        )
        for page in self._held:
            page.matters = True
            page.entry = Price((page.cost / page.quantity).copy_abs())
            if page.converter is not None:
                page.converter.matters = True
        kept = (self._converter(asset) for asset in self.holdings.assets)
        for converter in (*(converter for _, converter in self._foreign), *kept):
            if converter is not None:
                converter.matters = True
        self._priced = tuple(page for page in self._pages.values() if page.matters)
        self._balance_of_currency = self._cash[self._currency]
        for symbol, page in self._pages.items():
            if page.quantity and symbol.base == self._currency:
                self._balance_of_currency = EXACT.add(self._balance_of_currency, page.quantity)
        self._equity_is_current = self._positions_are_current = False

    def _valued(self) -> Notional | None:
        total: Decimal | None = self._cash[self._currency]
        for page in self._held:
            value = page.revalue()
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
        for page in self._priced:  # noqa: SIM110 - a third of what `any` costs, every bar
            if page.priced_at is not None and page.priced_at < oldest:
                return True
        return False

    def _shown(self) -> Mapping[Symbol, Position]:
        positions = {}
        for page in self._held:
            position = page.position()
            if position is not None:
                positions[position.symbol] = position
        return MappingProxyType(positions)
