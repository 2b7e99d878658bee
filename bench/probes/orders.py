"""From a closed bar to the venue, on the daemon's own road: `python -m bench.probes.orders N`.

The council of six stand-ins on three synthetic pairs, N minutes of them, an embedded PostgreSQL in
a folder of its own, and the daemon as it is; only the clock runs faster.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

from bench.scratch import server_folder
from data.bar import Bar
from data.instrument import Symbol
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.pool import connect
from data.snapshot import Snapshot
from risk.approval import ApprovedOrder
from risk.intent import Purpose
from sextant.daemon import Daemon
from sextant.desk import Desk
from sextant.facts import DecisionSkipped
from sextant.house import House, open_house
from sextant.settings import PROJECT, Settings, load_settings

CONFIG = PROJECT / "bench" / "live.toml"
_COMMITS = 500
_RECORDS = 5_000  # below what a journal lets wait
_COMMIT = "INSERT INTO bench_commits VALUES ($1, $2)"


class Stopwatch:
    """When each symbol's newest bar came and was taken, and what its orders then waited for."""

    def __init__(self) -> None:
        self.arrived: dict[Symbol, float] = {}
        self.taken: dict[Symbol, float] = {}
        self.waits: defaultdict[str, list[float]] = defaultdict(list)  # ms

    def submitted(self, order: ApprovedOrder) -> None:
        """An order is about to reach the venue; those that no decision made are left out."""
        now, symbol = time.perf_counter(), order.intent.symbol
        if order.intent.purpose in (Purpose.ENTRY, Purpose.EXIT):
            self.waits["arrival_ms"].append((now - self.arrived[symbol]) * 1e3)
            self.waits["take_ms"].append((now - self.taken[symbol]) * 1e3)


async def timed_orders(house: House, minutes: int) -> Stopwatch:
    """Run the daemon over so many minutes of its market, with a stopwatch in its hand."""
    watch, session, venue = Stopwatch(), house.session, house.session.book.engine.venue
    put, take, submit = house.bars.put, session.take, venue.submit

    async def and_put(bars: Sequence[Bar]) -> None:
        watch.arrived[bars[0].symbol] = began = time.perf_counter()
        await put(bars)
        watch.waits["put_ms"].append((time.perf_counter() - began) * 1e3)

    async def and_take(bar: Bar) -> list[tuple[Desk, Snapshot]]:
        watch.taken[bar.symbol] = time.perf_counter()
        return await take(bar)

    async def and_submit(order: ApprovedOrder) -> None:
        watch.submitted(order)
        await submit(order)

    with (
        patch.object(house.bars, "put", and_put),
        patch.object(session, "take", and_take),
        patch.object(venue, "submit", and_submit),
    ):
        bars = minutes * len(house.settings.traded)
        await Daemon(house, max_bars=bars).run(view=False)
    return watch


async def commits(dsn: str) -> list[float]:
    """What one row costs to insert and commit, in ms: the disk's part, and the driver's."""
    spent = []
    async with await connect(dsn) as pool, pool.acquire() as session:
        await session.execute("CREATE TABLE bench_commits (id bigint PRIMARY KEY, body text)")
        for number in range(_COMMITS):
            began = time.perf_counter()
            await session.execute(_COMMIT, number, "x" * 500)
            spent.append((time.perf_counter() - began) * 1e3)
    return spent


async def journalled(house: House) -> float:
    """Records a second that the daemon's journal makes durable when many wait."""
    at = house.clock.now()
    fact = DecisionSkipped(
        at=at, strategy_id="bench", symbol="BTC/USDT", bar_closed_at=at, reason="measured"
    )
    began = time.perf_counter()
    for _ in range(_RECORDS):
        house.journal.write(fact)
    await house.journal.flush()
    return _RECORDS / (time.perf_counter() - began)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[House, str]]:
    """A new house, and the address of its database."""
    with server_folder() as folder:
        async with open_house(measurable(load_settings(CONFIG), folder)) as house:
            yield house, EmbeddedPostgres(folder / "postgres").dsn


def measurable(settings: Settings, folder: Path) -> Settings:
    """The same settings with all their state in `folder`, and six seats that draw the same lots."""
    storage = settings.storage.model_copy(update={"folder": folder})
    seats = tuple(s.model_copy(update={"stand_in": "seeded_random"}) for s in settings.seat)
    return settings.model_copy(update={"storage": storage, "seat": seats})


async def measured(minutes: int) -> dict[str, object]:
    async with opened() as (house, dsn):
        spent = await commits(dsn)
        watch = await timed_orders(house, minutes)
        return {
            **watch.waits,
            "commit_ms": spent,
            "bars": house.session.scorecard.bars,
            "records_per_s": await journalled(house),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(int(sys.argv[1])))))
