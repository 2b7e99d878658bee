"""Kraken's adapter before the rehearsal exchange: as a whole, and as an arena of the contract."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from data.clock import SystemClock
from data.instrument import Price
from execution.venues.ccxt_venue import CcxtVenue, CcxtVenueSettings
from execution.venues.kraken_exchange import KrakenExchange
from execution.venues.kraken_limits import KrakenLimits, Tier
from execution.venues.kraken_line import Keys, KrakenLine
from execution.venues.kraken_wire import Terms
from sextant.rehearsal.listing import Fees
from tests.builders_rehearsal import PRICES, rehearsal_exchange, until
from tests.builders_venue import BTC, NOON
from tests.fakes_kraken import QuickClock

FREE = Fees(
    maker=Decimal("0.0026"), taker=Decimal("0.0026"), opening=Decimal(0), rollover=Decimal(0)
)
AT_100 = PRICES | {BTC: Price(Decimal(100))}
OFTEN = CcxtVenueSettings(
    look_every=timedelta(seconds=30),
    first_redial=timedelta(milliseconds=10),
    last_redial=timedelta(milliseconds=100),
)
SOON = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An adapter, its exchange, and what is asked of it."""

    venue: CcxtVenue
    exchange: KrakenExchange
    line: KrakenLine
    limits: KrakenLimits
    rehearsal: Any

    @property
    def control(self):
        return self.rehearsal.control


@asynccontextmanager
async def a_site(
    *,
    leverage=3,
    balances=None,
    running=True,
    terms=None,
    attach_stops=True,
    clock=None,
    keys=None,
    limits=None,
    patience=timedelta(seconds=20),
    **options,
):
    """A venue at an exchange of its own, with the market at 100."""
    clock = clock or SystemClock()
    options = {"prices": AT_100, "fees": FREE} | options
    balances = balances or {"USDT": Decimal(10_000)}
    async with rehearsal_exchange(clock, balances=balances, **options) as rehearsal:
        limits = limits or KrakenLimits(QuickClock(NOON), Tier.PRO, reserve=0.2)
        line = KrakenLine(
            keys or Keys(key=rehearsal.key, secret=rehearsal.secret),
            limits=limits,
            urls=rehearsal.urls,
            timeout=patience,
        )
        exchange = KrakenExchange(
            line,
            terms=terms
            or Terms(
                leverage={BTC: leverage} if leverage else {},
                deadline=SOON,
                entries_rest=None,
            ),
            clock=clock,
            limits=limits,
            since=clock.now() - timedelta(hours=1),
            attach_stops=attach_stops,
        )
        venue = CcxtVenue(exchange, clock=clock, settings=OFTEN)
        site = Site(venue=venue, exchange=exchange, line=line, limits=limits, rehearsal=rehearsal)
        try:
            await venue.open()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(venue.run()) if running else None
                if running:
                    await until(lambda: rehearsal.control.listeners)
                yield site
                if task is not None:
                    task.cancel()
        finally:
            await venue.close()


class KrakenArena:
    """Kraken through ccxt before the rehearsal exchange; others trade each bar's four prices."""

    liquidates = True

    def __init__(self):
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        self._site = await self._stack.enter_async_context(a_site())
        self.venue = self._site.venue
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def levy(self, amount):
        """Have a rollover of so much paid for the position that the first trade opened."""
        exchange = self._site.control.exchange
        fill = next(iter(exchange.trades.values())).fill
        exchange.wallet._enter("rollover", fill.fill_id, "USDT", Decimal(0), amount, exchange.now)

    async def later(self, span):
        """Let time pass at the exchange."""
        exchange = self._site.control.exchange
        exchange.pass_time(exchange.now + span)

    async def deposit(self, amount):
        """Have money come from elsewhere."""
        exchange = self._site.control.exchange
        exchange.wallet._enter("deposit", "elsewhere", "USDT", amount, Decimal(0), exchange.now)
        exchange._tell_balances()

    async def move(self, prices, *, volume="1000"):
        """A tenth of the volume reaches our orders, as in the other arenas."""
        quantity = str(Decimal(volume) / 10)
        for price in prices.split():
            self._site.control.trade(BTC, price, quantity)
        await self.venue.look()
