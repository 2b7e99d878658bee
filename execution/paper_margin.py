"""Where a simulated venue takes a position away: once the account can no longer carry it.

With margin fees as Kraken: below a margin level of 40 %, the oldest position first. Without them as
a perpetual's venue: once equity is less than the maintenance margin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from data.bar import Bar
from data.instrument import Instrument, Notional, Price, Quantity, Symbol
from execution.paper_costs import (
    LIQUIDATION_LEVEL,
    lent,
    maintenance_margin,
    maintenance_share,
    used_margin,
)

_STEADY: Final = Decimal("0.01")  # a move by which five times leverage costs 5 % of equity
_EASY: Final = 2  # times what is needed; above, no such move liquidates


class Held(Protocol):
    """A position since it was last flat."""

    @property
    def opened_at(self) -> datetime: ...

    @property
    def quantity(self) -> Decimal: ...  # signed

    @property
    def cost(self) -> Decimal: ...  # signed, in quote currency


class Purse(Protocol):
    """What the account is worth."""

    def equity(self, quote: str, prices: Mapping[Symbol, Price]) -> Decimal | None:
        """All balances in `quote`; None where one has no price."""
        ...

    def rate(self, asset: str, quote: str, prices: Mapping[Symbol, Price]) -> Decimal | None:
        """The price of an asset; None where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """The position that goes first."""

    symbol: Symbol
    opened_at: datetime
    quantity: Quantity  # signed, all of it
    reason: str


class MarginWatch:
    """Looks at the account with every bar of what it holds, at the bar's worst price for us.

    To be cheap it looks again only once the price has moved by a hundredth, while there is ease.
    """

    def __init__(
        self,
        instruments: Mapping[Symbol, Instrument],
        positions: Mapping[Symbol, Held],
        purse: Purse,
        *,
        lends: bool,
    ) -> None:
        self._instruments = instruments
        self._positions = positions
        self._purse = purse
        self._lends = lends  # as Kraken does, for fees
        self._steady: dict[Symbol, tuple[Decimal, Decimal]] = {}

    def forget(self) -> None:
        """The account has changed: look again."""
        self._steady.clear()

    def due(self, bar: Bar, prices: Callable[[], Mapping[Symbol, Price]]) -> Liquidation | None:
        """What is liquidated by `bar`, if anything; `prices` tells the last of every symbol."""
        steady = self._steady.get(bar.symbol)
        if steady is not None and steady[0] < bar.low and bar.high < steady[1]:
            return None
        held = self._positions.get(bar.symbol)
        if held is None or not self._instruments[bar.symbol].shortable:
            return None
        worst = bar.low if held.quantity > 0 else bar.high
        return self._look(bar, {**prices(), bar.symbol: worst})

    def _look(self, bar: Bar, prices: Mapping[Symbol, Price]) -> Liquidation | None:
        quote = bar.symbol.quote
        equity, least = self._purse.equity(quote, prices), self._least(quote, prices)
        if equity is None or least is None:
            return None
        self._steady.pop(bar.symbol, None)
        if equity >= _EASY * least:
            self._steady[bar.symbol] = bar.low * (1 - _STEADY), bar.high * (1 + _STEADY)
        if equity >= least:
            return None
        return self._oldest(f"liquidated: equity {equity:f} of {least:f} {quote} needed")

    def _least(self, quote: str, prices: Mapping[Symbol, Price]) -> Decimal | None:
        """The equity below which a position goes."""
        total = Decimal(0)
        for symbol, held in self._on_margin().items():
            price = prices.get(symbol)
            rate = self._purse.rate(symbol.quote, quote, prices)
            if price is None or rate is None:
                return None
            total += rate * self._needed(self._instruments[symbol], held, price)
        return total

    def _needed(self, instrument: Instrument, held: Held, price: Price) -> Notional:
        leverage, size = instrument.max_leverage, Quantity(held.quantity)
        if self._lends:
            owed = lent(size, Notional(held.cost), price)
            return Notional(LIQUIDATION_LEVEL * used_margin(owed, leverage))
        return maintenance_margin([(Notional(size * price), maintenance_share(leverage))])

    def _oldest(self, reason: str) -> Liquidation:
        symbol, held = min(self._on_margin().items(), key=lambda item: item[1].opened_at)
        return Liquidation(
            symbol=symbol,
            opened_at=held.opened_at,
            quantity=Quantity(held.quantity),
            reason=reason,
        )

    def _on_margin(self) -> dict[Symbol, Held]:
        return {s: h for s, h in self._positions.items() if self._instruments[s].shortable}
