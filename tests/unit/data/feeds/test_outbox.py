"""What waits for a slow consumer, and what gives way."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.feeds.outbox import Outbox
from data.order_book import Level, OrderBook
from tests.builders_feeds import BTC, OPENING, XRP, other_tasks


def a_bar(minute, price="10", symbol=BTC):
    ends = dict.fromkeys(("open", "high", "low", "close"), Decimal(price))
    closed_at = OPENING + timedelta(minutes=minute)
    return Bar(
        symbol=symbol, timeframe=Timeframe.M1, closed_at=closed_at, volume=Decimal(1), **ends
    )


def a_book(size, symbol=BTC):
    bids = (Level(Decimal(9), Decimal(size)),)
    return OrderBook(symbol=symbol, at=OPENING, bids=bids, asks=())


async def fetched(outbox):
    return [await outbox.get() for _ in range(len(outbox))]


async def test_books_give_way_to_newer_ones_of_their_symbol_in_place():
    outbox = Outbox(10)
    outbox.show(a_book(1))
    await outbox.tell(a_bar(1))
    outbox.show(a_book(1, XRP))
    outbox.show(a_book(2))
    outbox.show(a_book(3))
    assert await fetched(outbox) == [a_book(3), a_bar(1), a_book(1, XRP)]
    assert outbox.replaced == 2


async def test_bars_wait_for_room_and_none_is_lost():
    outbox = Outbox(2)

    async def tell():
        for minute in range(1, 6):
            await outbox.tell(a_bar(minute))

    async with asyncio.TaskGroup() as tasks:
        teller = tasks.create_task(tell())
        await other_tasks()
        assert len(outbox) == 2
        assert not teller.done()
        outbox.show(a_book(1))  # needs no room
        told = [await outbox.get() for _ in range(6)]
    assert [bar for bar in told if isinstance(bar, Bar)] == [a_bar(n) for n in range(1, 6)]


async def test_a_bar_that_waits_can_be_put_right():
    outbox = Outbox(5)
    await outbox.tell(a_bar(1))
    await outbox.tell(a_bar(2))
    assert outbox.replace(a_bar(2, "12"))
    assert not outbox.replace(a_bar(2, "12", XRP))
    assert await fetched(outbox) == [a_bar(1), a_bar(2, "12")]
    assert not outbox.replace(a_bar(1))


async def test_what_was_fetched_is_dealt_with_once_more_is_asked_for():
    outbox = Outbox(5)
    await outbox.tell(a_bar(1))
    await outbox.get()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(outbox.dealt_with())
        await other_tasks()
        assert not waiting.done()
        asking = tasks.create_task(outbox.get())
        await waiting
        await outbox.tell(a_bar(2))
    assert asking.result() == a_bar(2)


async def test_a_failure_goes_before_all_that_waits():
    outbox = Outbox(5)
    await outbox.tell(a_bar(1))
    outbox.fail(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await outbox.get()
