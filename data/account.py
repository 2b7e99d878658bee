"""Our own book as the execution ledger knows it: what we hold, owe, and have in flight."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.instrument import Notional, Price, Quantity, Symbol
from data.value import quick

_NOTHING = Notional(Decimal(0))


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An open trading position; `quantity` is signed, `notional` is in the account's currency."""

    symbol: Symbol
    quantity: Quantity
    entry_price: Price  # volume-weighted, in quote currency
    mark: Price
    notional: Notional  # abs(quantity) at the mark, in the account's currency
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """What is left of an order that may still fill; for limits it counts as filled."""

    client_order_id: str
    symbol: Symbol
    quantity: Quantity  # signed, remaining
    notional: Notional  # in the account's currency, at the mark
    reduce_only: bool
    for_bag: bool = False  # bought for good, with cash of the trading book


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What is held of one asset for its own sake, apart from the trading book and hodl bags."""

    asset: str
    quantity: Decimal
    value: Notional | None  # at the mark, in the account's currency; None where it has no price


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """One moment of the trading book, valued in `currency`, and of the holdings beside it.

    A value that cannot be computed (a position without a price) is None: what reads it refuses.
    Holdings and bags are in neither equity nor cash, and no position.
    """

    as_of: datetime
    currency: str
    equity: Notional | None  # cash and positions at the marks, fees and unrealised PnL included
    cash: Notional  # balance of `currency` itself; below zero is borrowed
    positions: Mapping[Symbol, Position]
    in_flight: tuple[InFlight, ...] = ()
    reconciled: bool = True  # False until the venue and the ledger agree
    holdings: tuple[Holding, ...] = ()
    exchanging: tuple[InFlight, ...] = ()  # orders in flight that exchange them, or buy for a bag
    kept: Notional = _NOTHING  # worth of holdings and bags; where it is unknown, equity is too

    def held(self, symbol: Symbol) -> Quantity:
        """The signed position in `symbol`."""
        position = self.positions.get(symbol)
        return position.quantity if position is not None else Quantity(Decimal(0))

    @property
    def whole(self) -> Notional | None:
        """Equity with what is kept beside it; None where nothing is, or equity is unknown.

        NaN where one of the two is no amount.
        """
        if self.equity is None or not self.kept:
            return None
        if not (self.equity.is_finite() and self.kept.is_finite()):
            return Notional(Decimal("NaN"))
        return Notional(self.equity + self.kept)

    def pending(self, symbol: Symbol) -> Quantity:
        """What entries in flight may still add to the position in `symbol`, signed."""
        quantities = (
            o.quantity for o in self.in_flight if o.symbol == symbol and not o.reduce_only
        )
        return Quantity(sum(quantities, Decimal(0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """A position from its first fill until it was flat again; `pnl` in the account's currency."""

    symbol: Symbol
    quantity: Quantity  # the largest signed position it had
    pnl: Notional | None  # net of fees; None where no price converts it
    fees: Notional | None  # its fills', and what was charged for it while it was open
    opened_at: datetime
    closed_at: datetime
