"""Hyperliquid's adapter before a server on loopback: as a whole, and as an arena."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from data.clock import SystemClock
from data.feeds.rate_budget import RateBudget
from data.instrument import Symbol
from execution.fill import Fill
from execution.venue import OrderChanged
from execution.venues.ccxt_venue import CcxtVenue, CcxtVenueSettings
from execution.venues.hyperliquid_exchange import HyperliquidExchange
from execution.venues.hyperliquid_limits import IP_CAPACITY, IP_PER_SECOND, HyperliquidLimits
from execution.venues.hyperliquid_line import HyperliquidLine, Keys
from execution.venues.hyperliquid_wire import Terms, milliseconds
from risk.approval import _SEAL
from tests.builders_venue import BTC as TETHERED
from tests.builders_venue import NOON, approved
from tests.fakes_hyperliquid_venue import AGENT_KEY, HyperliquidVenueServer
from tests.fakes_kraken import QuickClock

BTC = Symbol("BTC/USDC")
TERMS = Terms(slippage=Decimal("0.01"), stop_slippage=Decimal("0.1"), deadline=timedelta(seconds=5))
OFTEN = CcxtVenueSettings(
    look_every=timedelta(seconds=30),
    first_redial=timedelta(milliseconds=10),
    last_redial=timedelta(milliseconds=100),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An adapter, its server, and what is asked of it."""

    venue: CcxtVenue
    exchange: HyperliquidExchange
    line: HyperliquidLine
    limits: HyperliquidLimits
    server: HyperliquidVenueServer


def generous_limits(*, reserve=20):
    """The real limits, on a clock that waits for nothing."""
    clock = QuickClock(NOON)
    ip = RateBudget(clock, capacity=IP_CAPACITY, per_second=IP_PER_SECOND)
    return HyperliquidLimits(clock, ip, reserve=reserve)


def keys_of(server, *, agent_key=AGENT_KEY):
    environment = {"HYPERLIQUID_AGENT_KEY": f"0x{agent_key}", "HYPERLIQUID_ACCOUNT": server.master}
    return Keys.of_environment(environment)


@asynccontextmanager
async def a_venue(
    server,
    *,
    clock=None,
    agent_key=AGENT_KEY,
    limits=None,
    patience=timedelta(seconds=5),
    urls=None,
    testnet=False,
):
    """An adapter on a server's account: one process of ours."""
    clock = clock or SystemClock()
    limits = limits or generous_limits()
    line = HyperliquidLine(
        keys_of(server, agent_key=agent_key),
        clock=clock,
        limits=limits,
        urls=urls or server.urls,
        timeout=patience,
        testnet=testnet,
    )
    exchange = HyperliquidExchange(
        line,
        terms=TERMS,
        clock=clock,
        limits=limits,
        since=SystemClock().now() - timedelta(hours=1),
    )
    venue = CcxtVenue(exchange, clock=clock, settings=OFTEN)
    try:
        yield Site(venue=venue, exchange=exchange, line=line, limits=limits, server=server)
    finally:
        await venue.close()


@asynccontextmanager
async def a_site(*, running=True, source="a", **options):
    """A venue that runs, at a server of its own with the market at 100; nothing wrong was sent."""
    async with HyperliquidVenueServer(SystemClock(), source=source) as server:
        async with a_venue(server, **options) as site:
            await site.venue.open()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(site.venue.run()) if running else None
                if running:
                    await until(lambda: server.is_heard)
                yield site
                if task is not None:
                    task.cancel()
        assert server.wrongs == []


def usdc(name, quantity, **options):
    """What `judge` would hand out for an order of that name in BTC/USDC."""
    return approved(name, quantity, symbol=BTC, **options)


async def until(condition):
    """Return once `condition` holds: what comes over a socket takes its time."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a socket tells nobody
            await asyncio.sleep(0.001)  # noqa: TID251 - for the socket's sake


class HyperliquidArena:
    """Hyperliquid through ccxt; others trade each bar's four prices."""

    liquidates = False

    def __init__(self):
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        self._site = await self._stack.enter_async_context(a_site())
        self.venue = _Tethered(self._site.venue)
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def levy(self, amount):
        """Have so much funding paid; a coin has one payment at a time."""
        self._site.server.account.fund("BTC", amount)
        await asyncio.sleep(0.002)  # noqa: TID251 - the venue's times are milliseconds

    async def later(self, span):
        """Let time pass at the exchange."""
        await self._site.server.pass_time(milliseconds(SystemClock().now() + span))

    async def deposit(self, amount):
        """Have money come from elsewhere."""
        await self._site.server.deposit(str(amount))

    async def move(self, prices, *, volume="1000"):
        """A tenth of the volume reaches our orders, as in the other arenas."""
        for price in prices.split():
            await self._site.server.trade("BTC", price, str(Decimal(volume) / 10))
        await self._site.venue.look()


class _Tethered:
    """The suite trades in USDT, Hyperliquid in USDC: a venue with one said for the other."""

    def __init__(self, venue):
        self._venue = venue

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def submit(self, order):
        intent = replace(order.intent, symbol=BTC)
        await self._venue.submit(replace(order, intent=intent, seal=_SEAL))

    async def order(self, client_order_id):
        order = await self._venue.order(client_order_id)
        return None if order is None else _said(order)

    async def open_orders(self):
        return [_said(order) for order in await self._venue.open_orders()]

    async def fills(self, *, after=0):
        return [_said(fill) for fill in await self._venue.fills(after=after)]

    async def charges(self, *, since=None):
        return [
            replace(charge, asset="USDT", symbol=TETHERED)
            for charge in await self._venue.charges(since=since)
        ]

    async def balances(self):
        held = await self._venue.balances()
        return {"USDT" if asset == "USDC" else asset: held[asset] for asset in held}

    def drain(self):
        return [_said(event) for event in self._venue.drain()]


def _said(it):
    if isinstance(it, OrderChanged):
        return replace(it, order=_said(it.order))
    if isinstance(it, Fill):
        return replace(it, symbol=TETHERED, fee_asset="USDT")
    return replace(it, symbol=TETHERED)
