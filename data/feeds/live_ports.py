"""Who a live feed talks to beside its consumer, and what it says of one symbol's bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from data.bar import Bar
from data.instrument import Symbol
from data.trade import Trade


class TradeSink(Protocol):
    """Who wants every trade, once each, in order: a collector."""

    def take(self, trades: Sequence[Trade]) -> bool:
        """Take all of them, or none and say False where there is no room; wait for nothing."""
        ...


class BarCorrections(Protocol):
    """Where bars go that were told, and then turned out otherwise: a store of bars."""

    async def put(self, bars: Sequence[Bar]) -> None:
        """Keep `bars` in place of those that were told."""
        ...


class FeedWatcher(Protocol):
    """Who judges whether the market's data is fit to decide on."""

    def book_broken(self, symbol: Symbol, *, now: datetime) -> None:
        """A book of ours was not the venue's."""
        ...

    def missing_trades(self, symbol: Symbol, count: int, *, now: datetime) -> None:
        """So many trades are missing now; 0 says that they are made good, or replaced."""
        ...

    def clock_skew(self, ahead: timedelta, *, now: datetime) -> None:
        """The venue's clock is so much ahead of ours."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LineHealth:
    """What became of one symbol's trades and bars since the start."""

    symbol: Symbol
    trades: int  # taken, each once
    repeated: int  # told again by the venue, and left out
    repaired: int  # of those taken, how many the history had to give
    lost: int  # missing in the history, too
    late: int  # came after the bar that they belong to
    misdated: int  # from the future, and left out
    bars: int  # told
    replaced: int  # told as the venue's own bars, for trades were missing
    corrected: int  # bars made anew for late trades, in the outbox or in the store
    undelivered: int  # trades that the sink had no room for
    newest: datetime | None  # close of the newest bar told
    is_interrupted: bool


class VenueClock(Protocol):
    """The venue's time, as far as it is known."""

    def now(self) -> datetime: ...

    async def measure(self) -> timedelta:
        """Compare it with ours: it is so much ahead.

        Raises:
            SourceUnavailable: the venue cannot be asked now.
        """
        ...
