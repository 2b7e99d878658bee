"""What a live feed has to tell and nobody has fetched yet: bounded, and never in the way."""

import asyncio
from collections import deque
from typing import TypeAlias

from data.bar import Bar
from data.feed import FeedInterrupted, MarketEvent
from data.funding import FundingRate
from data.instrument import Symbol
from data.order_book import OrderBook
from data.trade import Trade

_Passing: TypeAlias = OrderBook | FundingRate
_Key: TypeAlias = tuple[type[_Passing], Symbol]


class Outbox:
    """Bars, trades and interruptions wait for room; of books and funding rates the newest is kept.

    All are fetched in the order in which they came; a newer book takes its forerunner's place.
    """

    def __init__(self, capacity: int) -> None:
        self.replaced = 0  # books and funding rates that nobody fetched in time
        self._capacity = capacity
        self._waiting: deque[Bar | Trade | FeedInterrupted | _Key] = deque()
        self._newest: dict[_Key, _Passing] = {}
        self._lasting = 0  # bars, trades and interruptions among those that wait
        self._failure: BaseException | None = None
        self._filled = asyncio.Event()
        self._freed = asyncio.Event()
        self._asked = asyncio.Event()  # the consumer is done with what it fetched

    def __len__(self) -> int:
        return len(self._waiting)

    async def tell(self, event: Bar | Trade | FeedInterrupted) -> None:
        """Queue `event`, once there is room."""
        while self._lasting >= self._capacity:
            self._freed.clear()
            await self._freed.wait()
        self._lasting += 1
        self._waiting.append(event)
        self._filled.set()

    def show(self, event: _Passing) -> None:
        """Queue `event`, or put it in place of one of its kind and symbol that still waits."""
        key: _Key = (type(event), event.symbol)
        if key in self._newest:
            self.replaced += 1
        else:
            self._waiting.append(key)
            self._filled.set()
        self._newest[key] = event

    def replace(self, bar: Bar) -> bool:
        """Put `bar` in place of the one of its symbol and close; False if that was fetched."""
        for place, item in enumerate(self._waiting):
            if isinstance(item, Bar) and (item.symbol, item.closed_at) == (
                bar.symbol,
                bar.closed_at,
            ):
                self._waiting[place] = bar
                return True
        return False

    async def dealt_with(self) -> None:
        """Return once the consumer asks for more: what it fetched before is dealt with."""
        await self._asked.wait()

    def fail(self, failure: BaseException) -> None:
        """Let whoever fetches next have this error: nothing more will be told."""
        self._failure = failure
        self._filled.set()

    async def get(self) -> MarketEvent:
        """The next event, when there is one; an error goes before everything that waits."""
        self._asked.set()
        while not self._waiting or self._failure is not None:
            if self._failure is not None:
                raise self._failure
            self._filled.clear()
            await self._filled.wait()
        self._asked.clear()
        item = self._waiting.popleft()
        if isinstance(item, tuple):
            return self._newest.pop(item)
        self._lasting -= 1
        self._freed.set()
        return item
