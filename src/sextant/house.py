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
from sextant.subaccount import Subaccount, rebook
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    """Where everything goes on record, until the house closes."""

    pool: Pool
    journal: PostgresJournal  # ours
    books: PostgresJournal  # those of a venue of our own
    give_up: Callable[[], None]  # stops the journals' writers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recovered:
    """The account as the journal leaves it."""

    engine: Engine
    parts: tuple[Subaccount, ...]  # the desks' own
    outside: Outside
    before: Recollection
    resumed: bool  # there was a run before this one


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
        records = await _open_records(stack, pool, market, settings)
        stack.push_async_callback(market.close)  # before the journals: an exchange of ours has one
        await market.reach(records.books)
        venue = await stack.enter_async_context(
            open_venue(
                settings,
                books=records.books,
                around=Surroundings(
                    clock=market.clock,
                    since=await records.journal.began() or market.clock.now(),
                    site=market.site,
                    budget=market.budget,
                ),
            )
        )
        house = await _furnish(venue, market, records, cleared)
        stack.push_async_callback(house.seats.close)
        yield house
        await records.journal.flush()


def books_of(settings: Settings) -> tuple[str, Codec]:
    """Name and codec of the journal by which a venue of our own remembers its account."""
    if isinstance(settings.market, RehearsalMarketSettings):
        return REHEARSAL_JOURNAL, rehearsal_codec()
    return PAPER_JOURNAL, venue_codec()


async def _open_records(
    stack: contextlib.AsyncExitStack, pool: Pool, market: DaemonMarket, settings: Settings
) -> _Records:
    """Our journal and the simulated venue's, each with its writer running until the stack closes.

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
    return _Records(pool=pool, journal=journals[0], books=journals[1], give_up=give_up)


async def _furnish(
    venue: OpenVenue, market: DaemonMarket, records: _Records, cleared: Cleared | None
) -> House:
    """From records to a house that has put its start on record, and agrees with the venue."""
    settings, journal, clock = venue.settings, records.journal, market.clock
    known = await _recovered(venue, market, journal)
    before, engine = known.before, known.engine
    dead_man = wiring.dead_man(venue, engine, journal, clock, before.guard)
    now, real = clock.now(), SystemClock()
    seats = wiring.roster(settings, real, spent_today=before.spent_on(real.now()))
    bars = PostgresBarStore(records.pool, exchange=market.name)
    past = await _past(settings, market, bars, wiring.history_needs(settings, seats), before, now)
    wiring.mark(engine, known.parts, past)
    await venue.recall(past.newest)
    session = _session(venue, known, seats, journal, clock)
    warm_up(session.desks, past)
    started = wiring.run_started(
        settings, venue.venue, seats, market.name, now, past, resumed=known.resumed
    )
    for fact in (*([cleared] if cleared is not None else []), *before.past.lacks(past), started):
        journal.write(fact)
    _take_up(session, known, journal, now)
    await _reconcile(engine)  # with the book listening: trades may have closed
    await journal.flush()
    newest = {bar.symbol: bar.closed_at for bar in past.newest}
    return House(
        settings=settings,
        session=session,
        journal=journal,
        bars=bars,
        feed=market.feed(dict(before.newest) | newest, session.watch),
        market=market,
        seats=seats,
        newest=newest | before.newest,
        venue=venue,
        dead_man=dead_man,
        relisting=wiring.relisting(venue, session, clock),
        pool=records.pool,
        give_up=records.give_up,
    )


async def _recovered(
    venue: OpenVenue, market: DaemonMarket, journal: PostgresJournal
) -> _Recovered:
    """The account as the journal leaves it.

    Raises:
        AnotherAccount: the journal is not this account's.
        Corrupt: it does not hold together.
    """
    settings, clock = venue.settings, market.clock
    resumed = journal.last is not None
    engine = wiring.engine(settings, venue.venue, journal, clock)
    parts = wiring.subaccounts(settings, clock)
    outside = Outside(settings.news)
    before = Recollection(settings.desk, outside)
    await engine.recover(before.following(journal.facts()), tell=partial(rebook, parts))
    before.require_same(settings, market.name)
    return _Recovered(engine=engine, parts=parts, outside=outside, before=before, resumed=resumed)


def _session(
    venue: OpenVenue,
    known: _Recovered,
    seats: wiring.Roster,
    journal: PostgresJournal,
    clock: Clock,
) -> Session:
    """The desks, from where they stood on; awake to standing still where the venue goes on."""
    before = known.before
    session = wiring.session(
        venue.settings,
        seats,
        engine=known.engine,
        state=before.state,
        parts=known.parts,
        desk_states=before.desk_states,
        allocation=before.allocation,
        paper=venue.paper,
        journal=journal,
        clock=clock,
        keep_all=True,
        outside=known.outside,
        naked_seen=before.naked_seen.values(),
    )
    if venue.outliving is not None:
        session.vigil = Vigil(known.engine, clock, most=venue.outliving.dead_man.deadline)
    return session


def _take_up(session: Session, known: _Recovered, journal: PostgresJournal, now: datetime) -> None:
    """See to what the last run left undone, and put on record what nobody will do any more."""
    before = known.before
    session.book.heed(before.liquidations.booked_in(known.engine.ledger))
    for left in (*before.undecided(now), *before.unanswered(now)):
        journal.write(left)
    session.book.begin(now=now)


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


async def _reconcile(engine: Engine) -> None:
    """Tell what the books and the venue's differ in; the start waits for one that cannot say."""
    report = waiting_for(f"the account at {engine.venue.name}")
    found = await Patience(clock=engine.clock).insist(lambda: reconcile(engine), report)
    for difference in found.differences:
        _log.warning("reconciled", kind=difference.kind, subject=difference.subject)
