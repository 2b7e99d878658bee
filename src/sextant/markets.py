"""The market that the settings name, opened.

A made-up one runs on a clock of its own, and brings its own past.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from data.bar import Timeframe
from data.clock import PacedClock, SystemClock
from data.collect.venues import Exchange, open_source, rate_budget
from data.faults import Refused
from data.feed import MarketEvent, MarketFeed
from data.feeds.live_ports import FeedWatcher
from data.feeds.synthetic import SyntheticFeed, SyntheticMarket
from data.instrument import Symbol
from data.news import NewsItem
from data.postgres.bars import PostgresBarStore
from data.postgres.pool import Pool
from execution.journal import OrderJournal
from sextant.live_market import LiveMarket
from sextant.market import DaemonMarket, Newest, Service
from sextant.market_settings import (
    LiveMarketSettings,
    RecordedMarketSettings,
    RehearsalMarketSettings,
    SyntheticMarketSettings,
)
from sextant.settings import Settings


class NoSuchMarket(Refused):
    """The configuration asks for a market that a daemon cannot open."""


DaemonMarketSettings = SyntheticMarketSettings | LiveMarketSettings | RehearsalMarketSettings


def require_daemon_market(settings: Settings) -> DaemonMarketSettings:
    """The settings of a market that a daemon can open.

    Raises:
        NoSuchMarket: the configured source is for replays.
    """
    market = settings.market
    if isinstance(market, RecordedMarketSettings):
        raise NoSuchMarket(
            f"market.source = {market.source!r}: recorded bars go through `sextant replay`; a "
            "daemon runs on 'synthetic', on a 'rehearsal' or on an exchange"
        )
    return market


def open_market(settings: Settings, pool: Pool) -> DaemonMarket:
    """The market that the settings name; raises as `require_daemon_market` does."""
    match require_daemon_market(settings):
        case SyntheticMarketSettings() as made_up:
            return MadeUpMarket(settings, made_up, pool)
        case RehearsalMarketSettings() as rehearsal:
            return _open_rehearsal(settings, rehearsal, pool)
        case LiveMarketSettings() as live:
            exchange, clock = Exchange(live.source), SystemClock()
            budget = rate_budget(exchange, clock)
            opened = partial(open_source, exchange, clock, urls=live.urls)
            return LiveMarket(
                settings, live, pool, name=exchange, clock=clock, budget=budget, opened=opened
            )


def _open_rehearsal(
    settings: Settings, rehearsal: RehearsalMarketSettings, pool: Pool
) -> DaemonMarket:
    """Its exchange in this process, or in one of its own."""
    from sextant.rehearsal_apart import ExchangeApart
    from sextant.rehearsal_market import HostedExchange, RehearsalMarket

    exchange = (
        HostedExchange(settings, rehearsal)
        if rehearsal.url is None
        else ExchangeApart(rehearsal, rehearsal.url)
    )
    return RehearsalMarket(settings, rehearsal, pool, exchange)


class MadeUpMarket:
    """A seeded market in its own time."""

    def __init__(self, settings: Settings, made_up: SyntheticMarketSettings, pool: Pool) -> None:
        instruments = list(settings.instruments.values())
        self._market = SyntheticMarket(seed=made_up.seed, instruments=instruments)
        self._base = settings.market.timeframe
        self.name = self._market.name
        self.clock = PacedClock(made_up.start, speed=made_up.speed, standing=True)
        self._bars = PostgresBarStore(pool, exchange=self.name)

    def begin_after(self, at: datetime) -> None:
        self.clock.stand_at(at)

    async def reach(self, books: OrderJournal) -> None: ...

    def goes_on_from(self, newest: datetime, needs: Mapping[Timeframe, int]) -> datetime:
        return newest

    async def bring_past(
        self, symbol: Symbol, needs: Mapping[Timeframe, int], until: datetime
    ) -> None:
        """A symbol that was never seen comes with its own past, in bars of the market's size."""
        if not await self._bars.last(symbol, self._base, 1):
            minutes = max(count * (t.delta // self._base.delta) for t, count in needs.items())
            await self._bars.put(self._market.history(symbol, until, minutes))

    def feed(self, newest: Newest, watcher: FeedWatcher) -> MarketFeed:
        return SyntheticFeed(self._market, self.clock, start_after=min(newest.values()))

    def go(self) -> None:
        self.clock.go()

    def services(self, learn: Callable[[NewsItem], None]) -> Sequence[Service]:
        return ()

    async def keep(self, event: MarketEvent) -> None: ...

    site = budget = None

    async def close(self) -> None: ...
