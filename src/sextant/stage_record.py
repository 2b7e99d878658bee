"""The record that a stage is let in by: an account's journal, read once, verified and judged."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from pydantic import ValidationError

from data.clock import ManualClock
from data.faults import Fault
from data.postgres.pool import Pool
from sextant.evaluation.summary import Summary
from sextant.facts import BarSeen, RunStarted, codec
from sextant.house import DESK_JOURNAL
from sextant.journal.postgres import PostgresJournal
from sextant.journal.record import Record
from sextant.journal.verify import verified
from sextant.market_settings import LiveMarketSettings
from sextant.report_command import NothingToReport, Window, report_of
from sextant.settings import PaperTradingSettings, Settings, secret
from sextant.stage_settings import LiveSettings, Mode
from sextant.stages import (
    NOTHING,
    Bounds,
    Cleared,
    Criterion,
    Figures,
    Proof,
    Strategy,
    bounds_of,
    changed,
    exit_test,
    loosened,
    rules_changed,
    strategy_of,
)
from sextant.standing import reading

_EPOCH, _MOMENT = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_READ = frozenset({"repro", "clearance", "bar"})


async def verified_records(pool: "Pool | None") -> AsyncIterator[Record]:
    """The desks' journal, record by record as long as the chain holds; empty where none is."""
    if pool is None:
        return
    clock = ManualClock(_EPOCH)
    journal = PostgresJournal(pool, name=DESK_JOURNAL, codec=codec(), clock=clock)
    try:
        async for record in verified(journal.records()):
            yield record
    except asyncpg.UndefinedTableError:  # nobody has made the schema yet
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """What the record of the stage before came to."""

    criteria: tuple[Criterion, ...]
    bounds: Bounds
    proof: Proof | None


async def record_before(settings: Settings, live: LiveSettings, strategy: Strategy) -> StageRecord:
    """Read it and judge it; what cannot be read is a condition not met."""
    before, there = settings.mode.before, _settings_there(settings, live)
    place = _place(there)
    runs, figures, problem = _Runs(settings, strategy), NOTHING, ""
    try:
        async with reading(there) as pool:
            async for record in verified_records(pool):
                runs.take(record)
            if pool is not None:
                figures = await _figures(pool, runs)
    except (Fault, OSError) as fault:
        figures, problem = NOTHING, str(fault)
    whole = Criterion(
        name=f"record of {before}",
        observed=problem or f"{runs.count:,} records, chain unbroken",
        limit=f"the journal in {place}",
        is_met=not problem and runs.count > 0,
        remedy=f"run the account in mode {before.value!r}, and name it in [live.record]",
    )
    same = Criterion(
        name="strategy",
        observed=", ".join(runs.against) or f"unchanged since {runs.since:%Y-%m-%d %H:%M}",
        limit="as in this configuration, of which no bound is higher",
        is_met=not runs.against,
        remedy=f"set back what differs, or run mode {before.value!r} with it",
    )
    return StageRecord(
        criteria=(whole, same, *exit_test(figures, live.exit_test, before)),
        bounds=runs.bounds,
        proof=None if problem else runs.proof(place),
    )


def _settings_there(settings: Settings, live: LiveSettings) -> Settings:
    """The same, kept where the record is."""
    where = {"dsn_env": live.record.dsn_env, "folder": live.record.folder}
    return settings.model_copy(update={"storage": settings.storage.model_copy(update=where)})


def _place(there: Settings) -> str:
    """Where an account is kept; an address may hold a password."""
    name = there.storage.dsn_env
    return f"the database of {name}" if secret(name) else str(there.state_folder)


async def _figures(pool: Pool, runs: "_Runs") -> Figures:
    if runs.since is None or runs.last is None or runs.uptime is None:
        return NOTHING
    try:
        told = await report_of(pool, Window(since=runs.since, until=runs.last.at + _MOMENT))
    except NothingToReport:
        return NOTHING
    return figures_of(told.summary, runs.uptime)


def figures_of(summary: Summary, uptime: "Uptime") -> Figures:
    """The figures of the exit test; a decision that failed is one that was due."""
    due = summary.decisions + summary.failures
    return Figures(
        span=uptime.span,
        trades=summary.trading.trades,
        sharpe=summary.returns.sharpe,
        max_drawdown=summary.returns.max_drawdown,
        wins=summary.trading.hit_rate,
        uptime=uptime.share,
        errors=summary.failures / due if due else None,
    )


class Uptime:
    """Which of the bars due to the desks were dealt with in time, from `since` on.

    A bar that was told after an outage is there, and late: nobody could have traded on it.
    """

    def __init__(self, settings: Settings, since: datetime) -> None:
        self._step = settings.market.timeframe.delta
        self._max_delay = settings.quality.max_delay
        self._first: datetime | None = None
        self._newest = dict.fromkeys(settings.traded, since)
        self._in_time = 0

    def see(self, seen: BarSeen) -> None:
        """Take in the next bar on record."""
        closed_at, newest = seen.bar.closed_at, self._newest.get(seen.bar.symbol)
        if newest is None or closed_at <= newest:
            return
        self._newest[seen.bar.symbol] = closed_at
        self._first = closed_at if self._first is None else min(self._first, closed_at)
        self._in_time += seen.at - closed_at <= self._max_delay

    @property
    def span(self) -> timedelta:
        """From the first bar to the newest, of whichever symbol."""
        if self._first is None:
            return timedelta(0)
        return max(self._newest.values()) - self._first

    @property
    def share(self) -> float | None:
        """Of the bars due within the span, of every symbol that a desk trades; None without one."""
        if self._first is None:
            return None
        return self._in_time / (len(self._newest) * (self.span // self._step + 1))


class _Runs:
    """Reads a record once, and finds the runs at its end that count for the next stage."""

    def __init__(self, settings: Settings, strategy: Strategy) -> None:
        self._settings = settings
        self._strategy = strategy
        self._codec = codec()
        self._cleared: Cleared | None = None
        self.count = 0
        self.last: Record | None = None
        self.since: datetime | None = None  # when those that count began
        self.uptime: Uptime | None = None
        self.bounds: Bounds = {}  # of the newest of them
        self.against = ["no run is on record"]  # why the newest run does not count

    def take(self, record: Record) -> None:
        """Take in the next record."""
        self.count += 1
        self.last = record
        if record.topic not in _READ:
            return
        match self._codec.decode(record.topic, record.body):
            case Cleared() as cleared:
                self._cleared = cleared
            case RunStarted() as run:
                self._begin(run, record.at)
                self._cleared = None
            case BarSeen() as seen if self.uptime is not None:
                self.uptime.see(seen)

    def _begin(self, run: RunStarted, at: datetime) -> None:
        try:
            theirs = Settings.model_validate(dict(run.settings))
        except ValidationError:
            self._do_not_count(["it was written by another version"])
            return
        if against := self._against(run, theirs):
            self._do_not_count(against)
            return
        self.against = []
        self.bounds = bounds_of(theirs)
        if self.since is None:
            self.since, self.uptime = at, Uptime(theirs, at)

    def _do_not_count(self, against: list[str]) -> None:
        self.against, self.since, self.uptime, self.bounds = against, None, None, {}

    def _against(self, run: RunStarted, theirs: Settings) -> list[str]:
        ours, stage = self._settings, self._settings.mode.before
        venue = "paper" if stage is Mode.PAPER else ours.venue.kind
        differ = [
            f"{name} {found}, not {wanted}"
            for name, found, wanted in (
                ("mode", run.mode, stage.value),
                ("venue", theirs.venue.kind, venue),
                ("market", theirs.market.source, ours.market.source),
            )
            if found != wanted
        ]
        if isinstance(theirs.market, LiveMarketSettings) and theirs.market.urls is not None:
            differ.append("prices of a server of its own")
        if isinstance(theirs.venue, PaperTradingSettings) and theirs.paper_books is None:
            differ.append("fills from closed bars")
        if stage.is_real and (self._cleared is None or self._cleared.stage is not stage):
            differ.append("a start that was not cleared")
        return [
            *differ,
            *changed(self._strategy, strategy_of(theirs, run.prompts)),
            *rules_changed(ours.risk, theirs.risk),
            *loosened(bounds_of(ours), bounds_of(theirs)),
        ]

    def proof(self, place: str) -> Proof | None:
        """Which record it is; None where no run counts."""
        if self.since is None or self.last is None:
            return None
        return Proof(record=place, records=self.count, digest=self.last.digest, since=self.since)
