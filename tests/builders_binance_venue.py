"""Binance's adapter before its venue on loopback: as a whole, and as an arena of the contract."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from data.clock import SystemClock
from data.feeds.binance import rate_budget
from execution.venues.binance_exchange import BinanceExchange
from execution.venues.binance_limits import BinanceLimits
from execution.venues.binance_line import BinanceLine, Keys
from execution.venues.binance_wire import MarginType, Terms, TriggerPrice
from execution.venues.ccxt_venue import CcxtVenue, CcxtVenueSettings
from sextant.rehearsal.faults import NO_FAULTS
from tests.builders_venue import BTC, NOON
from tests.fakes_binance import ETH, KEY, SECRET, BinanceAccount, BinanceVenueServer
from tests.fakes_kraken import QuickClock

OFTEN = CcxtVenueSettings(
    look_every=timedelta(seconds=30),
    first_redial=timedelta(milliseconds=10),
    last_redial=timedelta(milliseconds=100),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An adapter, its exchange, and what is asked of it."""

    venue: CcxtVenue
    exchange: BinanceExchange
    line: BinanceLine
    limits: BinanceLimits
    server: BinanceVenueServer

    @property
    def account(self):
        return self.server.account


def some_terms(**changes):
    plain = {
        "leverage": {BTC: 5, ETH: 5},
        "margin": MarginType.CROSSED,
        "triggered_by": TriggerPrice.LAST,
        "receive_window": timedelta(seconds=5),
        "entries_rest": None,
    }
    return Terms(**plain | changes)


def an_adapter(
    server,
    *,
    clock=None,
    terms=None,
    keys=None,
    limits=None,
    testnet=False,
    since=None,
    patience=timedelta(seconds=5),
):
    """An adapter whose venue is neither open nor running."""
    clock, terms = clock or SystemClock(), terms or some_terms()
    quick = QuickClock(NOON)
    limits = limits or BinanceLimits(quick, rate_budget(quick), reserve=0.2)
    line = BinanceLine(
        keys or Keys(key=KEY, secret=SECRET),
        clock=clock,
        limits=limits,
        receive_window=terms.receive_window,
        testnet=testnet,
        urls=server.urls,
        timeout=patience,
    )
    exchange = BinanceExchange(
        line,
        terms=terms,
        clock=clock,
        limits=limits,
        since=since or clock.now() - timedelta(hours=1),
    )
    venue = CcxtVenue(exchange, clock=clock, settings=OFTEN)
    return Site(venue=venue, exchange=exchange, line=line, limits=limits, server=server)


@asynccontextmanager
async def another(server, **options):
    """One more process on the same account."""
    site = an_adapter(server, **options)
    try:
        yield site
    finally:
        await site.venue.close()


@asynccontextmanager
async def a_site(*, running=True, clock=None, faults=NO_FAULTS, account=None, **options):
    """A venue at an exchange of its own, with the market at 100."""
    account = account or BinanceAccount(clock or SystemClock())
    async with BinanceVenueServer(account, faults) as server:
        site = an_adapter(server, clock=clock, **options)
        try:
            await site.venue.open()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(site.venue.run()) if running else None
                if running:
                    await until(lambda: server.peers)
                yield site
                if task is not None:
                    task.cancel()
        finally:
            await site.venue.close()


async def until(condition):
    """Return once `condition` holds: what comes over a socket takes its time."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a socket tells nobody
            await asyncio.sleep(0.001)  # noqa: TID251 - for the socket's sake


class AheadClock(SystemClock):
    """The machine's clock, put forward."""

    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


class BinanceArena:
    """Binance through ccxt before a venue on loopback; others trade each bar's four prices."""

    liquidates = False

    def __init__(self):
        self._stack = AsyncExitStack()
        self._clock = AheadClock()

    async def __aenter__(self):
        self._site = await self._stack.enter_async_context(a_site(clock=self._clock))
        self.venue = self._site.venue
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def levy(self, amount):
        """Have so much funding paid."""
        self._site.account.fund(BTC, amount)

    async def later(self, span):
        """Let time pass, at the exchange and here."""
        self._clock.ahead += span
        self._site.account.pass_time()

    async def deposit(self, amount):
        """Have money come from elsewhere."""
        self._site.account.deposit(amount)

    async def move(self, prices, *, volume="1000"):
        """A tenth of the volume reaches our orders, as in the other arenas."""
        quantity = str(Decimal(volume) / 10)
        for price in prices.split():
            self._site.account.trade(BTC, price, quantity)
        await self.venue.look()
