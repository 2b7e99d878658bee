"""`sextant report`: what the record says of how it went, whether or not the daemon runs."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pydantic import ValidationError
from rich.console import Console

from data.clock import ManualClock
from data.faults import Refused
from data.postgres.pool import Pool
from execution.blotter import Blotter
from execution.ledger import Ledger
from risk.breaker import RiskState
from sextant.evaluation.kept import Kept, kept_of
from sextant.evaluation.report import table, write_report
from sextant.evaluation.retelling import Retelling
from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.summary import Summary, summarise
from sextant.facts import PastKnown, RunStarted, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.line import parse_line
from sextant.journal.postgres import PostgresJournal
from sextant.journal.record import Record
from sextant.journal.verify import verified
from sextant.settings import Settings
from sextant.standing import reading

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RUN, _STATE = "repro", "risk_state"
_PASSED_OVER = frozenset(
    {
        "clearance",
        "stop",
        "book",
        "watch",
        "defect",
        "alert",
        "command",
        "resume",
        "halt",
        "flatten",
        "not_taken",
    }
    | {"desk_risk_state", "reconciliation"}
)
"""Topics that change no figure here, and need not be read."""


class NothingToReport(Refused):
    """Nothing is on record, or nothing of the time asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The records that count: from `since` on, and before `until`; None is without end."""

    since: datetime | None = None
    until: datetime | None = None

    def __str__(self) -> str:
        since = f" from {self.since:%Y-%m-%d %H:%M}" if self.since else ""
        return since + (f" until {self.until:%Y-%m-%d %H:%M}" if self.until else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a journal says."""

    summary: Summary
    card: Scorecard
    runs: int  # begun in the window
    records: int  # in the window
    state: RiskState | None  # the newest on record


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A journal that can be read more than once."""

    name: str
    mode: str | None  # None: the run's own
    records: Callable[[], AsyncIterable[Record]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extent:
    """What a first reading finds: where the record ends, and the settings it was made with."""

    last: int  # seq of the newest record before the window's end
    run: RunStarted  # the newest before the window's end


async def run_report(
    settings: Settings, window: Window, *, out: Path | None, console: Console
) -> Told:
    """Print the report of the account of `settings`, whose daemon may be running.

    With `out`, report.json, report.html and the tables are written there too.

    Raises:
        NothingToReport: there is no database, or nothing in it of the time asked for.
        Fault: the database cannot be reached, or the record is not what was written.
    """
    async with reading(settings) as pool:
        if pool is None:
            raise NothingToReport(f"{settings.state_folder}: nothing is on record")
        told = await report_of(pool, window)
    _show(told, out, console)
    return told


async def run_file_report(
    path: Path, window: Window, *, out: Path | None, console: Console
) -> Told:
    """The same of a replay's journal, written with every bar and decision.

    Raises:
        NothingToReport: it holds nothing of the time asked for, or no bars.
        Fault: the file is no journal, or not what was written.
        OSError: it cannot be read.
    """
    source = _Source(
        name=str(path),
        mode="replay",
        records=lambda: _lines(path),
    )
    told = await _tell(source, window)
    _show(told, out, console)
    return told


async def report_of(pool: Pool, window: Window) -> Told:
    """What the desks' journal in an open database says.

    Raises:
        NothingToReport: it holds nothing of the time asked for.
        Fault: the record is not what was written.
    """
    journal = PostgresJournal(pool, name=DESK_JOURNAL, codec=codec(), clock=ManualClock(_EPOCH))
    source = _Source(
        name=f"journal {DESK_JOURNAL}",
        mode=None,
        records=journal.records,
    )
    try:
        return await _tell(source, window)
    except asyncpg.UndefinedTableError as error:  # nobody has made the schema yet
        raise NothingToReport(f"{source.name}: nothing is on record") from error


async def _lines(path: Path) -> AsyncIterator[Record]:
    with path.open("rb") as file:
        for line in file:
            yield parse_line(line)


async def _tell(source: _Source, window: Window) -> Told:
    """Read the record twice: to verify it and find its settings, and to count."""
    extent = await _extent(source.records(), window)
    if extent is None:
        raise NothingToReport(f"{source.name}: nothing is on record{window}")
    settings = _settings_of(extent.run)
    reader = _Reader(settings, window)
    async for record in source.records():
        reader.take(record)
        if record.seq >= extent.last:
            break
    reader.retelling.end()
    card = reader.retelling.card
    if not reader.records:
        raise NothingToReport(f"{source.name}: nothing is on record{window}")
    if not card.bars:
        raise NothingToReport(
            f"{source.name}: no bar is on record{window}; "
            "a replay puts them there with --all-records"
        )
    summary = summarise(
        card,
        title=f"Sextant, {source.mode or extent.run.mode}",
        market=extent.run.market,
        currency=settings.account.currency,
        equity=reader.retelling.ledger.equity,
        model_costs_usd=reader.retelling.spent,
        kept=reader.kept(),
        whole=reader.retelling.ledger.whole,
    )
    return Told(
        summary=summary, card=card, runs=reader.runs, records=reader.records, state=reader.state()
    )


async def _extent(records: AsyncIterable[Record], window: Window) -> _Extent | None:
    """None where no run is on record before the window's end."""
    last, started = 0, None
    async for record in verified(records):
        if window.until is not None and record.at >= window.until:
            break
        last = record.seq
        if record.topic == _RUN:
            started = record
    if started is None:
        return None
    run = codec().decode(started.topic, started.body)
    return _Extent(last=last, run=run) if isinstance(run, RunStarted) else None


def _settings_of(run: RunStarted) -> Settings:
    try:
        return Settings.model_validate(dict(run.settings))
    except ValidationError as error:
        raise NothingToReport(f"the run of {run.at} has settings of another version") from error


class _Reader:
    """Takes records in, and counts those of the window."""

    def __init__(self, settings: Settings, window: Window) -> None:
        account, instruments = settings.account, settings.instruments
        ledger = Ledger(
            account.currency, account.balances, instruments, portfolio=settings.portfolio
        )
        blotter = Blotter(ledger, instruments, remembered=settings.engine.remembered)
        self.retelling = Retelling(_card(settings), ledger, blotter)
        self.records = 0
        self.runs = 0
        self._settings = settings
        self._since = window.since
        self._codec = codec()
        self._state: Record | None = None

    def take(self, record: Record) -> None:
        """Take in the next record."""
        if self._since is not None and record.at >= self._since:
            self._since = None
            self.retelling.begin(_card(self._settings))
        if self._since is None:
            self.records += 1
        if record.topic == _STATE:
            self._state = record
        elif record.topic not in _PASSED_OVER:
            self._tell(self._codec.decode(record.topic, record.body))

    def _tell(self, fact: object) -> None:
        self.retelling.take(fact)
        if isinstance(fact, RunStarted):
            self.runs += self._since is None
        elif isinstance(fact, PastKnown):
            newest = fact.bars[-1]
            if newest.timeframe is self._settings.market.timeframe:
                self.retelling.mark(newest)

    def kept(self) -> tuple[Kept, ...]:
        """What was kept beside the trading book in the end; nothing where that was off."""
        asked, retelling = self._settings.allocation, self.retelling
        if asked is None or not asked.enabled:
            return ()
        return kept_of(retelling.ledger, asked.rebalance.assets, retelling.allocation.hodl)

    def state(self) -> RiskState | None:
        """How the risk of the account stood in the end."""
        if self._state is None:
            return None
        state = self._codec.decode(self._state.topic, self._state.body)
        return state if isinstance(state, RiskState) else None


def _card(settings: Settings) -> Scorecard:
    return Scorecard(
        horizon=settings.evaluation.horizon_bars,
        hold_band=settings.evaluation.hold_band,
        fee=float(settings.risk.taker_fee),
    )


def _show(told: Told, out: Path | None, console: Console) -> None:
    console.print(table(told.summary))
    state = told.state
    trading = f"; trading {state.trading}" if state is not None else ""
    reason = f": {state.reason}" if state is not None and state.reason else ""
    started = "1 start" if told.runs == 1 else f"{told.runs:,} starts"
    text = f"from {told.records:,} records, chain unbroken, {started}{trading}{reason}"
    if out is not None:
        page = write_report(out, told.summary, told.card)[1]
        text += f"; report in {page}"
    console.print(text, soft_wrap=True, markup=False, highlight=False)
