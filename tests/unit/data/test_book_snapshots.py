"""A snapshot of each book on the minute, if it is one that can be believed."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.feeds.source import BookBroken
from data.instrument import Symbol
from data.kraken_db.order_book import BookSnapshots, LeftOut, SnapshotSettings, collect_books
from data.order_book import Level, OrderBook
from data.store_memory import MemoryBookStore
from tests.builders_feeds import other_tasks
from tests.fakes_source import BTC, MINUTE, OPENING, OutageStore, ScriptedSource

XRP = Symbol("XRP/USDT")
NEXT = OPENING + MINUTE


def a_book(second, *, bid=99, levels=30, bids=None, symbol=BTC):
    """`second` is after the opening; the best ask is 100."""
    sides = [
        tuple(Level(Decimal(bid - n), Decimal(1)) for n in range(levels)),
        tuple(Level(Decimal(100 + n), Decimal(1)) for n in range(levels)),
    ]
    at = OPENING + timedelta(seconds=second)
    return OrderBook(
        symbol=symbol, at=at, bids=bids if bids is not None else sides[0], asks=sides[1]
    )


async def snapped(*books, symbols=(BTC,), until=NEXT, store=None, forgotten=None):
    """The store and the health after `books` were told at their times, up to `until`."""
    clock, store = ManualClock(OPENING), store if store is not None else MemoryBookStore()
    snapshots = BookSnapshots(store, symbols, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(snapshots.run())
        await other_tasks()
        for book in books:
            clock.move_to(min(book.at, until))
            await snapshots.take(book)
            await other_tasks()
        if forgotten is not None:
            await snapshots.forget(forgotten)
        while clock.now() < until:
            clock.move_to(clock.now() + timedelta(seconds=1))
            await other_tasks()
        running.cancel()
    return store, snapshots.health


@pytest.mark.req("S0-32")
async def test_the_newest_book_is_kept_on_the_minute_with_25_levels():
    store, health = await snapped(a_book(40, bid=98), a_book(58))
    kept = await store.last(BTC, 10)
    assert [book.at for book in kept] == [NEXT]
    assert (len(kept[0].bids), len(kept[0].asks)) == (25, 25)
    assert kept[0].bids[0].price == 99
    assert (health.kept, dict(health.left_out)) == (1, {})


@pytest.mark.parametrize(
    ("book", "reason"),
    [
        pytest.param(None, LeftOut.NONE, id="no book"),
        pytest.param(a_book(29), LeftOut.STALE, id="too old"),
        pytest.param(a_book(59, bid=100), LeftOut.CROSSED, id="crossed"),
        pytest.param(a_book(59, bids=()), LeftOut.EMPTY, id="one side"),
    ],
)
async def test_a_book_that_nobody_should_believe_is_left_out_and_counted(book, reason):
    store, health = await snapped(*([book] if book else []))
    assert await store.last(BTC, 10) == []
    assert dict(health.left_out) == {reason: 1}


async def test_a_book_of_exactly_the_greatest_age_is_kept():
    store, _ = await snapped(a_book(30))
    assert len(await store.last(BTC, 10)) == 1


async def test_each_symbol_each_minute():
    books = [a_book(s, symbol=symbol) for s in range(20, 190, 20) for symbol in (BTC, XRP)]
    store, health = await snapped(*books, symbols=(BTC, XRP), until=OPENING + 3 * MINUTE)
    for symbol in (BTC, XRP):
        assert [b.at for b in await store.last(symbol, 10)] == [
            OPENING + n * MINUTE for n in (1, 2, 3)
        ]
    assert health.kept == 6


async def test_a_book_of_after_the_minute_is_not_the_minutes():
    """The venue's clock is ahead of ours: its 12:00:01 comes before our 12:00."""
    clock, store = ManualClock(OPENING + timedelta(seconds=59)), MemoryBookStore()
    snapshots = BookSnapshots(store, [BTC], clock=clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(snapshots.run())
        await snapshots.take(a_book(58, bid=97))
        await snapshots.take(a_book(61, bid=98))
        await other_tasks()
        clock.move_to(NEXT)
        await other_tasks()
        running.cancel()
    assert [book.bids[0].price for book in await store.last(BTC, 10)] == [97]


async def test_a_book_whose_stream_has_broken_is_forgotten():
    store, health = await snapped(a_book(58), forgotten=BTC)
    assert await store.last(BTC, 10) == []
    assert dict(health.left_out) == {LeftOut.NONE: 1}


async def test_an_outage_of_the_store_loses_no_snapshot():
    store = OutageStore(MemoryBookStore(), failures=2)
    books = [a_book(s) for s in range(20, 190, 20)]
    _, health = await snapped(*books, until=OPENING + 3 * MINUTE, store=store)
    assert [book.at for book in await store.last(BTC, 10)] == [
        OPENING + n * MINUTE for n in (1, 2, 3)
    ]
    assert (health.outages, health.waiting) == (2, 0)


async def test_a_broken_stream_is_opened_anew():
    clock, store = ManualClock(OPENING), MemoryBookStore()
    settings = SnapshotSettings()
    first, second = asyncio.Event(), asyncio.Event()
    broken = [a_book(0, bid=90), BookBroken("checksum"), a_book(1, bid=91)]
    stream = [*broken, first, a_book(20), second, a_book(45)]
    source = ScriptedSource(now=clock.now, book_stream=stream)
    snapshots = BookSnapshots(store, [BTC], clock=clock, settings=settings)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            collect_books(source, snapshots, [BTC], clock=clock, settings=settings)
        )
        for at in range(61):
            if event := {20: first, 45: second}.get(at):
                event.set()
            await other_tasks()
            clock.move_to(clock.now() + timedelta(seconds=1))
        running.cancel()
    assert [book.bids[0].price for book in await store.last(BTC, 10)] == [99]
