"""The real daemon on paper over the Kraken of loopback, and a market that happens to both."""

import asyncio
import contextlib
import random
import subprocess
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import orjson
import pytest

from data.bar import Bar, Timeframe
from data.clock import ManualClock, PacedClock, SystemClock
from data.feeds.ccxt_source import exact
from data.feeds.kraken import trade_of_frame
from data.instrument import Symbol
from data.trade import Trade
from data.trade_bars import TradeBars
from sextant import markets
from sextant.daemon import Daemon
from sextant.house import House, open_house
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, ROOT, Rehearsal
from tests.wire.kraken import KrakenServer
from tests.wire.kraken_market import Market

BTC, XRP = Symbol("BTC/USDT"), Symbol("XRP/USDT")
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
STEP = 3  # seconds that pass at once
PAST = 90  # minutes of market before the daemon's first start
_SETTLE = timedelta(milliseconds=4)  # of real time a step, for what is on the way
_BUSY_AT_MOST = 25  # such waits
_LATE = timedelta(seconds=9)  # of market time after a minute's end by which its bar should be in
_PATIENCE = 1_000  # settlings that the market waits for a bar which should be in
_HUNG = timedelta(minutes=5)  # of real time: no daemon here takes so long on however busy a machine

# As in the field, but for desks that trade by chance on every minute and limits that let them.
LIVE = (
    EAGER.replace('max_delay = "PT12H"', 'max_delay = "PT1M"')
    .replace('max_price_age = "PT12H"', 'max_price_age = "PT1M"')
    .replace("[risk]\n", "[risk]\n    overlay_timeframes = []\n    shadow = []\n", 1)
)


def a_live_config(
    folder: Path, server: KrakenServer, text: str = LIVE, *, market: str = "book_depth = 10"
) -> Path:
    """A configuration over config/paper.toml whose Kraken is `server`."""
    path, urls = folder / "live.toml", server.urls
    path.write_text(
        f'extends = "{ROOT / "config" / "paper.toml"}"\n'
        + textwrap.dedent(text)
        + f'[market]\nsource = "kraken"\ntimeframe = "1m"\n{market}\n'
        + f'[market.urls]\npublic = "{urls["public"]}"\nprivate = "{urls["private"]}"\n'
        + f'ws = {{ publicV2 = "{urls["ws"]["publicV2"]}" }}\n'
        + f'[storage]\nfolder = "{folder / "state"}"\n'
    )
    return path


Accidents: TypeAlias = dict[int, list[Callable]]  # by second

_RUNNING_CLOCK = """
    import sys
    from datetime import datetime
    from data.clock import PacedClock
    from sextant import markets
    clock = PacedClock(datetime.fromisoformat(sys.argv.pop(1)), speed=float(sys.argv.pop(1)))
    clock._began = float(sys.argv.pop(1))
    markets.SystemClock = lambda: clock
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    at: datetime
    symbol: Symbol
    price: str
    quantity: str
    side: str


def the_market(since: datetime, until: datetime, *, seed: int = 7) -> list[Deal]:
    """What is traded in [since, until), in order, whatever the wire does."""
    deals = []
    for symbol, price, step, size in ((BTC, 85_600.0, 12.0, 1.0), (XRP, 2.0, 0.0004, 30_000.0)):
        rng, at = random.Random(f"{seed} {symbol}"), since
        while (at := at + timedelta(milliseconds=rng.randrange(200, 6_000))) < until:
            price += rng.choice((-1.0, -0.5, 0.5, 1.0)) * step
            deals.append(
                Deal(
                    at=at,
                    symbol=symbol,
                    price=f"{price:.{1 if symbol == BTC else 5}f}",
                    quantity=f"{rng.uniform(0.1, 1.0) * size:.8f}",
                    side=rng.choice(("buy", "sell")),
                )
            )
    return sorted(deals, key=lambda deal: (deal.at, deal.symbol))


def a_server(clock) -> KrakenServer:
    """A Kraken that has the pairs of config/paper.toml."""
    server = KrakenServer(clock)
    pairs = [("BTC/USDT", "XBTUSDT", "XXBT", "USDT", 1), ("XRP/USDT", "XRPUSDT", "XXRP", "USDT", 5)]
    pairs.append(("XRP/BTC", "XXRPXXBT", "XXRP", "XXBT", 8))
    server.markets |= {
        symbol: Market(symbol=symbol, pair=pair, base=base, quote=quote, price_decimals=decimals)
        for symbol, pair, base, quote, decimals in pairs
    }
    return server


@dataclass(slots=True, kw_only=True)
class World:
    """The exchange and its market, which goes on with or without a daemon."""

    clock: ManualClock | PacedClock
    server: KrakenServer
    config: Path
    deals: list[Deal]
    house: House | None = None
    accidents: dict[datetime, list[Callable]] = field(default_factory=dict)

    def plan(self, accidents: Accidents) -> None:
        """Have these happen to the server, so many seconds from now."""
        now = self.clock.now()
        self.accidents |= {now + second * SECOND: done for second, done in accidents.items()}

    async def pass_time(self, seconds: float = STEP) -> None:
        """Let the market happen for so long, then what is on the way arrive."""
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))
        await self.happen()

    async def happen(self) -> None:
        """Have everything happen that is due."""
        now = self.clock.now()
        for at in sorted(at for at in self.accidents if at <= now):
            for accident in self.accidents.pop(at):
                done = accident(self.server)
                if asyncio.iscoroutine(done):
                    await done
        while self.deals and self.deals[0].at <= now:
            deal = self.deals.pop(0)
            await self.server.trade(deal.symbol, deal.price, deal.quantity, deal.side, at=deal.at)
        for symbol in (BTC, XRP):
            await self._quote(symbol)
        await settled()

    async def run_by_itself(self) -> None:
        """Go on until cancelled, in the time of a clock that runs."""
        while True:
            await self.happen()

    async def run(self) -> None:
        """Go on until cancelled, no faster than a daemon that hears of it can follow."""
        before, patience = None, _PATIENCE
        while True:
            await self.pass_time()
            while (newest := self._newest_bar()) is not None:
                before, patience = newest, _PATIENCE if newest != before else patience
                if self.clock.now() <= newest + MINUTE + _LATE or not patience:
                    break
                patience -= 1
                await settled()

    def _newest_bar(self) -> datetime | None:
        """Up to when the daemon has the bars of all symbols; None where it cannot have them."""
        house, server = self.house, self.server
        if house is None or server.silent or server.mute or server.rest_fails:
            return None
        seen = [bars.newest for bars in house.session.scorecard.prices.values() if bars.newest]
        return min((bar.closed_at for bar in seen), default=None)

    async def _quote(self, symbol: Symbol) -> None:
        """The best bid grows a little, so that the book has something to tell."""
        bids = self.server.markets[symbol].bids
        best = max(bids)
        await self.server.change_book(symbol, bids={f"{best}": f"{float(bids[best]) + 0.5:.8f}"})

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        moved = isinstance(self.clock, ManualClock)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.run() if moved else self.run_by_itself())
            yield
            running.cancel()

    async def traded(self, bars: int, accidents: Accidents | None = None) -> House:
        """A daemon that sees so many bars and stops; the market goes on meanwhile.

        The seconds of `accidents` count from when its house is open.
        """
        async with self.going_on(), open_house(load_settings(self.config)) as house:
            self.house = house
            self.plan(accidents or {})
            try:
                async with asyncio.timeout(_HUNG.total_seconds()):
                    await Daemon(house, max_bars=bars).run(view=False)
            finally:
                self.house = None
        return house


async def settled() -> None:
    """Return once what is on the way has come: a loop that wakes us late still has work."""
    clock = SystemClock()
    for _ in range(_BUSY_AT_MOST):
        asleep = clock.now()
        await clock.sleep(_SETTLE)
        if clock.now() - asleep < 2 * _SETTLE:
            return


class LiveRehearsal(Rehearsal):
    """Daemons in processes of their own, whose clock is the market's: both read the machine's."""

    def __init__(self, world: World, **environment: str) -> None:
        super().__init__(world.config, **environment)
        self._clock = world.clock

    def _spawn(self, code: str, *arguments: str, **how: object) -> subprocess.Popen[str]:
        clock = self._clock
        running = (f"{clock._start:%Y-%m-%dT%H:%M:%S%z}", str(clock._speed), str(clock._began))
        code = textwrap.dedent(_RUNNING_CLOCK) + textwrap.dedent(code)
        return super()._spawn(code, *running, *arguments, **how)


@contextlib.asynccontextmanager
async def a_world(
    folder: Path,
    patch: pytest.MonkeyPatch | None = None,
    *,
    minutes: int = 60,
    text: str = LIVE,
    market: str = "book_depth = 10",
    past: int = PAST,
    speed: float | None = None,
) -> AsyncIterator[World]:
    """A Kraken with a past, and the daemon's configuration for it.

    A daemon in this process has the market's clock by `patch`. Time stands until it is moved, but
    with a `speed`.
    """
    clock = ManualClock(START) if speed is None else PacedClock(START, speed=speed)
    if patch is not None:
        patch.setattr(markets, "SystemClock", lambda: clock)
    async with a_server(clock) as server:
        deals = the_market(START - past * MINUTE, START + minutes * MINUTE)
        while deals and deals[0].at <= START:
            deal = deals.pop(0)
            await server.trade(deal.symbol, deal.price, deal.quantity, deal.side, at=deal.at)
        await server.change_book(BTC, **a_book(85_600.0, 0.1, 1.0))
        await server.change_book(XRP, **a_book(2.0, 0.00001, 30_000.0))
        config = a_live_config(folder, server, text, market=market)
        yield World(clock=clock, server=server, config=config, deals=deals)


def a_book(mid: float, tick: float, size: float, levels: int = 12) -> dict[str, dict[str, str]]:
    """Two sides of a book around `mid`."""
    places = 1 if tick == 0.1 else 5
    return {
        side: {f"{mid + sign * tick * n:.{places}f}": f"{size:.8f}" for n in range(1, levels + 1)}
        for side, sign in (("bids", -1), ("asks", 1))
    }


def trades_of(server: KrakenServer, symbol: Symbol) -> list[Trade]:
    """Everything that was traded."""
    prints = server.markets[symbol].prints
    return [trade_of_frame(symbol, exact(orjson.dumps(made.frame(symbol)))) for made in prints]


def bars_of(server: KrakenServer, symbol: Symbol, since: datetime, until: datetime) -> list[Bar]:
    """What all trades that there were make of bars."""
    trades = [trade for trade in trades_of(server, symbol) if trade.traded_at >= since]
    builder = TradeBars(symbol, Timeframe.M1, since=since)
    built = [bar for trade in trades for bar in builder.add(trade)]
    built += builder.close_until(until)
    return [bar for bar in built if bar.closed_at <= until]
