"""What simulated trading costs, and at which price a bar fills an order: pure functions of the bar.

A bar does not say in which order its prices came, so every doubt is settled against us.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from data.bar import Bar
from data.instrument import Instrument, Price, Side, Toward
from execution.fee_schedule import FeeSchedule
from execution.fill import Liquidity

_BPS = Decimal(10_000)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTerms:
    """Fees as shares of notional, in quote currency; costs in basis points of the price."""

    maker_fee: Decimal
    taker_fee: Decimal
    spread_bps: Decimal  # full; half of it is paid on each side
    slippage_bps: Decimal
    latency: timedelta  # from acceptance until the order can fill
    participation: Decimal | None  # most of a bar's volume that one bar may fill; None: no bound
    schedule: FeeSchedule | None = None  # what traded volume takes off the fees

    def __post_init__(self) -> None:
        if min(self.spread_bps, self.slippage_bps) < 0 or self.latency < timedelta(0):
            raise ValueError(f"spread, slippage and latency are not below 0: {self}")
        if self.participation is not None and not 0 < self.participation <= 1:
            raise ValueError(f"participation is a share in (0, 1]: {self.participation}")

    def fee_share(self, liquidity: Liquidity, volume: Decimal) -> Decimal:
        """What a fill pays of its notional, after so much `volume` in 30 days."""
        step = self.schedule.step(volume) if self.schedule is not None else None
        if liquidity is Liquidity.MAKER:
            return self.maker_fee if step is None else step.maker
        return self.taker_fee if step is None else step.taker

    def taker_price(self, reference: Price, side: Side, instrument: Instrument) -> Price:
        """What crossing the spread at `reference` costs: half of it and the slippage, on the tick.

        Without spread and slippage it is the reference itself, tick or not.
        """
        cost = self.spread_bps / 2 + self.slippage_bps
        if not cost:
            return reference
        return instrument.price(reference * (1 + side.sign * cost / _BPS), _against(side))


def price_at(bar: Bar, at: datetime, side: Side, instrument: Instrument) -> Price:
    """The price for an order on `side` that can fill from `at` on.

    The bar's open if that is not before `at`; inside the bar the straight line from open to close,
    on the tick against us.
    """
    inside = at - bar.opened_at
    if inside <= timedelta(0):
        return bar.open
    share = Decimal(inside // _MICROSECOND) / Decimal(bar.timeframe.delta // _MICROSECOND)
    return instrument.price(bar.open + (bar.close - bar.open) * share, _against(side))


def stop_is_reached(trigger: Price, price: Price, side: Side) -> bool:
    """Whether `price` sets off a stop order on `side`; a touch does."""
    return price >= trigger if side is Side.BUY else price <= trigger


def limit_is_passed(limit: Price, price: Price, side: Side) -> bool:
    """Whether `price` went through a limit on `side`; a touch may have filled others only."""
    return price < limit if side is Side.BUY else price > limit


def worst(bar: Bar, side: Side) -> Price:
    """The bar's price furthest against somebody who must trade on `side`."""
    return bar.high if side is Side.BUY else bar.low


def best(bar: Bar, side: Side) -> Price:
    """The bar's price furthest in favour of somebody who would trade on `side`."""
    return bar.low if side is Side.BUY else bar.high


def _against(side: Side) -> Toward:
    return Toward.HIGHER if side is Side.BUY else Toward.LOWER
