"""Order books kept whole from a venue's changes, and found out when they are not.

Adapters parse frames and hand over decimals; what comes out is `OrderBook`. A book that cannot be
the venue's raises `BookBroken` and is of no use until its next snapshot. A venue that sends whole
books needs none of this: its levels make an `OrderBook` as they are.
"""

import zlib
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from data.feeds.source import BookBroken
from data.instrument import Price, Quantity, Symbol
from data.order_book import Level, OrderBook

Change: TypeAlias = tuple[Decimal, Decimal]  # price, and what rests there from now on; 0 is nothing

_CHECKED: Final = 10  # levels of a side that Kraken's checksum covers
_MOST_WAITING: Final = 10_000  # events without a snapshot: 16 minutes of one each 100 ms


class LevelBook:
    """The levels of both sides, changed one by one; a `depth` cuts each side to its best.

    A change to nothing of a level that is not there is no fault: venues tell it of levels that
    were never sent, or have been cut.
    """

    def __init__(self, symbol: Symbol, *, depth: int | None = None) -> None:
        self.symbol = symbol
        self.depth = depth
        self._at: datetime | None = None
        self._bids = _Side(falling=True)
        self._asks = _Side(falling=False)

    @property
    def is_known(self) -> bool:
        """Whether there was a snapshot, and nothing broke the book since."""
        return self._at is not None

    def replace(self, at: datetime, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        """Start over with all levels of a snapshot.

        Raises:
            BookBroken: a level that no book can have.
        """
        self._bids, self._asks = _Side(falling=True), _Side(falling=False)
        self._put(at, bids, asks)

    def change(self, at: datetime, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        """Put the changed levels in, and cut.

        Raises:
            BookBroken: there is no snapshot to change, or a level that no book can have.
        """
        if self._at is None:
            raise BookBroken(f"{self.symbol}: a change of a book without a snapshot")
        self._put(at, bids, asks)

    def book(self, depth: int) -> OrderBook:
        """The best `depth` levels of each side.

        Raises:
            BookBroken: there is no snapshot, or the book broke since.
        """
        if self._at is None:
            raise BookBroken(f"{self.symbol}: no snapshot of the book yet")
        return OrderBook(
            symbol=self.symbol,
            at=self._at,
            bids=self._bids.best(depth),
            asks=self._asks.best(depth),
        )

    def best(self, depth: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The best `depth` bids, and asks."""
        return self._bids.best(depth), self._asks.best(depth)

    def broken(self, reason: str) -> BookBroken:
        """Forget the book; the error to raise."""
        self._at = None
        return BookBroken(f"{self.symbol}: {reason}")

    def _put(self, at: datetime, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        for side, changes in ((self._bids, bids), (self._asks, asks)):
            for price, quantity in changes:
                if not (price.is_finite() and quantity.is_finite() and price > 0 <= quantity):
                    raise self.broken(f"{quantity} at {price} in an order book")
                side.put(price, quantity)
            if self.depth is not None:
                side.cut(self.depth)
        self._at = at


class Decimals(NamedTuple):
    """How many digits a pair's prices and quantities have behind the point."""

    price: int
    quantity: int


class KrakenBook:
    """A Kraken spot book: cut to the subscribed depth, and checked after every update.

    `decimals` are the pair's, for WebSocket v2, whose numbers have lost their trailing zeros. None
    is for v1, whose text has all of them: the decimals must be made of that text.
    """

    def __init__(self, symbol: Symbol, *, depth: int, decimals: Decimals | None) -> None:
        self._levels = LevelBook(symbol, depth=depth)
        self._decimals = decimals

    def snapshot(
        self,
        at: datetime,
        bids: Iterable[Change],
        asks: Iterable[Change],
        checksum: int | None,
    ) -> None:
        """Start over, be it asked for or not; a snapshot of v1 has no checksum.

        Raises:
            BookBroken: the checksum is another, or a level is none.
        """
        self._levels.replace(at, bids, asks)
        if checksum is not None:
            self._check(checksum)

    def update(
        self,
        at: datetime,
        bids: Iterable[Change],
        asks: Iterable[Change],
        checksum: int | None,
    ) -> None:
        """Put one message in.

        Raises:
            BookBroken: the checksum is another, or missing though both sides have ten levels; there
                was no snapshot; or a level is none.
        """
        self._levels.change(at, bids, asks)
        if checksum is not None:
            self._check(checksum)
        elif all(len(side) == _CHECKED for side in self._levels.best(_CHECKED)):
            raise self._levels.broken("an update without a checksum")

    def change_decimals(self, decimals: Decimals) -> None:
        """Take on the pair's new decimals: from the next message on, checksums are of them."""
        self._decimals = decimals

    def book(self, depth: int) -> OrderBook:
        """The best `depth` levels of each side.

        Raises:
            BookBroken: there is no snapshot, or the book broke since.
        """
        return self._levels.book(depth)

    def _check(self, told: int) -> None:
        found = kraken_checksum(*self._levels.best(_CHECKED), self._decimals)
        if found != told:
            raise self._levels.broken(f"the book's checksum is {found}, the venue's {told}")


def kraken_checksum(bids: Sequence[Level], asks: Sequence[Level], decimals: Decimals | None) -> int:
    """CRC32 of the ten best asks, then bids, or of as many as there are.

    Each level counts as the digits of its price and of its quantity, without point and leading
    zeros; None takes the digits as they stand.

    Source:
        Kraken, "Book Checksum" guides of the spot WebSocket API, versions 1 and 2.
    """
    price_form, quantity_form = ("f", "f") if decimals is None else (f".{n}f" for n in decimals)
    digits = "".join(
        format(price, price_form).replace(".", "").lstrip("0")
        + format(quantity, quantity_form).replace(".", "").lstrip("0")
        for side in (asks, bids)
        for price, quantity in side[:_CHECKED]
    )
    return zlib.crc32(digits.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthEvent:
    """One `depthUpdate` of Binance: all changes from update id `first` (U) to `last` (u)."""

    at: datetime
    first: int
    last: int
    previous: int | None  # pu: `last` of the event before; None on spot, which has no such field
    bids: Sequence[Change]
    asks: Sequence[Change]


class BinanceBook:
    """A Binance book, USD-M or spot: a snapshot over REST, and the stream's events linked to it.

    Give it events from the first one on; they wait for the snapshot. The first that is newer than
    the snapshot must begin no later than right behind it, and each next one right behind the one
    before (USD-M: pu = u of that; spot: U = u + 1). An event that is not newer than the book is
    left out and counted, for it changes nothing.

    Source:
        Binance, "How to manage a local order book correctly", USD-M futures and spot.
    """

    def __init__(self, symbol: Symbol) -> None:
        self.repeats = 0  # events that were not newer than the book
        self._levels = LevelBook(symbol)
        self._waiting: deque[DepthEvent] = deque()
        self._last = 0  # id the book stands at
        self._is_linked = False  # whether an event has followed the snapshot
        self._covered: tuple[tuple[Level, ...], tuple[Level, ...]] = ((), ())

    @property
    def is_synced(self) -> bool:
        """Whether the book is the venue's; if not, it needs a snapshot."""
        return self._levels.is_known

    def snapshot(
        self, at: datetime, last_id: int, bids: Sequence[Change], asks: Sequence[Change]
    ) -> bool:
        """Start over from a snapshot at `last_id` (lastUpdateId) and put in what has waited.

        Returns:
            False if it is older than the book, or than the events that have waited reach back:
            nothing has changed then, and a newer one is needed.

        Raises:
            BookBroken: an event is missing among those that have waited; the next snapshot may
                make it good.
        """
        if self.is_synced and last_id < self._last:
            return False
        newer = deque(event for event in self._waiting if event.last > last_id)
        if newer and not _joins(newer[0], last_id):
            return False
        self._levels.replace(at, bids, asks)
        self._covered = self._levels.best(max(len(bids), len(asks)))
        self._last, self._is_linked, self._waiting = last_id, False, newer
        self._drain()
        return True

    def update(self, event: DepthEvent) -> None:
        """Put `event` in, or have it wait for the snapshot.

        Raises:
            BookBroken: an event is missing before it, a level is none, or no snapshot has come for
                10,000 events. It waits for the next snapshot.
        """
        if not self.is_synced and len(self._waiting) == _MOST_WAITING:
            self._waiting.clear()
            raise self._levels.broken(f"no snapshot came for {_MOST_WAITING} events")
        self._waiting.append(event)
        if self.is_synced:
            self._drain()

    def book(self, depth: int) -> OrderBook:
        """The best `depth` levels of each side.

        Raises:
            BookBroken: the book is not in step with the venue.
        """
        return self._levels.book(depth)

    def is_worn(self, depth: int) -> bool:
        """Whether the best `depth` levels reach past what the snapshot covered.

        Out there only levels that changed since are known; a new snapshot makes it good.
        """
        known, covered = self._levels.best(depth), self._covered
        return any(
            _reaches_past(*sides, depth) for sides in zip(known, covered, (-1, 1), strict=True)
        )

    def _drain(self) -> None:
        while self._waiting:
            self._apply(self._waiting[0])
            self._waiting.popleft()

    def _apply(self, event: DepthEvent) -> None:
        if event.last <= self._last:
            self.repeats += 1
            return
        follows = _follows if self._is_linked else _joins
        if not follows(event, self._last):
            raise self._levels.broken(
                f"events are missing between {self._last} and {event.first}..{event.last}"
            )
        self._levels.change(event.at, event.bids, event.asks)
        self._last, self._is_linked = event.last, True


def _joins(event: DepthEvent, last_id: int) -> bool:
    """Whether nothing is missing between a snapshot and the first event that is newer."""
    return event.first <= last_id + 1 or event.previous == last_id


def _follows(event: DepthEvent, last: int) -> bool:
    return event.first == last + 1 if event.previous is None else event.previous == last


def _reaches_past(known: Sequence[Level], covered: Sequence[Level], away: int, depth: int) -> bool:
    """Whether `known`, the best levels of a side, end beyond those `covered`, or are used up.

    `away` is the sign of the way that prices take from the best to the worst.
    """
    if len(known) < min(depth, len(covered)):
        return True
    return bool(known and covered) and (known[-1].price - covered[-1].price) * away > 0


class _Side:
    """The levels of one side by price."""

    __slots__ = ("_falling", "_prices", "_quantities")

    def __init__(self, *, falling: bool) -> None:
        self._falling = falling
        self._prices: list[Decimal] = []  # rising, whichever side it is
        self._quantities: dict[Decimal, Decimal] = {}

    def put(self, price: Decimal, quantity: Decimal) -> None:
        if quantity:
            if price not in self._quantities:
                insort(self._prices, price)
            self._quantities[price] = quantity
        elif self._quantities.pop(price, None) is not None:
            del self._prices[bisect_left(self._prices, price)]

    def cut(self, depth: int) -> None:
        excess = len(self._prices) - depth
        if excess > 0:
            cut = slice(None, excess) if self._falling else slice(depth, None)
            for price in self._prices[cut]:
                del self._quantities[price]
            del self._prices[cut]

    def best(self, depth: int) -> tuple[Level, ...]:
        prices = self._prices[: -depth - 1 : -1] if self._falling else self._prices[:depth]
        return tuple(Level(Price(price), Quantity(self._quantities[price])) for price in prices)
