"""What a rule may know of the market."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.bar import Timeframe
from data.instrument import Instrument, Price, Quantity
from data.regime import Regime


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The trend of a higher timeframe: computed on its closed bars only, and only when one closes.

    `trend` is a signed share of the price, such as the close against its moving average (S1-107).
    """

    timeframe: Timeframe
    trend: float
    updated_at: datetime  # close of the bar that it was computed on


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One instrument at one moment; None is unknown, and what must know it rejects.

    From `realised_volatility` on, a value is asked for only where the limit that reads it is on.
    Overlays are filters: without them nothing is vetoed (S1-121).
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
    overlays: tuple[Overlay, ...] = ()
    realised_volatility: float | None = None  # annualised, of 365 days
    bar_volatility: float | None = None  # of one bar's return, over 30 bars; a fraction
    mean_atr: float | None = None  # of the last 20 bars
    move: float | None = None  # of the last five minutes, a signed share
    book_at: datetime | None = None  # of the order book that spread and depth are from
    depth: Quantity | None = None  # base, on the side that the order would take
    adv: Quantity | None = None  # average daily volume, base
    model_confidence: float | None = None  # of the learned model, whoever's signal was chosen
    calibration_error: float | None = None  # expected, over recent decisions; in [0, 1]
    expected_move: float | None = None  # predicted, a signed share of the price
    win_probability: float | None = None  # calibrated, that the target comes before the stop
    liquidation_price: Price | None = None  # of the position that the order would make
