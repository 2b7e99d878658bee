"""kill -9 while the market lives: started again, the daemon has every bar of it, once."""

import asyncio
import random
import signal

import pytest

from data.bar import Timeframe
from data.postgres.bars import PostgresBarStore
from data.postgres.pool import connect
from data.postgres.trades import PostgresTradeStore
from execution.fill import Fill
from sextant.facts import BarSeen, RunStarted
from tests.builders_daemon import flaws, what_is_left
from tests.builders_live_daemon import (
    BTC,
    LIVE,
    XRP,
    LiveRehearsal,
    a_world,
    bars_of,
    trades_of,
)
from tests.builders_postgres import postgres, postgres_server  # noqa: F401 - fixtures

pytestmark = pytest.mark.xdist_group("daemon")

SPEED = 30.0  # a bar in two seconds
# What takes a moment of ours takes some seconds of a market that runs so fast.
FAST = LIVE + '\n[watch]\nmax_skew = "PT1M"\n[watch.book]\nmax_age = "PT5M"\n'


async def test_kills_lose_and_repeat_no_bar_of_the_market(tmp_path, monkeypatch, postgres):  # noqa: F811
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    rng = random.Random(5)
    async with a_world(tmp_path, speed=SPEED, text=FAST, minutes=600) as world:
        rehearsal = LiveRehearsal(world, SEXTANT_DATABASE_URL=postgres)
        async with world.going_on():
            for _ in range(3):
                died = await asyncio.to_thread(rehearsal.killed_after, rng.randrange(1_000, 5_000))
                assert died.code == -signal.SIGKILL, died.said
            ended = await asyncio.to_thread(rehearsal.run, bars=24)
            print(world.clock.now(), ended.said)
            assert ended.code == 0, ended.said
        audited = await asyncio.to_thread(rehearsal.audited)
        assert audited.code == 0, audited.said
        left = await what_is_left(world.config)
        print(len(left.of(RunStarted)), len(left.of(BarSeen)), len(left.of(Fill)))
        assert flaws(left) == []
        for symbol in (BTC, XRP):
            await _require_the_markets(world, left, symbol, postgres)


async def _require_the_markets(world, left, symbol, dsn):
    """Bars are on record and in the store as the market made them, and trades all in the store."""
    told = [fact.bar for fact in left.of(BarSeen) if fact.bar.symbol == symbol]
    since, until = told[0].opened_at, told[-1].closed_at
    whole = bars_of(world.server, symbol, since, until)
    assert told == whole
    async with await connect(dsn) as pool:
        bars = PostgresBarStore(pool, exchange="kraken")
        assert await bars.last(symbol, Timeframe.M1, len(told), until=until) == whole
        stored = PostgresTradeStore(pool, exchange="kraken").between(symbol, since, until)
        kept = [trade async for trade in stored]
    made = [trade for trade in trades_of(world.server, symbol) if since <= trade.traded_at < until]
    print(symbol, len(kept), len(made))
    assert kept == made
