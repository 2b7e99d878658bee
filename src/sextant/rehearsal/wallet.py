"""The account at the exchange as Kraken keeps it: balances, margin positions, and the ledger.

A spot fill changes both balances. A margin fill opens a lot and leaves the balances alone but for
its fees; a fill on the other side closes the oldest lots first and settles their profit in quote
currency. So every balance is its opening plus the changes of the ledger, to the last digit.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from data.instrument import Instrument, Price, Quantity, Side, Symbol
from execution.exact import EXACT
from execution.fill import Fill
from sextant.rehearsal.listing import Fees

_ZERO: Final = Decimal(0)
ROLLS_EVERY: Final = timedelta(hours=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of one balance: `amount - fee`, after which it is `balance`."""

    kind: str  # Kraken's: deposit, trade, margin, rollover
    refers_to: str  # the fill, or the lot
    asset: str  # our code
    amount: Decimal
    fee: Decimal
    balance: Decimal
    at: datetime


def ledger_id(number: int) -> str:
    """The name of the `number`-th entry, counted from 1."""
    return f"L{number:05}-REHEA-RSAL00"


@dataclass(slots=True, kw_only=True)
class Lot:
    """What one fill on margin opened, and what is left of it."""

    opened_by: Fill
    leverage: int
    closed: Decimal
    rolls_at: datetime

    @property
    def open(self) -> Decimal:
        return EXACT.subtract(self.opened_by.quantity, self.closed)

    @property
    def cost(self) -> Decimal:
        """Of what is open, in quote currency."""
        return EXACT.multiply(self.open, self.opened_by.price)

    @property
    def margin(self) -> Decimal:
        return self.cost / self.leverage

    def profit(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Of closing `quantity` at `price`, before fees."""
        moved = EXACT.subtract(price, self.opened_by.price)
        gain = EXACT.multiply(quantity, moved)
        return gain if self.opened_by.side is Side.BUY else EXACT.minus(gain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What margin trading rests on, in one currency, at the last prices."""

    trade_balance: Decimal  # all balances that have a price
    profit: Decimal  # of what is open
    cost: Decimal
    margin: Decimal  # used

    @property
    def equity(self) -> Decimal:
        return self.trade_balance + self.profit


class Wallet:
    """One account; an order on margin is announced with `borrow` before it is placed.

    Resting orders hold what they would spend; orders that wait for their trigger hold nothing.
    """

    def __init__(self, balances: Mapping[str, Decimal], *, fees: Fees, at: datetime) -> None:
        self.entries: list[Entry] = []
        self.lots: dict[Symbol, list[Lot]] = defaultdict(list)
        self._fees = fees
        self._balances: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._leverages: dict[str, int] = {}  # by order
        self._holds: dict[str, tuple[str, Decimal]] = {}  # by order: asset and amount
        for asset, amount in balances.items():
            self._enter("deposit", "opening", asset, amount, _ZERO, at)

    def restore(self, entries: Iterable[Entry], lots: Mapping[Symbol, Sequence[Lot]]) -> None:
        """Take over what was; what orders borrow and hold, whoever placed them announces again."""
        for entry in entries:
            self.entries.append(entry)
            self._balances[entry.asset] = entry.balance
        for symbol, open_lots in lots.items():
            self.lots[symbol] = list(open_lots)

    @property
    def balances(self) -> Mapping[str, Decimal]:
        return dict(self._balances)

    @property
    def oldest(self) -> Lot | None:
        """The lot that has been open for longest; None where nothing is."""
        lots = (lot for lots in self.lots.values() for lot in lots)
        return min(lots, key=lambda lot: lot.opened_by.filled_at, default=None)

    def borrow(self, order: str, leverage: int) -> None:
        self._leverages[order] = leverage

    def forget(self, order: str) -> None:
        """Of an order that was announced and is not placed."""
        self._leverages.pop(order, None)

    def hold(self, order: str, asset: str, amount: Decimal) -> None:
        self._holds[order] = (asset, amount)

    def release(self, order: str) -> None:
        self._holds.pop(order, None)

    def held(self, asset: str, *, but_for: str = "") -> Decimal:
        """What resting orders hold of an asset."""
        return sum(
            (
                amount
                for order, (held, amount) in self._holds.items()
                if held == asset and order != but_for
            ),
            _ZERO,
        )

    def apply(self, fill: Fill) -> None:
        leverage = self._leverages.get(fill.client_order_id)
        if leverage is None:
            self._exchange(fill)
        else:
            self._trade_on_margin(fill, leverage)

    def reducible(self, symbol: Symbol, side: Side) -> Quantity:
        opposed = (lot.open for lot in self.lots[symbol] if lot.opened_by.side is not side)
        return Quantity(sum(opposed, _ZERO))

    def shortfall(
        self, instrument: Instrument, fill: Fill, prices: Mapping[Symbol, Price]
    ) -> str | None:
        leverage = self._leverages.get(fill.client_order_id)
        if leverage is not None:
            return self._margin_shortfall(fill, leverage, prices)
        asset, needed = needs(fill.symbol, fill.side, fill.quantity, fill.price, fill.fee)
        free = self._balances[asset] - self.held(asset, but_for=fill.client_order_id)
        return "EOrder:Insufficient funds" if needed > free else None

    def standing(self, currency: str, prices: Mapping[Symbol, Price]) -> Standing:
        lots = [lot for lots in self.lots.values() for lot in lots]
        return Standing(
            trade_balance=self._worth(currency, prices),
            profit=sum((_profit(lot, currency, prices) for lot in lots), _ZERO),
            cost=sum((lot.cost * _rate(lot, currency, prices) for lot in lots), _ZERO),
            margin=sum((lot.margin * _rate(lot, currency, prices) for lot in lots), _ZERO),
        )

    def roll_over(self, now: datetime) -> None:
        """Charge every lot for each four hours that it has been open."""
        for lots in self.lots.values():
            for lot in lots:
                while lot.rolls_at <= now:
                    fee = EXACT.multiply(lot.cost, self._fees.rollover)
                    fill = lot.opened_by
                    self._enter("rollover", fill.fill_id, fill.fee_asset, _ZERO, fee, lot.rolls_at)
                    lot.rolls_at += ROLLS_EVERY

    def _exchange(self, fill: Fill) -> None:
        base, quote = fill.symbol.base, fill.symbol.quote
        cost = EXACT.multiply(fill.quantity, fill.price)
        sign = fill.side.sign
        self._enter("trade", fill.fill_id, base, sign * fill.quantity, _ZERO, fill.filled_at)
        self._enter("trade", fill.fill_id, quote, -sign * cost, fill.fee, fill.filled_at)

    def _trade_on_margin(self, fill: Fill, leverage: int) -> None:
        profit, opened = self._close(fill)
        fee = fill.fee
        if opened:
            cost = EXACT.multiply(opened, fill.price)
            fee = EXACT.add(fee, EXACT.multiply(cost, self._fees.opening))
            self.lots[fill.symbol].append(
                Lot(
                    opened_by=fill,
                    leverage=leverage,
                    closed=EXACT.subtract(fill.quantity, opened),
                    rolls_at=fill.filled_at + ROLLS_EVERY,
                )
            )
        self._enter("margin", fill.fill_id, fill.fee_asset, profit, fee, fill.filled_at)

    def _close(self, fill: Fill) -> tuple[Decimal, Decimal]:
        """Close the oldest lots on the other side: the profit, and what is left of the fill."""
        profit, left = _ZERO, Decimal(fill.quantity)
        for lot in self.lots[fill.symbol]:
            if lot.opened_by.side is fill.side or not left:
                continue
            part = min(left, lot.open)
            profit = EXACT.add(profit, lot.profit(part, fill.price))
            lot.closed = EXACT.add(lot.closed, part)
            left = EXACT.subtract(left, part)
        self.lots[fill.symbol] = [lot for lot in self.lots[fill.symbol] if lot.open]
        return profit, left

    def _margin_shortfall(
        self, fill: Fill, leverage: int, prices: Mapping[Symbol, Price]
    ) -> str | None:
        added = fill.quantity - self.reducible(fill.symbol, fill.side)
        if added <= 0:
            return None
        quote = fill.symbol.quote
        now = self.standing(quote, prices)
        needed = added * fill.price / leverage
        if now.margin + needed > now.equity - fill.fee:
            return "EOrder:Margin level too low"
        return None

    def _worth(self, currency: str, prices: Mapping[Symbol, Price]) -> Decimal:
        """What all balances are worth; one without a price is no collateral."""
        rates = ((amount, rate(asset, currency, prices)) for asset, amount in self.balances.items())
        return sum((amount * found for amount, found in rates if found is not None), _ZERO)

    def _enter(
        self, kind: str, refers_to: str, asset: str, amount: Decimal, fee: Decimal, at: datetime
    ) -> None:
        change = EXACT.subtract(amount, fee)
        self._balances[asset] = EXACT.add(self._balances[asset], change)
        entry = Entry(
            kind=kind,
            refers_to=refers_to,
            asset=asset,
            amount=amount,
            fee=fee,
            balance=self._balances[asset],
            at=at,
        )
        self.entries.append(entry)


def needs(
    symbol: Symbol, side: Side, quantity: Decimal, price: Decimal, fee: Decimal
) -> tuple[str, Decimal]:
    """What a spot trade spends: of which asset, and how much."""
    if side is Side.SELL:
        return symbol.base, quantity
    return symbol.quote, EXACT.add(EXACT.multiply(quantity, price), fee)


def rate(asset: str, currency: str, prices: Mapping[Symbol, Price]) -> Decimal | None:
    """What one of `asset` is worth; None without a price of the two."""
    if asset == currency:
        return Decimal(1)
    direct = prices.get(Symbol(f"{asset}/{currency}"))
    inverse = prices.get(Symbol(f"{currency}/{asset}"))
    if direct is not None:
        return direct
    return 1 / inverse if inverse is not None else None


def _rate(lot: Lot, currency: str, prices: Mapping[Symbol, Price]) -> Decimal:
    return rate(lot.opened_by.symbol.quote, currency, prices) or _ZERO


def _profit(lot: Lot, currency: str, prices: Mapping[Symbol, Price]) -> Decimal:
    last = prices.get(lot.opened_by.symbol, lot.opened_by.price)
    return lot.profit(lot.open, last) * _rate(lot, currency, prices)
