"""`sextant report` tells from the record alone what the run itself told."""

import asyncio
import json
from dataclasses import fields
from datetime import timedelta

import pytest
from rich.console import Console
from typer.testing import CliRunner

from data.postgres.pool import connect
from sextant.cli import app
from sextant.daemon import summary_of
from sextant.facts import BarSeen
from sextant.report_command import NothingToReport, Window, report_of, run_file_report
from tests.builders_daemon import EAGER, ROOT, a_config, ran, what_is_left
from tests.builders_evaluation import a_replay

pytestmark = pytest.mark.xdist_group("daemon")

# A gate on costs that is only tried, and larger orders that a person is asked about.
TRIED = EAGER.replace(
    "max_cost_to_risk = 0",
    'max_cost_to_risk = 0.01\nshadow = ["round_trip_cost"]\nrefer_above = 0.2\n'
    'referral_span = "PT5M"',
)
assert TRIED != EAGER
HASTY = f"""
extends = "{ROOT}/config/synthetic.toml"
[[desk]]
strategy_id = "hasty"
instruments = ["BTC/USDT"]
timeframe = "1m"
strategy = {{ kind = "ema_cross", fast = 5, slow = 12, seed = "sma", quantity = 0.01, \
stop_distance = 0.0001, confidence = 0.8 }}
"""


@pytest.fixture
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


def differences(told, printed):
    """The fields of two summaries that are not the same, to the last digit."""
    names = [field.name for field in fields(printed)]
    pairs = {name: (getattr(told, name), getattr(printed, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def told_by(dsn, window=None):
    async with await connect(dsn) as pool:
        return await report_of(pool, window or Window())


@pytest.mark.req("S1-223", "S1-126")
@pytest.mark.parametrize("text", [pytest.param(EAGER, id="eager"), pytest.param(TRIED, id="tried")])
async def test_a_rehearsal_is_told_as_it_was_printed(tmp_path, configured, text):
    house = await ran(a_config(tmp_path, text, speed=1200.0), 400)  # each bar is decided on
    told = await told_by(configured)
    printed = summary_of(house)
    assert printed.trading.trades
    assert printed.gate.vetoes
    assert differences(told.summary, printed) == {}
    tried = {rule.rule: rule.trades for rule in told.summary.gate.rules if rule.shadow}
    assert (tried.get("round_trip_cost", 0) > 0) == (text is TRIED)
    assert (told.runs, told.state) == (1, house.session.book.state)


@pytest.mark.req("S1-223")
async def test_a_window_tells_of_its_time_and_restarts_go_on(tmp_path, configured):
    config = a_config(tmp_path)
    await ran(config, 200)
    house = await ran(config, 200)
    left = await what_is_left(config)
    seen = [fact.at for fact in left.of(BarSeen)]
    whole = await told_by(configured)
    early = await told_by(configured, Window(until=seen[150]))
    late = await told_by(configured, Window(since=seen[150]))
    assert (whole.runs, whole.summary.bars) == (2, len(seen))
    assert early.summary.bars + late.summary.bars == whole.summary.bars
    trades = [told.summary.trading.trades for told in (early, late, whole)]
    assert trades[0] + trades[1] == trades[2]
    assert early.records + late.records == whole.records
    assert late.summary.equity_end == whole.summary.equity_end == house.session.book.ledger.equity
    with pytest.raises(NothingToReport, match="nothing is on record from"):
        await told_by(configured, Window(since=seen[-1] + timedelta(days=1)))


async def test_a_report_while_the_daemon_writes_tells_of_what_was_written(tmp_path, configured):
    config = a_config(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(ran(config, 60))
        bars = 0
        while not run.done():
            try:
                bars = (await told_by(configured)).summary.bars
            except NothingToReport:
                continue
            assert bars <= 62
    assert (await told_by(configured)).summary.bars >= max(bars, 60)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'extends = "{ROOT}/config/synthetic.toml"', id="council"),
        pytest.param(HASTY, id="one that is sent back"),
    ],
)
def test_a_replay_is_told_as_it_was_printed(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    _, printed = a_replay(tmp_path, bars=3000, config=tmp_path / "mine.toml")
    told = asyncio.run(
        run_file_report(
            tmp_path / "journal.jsonl",
            Window(),
            out=tmp_path / "told",
            console=Console(quiet=True),
        )
    )
    assert differences(told.summary, printed) == {}
    assert told.summary.gate.revisions
    written = json.loads((tmp_path / "told" / "report.json").read_bytes())
    assert written["equity_end"] == str(printed.equity_end)
    assert (tmp_path / "told" / "report.html").is_file()


def sextant(*arguments):
    done = CliRunner().invoke(app, ["report", *map(str, arguments)])
    return done.exit_code, done.output, done.exception


def test_the_command_prints_every_table(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    a_replay(tmp_path)
    journal = tmp_path / "journal.jsonl"
    code, said, _ = sextant("--journal", journal, "--since", "2026-01-05T01:00:00")
    assert code == 0
    for part in ("2026-01-05 01:00 to", "Decisions by desk", "council", "chain unbroken, 0 starts"):
        assert part in said


@pytest.mark.parametrize(
    ("keep", "text"),
    [
        pytest.param(lambda line: False, "nothing is on record", id="empty"),
        pytest.param(
            lambda line: b'"topic":"repro"' in line, "no bar is on record", id="a start alone"
        ),
    ],
)
def test_a_file_with_nothing_to_tell_is_said_in_words(tmp_path, keep, text):
    a_replay(tmp_path, bars=3)
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(filter(keep, lines)))
    code, _, error = sextant("--journal", journal)
    assert code == 1
    assert isinstance(error, NothingToReport)
    assert text in str(error)


def test_an_account_that_never_ran_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", "")
    code, _, error = sextant("--config", a_config(tmp_path))
    assert code == 1
    assert isinstance(error, NothingToReport)
    assert "nothing is on record" in str(error)
    assert not (tmp_path / "state").exists()


def test_a_journal_that_was_touched_is_not_told(tmp_path):
    a_replay(tmp_path, bars=30)
    journal = tmp_path / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"close":"', '"close":"1', 1))
    code, _, error = sextant("--journal", journal)
    assert code == 1
    assert "digest" in str(error)
