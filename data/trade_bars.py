"""Closed bars out of trades: closed by time or by the next interval, and exact."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

from data.bar import Bar, Timeframe
from data.instrument import Notional, Price, Quantity, Symbol
from data.trade import Trade
from data.utc import require_utc

_EXACT = Context(prec=100)  # digits: no sum of real trades is rounded, so no order changes it
_REMEMBERED = 20_000  # ids; what venues repeat after a new subscription is a thousand at most
_ZERO = Decimal(0)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """Among the bars that close in (since, until] are some that a late trade would have changed.

    It is missing in the first, and the empty ones behind that have another price, or were not
    given. All of the span are to be replaced.
    """

    since: datetime
    until: datetime


class TradeBars:
    """Builds the closed bars of one symbol and timeframe from trades, in whatever order they come.

    An interval closes when the caller says that its end has passed (`close_until`), or with a trade
    that is `grace` past its end. One without a trade gives a bar at the close before it, with
    volume, turnover and trades of zero. Within an interval trades stand by (traded_at, trade_id).

    The interval in which the trades begin is left out: nobody knows what it held before. With
    `since`, from which on the caller has every trade, the first bar is the first that opens at or
    after it; with `close_before`, the price of the last trade before `since`, it may be empty, too.
    So `since=bar.closed_at, close_before=bar.close` goes on after `bar`.

    A trade of a closed interval changes no bar: it is counted, and `take_spoilt` says which bars it
    should have changed. A trade whose id was seen is left out and counted; at least the last 20,000
    ids are remembered.
    """

    def __init__(
        self,
        symbol: Symbol,
        timeframe: Timeframe,
        *,
        since: datetime | None = None,
        close_before: Price | None = None,
        grace: timedelta = timedelta(0),
    ) -> None:
        self.late = 0  # trades of closed intervals
        self.duplicates = 0  # trades whose id was seen before
        self._symbol = symbol
        self._timeframe = timeframe
        self._delta = timeframe.delta
        self._grace = grace
        self._begin: datetime | None = None  # open of the first bar; None until it is known
        self._closed_until = _NEVER  # what opens before is closed, or left out
        self._open: dict[datetime, _Interval] = {}  # by close
        self._last_close = _NEVER  # of the interval that was looked up last
        self._close = close_before  # of the newest trade before `_closed_until`
        self._newest = (_NEVER, -1)  # that trade's place
        self._recent: set[int] = set()
        self._older: set[int] = set()
        self._spoilt: Spoilt | None = None
        if since is not None:
            require_utc(since)
            self._begin_at(since if timeframe.closes_at(since) else timeframe.close_after(since))
            if close_before is not None:
                self._newest = (since, -1)

    def add(self, trade: Trade) -> tuple[Bar, ...]:
        """The bars that are closed now that `trade` has come, in order.

        A trade from the future closes all before it: the caller sees to it that times are sane.

        Raises:
            ValueError: `trade` is of another symbol.
        """
        if trade.symbol != self._symbol:
            raise ValueError(f"a trade of {trade.symbol} for the bars of {self._symbol}")
        trade_id = trade.trade_id
        if trade_id in self._recent or trade_id in self._older:
            self.duplicates += 1
            return ()
        self._recent.add(trade_id)
        self._file(trade)
        passed = trade.traded_at - self._grace
        return self.close_until(passed) if passed >= self._closed_until + self._delta else ()

    def close_until(self, at: datetime) -> tuple[Bar, ...]:
        """The bars of all intervals that end at or before `at`, which has passed, in order."""
        require_utc(at)
        bars: list[Bar] = []
        while self._begin is not None and self._closed_until + self._delta <= at:
            self._closed_until += self._delta
            bar = self._close_interval(self._closed_until)
            if bar is not None:
                bars.append(bar)
        return tuple(bars)

    def take_spoilt(self) -> Spoilt | None:
        """The bars that late trades should have changed since this was asked last, as one span."""
        spoilt, self._spoilt = self._spoilt, None
        return spoilt

    def _begin_at(self, opening: datetime) -> None:
        self._begin = self._closed_until = opening

    def _file(self, trade: Trade) -> None:
        closes_at, traded_at = self._last_close, trade.traded_at
        if not closes_at > traded_at >= closes_at - self._delta:
            closes_at = self._last_close = self._timeframe.close_after(traded_at)
            if self._begin is None:
                self._begin_at(closes_at)
        if closes_at <= self._closed_until:
            self._miss(trade, closes_at)
        elif (interval := self._open.get(closes_at)) is not None:
            interval.add(trade)
        else:
            self._open[closes_at] = _Interval(trade)

    def _miss(self, trade: Trade, closes_at: datetime) -> None:
        """Keep the price of a trade that is in no open interval, if none there is newer."""
        place = (trade.traded_at, trade.trade_id)
        if place > self._newest:
            self._newest, self._close = place, trade.price
        if self._begin is not None and closes_at > self._begin:
            self.late += 1
            since = closes_at - self._delta
            if self._spoilt is not None:
                since = min(since, self._spoilt.since)
            self._spoilt = Spoilt(since=since, until=self._closed_until)

    def _close_interval(self, closes_at: datetime) -> Bar | None:
        """The bar of the interval, or None if there was no trade in it nor before it."""
        self._forget_ids()
        interval = self._open.pop(closes_at, None)
        if interval is not None:
            self._newest, self._close = interval.last, interval.close
            return interval.bar(self._symbol, self._timeframe, closes_at)
        return None if self._close is None else self._empty_bar(closes_at, self._close)

    def _forget_ids(self) -> None:
        if len(self._recent) >= _REMEMBERED:
            self._older, self._recent = self._recent, set()

    def _empty_bar(self, closes_at: datetime, close: Price) -> Bar:
        return Bar(
            symbol=self._symbol,
            timeframe=self._timeframe,
            closed_at=closes_at,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=Quantity(_ZERO),
            turnover=Notional(_ZERO),
            trades=0,
        )


class _Interval:
    """What was traded in one interval so far."""

    __slots__ = ("close", "first", "high", "last", "low", "open", "trades", "turnover", "volume")

    def __init__(self, trade: Trade) -> None:
        self.first = self.last = (trade.traded_at, trade.trade_id)
        self.open = self.high = self.low = self.close = trade.price
        self.volume: Decimal = trade.quantity
        self.turnover = _EXACT.multiply(trade.price, trade.quantity)
        self.trades = 1

    def add(self, trade: Trade) -> None:
        place, price, quantity = (trade.traded_at, trade.trade_id), trade.price, trade.quantity
        if place > self.last:
            self.last, self.close = place, price
        elif place < self.first:
            self.first, self.open = place, price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume = _EXACT.add(self.volume, quantity)
        self.turnover = _EXACT.fma(price, quantity, self.turnover)
        self.trades += 1

    def bar(self, symbol: Symbol, timeframe: Timeframe, closes_at: datetime) -> Bar:
        return Bar(
            symbol=symbol,
            timeframe=timeframe,
            closed_at=closes_at,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=Quantity(self.volume),
            turnover=Notional(self.turnover),
            trades=self.trades,
        )
