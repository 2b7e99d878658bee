"""A venue's past trades, page by page, as the whole minutes that they make."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime

from data.bar import Bar, Timeframe
from data.collect.missing import MINUTE, Span, minute_of
from data.feeds.source import Cursor
from data.instrument import Price, Symbol
from data.trade import Trade
from data.trade_bars import TradeBars


class TradePages:
    """The trades of a span, page by page, from a little before it where the venue goes back so far.

    `first` and `price_before` are of what has come so far: the time of the first trade, and the
    price of the last one before the span.
    """

    def __init__(
        self,
        ask: Callable[[Cursor], Awaitable[tuple[Sequence[Trade], Cursor]]],
        start: Cursor,
        span: Span,
    ) -> None:
        self.first: datetime | None = None
        self.price_before: Price | None = None
        self._ask = ask
        self._cursor = start
        self._span = span

    @property
    def begin(self) -> datetime:
        """From where on every trade is known: a trade before the span shows that it is the span's.

        Else nobody knows what there was before the first trade, nor in its minute.
        """
        if self.first is None:
            return self._span.until
        return self._span.since if self.first < self._span.since else self._after(self.first)

    async def settled(self) -> AsyncIterator[tuple[list[Trade], datetime]]:
        """Trades of the span not told before, and the minute before which there are no others.

        The venue's end is the end of the span: it is over. Without any trade, nothing is told.
        """
        known: set[int] = set()
        waiting: list[Trade] = []
        settled = newest = self._span.since
        while settled < self._span.until:
            page, following = await self._ask(self._cursor)
            fresh = [trade for trade in page if trade.trade_id not in known]
            is_end = following == self._cursor and not fresh
            if is_end and self.first is None:
                return
            waiting += self._within(fresh)
            newest = max([newest, *(trade.traded_at for trade in fresh)])
            self._cursor, known = following, {trade.trade_id for trade in page}
            until = self._span.until if is_end else min(minute_of(newest), self._span.until)
            if until > settled:
                settled = until
                yield [t for t in waiting if t.traded_at < settled], settled
                waiting = [t for t in waiting if t.traded_at >= settled]

    def _within(self, fresh: Sequence[Trade]) -> list[Trade]:
        for trade in fresh:
            self.first = self.first or trade.traded_at
            if trade.traded_at < self._span.since:
                self.price_before = trade.price
        return [t for t in fresh if self._span.since <= t.traded_at < self._span.until]

    @staticmethod
    def _after(at: datetime) -> datetime:
        return minute_of(at) + MINUTE


class MinutesOf:
    """The bars of a span, from trades that come batch by batch."""

    def __init__(self, symbol: Symbol, span: Span, *, begin: datetime, close: Price | None) -> None:
        self.done = span.since  # all before is closed
        self._builder = TradeBars(symbol, Timeframe.M1, since=begin, close_before=close)

    def bars(self, trades: Sequence[Trade], settled: datetime) -> list[Bar]:
        """The bars from `done` to `settled`, whose `trades` are these, each at least once."""
        unique = {trade.trade_id: trade for trade in trades}
        in_order = sorted(unique.values(), key=lambda trade: (trade.traded_at, trade.trade_id))
        made = [bar for trade in in_order for bar in self._builder.add(trade)]
        self.done = settled
        return [*made, *self._builder.close_until(settled)]
