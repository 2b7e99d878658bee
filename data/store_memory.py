"""Bars kept in memory: for replays, and for tests."""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from data.bar import Bar, Timeframe
from data.instrument import Symbol


class MemoryBarStore:
    """Bars as long as the process lives."""

    def __init__(self) -> None:
        self._closes: defaultdict[tuple[Symbol, Timeframe], list[datetime]] = defaultdict(list)
        self._bars: dict[tuple[Symbol, Timeframe, datetime], Bar] = {}

    async def put(self, bars: Sequence[Bar]) -> None:
        """Keep `bars`; a bar of the same symbol, timeframe and close is replaced."""
        for bar in bars:
            key = (bar.symbol, bar.timeframe, bar.closed_at)
            if key not in self._bars:
                insort(self._closes[bar.symbol, bar.timeframe], bar.closed_at)
            self._bars[key] = bar

    async def last(
        self, symbol: Symbol, timeframe: Timeframe, count: int, *, until: datetime | None = None
    ) -> list[Bar]:
        """The newest `count` bars closed at or before `until`, oldest first."""
        closes = self._closes.get((symbol, timeframe), [])
        stop = len(closes) if until is None else bisect_right(closes, until)
        chosen = closes[max(0, stop - count) : stop]
        return [self._bars[symbol, timeframe, closed_at] for closed_at in chosen]
