"""Our own trades."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from data.instrument import Price, Quantity, Side, Symbol


class Liquidity(StrEnum):
    """Whether a fill took from the book or rested in it."""

    MAKER = "maker"
    TAKER = "taker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution of one of our orders, or by the venue itself; `fill_id` is unique there.

    Where the venue takes a position down by force, `forced` is its own word for that: a liquidation
    that no order of ours has asked for.
    """

    fill_id: str
    client_order_id: str
    symbol: Symbol
    side: Side
    quantity: Quantity  # above zero
    price: Price
    fee: Decimal
    fee_asset: str
    liquidity: Liquidity
    filled_at: datetime
    forced: str = ""
