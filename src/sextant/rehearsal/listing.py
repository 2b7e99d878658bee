"""The pairs that the exchange lists, under each of the names that Kraken gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from data.instrument import Instrument, Notional, Quantity, Symbol

_LEGACY: Final = {  # Kraken's own codes, and their names without the class letter
    "BTC": ("XXBT", "XBT"),
    "XRP": ("XXRP", "XRP"),
    "ETH": ("XETH", "ETH"),
    "USD": ("ZUSD", "USD"),
    "EUR": ("ZEUR", "EUR"),
}
_ASSET_DECIMALS: Final = 10
_COST_DECIMALS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One pair; leverages are those that an order may ask for, none of them 1."""

    symbol: Symbol
    price_decimals: int
    min_quantity: Decimal
    min_cost: Decimal
    leverages: tuple[int, ...]
    lot_decimals: int = 8

    @property
    def pair(self) -> str:
        """Its key in REST: XBTUSDT, or XXRPXXBT where both have legacy codes."""
        base, quote = self.symbol.base, self.symbol.quote
        if base in _LEGACY and quote in _LEGACY:
            return asset(base) + asset(quote)
        return self.altname

    @property
    def altname(self) -> str:
        return short_asset(self.symbol.base) + short_asset(self.symbol.quote)

    @property
    def wsname(self) -> str:
        return f"{short_asset(self.symbol.base)}/{short_asset(self.symbol.quote)}"

    @property
    def tick(self) -> Decimal:
        return Decimal(1).scaleb(-self.price_decimals)

    @property
    def instrument(self) -> Instrument:
        return Instrument(
            symbol=self.symbol,
            tick=self.tick,
            lot=Decimal(1).scaleb(-self.lot_decimals),
            min_quantity=Quantity(self.min_quantity),
            min_notional=Notional(self.min_cost),
            max_leverage=Decimal(max(self.leverages, default=1)),
        )

    def price(self, value: Decimal) -> str:
        return f"{value:.{self.price_decimals}f}"

    def quantity(self, value: Decimal) -> str:
        return f"{value:.{self.lot_decimals}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Shares of notional, in quote currency; `opening` and `rollover` are of a margin position."""

    maker: Decimal = Decimal("0.0025")
    taker: Decimal = Decimal("0.0040")
    opening: Decimal = Decimal("0.0002")
    rollover: Decimal = Decimal("0.0002")  # every four hours


def _listing(symbol: str, price_decimals: int, least: str, cost: str, most: int) -> Listing:
    return Listing(
        symbol=Symbol(symbol),
        price_decimals=price_decimals,
        min_quantity=Decimal(least),
        min_cost=Decimal(cost),
        leverages=tuple(range(2, most + 1)),
    )


KNOWN: Final = {
    each.symbol: each
    for each in (
        _listing("BTC/USDT", 1, "0.00005", "0.5", 5),
        _listing("XRP/USDT", 5, "2", "0.5", 5),
        _listing("XRP/BTC", 8, "2", "0.00002", 3),
        _listing("ETH/USDT", 2, "0.002", "0.5", 5),
        _listing("BTC/USD", 1, "0.00005", "0.5", 5),
        _listing("ETH/USD", 2, "0.002", "0.5", 5),
        _listing("XRP/USD", 5, "2", "0.5", 5),
    )
}
"""Pairs as Kraken lists them, minimums and leverages as of 2026."""

LISTINGS: Final = tuple(KNOWN[Symbol(name)] for name in ("BTC/USDT", "XRP/USDT", "XRP/BTC"))
"""The pairs of the synthetic market."""


class Register:
    """Listings by any of their names.

    Raises:
        ValueError: two pairs of one name.
    """

    def __init__(self, listings: Sequence[Listing]) -> None:
        self.listings = tuple(listings)
        self._by_name: dict[str, Listing] = {}
        for listing in listings:
            for name in {listing.symbol, listing.pair, listing.altname, listing.wsname}:
                if name in self._by_name:
                    raise ValueError(f"two pairs are called {name}")
                self._by_name[name] = listing

    def find(self, name: str) -> Listing | None:
        return self._by_name.get(name)

    @property
    def instruments(self) -> Mapping[Symbol, Instrument]:
        return {listing.symbol: listing.instrument for listing in self.listings}

    @property
    def assets(self) -> list[str]:
        """Our codes, as in `BTC/USDT`."""
        return sorted({name for one in self.listings for name in one.symbol.split("/")})


def asset(code: str) -> str:
    """REST's name of an asset: XXBT for BTC, USDT for USDT."""
    return _LEGACY[code][0] if code in _LEGACY else code


def short_asset(code: str) -> str:
    return _LEGACY[code][1] if code in _LEGACY else code


def asset_row(code: str) -> dict[str, object]:
    """An entry of Assets."""
    return {
        "aclass": "currency",
        "altname": short_asset(code),
        "decimals": _ASSET_DECIMALS,
        "display_decimals": 5,
        "collateral_value": 1.0,
        "status": "enabled",
    }


def pair_row(listing: Listing, fees: Fees) -> dict[str, object]:
    """An entry of AssetPairs."""
    return {
        "altname": listing.altname,
        "wsname": listing.wsname,
        "aclass_base": "currency",
        "base": asset(listing.symbol.base),
        "aclass_quote": "currency",
        "quote": asset(listing.symbol.quote),
        "lot": "unit",
        "cost_decimals": _COST_DECIMALS,
        "pair_decimals": listing.price_decimals,
        "lot_decimals": listing.lot_decimals,
        "lot_multiplier": 1,
        "leverage_buy": listing.leverages,
        "leverage_sell": listing.leverages,
        "fees": [[0, float(fees.taker * 100)]],
        "fees_maker": [[0, float(fees.maker * 100)]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": f"{listing.min_quantity:f}",
        "costmin": f"{listing.min_cost:f}",
        "tick_size": f"{listing.tick:f}",
        "status": "online",
    }
