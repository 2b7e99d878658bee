"""What Binance lets one address ask, and one account order: budgets, spent before sending.

The address has one weight for everything, so the live feed and the collectors spend from the same
budget as this (`data.feeds.binance.rate_budget`). New orders weigh nothing there; they are counted
for the account, over ten seconds and over a minute, and cancelling is not counted.

Source: developers.binance.com, USD-M futures, "General Info", "LIMITS"; weights are those of each
endpoint's page,
counts those in `rateLimits` of exchangeInfo.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from data.clock import Clock
from data.feeds.rate_budget import RateBudget
from execution.venue import VenueUnavailable

_USUAL: Final = 1.0
_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "fapiPrivatePostOrder": 0.0,
        "fapiPrivatePostAlgoOrder": 0.0,
        "fapiPrivateGetOpenOrders": 40.0,  # of all symbols
        "fapiPrivateGetOpenAlgoOrders": 40.0,
        "fapiPrivateGetUserTrades": 5.0,
        "fapiPrivateGetIncome": 30.0,
        "fapiPrivateV3GetAccount": 5.0,
        "fapiPrivateGetPositionSideDual": 30.0,
        "fapiPrivateGetSymbolConfig": 5.0,
        "fapiPrivateGetCommissionRate": 20.0,
        "fapiPrivatePostCountdownCancelAll": 10.0,
    }
)
_IN_10_SECONDS, _IN_A_MINUTE = 300, 1_200  # orders


class BinanceLimits:
    """The weight of one address and the orders of one account, as we reckon them.

    Orders that only reduce wait for room. New exposure is turned away instead, and leaves
    `reserve`, a share of each count, to those.
    """

    def __init__(self, clock: Clock, weight: RateBudget, *, reserve: float) -> None:
        if not 0 <= reserve < 1:
            raise ValueError(f"a reserve is a share in [0, 1), not {reserve}")
        self._weight = weight
        self._reserve = reserve
        self._orders = (
            (_half(clock, _IN_10_SECONDS, seconds=10), _IN_10_SECONDS / 2),
            (_half(clock, _IN_A_MINUTE, seconds=60), _IN_A_MINUTE / 2),
        )

    @property
    def weighed(self) -> float:
        """What all questions so far have cost, those of others from the same budget too."""
        return self._weight.spent

    @property
    def ordered(self) -> float:
        """How many orders were counted."""
        return self._orders[0][0].spent

    async def ask(self, method: str) -> None:
        """Return once `method`, by ccxt's name, may be called."""
        await self._weight.spend(_WEIGHTS.get(method, _USUAL))

    async def place(self, *, reduces: bool) -> None:
        """Return once an order may be placed.

        Raises:
            VenueUnavailable: it adds exposure, and what is left is for those that do not.
        """
        if not reduces and any(
            budget.left < 1 + self._reserve * most for budget, most in self._orders
        ):
            raise VenueUnavailable("binance: too many orders of late; none was sent")
        for budget, _ in self._orders:
            await budget.spend()

    def rest(self, delay: timedelta) -> None:
        """Binance asks for patience: send nothing at all meanwhile, or it bans the address."""
        self._weight.rest(delay)
        for budget, _ in self._orders:
            budget.rest(delay)


def _half(clock: Clock, most: int, *, seconds: int) -> RateBudget:
    """A budget whose half can be spent at once, and the other over the span: never more in it."""
    return RateBudget(clock, capacity=most / 2, per_second=most / 2 / seconds)
