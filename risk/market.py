"""What a rule may know of the market."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.instrument import Instrument, Price
from data.regime import Regime


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One instrument at one moment; None is unknown, and what must know it rejects.

    `atr` is the average true range over 14 bars of the deciding timeframe, in quote currency.
    `rate` is the price of one unit of quote currency in the account's currency.
    """

    instrument: Instrument
    price: Price | None  # last, in quote currency
    priced_at: datetime | None
    rate: Decimal | None
    spread_bps: float | None
    atr: float | None
    regime: Regime  # computed by code, never read from a model
