"""Live trades and bars reach the store in batches, in order, and through its outages."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from data.bar import Timeframe
from data.clock import ManualClock
from data.feed import FeedInterrupted
from data.kraken_db.websocket_writer import StoreWriter, WriterSettings, live_feed, write_live
from data.store import StoreUnavailable
from data.store_memory import MemoryBarStore, MemoryTradeStore
from tests.builders_feeds import other_tasks
from tests.fakes_source import (
    BTC,
    MINUTE,
    OPENING,
    OutageStore,
    ScriptedSource,
    a_trade,
    bars_of,
    kept_trades,
    traits,
)

TRADES = [a_trade(n, n) for n in range(1, 301)]
BARS = bars_of(TRADES, OPENING + 5 * MINUTE)


class Site:
    """A writer at work over stores that can be away."""

    def __init__(self, **settings):
        self.clock = ManualClock(OPENING)
        self.trades = OutageStore(MemoryTradeStore())
        self.bars = OutageStore(MemoryBarStore())
        self.writer = StoreWriter(
            self.trades, self.bars, clock=self.clock, settings=WriterSettings(**settings)
        )

    @asynccontextmanager
    async def at_work(self):
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.writer.run())
            await other_tasks()
            yield self
            running.cancel()

    async def pass_time(self, seconds):
        for _ in range(seconds):
            self.clock.move_to(self.clock.now() + timedelta(seconds=1))
            await other_tasks()

    async def written(self):
        bars = await self.bars.last(BTC, Timeframe.M1, 100)
        return len(await kept_trades(self.trades)), len(bars)


@pytest.mark.req("S0-30")
@pytest.mark.parametrize(
    ("brought", "seconds", "written"),
    [
        pytest.param(99, 0, 0, id="few wait"),
        pytest.param(99, 4, 0, id="for less than five seconds"),
        pytest.param(99, 6, 99, id="and are written"),
        pytest.param(100, 0, 100, id="a hundred do not wait"),
        pytest.param(250, 0, 250, id="nor do more"),
    ],
)
async def test_trades_are_written_in_batches(brought, seconds, written):
    async with Site().at_work() as site:
        assert site.writer.take(TRADES[:brought])
        await other_tasks()
        await site.pass_time(seconds)
        assert await site.written() == (written, 0)


async def test_a_bar_is_written_within_a_second_and_after_its_trades():
    async with Site().at_work() as site:
        site.writer.take(TRADES[:59])
        await site.writer.put_bars(BARS[:1])
        site.trades.failures = 1
        await site.pass_time(1)
        assert await site.written() == (0, 0)  # the trades could not be, so the bar may not be
        await site.pass_time(2)
        assert await site.written() == (59, 1)


async def test_a_full_writer_makes_its_source_wait():
    async with Site(most_trades=50, batch=50).at_work() as site:
        site.trades.failures = 3
        async with asyncio.TaskGroup() as tasks:
            bringing = tasks.create_task(site.writer.put(TRADES))
            await other_tasks()
            assert not bringing.done() and site.writer.health.trades_waiting == 50
            while not bringing.done():
                await site.pass_time(1)
        await site.pass_time(6)
        assert await kept_trades(site.trades) == TRADES
        assert (site.writer.health.outages, site.writer.health.turned_away) == (3, 0)


async def test_who_cannot_wait_is_turned_away_and_counted():
    async with Site(most_trades=50).at_work() as site:
        assert site.writer.take(TRADES[:50])
        assert not site.writer.take(TRADES[50:53])
        assert site.writer.health.turned_away == 3
        await site.pass_time(1)
        assert site.writer.take(TRADES[53:60])
        await site.pass_time(6)
        kept = await kept_trades(site.trades)
        assert kept == TRADES[:50] + TRADES[53:60]
        missing = await site.trades.missing_ids(BTC, OPENING, OPENING + timedelta(hours=1))
        assert missing == [(51, 53)]  # which the gap filler sees


async def test_a_full_buffer_of_bars_makes_the_feed_wait():
    async with Site(most_bars=2).at_work() as site:
        site.bars.failures = 2
        async with asyncio.TaskGroup() as tasks:
            bringing = tasks.create_task(site.writer.put_bars(BARS))
            await other_tasks()
            assert not bringing.done() and site.writer.health.bars_waiting == 2
            while not bringing.done():
                await site.pass_time(1)
        await site.pass_time(3)
        assert await site.bars.last(BTC, Timeframe.M1, 100) == BARS


@pytest.mark.parametrize("failures", [1, 5, 12])
async def test_an_outage_of_the_store_loses_nothing(failures):
    async with Site().at_work() as site:
        site.trades.failures = failures
        for trade in TRADES:
            site.writer.take([trade])
        await other_tasks()
        assert site.writer.health.away_since == OPENING
        while site.writer.health.trades_waiting:
            await site.pass_time(1)
        assert await kept_trades(site.trades) == TRADES
        assert site.writer.health.outages == failures
        assert site.writer.health.away_since is None


async def test_what_waits_at_the_end_is_drained_once():
    site = Site()
    site.writer.take(TRADES[:7])
    await site.writer.put_bars(BARS[:1])
    await site.writer.drain()
    assert await site.written() == (7, 1)
    site.writer.take(TRADES[7:9])
    site.trades.failures = 1
    with pytest.raises(StoreUnavailable):
        await site.writer.drain()


async def test_a_writer_that_is_stopped_in_an_outage_keeps_what_waits():
    site = Site()
    site.trades.failures = 100
    async with site.at_work():
        site.writer.take(TRADES[:150])
        await site.pass_time(3)
    site.trades.failures = 0
    await site.writer.drain()
    assert await kept_trades(site.trades) == TRADES[:150]


@pytest.mark.req("S0-30")
async def test_a_live_feed_is_written_from_where_the_store_ends():
    """Started again after a stop, it repairs what it missed from the venue's history."""
    clock = ManualClock(OPENING + timedelta(seconds=245))
    site = Site()
    site.clock = clock
    writer = StoreWriter(site.trades, site.bars, clock=clock)
    await site.trades.put(TRADES[:59])
    await site.bars.put(BARS[:1])
    source = ScriptedSource(
        [a_trade(0, -30), *TRADES[:245]],
        traits=traits(bars_kept=720), now=clock.now, live=[TRADES[240:270], TRADES[270:]],
    )  # fmt: skip
    told = []
    feed = await live_feed(source, site.bars, writer, [BTC], clock=clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(write_live(feed, writer, told.append))
        for _ in range(70):
            await other_tasks()
            clock.move_to(clock.now() + timedelta(seconds=1))
        running.cancel()
    await writer.drain()
    assert await kept_trades(site.trades) == TRADES
    assert await site.bars.last(BTC, Timeframe.M1, 100) == BARS
    assert not [event for event in told if not isinstance(event, FeedInterrupted)]
