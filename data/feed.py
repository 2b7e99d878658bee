"""The port through which the market comes in."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from data.bar import Bar, Timeframe
from data.instrument import Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedInterrupted:
    """Bars of a symbol are missing between `since` and `until`, and why; a fact, not an error."""

    symbol: Symbol
    timeframe: Timeframe
    since: datetime  # close of the last good bar
    until: datetime  # close of the first bar after the gap
    reason: str


MarketEvent = Bar | FeedInterrupted


class MarketFeed(Protocol):
    """Market facts in order of exchange time; ends where the market does (recorded data)."""

    def events(self) -> AsyncIterator[MarketEvent]: ...
