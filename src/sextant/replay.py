"""Replay: the road over recorded bars, as fast as it goes, and the same every time."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from data.bar import Bar
from data.clock import Clock, ManualClock
from data.faults import Refused
from data.feed import MarketEvent
from data.feeds.playback import known_at
from data.feeds.recorded import BarReading, count_rows, file_digest, merge, read_bars, series_named
from execution.reconcile import reconcile
from execution.venues.paper import PaperVenue
from sextant import wiring
from sextant.allocator import AllocationState
from sextant.evaluation.report import table, write_report
from sextant.evaluation.summary import Summary, summarise
from sextant.facts import RunStopped, codec
from sextant.history import MarketPast
from sextant.journal.jsonl import JsonlJournal
from sextant.journal.unkept import UnkeptJournal
from sextant.outside import Outside
from sextant.session import Session
from sextant.settings import Settings

_STEP = 1000  # bars between two updates of the progress bar


class NothingToReplay(Refused):
    """The files hold no bar that the configuration's desks could see."""


def run_replay(
    settings: Settings,
    files: Sequence[Path],
    *,
    out: Path,
    keep_all: bool,
    ask_models: bool,
    console: Console,
) -> Summary:
    """Replay `files` and write the report and the journal into `out`.

    With `keep_all` every bar and decision is on record, as in a live run, so that the journal
    alone can be audited; without it, a bar that changes nothing leaves no record. With
    `ask_models` seats with a key ask their models, whose answers nothing makes again.

    Raises:
        NothingToReplay: a file holds another pair or timeframe than the configuration trades.
        Malformed: a file is not what it claims to be.
        OSError: a file cannot be read, or `out` not be written.
    """
    readings = [_reading(settings, path) for path in files]
    rows = sum(map(count_rows, files))
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("bars", total=rows)
        events = _counted(merge(readings), lambda: progress.advance(task, _STEP))
        market = "recorded: " + ", ".join(f"{p.name} {file_digest(p)[:12]}" for p in files)
        seated = wiring.roster if ask_models else wiring.unasked_roster
        run = replay(settings, events, market=market, out=out, keep_all=keep_all, seated=seated)
        session, summary = asyncio.run(run)
        progress.update(task, completed=rows)
    _, page = write_report(out, summary, session.scorecard)
    console.print(table(summary))
    for reading in readings:
        _tell_refusals(reading, console)
    console.print(f"report in {page}, journal in {out / 'journal.jsonl'}", soft_wrap=True)
    return summary


async def replay(
    settings: Settings,
    events: Iterator[MarketEvent],
    *,
    market: str,
    out: Path,
    keep_all: bool = False,
    seated: Callable[[Settings, Clock], wiring.Roster] = wiring.unasked_roster,
) -> tuple[Session, Summary]:
    """Take every event through the house, on a clock that stands at each; paper fills the orders.

    Raises:
        NothingToReplay: there is no event.
    """
    first = next(events, None)
    if first is None:
        raise NothingToReplay("the files hold no bar")
    clock = ManualClock(known_at(first))
    seats = seated(settings, clock)
    with _fresh_journal(out / "journal.jsonl", clock) as ours:
        session = _begun(settings, seats, ours, clock, market=market, keep_all=keep_all)
        await reconcile(session.book.engine)
        await drive(session, itertools.chain([first], events), clock)
        ours.write(RunStopped(at=clock.now(), reason="the recording ended"))
        await ours.flush()
        await seats.close()
    return session, _summary(settings, session, seats, market)


def _begun(
    settings: Settings,
    seats: wiring.Roster,
    journal: JsonlJournal,
    clock: ManualClock,
    *,
    market: str,
    keep_all: bool,
) -> Session:
    """The session of an account without a past, its start on record; paper fills its orders."""
    paper = PaperVenue(
        name="paper",
        instruments=settings.instruments,
        terms=settings.paper_terms,
        margin=settings.paper_venue.margin,
        balances=settings.account.balances,
        journal=UnkeptJournal(),
        clock=clock,
    )
    session = wiring.session(
        settings,
        seats,
        engine=wiring.engine(settings, paper, journal, clock),
        state=None,
        parts=wiring.subaccounts(settings, clock),
        desk_states={},
        allocation=AllocationState(),
        paper=paper,
        journal=journal,
        clock=clock,
        keep_all=keep_all,
        outside=Outside(settings.news),
    )
    nothing = MarketPast(base=settings.market.timeframe, bars={})
    journal.write(
        wiring.run_started(settings, paper, seats, market, clock.now(), nothing, resumed=False)
    )
    return session


def _summary(settings: Settings, session: Session, seats: wiring.Roster, market: str) -> Summary:
    ledger = session.book.ledger
    return summarise(
        session.scorecard,
        title="Sextant, replay",
        market=market,
        currency=settings.account.currency,
        equity=ledger.equity,
        model_costs_usd=seats.budget.spent,
        kept=session.book.kept,
        whole=ledger.whole,
    )


async def drive(session: Session, events: Iterable[MarketEvent], clock: ManualClock) -> None:
    """Each bar in turn: fills, marks, sightings, decisions, orders. Nothing runs beside it."""
    outbox = session.book.engine.outbox
    for event in events:
        clock.move_to(known_at(event))
        if not isinstance(event, Bar):
            await session.hear(event)
            continue
        for desk, snapshot in await session.take(event):
            await session.decide(desk, snapshot)
        session.look_at_holdings(event)
        if outbox.has_work:
            await session.work_off()


def _reading(settings: Settings, path: Path) -> BarReading:
    symbol, timeframe = series_named(path)
    if symbol not in settings.traded or timeframe is not settings.market.timeframe:
        raise NothingToReplay(
            f"{path}: holds {symbol} {timeframe}; the configuration's desks trade "
            f"{', '.join(settings.traded)} on bars of {settings.market.timeframe}"
        )
    return read_bars(path, symbol, timeframe)


def _counted(events: Iterator[MarketEvent], step: Callable[[], None]) -> Iterator[MarketEvent]:
    """The same events; every so many, `step` is called."""
    while block := list(itertools.islice(events, _STEP)):
        yield from block
        step()


def _fresh_journal(path: Path, clock: ManualClock) -> JsonlJournal:
    """A new journal in place of an earlier replay's: a replay is made again, not continued."""
    path.unlink(missing_ok=True)
    return JsonlJournal(path, codec=codec(), clock=clock, sync=False)


def _tell_refusals(reading: BarReading, console: Console) -> None:
    report = reading.report
    if report.refused or report.gaps:
        refused = ", ".join(f"{count} {defect}" for defect, count in report.refused.items())
        console.print(
            f"{report.path.name}: {report.gaps} gaps ({report.missing} bars missing)"
            f"{'; rows left out: ' + refused if refused else ''}",
            soft_wrap=True,
        )
