"""The matching core of paper over a live exchange: moved by its order books and trades as told.

Pure, as `execution.matching` is, and every time is one clock's: that of whoever is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Final, NamedTuple

from data.bar import Bar
from data.instrument import Instrument, Price, Quantity, Side, Symbol
from data.order_book import OrderBook
from data.trade import Trade
from execution.depth import Depth, walk
from execution.fill import Liquidity
from execution.matching import Matching, Step
from execution.order import OrderStatus
from execution.paper_terms import PaperTerms, stop_is_reached
from execution.queue_position import QueuePlace, QueueTerms, standing_at
from execution.venue import OrderChanged
from execution.venue_books import Books
from execution.venue_state import CancelSent, Leaving, VenueFact, WorkingOrder

BY_BAR: Final = "by a closed bar: its order book was not followed"
"""The reason of what an order came to without a book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTerms:
    """How paper believes a live order book."""

    queue: QueueTerms
    max_age: timedelta  # of the newest book that an order may still walk

    def __post_init__(self) -> None:
        if self.max_age <= timedelta(0):
            raise ValueError(f"a book is believed for some time: {self.max_age}")


class _Message(NamedTuple):
    """What is on its way to the venue: an order, or the end that was asked for."""

    at: datetime  # its arrival
    order: WorkingOrder
    end: Leaving | None = None


class _Followed:
    """What has been told of one symbol."""

    __slots__ = ("_depths", "_max_age", "_told_at", "last", "since")

    def __init__(self, max_age: timedelta) -> None:
        self.last: Price | None = None  # of the newest trade
        self.since: datetime | None = None  # the book has been followed without a break
        self._max_age = max_age
        self._told_at: datetime | None = None
        self._depths = {side: Depth() for side in Side}

    def offered_to(self, side: Side) -> Depth:
        return self._depths[side]

    def tell(self, book: OrderBook, at: datetime) -> None:
        if not self.is_fresh(at):
            self.since, self.last = at, None
        self._told_at = at
        for side, depth in self._depths.items():
            depth.tell(book.taken_by(side))

    def hear(self, trade: Trade) -> None:
        self.last = trade.price
        self._depths[trade.side].give_way(trade.side, trade.price, trade.quantity)

    def is_fresh(self, at: datetime) -> bool:
        """Whether the newest book can be believed at `at`."""
        return self._told_at is not None and at - self._told_at <= self._max_age

    def covers(self, bar: Bar) -> bool:
        """Whether the book was followed for all of the bar."""
        has_begun = self.since is not None and self.since <= bar.opened_at
        return has_begun and self.is_fresh(bar.closed_at)


class LiveMatching(Matching):
    """One account on live order books.

    What arrives, `terms.latency` after it was sent, takes what the newest book offers within its
    limit; what is left of a market order takes of the following books. What is left of a limit
    order joins the queue at its price with the first book told after its arrival, behind all that
    stands there, and is filled at its limit by others' trades alone. What is post-only ends where
    the book that it meets would have it take. A trade sets stops and targets off; they walk the
    book as it stands behind that trade. A cancellation travels as long as an order does.

    Where the book was not followed, before a start or while it was away, closed bars fill what
    waited then, as in `Matching`, and what they change says so by its reason. After a restart what
    rests queues anew.
    """

    def __init__(
        self,
        *,
        venue: str,
        instruments: Mapping[Symbol, Instrument],
        terms: PaperTerms,
        book_terms: BookTerms,
        balances: Mapping[str, Decimal],
        books: Books | None = None,
    ) -> None:
        super().__init__(
            venue=venue, instruments=instruments, terms=terms, balances=balances, books=books
        )
        self._queue_terms = book_terms.queue
        self._followed = {symbol: _Followed(book_terms.max_age) for symbol in instruments}
        self._arrived: set[str] = set()
        self._places: dict[str, QueuePlace] = {}
        self._is_bar = False

    @property
    def next_due(self) -> datetime | None:
        """When the next message that is on its way arrives; `pass_time` then."""
        return min((message.at for message in self._travelling()), default=None)

    def cancel(
        self,
        client_order_id: str,
        at: datetime,
        *,
        status: OrderStatus = OrderStatus.CANCELLED,
        reason: str = "on request",
    ) -> list[VenueFact]:
        """Ask for the end of an order; a second time, or where it is final or unknown, is nothing.

        It comes to be so by `pass_time`, if nothing has ended the order before.
        """
        facts: list[VenueFact] = []
        working = self._state.orders.get(client_order_id)
        if working is not None and not working.is_final and working.leaving is None:
            sent = CancelSent(client_order_id=client_order_id, at=at, status=status, reason=reason)
            self._do(facts, sent)
        return facts

    def pass_time(self, at: datetime) -> list[VenueFact]:
        """Let every message arrive that is due by `at`, in the order of arrival."""
        facts: list[VenueFact] = []
        while due := [message for message in self._travelling() if message.at <= at]:
            first = min(due, key=attrgetter("at"))
            if first.end is None:
                self._arrive(first.order, first.at, facts)
            else:
                self._end(facts, first.order, first.end.status, first.at, first.end.reason)
            self._tidy(first.order.view.symbol, first.at, facts)
        return facts

    def show(self, book: OrderBook, at: datetime) -> list[VenueFact]:
        """Take a book that is told at `at`; one that is crossed is not believed."""
        facts = self.pass_time(at)
        followed = self._followed.get(book.symbol)
        if followed is None or book.is_crossed:
            return facts
        followed.tell(book, at)
        for working in self._standing(book.symbol):
            if not working.is_final:
                self._after_book(working, book, at, facts)
        self._tidy(book.symbol, at, facts)
        return facts + self.pass_time(at)

    def hear(self, trade: Trade, at: datetime) -> list[VenueFact]:
        """Take a trade that is told at `at`; one from before the book was followed is a bar's."""
        facts = self.pass_time(at)
        followed = self._followed.get(trade.symbol)
        if followed is None or followed.since is None or trade.traded_at < followed.since:
            return facts
        followed.hear(trade)
        instrument = self._instruments[trade.symbol]
        step = Step(instrument=instrument, volume=instrument.quantity(trade.quantity), facts=facts)
        for working in self._standing(trade.symbol):
            if not working.is_final:
                self._after_trade(working, trade, at, step)
        self._tidy(trade.symbol, at, facts)
        return facts + self.pass_time(at)

    def observe(self, bar: Bar) -> Sequence[VenueFact]:
        followed = self._followed.get(bar.symbol)
        if followed is not None and followed.covers(bar):
            self._bars[bar.symbol] = bar
            return ()
        self._is_bar = True
        facts = super().observe(bar)
        self._is_bar = False
        self._forget()
        return facts

    def _may_meet(self, working: WorkingOrder, bar: Bar) -> bool:
        """What has only ever stood where the book was followed is no concern of bars."""
        followed = self._followed[bar.symbol]
        since = followed.since
        is_left = (
            since is None or working.effective_at < since or not followed.is_fresh(bar.closed_at)
        )
        return is_left and super()._may_meet(working, bar)

    def _travelling(self) -> Iterator["_Message"]:
        for resting in self._state.resting.values():
            for working in resting.values():
                if working.view.client_order_id not in self._arrived:
                    yield _Message(working.effective_at, working)
                if working.leaving is not None:
                    yield _Message(working.leaving.at, working, working.leaving)

    def _standing(self, symbol: Symbol) -> list[WorkingOrder]:
        """The orders that have arrived, the first first."""
        resting = self._state.resting.get(symbol, {})
        return [w for name, w in resting.items() if name in self._arrived]

    def _arrive(self, working: WorkingOrder, at: datetime, facts: list[VenueFact]) -> None:
        view = working.view
        self._arrived.add(view.client_order_id)
        followed = self._followed[view.symbol]
        if working.waits:
            self._watch(working, followed, at, facts)
        elif followed.is_fresh(at):
            self._meet(working, followed, at, facts)

    def _meet(
        self, working: WorkingOrder, followed: _Followed, at: datetime, facts: list[VenueFact]
    ) -> None:
        """Take what is offered; what is post-only ends where it would."""
        depth = followed.offered_to(working.view.side)
        if not working.post_only:
            self._walk(working, depth, at, facts)
        elif self._would_take(working, depth):
            self._end(facts, working, OrderStatus.EXPIRED, at, "post-only: it would take")

    def _would_take(self, working: WorkingOrder, depth: Depth) -> bool:
        view = working.view
        return bool(walk(depth.offered, view.side, working.remaining, view.limit))

    def _watch(
        self, working: WorkingOrder, followed: _Followed, at: datetime, facts: list[VenueFact]
    ) -> None:
        """Set off what the newest trade reaches."""
        view = working.view
        if view.trigger is None or followed.last is None:
            return
        if stop_is_reached(view.trigger, followed.last, working.trigger_side):
            self._set_off(working, at, facts)
            if followed.is_fresh(at):
                self._walk(working, followed.offered_to(view.side), at, facts)

    def _after_book(
        self, working: WorkingOrder, book: OrderBook, at: datetime, facts: list[VenueFact]
    ) -> None:
        """A market order goes on; a limit order joins its queue, or learns how that has moved."""
        view = working.view
        if working.waits:
            return
        place = self._places.get(view.client_order_id)
        if place is None:
            self._meet(working, self._followed[view.symbol], at, facts)
        if view.limit is not None and not working.is_final:
            standing = standing_at(book, view.side, view.limit)
            if place is None:
                place = QueuePlace.behind(standing)
            elif standing is not None:
                place = place.after_level(standing, at, self._queue_terms)
            self._places[view.client_order_id] = place

    def _after_trade(self, working: WorkingOrder, trade: Trade, at: datetime, step: Step) -> None:
        view = working.view
        if working.waits:
            self._watch(working, self._followed[view.symbol], at, step.facts)
            return
        place = self._places.get(view.client_order_id)
        if place is None or view.limit is None or trade.side is view.side:
            return
        place, reaching = place.after(trade, view.limit, at, self._queue_terms)
        self._places[view.client_order_id] = place
        self._fill_resting(working, view.limit, reaching, at, step)

    def _fill_resting(
        self, working: WorkingOrder, limit: Price, reaching: Quantity, at: datetime, step: Step
    ) -> None:
        """Fill by what of a trade reaches an order and no other order of ours has had."""
        left = step.volume or Quantity(Decimal(0))
        ours = min(left, step.instrument.quantity(reaching))
        part = Step(instrument=step.instrument, volume=ours, facts=step.facts)
        self._fill(working, limit, at, Liquidity.MAKER, part)
        step.volume = Quantity(left - (ours - (part.volume or Decimal(0))))

    def _tidy(self, symbol: Symbol, at: datetime, facts: list[VenueFact]) -> None:
        if facts:
            self._release_idle(facts, symbol, at)
            self._forget()

    def _forget(self) -> None:
        """Let go of orders that are final."""
        final = {name for name in self._arrived if self._state.orders[name].is_final}
        self._arrived -= final
        for name in final:
            self._places.pop(name, None)

    def _tell(self, facts: list[VenueFact], working: WorkingOrder, at: datetime) -> None:
        reason = BY_BAR if self._is_bar else ""
        self._do(facts, OrderChanged(order=working.view, at=at, reason=reason))

    def _last_prices(self) -> dict[Symbol, Price]:
        told = {s: f.last for s, f in self._followed.items() if f.last is not None}
        return super()._last_prices() | told
