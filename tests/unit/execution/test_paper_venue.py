import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.faults import Corrupt
from execution.order import OrderStatus
from execution.paper_costs import MarginRates
from execution.venue import OrderChanged, OrderRefused, stop_id
from execution.venues import paper
from execution.venues.paper import PaperVenue
from risk.approval import _SEAL
from risk.intent import Purpose
from sextant.facts import venue_codec
from sextant.journal.memory import MemoryJournal
from tests.builders_fidelity import a_book, a_print, book_terms
from tests.builders_venue import (
    MINUTE,
    NOON,
    KeptFacts,
    a_bar,
    an_id,
    approved,
    instruments,
    terms,
)


class HeldJournal(KeptFacts):
    """A journal whose disk hangs until `released` is set."""

    def __init__(self):
        super().__init__()
        self.released = asyncio.Event()

    async def flush(self):
        await self.released.wait()
        await super().flush()


def settings(journal):
    return {
        "name": "paper",
        "instruments": instruments("5"),
        "terms": terms(participation=Decimal("0.001")),
        "balances": {"USDT": Decimal(10_000)},
        "journal": journal,
        "clock": ManualClock(NOON),
    }


def a_venue(journal):
    return PaperVenue(**settings(journal))


async def reopened(journal):
    """What a daemon finds after a kill: only what was durable."""
    return await PaperVenue.open(**settings(KeptFacts(journal.durable)))


async def books(venue):
    return (await venue.balances(), await venue.open_orders(), await venue.fills())


async def test_its_books_outlive_the_process():
    journal = KeptFacts()
    venue = a_venue(journal)
    await venue.submit(approved("entry", "1", stop="95"))
    await venue.submit(approved("limit", "1", limit="90"))
    await venue.observe(a_bar("100 100 99 100"))
    await venue.cancel(an_id("limit"))
    again = await reopened(journal)
    assert await books(again) == await books(venue)
    assert (await again.order(an_id("limit"))).status is OrderStatus.CANCELLED
    for either in (venue, again):
        await either.observe(a_bar("96 96 90 91", number=1))
    assert await books(again) == await books(venue)
    assert (await again.balances())["BTC"] == 0


async def test_its_books_read_back_from_a_real_journal_as_they_were():
    journal = MemoryJournal(codec=venue_codec(), clock=ManualClock(NOON))
    venue = a_venue(journal)
    await venue.submit(approved("entry", "3", stop="95"))
    await venue.submit(approved("limit", "1", limit="90"))
    await venue.observe(a_bar("100 100 94 94"))
    await venue.cancel(an_id("limit"))
    assert await books(await PaperVenue.open(**settings(journal))) == await books(venue)


async def test_after_a_restart_an_order_is_still_one_order():
    journal = KeptFacts()
    await a_venue(journal).submit(approved("order", "1"))
    again = await reopened(journal)
    await again.submit(approved("order", "1"))
    await again.observe(a_bar("100 100 100 100"))
    assert [fill.fill_id for fill in await again.fills()] == ["paper-1"]


async def test_nothing_is_answered_or_told_before_it_is_durable():
    journal = HeldJournal()
    venue = a_venue(journal)
    async with asyncio.TaskGroup() as tasks:
        submitting = tasks.create_task(venue.submit(approved("order", "1")))
        again = tasks.create_task(venue.submit(approved("order", "1")))
        asking = tasks.create_task(venue.order(an_id("order")))
        for _ in range(5):
            await asyncio.wait({submitting}, timeout=0)
        assert not (submitting.done() or again.done() or asking.done() or venue.pending)
        assert venue.drain() == ()
        journal.released.set()
    assert asking.result().status is OrderStatus.OPEN
    (event,) = venue.drain()
    assert event.order.client_order_id == an_id("order")


async def test_an_order_whose_record_was_lost_never_got_there():
    journal = HeldJournal()
    venue = a_venue(journal)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await venue.submit(approved("order", "1"))
    again = await reopened(journal)
    assert await again.order(an_id("order")) is None


async def test_events_of_a_caller_who_gave_up_are_told_with_the_next_ones():
    journal = HeldJournal()
    venue = a_venue(journal)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await venue.submit(approved("one", "1"))
    journal.released.set()
    await venue.submit(approved("two", "1"))
    told = [event.order.client_order_id for event in venue.drain()]
    assert told == [an_id("one"), an_id("two")]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda v: v.submit(approved("more", "1")), id="submit"),
        pytest.param(lambda v: v.cancel(an_id("0")), id="cancel"),
        pytest.param(lambda v: v.observe(a_bar("100 100 100 100")), id="observe"),
    ],
)
async def test_a_full_buffer_waits_and_loses_nothing(monkeypatch, act):
    monkeypatch.setattr(paper, "_MOST_EVENTS", 3)
    venue = a_venue(KeptFacts())
    for n in range(3):
        await venue.submit(approved(str(n), "1"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await act(venue)
    async with asyncio.TaskGroup() as tasks:
        acting = tasks.create_task(act(venue))
        await asyncio.wait({acting}, timeout=0)
        assert len(venue.drain()) == 3
    assert venue.pending
    assert venue.drain()


async def test_a_journal_of_something_else_is_not_opened():
    with pytest.raises(Corrupt, match="which is not the venue's"):
        await PaperVenue.open(**settings(KeptFacts(["a bar, perhaps"])))


async def test_who_comes_late_to_what_is_told_already_wakes_nobody():
    """An engine that waits for what is told would be woken for ever, and nobody else would run."""
    journal = HeldJournal()
    venue = a_venue(journal)
    async with asyncio.TaskGroup() as tasks:
        placing = tasks.create_task(venue.submit(approved("order", "1")))
        await asyncio.wait({placing}, timeout=0)
        first, journal.released = journal.released, asyncio.Event()
        asking = tasks.create_task(venue.open_orders())
        await asyncio.wait({asking}, timeout=0)
        first.set()
        await placing
        assert venue.drain()
        journal.released.set()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await venue.wait()


async def test_a_stop_that_has_gone_off_gives_its_place_to_none():
    """It is an order at market by now, and a stop in its place would let the loss run."""
    venue = a_venue(KeptFacts())

    def a_stop(name, trigger, quantity, replaces=None):
        return approved(name, quantity, trigger=trigger, reduce_only=True, replaces=replaces)

    await venue.submit(approved("entry", "1"))
    await venue.observe(a_bar("100 100 100 100", number=0))
    await venue.submit(a_stop("first", "95", "-1"))
    await venue.observe(a_bar("96 97 90 96", number=1, volume="400"))
    with pytest.raises(OrderRefused, match="triggered"):
        await venue.submit(a_stop("second", "95.5", "-0.6", replaces="first"))
    await venue.observe(a_bar("100 100 100 100", number=2))
    assert sum(fill.side.sign * fill.quantity for fill in await venue.fills()) == 0


async def test_an_order_can_fill_from_its_latency_on():
    clock = ManualClock(NOON)
    venue = PaperVenue(
        **settings(KeptFacts()) | {"clock": clock, "terms": terms(latency=MINUTE / 2)}
    )
    clock.move_to(NOON + MINUTE)
    await venue.submit(approved("order", "1"))
    await venue.observe(a_bar("100 100 100 100"))
    await venue.observe(a_bar("100 120 100 120", number=1))
    (fill,) = await venue.fills()
    assert (fill.price, fill.filled_at) == (110, NOON + 1.5 * MINUTE)


async def test_a_child_can_be_cancelled_to_make_room_for_another_stop():
    venue = a_venue(KeptFacts())
    await venue.submit(approved("entry", "1", stop="95"))
    await venue.observe(a_bar("100 100 100 100"))
    await venue.cancel(stop_id(an_id("entry")))
    await venue.submit(approved("tighter", "-1", trigger="98", reduce_only=True))
    await venue.observe(a_bar("99 99 97 97", number=1))
    last = [event for event in venue.drain() if isinstance(event, OrderChanged)][-1]
    assert (last.order.client_order_id, last.order.status) == (
        an_id("tighter"),
        OrderStatus.FILLED,
    )


@pytest.mark.req("S0-5")
async def test_what_exchanges_holdings_is_no_position_where_margin_is_traded():
    """Neither now nor after a restart: nothing is lent, and no stop could take it for its own."""
    journal, margin = KeptFacts(), MarginRates(opening=Decimal("0.1"), rollover=Decimal("0.1"))
    venue = PaperVenue(**settings(journal) | {"terms": terms(), "margin": margin})
    bought = approved("kept", "1", limit="110")
    exchange = replace(
        bought, intent=replace(bought.intent, purpose=Purpose.ALLOCATION), seal=_SEAL
    )
    await venue.submit(exchange)
    await venue.observe(a_bar("100 100 100 100"))
    again = await PaperVenue.open(
        **settings(KeptFacts(journal.durable)) | {"terms": terms(), "margin": margin}
    )
    for there in (venue, again):
        assert (await there.balances())["BTC"] == 1
        assert await there.charges() == []
        with pytest.raises(OrderRefused, match="no position to reduce"):
            await there.submit(approved("exit", "-1", reduce_only=True))
    poor = approved("poor", "100", limit="110")
    poor = replace(poor, intent=replace(poor.intent, purpose=Purpose.ALLOCATION), seal=_SEAL)
    with pytest.raises(OrderRefused, match="needs"):
        await venue.submit(poor)  # on margin it could borrow


# -- over a live market

LATENCY = timedelta(milliseconds=100)
BIDS, ASKS = "100 5, 99 3", "101 2, 102 6"


def live_settings(journal, clock=None):
    return settings(journal) | {
        "clock": clock or ManualClock(NOON),
        "terms": terms(latency=LATENCY),
        "book_terms": book_terms(),
    }


def test_it_says_what_fills_its_orders():
    assert PaperVenue(**live_settings(KeptFacts())).source == "order books and trades"
    assert a_venue(KeptFacts()).source == "closed bars"


async def test_an_order_arrives_by_itself_while_the_venue_runs():
    clock = ManualClock(NOON)
    venue = PaperVenue(**live_settings(KeptFacts(), clock))
    await venue.hear(a_book(BIDS, ASKS))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(venue.run())
        for name in ("first", "second"):
            await venue.submit(approved(name, "1"))
            venue.drain()
            clock.move_to(clock.now() + LATENCY)
            async with asyncio.timeout(60):
                await venue.wait()
        running.cancel()
    assert [fill.filled_at - NOON for fill in await venue.fills()] == [LATENCY, 2 * LATENCY]


async def test_an_order_on_its_way_out_can_fill_after_a_restart_too():
    journal = MemoryJournal(codec=venue_codec(), clock=ManualClock(NOON))
    clock = ManualClock(NOON)
    venue = PaperVenue(**live_settings(journal, clock))
    for name, limit in (("fills", "100"), ("ends", "99")):
        await venue.submit(approved(name, "1", limit=limit))
    clock.move_to(NOON + 10 * LATENCY)
    await venue.hear(a_book(BIDS, ASKS))
    for name in ("fills", "ends"):
        await venue.cancel(an_id(name))
    assert len(await venue.open_orders()) == 2
    again = await PaperVenue.open(**live_settings(journal, clock))
    await again.hear(a_book(BIDS, ASKS, at=1_000))
    await again.hear(a_print("sell", "100", "9", at=1_000))
    clock.move_to(clock.now() + LATENCY)
    await again.hear(a_book(BIDS, ASKS, at=1_100))
    assert (await again.order(an_id("fills"))).status is OrderStatus.FILLED
    assert (await again.order(an_id("ends"))).status is OrderStatus.CANCELLED


async def test_on_bars_alone_books_and_trades_fill_nothing():
    venue = a_venue(KeptFacts())
    await venue.submit(approved("order", "1"))
    await venue.hear(a_book(BIDS, ASKS))
    await venue.run()  # it has nothing to do
    assert not await venue.fills()
