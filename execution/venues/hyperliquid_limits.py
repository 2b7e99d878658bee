"""What Hyperliquid lets an IP address ask, and an account do: both spent before sending.

An address has 10,000 actions for its lifetime, and one more for each USDC that it trades; cancels
may go on for longer; who has none left gets one each ten seconds.

Source: Hyperliquid, API, "Rate limits and user limits".
"""

from datetime import datetime, timedelta
from typing import Final

from data.clock import Clock
from data.feeds.rate_budget import RateBudget
from execution.venue import VenueUnavailable

IP_CAPACITY: Final = 1_200.0
IP_PER_SECOND: Final = 20.0

_ACTION: Final = 1.0
_LIGHT, _USUAL, _ROLE = 2.0, 20.0, 60.0
_LIGHT_QUESTIONS: Final = frozenset(
    {"allMids", "clearinghouseState", "exchangeStatus", "l2Book", "orderStatus"}
)
_LISTS: Final = frozenset({"historicalOrders", "userFills", "userFillsByTime", "userFunding"})
_ROWS_A_WEIGHT: Final = 20
_MORE_CANCELS: Final = 100_000
_TRICKLE: Final = 0.1  # actions a second that are always let through
_TRUSTED: Final = timedelta(hours=1)  # how long our own count stands for the venue's
_ASKED_AGAIN: Final = timedelta(minutes=1)  # when it says that little is left: trading adds to it
_LOCKOUT: Final = timedelta(seconds=10)


class HyperliquidLimits:
    """The budgets of one IP address, shared with whoever else asks from it, and of one account.

    Orders that only reduce, and cancels, wait for room. New exposure is turned away instead, and
    leaves `reserve` actions to those.
    """

    def __init__(self, clock: Clock, ip: RateBudget, *, reserve: int) -> None:
        if reserve < 0:
            raise ValueError(f"a reserve is a number of actions, not {reserve}")
        self._clock = clock
        self._ip = ip
        self._reserve = reserve
        self._used = 0
        self._most = 0
        self._learned_at: datetime | None = None
        self._trickle = RateBudget(clock, capacity=1.0, per_second=_TRICKLE)

    @property
    def left(self) -> int:
        """Actions that the account has left, in our reckoning; cancels have more."""
        return self._most - self._used

    @property
    def is_unsure(self) -> bool:
        """Whether the venue should be asked anew what is left."""
        if self._learned_at is None:
            return True
        age = self._clock.now() - self._learned_at
        return age >= (_TRUSTED if self.left > self._reserve else _ASKED_AGAIN)

    def learn(self, *, used: int, most: int) -> None:
        """Take in what the venue says of the account's actions."""
        self._used, self._most = used, most
        self._learned_at = self._clock.now()

    async def ask(self, kind: str) -> None:
        """Return once a question of that kind may be asked."""
        if kind == "userRole":
            await self._ip.spend(_ROLE)
        else:
            await self._ip.spend(_LIGHT if kind in _LIGHT_QUESTIONS else _USUAL)

    async def heard(self, kind: str, answer: object) -> None:
        """Pay for the rows of an answer, which are known afterwards only."""
        if kind in _LISTS and isinstance(answer, list) and len(answer) >= _ROWS_A_WEIGHT:
            await self._ip.spend(len(answer) // _ROWS_A_WEIGHT)

    async def place(self, *, reduces: bool) -> None:
        """Return once an order may be placed.

        Raises:
            VenueUnavailable: it adds exposure, and what is left is for those that do not.
        """
        if not reduces and self.left <= self._reserve:
            raise VenueUnavailable(f"hyperliquid: {self.left} actions left; none was sent")
        await self._act(self._most)

    async def change(self) -> None:
        """Return once something else may be done: a setting, or the dead man's switch."""
        await self._act(self._most)

    async def cancel(self) -> None:
        """Return once an order may be cancelled."""
        await self._act(min(self._most + _MORE_CANCELS, self._most * 2))

    def rest(self, delay: timedelta | None = None) -> None:
        """Hyperliquid has counted more than we have: wait, and ask it for its count."""
        self._ip.rest(delay or _LOCKOUT)
        self._learned_at = None

    async def _act(self, most: int) -> None:
        self._used += 1
        if self._used > most:
            await self._trickle.spend()
        await self._ip.spend(_ACTION)
