"""The engine: on record before on the wire, once, and every outcome followed up."""

import asyncio
from collections import deque
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.faults import Corrupt
from execution.blotter import FillBooked, ForeignEvent, OrderDone, OrderRisen
from execution.engine import IntakeClosed, QueueFull, StaleIntent
from execution.fill import Fill
from execution.order import Cancelling, OrderStatus, Outcome, Submitted, Submitting
from execution.venue import OrderChanged, OrderRefused, OutcomeUnknown, VenueUnavailable, stop_id
from tests.builders_engine import (
    BALANCES,
    a_clock,
    a_paper_venue,
    an_engine,
    an_entry,
    an_exit,
)
from tests.builders_venue import BTC, NOON, XRP, KeptFacts, a_bar, a_fill, an_id

SECOND = timedelta(seconds=1)


async def a_turn():
    """Let every task that can go on do so once."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


class Line:
    """The way to a paper venue, on which something befalls each next submission, or question."""

    def __init__(self, venue, journal):
        self._venue = venue
        self._journal = journal
        self.submissions = deque()  # what befalls the next ones: an error, "lost" or "late"
        self.questions = deque()
        self.cancels = deque()
        self.sent = []
        self.cancelled = []
        self.durable_when_sent = []
        self.late = []
        self.hold = None  # an event that submissions wait for

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def submit(self, order):
        self.sent.append(order.intent.intent_id)
        self.durable_when_sent.append(len(self._journal.durable))
        if self.hold is not None:
            await self.hold.wait()
        match self.submissions.popleft() if self.submissions else None:
            case "lost":
                raise OutcomeUnknown("it never got there")
            case "late":
                self.late.append(order)
                raise OutcomeUnknown("it is on its way")
            case "unanswered":
                await self._venue.submit(order)
                self._venue.drain()
                raise OutcomeUnknown("it got there")
            case None:
                await self._venue.submit(order)
            case error:
                raise error

    async def arrive(self):
        for order in self.late:
            await self._venue.submit(order)

    async def order(self, client_order_id):
        if self.questions:
            raise self.questions.popleft()
        return await self._venue.order(client_order_id)

    async def cancel(self, client_order_id):
        if self.cancels:
            raise self.cancels.popleft()
        self.cancelled.append(client_order_id)
        await self._venue.cancel(client_order_id)


class Stand:
    """An engine, its journal, its clock, and the line to its venue."""

    def __init__(self, clock, venue, *, facts=(), **settings):
        self.clock = clock
        self.journal = KeptFacts(facts)
        self.line = Line(venue, self.journal)
        self.told = []
        self.engine = an_engine(
            self.line, clock, self.journal, listener=self.told.append, **settings
        )

    def settled(self):
        """What the venue has told now, and what was told before."""
        self.engine.settle()
        told = tuple(self.told)
        self.told.clear()
        return told

    async def bar(self, prices="100 101 99 100", **details):
        bar = a_bar(prices, **details)
        self.clock.move_to(bar.closed_at)
        await self.line.observe(bar)
        self.engine.ledger.mark(bar.symbol, bar.close, bar.closed_at)

    async def after(self, seconds):
        self.clock.move_to(self.clock.now() + seconds * SECOND)
        await self.engine.work()

    def status(self, name):
        order = self.engine.blotter.find(an_id(name))
        return order.status if order is not None else None

    @property
    def facts(self):
        return self.journal.durable + self.journal._written


@pytest.fixture
async def stand():
    clock = a_clock()
    return Stand(clock, await a_paper_venue(clock, taker_fee=Decimal("0.001")))


def outcomes(stand):
    return [fact.outcome for fact in stand.facts if isinstance(fact, Submitted)]


@pytest.mark.req("S0-21", "S1-131")
async def test_an_order_is_durable_before_it_is_on_the_wire(stand):
    stand.engine.accept(an_entry("A"))
    assert stand.line.sent == []
    await stand.engine.work()
    assert stand.line.sent == [an_id("A")]
    assert stand.line.durable_when_sent == [1]
    submitting = stand.journal.durable[0]
    assert isinstance(submitting, Submitting)
    assert submitting.order.client_order_id == an_id("A")
    assert (submitting.decided_at, submitting.wished) == (NOON, 1)
    assert outcomes(stand) == [Outcome.ACCEPTED]


@pytest.mark.req("S1-131", "S1-137")
async def test_an_entry_fills_is_booked_and_is_protected(stand):
    stand.engine.accept(an_entry("A", stop="90"))
    await stand.engine.work()
    await stand.bar()
    booked, done = stand.settled()
    assert isinstance(booked, FillBooked)
    assert isinstance(done, OrderDone)
    assert booked.order.client_order_id == done.order.client_order_id == an_id("A")
    assert stand.engine.account(stand.clock.now()).held(BTC) == 1
    assert [order.client_order_id for order in stand.engine.orders] == [stop_id(an_id("A"))]
    assert stand.engine.plans[BTC].price == 90
    assert stand.settled() == ()


async def test_the_stop_that_fills_closes_the_trade_and_the_plan(stand):
    stand.engine.accept(an_entry("A", stop="90"))
    await stand.engine.work()
    await stand.bar()
    await stand.bar("95 96 89 91", number=1)
    settled = stand.settled()
    closed = [s.closed for s in settled if isinstance(s, FillBooked) and s.closed is not None]
    assert [trade.quantity for trade in closed] == [1]
    assert stand.engine.orders == ()
    assert not stand.engine.plans


async def test_what_is_left_as_dust_keeps_no_plan(stand):
    stand.engine.accept(an_entry("A", stop="90"))
    await stand.engine.work()
    await stand.bar()
    stand.engine.settle()
    stand.engine.accept(an_exit("X", "-0.96"))
    await stand.engine.work()
    await stand.bar(number=1)
    stand.engine.settle()
    assert stand.engine.ledger.held(BTC) == Decimal("0.04")
    assert not stand.engine.plans


async def test_the_same_order_again_changes_nothing(stand):
    for _ in range(2):
        stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    await stand.bar()
    stand.engine.settle()
    stand.engine.accept(an_entry("A"))
    assert not stand.engine.outbox.has_work
    assert stand.line.sent == [an_id("A")]


async def test_an_order_counts_as_in_flight_from_the_moment_it_is_accepted(stand):
    stand.engine.ledger.mark(BTC, Decimal(100), NOON)
    stand.engine.accept(an_entry("A", "0.5"))
    (flying,) = stand.engine.account(NOON).in_flight
    assert (flying.client_order_id, flying.quantity) == (an_id("A"), Decimal("0.5"))
    assert (flying.notional, flying.reduce_only) == (50, False)
    assert stand.engine.account(NOON).pending(BTC) == Decimal("0.5")


async def test_what_no_price_values_is_in_flight_without_bound(stand):
    stand.engine.accept(an_entry("A"))
    assert stand.engine.account(NOON).in_flight[0].notional == Decimal("Infinity")


async def test_a_full_queue_takes_no_more_and_records_nothing():
    clock = a_clock()
    stand = Stand(clock, await a_paper_venue(clock), queue=1)
    stand.engine.accept(an_entry("A"))
    with pytest.raises(QueueFull):
        stand.engine.accept(an_entry("B"))
    assert [fact.order.client_order_id for fact in stand.facts] == [an_id("A")]
    await stand.engine.work()
    stand.engine.accept(an_entry("B"))
    assert stand.status("B") is OrderStatus.SUBMITTING


async def test_a_forgotten_order_is_still_no_new_one():
    clock = a_clock()
    stand = Stand(clock, await a_paper_venue(clock), remembered=1)
    for number, name in enumerate("AB"):
        clock.move_to(NOON + number * SECOND)
        stand.line.submissions.append(OrderRefused("no"))
        stand.engine.accept(an_entry(name, decided_at=clock.now()))
        await stand.engine.work()
    assert stand.status("A") is None
    with pytest.raises(StaleIntent):
        stand.engine.accept(an_entry("A"))
    stand.engine.accept(an_entry("C", decided_at=clock.now()))
    assert stand.status("C") is OrderStatus.SUBMITTING


async def test_a_refused_order_is_rejected_and_said_to_be_done(stand):
    stand.line.submissions.append(OrderRefused("not today"))
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    (done,) = stand.settled()
    assert done.order.status is OrderStatus.REJECTED
    assert [f.detail for f in stand.facts if isinstance(f, Submitted)] == ["not today"]


async def test_an_unreachable_venue_is_tried_again_ever_more_patiently(stand):
    stand.line.submissions.extend(VenueUnavailable("down") for _ in range(3))
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    attempts = []
    for seconds in (4, 1, 9, 1, 19, 1):
        await stand.after(seconds)
        attempts.append(len(stand.line.sent))
    assert attempts == [1, 2, 2, 3, 3, 4]
    assert outcomes(stand) == [Outcome.ACCEPTED]


async def test_an_order_that_never_got_there_is_given_up(stand):
    stand.line.submissions.extend(VenueUnavailable("down") for _ in range(9))
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    for _ in range(8):
        await stand.after(60)
    assert len(stand.line.sent) == 4
    assert outcomes(stand) == [Outcome.UNAVAILABLE]
    assert stand.status("A") is OrderStatus.REJECTED


async def test_an_entry_that_waited_too_long_is_never_sent_and_an_exit_is():
    clock = a_clock()
    stand = Stand(clock, await a_paper_venue(clock), entries_last=60 * SECOND)
    stand.engine.accept(an_entry("A"))
    stand.engine.accept(an_entry("X", "100", symbol=XRP, stop="0.5"))
    stand.engine.accept(an_exit("B"))

    async def an_outage():
        clock.move_to(NOON + 61 * SECOND)

    stand.journal.flush = an_outage
    await stand.engine.work()
    assert stand.line.sent == [an_id("B")]
    assert {stand.status("A"), stand.status("X")} == {OrderStatus.REJECTED}
    assert outcomes(stand)[:2] == [Outcome.WITHHELD, Outcome.WITHHELD]


async def test_a_symbol_that_waits_holds_up_its_own_orders_only(stand):
    stand.line.submissions.append(VenueUnavailable("down"))
    stand.engine.accept(an_entry("A"))
    stand.engine.accept(an_entry("B"))
    stand.engine.accept(an_entry("X", "100", symbol=XRP, stop="0.5"))
    await stand.engine.work()
    assert stand.line.sent == [an_id("A"), an_id("X")]
    await stand.after(5)
    assert stand.line.sent == [an_id("A"), an_id("X"), an_id("A"), an_id("B")]


@pytest.mark.parametrize("mishap", ["unanswered", "lost"])
async def test_after_a_timeout_the_venue_is_asked_and_nothing_is_sent_again(stand, mishap):
    stand.line.submissions.append(mishap)
    stand.engine.accept(an_entry("A"))
    stand.engine.accept(an_exit("B"))
    await stand.engine.work()
    for _ in range(3):
        await stand.after(20)
    arrived = mishap == "unanswered"
    assert stand.status("A") is (OrderStatus.OPEN if arrived else OrderStatus.REJECTED)
    assert stand.line.sent.count(an_id("A")) == 1


async def test_while_an_order_has_no_answer_nothing_else_of_its_symbol_goes_out(stand):
    stand.line.submissions.append("unanswered")
    stand.line.questions.append(VenueUnavailable("down"))
    stand.engine.ledger.mark(BTC, Decimal(100), NOON)
    stand.engine.accept(an_entry("A"))
    stand.engine.accept(an_entry("B"))
    await stand.engine.work()
    assert stand.status("A") is OrderStatus.UNKNOWN
    assert stand.engine.outbox.unanswered == {an_id("A")}
    assert stand.engine.account(NOON).pending(BTC) == 2
    await stand.after(4)
    assert stand.line.sent == [an_id("A")]
    await stand.after(1)
    assert stand.line.sent == [an_id("A"), an_id("B")]
    assert stand.status("A") is OrderStatus.OPEN


async def test_a_missing_answer_is_no_sign_that_an_order_never_arrived(stand):
    stand.line.submissions.append("unanswered")
    stand.line.questions.extend(VenueUnavailable("down") for _ in range(4))
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    for _ in range(3):
        await stand.after(60)
        assert stand.status("A") is OrderStatus.UNKNOWN
    await stand.after(60)
    assert stand.status("A") is OrderStatus.OPEN


async def test_an_order_unknown_to_the_venue_may_still_arrive_for_a_while(stand):
    stand.line.submissions.append("late")
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    await stand.after(5)
    assert stand.status("A") is OrderStatus.UNKNOWN
    await stand.line.arrive()
    await stand.after(10)
    assert stand.status("A") is OrderStatus.OPEN


async def test_an_order_that_arrives_after_it_was_given_up_is_cancelled_there(stand):
    stand.line.submissions.append("late")
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    await stand.after(60)
    assert stand.status("A") is OrderStatus.REJECTED
    await stand.line.arrive()
    assert any(isinstance(settled, OrderRisen) for settled in stand.settled())
    await stand.engine.work()
    assert (await stand.line.order(an_id("A"))).status is OrderStatus.CANCELLED


async def test_an_order_asked_after_brings_its_fills(stand):
    stand.line.submissions.append("unanswered")
    stand.line.questions.append(VenueUnavailable("down"))
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    await stand.bar()
    stand.line.drain()
    await stand.after(10)
    assert stand.status("A") is OrderStatus.FILLED
    assert stand.engine.account(stand.clock.now()).held(BTC) == 1


async def test_a_fill_that_was_asked_for_and_is_told_again_is_on_record_once(stand):
    """Found by kills: a start reconciles, and then the stream tells of the same fill."""
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    await stand.bar()
    told = stand.line.drain()
    await stand.engine.collect_fills()
    stand.line.pending, stand.line.drain = True, lambda: told
    stand.engine.settle()
    assert sum(isinstance(fact, Fill) for fact in stand.facts) == 1
    assert stand.status("A") is OrderStatus.FILLED


async def test_a_cancelled_order_is_cancelled_there_once(stand):
    stand.engine.accept(an_entry("A", limit="80", stop="70"))
    await stand.engine.work()
    for _ in range(2):
        stand.engine.cancel(an_id("A"))
    assert stand.engine.orders[0].cancelling
    await stand.engine.work()
    stand.engine.settle()
    assert stand.status("A") is OrderStatus.CANCELLED
    assert stand.line.cancelled == [an_id("A")]
    assert sum(isinstance(fact, Cancelling) for fact in stand.facts) == 1


async def test_an_order_cancelled_before_it_was_sent_is_never_sent(stand):
    stand.engine.accept(an_entry("A"))
    stand.engine.cancel(an_id("A"))
    await stand.engine.work()
    assert (stand.line.sent, stand.line.cancelled) == ([], [])
    assert stand.status("A") is OrderStatus.REJECTED


async def test_a_cancellation_is_repeated_until_the_venue_has_it(stand):
    stand.engine.accept(an_entry("A", limit="80", stop="70"))
    await stand.engine.work()
    stand.line.cancels.extend([VenueUnavailable("down"), OutcomeUnknown("no answer")])
    stand.engine.cancel(an_id("A"))
    for _ in range(3):
        await stand.after(60)
    stand.engine.settle()
    assert stand.status("A") is OrderStatus.CANCELLED


async def test_neither_a_cancellation_nor_an_exit_waits_for_an_entry_that_is_turned_away(stand):
    """The venue has no room for another entry now; what takes exposure back goes out at once."""
    stand.engine.accept(an_entry("A", limit="80", stop="70"))
    await stand.engine.work()
    stand.line.submissions.append(VenueUnavailable("too many orders of late"))
    stand.engine.accept(an_entry("B"))
    await stand.engine.work()
    stand.engine.cancel(an_id("A"))
    stand.engine.accept(an_exit("C"))
    await stand.engine.work()
    assert stand.line.cancelled == [an_id("A")]
    assert stand.line.sent == [an_id("A"), an_id("B"), an_id("C")]


@pytest.mark.parametrize("name", ["done", "foreign"])
async def test_cancelling_what_does_not_work_does_nothing(stand, name):
    stand.line.submissions.append(OrderRefused("no"))
    stand.engine.accept(an_entry("done"))
    await stand.engine.work()
    stand.engine.cancel(an_id(name))
    assert not stand.engine.outbox.has_work


async def test_what_is_not_ours_is_told_and_not_booked(stand):
    event = a_fill(1, "1", "100")
    stand.engine.record(event)
    assert stand.settled() == (ForeignEvent(event=event),)
    assert stand.engine.ledger.balances == BALANCES


async def test_an_outcome_of_no_order_is_corrupt(stand):
    with pytest.raises(Corrupt):
        stand.engine.record(
            Submitted(client_order_id=an_id("A"), outcome=Outcome.ACCEPTED, detail="", at=NOON)
        )


async def test_an_impossible_event_is_on_record_before_it_stops_us(stand):
    stand.engine.accept(an_entry("A", "0.5"))
    await stand.engine.work()
    view = await stand.line.order(an_id("A"))
    wrong = OrderChanged(order=replace(view, quantity=Decimal(7)), at=NOON)
    with pytest.raises(Corrupt):
        stand.engine.record(wrong)
    assert stand.facts[-1] == wrong


async def test_a_submission_on_the_wire_is_shielded_until_its_outcome_is_on_record(stand):
    stand.line.hold = asyncio.Event()
    stand.engine.accept(an_entry("A"))
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(stand.engine.work())
        while not stand.line.sent:
            await a_turn()
        for _ in range(2):
            work.cancel()
            await a_turn()
        assert not work.done()
        assert outcomes(stand) == []
        stand.line.hold.set()
    assert work.cancelled()
    assert outcomes(stand) == [Outcome.ACCEPTED]


async def test_running_it_sends_books_and_tells(stand):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stand.engine.run())
        stand.engine.accept(an_entry("A"))
        while stand.status("A") is not OrderStatus.OPEN:
            await a_turn()
        await stand.bar()
        while not stand.told:
            await a_turn()
        running.cancel()
    assert [type(settled) for settled in stand.told] == [FillBooked, OrderDone]


async def test_running_it_comes_back_to_what_had_to_wait(stand):
    stand.line.submissions.append(VenueUnavailable("down"))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stand.engine.run())
        stand.engine.accept(an_entry("A"))
        while not stand.line.sent:
            await a_turn()
        for _ in range(5):
            await a_turn()
        stand.clock.move_to(NOON + 5 * SECOND)
        while stand.status("A") is not OrderStatus.OPEN:
            await a_turn()
        running.cancel()
    assert len(stand.line.sent) == 2


async def test_draining_sends_what_waits_gives_up_the_rest_and_takes_no_more(stand):
    stand.line.submissions.extend([VenueUnavailable("down"), None])
    stand.engine.accept(an_entry("A"))
    stand.engine.accept(an_entry("X", "100", symbol=XRP, stop="0.5"))
    await stand.engine.drain()
    assert stand.status("X") is OrderStatus.OPEN
    assert stand.status("A") is OrderStatus.REJECTED
    assert stand.journal._written == []
    assert [settled.order.client_order_id for settled in stand.told] == [an_id("A")]
    with pytest.raises(IntakeClosed):
        stand.engine.accept(an_entry("C"))


async def test_memory_is_flat_however_many_orders_end():
    clock = a_clock()
    stand = Stand(clock, await a_paper_venue(clock), remembered=10)
    for number in range(200):
        clock.move_to(NOON + number * SECOND)
        stand.line.submissions.append(OrderRefused("no"))
        stand.engine.accept(an_entry(f"order {number}", decided_at=clock.now()))
        await stand.engine.work()
        stand.engine.settle()
    blotter = stand.engine.blotter
    assert len(blotter._done) == 10
    assert len(blotter._entry_of) == 10
    assert not blotter._live
    assert not stand.engine.outbox.has_work


async def test_an_idle_engine_does_nothing(stand):
    revision = stand.engine.revision
    await stand.engine.work()
    assert stand.settled() == ()
    assert stand.engine.revision == revision
    assert stand.facts == []


async def test_a_fill_that_was_asked_for_and_is_told_later_is_on_record_once(stand):
    stand.engine.accept(an_entry("A"))
    await stand.engine.work()
    await stand.bar()
    late = stand.line.drain()
    await stand.engine.collect_fills()
    stand.line.pending, stand.line.drain = True, lambda: late
    stand.engine.settle()
    (fill,) = (fact for fact in stand.facts if isinstance(fact, Fill))
    assert stand.engine.ledger.has(fill.fill_id)
    assert stand.status("A") is OrderStatus.FILLED
