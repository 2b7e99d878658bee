"""Hours and days in which the daemon was not there, or its venue was not: what is kept afterwards.

Little is traded meanwhile, so that days pass in seconds here.
"""

import asyncio
import os
import random
import signal
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from rich.console import Console

from data.bar import Resampler, Timeframe
from data.clock import SystemClock
from data.collect.filling import fill_store
from data.collect.missing import missing_minutes
from data.collect.venues import Exchange, open_source
from data.feeds.rate_budget import RateBudget
from data.kraken_db.websocket_writer import StoreWriter, live_feed, write_live
from data.postgres.bars import PostgresBarStore
from data.postgres.pool import connect
from data.postgres.trades import PostgresTradeStore
from sextant import daemon as daemon_module
from sextant import live_market
from sextant.audit import run_audit
from sextant.cycle import Decision
from sextant.daemon import Daemon
from sextant.data_command import check_store
from sextant.facts import BarSeen, RunStarted
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import what_is_left
from tests.builders_live_daemon import (
    BTC,
    MINUTE,
    START,
    XRP,
    Deal,
    a_world,
    bars_of,
    settled,
)
from tests.wire.loopback import Answer

pytestmark = pytest.mark.xdist_group("daemon")

MILLISECOND, HOUR, DAY = timedelta(milliseconds=1), timedelta(hours=1), timedelta(days=1)
REACH = pytest.param(7 * HOUR, id="longer than the feed reaches")  # 6 h
MINUTES = pytest.param(13 * HOUR, id="longer than the venue keeps minutes")  # 12 h
DAYS = pytest.param(3 * DAY, id="longer than the filler looks back")  # 24 h
BUSY = Answer(status=503, body="busy", content_type="text/plain")
PATIENCE = 600  # looks at the store, until it must be whole


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


def a_slow_market(since, until, *, seed=11):
    """Some deals in each quarter of an hour of [since, until), at prices near those before."""
    rng, deals = random.Random(seed), []
    for symbol, price, places, size in ((BTC, 85_600.0, 1, 0.1), (XRP, 2.0, 5, 1_000.0)):
        at = since
        while (at := at + timedelta(seconds=rng.randrange(30, 600))) < until:
            price *= 1 + rng.uniform(-0.0005, 0.0005)
            deals.append(
                Deal(
                    at=at,
                    symbol=symbol,
                    price=f"{price:.{places}f}",
                    quantity=f"{rng.uniform(0.1, 1.0) * size:.8f}",
                    side=rng.choice(("buy", "sell")),
                )
            )
    return sorted(deals, key=lambda deal: (deal.at, deal.symbol))


async def audited(world):
    return await run_audit(load_settings(world.config), export=None, console=Console())


def ids_of(world, symbol, since, until):
    """Of what was traded in [since, until)."""
    first, last = (int(at.timestamp()) * 10**9 for at in (since, until))
    prints = world.server.markets[symbol].prints
    return {made.number for made in prints if first <= made.nanoseconds < last}


async def lacks(pool, world, since, until):
    """What the store has not of the market in [since, until): minutes, and ids of trades."""
    made = {symbol: ids_of(world, symbol, since, until) for symbol in (BTC, XRP)}
    bars = PostgresBarStore(pool, exchange="kraken")
    trades = PostgresTradeStore(pool, exchange="kraken")
    missing = []
    for symbol, ids in made.items():
        kept = {trade.trade_id async for trade in trades.between(symbol, since, until)}
        missing += [*(ids - kept), *await missing_minutes(bars, symbol, since, until)]
    return missing


async def followed_until_whole(world, dsn, until, *, since=START):
    """A daemon that is told to stop once the store has all of [since, until)."""

    async def stop_when_whole():
        async with await connect(dsn) as pool:
            for _ in range(PATIENCE):
                is_over = world.clock.now() > until + MINUTE
                if is_over and not await lacks(pool, world, since, until):
                    break
                await SystemClock().sleep(timedelta(seconds=0.2))
        os.kill(os.getpid(), signal.SIGINT)

    async with world.going_on(), open_house(load_settings(world.config)) as house:
        world.house = house
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stop_when_whole())
            await Daemon(house).run(view=False)
        world.house = None


async def require_whole(world, dsn, until):
    """Every minute, longer bar and trade up to `until` is there and right, and we say so."""
    since = START - 60 * MINUTE
    settings = load_settings(world.config)
    async with await connect(dsn) as pool:
        assert not await lacks(pool, world, START, until)
        for symbol in (BTC, XRP):
            bars = PostgresBarStore(pool, exchange="kraken")
            due = bars_of(world.server, symbol, since, until)
            for size in Timeframe:
                longer = due if size is Timeframe.M1 else folded(due, size)
                kept = await bars.last(symbol, size, len(longer), until=until)
                assert list(map(numbers, kept)) == list(map(numbers, longer)), size
        _, wrong = await check_store(pool, settings, days=10, now=until + timedelta(seconds=30))
    assert [finding.what for finding in wrong if "missing" in finding.what] == []
    assert await audited(world)


async def require_no_hole_before_a_desk(world):
    """What a desk began with, and what it was told then, are one row of minutes."""
    left = await what_is_left(world.config)
    for symbol in (BTC, XRP):
        rows = {}
        for fact in left.facts:
            if isinstance(fact, RunStarted):
                rows[fact.at] = [fact.warmed_up_to[symbol]]
            elif isinstance(fact, BarSeen) and fact.bar.symbol == symbol:
                rows[max(rows)].append(fact.bar.closed_at)
        for closes in rows.values():
            assert {after - before for before, after in pairwise(closes)} <= {MINUTE}


def folded(minutes, size):
    resampler = Resampler(size)
    return [longer for bar in minutes for longer in resampler.add(bar)]


def numbers(bar):
    """The venue's own bars have no turnover."""
    return (bar.closed_at, *bar.ohlcv, bar.trades)


@pytest.mark.req("S0-31")
@pytest.mark.parametrize("outage", [REACH, DAYS])
async def test_however_long_the_daemon_was_away_nothing_is_missing_in_the_end(
    tmp_path, monkeypatch, dsn, outage
):
    async with a_world(tmp_path, monkeypatch, minutes=0) as world:
        world.deals = a_slow_market(START, START + outage + DAY)
        await world.traded(20)
        await world.pass_time(outage.total_seconds())
        back_at = world.clock.now().replace(second=0)
        await followed_until_whole(world, dsn, back_at)
        await require_whole(world, dsn, back_at)
        await require_no_hole_before_a_desk(world)
        await world.traded(20)
        await require_whole(world, dsn, back_at)


def status(symbol, word, **changes):
    def accident(server):
        server.markets[symbol].status = word
        for name, value in changes.items():
            setattr(server, name, value)

    return accident


async def test_a_market_that_was_halted_is_followed_again_once_it_is_not(tmp_path, monkeypatch):
    """A book that breaks has the listing asked for anew; it says that BTC is halted just then."""
    halt = {
        121: [status(BTC, "cancel_only", corrupt_next_book=True)],
        400: [status(BTC, "online")],
    }
    async with a_world(tmp_path, monkeypatch) as world:
        await world.traded(40, halt)
        left = await what_is_left(world.config)
        resumed = START + 8 * MINUTE
        told = [fact.bar for fact in left.of(BarSeen) if fact.bar.symbol == BTC]
        after = [bar for bar in told if bar.closed_at > resumed]
        assert after == bars_of(world.server, BTC, resumed, after[-1].closed_at)
        assert max(d.bar_closed_at for d in left.of(Decision) if d.symbol == BTC) > resumed
        assert await audited(world)


@pytest.mark.req("S1-20")
@pytest.mark.parametrize("outage", [MINUTES, DAYS])
async def test_however_long_the_venue_was_away_nothing_is_missing_in_the_end(
    tmp_path, monkeypatch, dsn, outage
):
    async with a_world(tmp_path, monkeypatch, minutes=3) as world:
        world.deals += a_slow_market(START + 3 * MINUTE, START + outage + DAY)

        async def away(server):
            """Nobody can ask or hear the venue, in which trading goes on."""
            server.rest_fails = server.refuse_sockets = BUSY
            await server.close_sockets()
            until = world.clock.now() + outage
            while world.clock.now() < until:
                world.clock.move_to(world.clock.now() + 10 * MINUTE)
                await settled()
            while world.deals[0].at <= until:
                deal = world.deals.pop(0)
                await server.trade(deal.symbol, deal.price, deal.quantity, deal.side, at=deal.at)
            server.rest_fails = server.refuse_sockets = None

        world.plan({200: [away]})
        until = START + outage + 5 * MINUTE
        await followed_until_whole(world, dsn, until)
        await require_whole(world, dsn, until)
        await world.traded(20)
        await require_whole(world, dsn, until)


async def test_a_collector_that_fails_once_goes_on(tmp_path, monkeypatch, dsn):
    """A run lasts for months: what it meets once must not leave the store with holes from then."""
    tries, waits = [], []
    room_for = RateBudget.room_for

    async def noted(budget, weight):
        waits.append(weight)
        await room_for(budget, weight)

    async def failing_once(*args, **kwargs):
        tries.append(args)
        if len(tries) == 1:
            raise ValueError("an answer that nobody thought of")
        return await fill_store(*args, **kwargs)

    monkeypatch.setattr(RateBudget, "room_for", noted)
    monkeypatch.setattr(live_market, "fill_store", failing_once)
    monkeypatch.setattr(daemon_module, "_SERVE_AGAIN", 10 * MILLISECOND)
    async with a_world(tmp_path, monkeypatch, minutes=0, past=14 * 60) as world:
        world.deals = a_slow_market(START, START + DAY)
        until = START + 5 * MINUTE
        since = START - 13 * HOUR  # behind Kraken's minutes
        await followed_until_whole(world, dsn, until, since=since)
    assert len(tries) > 1
    assert waits  # it leaves its share of the budget to the feed and to orders


async def test_a_start_while_a_market_is_halted_follows_it_once_it_is_not(tmp_path, monkeypatch):
    async with a_world(tmp_path, monkeypatch) as world:
        status(BTC, "maintenance")(world.server)
        await world.traded(40, {200: [status(BTC, "online")]})
        left = await what_is_left(world.config)
        (run,) = left.of(RunStarted)
        resumed = run.at.replace(second=0) + 6 * MINUTE
        told = [fact.bar for fact in left.of(BarSeen) if fact.bar.symbol == BTC]
        after = [bar for bar in told if bar.closed_at > resumed]
        assert after == bars_of(world.server, BTC, resumed, after[-1].closed_at)
        assert len(after) > 3
        assert await audited(world)


@pytest.mark.req("S0-30", "S0-31")
async def test_a_daemon_a_writer_and_a_filler_on_one_database_lose_and_double_nothing(
    tmp_path, monkeypatch, dsn
):
    async with a_world(tmp_path, monkeypatch, minutes=20) as world:
        world.deals += a_slow_market(START + 20 * MINUTE, START + DAY)
        await world.traded(20)
        await world.pass_time(2 * HOUR.total_seconds())
        until = world.clock.now().replace(second=0) + 10 * MINUTE
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(each(world, dsn)) for each in (write_beside, fill_beside)]
            await followed_until_whole(world, dsn, until)
            for task in beside:
                task.cancel()
        await require_whole(world, dsn, until)


async def write_beside(world, dsn):
    """As `python -m data.kraken_db.websocket_writer` does."""
    source = open_source(Exchange.KRAKEN, world.clock, urls=world.server.urls)
    async with await connect(dsn) as pool:
        bars = PostgresBarStore(pool, exchange="kraken")
        trades = PostgresTradeStore(pool, exchange="kraken")
        writer = StoreWriter(trades, bars, clock=world.clock)
        feed = await live_feed(source, bars, writer, (BTC, XRP), clock=world.clock)
        try:
            await write_live(feed, writer, lambda _: None)
        finally:
            await source.close()


async def fill_beside(world, dsn):
    """As `python -m data.kraken_db.gap_filler` does, again and again."""
    source = open_source(Exchange.KRAKEN, world.clock, urls=world.server.urls)
    async with await connect(dsn) as pool:
        filled = partial(fill_store, pool, source, "kraken", (BTC, XRP), clock=world.clock)
        try:
            while True:
                await filled(since=START, until=None)
                await world.clock.sleep(MINUTE)
        finally:
            await source.close()
