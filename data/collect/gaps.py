"""Fills what is missing of a symbol's history: trades first, and exact bars out of them.

The store is its own progress: what is kept is no gap, and every write leaves either the gap or its
cure to be seen, so that a run may be killed anywhere and the next one goes on there. A minute that
has no bar gets its trades first and its bar after them. A bar whose trades have a hole is made
anew before the hole is filled. Bars are always made of all trades that the store and the venue
know, by id: what stands on two pages counts once.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from data.bar import Bar, Timeframe
from data.clock import Clock
from data.collect.missing import (
    MINUTE,
    Hole,
    Span,
    find_holes,
    hull,
    joined,
    minute_of,
    missing_minutes,
    poorer_minutes,
)
from data.collect.pages import MinutesOf, TradePages
from data.collect.patience import Patience
from data.feeds.source import Cursor, MarketSource, SourceRefused
from data.instrument import Price, Symbol
from data.store import BarStore, TradeStore
from data.trade import Trade

T = TypeVar("T")
SETTLED: Final = timedelta(seconds=10)  # a minute is asked for when it is over for so long
_LOOK_BACK: Final = 1_440  # bars before a gap, in which the last trade before it is looked for
_AT_ONCE: Final = timedelta(hours=1)  # of kept trades, in memory
_RUN_UP: Final = timedelta(minutes=10)  # where none is: from so long before them on we ask


class Means(StrEnum):
    """What a gap is filled with."""

    TRADES = "trades"  # and with the venue's bars where trades cannot be had
    BARS = "bars"  # the venue's only: a bar has no trades behind it, and years come quickly


class Progress(Protocol):
    """Who is told how far it has come."""

    def expect(self, symbol: Symbol, minutes: int) -> None:
        """So many more minutes are to be looked after."""
        ...

    def advance(self, minutes: int) -> None:
        """So many more of them are."""
        ...


class Silence:
    """Nobody is told."""

    def expect(self, symbol: Symbol, minutes: int) -> None: ...

    def advance(self, minutes: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FillReport:
    """What was missing of a symbol in [since, until), and what came of it."""

    symbol: Symbol
    since: datetime
    until: datetime
    gaps: int  # stretches of minutes without a bar
    minutes: int  # in them
    holes: int  # stretches of ids without a trade, inside minutes that had their bars
    ids: int  # in them
    poorer: int  # minutes whose bar had less volume than their trades that were kept
    trades: int  # fetched and kept
    bars_from_trades: int
    bars_from_venue: int
    questions: int  # put to the venue, those asked again included
    left: tuple[Span, ...]  # minutes that nobody could tell about
    ids_left: int

    @property
    def changed(self) -> bool:
        return bool(self.trades or self.bars_from_trades or self.bars_from_venue)


async def fill_gaps(
    source: MarketSource,
    trades: TradeStore,
    bars: BarStore,
    symbol: Symbol,
    *,
    since: datetime,
    until: datetime,
    clock: Clock,
    progress: Progress | None = None,
    means: Means = Means.TRADES,
    patience: Patience | None = None,
) -> FillReport:
    """Make the minutes in [since, until) whole, as far as the venue can tell, and say what is left.

    The range is cut to whole minutes that are over for `SETTLED`. What is whole is not touched.

    Raises:
        SourceUnavailable, StoreUnavailable: the last of many tries; run it again later.
        SourceRefused: the venue does not know the symbol.
    """
    filling = _Filling(
        source,
        trades,
        bars,
        symbol,
        Span(since=minute_of(since), until=minute_of(min(until, clock.now() - SETTLED))),
        clock=clock,
        progress=progress or Silence(),
        patience=patience or Patience(clock=clock),
    )
    return await filling.run(means)


class _Filling:
    """One run over one symbol."""

    def __init__(
        self,
        source: MarketSource,
        trades: TradeStore,
        bars: BarStore,
        symbol: Symbol,
        span: Span,
        *,
        clock: Clock,
        progress: Progress,
        patience: Patience,
    ) -> None:
        self._source = source
        self._trades = trades
        self._bars = bars
        self._symbol = symbol
        self._range = span
        self._clock = clock
        self._progress = progress
        self._patience = patience
        self._refused = False  # some trades
        self._questions = 0
        self._trades_put = 0
        self._bars_made = 0
        self._bars_given = 0

    async def run(self, means: Means) -> FillReport:
        """Ids first: a bar may be wrong far behind a lost trade, and only the hole tells.

        Then minutes, and ids again: what was fetched may show holes of its own. Then the bars that
        know of less than their trades do.
        """
        by_id = means is Means.TRADES and self._source.traits.consecutive_ids
        spans = await self._missing(self._range)
        holes = await self._fill_holes() if by_id else []
        await self._fill_spans(await self._missing(self._range) if spans else (), means)
        if by_id:
            again = await self._fill_holes()
            holes = sorted({*holes, *again}, key=lambda hole: hole.first)
        poorer = await self._fill_poorer() if means is Means.TRADES else 0
        left = await self._holes() if holes else []
        await self._mend_from_bars(left)
        return FillReport(
            symbol=self._symbol,
            since=self._range.since,
            until=self._range.until,
            gaps=len(spans),
            minutes=sum(span.minutes for span in spans),
            holes=len(holes),
            ids=sum(hole.ids for hole in holes),
            poorer=poorer,
            trades=self._trades_put,
            bars_from_trades=self._bars_made,
            bars_from_venue=self._bars_given,
            questions=self._questions,
            left=tuple(await self._missing(self._range)) if spans else (),
            ids_left=sum(hole.ids for hole in left),
        )

    async def _fill_spans(self, spans: Sequence[Span], means: Means) -> None:
        self._progress.expect(self._symbol, sum(span.minutes for span in spans))
        for span in spans:
            told = await self._fill_from_trades(span) if means is Means.TRADES else 0
            await self._fill_from_bars(span)
            self._progress.advance(span.minutes - told)

    async def _fill_from_trades(self, span: Span) -> int:
        """Minutes without bars: their trades, then bars out of them, page by page.

        Returns:
            How many minutes of progress were told.
        """
        before = await self._bars_until(span.since, _LOOK_BACK)
        close = before[-1].close if before and before[-1].closed_at == span.since else None
        pages = TradePages(self._ask_trades, Cursor(since=_traded_before(span, before)), span)
        stretch: MinutesOf | None = None
        async for ready, settled in pages.settled():
            stretch = stretch or self._begun(span, pages, close)
            kept = await self._kept(stretch.done, settled)
            await self._put_trades(ready, kept)
            told = (settled - stretch.done) // MINUTE
            self._bars_made += await self._put_bars(stretch.bars([*kept, *ready], settled))
            self._progress.advance(told)
        return 0 if stretch is None else (stretch.done - span.since) // MINUTE

    def _begun(self, span: Span, pages: TradePages, close: Price | None) -> MinutesOf:
        reaches_back = pages.begin == span.since
        before = pages.price_before or close if reaches_back else None
        return MinutesOf(self._symbol, span, begin=pages.begin, close=before)

    async def _fill_holes(self) -> list[Hole]:
        """Every hole that there was."""
        holes = await self._holes()
        groups = joined(holes)
        self._progress.expect(self._symbol, sum(hull(group).minutes for group in groups))
        for group in groups:
            told = await self._fill_hole(hull(group), group[0].first)
            self._progress.advance(hull(group).minutes - told)
        return holes

    async def _fill_poorer(self) -> int:
        """How many bars knew of less than the trades that are kept; they are made anew."""
        spans = await self._patience.ask(
            lambda: poorer_minutes(
                self._bars, self._trades, self._symbol, self._range.since, self._range.until
            )
        )
        minutes = sum(span.minutes for span in spans)
        self._progress.expect(self._symbol, minutes)
        for span in spans:
            await self._make_anew(span)
        return minutes

    async def _make_anew(self, span: Span) -> None:
        """Bars out of the trades that are kept, an hour at a time."""
        close = await self._close_at(span.since)
        stretch = MinutesOf(self._symbol, span, begin=span.since, close=close)
        while stretch.done < span.until:
            since, settled = stretch.done, min(stretch.done + _AT_ONCE, span.until)
            made = stretch.bars(await self._kept(since, settled), settled)
            self._bars_made += await self._put_bars(await self._richer(made))
            self._progress.advance((settled - since) // MINUTE)

    async def _close_at(self, at: datetime) -> Price | None:
        """The price at which the minute before `at` closed, if it is kept."""
        before = await self._bars_until(at, 1)
        return before[-1].close if before and before[-1].closed_at == at else None

    async def _mend_from_bars(self, holes: Sequence[Hole]) -> None:
        """Where the venue has lost trades, its bars may know of them."""
        for hole in holes:
            given = await self._bars_of_venue(hole.span)
            self._bars_given += await self._put_bars(await self._richer(given))

    async def _fill_hole(self, span: Span, first: int) -> int:
        """Minutes with bars and a hole in their trades: the bars made anew, then the trades.

        All that the store has counts, so no bar here knows less than the trades did before.

        Returns:
            How many minutes of progress were told.
        """
        span = Span(since=span.since, until=min(span.until, minute_of(self._clock.now() - SETTLED)))
        by_id = self._source.traits.trades_by_id
        start = Cursor(since=span.since, trade_id=first if by_id else None)
        close = await self._close_at(span.since)
        stretch = MinutesOf(self._symbol, span, begin=span.since, close=close)
        async for ready, settled in TradePages(self._ask_trades, start, span).settled():
            kept = await self._kept(stretch.done, settled)
            told = (settled - stretch.done) // MINUTE
            better = await self._richer(stretch.bars([*kept, *ready], settled))
            self._bars_made += await self._put_bars(better)
            await self._put_trades(ready, kept)
            self._progress.advance(told)
        return (stretch.done - span.since) // MINUTE

    async def _fill_from_bars(self, span: Span) -> None:
        for rest in await self._missing(span):
            self._bars_given += await self._put_bars(await self._bars_of_venue(rest))

    async def _bars_of_venue(self, span: Span) -> list[Bar]:
        """The venue's own bars of `span`, as far back as it keeps them."""
        oldest = minute_of(self._clock.now()) - MINUTE * self._source.traits.bars_kept
        given: list[Bar] = []
        since = max(span.since, oldest)
        while since < span.until:
            page = await self._ask_bars(since)
            wanted = [bar for bar in page if since <= bar.opened_at < span.until]
            if not wanted:
                break
            given += wanted
            since = wanted[-1].closed_at
        return given

    async def _richer(self, bars: Sequence[Bar]) -> list[Bar]:
        """Those that differ from what is kept, and know of no less volume; none new outside."""
        if not bars:
            return []
        count = (bars[-1].closed_at - bars[0].opened_at) // MINUTE
        kept = {bar.closed_at: bar for bar in await self._bars_until(bars[-1].closed_at, count)}
        return [bar for bar in bars if self._is_richer(bar, kept.get(bar.closed_at))]

    def _is_richer(self, bar: Bar, kept: Bar | None) -> bool:
        if kept is None:
            return self._range.since <= bar.opened_at < self._range.until
        return bar.volume >= kept.volume and bar != kept

    async def _ask_trades(self, cursor: Cursor) -> tuple[Sequence[Trade], Cursor]:
        """A page; where trades that old are not offered, the end."""
        try:
            return await self._ask(lambda: self._source.past_trades(self._symbol, cursor))
        except SourceRefused:
            self._refused = True
            return (), cursor

    async def _ask_bars(self, since: datetime) -> Sequence[Bar]:
        """A page of minutes; nothing where only trades are offered.

        Raises:
            SourceRefused: nothing at all is offered for the symbol.
        """
        try:
            return await self._ask(
                lambda: self._source.past_bars(self._symbol, Timeframe.M1, since)
            )
        except SourceRefused:
            if self._refused:
                raise
            return ()

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        def counted() -> Awaitable[T]:
            self._questions += 1
            return call()

        return await self._patience.ask(counted)

    async def _missing(self, span: Span) -> list[Span]:
        return await self._patience.ask(
            lambda: missing_minutes(self._bars, self._symbol, span.since, span.until)
        )

    async def _holes(self) -> list[Hole]:
        since, until = self._range.since, self._range.until
        return await self._patience.ask(
            lambda: find_holes(self._trades, self._symbol, since, until)
        )

    async def _bars_until(self, until: datetime, count: int) -> list[Bar]:
        return await self._patience.ask(
            lambda: self._bars.last(self._symbol, Timeframe.M1, count, until=until)
        )

    async def _kept(self, since: datetime, until: datetime) -> list[Trade]:
        async def read() -> list[Trade]:
            return [trade async for trade in self._trades.between(self._symbol, since, until)]

        return await self._patience.ask(read)

    async def _put_trades(self, trades: Sequence[Trade], kept: Sequence[Trade]) -> None:
        known = {trade.trade_id for trade in kept}
        fresh = [trade for trade in trades if trade.trade_id not in known]
        if fresh:
            await self._patience.ask(lambda: self._trades.put(fresh))
        self._trades_put += len(fresh)

    async def _put_bars(self, bars: Sequence[Bar]) -> int:
        if bars:
            await self._patience.ask(lambda: self._bars.put(bars))
        return len(bars)


def _traded_before(span: Span, before: Sequence[Bar]) -> datetime:
    """From when on the venue surely has a trade before `span`, if the bars `before` it tell."""
    quiet_since = before[0].opened_at if before else span.since
    traded = (bar.opened_at for bar in reversed(before) if bar.volume)
    return next(traded, quiet_since - _RUN_UP)
