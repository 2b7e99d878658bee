import asyncio
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.faults import Corrupt
from execution.order import OrderStatus
from execution.venue import OrderChanged, OrderRefused, stop_id
from execution.venues import paper
from execution.venues.paper import PaperVenue
from sextant.facts import venue_codec
from sextant.journal.memory import MemoryJournal
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
