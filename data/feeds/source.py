"""The port to one venue's public data, live and past: what every adapter offers alike (S1-17).

An adapter translates and asks; it does not judge, wait or retry. Watching for silence, asking
again, repairing and building bars are `data.feeds.live`'s; filling history is the collectors'.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from data.bar import Bar, Timeframe
from data.faults import Refused, Transient
from data.funding import FundingRate
from data.instrument import Instrument, Symbol
from data.order_book import OrderBook
from data.trade import Trade


class SourceUnavailable(Transient):
    """The venue cannot be reached, is busy, or answers nothing that can be read; ask again."""


class RateLimited(SourceUnavailable):
    """The venue asks for patience; `retry_after` is what it named, if it did."""

    def __init__(self, text: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class BookBroken(SourceUnavailable):
    """A checksum or a sequence number says that our book is not the venue's; subscribe anew."""


class SourceRefused(Refused):
    """The venue says no: an unknown symbol, a banned address, an offer it does not make."""


class Channel(StrEnum):
    """What can be subscribed to."""

    TRADES = "trades"
    BOOK = "book"
    FUNDING = "funding"  # with the mark price


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is true of a venue."""

    exchange: str  # its name in the store: kraken, binanceusdm, hyperliquid
    consecutive_ids: bool  # each trade's id is the one before it plus one
    trades_by_id: bool  # past trades can be asked for by id, not only by time
    has_funding: bool
    page: int  # most trades in one answer
    bars_kept: int  # how many past bars of each size the venue gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page of past trades begins: at this time or, where a venue knows ids, at this id."""

    since: datetime
    trade_id: int | None = None


class MarketSource(Protocol):
    """One venue; `tests/contract/test_market_source.py` holds for every one.

    Streams are endless and tell everything that was received, in order, once; they end only by an
    error. Each subscription is its own: one that fails or is closed leaves the others alone.
    """

    traits: Traits

    async def instruments(self, symbols: Sequence[Symbol]) -> dict[Symbol, Instrument]:
        """Tick, lot and minima as the venue says.

        Raises:
            SourceUnavailable: ask again.
            SourceRefused: it does not trade one of them.
        """
        ...

    def trades(self, symbol: Symbol) -> AsyncIterator[Sequence[Trade]]:
        """New trades as they come, each batch as it was received.

        Raises:
            SourceUnavailable: the subscription is gone; iterate anew to subscribe again.
            SourceRefused: there is no such market.
        """
        ...

    def books(self, symbol: Symbol, depth: int) -> AsyncIterator[OrderBook]:
        """The book after each change, the best `depth` levels of each side.

        Raises:
            BookBroken: it cannot be trusted any more.
            SourceUnavailable, SourceRefused: as for trades.
        """
        ...

    def funding(self, symbol: Symbol) -> AsyncIterator[FundingRate]:
        """The rate as it stands, at each message; only where `traits.has_funding`."""
        ...

    async def past_trades(self, symbol: Symbol, cursor: Cursor) -> tuple[Sequence[Trade], Cursor]:
        """One page from `cursor` on, oldest first, and where the next begins; may overlap it.

        A page that is empty, with the cursor it was asked with, is the end.
        """
        ...

    async def past_bars(
        self, symbol: Symbol, timeframe: Timeframe, since: datetime
    ) -> Sequence[Bar]:
        """Closed bars that opened at or after `since`, oldest first, as many as one answer has."""
        ...

    async def past_funding(self, symbol: Symbol, since: datetime) -> Sequence[FundingRate]:
        """Settled rates paid at or after `since`, oldest first, as many as one answer has."""
        ...

    async def server_time(self) -> datetime:
        """The venue's clock."""
        ...

    async def reconnect(self) -> None:
        """Drop every connection; streams then raise `SourceUnavailable`."""
        ...

    async def close(self) -> None:
        """Let go of everything; the source is not used again."""
        ...
