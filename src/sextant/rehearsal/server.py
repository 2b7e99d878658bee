"""The exchange as a server on loopback: its market runs, its clients are answered.

`RehearsalServer` is what a daemon or the command line starts; `Control` is what a test or an
operator does to it while it runs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web

from data.bar import Bar
from data.clock import Clock, PacedClock
from data.faults import Fault
from data.instrument import Price, Quantity, Side, Symbol
from data.utc import require_utc
from sextant.rehearsal.exchange import Exchange
from sextant.rehearsal.faults import NO_FAULTS, Accident, Faults, Mischief
from sextant.rehearsal.keys import Keyring, is_loopback
from sextant.rehearsal.listing import LISTINGS, Fees, Listing, Register
from sextant.rehearsal.market import MarketTrade, PairMarket, Print
from sextant.rehearsal.rates import Limits, Tier
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.rest import Rest
from sextant.rehearsal.sockets import Sockets
from sextant.rehearsal.trading import Trading

HOST: Final = "127.0.0.1"
TIME_PATH: Final = "/rehearsal/time"
LONGEST_SKIPPED: Final = timedelta(hours=3)  # from the end of our record, which leaves out an hour
_NO_PAST: Final[Mapping[Symbol, Sequence[Bar]]] = MappingProxyType({})
Tape = Iterator[tuple[Symbol, MarketTrade]]


class PortTaken(Fault):
    """Somebody listens there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the exchange is like; `tick` is how often time alone can end an order."""

    balances: Mapping[str, Decimal]
    listings: Sequence[Listing] = LISTINGS
    fees: Fees = field(default_factory=Fees)
    tier: Tier = field(default_factory=Tier)
    faults: Faults = NO_FAULTS
    seed: int = 7
    port: int = 0  # 0 takes a free one
    speed: float = 1.0  # market seconds a second, which is told to who follows our time
    tick: timedelta = timedelta(milliseconds=250)
    heartbeat: timedelta = timedelta(seconds=1)


class RehearsalServer:
    """One exchange, served on loopback alone while `serving` lasts; its state outlives that.

    It runs in the loop of whoever enters `serving`, beside whatever else does, and waits by `clock`
    alone. The same seed makes the same market, to the last trade.

    Args:
        prices: Before the first trade of the tape.
        tape: What of it is not later than the account has happened, and met no order.
        past: One-minute bars of what was before the tape.
        traded: How many trades each pair has had before the tape.
        record: What the account goes on from and is kept in; without one it ends with us.
        unkept: Is told why, where the record takes no more: nothing of the account is said then.

    Raises:
        NotListed: the account has an open order for what is not listed.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        prices: Mapping[Symbol, Price],
        clock: Clock,
        tape: Tape,
        past: Mapping[Symbol, Sequence[Bar]] = _NO_PAST,
        traded: int = 0,
        record: AccountRecord | None = None,
        unkept: Callable[[Fault], None] = lambda fault: None,
    ) -> None:
        self._terms, self._clock = terms, clock
        self._record, self._unkept = record, unkept
        self._account = None if record is None else record.account  # what we go on from
        self._opened_at = clock.now() if self._account is None else self._account.at
        self._tape = tape
        self._coming = next(tape, None)  # of the tape
        self.exchange = self._opened_exchange(prices, past, traded)
        self.keyring = Keyring()
        self.mischief = Mischief(terms.faults)
        self.port = terms.port
        self.sockets, self.rest = self._doors()
        self._runner: web.AppRunner | None = None

    def _opened_exchange(
        self, prices: Mapping[Symbol, Price], past: Mapping[Symbol, Sequence[Bar]], traded: int
    ) -> Exchange:
        """As the account and the tape have it at `opened_at`; the record follows it from there."""
        terms, record, at = self._terms, self._record, self._opened_at
        markets = {
            each.symbol: PairMarket(
                each,
                seed=terms.seed,
                price=prices[each.symbol],
                at=at if self._coming is None else min(at, self._coming[1].at),
                past=past.get(each.symbol, ()),
                traded=traded,
            )
            for each in terms.listings
        }
        for symbol, trade in self._until(at):
            markets[symbol].take(trade)
        exchange = Exchange(
            register=Register(terms.listings),
            markets=markets,
            balances=terms.balances,
            fees=terms.fees,
            seed=terms.seed,
            opened_at=at,
            account=self._account,
        )
        if record is not None:
            record.follow(exchange)
        return exchange

    def _doors(self) -> tuple[Sockets, Rest]:
        """How clients reach the exchange: both count against the same limits."""
        limits = Limits(self._terms.tier)
        trading = Trading(self.exchange, limits)
        sockets = Sockets(
            exchange=self.exchange,
            trading=trading,
            keyring=self.keyring,
            mischief=self.mischief,
            clock=self._clock,
            catch_up=self.catch_up,
            keep=self._keep,
        )
        rest = Rest(
            exchange=self.exchange,
            trading=trading,
            keyring=self.keyring,
            limits=limits,
            mischief=self.mischief,
            clock=self._clock,
            catch_up=self.catch_up,
            keep=self._keep,
        )
        return sockets, rest

    @property
    def urls(self) -> dict[str, Any]:
        """What takes the place of `urls["api"]` in ccxt's client."""
        return addresses(f"http://{HOST}:{self.port}")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Control"]:
        """Listen, and let the market run, until the block ends.

        Raises:
            PortTaken: the port is not free.
        """
        await self.listen()
        failed: Exception | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._run_market(), name="rehearsal-market"),
                    tasks.create_task(self._run_time(), name="rehearsal-time"),
                    tasks.create_task(self._beat(), name="rehearsal-heartbeat"),
                ]
                try:
                    yield Control(self)
                except Exception as error:  # noqa: BLE001 - raised below, outside the group
                    failed = error
                for task in running:
                    task.cancel()
        finally:
            await self.deafen()
        if failed is not None:
            raise failed

    async def listen(self) -> None:
        """Take clients, on the same port as before."""
        app = web.Application(middlewares=[_loopback_only])
        app.add_routes(self.rest.routes())
        app.add_routes(
            [web.get("/v2", self.sockets.serve), web.get("/v2/private", self.sockets.serve)]
        )
        app.router.add_get(TIME_PATH, self._tell_time)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise PortTaken(f"cannot listen on {HOST}:{self.port}: {error.strerror}") from error
        self.port = self._runner.addresses[0][1]

    async def deafen(self) -> None:
        """Close every socket, and take no client any more."""
        self.rest.go_on.set()
        self.sockets.close_all()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def trade(self, symbol: Symbol, trade: MarketTrade) -> Print:
        """Let others trade, and tell it."""
        market = self.exchange.markets[symbol]
        before = market.book
        made = self.exchange.trade(symbol, trade)
        self.sockets.tell_market(made, market, before)
        return made

    def catch_up(self) -> None:
        """Let the market and the time come to the clock's, however late we are.

        Whoever asks, asks after this: what the exchange knows at an instant follows from the seed
        and from what it was asked before, not from how busy the machine is.
        """
        now = self._clock.now()
        for symbol, trade in self._until(now):
            self.trade(symbol, trade)
        self.exchange.pass_time(now)

    def _until(self, at: datetime) -> Tape:
        """Take off the tape what is on it up to `at`."""
        while self._coming is not None and self._coming[1].at <= at:
            coming, self._coming = self._coming, next(self._tape, None)
            yield coming

    async def _keep(self) -> None:
        """Return once all that has happened so far is kept, where it is."""
        if self._record is None:
            return
        try:
            await self._record.keep()
        except Fault as fault:
            self._unkept(fault)
            raise

    async def _run_market(self) -> None:
        while self._coming is not None:
            await self._clock.sleep_until(self._coming[1].at)
            self.catch_up()
            await asyncio.sleep(0)  # noqa: TID251 - no wait: late trades let others have their turn

    async def _run_time(self) -> None:
        while True:
            await self._clock.sleep(self._terms.tick)
            self.catch_up()

    async def _tell_time(self, request: web.Request) -> web.Response:
        """Our time to who follows it; who has `seen` a later one has it from our last life."""
        if seen := request.query.get("seen"):
            self._go_on_from(_instant_of(seen))
        told = {
            "now": self._clock.now().isoformat(),
            "speed": self._terms.speed,
            "seed": self._terms.seed,
        }
        return web.json_response(told)

    def _go_on_from(self, seen: datetime) -> None:
        """Leave out what a client has seen already; our record may end before that."""
        if seen <= self._opened_at + LONGEST_SKIPPED and isinstance(self._clock, PacedClock):
            self._clock.skip_to(seen)

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._terms.heartbeat)
            self.sockets.heartbeat()


def addresses(http: str) -> dict[str, Any]:
    """What takes the place of `urls["api"]` in ccxt's client, of the exchange at `http`."""
    socket = "ws" + http.removeprefix("http")
    return {
        "public": http,
        "private": http,
        "ws": {
            "public": f"{socket}/v2",
            "private": f"{socket}/v2",
            "publicV2": f"{socket}/v2",
            "privateV2": f"{socket}/v2/private",
        },
    }


def _instant_of(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        require_utc(at)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"seen: {error}") from error
    return at


@web.middleware
async def _loopback_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if not is_loopback(request.host):
        raise web.HTTPForbidden(text="a rehearsal answers on loopback alone")
    return await handler(request)


class Control:
    """What can be done to a running exchange."""

    def __init__(self, server: RehearsalServer) -> None:
        self._server = server

    @property
    def exchange(self) -> Exchange:
        """What is true, whatever was told."""
        return self._server.exchange

    @property
    def keyring(self) -> Keyring:
        return self._server.keyring

    @property
    def urls(self) -> dict[str, Any]:
        return self._server.urls

    def trade(
        self,
        symbol: str,
        price: str,
        quantity: str = "1",
        side: Side = Side.BUY,
        *,
        at: datetime | None = None,
    ) -> Print:
        """Let others trade at `price`, now or at `at`."""
        made_at = self.exchange.now if at is None else at
        trade = MarketTrade(
            at=made_at, price=Price(Decimal(price)), quantity=Quantity(Decimal(quantity)), side=side
        )
        return self._server.trade(Symbol(symbol), trade)

    def misbehave(self, faults: Faults) -> None:
        """From now on; `Faults()` ends it."""
        self._server.mischief.change(faults)

    def next(self, method: str, *accidents: Accident) -> None:
        """Have the next requests of a REST method, such as AddOrder, meet these, one each."""
        self._server.mischief.order(method, *accidents)

    def let_go(self) -> None:
        """Answer what hangs."""
        self._server.rest.go_on.set()

    def silence(self, *, on: bool = True) -> None:
        """Say nothing over the sockets, which stay open."""
        self._server.sockets.silent = on

    def expire_tokens(self) -> None:
        """Open no socket's subscription for the tokens given out so far."""
        self._server.keyring.expire_tokens()

    def close_sockets(self) -> None:
        self._server.sockets.close_all()

    @property
    def listeners(self) -> int:
        """How many sockets are subscribed to executions."""
        return sum("executions" in peer.topics for peer in self._server.sockets.peers)

    @property
    def subscriptions(self) -> int:
        """How much all sockets together are subscribed to."""
        return sum(len(peer.topics) for peer in self._server.sockets.peers)

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Nobody listens while the block lasts; what is open stays so, and the market runs on."""
        await self._server.deafen()
        try:
            yield
        finally:
            await self._server.listen()

    async def restart(self) -> None:
        """Lose every connection, and come back."""
        async with self.down():
            pass
