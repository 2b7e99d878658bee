"""The market of a rehearsal: an exchange of our own, asked and heard as a real one is."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from data.bar import Timeframe
from data.clock import Clock, PacedClock
from data.collect.venues import Exchange, open_source, rate_budget
from data.feed import MarketEvent, MarketFeed
from data.feeds.live_ports import FeedWatcher
from data.feeds.rate_budget import RateBudget
from data.instrument import Symbol
from data.news import NewsItem
from data.postgres.pool import Pool
from execution.journal import OrderJournal
from execution.venues.kraken_limits import Tier as Verified
from execution.venues.kraken_settings import KrakenVenueSettings
from sextant.live_market import LiveMarket
from sextant.market import Newest, Service, Site
from sextant.market_settings import RehearsalMarketSettings
from sextant.rehearsal.rates import Tier
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.scenes import synthetic
from sextant.rehearsal.server import RehearsalServer, Terms
from sextant.settings import Settings

_TICK, _HEARTBEAT = timedelta(seconds=0.25), timedelta(seconds=1)  # of real time


class RehearsalExchange(Protocol):
    """Where the exchange of a rehearsal runs; its time is market time."""

    @property
    def clock(self) -> Clock: ...

    def begin_after(self, at: datetime) -> None:
        """Our records end at `at`."""
        ...

    async def open(self, books: OrderJournal, running: contextlib.AsyncExitStack) -> Site:
        """Return once it takes orders; what is entered into `running` ends with the market."""
        ...


class RehearsalMarket:
    """The exchange is on this machine; the daemon knows nothing of it but that."""

    def __init__(
        self,
        settings: Settings,
        rehearsal: RehearsalMarketSettings,
        pool: Pool,
        exchange: RehearsalExchange,
    ) -> None:
        self.name = f"rehearsal-{rehearsal.seed}"
        self.site: Site | None = None
        self._settings = settings
        self._rehearsal = rehearsal
        self._pool = pool
        self._exchange = exchange
        self._followed: LiveMarket | None = None
        self._running = contextlib.AsyncExitStack()

    @property
    def clock(self) -> Clock:
        return self._exchange.clock

    def begin_after(self, at: datetime) -> None:
        self._exchange.begin_after(at)

    async def reach(self, books: OrderJournal) -> None:
        site = self.site = await self._exchange.open(books, self._running)
        budget = rate_budget(Exchange.KRAKEN, self.clock)
        self._followed = LiveMarket(
            self._settings,
            self._rehearsal,
            self._pool,
            name=self.name,
            clock=self.clock,
            budget=budget,
            opened=partial(open_source, Exchange.KRAKEN, self.clock, urls=site.urls),
        )
        self._running.push_async_callback(self._followed.close)
        await self._followed.reach(books)

    @property
    def _live(self) -> LiveMarket:
        if self._followed is None:
            raise RuntimeError("the exchange is not open yet: reach() comes first")
        return self._followed

    @property
    def budget(self) -> RateBudget:
        return self._live.budget

    def goes_on_from(self, newest: datetime, needs: Mapping[Timeframe, int]) -> datetime:
        return self._live.goes_on_from(newest, needs)

    async def bring_past(
        self, symbol: Symbol, needs: Mapping[Timeframe, int], until: datetime
    ) -> None:
        await self._live.bring_past(symbol, needs, until)

    def feed(self, newest: Newest, watcher: FeedWatcher) -> MarketFeed:
        return self._live.feed(newest, watcher)

    def go(self) -> None: ...

    def services(self, learn: Callable[[NewsItem], None]) -> Sequence[Service]:
        return self._live.services(learn)

    async def keep(self, event: MarketEvent) -> None:
        await self._live.keep(event)

    async def close(self) -> None:
        await self._running.aclose()


class HostedExchange:
    """The exchange in this process, on loopback.

    Its time stands until it has opened, and while no daemon runs.
    """

    def __init__(self, settings: Settings, rehearsal: RehearsalMarketSettings) -> None:
        self.clock = PacedClock(rehearsal.start, speed=rehearsal.speed, standing=True)
        self.server: RehearsalServer | None = None
        self._settings = settings
        self._rehearsal = rehearsal

    def begin_after(self, at: datetime) -> None:
        self.clock.stand_at(at)

    async def open(self, books: OrderJournal, running: contextlib.AsyncExitStack) -> Site:
        """Open the exchange as its books left it, and let time run."""
        server = self.server = self._made(await AccountRecord.open(books))
        await running.enter_async_context(server.serving())
        self.clock.go()
        return Site(urls=server.urls, key=server.keyring.key, secret=server.keyring.secret)

    def _made(self, record: AccountRecord) -> RehearsalServer:
        settings, speed = self._settings, self._rehearsal.speed
        scene = synthetic(
            seed=self._rehearsal.seed,
            symbols=list(settings.instruments),
            start=self.clock.now() if record.account is None else record.account.at,
        )
        terms = Terms(
            balances=settings.account.balances,
            listings=scene.listings,
            tier=_tier(settings),
            seed=self._rehearsal.seed,
            speed=speed,
            tick=_TICK * speed,
            heartbeat=_HEARTBEAT * speed,
        )
        return RehearsalServer(
            terms,
            prices=scene.prices,
            clock=self.clock,
            tape=scene.tape,
            past=scene.past,
            traded=scene.traded,
            record=record,
        )


def _tier(settings: Settings) -> Tier:
    """How far the account is verified at the exchange: as far as the daemon takes it to be."""
    if not isinstance(settings.venue, KrakenVenueSettings):
        return Tier()
    allowed = Verified[settings.venue.tier.upper()].value
    return Tier(
        asked=allowed.rest_most,
        asked_decay=allowed.rest_decay,
        traded=allowed.trading_most,
        traded_decay=allowed.trading_decay,
    )
