"""Hyperliquid's adapter before a server on loopback: as a whole, and as an arena."""

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

from data.clock import SystemClock
from data.feeds.rate_budget import RateBudget
from data.instrument import Symbol
from execution.fill import Fill
from execution.venue import OrderChanged
from execution.venues.ccxt_venue import CcxtVenue
from execution.venues.hyperliquid_exchange import HyperliquidExchange
from execution.venues.hyperliquid_limits import IP_CAPACITY, IP_PER_SECOND, HyperliquidLimits
from execution.venues.hyperliquid_line import HyperliquidLine, Keys
from execution.venues.hyperliquid_wire import Terms
from risk.approval import _SEAL
from tests.builders_exchange_venue import A_MINUTE, OFTEN, PATIENCE, ExchangeArena, at_work
from tests.builders_venue import BTC as TETHERED
from tests.builders_venue import NOON, approved
from tests.fakes_hyperliquid_venue import AGENT_KEY, HyperliquidVenueServer
from tests.fakes_kraken import QuickClock

BTC = Symbol("BTC/USDC")
TERMS = Terms(slippage=Decimal("0.01"), stop_slippage=Decimal("0.1"), deadline=timedelta(seconds=5))
LENIENT = replace(TERMS, deadline=A_MINUTE)
LIMIT = {"limit": {"tif": "Gtc"}}
FOREIGN = {"a": 0, "b": True, "p": "50", "s": "1", "r": False, "t": LIMIT}


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
    patience=PATIENCE,
    urls=None,
    testnet=False,
    terms=TERMS,
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
        terms=terms,
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
async def a_site(*, running=True, source="a", clocked=None, **options):
    """A venue that runs, at a server of its own with the market at 100; nothing wrong was sent.

    The server's clock is `clocked`, or the machine's.
    """
    async with HyperliquidVenueServer(clocked or SystemClock(), source=source) as server:
        async with (
            a_venue(server, **options) as site,
            at_work(site.venue, running=running, is_heard=lambda: server.is_heard),
        ):
            yield site
        assert server.wrongs == []


def usdc(name, quantity, **options):
    """What `judge` would hand out for an order of that name in BTC/USDC."""
    return approved(name, quantity, symbol=BTC, **options)


class HyperliquidArena(ExchangeArena):
    """Hyperliquid, which trades in USDC."""

    requests: ClassVar = {"order": "exchange", "stop": "exchange", "balances": "info"}
    says_too_late = "expired"

    def opened(self, **options):
        return a_site(clock=self.clock, clocked=self.clock, terms=LENIENT, **options)

    def said(self, venue):
        return _Tethered(venue)

    @property
    def server(self):
        return self.site.server

    @property
    def mischief(self):
        return self.server.mischief

    def trade(self, price, quantity):
        self.server.account.trade("BTC", Decimal(price), Decimal(quantity))

    async def levy(self, amount):
        """Have so much funding paid; a coin has one payment at a time."""
        self.server.account.fund("BTC", amount)
        self.clock.ahead += timedelta(milliseconds=1)  # the venue's times are milliseconds

    async def deposit(self, amount):
        """Have money come from elsewhere."""
        await self.server.deposit(str(amount))

    def pass_time(self):
        self.server.account.pass_time(self.server.account.now_ms)

    def placed(self):
        """The client order ids of what it has taken."""
        return [str(uuid.UUID(cloid[2:])) for cloid in self.server.placed]

    @property
    def is_heard(self):
        return self.server.is_heard

    def let_go(self):
        self.server.let_go()

    def close_sockets(self):
        self.server.hang_up()

    def hide_orders(self):
        """Do not know the next order that is asked for."""
        self.server.hides_orders = 1

    async def place_foreign(self):
        """Somebody else's order rests."""
        await self.server.place(FOREIGN)

    @asynccontextmanager
    async def another(self, *, clock=None):
        """One more process of ours; its venue is not open."""
        async with a_venue(self.server, clock=clock or self.clock, terms=LENIENT) as site:
            yield _Tethered(site.venue)

    @property
    def secrets(self):
        sent = [body for path, body in self.server.requests if path == "/exchange"]
        return [AGENT_KEY, *(body["signature"]["r"] for body in sent)]

    @property
    def speakers(self):
        """Whoever could say a secret by its repr."""
        return [keys_of(self.server), self.site.line, self.site.exchange, self.site.venue]


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
