"""One pair's market: what was traded, the bars of it, and the book that a market maker keeps.

The book is a function of the seed, the pair and the last price: at each step away from the price
stands a size that depends on the level alone, so a small move changes few levels.
"""

import hashlib
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Final

from data.bar import Bar
from data.instrument import Notional, Price, Quantity, Side
from data.order_book import Level, OrderBook
from sextant.rehearsal.listing import Listing

_MOST_TRADES: Final = 20_000
_MOST_BARS: Final = 10_000  # minutes: a week
_DAY: Final = 1_440
_DEPTH: Final = 100
_STEP: Final = Decimal("0.0001")  # of the price, between two levels
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTrade:
    """A trade between others; `side` is the taker's."""

    at: datetime
    price: Price
    quantity: Quantity
    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """A trade as the exchange tells it; ids have no gaps."""

    number: int
    trade: MarketTrade

    @property
    def nanoseconds(self) -> int:
        """Unique, and rising with the id."""
        since = (self.trade.at - _EPOCH) // _MICROSECOND
        return since * 1_000 + self.number % 1_000


@dataclass(slots=True, kw_only=True)
class Candle:
    """The trades of some minutes; without one, all prices are the close before."""

    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)
    trades: int = 0

    @property
    def vwap(self) -> Decimal:
        return self.turnover / self.volume if self.volume else Decimal(0)

    def take(self, trade: MarketTrade) -> None:
        if not self.trades:
            self.open = self.high = self.low = trade.price
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.close = trade.price
        self.volume += trade.quantity
        self.turnover += trade.quantity * trade.price
        self.trades += 1


class PairMarket:
    """A pair's market from `at` on.

    Args:
        past: One-minute bars of what was before.
        traded: How many trades there were before: the next one's number follows.
    """

    def __init__(
        self,
        listing: Listing,
        *,
        seed: int,
        price: Price,
        at: datetime,
        past: Sequence[Bar] = (),
        traded: int = 0,
    ) -> None:
        self.listing = listing
        self.prints: deque[Print] = deque(maxlen=_MOST_TRADES)
        self.last = price
        self._at = at
        self._salt = f"{seed}:{listing.symbol}"
        self._count = traded
        self._candles: deque[Candle] = deque(maxlen=_MOST_BARS)
        self._candles.extend(map(_candle, past))
        if not self._candles:
            self._candles.append(_quiet(_minute(at), price))
        self._book: OrderBook | None = None

    @property
    def book(self) -> OrderBook:
        if self._book is None:
            self._book = self._made(self.last)
        return self._book

    def take(self, trade: MarketTrade) -> Print:
        """Make `trade` the last one."""
        self._at = max(self._at, trade.at)
        self._book = None
        self.last = trade.price
        self._fill_up(trade.at)
        self._candles[-1].take(trade)
        self._count += 1
        made = Print(number=self._count, trade=trade)
        self.prints.append(made)
        return made

    def candles(self, minutes: int, now: datetime, *, most: int) -> list[Candle]:
        """The newest bars up to the open one, quiet ones included."""
        self._fill_up(now)
        folded: list[Candle] = []
        for candle in self._newest(minutes * most):
            opened = _minute(candle.opened_at, minutes)
            if not folded or folded[-1].opened_at != opened:
                folded.append(_quiet(opened, candle.open))
            _fold(folded[-1], candle)
        return folded[-most:]

    def day(self, now: datetime) -> Candle:
        """The last 24 hours as one candle."""
        self._fill_up(now)
        recent = self._newest(_DAY)
        whole = _quiet(recent[0].opened_at, recent[0].open)
        for candle in recent:
            _fold(whole, candle)
        return whole

    def _newest(self, minutes: int) -> list[Candle]:
        first = max(0, len(self._candles) - minutes)
        return list(itertools.islice(self._candles, first, None))

    def _fill_up(self, now: datetime) -> None:
        """Open the bars of the minutes that have begun since."""
        opened = self._candles[-1].opened_at
        while opened + _MINUTE <= now:
            opened += _MINUTE
            self._candles.append(_quiet(opened, self._candles[-1].close))

    def _made(self, price: Decimal) -> OrderBook:
        step = _step(price, self.listing.tick)
        steps = price / step
        below = steps.to_integral_value(ROUND_CEILING) - 1
        above = steps.to_integral_value(ROUND_FLOOR) + 1
        return OrderBook(
            symbol=self.listing.symbol,
            at=self._at,
            bids=self._levels([(below - n) * step for n in range(_DEPTH)]),
            asks=self._levels([(above + n) * step for n in range(_DEPTH)]),
        )

    def _levels(self, prices: Sequence[Decimal]) -> tuple[Level, ...]:
        lot = self.listing.instrument.lot
        return tuple(
            Level(Price(price), _size(self._salt, price, lot)) for price in prices if price > 0
        )


def _step(price: Decimal, tick: Decimal) -> Decimal:
    """The distance between levels: about a basis point, and a power of ten in ticks."""
    ticks = max(Decimal(1), price * _STEP / tick)
    return tick * Decimal(10) ** ticks.adjusted()


@lru_cache(maxsize=100_000)
def _size(salt: str, price: Decimal, lot: Decimal) -> Quantity:
    """What stands at a level: worth some hundreds to some thousands, the same at every visit."""
    digest = hashlib.blake2b(f"{salt}:{price.normalize()}".encode(), digest_size=4).digest()
    share = Decimal(int.from_bytes(digest, "big") + 1) / Decimal(2**32)
    lots = (1 + 9 * share) * _unit(price) / price // lot
    return Quantity(max(Decimal(1), lots) * lot)


def _unit(price: Decimal) -> Decimal:
    """A tenth of what stands at a level at most, in quote currency."""
    return Decimal(500) if price > Decimal("0.01") else Decimal("0.02")


def _minute(at: datetime, minutes: int = 1) -> datetime:
    return at - (at - _EPOCH) % (minutes * _MINUTE)


def _quiet(opened_at: datetime, price: Decimal) -> Candle:
    return Candle(opened_at=opened_at, open=price, high=price, low=price, close=price)


def _candle(bar: Bar) -> Candle:
    """A bar of the past; where its turnover is unknown, the middle of open and close stands in."""
    turnover = bar.turnover
    if turnover is None:
        turnover = Notional(bar.volume * (bar.open + bar.close) / 2)
    return Candle(
        opened_at=bar.opened_at,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        turnover=turnover,
        trades=bar.trades or (1 if bar.volume else 0),
    )


def _fold(whole: Candle, part: Candle) -> None:
    if part.trades and not whole.trades:
        whole.open, whole.high, whole.low = part.open, part.high, part.low
    elif part.trades:
        whole.high, whole.low = max(whole.high, part.high), min(whole.low, part.low)
    whole.close = part.close
    whole.volume += part.volume
    whole.turnover += part.turnover
    whole.trades += part.trades
