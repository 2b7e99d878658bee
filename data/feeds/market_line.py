"""The bars of one symbol, told once, in order and whole, whatever happens on the wire.

Trades come from a stream that may skip, repeat, fall silent and begin anew; the venue's history
(REST) is what really happened. A bar is told when nothing can be missing in it any more:

- a trade of the next interval has come, with no id missing before it; or
- its interval is over for a moment, and the history was read past its end.

What cannot be had as trades is told as the venue's own bar, and what cannot be had as a bar is
told as an interruption with both its ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Final, TypeVar

from data.bar import Bar, Timeframe
from data.collect.patience import Patience
from data.faults import Fault, Refused, Transient
from data.feed import FeedInterrupted
from data.feeds.live_ports import BarCorrections, FeedWatcher, LineHealth, TradeSink, VenueClock
from data.feeds.outbox import Outbox
from data.feeds.source import Cursor, MarketSource, SourceRefused
from data.feeds.venue_bars import VenueBars
from data.instrument import Price, Symbol
from data.trade import Trade
from data.trade_bars import Spoilt, TradeBars

T = TypeVar("T")
_INSTANT: Final = timedelta(microseconds=1)
_TRIES: Final = 5  # times that a history behind the stream, or without a bar, is asked


class MarketLine:
    """Turns one symbol's trades into bars; every method may wait for the venue's history.

    Args:
        newest: Close of the newest bar that is known already; the first told is the one after it.
            None begins with the interval that is open now.
        reach: A gap longer than this is told as the venue's bars, not built from trades.
        disorder: A trade so long past an interval's end closes it: trades are out of order by less.
        max_ahead: A trade further in the venue's future than this is no trade.
    """

    def __init__(
        self,
        symbol: Symbol,
        timeframe: Timeframe,
        *,
        source: MarketSource,
        venue: VenueClock,
        patience: Patience,
        outbox: Outbox,
        tells_trades: bool,
        newest: datetime | None,
        reach: timedelta,
        disorder: timedelta,
        max_ahead: timedelta,
        sink: TradeSink | None,
        corrections: BarCorrections | None,
        watcher: FeedWatcher | None,
    ) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self._source = source
        self._venue = venue
        self._patience = patience
        self._outbox = outbox
        self._tells_trades = tells_trades
        self._reach = reach
        self._disorder = disorder
        self._max_ahead = max_ahead
        self._sink = sink
        self._corrections = corrections
        self._watcher = watcher
        self._lock = asyncio.Lock()
        self._closed_until = newest or self._opened_at(venue.now())  # or given up until then
        self._close: Price | None = None  # of the newest bar told
        self._told_any = newest is not None
        self._builder = TradeBars(symbol, timeframe)
        self._last_id: int | None = None  # of the newest trade taken, since ids were followed
        self._known_until = self._closed_until  # time of the newest trade taken
        self._doubtful_until: datetime | None = None  # bars that open before are the venue's
        self._is_behind = True  # whether the stream began anew, and the history has not been read
        self._interruption: str | None = None
        self._hole_from: datetime | None = None  # close of the last bar before one that is nowhere
        self._late_ids: set[int] = set()  # of late trades that nobody has looked after yet
        self._has_spoilt = asyncio.Event()
        self._page = VenueBars(source, symbol, timeframe)
        self._trades = self._repeated = self._repaired = self._lost = 0
        self._misdated = self._bars = self._replaced = self._corrected = self._undelivered = 0

    def health(self) -> LineHealth:
        return LineHealth(
            symbol=self.symbol,
            trades=self._trades,
            repeated=self._repeated,
            repaired=self._repaired,
            lost=self._lost,
            late=self._builder.late,
            misdated=self._misdated,
            bars=self._bars,
            replaced=self._replaced,
            corrected=self._corrected,
            undelivered=self._undelivered,
            newest=self._closed_until if self._told_any else None,
            is_interrupted=self._interruption is not None,
        )

    @property
    def due(self) -> datetime:
        """When the next bar closes."""
        return self._closed_until + self.timeframe.delta

    async def begin(self) -> None:
        """Tell the bars from the newest known one to the present, and be ready for trades."""
        async with self._lock:
            since = self._closed_until
            self._close = await self._insist(partial(self._close_at, since))
            self._builder = TradeBars(
                self.symbol,
                self.timeframe,
                since=since,
                close_before=self._close,
                grace=self._disorder,
            )
            await self._catch_up(self._venue.now())
            self._repaired = 0

    async def take(self, batch: Sequence[Trade]) -> None:
        """Take what the stream tells."""
        async with self._lock:
            if self._is_behind:
                await self._catch_up(self._venue.now())
                self._is_behind = False
            missing = await self._accept(batch)
            if missing:
                await self._fill(missing)

    async def interrupted(self, fault: Fault) -> None:
        """Say, once, that the stream has broken; the history is read before it goes on."""
        self._is_behind = True
        await self._interrupt(f"{fault}")

    async def close_until(self, due: datetime) -> None:
        """Tell the bars up to `due`, which has passed, if no trade has closed them."""
        async with self._lock:
            if self._closed_until >= due:
                return
            await self._catch_up(due - _INSTANT)
            await self._tell(self._builder.close_until(due))
            await self._tell_venues_until(due)  # where there was never a trade, nor a price

    async def proven_quiet(self) -> bool:
        """Whether the history, too, has nothing that the stream should have told.

        What it has is taken; a venue that cannot be asked proves nothing.
        """
        async with self._lock:
            before = self._trades
            try:
                await self._read_history()
            except (Transient, Refused):
                return False
            return self._trades == before

    async def correct_bars(self) -> None:
        """Make bars anew that late trades should have changed, until cancelled.

        One that still waits to be fetched is replaced there; one that was told goes to the store,
        after whoever fetched it has dealt with it, and is not told again. A history that does not
        have the late trades yet is asked again, and at last believed.
        """
        while True:
            await self._has_spoilt.wait()
            self._has_spoilt.clear()
            spoilt = self._builder.take_spoilt()
            late, self._late_ids = self._late_ids, set()
            if spoilt is None:
                continue
            bars = await self._rebuilt(spoilt, late)
            told = [bar for bar in bars if not self._outbox.replace(bar)]
            if told and self._corrections is not None:
                await self._outbox.dealt_with()
                await self._insist(partial(self._corrections.put, told), quietly=True)
            self._corrected += len(bars)

    async def _accept(self, trades: Sequence[Trade], *, final: bool = False) -> Sequence[Trade]:
        """Take `trades` in order; what stands behind a missing id comes back untaken.

        If that is `final`, what is missing is lost instead: the bars around it are the venue's.
        """
        taken: list[Trade] = []
        bars: list[Bar] = []
        rest: Sequence[Trade] = ()
        for index, trade in enumerate(trades):
            if (missing := self._missing_before(trade)) < 0:
                self._repeated += 1
                continue
            if missing and not final:
                rest = trades[index:]
                break
            if missing:
                self._lose(missing, trade.traded_at)
            if await self._is_misdated(trade):
                self._misdated += 1
                self._doubt(self._venue.now())
            elif self._build(trade, bars):
                taken.append(trade)
                self._known_until = max(self._known_until, trade.traded_at)
            self._last_id = trade.trade_id
        await self._deliver(taken)
        await self._tell(bars)
        return rest

    async def _is_misdated(self, trade: Trade) -> bool:
        """Whether `trade` is from the future, or only our clock was set back meanwhile."""
        if trade.traded_at <= self._venue.now() + self._max_ahead:
            return False
        await self._insist(self._venue.measure, quietly=True)
        return trade.traded_at > self._venue.now() + self._max_ahead

    def _missing_before(self, trade: Trade) -> int:
        """How many ids are missing before `trade`, as far as ids can tell; -1 if it was taken."""
        if self._last_id is None or not self._source.traits.consecutive_ids:
            return 0
        if trade.trade_id <= self._last_id and self._is_new(trade):
            self._doubt(trade.traded_at)  # numbered anew: nobody knows how many were before it
            return 0
        return max(trade.trade_id - self._last_id - 1, -1)

    def _is_new(self, trade: Trade) -> bool:
        """Whether `trade` is of a time of which none was taken; what is repeated is older."""
        newest = self._venue.now() + self._max_ahead
        return self._known_until + self._disorder < trade.traded_at <= newest

    def _build(self, trade: Trade, bars: list[Bar]) -> bool:
        """Put `trade` into its bar; False where it was there already."""
        repeated, late = self._builder.duplicates, self._builder.late
        bars += self._builder.add(trade)
        if self._builder.duplicates > repeated:
            self._repeated += 1
            return False
        if self._builder.late > late:
            self._late_ids.add(trade.trade_id)
            self._has_spoilt.set()
        self._trades += 1
        return True

    async def _deliver(self, trades: Sequence[Trade]) -> None:
        if self._sink is not None and trades and not self._sink.take(trades):
            self._undelivered += len(trades)
        for trade in trades if self._tells_trades else ():
            await self._outbox.tell(trade)

    def _lose(self, count: int, found_at: datetime) -> None:
        self._lost += count
        self._doubt(found_at)

    def _doubt(self, until: datetime) -> None:
        """Trades may be missing before `until`: bars that open before are the venue's."""
        known = self._doubtful_until
        self._doubtful_until = until if known is None else max(known, until)

    async def _fill(self, waiting: Sequence[Trade]) -> None:
        """Read the trades that are missing before `waiting`, then take those.

        A history that does not yet reach so far is asked again; if it never does, they are lost.
        """
        for tried in range(1, _TRIES + 1):
            self._warn(waiting)
            await self._catch_up(waiting[0].traded_at)
            waiting = await self._accept(waiting)
            if not waiting:
                break
            await self._patience.rest(Transient("the history is behind the stream"), tried)
        else:
            await self._accept(waiting, final=True)
        if self._watcher is not None:
            self._watcher.missing_trades(self.symbol, 0, now=self._venue.now())

    def _warn(self, waiting: Sequence[Trade]) -> None:
        if self._watcher is not None:
            missing = self._missing_before(waiting[0])
            self._watcher.missing_trades(self.symbol, missing, now=self._venue.now())

    async def _catch_up(self, until: datetime) -> None:
        """Read the history to its end, however long the venue cannot be asked.

        Where it offers none, what has been traded up to `until` is in doubt.
        """
        try:
            await self._insist(self._read_history)
        except SourceRefused:
            self._doubt(until)

    async def _read_history(self) -> None:
        """Take the trades from the cursor on, page by page.

        Raises:
            SourceUnavailable, SourceRefused: as the source does; what was read is taken.
        """
        self._skip_what_is_far()
        cursor = Cursor(since=self._known_until, trade_id=self._following_id())
        while True:
            page, following = await self._source.past_trades(self.symbol, cursor)
            before = self._trades
            await self._accept(page, final=True)
            self._repaired += self._trades - before
            if not page or following == cursor:
                return
            cursor = following

    def _following_id(self) -> int | None:
        """The next id; where ids are not consecutive, the last one, told again in vain."""
        if self._last_id is None or not self._source.traits.consecutive_ids:
            return self._last_id
        return self._last_id + 1

    def _skip_what_is_far(self) -> None:
        """After a long gap only the open interval is read as trades; the rest is in doubt."""
        now = self._venue.now()
        if now - self._known_until > self._reach:
            opened = self._opened_at(now)
            self._doubt(opened)
            self._known_until, self._last_id = opened, None

    def _opened_at(self, now: datetime) -> datetime:
        """When the interval opened that holds `now`."""
        return self.timeframe.close_after(now) - self.timeframe.delta

    async def _tell(self, bars: Iterable[Bar]) -> None:
        """Tell closed bars, each once, and the venue's where one is not built or in doubt."""
        doubtful_until = self._doubtful_until
        for bar in bars:
            if bar.closed_at <= self._closed_until:
                continue
            await self._tell_venues_until(bar.opened_at)
            if doubtful_until is not None and bar.opened_at <= doubtful_until:
                await self._tell_venues_until(bar.closed_at)
            elif bar.trades == 0 and self._close not in (None, bar.close):
                await self._tell_bar(_flat(bar, self._close or bar.close))  # the venue's was told
            else:
                await self._tell_bar(bar)

    async def _tell_venues_until(self, until: datetime) -> None:
        """Tell the venue's own bars up to `until`; what it does not have is a hole."""
        while self.due <= until:
            bar = await self._bar_of_venue(self.due)
            if bar is None:
                self._hole_from = self._hole_from or self._closed_until
                self._closed_until = self.due
            else:
                self._replaced += 1
                await self._tell_bar(bar)

    async def _tell_bar(self, bar: Bar) -> None:
        if self._hole_from is not None and self._told_any:
            await self._tell_hole(self._hole_from, bar.closed_at)
        self._hole_from = None
        await self._outbox.tell(bar)
        self._closed_until, self._close, self._told_any = bar.closed_at, bar.close, True
        self._interruption = None
        self._bars += 1

    async def _bar_of_venue(self, closed_at: datetime) -> Bar | None:
        for tried in range(1, _TRIES + 1):
            try:
                bar = await self._insist(partial(self._page.closed_at, closed_at))
            except SourceRefused:
                return None
            if bar is not None or self._page.is_past(closed_at):
                return bar
            await self._patience.rest(Transient("the venue's bars are behind"), tried)
        return None

    async def _close_at(self, since: datetime) -> Price | None:
        """The close of the bar before `since`, if the venue still has it."""
        try:
            bar = await self._page.closed_at(since)
        except SourceRefused:
            return None
        return None if bar is None else bar.close

    async def _rebuilt(self, spoilt: Spoilt, late: set[int]) -> Sequence[Bar]:
        """The bars of a span as the venue's history has them, in which `late` trades should be."""
        trades: Sequence[Trade] = ()
        try:
            for tried in range(1, _TRIES + 1):
                trades = await self._insist(partial(self._history, spoilt), quietly=True)
                if late.issubset(trade.trade_id for trade in trades):
                    break
                await self._patience.rest(Transient("the history is behind the stream"), tried)
        except SourceRefused:
            ask = partial(self._source.past_bars, self.symbol, self.timeframe, spoilt.since)
            bars = await self._insist(ask, quietly=True)
            return [bar for bar in bars if bar.closed_at <= spoilt.until]
        return self._made_of(trades, spoilt)

    async def _history(self, spoilt: Spoilt) -> Sequence[Trade]:
        """The trades of a span, and some behind it."""
        trades: list[Trade] = []
        cursor = Cursor(since=spoilt.since)
        while cursor.since < spoilt.until:
            page, following = await self._source.past_trades(self.symbol, cursor)
            trades += page
            if not page or following == cursor:
                break
            cursor = following
        return trades

    def _made_of(self, trades: Sequence[Trade], spoilt: Spoilt) -> Sequence[Bar]:
        builder = TradeBars(self.symbol, self.timeframe, since=spoilt.since)
        trades = sorted(
            (trade for trade in trades if trade.traded_at < spoilt.until),
            key=attrgetter("traded_at", "trade_id"),
        )
        built = [bar for trade in trades for bar in builder.add(trade)]
        return [*built, *builder.close_until(spoilt.until)]

    async def _insist(self, ask: Callable[[], Awaitable[T]], *, quietly: bool = False) -> T:
        """Ask until there is an answer; a failure is told as an interruption, unless `quietly`."""
        failed = 0
        while True:
            try:
                return await ask()
            except Transient as error:
                failed += 1
                if not quietly:
                    await self._interrupt(str(error))
                await self._patience.rest(error, failed)

    async def _interrupt(self, reason: str) -> None:
        """Tell the onset of an interruption, unless it is told and lasts."""
        if self._interruption is None:
            self._interruption = reason
            await self._outbox.tell(self._interrupted(self._closed_until, None, reason))

    async def _tell_hole(self, since: datetime, until: datetime) -> None:
        reason = f"{self._source.traits.exchange} has no bars there"
        await self._outbox.tell(self._interrupted(since, until, reason))

    def _interrupted(self, since: datetime, until: datetime | None, reason: str) -> FeedInterrupted:
        return FeedInterrupted(
            symbol=self.symbol,
            timeframe=self.timeframe,
            since=since,
            until=until,
            reason=reason,
        )


def _flat(bar: Bar, close: Price) -> Bar:
    return replace(bar, open=close, high=close, low=close, close=close)
