"""What Kraken lets one key ask, and one account trade: decaying counters, spent before sending.

REST counts questions, the matching engine counts orders, each pair for itself; a young order costs
more to take back than to place.

Source: docs.kraken.com, "Spot REST rate limits" and "Spot Trading Limits".
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from data.clock import Clock
from data.feeds.rate_budget import RateBudget
from data.instrument import Symbol
from execution.venue import VenueUnavailable

_ADDING: Final = 1.0
_LIGHT, _HISTORY = 1.0, 2.0
_HISTORIES: Final = frozenset(
    {"TradesHistory", "ClosedOrders", "Ledgers", "QueryLedgers", "QueryTrades"}
)
_CANCELLING: Final = ((5, 8.0), (10, 6.0), (15, 5.0), (45, 4.0), (90, 2.0), (300, 1.0))
_AMENDING: Final = ((5, 3.0), (10, 2.0), (15, 1.0))  # beside the 1 that is always due
_REMEMBERED: Final = 4_096  # orders whose age is known; what is forgotten counts as just placed
_ON_ITS_WAY: Final = 1.0  # seconds: what a request may take, so that Kraken counts it that late
_LOCKOUT: Final = timedelta(seconds=15)  # after we have asked too much, in Kraken's opinion


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an account's verification is worth: most of each counter, and its decay a second."""

    rest_most: float
    rest_decay: float
    trading_most: float
    trading_decay: float


class Tier(Enum):
    """How far an account is verified."""

    STARTER = Allowance(15, 0.33, 60, 1.0)
    INTERMEDIATE = Allowance(20, 0.5, 125, 2.34)
    PRO = Allowance(20, 1.0, 180, 3.75)


class KrakenLimits:
    """The counters of one key and one account, as we reckon them.

    Orders that only reduce, and cancellations, wait for room. New exposure is turned away instead,
    and leaves `reserve`, a share of each pair's counter, to those; beside it there is always what
    it would cost to take back every order of ours that rests, so that none of them waits for that.
    """

    def __init__(self, clock: Clock, tier: Tier, *, reserve: float) -> None:
        if not 0 <= reserve < 1:
            raise ValueError(f"a reserve is a share in [0, 1), not {reserve}")
        self._clock = clock
        allowance = tier.value
        self._rest = RateBudget(
            clock,
            capacity=_lowered(allowance.rest_most, allowance.rest_decay),
            per_second=allowance.rest_decay,
        )
        self._most = _lowered(allowance.trading_most, allowance.trading_decay)
        self._decay = allowance.trading_decay
        self._reserved = reserve * self._most
        self._trading: dict[Symbol, RateBudget] = {}
        self._placed: OrderedDict[str, datetime] = OrderedDict()
        self._resting: dict[str, Symbol] = {}  # as far as they cost something to take back

    @property
    def asked(self) -> float:
        """What all questions so far have cost."""
        return self._rest.spent

    def traded(self, symbol: Symbol) -> float:
        """What all orders and cancellations of `symbol` so far have cost."""
        return self._pair(symbol).spent

    async def ask(self, method: str) -> None:
        """Return once the private `method` may be called."""
        await self._rest.spend(_weight(method))

    async def room_for(self, method: str) -> None:
        """Return once `method` could be called and leave half of the counter to others."""
        await self._rest.patient.room_for(_weight(method))

    async def place(self, symbol: Symbol, *, reduces: bool, rests: bool = False) -> None:
        """Return once an order may be placed.

        Raises:
            VenueUnavailable: it adds exposure, and what is left is for those that do not.
        """
        pair = self._pair(symbol)
        own = _CANCELLING[0][1] if rests else 0.0
        kept = self._reserved + self._taking_back(symbol) + own
        if not reduces and pair.left < _ADDING + kept:
            raise VenueUnavailable(f"kraken: {symbol}: too many orders of late; none was sent")
        await pair.spend(_ADDING)

    async def cancel(self, symbol: Symbol, client_order_id: str) -> None:
        """Return once an order of ours may be cancelled."""
        self._resting.pop(client_order_id, None)
        await self._pair(symbol).spend(_penalty(_CANCELLING, self._age(client_order_id)))

    async def amend(self, symbol: Symbol, client_order_id: str) -> None:
        """Return once an order of ours may be amended; it counts as new from then on."""
        penalty = _penalty(_AMENDING, self._age(client_order_id))
        await self._pair(symbol).spend(_ADDING + penalty)
        self.was_placed(client_order_id, self._clock.now())

    def was_placed(
        self, client_order_id: str, at: datetime, *, rests_in: Symbol | None = None
    ) -> None:
        """Remember since when an order is there; and in which pair it rests, if it does."""
        if rests_in is not None:
            self._resting[client_order_id] = rests_in
        self._placed[client_order_id] = at
        self._placed.move_to_end(client_order_id)
        if len(self._placed) > _REMEMBERED:
            self._placed.popitem(last=False)

    def rest(self, symbol: Symbol | None = None) -> None:
        """Kraken has counted more than we have: let that counter run down for a while."""
        (self._rest if symbol is None else self._pair(symbol)).rest(_LOCKOUT)

    def has_ended(self, client_order_id: str) -> None:
        """Nothing is left of an order to take back."""
        self._resting.pop(client_order_id, None)

    def _taking_back(self, symbol: Symbol) -> float:
        """What it would cost to cancel now whatever of ours rests in a pair."""
        costs = {
            name: _penalty(_CANCELLING, self._age(name))
            for name, pair in self._resting.items()
            if pair == symbol
        }
        for name, cost in costs.items():
            if not cost:
                del self._resting[name]
        return sum(costs.values())

    def _pair(self, symbol: Symbol) -> RateBudget:
        if symbol not in self._trading:
            self._trading[symbol] = RateBudget(
                self._clock, capacity=self._most, per_second=self._decay
            )
        return self._trading[symbol]

    def _age(self, client_order_id: str) -> timedelta:
        placed = self._placed.get(client_order_id)
        return timedelta(0) if placed is None else self._clock.now() - placed


def _weight(method: str) -> float:
    return _HISTORY if method in _HISTORIES else _LIGHT


def _lowered(most: float, decay: float) -> float:
    """A little less than Kraken's, which begins to decay a little later than ours."""
    return most - decay * _ON_ITS_WAY


def _penalty(table: tuple[tuple[int, float], ...], age: timedelta) -> float:
    seconds = age.total_seconds()
    return next((points for until, points in table if seconds < until), 0.0)
