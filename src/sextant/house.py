"""A house ready to trade: storage open, books recovered and reconciled, histories warm."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog

from data.clock import PacedClock
from data.faults import Refused
from data.feed import MarketFeed
from data.feeds.synthetic import SyntheticFeed, SyntheticMarket
from data.instrument import Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.store import BarStore
from execution.engine import Engine
from execution.reconcile import reconcile
from execution.venues.paper import PaperVenue
from risk.breaker import RiskState
from sextant import wiring
from sextant.facts import ModelCosts, codec, venue_codec
from sextant.history import read_history, warm_up
from sextant.journal.postgres import PostgresJournal
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the journal says of the time before this start."""

    state: RiskState | None
    spent_today: Decimal  # on models, USD


@contextlib.asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Open storage, recover, reconcile, warm up; then the house is ready for its first bar.

    Raises:
        Fault: storage, journal or market cannot be opened, or the books do not hold together.
    """
    made_up = rehearsal_of(settings)
    instruments = list(settings.instruments.values())
    market = SyntheticMarket(seed=made_up.seed, instruments=instruments)
    folder = settings.state_folder
    folder.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        dsn = secret(settings.storage.dsn_env)
        dsn = await stack.enter_async_context(database(dsn, folder / "postgres"))
        pool = await stack.enter_async_context(await connect(dsn))
        await migrate(pool)
        bars = PostgresBarStore(pool, exchange=market.name)
        newest = await newest_bars(settings, bars)
        begin = max(newest.values(), default=made_up.start)  # where it was, or the beginning
        clock = PacedClock(begin, speed=made_up.speed, standing=True)
        journal, books = await _open_journals(stack, pool, clock)
        house = await _furnish(settings, market, bars, newest, clock, journal, books)
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


async def newest_bars(settings: Settings, bars: BarStore) -> dict[Symbol, datetime]:
    """The close of the newest kept bar of each traded symbol; absent where there is none."""
    newest: dict[Symbol, datetime] = {}
    for symbol in settings.traded:
        for bar in await bars.last(symbol, settings.market.timeframe, 1):
            newest[symbol] = bar.closed_at
    return newest


async def _open_journals(
    stack: contextlib.AsyncExitStack, pool: Pool, clock: PacedClock
) -> tuple[PostgresJournal, PostgresJournal]:
    """Our journal and the paper venue's, each with its writer running until the stack closes."""
    journals = [
        PostgresJournal(pool, name=DESK_JOURNAL, codec=codec(), clock=clock),
        PostgresJournal(pool, name=VENUE_JOURNAL, codec=venue_codec(), clock=clock),
    ]
    for journal in journals:
        await journal.open()
    writers = await stack.enter_async_context(asyncio.TaskGroup())
    tasks = [writers.create_task(journal.run(), name="journal") for journal in journals]
    for task in tasks:
        stack.callback(task.cancel)
    return journals[0], journals[1]


async def _furnish(
    settings: Settings,
    market: SyntheticMarket,
    bars: BarStore,
    newest: Mapping[Symbol, datetime],
    clock: PacedClock,
    journal: PostgresJournal,
    books: PostgresJournal,
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
    before = await recover(engine, journal, clock.now())
    seats = wiring.roster(settings, clock, spent_today=before.spent_today)
    length = wiring.longest_history(settings, seats)
    await _first_history(settings, market, bars, newest, clock.now(), length)
    newest = await newest_bars(settings, bars)
    past = await read_history(bars, settings, length, until=newest)
    for bar in past:
        engine.ledger.mark(bar.symbol, bar.close, bar.closed_at)
    reconciliation = await reconcile(engine)
    for difference in reconciliation.differences:
        _log.warning("reconciled", kind=difference.kind, subject=difference.subject)
    session = wiring.session(
        settings,
        seats,
        engine=engine,
        state=before.state,
        paper=paper,
        journal=journal,
        clock=clock,
        keep_all=True,
    )
    warm_up(session.desks, past)
    started = wiring.run_started(
        settings, seats, market.name, clock.now(), past, history=length, resumed=resumed
    )
    journal.write(started)
    await journal.flush()
    return House(
        settings=settings,
        session=session,
        journal=journal,
        bars=bars,
        feed=SyntheticFeed(market, clock, start_after=min(newest.values(), default=clock.now())),
        clock=clock,
        seats=seats,
        market=market.name,
        newest=newest,
    )


async def recover(engine: Engine, journal: PostgresJournal, now: datetime) -> Recovered:
    """Rebuild orders and ledger from the journal, and find the newest risk state in it."""
    state: RiskState | None = None
    spent = Decimal(0)

    async def facts() -> AsyncIterator[object]:
        nonlocal state, spent
        async for fact in journal.facts():
            match fact:
                case RiskState():
                    state = fact
                case ModelCosts() if fact.at.date() == now.date():
                    spent = fact.spent_today_usd
            yield fact

    await engine.recover(facts())
    return Recovered(state=state, spent_today=spent)


async def _first_history(
    settings: Settings,
    market: SyntheticMarket,
    bars: BarStore,
    newest: Mapping[Symbol, datetime],
    now: datetime,
    length: int,
) -> None:
    """A symbol that was never seen comes with its own past."""
    for symbol in settings.traded:
        if symbol not in newest:
            await bars.put(market.history(symbol, now, length))
