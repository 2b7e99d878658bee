"""Kraken's decaying counters: how much one key may ask, and how often it may change its mind.

Numbers of the Intermediate tier. Source: docs.kraken.com, "Spot REST rate limits" and "Spot trading
rate limits". Cancels count and are never refused.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from data.instrument import Symbol
from sextant.rehearsal.order_form import Declined

_HISTORIES: Final = frozenset({"Ledgers", "QueryLedgers", "TradesHistory", "ClosedOrders"})
_UNCOUNTED: Final = frozenset(
    {"AddOrder", "AmendOrder", "EditOrder", "CancelOrder", "CancelAll", "CancelAllOrdersAfter"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """The most a counter may reach, and what decays of it in a second."""

    asked: float = 20.0
    asked_decay: float = 0.5
    traded: float = 125.0  # of each pair
    traded_decay: float = 2.34


@dataclass(slots=True)
class _Counter:
    most: float
    decay: float
    value: float = 0.0
    at: datetime | None = None

    def pay(self, cost: float, now: datetime) -> None:
        self.value = self.at_time(now) + cost
        self.at = now

    def at_time(self, now: datetime) -> float:
        if self.at is None:
            return 0.0
        passed = max(0.0, (now - self.at).total_seconds())
        return max(0.0, self.value - passed * self.decay)


class Limits:
    """The counters of one key; time is the market's."""

    def __init__(self, tier: Tier) -> None:
        self._asked = _Counter(tier.asked, tier.asked_decay)
        self._traded: defaultdict[Symbol, _Counter] = defaultdict(
            lambda: _Counter(tier.traded, tier.traded_decay)
        )

    def ask(self, method: str, now: datetime) -> None:
        """Pay for a private request.

        Raises:
            Declined: the counter is full.
        """
        if method in _UNCOUNTED:
            return
        cost = 2.0 if method in _HISTORIES else 1.0
        if self._asked.at_time(now) + cost > self._asked.most:
            raise Declined("EAPI:Rate limit exceeded")
        self._asked.pay(cost, now)

    def add(self, symbol: Symbol, now: datetime) -> None:
        """Pay for a new order.

        Raises:
            Declined: the pair's counter is full.
        """
        self._pay(symbol, 1.0, now)

    def amend(self, symbol: Symbol, age: timedelta, now: datetime) -> None:
        """Pay for changing an order: the younger it is, the more.

        Raises:
            Declined: the pair's counter is full.
        """
        self._pay(symbol, 1.0 + _penalty(_AMENDS, age), now)

    def cancel(self, symbol: Symbol, age: timedelta, now: datetime) -> None:
        self._traded[symbol].pay(_penalty(_CANCELS, age), now)

    def traded(self, symbol: Symbol, now: datetime) -> float:
        """Where the pair's counter stands."""
        return self._traded[symbol].at_time(now)

    def _pay(self, symbol: Symbol, cost: float, now: datetime) -> None:
        counter = self._traded[symbol]
        if counter.at_time(now) + cost > counter.most:
            raise Declined("EOrder:Rate limit exceeded")
        counter.pay(cost, now)


_AMENDS: Final = ((5, 3.0), (10, 2.0), (15, 1.0))  # younger than so many seconds: so much
_CANCELS: Final = ((5, 8.0), (10, 6.0), (15, 5.0), (45, 4.0), (90, 2.0), (300, 1.0))


def _penalty(table: tuple[tuple[int, float], ...], age: timedelta) -> float:
    return next((cost for seconds, cost in table if age < timedelta(seconds=seconds)), 0.0)
