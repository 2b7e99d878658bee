"""A house ready to trade: storage open, books recovered and reconciled, histories warm."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from data.clock import PacedClock, SystemClock
from data.faults import Refused
from data.feed import MarketFeed
from data.feeds.synthetic import SyntheticFeed, SyntheticMarket
from data.instrument import Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.store import BarStore
from execution.reconcile import reconcile
from execution.venues.paper import PaperVenue
from sextant import wiring
from sextant.facts import codec, venue_codec
from sextant.history import read_history, warm_up
from sextant.journal.postgres import PostgresJournal
from sextant.recovery import Recollection
from sextant.session import Session
from sextant.settings import Settings, SyntheticMarketSettings, secret

DESK_JOURNAL, VENUE_JOURNAL = "desk", "venue:paper"
_log = structlog.get_logger(__name__)


class NoSuchMarket(Refused):
    """The configuration asks for a market that a daemon cannot open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything that a daemon runs on."""

    settings: Settings
    session: Session
    journal: PostgresJournal
    bars: BarStore
    feed: MarketFeed
    clock: PacedClock
    seats: wiring.Roster
    market: str  # says so where it is made up
    newest: Mapping[Symbol, datetime]  # close of the newest bar known of each symbol at the start
    give_up: Callable[[], None]  # stops the journals' writers; who waits for them learns it


@contextlib.asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Open storage, recover, reconcile, warm up; then the house is ready for its first bar.

    Raises:
        Fault: storage, journal or market cannot be opened, or the books do not hold together.
    """
    made_up = rehearsal_of(settings)
    instruments = list(settings.instruments.values())
    market = SyntheticMarket(seed=made_up.seed, instruments=instruments)
    folder = settings.make_state_folder()
    async with contextlib.AsyncExitStack() as stack:
        dsn = secret(settings.storage.dsn_env)
        dsn = await stack.enter_async_context(database(dsn, folder / "postgres"))
        pool = await stack.enter_async_context(await connect(dsn))
        await migrate(pool)
        bars = PostgresBarStore(pool, exchange=market.name)
        clock = PacedClock(made_up.start, speed=made_up.speed, standing=True)
        journal, books, give_up = await _open_journals(stack, pool, clock)
        house = await _furnish(settings, market, bars, clock, journal, books, give_up)
        stack.push_async_callback(house.seats.close)
        yield house
        await journal.flush()


def rehearsal_of(settings: Settings) -> SyntheticMarketSettings:
    """The settings of the made-up market that a rehearsal trades on.

    Raises:
        NoSuchMarket: the configured source is not one that a daemon can open in this version.
    """
    source = settings.market
    if not isinstance(source, SyntheticMarketSettings):
        raise NoSuchMarket(
            f"market.source = {source.source!r}: a daemon runs on 'synthetic' in this version; "
            "recorded bars go through `sextant replay`, live feeds are not built yet"
        )
    return source


async def _open_journals(
    stack: contextlib.AsyncExitStack, pool: Pool, clock: PacedClock
) -> tuple[PostgresJournal, PostgresJournal, Callable[[], None]]:
    """Our journal and the paper venue's, each with its writer running until the stack closes.

    The third is what stops the writers.

    The clock then stands where the newer of them ends: time goes on, and never back.
    """
    journals = [
        PostgresJournal(pool, name=DESK_JOURNAL, codec=codec(), clock=clock),
        PostgresJournal(pool, name=VENUE_JOURNAL, codec=venue_codec(), clock=clock),
    ]
    for journal in journals:
        await stack.enter_async_context(journal)
        if journal.last is not None:
            clock.stand_at(journal.last.at)
    writers = await stack.enter_async_context(asyncio.TaskGroup())
    tasks = [writers.create_task(journal.run(), name="journal") for journal in journals]

    def give_up() -> None:
        for task in tasks:
            task.cancel()

    stack.callback(give_up)
    return journals[0], journals[1], give_up


async def _furnish(
    settings: Settings,
    market: SyntheticMarket,
    bars: BarStore,
    clock: PacedClock,
    journal: PostgresJournal,
    books: PostgresJournal,
    give_up: Callable[[], None],
) -> House:
    paper = await PaperVenue.open(
        name="paper",
        instruments=settings.instruments,
        terms=wiring.paper_terms(settings),
        balances=settings.account.balances,
        journal=books,
        clock=clock,
    )
    resumed = journal.last is not None
    engine = wiring.engine(settings, paper, journal, clock)
    parts = wiring.subaccounts(settings, clock)
    before = Recollection(settings.desk, parts)
    await engine.recover(before.following(journal.facts()))
    before.require_same(settings, market.name)
    now, real = clock.now(), SystemClock()
    seats = wiring.roster(settings, real, spent_today=before.spent_on(real.now()))
    length = wiring.longest_history(settings, seats)
    # The journal, not the store, says which bars were dealt with: a bar is stored first.
    newest = {symbol: before.newest.get(symbol, now) for symbol in settings.instruments}
    await _first_history(settings, market, bars, newest, length)
    past = await read_history(bars, settings, length, until=newest)
    wiring.mark(engine, parts, past)
    for bar in {bar.symbol: bar for bar in past}.values():
        await paper.observe(bar)  # for its price; what it could fill it has
    session = wiring.session(
        settings,
        seats,
        engine=engine,
        state=before.state,
        parts=parts,
        desk_states=before.desk_states,
        paper=paper,
        journal=journal,
        clock=clock,
        keep_all=True,
    )
    warm_up(session.desks, past)
    started = wiring.run_started(
        settings, seats, market.name, now, past, history=length, resumed=resumed
    )
    journal.write(started)
    for left in (*before.undecided(now), *before.unanswered(now)):
        journal.write(left)
    reconciliation = await reconcile(engine)  # with the book listening: trades may have closed
    for difference in reconciliation.differences:
        _log.warning("reconciled", kind=difference.kind, subject=difference.subject)
    await journal.flush()
    return House(
        settings=settings,
        session=session,
        journal=journal,
        bars=bars,
        feed=SyntheticFeed(market, clock, start_after=min(newest.values())),
        clock=clock,
        seats=seats,
        market=market.name,
        newest=newest,
        give_up=give_up,
    )


async def _first_history(
    settings: Settings,
    market: SyntheticMarket,
    bars: BarStore,
    newest: Mapping[Symbol, datetime],
    length: int,
) -> None:
    """A symbol that was never seen comes with its own past."""
    for symbol, until in newest.items():
        if not await bars.last(symbol, settings.market.timeframe, 1):
            await bars.put(market.history(symbol, until, length))
