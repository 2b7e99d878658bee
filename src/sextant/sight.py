"""What the rules may see of a market: measured by code on closed bars, and only what they ask for.

`frames` and `bars` say what a desk's histories must hold for that; a limit that is off asks for
nothing.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from data import overlay
from data.bar import Bar, Timeframe
from data.indicators import Atr, Indicator, MeanAtr
from data.instrument import Price, Quantity, Side
from data.order_book import OrderBook
from data.regime import Regime
from data.snapshot import Snapshot
from data.volatility import annualised, bar_volatility
from risk.breaker import MarketSeen
from risk.intent import OrderIntent
from risk.limits import RiskLimits
from risk.market import Market, Overlay

_ATR, _MEAN_ATR = Atr(), MeanAtr()
_RETURNS = 30  # of which risk.market.Market says that bar_volatility is
_DAYS = 20  # of which the daily volume is the mean
_MOVE_WITHIN = timedelta(minutes=5)  # PARAMETERS.md 1.6, "unusual move"


def frames(
    limits: RiskLimits, deciding: Timeframe, *, trails_by_atr: bool = False
) -> dict[Timeframe, tuple[Indicator, ...]]:
    """The indicators that the rules, and stops that trail, need beside those of the strategy."""
    needed: dict[Timeframe, tuple[Indicator, ...]] = {
        timeframe: overlay.INDICATORS
        for timeframe in sorted(limits.overlay_timeframes, key=lambda t: t.delta)
        if timeframe.delta > deciding.delta
    }
    if limits.max_adv_share and deciding.delta < Timeframe.D1.delta:
        needed.setdefault(Timeframe.D1, ())
    if limits.spike_ratio:
        needed[deciding] = (_ATR, _MEAN_ATR)
    elif limits.min_stop_atr or trails_by_atr:
        needed[deciding] = (_ATR,)
    return needed


def bars(limits: RiskLimits) -> int:
    """How many bars of the deciding timeframe the rules look back."""
    measured = (
        limits.volatility_target,
        limits.volatility_guard,
        limits.dynamic_floor_volatility,
        limits.max_value_at_risk,
    )
    return _RETURNS + 1 if any(measured) else 1


def joined(
    frames: Mapping[Timeframe, tuple[Indicator, ...]],
    more: Mapping[Timeframe, tuple[Indicator, ...]],
) -> dict[Timeframe, tuple[Indicator, ...]]:
    """Both together; of two that give an output of the same name, the first's."""
    both = dict(frames)
    for timeframe, indicators in more.items():
        given = both.get(timeframe, ())
        names = {name for indicator in given for name in indicator.names}
        fresh = (new for new in indicators if names.isdisjoint(new.names))
        both[timeframe] = (*given, *fresh)
    return both


class MoveWatch:
    """The largest move of one symbol's close within five minutes."""

    def __init__(self) -> None:
        self._closes: deque[tuple[datetime, Decimal]] = deque()

    def after(self, bar: Bar) -> float | None:
        """The signed share by which `bar` closes off the farthest close of the five minutes before
        it; None without one."""
        closes, since = self._closes, bar.closed_at - _MOVE_WITHIN
        while closes and closes[0][0] < since:
            closes.popleft()
        moves = [bar.close / close - 1 for _, close in closes]
        closes.append((bar.closed_at, bar.close))
        return float(max(moves, key=abs)) if moves else None


def true_range(snapshot: Snapshot) -> float | None:
    """The average true range of the deciding timeframe, quote currency; None where not measured."""
    return snapshot.primary.indicators.get(_ATR.names[0])


def wildness(snapshot: Snapshot, *, at: datetime) -> MarketSeen:
    """How far the deciding timeframe's true range is from its usual."""
    values = snapshot.primary.indicators
    return MarketSeen(
        symbol=snapshot.instrument.symbol,
        atr=values.get(_ATR.names[0]),
        mean_atr=values.get(_MEAN_ATR.names[0]),
        move=None,
        at=at,
    )


def market_of(
    snapshot: Snapshot,
    intent: OrderIntent,
    *,
    price: Price | None,
    priced_at: datetime | None,
    rate: Decimal | None,
    regime: Regime,
    orders: OrderBook | None,
    limits: RiskLimits,
) -> Market:
    """The market of `snapshot`'s symbol for one intent.

    `price` may be newer than the snapshot: deliberating takes time. Depth is that of the side
    which the intent would take.
    """
    values = snapshot.primary.indicators
    deviation = bar_volatility(snapshot.primary.series, bars=_RETURNS)
    return Market(
        instrument=snapshot.instrument,
        price=price,
        priced_at=priced_at,
        rate=rate,
        spread_bps=None if orders is None else orders.spread_bps,
        atr=values.get(_ATR.names[0]),
        regime=regime,
        overlays=_overlays(snapshot, limits),
        bar_volatility=deviation,
        realised_volatility=None
        if deviation is None
        else annualised(deviation, snapshot.bar.timeframe),
        mean_atr=values.get(_MEAN_ATR.names[0]),
        book_at=None if orders is None else orders.at,
        depth=None if orders is None else orders.depth(_side(intent)),
        adv=_daily_volume(snapshot) if limits.max_adv_share else None,
    )


def _side(intent: OrderIntent) -> Side:
    return Side.BUY if intent.direction.sign > 0 else Side.SELL


def _overlays(snapshot: Snapshot, limits: RiskLimits) -> tuple[Overlay, ...]:
    return tuple(
        Overlay(timeframe=t, trend=overlay.trend(frame), updated_at=frame.closed_at)
        for t, frame in snapshot.frames.items()
        if t in limits.overlay_timeframes and t.delta > snapshot.bar.timeframe.delta
    )


def _daily_volume(snapshot: Snapshot) -> Quantity | None:
    """Mean volume of the newest closed days, at most twenty; None without one."""
    days = snapshot.frames.get(Timeframe.D1)
    if days is None:
        return None
    return Quantity(Decimal(repr(float(np.mean(days.series.last(_DAYS).volume)))))
