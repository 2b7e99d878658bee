"""An hour of market into PostgreSQL, and kill -9 again and again: no row lost, none made up.

The collector is a process of its own: ccxt's client, live feed, writer, database. The gap filler
comes after each kill, before the collector is back or beside it.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from statistics import median

import pytest

from data.bar import Timeframe
from data.clock import PacedClock
from data.collect.filling import fill_store
from data.collect.venues import Exchange, open_source
from data.feeds.live import LiveFeedSettings
from data.kraken_db.websocket_writer import StoreWriter, live_feed, write_live
from data.postgres.bars import PostgresBarStore
from data.postgres.pool import connect
from data.postgres.trades import PostgresTradeStore
from tests.builders_postgres import (  # noqa: F401 - fixtures
    pool,
    postgres,
    postgres_server,
)
from tests.builders_soak import BEGIN, BTC, MarketByTheClock, looped
from tests.fakes_source import bars_of

ROOT = Path(__file__).resolve().parents[2]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SETTLED = timedelta(seconds=30)
SAMPLE = timedelta(seconds=5)  # of market time
WARM = 10  # minutes until the collector has its memory
LEAK_MIB = 8
READY = b"ready\n"


@dataclass(kw_only=True)
class Life:
    """What one collector said of itself, until it was killed."""

    process: asyncio.subprocess.Process
    said: list = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self):
        async for line in self.process.stdout:
            self.said.append(json.loads(line))
            self.begun.set()

    def most(self, name):
        return max(sample[name] for sample in self.said)


@dataclass(kw_only=True)
class Soak:
    """The market, its clock, the database, and the collectors that there were."""

    clock: PacedClock
    speed: float
    server: MarketByTheClock
    trades: list
    end: datetime
    dsn: str
    connections: object
    folder: Path
    lives: list = field(default_factory=list)
    filled: list = field(default_factory=list)

    @property
    def environment(self):
        """Where nothing compiled is kept, here it is: ccxt is a hundred venues."""
        kept = {"PYTHONPYCACHEPREFIX": str(self.folder), "PYTHONDONTWRITEBYTECODE": ""}
        own = kept if sys.dont_write_bytecode else {}
        return {**os.environ, **own, "PYTHONPATH": str(ROOT)}

    @property
    def time(self):
        """What a collector makes this clock of."""
        return {"now": self.clock.now().isoformat(), "at": time.monotonic(), "speed": self.speed}

    @asynccontextmanager
    async def collector(self) -> AsyncIterator[Life]:
        """A collector that has begun to collect; it is killed at the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            self.dsn,
            json.dumps(self.server.urls),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        life = Life(process=process)
        self.lives.append(life)
        try:
            async with asyncio.timeout(300):
                assert await process.stdout.readline() == READY
            self.clock.go()
            process.stdin.write(json.dumps(self.time).encode() + b"\n")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(life.listen())
                async with asyncio.timeout(300):
                    await life.begun.wait()
                yield life
                process.kill()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def fill(self):
        """Run the gap filler; what it has looked after is whole."""
        source = open_source(Exchange.KRAKEN, self.clock, urls=self.server.urls)
        try:
            (report,) = await fill_store(
                self.connections,
                source,
                Exchange.KRAKEN,
                [BTC],
                since=BEGIN,
                until=min(self.clock.now(), self.end),
                clock=self.clock,
            )
        finally:
            await source.close()
        self.filled.append(report)
        assert (report.left, report.ids_left) == ((), 0)
        await self.assert_exact(report.until)
        return report

    async def assert_exact(self, until):
        """Row by row, the store holds what has happened up to then."""
        kept = PostgresTradeStore(self.connections, exchange=Exchange.KRAKEN)
        trades = [trade async for trade in kept.between(BTC, BEGIN, until)]
        happened = [trade for trade in self.trades if trade.traded_at < until]
        assert unlike(trades, happened[1:]) == []
        bars = PostgresBarStore(self.connections, exchange=Exchange.KRAKEN)
        minutes = await bars.last(BTC, Timeframe.M1, 100_000, until=until)
        assert unlike(minutes, bars_of(happened, until)[1:]) == []

    async def pass_until(self, at):
        await self.clock.sleep(at - self.clock.now())


@asynccontextmanager
async def a_soak(shared_data, dsn, connections, folder, *, span, speed):
    clock = PacedClock(BEGIN, speed=speed, standing=True)
    trades = looped(shared_data, span)
    async with MarketByTheClock(clock, trades) as server, asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(server.tell_all())
        yield Soak(
            clock=clock,
            speed=speed,
            server=server,
            trades=trades,
            end=BEGIN + span,
            dsn=dsn,
            connections=connections,
            folder=folder,
        )
        telling.cancel()


async def killed_again_and_again(soak, rng, kills):
    """So many collectors, the last of them until the market's end; then all must be there.

    In turn, the gap filler comes while nobody collects, and beside the next collector.
    """
    for left in reversed(range(kills)):
        async with soak.collector():
            if left % 2 == 0:
                await soak.fill()
            await soak.clock.sleep(MINUTE * rng.uniform(0.2, 2.5))
            if not left:
                await soak.pass_until(soak.end + SETTLED)
        await soak.clock.sleep(MINUTE * rng.uniform(0.2, 2.5))
        if left % 2:
            await soak.fill()
    await soak.fill()
    assert not (await soak.fill()).changed
    assert any(report.trades for report in soak.filled)


@pytest.mark.req("S0-30", "S0-31")
async def test_two_kills_lose_nothing_and_make_nothing_up(shared_data, postgres, pool, tmp_path):  # noqa: F811
    async with a_soak(shared_data, postgres, pool, tmp_path, span=5 * MINUTE, speed=60) as soak:
        await killed_again_and_again(soak, random.Random(5), 2)
    assert sum(life.said[-1]["trades"] for life in soak.lives) > 100


@pytest.mark.soak
@pytest.mark.req("S0-30", "S0-31")
async def test_an_hour_and_ten_kills(shared_data, postgres, pool, tmp_path, capsys):  # noqa: F811
    """At twenty times its speed; the kills come in three quarters more."""
    async with a_soak(shared_data, postgres, pool, tmp_path, span=1.75 * HOUR, speed=20) as soak:
        async with soak.collector() as hour:
            await soak.pass_until(BEGIN + HOUR)
        with capsys.disabled():
            print(figures(hour))
        await soak.fill()
        await killed_again_and_again(soak, random.Random(11), 10)
    with capsys.disabled():
        print(*map(figures, soak.lives), *soak.filled, sep="\n")
    assert_flat(hour)
    for life in soak.lives:
        assert life.most("turned_away") == 0
        assert life.most("trades_waiting") < 2_000
        assert life.most("bars_waiting") < 50
        assert life.most("queued") < 50


def unlike(kept, due):
    """The first places where they differ."""
    pairs = enumerate(zip_longest(kept, due))
    return [(place, *pair) for place, pair in pairs if pair[0] != pair[1]][:3]


def assert_flat(life):
    """Its memory, from when it is warm to the end."""
    warm = [sample["rss_mib"] for sample in life.said[WARM * MINUTE // SAMPLE :]]
    third = len(warm) // 3
    assert median(warm[-third:]) - median(warm[:third]) < LEAK_MIB


def figures(life):
    return {
        name: (life.said[0][name], life.most(name), life.said[-1][name]) for name in life.said[0]
    }


async def collect(dsn, urls):
    """What `python -m data.kraken_db.websocket_writer` does, on this market's clock and address."""
    async with await connect(dsn) as connections:
        sys.stdout.buffer.write(READY)
        sys.stdout.flush()
        clock = the_clock(json.loads(sys.stdin.readline()))
        bars = PostgresBarStore(connections, exchange=Exchange.KRAKEN)
        trades = PostgresTradeStore(connections, exchange=Exchange.KRAKEN)
        writer = StoreWriter(trades, bars, clock=clock)
        source = open_source(Exchange.KRAKEN, clock, urls=urls)
        # A second of this machine's is many of the market's.
        settings = LiveFeedSettings(max_ahead=HOUR)
        feed = await live_feed(source, bars, writer, [BTC], clock=clock, settings=settings)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write_live(feed, writer, lambda event: None))
            while True:
                await clock.sleep(SAMPLE)
                print(json.dumps(sampled(feed, writer)), flush=True)


def the_clock(told):
    """The market's, as it has gone on since it was told; all processes share the monotonic one."""
    late = timedelta(seconds=(time.monotonic() - told["at"]) * told["speed"])
    return PacedClock(datetime.fromisoformat(told["now"]) + late, speed=told["speed"])


def sampled(feed, writer):
    health = writer.health
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "trades": health.trades,
        "bars": health.bars,
        "trades_waiting": health.trades_waiting,
        "bars_waiting": health.bars_waiting,
        "turned_away": health.turned_away,
        "queued": feed.health().queued,
    }


if __name__ == "__main__":
    from data.feeds import kraken  # noqa: F401 - takes its time, before the clock goes

    asyncio.run(collect(sys.argv[1], json.loads(sys.argv[2])))
