"""The audit: journals verified, decisions made again, and the books held against the venue's."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data.clock import ManualClock
from data.postgres.embedded import database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from execution.difference import Reconciliation
from execution.exact import EXACT
from execution.ledger import Ledger
from execution.reconcile import compare_balances
from sextant import wiring
from sextant.auditor import EPOCH, Auditor, Made, Mismatch, NothingGoesOut
from sextant.facts import codec
from sextant.house import DESK_JOURNAL, books_of
from sextant.journal.export import export_jsonl
from sextant.journal.line import parse_line
from sextant.journal.postgres import PostgresJournal
from sextant.journal.record import Record
from sextant.journal.verify import verify
from sextant.market_settings import RehearsalMarketSettings
from sextant.rehearsal.account import recall
from sextant.settings import PaperTradingSettings, Settings, secret
from sextant.venues import open_paper

_ALMOST_NOTHING = Decimal("1e-8")  # simulated venues divide costs at 28 digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an audit came to."""

    records: Mapping[str, int]  # verified, by journal
    runs: int
    compared: Mapping[str, int]  # by topic
    mismatches: tuple[Mismatch, ...]
    differences: tuple[str, ...]  # between the ledger's balances and the venue's

    @property
    def is_sound(self) -> bool:
        """Whether everything came out as it was recorded, and the books agree."""
        return not self.mismatches and not self.differences


async def run_audit(settings: Settings, *, export: Path | None, console: Console) -> bool:
    """Audit the state folder's journals and print what was found; True if all is well.

    With `export` the desks' journal is also written there, by topic and day.

    Raises:
        Fault: the database cannot be opened, a daemon still writes the journal, or a chain is
            broken.
    """
    dsn = secret(settings.storage.dsn_env)
    async with (
        database(dsn, settings.state_folder / "postgres") as address,
        await connect(address) as pool,
    ):
        await migrate(pool)
        findings = await audit(settings, pool)
        if export is not None:
            clock = ManualClock(EPOCH)
            ours = PostgresJournal(pool, name=DESK_JOURNAL, codec=codec(), clock=clock)
            await export_jsonl(ours.records(), export)
    _show(findings, console)
    return findings.is_sound


async def run_file_audit(path: Path, *, export: Path | None, console: Console) -> bool:
    """Audit a journal in a file, of a run that brought no history, and print what was found.

    With `export` it is also written there, by topic and day.

    Raises:
        Fault: the file is no journal, its chain is broken, or it holds too little.
        OSError: it cannot be read.
    """
    auditor = Auditor(codec())
    count = await verify(_lines(path))
    async for record in _lines(path):
        await auditor.follow(record)
    if export is not None:
        await export_jsonl(_lines(path), export)
    findings = Findings(
        records={str(path): count},
        runs=auditor.runs,
        compared=dict(auditor.compared),
        mismatches=tuple(auditor.mismatches),
        differences=(),
    )
    _show(findings, console)
    return findings.is_sound


async def _lines(path: Path) -> AsyncIterator[Record]:
    with path.open("rb") as file:
        for line in file:
            yield parse_line(line)


async def audit(settings: Settings, pool: Pool) -> Findings:
    """Verify both chains, make every decision again, and compare the books."""
    clock = ManualClock(EPOCH)
    ours = PostgresJournal(pool, name=DESK_JOURNAL, codec=codec(), clock=clock)
    name, written = books_of(settings)
    books = PostgresJournal(pool, name=name, codec=written, clock=clock)
    async with ours, books:  # nobody writes while we read
        records = {
            DESK_JOURNAL: await verify(ours.records()),
            name: await verify(books.records()),
        }
        auditor = Auditor(codec())
        async for record in ours.records():
            await auditor.follow(record)
        if _is_simulated(settings):
            differences = await _compare_books(settings, ours, books, clock)
        else:
            differences = _last_differences(auditor.reconciled)
    return Findings(
        records=records,
        runs=auditor.runs,
        compared=dict(auditor.compared),
        mismatches=tuple(auditor.mismatches),
        differences=differences,
    )


def _is_simulated(settings: Settings) -> bool:
    """Whether the venue is one of our own, with books to compare ours with."""
    is_paper = isinstance(settings.venue, PaperTradingSettings)
    market = settings.market
    return is_paper or (isinstance(market, RehearsalMarketSettings) and market.url is None)


async def _compare_books(
    settings: Settings,
    ours: PostgresJournal,
    books: PostgresJournal,
    clock: ManualClock,
) -> tuple[str, ...]:
    """The ledger that our journal makes, against the balances that the venue's books make."""
    engine = wiring.engine(settings, NothingGoesOut(attaches_stops=True), Made(), clock)
    await engine.recover(ours.facts())
    if isinstance(settings.market, RehearsalMarketSettings):
        balances = await _rehearsed(settings, books, engine.ledger)
    else:
        balances = await (await open_paper(settings, books, clock)).balances()
    found = compare_balances(
        engine.ledger.balances, balances, engine.instruments, lambda _: _ALMOST_NOTHING
    )
    ours_to_say = (d for d in found if d.kind.forbids_entries)
    return tuple(f"{d.subject}: {d.ours} here, {d.theirs} at the venue" for d in ours_to_say)


async def _rehearsed(
    settings: Settings, books: PostgresJournal, ledger: Ledger
) -> Mapping[str, Decimal]:
    """The balances at the exchange, but for charges it was not asked about since it took them."""
    account = await recall(books.facts())
    if account is None:
        return settings.account.balances
    balances = dict(account.holdings)
    for charge in account.charges:
        if not ledger.has_charge(charge.charge_id):
            balances[charge.asset] = EXACT.add(balances[charge.asset], charge.amount)
    return balances


def _last_differences(last: Reconciliation | None) -> tuple[str, ...]:
    """What was open between a real venue and us when it was last asked."""
    if last is None:
        return ("the venue was never asked",)
    open_then = (d for d in last.differences if d.kind.forbids_entries)
    return tuple(
        f"{d.subject}: {d.ours} here, {d.theirs} at the venue at {last.at:%Y-%m-%d %H:%M:%S}"
        for d in open_then
    )


def _show(findings: Findings, console: Console) -> None:
    table = Table("audited", "result", title="Audit")
    for name, count in findings.records.items():
        table.add_row(f"journal {name}", f"{count:,} records, chain unbroken")
    table.add_row("runs", str(findings.runs))
    for topic, count in sorted(findings.compared.items()):
        table.add_row(f"made again: {topic}", f"{count:,} the same")
    table.add_row("made otherwise", str(len(findings.mismatches)))
    table.add_row("books against the venue", "; ".join(findings.differences) or "equal")
    console.print(table)
    for mismatch in findings.mismatches:
        console.print(
            f"record {mismatch.seq} ({mismatch.topic})\n  recorded: {mismatch.recorded}\n"
            f"  made:     {mismatch.made or 'nothing'}",
            markup=False,
            soft_wrap=True,
        )
    console.print("sound" if findings.is_sound else "NOT SOUND", markup=False)
