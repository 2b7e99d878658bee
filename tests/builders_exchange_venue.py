"""What the adapters of real exchanges have in common in tests: how they run, and their arena."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from decimal import Decimal

from data.clock import SystemClock
from execution.venue import OutcomeUnknown
from execution.venues.ccxt_venue import CcxtVenueSettings
from tests.builders_rehearsal import until

PATIENCE = timedelta(seconds=20)  # with one request
MOMENT = 300  # milliseconds, of a request that is not answered
A_MINUTE = timedelta(minutes=1)  # how long an order may be on its way
OFTEN = CcxtVenueSettings(
    look_every=timedelta(seconds=30),
    first_redial=timedelta(milliseconds=10),
    last_redial=timedelta(milliseconds=100),
)


class AheadClock(SystemClock):
    """The machine's clock, put forward."""

    def __init__(self, ahead=timedelta(0)):
        self.ahead = ahead

    def now(self):
        return super().now() + self.ahead


@asynccontextmanager
async def at_work(venue, *, running, is_heard):
    """An open venue, and one that listens if it is `running`."""
    await venue.open()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(venue.run()) if running else None
        if running:
            await until(is_heard)
        yield
        if task is not None:
            task.cancel()


@contextmanager
def in_haste(site):
    """Its line waits but a moment for answers while the block lasts."""
    client = site.line._exchange
    patience, client.timeout = client.timeout, MOMENT
    try:
        yield
    finally:
        client.timeout = patience


class ExchangeArena:
    """An adapter through ccxt before its exchange on loopback, both with the arena's clock.

    Others trade each bar's four prices. A subclass opens the two (`opened`), and says what the
    exchange does by itself (`trade`, `levy`, `deposit`, `pass_time`), what has come there
    (`placed`, `is_heard`, `secrets`), and who else is at the account (`another`,
    `place_foreign`). Its `server` takes clients or does not; its `mischief` strikes `requests`.
    """

    liquidates = False
    requests: dict[str, str]  # an order, a conditional one, a question: how the exchange calls it
    busy = OutcomeUnknown  # what its being too busy for an order comes to
    says_too_late: str  # of an order that comes after its deadline
    hides_orders = True  # whether it may not know the order of a fill for a moment

    def __init__(self, **options):
        self.clock = AheadClock()
        self._options = options
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        self.site = await self._stack.enter_async_context(self.opened(**self._options))
        self.venue = self.said(self.site.venue)
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    def said(self, venue):
        """The venue in the symbols of the suite."""
        return venue

    async def move(self, prices, *, volume="1000"):
        """A tenth of the volume reaches our orders, as in the other arenas."""
        for price in prices.split():
            self.trade(price, str(Decimal(volume) / 10))
        await self.venue.look()

    async def later(self, span):
        """Let time pass, at the exchange and here."""
        self.clock.ahead += span
        self.pass_time()

    # What befalls a request, or the stream

    def befall(self, what, *accidents):
        self.mischief.order(self.requests[what], *accidents)

    def misbehave(self, faults):
        self.mischief.change(faults)

    @asynccontextmanager
    async def down(self):
        """Nobody listens while the block lasts."""
        await self.server.deafen()
        try:
            yield
        finally:
            await self.server.listen()
