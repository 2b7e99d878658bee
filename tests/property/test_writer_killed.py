"""Killed at any point, started again and filled, the store holds what the venue holds."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Timeframe
from data.clock import ManualClock
from data.collect.gaps import fill_gaps
from data.kraken_db.websocket_writer import StoreWriter, WriterSettings
from data.store_memory import MemoryBarStore, MemoryTradeStore
from data.trade_bars import TradeBars
from tests.builders_feeds import other_tasks
from tests.fakes_source import (
    BTC,
    MINUTE,
    OPENING,
    ScriptedSource,
    a_trade,
    bars_of,
    kept_trades,
    traits,
)

END = OPENING + 15 * MINUTE
HISTORY = [a_trade(n, -100 + 3 * n + n % 4, str(100 + n % 5), str(1 + n % 3)) for n in range(360)]
CLOCK_AFTER = END + MINUTE


async def live(trades, bars, batches, *, batch):
    """Bring `batches`, and whatever bars they close, until nobody is left to write them."""
    clock = ManualClock(OPENING)
    writer = StoreWriter(trades, bars, clock=clock, settings=WriterSettings(batch=batch))
    made = TradeBars(BTC, Timeframe.M1)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(writer.run())
        for brought in batches:
            writer.take(brought)
            for trade in brought:
                await writer.put_bars(made.add(trade))
            clock.move_to(max(clock.now(), brought[-1].traded_at))
            await other_tasks()
        running.cancel()


@settings(max_examples=60, deadline=None)
@given(
    lives=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=6),
    size=st.integers(1, 9),
    batch=st.integers(1, 30),
)
@pytest.mark.req("S0-30", "S0-31")
async def test_kill_and_fill_leave_every_row(lives, size, batch):
    """Each life misses so many batches and sees so many; what it has not written dies with it."""
    trades, bars = MemoryTradeStore(), MemoryBarStore()
    batches = [HISTORY[n : n + size] for n in range(0, len(HISTORY), size)]
    for missed, seen in lives:
        del batches[:missed]
        await live(trades, bars, batches[:seen], batch=batch)
        del batches[:seen]
    source = ScriptedSource(HISTORY, traits=traits(page=50, bars_kept=0))
    clock = ManualClock(CLOCK_AFTER)
    report = await fill_gaps(source, trades, bars, BTC, since=OPENING, until=END, clock=clock)
    whole = [bar for bar in bars_of(HISTORY, END) if bar.opened_at >= OPENING]
    assert await bars.last(BTC, Timeframe.M1, 15, until=END) == whole
    assert report.left == ()
    kept = await kept_trades(trades)
    begun = [t for t in HISTORY if OPENING <= t.traded_at < END]
    assert [t for t in kept if OPENING <= t.traded_at < END] == begun
    assert kept[-1].traded_at - OPENING < timedelta(hours=1)
