"""The live feed on every venue: what a broken socket swallowed is in the bars all the same."""

import asyncio
import contextlib
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.collect.patience import Patience
from data.feeds.live import LiveFeed, LiveFeedSettings
from tests.builders_live import settled
from tests.wire.harness import HARNESSES

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRICES = (60_000, 60_003, 59_990, 60_007, 60_001, 60_002, 60_005, 60_004)


async def heard(feed, events):
    async with contextlib.aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)


async def happened(condition, clock, *, step=0.0):
    for _ in range(1_000):
        if condition():
            return
        clock.move_to(clock.now() + timedelta(seconds=step))
        await settled()
    raise AssertionError("it never happened")


@pytest.mark.req("S1-17")
@pytest.mark.parametrize("name", HARNESSES)
async def test_trades_that_a_broken_socket_swallowed_are_in_the_bar(name):
    clock = ManualClock(START)
    async with HARNESSES[name](clock) as rig:
        symbol, events = rig.symbols[0], []
        feed = LiveFeed(
            rig.source,
            clock,
            symbols=[symbol],
            timeframe=Timeframe.M1,
            newest={},
            settings=LiveFeedSettings(),
            patience=Patience(clock=clock, chance=random.Random(1)),
        )
        topic = rig.trade_topic(symbol)
        told = iter(PRICES)

        async def trade(second, *, tell=True):
            at = START + timedelta(seconds=second)
            clock.move_to(at)
            await rig.trade(symbol, f"{next(told)}.0", "0.5", "buy", at=at, tell=tell)
            await settled()

        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(heard(feed, events))
            await rig.server.subscribed(topic)
            await trade(5)
            await trade(10)
            await happened(lambda: feed.health().lines[0].trades == 2, clock)
            await rig.server.close_sockets()
            for second in (15, 16, 17):
                await trade(second, tell=False)
            await happened(lambda: rig.server.listeners(topic), clock, step=1)
            await trade(50)
            await trade(62)
            await happened(lambda: any(isinstance(e, Bar) for e in events), clock)
            listener.cancel()
        bar = next(event for event in events if isinstance(event, Bar))
        assert bar.closed_at == START + timedelta(minutes=1)
        assert [bar.open, bar.high, bar.low, bar.close] == [60_000, 60_007, 59_990, 60_002]
        assert (bar.trades, bar.volume) == (6, Decimal("3.0"))
        assert feed.health().lines[0].repaired >= 3
