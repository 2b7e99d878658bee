"""Is a market's data fit to decide on now, what is wrong with it, and what cures that?

A pure state machine: it is told what came in and when, and asked what is wrong at a time.

| kind           | begins with                         | ends with                             |
| -------------- | ----------------------------------- | ------------------------------------- |
| stale_bars     | the next bar overdue                | a bar on time                         |
| interrupted    | bars missing, or the feed saying so | good bars in a row                    |
| jump, volume   | a bar past the limit                | good bars in a row                    |
| dead           | silent bars in a row                | good bars in a row, each with trades  |
| disagreement   | three pairs that do not fit         | minutes in a row in which they do     |
| missing_trades | ids missing between trades          | being told that none is missing       |
| stale_book     | the newest book too old             | a book young enough                   |
| crossed_book   | a bid at or above an ask            | good books in a row                   |
| thin_book      | a side worth too little             | good books in a row                   |
| broken_book    | a wrong checksum or update id       | good books in a row                   |
| clock_skew     | a measurement past the limit        | one of half the limit or less         |
| reconnects     | too many interruptions in an hour   | the hour; it alone blocks no decision |
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Final

from data.bar import Bar, Timeframe
from data.defect import BookLimits, Defect, DefectKind, WatchLimits
from data.feed import FeedInterrupted
from data.instrument import Symbol
from data.order_book import Level, OrderBook
from data.quality import BarInspector, Flaw, FlawKind, QualityLimits

_HOUR: Final = timedelta(hours=1)
_USUAL_BARS: Final = 60  # bars with trades whose mean volume is the usual one
_OF_FLAW: Final = {
    FlawKind.GAP: DefectKind.INTERRUPTED,
    FlawKind.JUMP: DefectKind.JUMP,
    FlawKind.DEAD: DefectKind.DEAD,
}
_NOT_NEW: Final = (FlawKind.DUPLICATE, FlawKind.OUT_OF_ORDER)
_CURED_BY_BARS: Final = (DefectKind.INTERRUPTED, DefectKind.JUMP, DefectKind.VOLUME)
_CURED_BY_BOOKS: Final = (DefectKind.CROSSED_BOOK, DefectKind.THIN_BOOK, DefectKind.BROKEN_BOOK)


class MarketWatch:
    """The state of one venue's data: of each of `symbols`, bars of one timeframe.

    Where three symbols make a triangle, such as XRP/BTC, XRP/USDT and BTC/USDT, their bars of the
    same close are compared once the last of them has come; all three have the defect, for nobody
    knows which of them is wrong.

    Raises:
        ValueError: `limits` has no depth for the quote currency of a symbol. Every method: the
            symbol, or the timeframe of its bar, is not watched.
    """

    def __init__(
        self,
        symbols: Iterable[Symbol],
        timeframe: Timeframe,
        *,
        quality: QualityLimits,
        limits: WatchLimits,
        started_at: datetime,
    ) -> None:
        self._limits = limits
        self._markets = {
            symbol: _Market(symbol, timeframe, quality, limits, started_at) for symbol in symbols
        }
        self._skewed: tuple[datetime, float] | None = None  # since when, and the last measurement
        for markets in permutations(self._markets.values(), 3):
            if _is_triangle(*(market.symbol for market in markets)):
                triangle = _Triangle(*markets, limits)
                for market in markets:
                    market.triangles += (triangle,)

    def bar(self, bar: Bar, *, now: datetime) -> tuple[Flaw, ...]:
        """Take a closed bar in; its flaws. One that is not newer than the last changes nothing."""
        return self._market(bar.symbol).take_bar(bar, now)

    def book(self, book: OrderBook) -> None:
        """Take a book in.

        Raises:
            ValueError: there are no limits for books.
        """
        self._market(book.symbol).take_book(book)

    def book_broken(self, symbol: Symbol, *, now: datetime) -> None:
        """A checksum or an update id says that our book was not the venue's."""
        self._market(symbol).take_break(now)

    def interrupted(self, gap: FeedInterrupted, *, now: datetime) -> None:
        """The feed has lost bars, or knows by now where a gap has ended."""
        self._market(gap.symbol).take_gap(gap, now)

    def missing_trades(self, symbol: Symbol, count: int, *, now: datetime) -> None:
        """So many ids are missing between the symbol's trades; 0 once they were made good."""
        market = self._market(symbol)
        if count:
            market.find(DefectKind.MISSING_TRADES, now, float(count), 0.0)
        else:
            market.cure((DefectKind.MISSING_TRADES,))

    def clock_skew(self, ahead: timedelta, *, now: datetime) -> None:
        """The venue's clock was measured to be `ahead` of ours."""
        allowed = self._limits.max_skew
        if self._skewed is None and abs(ahead) > allowed:
            self._skewed = (now, ahead.total_seconds())
        elif self._skewed is not None:
            is_cured = abs(ahead) <= allowed / 2
            self._skewed = None if is_cured else (self._skewed[0], ahead.total_seconds())

    def defects(self, symbol: Symbol, now: datetime) -> tuple[Defect, ...]:
        """Everything wrong with the data of `symbol` at `now`."""
        return tuple(self._all(symbol, now))

    def blocked(self, symbol: Symbol, now: datetime) -> bool:
        """Whether nobody may decide on `symbol` at `now`."""
        return any(defect.kind.blocks for defect in self._all(symbol, now))

    def _all(self, symbol: Symbol, now: datetime) -> Iterator[Defect]:
        market = self._market(symbol)
        if self._skewed is not None:
            limit = self._limits.max_skew.total_seconds()
            yield market.defect(DefectKind.CLOCK_SKEW, *self._skewed, limit)
        yield from market.defects(now)

    def _market(self, symbol: Symbol) -> "_Market":
        market = self._markets.get(symbol)
        if market is None:
            raise ValueError(f"{symbol} is not watched")
        return market


class _Market:
    """What is known of one symbol's data."""

    def __init__(
        self,
        symbol: Symbol,
        timeframe: Timeframe,
        quality: QualityLimits,
        limits: WatchLimits,
        started_at: datetime,
    ) -> None:
        self.symbol = symbol
        self.newest: Bar | None = None
        self.triangles: tuple[_Triangle, ...] = ()
        self._limits = limits
        self._inspector = BarInspector(symbol, timeframe, quality)
        self._step_seconds = timeframe.delta.total_seconds()
        self._max_bar_age = timeframe.delta + quality.max_delay
        self._bar_at = self._book_at = started_at  # of the newest
        self._min_depth = _min_depth(symbol, limits.book)
        self._usual_volume = _UsualVolume()
        self._max_volume_ratio = float(limits.max_volume_ratio)
        self._found: dict[DefectKind, Defect] = {}  # what lasts until it is cured
        self._good_bars = self._traded_bars = self._good_books = 0  # in a row
        self._gaps: deque[datetime] = deque(maxlen=limits.max_reconnects_per_hour + 1)
        self._gap_since: datetime | None = None

    def take_bar(self, bar: Bar, now: datetime) -> tuple[Flaw, ...]:
        flaws = self._inspector.inspect(bar)
        if flaws and flaws[0].kind in _NOT_NEW:
            return flaws
        self.newest, self._bar_at = bar, bar.closed_at
        ratio = self._usual_volume.ratio(float(bar.volume))
        if flaws or self._found or ratio > self._max_volume_ratio:
            self._judge(bar, flaws, ratio, now)
        for triangle in self.triangles:
            triangle.compare()
        return flaws

    def take_book(self, book: OrderBook) -> None:
        limits = self._limits.book
        if limits is None:
            raise ValueError(f"{self.symbol}: a book, but no limits for books")
        self._book_at = book.at
        is_thin = not all(_is_worth(side, self._min_depth) for side in (book.bids, book.asks))
        if is_thin:
            least = min(_worth(book.bids), _worth(book.asks))
            self.find(DefectKind.THIN_BOOK, book.at, float(least), float(self._min_depth))
        if book.is_crossed:
            self.find(DefectKind.CROSSED_BOOK, book.at, book.spread_bps or 0.0, 0.0)
        self._good_books = 0 if is_thin or book.is_crossed else self._good_books + 1
        if self._found and self._good_books >= limits.good_books:
            self.cure(_CURED_BY_BOOKS)

    def take_break(self, now: datetime) -> None:
        known = self._found.get(DefectKind.BROKEN_BOOK)
        self._good_books = 0
        self.find(DefectKind.BROKEN_BOOK, now, 1.0 if known is None else known.observed + 1.0, 0.0)

    def take_gap(self, gap: FeedInterrupted, now: datetime) -> None:
        without = (gap.until or now) - gap.since
        self._good_bars = 0
        self.find(DefectKind.INTERRUPTED, gap.since, without.total_seconds(), 0.0)
        if gap.since != self._gap_since:  # its end is no second one
            self._gap_since = gap.since
            self._gaps.append(now)

    def find(self, kind: DefectKind, at: datetime, observed: float, limit: float) -> None:
        """Note a defect; one that is known keeps its beginning."""
        known = self._found.get(kind)
        since = at if known is None else known.since
        self._found[kind] = self.defect(kind, since, observed, limit)

    def cure(self, kinds: Iterable[DefectKind]) -> None:
        for kind in kinds:
            self._found.pop(kind, None)

    def defects(self, now: datetime) -> Iterator[Defect]:
        """What lasts until it is cured, then what only the time tells."""
        yield from self._found.values()
        for triangle in self.triangles:
            if triangle.broken is not None:
                limit = float(self._limits.max_disagreement)
                yield self.defect(DefectKind.DISAGREEMENT, *triangle.broken, limit)
        if now - self._bar_at > self._max_bar_age:
            yield self._overdue(DefectKind.STALE_BARS, self._bar_at, self._max_bar_age, now)
        book = self._limits.book
        if book is not None and now - self._book_at > book.max_age:
            yield self._overdue(DefectKind.STALE_BOOK, self._book_at, book.max_age, now)
        most = self._limits.max_reconnects_per_hour
        if len(self._gaps) > most and now - self._gaps[0] < _HOUR:
            yield self.defect(DefectKind.RECONNECTS, self._gaps[-1], float(most + 1), float(most))

    def defect(self, kind: DefectKind, since: datetime, observed: float, limit: float) -> Defect:
        return Defect(kind=kind, symbol=self.symbol, since=since, observed=observed, limit=limit)

    def _overdue(
        self, kind: DefectKind, newest: datetime, allowed: timedelta, now: datetime
    ) -> Defect:
        age = (now - newest).total_seconds()
        return self.defect(kind, newest + allowed, age, allowed.total_seconds())

    def _judge(self, bar: Bar, flaws: tuple[Flaw, ...], ratio: float, now: datetime) -> None:
        for flaw in flaws:
            unit = self._step_seconds if flaw.kind is FlawKind.GAP else 1.0
            self.find(_OF_FLAW[flaw.kind], bar.closed_at, flaw.observed * unit, flaw.limit)
        is_usual = ratio <= self._max_volume_ratio
        if not is_usual:
            self.find(DefectKind.VOLUME, bar.closed_at, ratio, self._max_volume_ratio)
        is_good = is_usual and not flaws and now - bar.closed_at <= self._max_bar_age
        self._good_bars = self._good_bars + 1 if is_good else 0
        self._traded_bars = self._traded_bars + 1 if is_good and bar.volume else 0
        if self._good_bars >= self._limits.good_bars:
            self.cure(_CURED_BY_BARS)
        if self._traded_bars >= self._limits.good_bars:
            self.cure((DefectKind.DEAD,))


class _UsualVolume:
    """The mean volume of the last bars with trades, the older the less."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._bars = 0

    def ratio(self, volume: float) -> float:
        """What multiple of the usual `volume` is, which from then on is part of it; 0 at first."""
        if not volume:
            return 0.0
        mean = self._mean
        if self._bars < _USUAL_BARS:
            self._bars += 1
            self._mean += (volume - mean) / self._bars
            return 0.0
        self._mean += (volume - mean) / _USUAL_BARS
        return volume / mean


class _Triangle:
    """Three markets of which one's price follows from the others: A/B from A/C and B/C."""

    def __init__(self, direct: _Market, base: _Market, quote: _Market, limits: WatchLimits) -> None:
        self.broken: tuple[datetime, float] | None = None  # since when, and the last difference
        self._markets = (direct, base, quote)
        self._limit = float(limits.max_disagreement)
        self._good_bars = limits.good_bars
        self._fits = 0  # closes in a row

    def compare(self) -> None:
        """Judge the newest bars, if all are of one close and none repeats an older price."""
        direct, base, quote = (market.newest for market in self._markets)
        if direct is None or base is None or quote is None:
            return
        if not direct.closed_at == base.closed_at == quote.closed_at:
            return
        if not (direct.volume and base.volume and quote.volume):
            return
        difference = abs(float(direct.close) * float(quote.close) / float(base.close) - 1.0)
        if difference > self._limit:
            since = direct.closed_at if self.broken is None else self.broken[0]
            self.broken, self._fits = (since, difference), 0
        elif self.broken is not None:
            self._fits += 1
            if self._fits >= self._good_bars:
                self.broken = None


def _is_triangle(direct: Symbol, base: Symbol, quote: Symbol) -> bool:
    return direct.base == base.base and direct.quote == quote.base and base.quote == quote.quote


def _min_depth(symbol: Symbol, limits: BookLimits | None) -> Decimal:
    if limits is None:
        return Decimal(0)
    if symbol.quote not in limits.min_depth:
        raise ValueError(f"min_depth has no number for {symbol.quote}, in which {symbol} is quoted")
    return limits.min_depth[symbol.quote]


def _worth(side: Iterable[Level]) -> Decimal:
    return sum((price * quantity for price, quantity in side), Decimal(0))


def _is_worth(side: Iterable[Level], least: Decimal) -> bool:
    """Whether the levels are worth `least`, which mostly the first few are."""
    worth = Decimal(0)
    for price, quantity in side:
        worth += price * quantity
        if worth >= least:
            return True
    return False
