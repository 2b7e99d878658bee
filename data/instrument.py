"""What can be traded, in which steps, and the one rounding function."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Any, NewType, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Price = NewType("Price", Decimal)  # quote per base
Quantity = NewType("Quantity", Decimal)  # base; signed where a direction is meant
Notional = NewType("Notional", Decimal)  # value, in the currency that the name beside it says
Margin = NewType("Margin", Decimal)  # collateral bound, in the account's currency


class UnknownSymbol(ValueError):
    """Text that names no symbol, or a symbol that is not traded here."""


class Symbol(str):
    """A pair written `BASE/QUOTE`, such as `BTC/USDT`."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        base, slash, quote = text.partition("/")
        if not (slash and base.isalnum() and quote.isalnum() and text.isupper()):
            raise UnknownSymbol(f"{text!r} is no symbol; write BASE/QUOTE, such as BTC/USDT")
        return super().__new__(cls, text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())

    @property
    def base(self) -> str:
        return self.partition("/")[0]

    @property
    def quote(self) -> str:
        return self.partition("/")[2]


class Side(StrEnum):
    """The side of an order or a fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @classmethod
    def of(cls, quantity: Decimal) -> "Side":
        """The side that a signed, non-zero quantity asks for."""
        return cls.BUY if quantity > 0 else cls.SELL


class Toward(StrEnum):
    """Which way a number may give when it is put on a grid."""

    ZERO = ROUND_DOWN
    LOWER = ROUND_FLOOR
    HIGHER = ROUND_CEILING


def on_grid(value: Decimal | float, step: Decimal, toward: Toward) -> Decimal:
    """`value` as a multiple of `step`; the caller names the direction of less risk.

    A float crosses over to Decimal here, by its shortest text.

    Raises:
        ValueError: `value` is not finite, or `step` is not positive.
    """
    exact = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not exact.is_finite() or step <= 0:
        raise ValueError(f"cannot put {value} on a grid of {step}")
    return (exact / step).to_integral_value(rounding=toward.value) * step


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A tradable pair and its venue's grid; sizes in base, values in quote currency."""

    symbol: Symbol
    tick: Decimal
    lot: Decimal
    min_quantity: Quantity
    min_notional: Notional
    max_leverage: Decimal = Decimal(1)  # 1 is spot: nothing is borrowed, nothing sold short

    def __post_init__(self) -> None:
        for name in ("tick", "lot", "min_quantity", "max_leverage"):
            number = getattr(self, name)
            if not (number.is_finite() and number > 0):
                raise ValueError(f"{self.symbol}: {name} must be above 0")
        if not (self.min_notional.is_finite() and self.min_notional >= 0):
            raise ValueError(f"{self.symbol}: min_notional may not be below 0")

    @property
    def shortable(self) -> bool:
        return self.max_leverage > 1

    def quantity(self, wished: Decimal | float) -> Quantity:
        """`wished`, signed, on the lot grid towards zero."""
        return Quantity(on_grid(wished, self.lot, Toward.ZERO))

    def price(self, wished: Decimal | float, toward: Toward) -> Price:
        """`wished` on the tick grid."""
        return Price(on_grid(wished, self.tick, toward))

    def stop_price(self, wished: Decimal | float, position_side: Side) -> Price:
        """The stop of a position on `position_side`, rounded nearer to the market: less is lost."""
        return self.price(wished, Toward.HIGHER if position_side is Side.BUY else Toward.LOWER)

    def is_dust(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether the venue takes no order of this size: too little of it, or worth too little."""
        size = abs(quantity)
        return size < self.min_quantity or size * price < self.min_notional
