"""What holds for every market feed: in time order, in UTC, and nothing before the clock allows."""

import asyncio
from datetime import UTC, timedelta

import pytest

from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.feed import FeedInterrupted
from data.feeds.playback import known_at
from data.feeds.recorded import RecordedFeed, read_bars
from data.feeds.synthetic import SyntheticFeed, SyntheticMarket
from tests.builders_feeds import (
    BTC,
    MINUTE,
    OPENING,
    TRIANGLE,
    XRP,
    other_tasks,
    row,
    until_done,
    write_csv,
)

ENOUGH = 45  # events: all of the recording, fifteen minutes of the synthetic market


def synthetic(clock, start_after, folder):
    market = SyntheticMarket(seed=3, instruments=TRIANGLE)
    return SyntheticFeed(market, clock, start_after=start_after)


def recorded(clock, start_after, folder):
    streams = [
        read_bars(
            write_csv(folder / f"{symbol.base}.csv", [row(minute) for minute in minutes]),
            symbol,
            Timeframe.M1,
        )
        for symbol, minutes in ((BTC, [*range(9), *range(12, 25)]), (XRP, [*range(3, 24)]))
    ]
    return RecordedFeed(streams, clock, start_after=start_after)


@pytest.fixture(params=[recorded, synthetic], ids=["recorded", "synthetic"])
def open_feed(request, tmp_path):
    def opened(clock, start_after=OPENING):
        return request.param(clock, start_after, tmp_path)

    return opened


async def told(feed, clock, limit=ENOUGH):
    """(event, when it was told), until the feed ends or `limit` have come."""
    heard = []
    async for event in feed.events():
        heard.append((event, clock.now()))
        if len(heard) == limit:
            break
    return heard


def a_late_clock():
    return ManualClock(OPENING + timedelta(days=1))


async def all_events(open_feed, start_after=OPENING):
    clock = a_late_clock()
    return [event for event, _ in await told(open_feed(clock, start_after), clock)]


async def test_events_come_in_time_order_and_in_utc(open_feed):
    times = [known_at(event) for event in await all_events(open_feed)]
    assert len(times) > 40
    assert times == sorted(times)
    assert all(at.tzinfo is UTC and at > OPENING for at in times)


async def test_bars_of_a_symbol_follow_each_other_or_the_gap_is_told(open_feed):
    last = {}
    for event in await all_events(open_feed):
        match event:
            case Bar() if event.symbol in last:
                assert event.closed_at == last[event.symbol] + MINUTE
            case FeedInterrupted():
                assert event.since == last[event.symbol]
                assert event.until > event.since + MINUTE
        last[event.symbol] = known_at(event) - MINUTE * isinstance(event, FeedInterrupted)


async def test_an_event_is_told_when_its_time_comes_and_not_before(open_feed):
    clock = ManualClock(OPENING)
    async with asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(told(open_feed(clock), clock))
        await until_done(listener, clock, MINUTE / 4)
    assert [at for _, at in listener.result()] == [
        known_at(event) for event, _ in listener.result()
    ]


async def test_while_time_stands_nothing_is_told(open_feed):
    clock, heard = ManualClock(OPENING), []

    async def listen():
        async for event in open_feed(clock).events():
            heard.append(event)

    async with asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(listen())
        clock.move_to(OPENING + MINUTE)
        await other_tasks()
        assert {known_at(event) for event in heard} == {OPENING + MINUTE}
        listener.cancel()


async def test_what_is_late_is_told_at_once_and_whole(open_feed):
    clock = a_late_clock()
    began = clock.now()
    late = await told(open_feed(clock), clock)
    assert {at for _, at in late} == {began}
    assert [event for event, _ in late] == await all_events(open_feed)


async def test_the_same_market_is_told_again(open_feed):
    assert await all_events(open_feed) == await all_events(open_feed)


async def test_a_feed_resumed_goes_on_as_if_undisturbed(open_feed):
    whole = await all_events(open_feed)
    for minutes in range(1, 15):
        after = OPENING + minutes * MINUTE
        rest = [event for event in whole if known_at(event) > after]
        assert (await all_events(open_feed, after))[: len(rest)] == rest
