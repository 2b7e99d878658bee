"""All that a rule may see: one order, sized, against one account at one moment."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Generic, TypeVar, overload

from data.account import AccountState, InFlight
from data.bar import Timeframe
from data.instrument import Quantity
from risk.breaker import RiskState
from risk.intent import OrderIntent
from risk.limits import RegimeLimits, RiskLimits, SizeTier, StreakStep
from risk.market import Market
from risk.referral import Consent

_NOTHING = Decimal(0)
_ONE = Decimal(1)
_HOUR = timedelta(hours=1)


T = TypeVar("T")


class _Reckoned(Generic[T]):
    """A property that is reckoned once: `functools.cached_property`, which takes a lock each time
    in Python 3.11, without it; a case has one thread."""

    def __init__(self, reckon: Callable[["Case"], T]) -> None:
        self._reckon = reckon
        self._name = reckon.__name__
        self.__doc__ = reckon.__doc__

    @overload
    def __get__(self, case: None, owner: type["Case"]) -> "_Reckoned[T]": ...
    @overload
    def __get__(self, case: "Case", owner: type["Case"]) -> T: ...
    def __get__(self, case: "Case | None", owner: type["Case"]) -> "_Reckoned[T] | T":
        if case is None:
            return self
        value = case.__dict__[self._name] = self._reckon(case)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskAccount:
    """A desk's own part of the account: its capital, holdings and orders, and its own limits."""

    account: AccountState
    state: RiskState
    limits: RiskLimits


@dataclass(frozen=True, kw_only=True)
class Case:
    """`intent` with the size that is proposed for it, and everything it is judged by.

    Not slotted, so that what many rules read is reckoned once.
    """

    intent: OrderIntent
    quantity: Quantity  # signed, on the lot grid; zero where no size could be found
    account: AccountState
    market: Market
    state: RiskState  # marked with the account's equity at `now`
    limits: RiskLimits
    now: datetime
    consent: Consent | None = None

    def of_size(self, quantity: Quantity) -> "Case":
        """The same at another size; what was reckoned already stays, for none of it rests on it."""
        other = object.__new__(Case)
        other.__dict__.update(self.__dict__, quantity=quantity)
        return other

    @_Reckoned
    def is_entry(self) -> bool:
        """Whether it adds to the trading book: it neither reduces a position nor exchanges."""
        return not (self.intent.reduces or self.intent.purpose.exchanges)

    @_Reckoned
    def sign(self) -> int:
        """+1 for a long entry, -1 for a short one."""
        return self.intent.direction.sign

    @_Reckoned
    def equity(self) -> Decimal:
        """The account's equity; zero, of which every share is nothing, where it is unknown."""
        return known(self.account.equity) or _NOTHING

    @_Reckoned
    def stake(self) -> Decimal:
        """Equity less what purchases for bags that are in flight will take of it.

        They count as filled, at the mark and with the fee; zero where one has no value.
        """
        promised = _NOTHING
        for order in self.account.exchanging:
            if order.for_bag:
                promised += abs(order.notional) * (1 + self.limits.taker_fee)
        return max(self.equity - promised, _NOTHING) if promised.is_finite() else _NOTHING

    @_Reckoned
    def left(self) -> Decimal | None:
        """The account's equity, of any sign; None where it is unknown."""
        equity = self.account.equity
        return equity if equity is not None and equity.is_finite() else None

    @_Reckoned
    def price(self) -> Decimal | None:
        """The last price, in quote currency."""
        return known(self.market.price)

    @_Reckoned
    def rate(self) -> Decimal | None:
        """The price of one unit of quote currency in the account's."""
        return known(self.market.rate)

    @_Reckoned
    def entry_price(self) -> Decimal | None:
        """Where an entry would fill, in quote currency: at the market, or where it waits."""
        price, trigger, limit = self.price, self.intent.trigger, self.intent.limit
        if price is None or (trigger is None and limit is None):
            return price
        better, worse = (min, max) if self.sign > 0 else (max, min)
        if trigger is not None:
            price = worse(price, trigger)
        return better(price, limit) if limit is not None else price

    @_Reckoned
    def unit_value(self) -> Decimal | None:
        """Notional of one unit of base, in the account's currency, at the dearer of the prices."""
        price, entry, rate = self.price, self.entry_price, self.rate
        if price is None or entry is None or rate is None:
            return None
        return max(price, entry) * rate

    @_Reckoned
    def stop_distance(self) -> Decimal | None:
        """From the entry to a stop on its losing side, in quote currency; None without one."""
        entry, stop = self.entry_price, known(self.intent.stop)
        if entry is None or stop is None:
            return None
        return known((entry - stop) * self.sign)

    @_Reckoned
    def regime(self) -> RegimeLimits:
        """What the market's regime allows."""
        return self.limits.regimes[self.market.regime]

    @_Reckoned
    def tier(self) -> SizeTier | None:
        """What confidence earns; None below the lowest tier."""
        return self.limits.tier(self.intent.confidence)

    @_Reckoned
    def streak(self) -> StreakStep | None:
        """What so many losses in a row bring, if anything."""
        return self.limits.streak_step(self.state.loss_streak)

    @_Reckoned
    def drawdown(self) -> Decimal:
        """Fall from peak equity, as a fraction of the peak; 1 where it cannot be told."""
        peak = known(self.state.peak_equity)
        return (peak - self.equity) / peak if peak is not None else _ONE

    @_Reckoned
    def entering(self) -> tuple[InFlight, ...]:
        """The orders in flight that may still add to what is held."""
        return tuple([order for order in self.account.in_flight if not order.reduce_only])

    @_Reckoned
    def exposure(self) -> Decimal:
        """Gross notional held and in flight, in the account's currency."""
        total = _NOTHING
        for position in self.account.positions.values():
            total += abs(position.notional)
        for order in self.entering:
            total += abs(order.notional)
        return total

    @_Reckoned
    def held(self) -> Quantity:
        """The signed position in the intent's symbol; dust is none, where its price is known."""
        held = self.account.held(self.intent.symbol)
        if held and self.price is not None and self.market.instrument.is_dust(held, self.price):
            return Quantity(_NOTHING)
        return held

    @_Reckoned
    def pending(self) -> Quantity:
        """What entries in flight may still add to it, signed."""
        symbol, total = self.intent.symbol, _NOTHING
        for order in self.entering:
            if order.symbol == symbol:
                total += order.quantity
        return Quantity(total)

    @_Reckoned
    def confidence_floor(self) -> float:
        """The lowest confidence that may enter; never below the lowest size tier."""
        floor = max(self.regime.min_confidence, self.limits.tiers[-1].min_confidence)
        return floor if self.streak is None else max(floor, self.streak.min_confidence)

    @_Reckoned
    def reward_over_risk(self) -> tuple[Decimal, Decimal] | None:
        """Reward at the target and risk at the stop of one unit, after fees, in quote currency."""
        entry, stop, distance = self.entry_price, self.intent.stop, self.stop_distance
        target = known(self.intent.target)
        if entry is None or stop is None or distance is None or target is None:
            return None
        fee = self.limits.taker_fee
        reward = (target - entry) * self.sign - fee * (entry + target)
        return reward, distance + fee * (entry + stop)

    @_Reckoned
    def cost_share(self) -> Decimal:
        """Cost of entry and exit, as a share of the price: fees, slippage, and one spread.

        The fee is the taker's: what rests first may have to take. An unknown spread costs what the
        limits call slippage, and nothing more.
        """
        cost = 2 * (self.limits.taker_fee + self.limits.slippage)
        spread = self.market.spread_bps
        if spread is None or not 0 < spread < math.inf:
            return cost
        return cost + as_decimal(spread) / 10_000

    @_Reckoned
    def volatility_guard(self) -> float:
        """The guard's cap; zero, which is off, while it is only tried in shadow."""
        limits = self.limits
        return 0.0 if "volatility_guard" in limits.shadow else limits.volatility_guard

    @_Reckoned
    def volatility_target(self) -> float:
        """The target; zero, which is off, while it is only tried in shadow."""
        limits = self.limits
        return 0.0 if "volatility_target" in limits.shadow else limits.volatility_target

    @_Reckoned
    def overlays_against(self) -> tuple[str, ...]:
        """Why the higher timeframes are against this entry, `1h_downtrend`; empty if they are not.

        A trend counts beyond the threshold, not at it; a stale or unreadable one is neutral.
        """
        limits = self.limits
        trends = self._overlay_trends() if limits.overlay_timeframes else []
        weighed = [(timeframe.delta / _HOUR, trend) for timeframe, trend in trends]
        if not limits.overlay_rule.vetoes(weighed, limits.overlay_threshold):
            return ()
        kind = "downtrend" if self.sign > 0 else "uptrend"
        return tuple(f"{t}_{kind}" for t, trend in trends if trend < -limits.overlay_threshold)

    def _overlay_trends(self) -> list[tuple[Timeframe, float]]:
        """The trends that can be read, above zero where they go with the entry."""
        asked, oldest = self.limits.overlay_timeframes, self.limits.overlay_max_age
        return [
            (overlay.timeframe, overlay.trend * self.sign)
            for overlay in self.market.overlays
            if overlay.timeframe in asked
            and 0 <= (self.now - overlay.updated_at) / overlay.timeframe.delta <= oldest
            and math.isfinite(overlay.trend)
        ]


def known(value: Decimal | None) -> Decimal | None:
    """`value` where it is a finite number above zero, which all prices and rates must be."""
    return value if value is not None and value.is_finite() and value > _NOTHING else None


def readable(value: float | None) -> float | None:
    """`value` where it is a finite estimate above zero."""
    return value if value is not None and 0 < value < math.inf else None


@lru_cache(maxsize=1024)
def as_decimal(value: float) -> Decimal:
    """An estimate crossing over, by its shortest text."""
    return Decimal(repr(value))
