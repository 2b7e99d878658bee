"""Binance's adapter before its venue on loopback: as a whole, and as an arena of the contract."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from data.clock import SystemClock
from data.feeds.binance import rate_budget
from execution.venue import VenueUnavailable
from execution.venues.binance_exchange import BinanceExchange
from execution.venues.binance_limits import BinanceLimits
from execution.venues.binance_line import BinanceLine, Keys
from execution.venues.binance_wire import MarginType, Terms, TriggerPrice
from execution.venues.ccxt_venue import CcxtVenue
from sextant.rehearsal.faults import NO_FAULTS
from tests.builders_exchange_venue import A_MINUTE, OFTEN, PATIENCE, ExchangeArena, at_work
from tests.builders_venue import BTC, NOON
from tests.fakes_binance import ETH, KEY, LISTEN_KEY, SECRET, BinanceAccount, BinanceVenueServer
from tests.fakes_kraken import QuickClock


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
    patience=PATIENCE,
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
    async with (
        BinanceVenueServer(account, faults) as server,
        another(server, clock=clock, **options) as site,
        at_work(site.venue, running=running, is_heard=lambda: server.peers),
    ):
        yield site


def foreign(account, quantity, *, price=None, market="BTCUSDT", name="web_x"):
    """What somebody else does on the same account."""
    side = "BUY" if not quantity.startswith("-") else "SELL"
    form = {"symbol": market, "side": side, "positionSide": "BOTH", "type": "MARKET"}
    form |= {"quantity": quantity.lstrip("-"), "newClientOrderId": name}
    if price is not None:
        form |= {"type": "LIMIT", "price": price, "timeInForce": "GTC"}
    return account.place(form)


class BinanceArena(ExchangeArena):
    """Binance's USD-M futures."""

    requests: ClassVar = {
        "order": "POST order",
        "stop": "POST algoOrder",
        "balances": "GET account",
    }
    busy = VenueUnavailable
    says_too_late = "-1021"

    def opened(self, *, entries_rest=None, **options):
        terms = some_terms(receive_window=A_MINUTE, entries_rest=entries_rest)
        return a_site(clock=self.clock, terms=terms, **options)

    @property
    def server(self):
        return self.site.server

    @property
    def mischief(self):
        return self.server.mischief

    def trade(self, price, quantity):
        self.site.account.trade(BTC, price, quantity)

    async def levy(self, amount):
        """Have so much funding paid."""
        self.site.account.fund(BTC, amount)

    async def deposit(self, amount):
        """Have money come from elsewhere."""
        self.site.account.deposit(amount)

    def pass_time(self):
        self.site.account.pass_time()

    def placed(self):
        """The client order ids of what it has taken."""
        return self.site.account.names()

    @property
    def is_heard(self):
        return bool(self.server.peers)

    def let_go(self):
        self.server.let_go()

    def close_sockets(self):
        self.server.close_sockets()

    def hide_orders(self):
        """Do not know the next order that is asked for."""
        body = '{"code":-2013,"msg":"Order does not exist."}'
        self.server.instead["GET order"] = [(400, body)]

    async def place_foreign(self):
        """Somebody else's order rests."""
        foreign(self.site.account, "1", price="50")

    @asynccontextmanager
    async def another(self, *, clock=None):
        """One more process of ours; its venue is not open."""
        terms = some_terms(receive_window=A_MINUTE)
        async with another(self.server, clock=clock or self.clock, terms=terms) as site:
            yield site.venue

    @property
    def secrets(self):
        return [KEY, SECRET, LISTEN_KEY]

    @property
    def speakers(self):
        """Whoever could say a secret by its repr."""
        site = self.site
        return [Keys(key=KEY, secret=SECRET), site.line, site.exchange, site.venue]
