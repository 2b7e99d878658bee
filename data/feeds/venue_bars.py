"""A venue's own bars, where ours cannot be made of trades."""

from datetime import datetime

from data.bar import Bar, Timeframe
from data.feeds.source import MarketSource
from data.instrument import Symbol


class VenueBars:
    """The venue's own bars, a page at a time."""

    def __init__(self, source: MarketSource, symbol: Symbol, timeframe: Timeframe) -> None:
        self._source = source
        self._symbol = symbol
        self._timeframe = timeframe
        self._bars: dict[datetime, Bar] = {}
        self._since: datetime | None = None  # close of the first bar that was asked for
        self._until: datetime | None = None  # close of the last that came

    def is_past(self, closed_at: datetime) -> bool:
        """Whether the page goes on after that bar: if it is not in it, it is nowhere."""
        since, until = self._since, self._until
        return since is not None and until is not None and since <= closed_at <= until

    async def closed_at(self, closed_at: datetime) -> Bar | None:
        """The bar that closed then, or None if the venue's answer does not have it.

        Raises:
            SourceUnavailable, SourceRefused: as the source does.
        """
        if not self.is_past(closed_at):
            opened = closed_at - self._timeframe.delta
            page = await self._source.past_bars(self._symbol, self._timeframe, opened)
            self._bars = {bar.closed_at: bar for bar in page}
            self._since, self._until = closed_at, max(self._bars, default=None)
        return self._bars.get(closed_at)
