"""What is kept of the market, in memory: for replays, and for tests."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from data.bar import Bar, Resampler, Timeframe
from data.funding import FundingRate
from data.instrument import Quantity, Symbol
from data.news import NewsItem
from data.order_book import OrderBook
from data.trade import Trade, missing_ids


class MemoryBarStore:
    """Bars as long as the process lives."""

    def __init__(self) -> None:
        self._put: defaultdict[tuple[Symbol, Timeframe], dict[datetime, Bar]] = defaultdict(dict)
        self._series: defaultdict[Symbol, dict[Timeframe, list[Bar]]] = defaultdict(dict)

    async def put(self, bars: Sequence[Bar]) -> None:
        """Keep `bars`; a bar of the same symbol, timeframe and close is replaced."""
        await self.put_many(bars)

    async def put_many(self, bars: Iterable[Bar]) -> int:
        """Keep any number of `bars`, and return it."""
        given = list(bars)
        for bar in given:
            self._put[bar.symbol, bar.timeframe][bar.closed_at] = bar
            self._series.pop(bar.symbol, None)
        return len(given)

    async def last(
        self, symbol: Symbol, timeframe: Timeframe, count: int, *, until: datetime | None = None
    ) -> list[Bar]:
        """The newest `count` bars closed at or before `until`, oldest first."""
        series = self._series_of(symbol, timeframe)
        stop = len(series) if until is None else bisect_right(series, until, key=_close)
        return series[max(0, stop - count) : stop]

    def _series_of(self, symbol: Symbol, timeframe: Timeframe) -> list[Bar]:
        """What was put, and what one-minute bars make; sorted once, until the next put."""
        known = self._series[symbol]
        if timeframe not in known:
            bars = dict(self._put.get((symbol, timeframe), {}))
            if timeframe is not Timeframe.M1:
                resampler = Resampler(timeframe)
                minutes = self._series_of(symbol, Timeframe.M1)
                made = {bar.closed_at: bar for part in minutes for bar in resampler.add(part)}
                bars = made | bars
            known[timeframe] = sorted(bars.values(), key=_close)
        return known[timeframe]


def _close(bar: Bar) -> datetime:
    return bar.closed_at


class MemoryTradeStore:
    """Trades as long as the process lives."""

    def __init__(self) -> None:
        self._trades: defaultdict[Symbol, dict[tuple[datetime, int], Trade]] = defaultdict(dict)

    async def put(self, trades: Sequence[Trade]) -> None:
        """Keep `trades`; one with the same symbol, id and time is replaced."""
        await self.put_many(trades)

    async def put_many(self, trades: Iterable[Trade]) -> int:
        """Keep any number of `trades`, and return it."""
        given = list(trades)
        for trade in given:
            self._trades[trade.symbol][trade.traded_at, trade.trade_id] = trade
        return len(given)

    async def between(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> AsyncIterator[Trade]:
        """The trades in [since, until) by time, then id."""
        for trade in self._chosen(symbol, since, until):
            yield trade

    async def newest(self, symbol: Symbol) -> Trade | None:
        """The last trade by time, then id."""
        trades = self._trades[symbol]
        return trades[max(trades)] if trades else None

    async def volumes(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> dict[datetime, Quantity]:
        """What was traded in [since, until) by the minutes' opens."""
        volumes: defaultdict[datetime, Decimal] = defaultdict(Decimal)
        for trade in self._chosen(symbol, since, until):
            volumes[trade.traded_at.replace(second=0, microsecond=0)] += trade.quantity
        return {minute: Quantity(volume) for minute, volume in volumes.items()}

    async def missing_ids(
        self, symbol: Symbol, since: datetime, until: datetime
    ) -> list[tuple[int, int]]:
        """Ranges of ids that stand between trades kept in [since, until), and are not kept."""
        return missing_ids(trade.trade_id for trade in self._chosen(symbol, since, until))

    def _chosen(self, symbol: Symbol, since: datetime, until: datetime) -> list[Trade]:
        trades = self._trades[symbol]
        return [trades[key] for key in sorted(trades) if since <= key[0] < until]


class _Dated(Protocol):
    @property
    def symbol(self) -> Symbol: ...
    @property
    def at(self) -> datetime: ...


D = TypeVar("D", bound=_Dated)


class _MemoryByTime(dict[tuple[Symbol, datetime], D]):
    """Items by symbol and time; one with the same key is replaced."""

    async def put(self, items: Sequence[D]) -> None:
        self.update({(item.symbol, item.at): item for item in items})

    async def last(self, symbol: Symbol, count: int, *, until: datetime | None = None) -> list[D]:
        """The newest `count` at or before `until`, oldest first."""
        times = sorted(at for kept, at in self if kept == symbol)
        stop = len(times) if until is None else bisect_right(times, until)
        return [self[symbol, at] for at in times[max(0, stop - count) : stop]]


class MemoryBookStore(_MemoryByTime[OrderBook]):
    """Snapshots of order books as long as the process lives."""


class MemoryFundingStore(_MemoryByTime[FundingRate]):
    """Funding rates as long as the process lives."""


class MemoryNewsStore:
    """Headlines as long as the process lives."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str, str], NewsItem] = {}

    async def put(self, items: Sequence[NewsItem]) -> None:
        """Keep `items`; what was seen before stays what it was."""
        for item in items:
            self._items.setdefault(item.key, item)

    async def known(self, *, since: datetime, until: datetime) -> list[NewsItem]:
        """What became known in [since, until], by that time, then by its key."""
        chosen = [item for item in self._items.values() if since <= item.known_at <= until]
        return sorted(chosen, key=lambda item: (item.known_at, item.key))
