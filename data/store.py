"""The ports to what is kept of the market: each holds one exchange's data.

`put` keeps all of what it is given or nothing; what has the same key is replaced, so that to put
again is right after any failure. Every method raises `StoreUnavailable` while the store is away.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from data.bar import Bar, Timeframe
from data.faults import Transient
from data.funding import FundingRate
from data.instrument import Quantity, Symbol
from data.news import NewsItem
from data.order_book import OrderBook
from data.trade import Trade


class StoreUnavailable(Transient):
    """The store cannot be reached now; nothing was written."""


class BarStore(Protocol):
    """Bars by symbol and timeframe; `tests/contract/test_bar_store.py` holds for every one."""

    async def put(self, bars: Sequence[Bar]) -> None:
        """Keep `bars`, all or none; a bar of the same symbol, timeframe and close is replaced.

        Raises:
            StoreUnavailable: nothing was kept; safe to retry.
        """
        ...

    async def last(
        self, symbol: Symbol, timeframe: Timeframe, count: int, *, until: datetime | None = None
    ) -> list[Bar]:
        """The newest `count` bars closed at or before `until`, oldest first.

        Raises:
            StoreUnavailable: the store cannot be reached now.
        """
        ...


class TradeStore(Protocol):
    """Trades by symbol and id."""

    async def put(self, trades: Sequence[Trade]) -> None:
        """Keep `trades`; one with the same symbol, id and time is replaced."""
        ...

    def between(self, symbol: Symbol, since: datetime, until: datetime) -> AsyncIterator[Trade]:
        """The trades in [since, until) by time, then id; memory stays flat."""
        ...

    async def newest(self, symbol: Symbol) -> Trade | None:
        """The last trade by time, then id."""
        ...

    async def volumes(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> dict[datetime, Quantity]:
        """What was traded in [since, until) by the minutes' opens; those without a trade are not
        in it.
        """
        ...

    async def missing_ids(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> list[tuple[int, int]]:
        """Ranges of ids, both ends included, that stand between kept trades and are not kept.

        Right only for a venue whose ids are consecutive.
        """
        ...


class BookStore(Protocol):
    """Snapshots of order books by symbol and time."""

    async def put(self, books: Sequence[OrderBook]) -> None: ...

    async def last(
        self, symbol: Symbol, count: int, *, until: datetime | None = None
    ) -> list[OrderBook]:
        """The newest `count` snapshots at or before `until`, oldest first."""
        ...


class FundingStore(Protocol):
    """Settled funding rates by symbol and time."""

    async def put(self, rates: Sequence[FundingRate]) -> None: ...

    async def last(
        self, symbol: Symbol, count: int, *, until: datetime | None = None
    ) -> list[FundingRate]:
        """The newest `count` rates paid at or before `until`, oldest first."""
        ...


class NewsStore(Protocol):
    """Headlines, once by source, URL and title; `first_seen_at` stays what it was at first."""

    async def put(self, items: Sequence[NewsItem]) -> None: ...

    async def known(self, *, since: datetime, until: datetime) -> list[NewsItem]:
        """What became known in [since, until], by that time."""
        ...
