"""Kraken's adapter before the rehearsal exchange: as a whole, and as an arena of the contract."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from data.clock import SystemClock
from data.instrument import Price
from execution.venues.ccxt_venue import CcxtVenue
from execution.venues.kraken_exchange import KrakenExchange
from execution.venues.kraken_limits import KrakenLimits, Tier
from execution.venues.kraken_line import Keys, KrakenLine
from execution.venues.kraken_wire import Terms
from sextant.rehearsal.listing import Fees
from tests.builders_exchange_venue import A_MINUTE, OFTEN, PATIENCE, ExchangeArena, at_work
from tests.builders_rehearsal import PRICES, a_client, rehearsal_exchange
from tests.builders_venue import BTC, NOON
from tests.fakes_kraken import QuickClock

FREE = Fees(
    maker=Decimal("0.0026"), taker=Decimal("0.0026"), opening=Decimal(0), rollover=Decimal(0)
)
AT_100 = PRICES | {BTC: Price(Decimal(100))}


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


def some_terms(**changes):
    plain = {"leverage": {BTC: 3}, "deadline": SOON, "entries_rest": None}
    return Terms(**plain | changes)


def an_adapter(
    rehearsal, *, keys, clock=None, terms=None, limits=None, attach_stops=True, patience=PATIENCE
):
    """An adapter whose venue is neither open nor running."""
    clock = clock or SystemClock()
    limits = limits or KrakenLimits(QuickClock(NOON), Tier.PRO, reserve=0.2)
    line = KrakenLine(keys, limits=limits, urls=rehearsal.urls, timeout=patience)
    exchange = KrakenExchange(
        line,
        terms=terms or some_terms(),
        clock=clock,
        limits=limits,
        since=clock.now() - timedelta(hours=1),
        attach_stops=attach_stops,
    )
    venue = CcxtVenue(exchange, clock=clock, settings=OFTEN)
    return Site(venue=venue, exchange=exchange, line=line, limits=limits, rehearsal=rehearsal)


@asynccontextmanager
async def another(site, *, keys=None, **options):
    """One more process on the same account."""
    if keys is None:
        key, secret = site.control.keyring.another()
        keys = Keys(key=key, secret=secret)
    reborn = an_adapter(site.rehearsal, keys=keys, **options)
    try:
        yield reborn
    finally:
        await reborn.venue.close()


@asynccontextmanager
async def a_site(
    *,
    leverage=3,
    balances=None,
    running=True,
    terms=None,
    attach_stops=True,
    clock=None,
    limits=None,
    patience=PATIENCE,
    **options,
):
    """A venue at an exchange of its own, with the market at 100."""
    clock = clock or SystemClock()
    options = {"prices": AT_100, "fees": FREE} | options
    balances = balances or {"USDT": Decimal(10_000)}
    async with rehearsal_exchange(clock, balances=balances, **options) as rehearsal:
        site = an_adapter(
            rehearsal,
            keys=Keys(key=rehearsal.key, secret=rehearsal.secret),
            clock=clock,
            terms=terms or some_terms(leverage={BTC: leverage} if leverage else {}),
            limits=limits,
            attach_stops=attach_stops,
            patience=patience,
        )
        heard = at_work(site.venue, running=running, is_heard=lambda: rehearsal.control.listeners)
        try:
            async with heard:
                yield site
        finally:
            await site.venue.close()


class KrakenArena(ExchangeArena):
    """Kraken: the rehearsal exchange."""

    liquidates = True
    requests: ClassVar = {"order": "AddOrder", "stop": "AddOrder", "balances": "Balance"}
    says_too_late = "Deadline elapsed"
    hides_orders = False

    def opened(self, *, entries_rest=None, **options):
        terms = some_terms(deadline=A_MINUTE, entries_rest=entries_rest)
        return a_site(clock=self.clock, terms=terms, **options)

    @property
    def server(self):
        return self.site.control._server

    @property
    def mischief(self):
        return self.server.mischief

    def trade(self, price, quantity):
        self.site.control.trade(BTC, price, quantity)

    async def levy(self, amount):
        """Have a rollover of so much paid for the position that the first trade opened."""
        exchange = self.site.control.exchange
        fill = next(iter(exchange.trades.values())).fill
        exchange.wallet._enter("rollover", fill.fill_id, "USDT", Decimal(0), amount, exchange.now)

    async def deposit(self, amount):
        """Have money come from elsewhere."""
        exchange = self.site.control.exchange
        exchange.wallet._enter("deposit", "elsewhere", "USDT", amount, Decimal(0), exchange.now)
        exchange._tell_balances()

    def pass_time(self):
        self.server.catch_up()

    def placed(self):
        """The client order ids of what it has taken."""
        return [order.ticket.cl_ord_id for order in self.site.control.exchange.orders.values()]

    @property
    def is_heard(self):
        return bool(self.site.control.listeners)

    def let_go(self):
        self.site.control.let_go()

    def close_sockets(self):
        self.site.control.close_sockets()

    async def place_foreign(self):
        """Somebody else's order rests."""
        async with a_client(self.site.rehearsal) as other:
            await other.create_order("BTC/USDT", "limit", "buy", 1, 50)

    @asynccontextmanager
    async def another(self, *, clock=None):
        """One more process of ours; its venue is not open."""
        terms = some_terms(deadline=A_MINUTE)
        async with another(self.site, clock=clock or self.clock, terms=terms) as site:
            yield site.venue

    @property
    def secrets(self):
        keyring = self.site.control.keyring
        return [keyring.key, keyring.secret, *keyring._tokens]

    @property
    def speakers(self):
        """Whoever could say a secret by its repr."""
        site, keyring = self.site, self.site.control.keyring
        keys = Keys(key=keyring.key, secret=keyring.secret)
        return [keys, site.line, site.exchange, site.venue]
