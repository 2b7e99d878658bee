"""A house ready to trade: storage open, books recovered and reconciled, histories warm."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from data.bar import Timeframe
from data.clock import Clock, SystemClock
from data.collect.patience import Patience
from data.faults import Refused, Transient
from data.feed import MarketFeed
from data.instrument import Symbol
from data.kraken_db.private_trades import Account, keep_account
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.postgres.upkeep import upkeep
from data.store import BarStore, StoreUnavailable
from execution.dead_man import DeadMan
from execution.difference import Reconciliation
from execution.engine import Engine
from execution.reconcile import reconcile
from sextant import wiring
from sextant.facts import codec, rehearsal_codec, venue_codec
from sextant.history import MarketPast, read_past, warm_up
from sextant.journal.codec import Codec
from sextant.journal.postgres import PostgresJournal
from sextant.market import DaemonMarket, Service, waiting_for
from sextant.market_settings import RehearsalMarketSettings
from sextant.markets import open_market, require_daemon_market
from sextant.outside import Outside
from sextant.recovery import Recollection
from sextant.relisting import Relisting
from sextant.session import Session
from sextant.settings import Settings, secret
from sextant.stages import Cleared, require_cleared
from sextant.subaccount import rebook
from sextant.venues import OpenVenue, Surroundings, open_venue
from sextant.vigil import Vigil

_WALL, _UPKEEP_EVERY = SystemClock(), timedelta(days=1)
_OWN_HISTORY_EVERY = timedelta(minutes=15)
DESK_JOURNAL, PAPER_JOURNAL, REHEARSAL_JOURNAL = "desk", "venue:paper", "venue:rehearsal"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything that a daemon runs on."""

    settings: Settings
    session: Session
    journal: PostgresJournal
    bars: BarStore
    feed: MarketFeed
    market: DaemonMarket
    seats: wiring.Roster
    newest: Mapping[Symbol, datetime]  # close of the newest bar of each symbol dealt with before
    venue: OpenVenue
    dead_man: DeadMan | None  # None: the venue ends with us
    relisting: Relisting | None  # the same
    pool: Pool
    give_up: Callable[[], None]  # stops the journals' writers; who waits for them learns it

    @property
    def clock(self) -> Clock:
        """The market's."""
        return self.market.clock

    def services(self) -> list[Service]:
        """What runs beside the trading."""
        own = [Service(name="upkeep", run=self._keep_store)]
        if self.venue.account is not None:
            run = partial(self._keep_history, self.venue.account)
            own.append(Service(name="own trades", run=run))
        return [*own, *self.market.services(self.session.learn)]

    async def _keep_history(self, account: Account) -> None:
        """What the venue itself has on its books of our trades and balances (S0-33)."""
        while True:
            try:
                await keep_account(self.pool, account, self.clock, exchange=self.market.name)
            except (Transient, Refused) as error:
                _log.warning("own trades and ledger are left for later", error=str(error))
            await self.clock.sleep(_OWN_HISTORY_EVERY)

    async def _keep_store(self) -> None:
        """Drop what is too old of the market's raw data, at the start and daily."""
        while True:
            try:
                await upkeep(self.pool, self.settings.storage.retention, now=self.clock.now())
            except StoreUnavailable as error:
                _log.warning("raw data too old is left for the next time", error=str(error))
            await _WALL.sleep(_UPKEEP_EVERY)


@contextlib.asynccontextmanager
async def open_house(settings: Settings, *, cleared: Cleared | None = None) -> AsyncIterator[House]:
    """Open storage, recover, reconcile, warm up; then the house is ready for its first bar.

    Raises:
        NotCleared: real money is at stake, and was not `cleared`; nothing was opened.
        Fault: storage, journal or market cannot be opened, or the books do not hold together.
    """
    require_daemon_market(settings)
    require_cleared(settings, cleared)
    folder = settings.make_state_folder()
    async with contextlib.AsyncExitStack() as stack:
        dsn = secret(settings.storage.dsn_env)
        dsn = await stack.enter_async_context(database(dsn, folder / "postgres"))
        pool = await stack.enter_async_context(await connect(dsn))
        await migrate(pool)
        market = open_market(settings, pool)
        journal, books, give_up = await _open_journals(stack, pool, market, settings)
        stack.push_async_callback(market.close)  # before the journals: an exchange of ours has one
        await market.reach(books)
        venue = await stack.enter_async_context(
            open_venue(
                settings,
                books=books,
                around=Surroundings(
                    clock=market.clock,
                    since=await journal.began() or market.clock.now(),
                    site=market.site,
                    budget=market.budget,
                ),
            )
        )
        house = await _furnish(venue, market, pool, journal, give_up, cleared)
        stack.push_async_callback(house.seats.close)
        yield house
        await journal.flush()


def books_of(settings: Settings) -> tuple[str, Codec]:
    """Name and codec of the journal by which a venue of our own remembers its account."""
    if isinstance(settings.market, RehearsalMarketSettings):
        return REHEARSAL_JOURNAL, rehearsal_codec()
    return PAPER_JOURNAL, venue_codec()


async def _open_journals(
    stack: contextlib.AsyncExitStack, pool: Pool, market: DaemonMarket, settings: Settings
) -> tuple[PostgresJournal, PostgresJournal, Callable[[], None]]:
    """Our journal and the simulated venue's, each with its writer running until the stack closes.

    The third is what stops the writers.

    Time goes on from where the newer of them ends, and never back.
    """
    clock = market.clock
    journals = [
        PostgresJournal(pool, name=name, codec=written, clock=clock)
        for name, written in ((DESK_JOURNAL, codec()), books_of(settings))
    ]
    for journal in journals:
        await stack.enter_async_context(journal)
        if journal.last is not None:
            market.begin_after(journal.last.at)
    writers = await stack.enter_async_context(asyncio.TaskGroup())
    tasks = [writers.create_task(journal.run(), name="journal") for journal in journals]

    def give_up() -> None:
        for task in tasks:
            task.cancel()

    stack.callback(give_up)
    return journals[0], journals[1], give_up


async def _furnish(
    venue: OpenVenue,
    market: DaemonMarket,
    pool: Pool,
    journal: PostgresJournal,
    give_up: Callable[[], None],
    cleared: Cleared | None,
) -> House:
    settings = venue.settings
    clock, bars = market.clock, PostgresBarStore(pool, exchange=market.name)
    resumed = journal.last is not None
    engine = wiring.engine(settings, venue.venue, journal, clock)
    parts = wiring.subaccounts(settings, clock)
    outside = Outside(settings.news)
    before = Recollection(settings.desk, outside)
    await engine.recover(before.following(journal.facts()), tell=partial(rebook, parts))
    before.require_same(settings, market.name)
    dead_man = wiring.dead_man(venue, engine, journal, clock, before.guard)
    now, real = clock.now(), SystemClock()
    seats = wiring.roster(settings, real, spent_today=before.spent_on(real.now()))
    past = await _past(settings, market, bars, wiring.history_needs(settings, seats), before, now)
    wiring.mark(engine, parts, past)
    await venue.recall(past.newest)
    session = wiring.session(
        settings,
        seats,
        engine=engine,
        state=before.state,
        parts=parts,
        desk_states=before.desk_states,
        allocation=before.allocation,
        paper=venue.paper,
        journal=journal,
        clock=clock,
        keep_all=True,
        outside=outside,
        naked_seen=before.naked_seen.values(),
    )
    if venue.outliving is not None:
        most = venue.outliving.dead_man.deadline
        session.vigil = Vigil(engine, clock, most=most)
    warm_up(session.desks, past)
    started = wiring.run_started(
        settings, venue.venue, seats, market.name, now, past, resumed=resumed
    )
    if cleared is not None:
        journal.write(cleared)
    for stretch in past.facts:
        journal.write(stretch)
    journal.write(started)
    session.book.heed(before.liquidations.booked_in(engine.ledger))
    for left in (*before.undecided(now), *before.unanswered(now)):
        journal.write(left)
    session.book.begin(now=now)
    reconciliation = await _reconciled(engine)  # with the book listening: trades may have closed
    for difference in reconciliation.differences:
        _log.warning("reconciled", kind=difference.kind, subject=difference.subject)
    await journal.flush()
    known = dict(before.newest) | {bar.symbol: bar.closed_at for bar in past.newest}
    return House(
        settings=settings,
        session=session,
        journal=journal,
        bars=bars,
        feed=market.feed(known, session.watch),
        market=market,
        seats=seats,
        newest={bar.symbol: bar.closed_at for bar in past.newest} | before.newest,
        venue=venue,
        dead_man=dead_man,
        relisting=wiring.relisting(venue, session, clock),
        pool=pool,
        give_up=give_up,
    )


async def _past(
    settings: Settings,
    market: DaemonMarket,
    bars: BarStore,
    needs: Mapping[Timeframe, int],
    before: Recollection,
    now: datetime,
) -> MarketPast:
    """So many bars of each size, up to where each symbol was dealt with before.

    The journal, not the store, says where that was: a bar is stored first.
    """
    newest = {
        symbol: market.goes_on_from(before.newest[symbol], needs)
        if symbol in before.newest
        else now
        for symbol in settings.instruments
    }
    for symbol, until in newest.items():
        await market.bring_past(symbol, needs, until)
    everywhere = dict.fromkeys(settings.instruments, needs)
    return await read_past(bars, settings.market.timeframe, everywhere, until=newest)


async def _reconciled(engine: Engine) -> Reconciliation:
    """What the books and the venue's differed in; the start waits for a venue that cannot say."""
    report = waiting_for(f"the account at {engine.venue.name}")
    return await Patience(clock=engine.clock).insist(lambda: reconcile(engine), report)
