"""The market of a rehearsal: an exchange of our own, asked and heard as a real one is."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from data.bar import Timeframe
from data.clock import PacedClock
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
from sextant.market import LiveMarket, Newest, Service, Site
from sextant.rehearsal.rates import Tier
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.scenes import synthetic
from sextant.rehearsal.server import RehearsalServer, Terms
from sextant.settings import RehearsalMarketSettings, Settings

_TICK, _HEARTBEAT = timedelta(seconds=0.25), timedelta(seconds=1)  # of real time


class RehearsalMarket:
    """The exchange runs in this process, on loopback; the daemon knows nothing of it but that.

    Its time is market time, which stands until the exchange has opened, and while no daemon runs.
    """

    def __init__(self, settings: Settings, rehearsal: RehearsalMarketSettings, pool: Pool) -> None:
        self.name = f"rehearsal-{rehearsal.seed}"
        self.clock = PacedClock(rehearsal.start, speed=rehearsal.speed, standing=True)
        self._settings = settings
        self._rehearsal = rehearsal
        self._pool = pool
        self._server: RehearsalServer | None = None
        self._followed: LiveMarket | None = None
        self._running = contextlib.AsyncExitStack()

    def begin_after(self, at: datetime) -> None:
        self.clock.stand_at(at)

    async def reach(self, books: OrderJournal) -> None:
        """Open the exchange as its books left it, and let time run."""
        server = self._server = self._exchange(await AccountRecord.open(books))
        await self._running.enter_async_context(server.serving())
        self.clock.go()
        budget = rate_budget(Exchange.KRAKEN, self.clock)
        self._followed = LiveMarket(
            self._settings,
            self._rehearsal,
            self._pool,
            name=self.name,
            clock=self.clock,
            source=open_source(Exchange.KRAKEN, self.clock, budget=budget, urls=server.urls),
            budget=budget,
        )
        self._running.push_async_callback(self._followed.close)
        await self._followed.reach(books)

    def _exchange(self, record: AccountRecord) -> RehearsalServer:
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

    @property
    def site(self) -> Site | None:
        if self._server is None:
            return None
        keyring = self._server.keyring
        return Site(urls=self._server.urls, key=keyring.key, secret=keyring.secret)

    @property
    def _live(self) -> LiveMarket:
        if self._followed is None:
            raise RuntimeError("the exchange is not open yet: reach() comes first")
        return self._followed

    @property
    def budget(self) -> RateBudget:
        return self._live.budget

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
