"""The port through which the market comes in."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from data.bar import Bar, Timeframe
from data.funding import FundingRate
from data.instrument import Symbol
from data.order_book import OrderBook
from data.trade import Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedInterrupted:
    """Bars of a symbol are missing between `since` and `until`, and why; a fact, not an error."""

    symbol: Symbol
    timeframe: Timeframe
    since: datetime  # close of the last good bar
    until: datetime | None  # close of the first bar after the gap; None while it lasts
    reason: str


MarketEvent = Bar | Trade | OrderBook | FundingRate | FeedInterrupted


class MarketFeed(Protocol):
    """Market facts in order of exchange time by symbol and kind; ends where the market does.

    Of a live feed only the bars are sure to be whole: what a late consumer has not fetched of
    books is replaced by the newest, and trades that were lost on the wire are made good in bars.
    """

    def events(self) -> AsyncGenerator[MarketEvent, None]: ...
