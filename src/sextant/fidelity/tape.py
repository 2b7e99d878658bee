"""A recording as it is played: books and trades by the clock of whoever received them."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from itertools import chain

from data.instrument import Instrument, Notional, Quantity, Symbol
from data.order_book import OrderBook
from data.trade import Trade

Event = OrderBook | Trade


class Track:
    """Events in the order in which they were received, and where in it a moment is."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self._times = [received_at(event) for event in events]

    def between(self, begin: datetime, end: datetime) -> Iterator[Event]:
        """Those received after `begin`, up to and with `end`."""
        for index in range(bisect_right(self._times, begin), bisect_right(self._times, end)):
            yield self.events[index]

    def book_at(self, at: datetime) -> OrderBook | None:
        """The newest book that was received by `at`."""
        for index in range(bisect_right(self._times, at) - 1, -1, -1):
            event = self.events[index]
            if isinstance(event, OrderBook):
                return event
        return None

    def book_after(self, at: datetime) -> OrderBook | None:
        """The first book that was received after `at`."""
        for index in range(bisect_right(self._times, at), len(self.events)):
            event = self.events[index]
            if isinstance(event, OrderBook):
                return event
        return None

    def trade_at(self, at: datetime) -> Trade | None:
        """The newest trade that was received by `at`."""
        for index in range(bisect_right(self._times, at) - 1, -1, -1):
            event = self.events[index]
            if isinstance(event, Trade):
                return event
        return None

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    @property
    def first(self) -> datetime:
        return self._times[0]

    @property
    def last(self) -> datetime:
        return self._times[-1]


class Tape:
    """One market's recording: all that was recorded, and what of it a paper venue would be told.

    Where the best prices were recorded by themselves, books between two tellings are known, and
    only `truth` has them; elsewhere the two are the same. Times are those of receipt: the venue's
    own are of another clock, and not all frames have one.
    """

    def __init__(
        self, *, venue: str, symbol: Symbol, truth: Sequence[Event], feed: Sequence[Event]
    ) -> None:
        self.venue = venue
        self.symbol = symbol
        self.truth = Track(truth)
        self.feed = Track(feed)

    @cached_property
    def instrument(self) -> Instrument:
        """The grid on which all recorded numbers lie; a recording does not tell the venue's own."""
        lot = _step(_quantities(self.feed.events))
        return Instrument(
            symbol=self.symbol,
            tick=_step(_prices(self.feed.events)),
            lot=lot,
            min_quantity=Quantity(lot),
            min_notional=Notional(Decimal(0)),
        )


def received_at(event: Event) -> datetime:
    return event.at if isinstance(event, OrderBook) else event.traded_at


def _prices(events: Sequence[Event]) -> Iterator[Decimal]:
    for event in events:
        if isinstance(event, OrderBook):
            yield from (level.price for level in chain(event.bids[:1], event.asks[:1]))
        else:
            yield event.price


def _quantities(events: Sequence[Event]) -> Iterator[Decimal]:
    for event in events:
        if isinstance(event, OrderBook):
            yield from (level.quantity for level in chain(event.bids[:1], event.asks[:1]))
        else:
            yield event.quantity


def _step(numbers: Iterator[Decimal]) -> Decimal:
    """The greatest step of which all `numbers` are multiples.

    Every number here is finite, above zero and of few digits.
    """
    distinct = set(numbers)
    places = max(-int(number.normalize().as_tuple().exponent) for number in distinct)
    units = math.gcd(*(int(number.scaleb(places)) for number in distinct))
    return Decimal(units).scaleb(-places)
