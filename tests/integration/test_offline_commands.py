"""A halt, or a flatten, by hand between two runs: on record; and what binds is read meanwhile."""

import asyncio
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from data.postgres.embedded import FolderInUse
from data.postgres.pool import connect
from execution.order import Submitting
from risk.breaker import Halt, Resume, TradingState
from sextant.audit import audit
from sextant.cli import app
from sextant.command import CannotObey, Command, Verb
from sextant.house import open_house
from sextant.journal.port import JournalHeld
from sextant.offline import apply, obey_offline
from sextant.settings import load_settings
from sextant.standing import read_standing
from tests.builders_daemon import EAGER, a_config, flaws, ran, what_is_left

pytestmark = pytest.mark.xdist_group("daemon")

RESUME = Command(verb=Verb.RESUME, by="Ada", why="looked at it")


@pytest.fixture
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


@pytest.fixture
def embedded(monkeypatch):
    """No database is configured."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", "")


async def halted(config):
    """A daemon's run that ends halted, without a word, as a killed one's does."""
    async with open_house(load_settings(config)) as house:
        house.session.book.note(Halt(by="a watchdog", why="a test", at=house.clock.now()))


@pytest.mark.req("S0-25", "S1-100")
async def test_a_resume_is_on_record_with_who_and_why_and_the_next_start_trades(
    tmp_path, configured
):
    config = a_config(tmp_path)
    await halted(config)
    lifted = await obey_offline(load_settings(config), RESUME)
    assert lifted.lifted == ("halted by a watchdog: a test",)
    assert lifted.after.trading is TradingState.ACTIVE
    resumed = await ran(config, 60)
    assert resumed.session.book.state.trading is not TradingState.HALTED
    left = await what_is_left(config)
    assert [(fact.by, fact.why) for fact in left.of(Resume)] == [("Ada", "looked at it")]
    assert left.facts[left.facts.index(lifted.event) + 1] == lifted.after
    assert left.of(Submitting)
    assert flaws(left) == []


async def test_a_halt_of_a_run_that_ended_in_order_is_lifted_and_the_audit_is_content(
    tmp_path, configured
):
    """The run's own record makes the halt again, and the state after it is lifted."""
    text = EAGER.replace("max_loss_streak = 100000", "max_loss_streak = 2")
    config = a_config(tmp_path, text)
    settings = load_settings(config)
    first = await ran(config, 300)
    assert first.session.book.state.reason == "loss_streak"
    lifted = await obey_offline(settings, RESUME)
    assert lifted.after.loss_streak == 0
    await ran(config, 60)
    async with await connect(configured) as pool:
        found = await audit(settings, pool)
    assert found.is_sound, found
    assert found.runs == 2


@pytest.mark.parametrize("honest", [True, False])
async def test_the_audit_makes_a_resume_again(honest, tmp_path, configured, monkeypatch):
    """Also after a run that was killed; a state that it does not come to is heard of."""
    config = a_config(tmp_path)
    await halted(config)
    async with await connect(configured) as pool:
        with monkeypatch.context() as patch:
            if not honest:
                patch.setattr("sextant.offline.next_state", lambda state, event, limits: state)
            await apply(pool, RESUME)
        found = await audit(load_settings(config), pool)
    halts, lifted = found.mismatches[:1], found.mismatches[1:]
    assert [m.topic for m in halts] == ["risk_state"]  # that of `halted`, which came from nowhere
    assert [m.topic for m in lifted] == ([] if honest else ["risk_state"])
    assert found.compared.get("risk_state", 0) == int(honest)


@pytest.mark.parametrize("first", [False, True], ids=["before the first run", "not halted"])
async def test_what_is_not_halted_is_not_lifted(first, tmp_path, configured):
    config = a_config(tmp_path)
    if first:
        await ran(config, 3)
    with pytest.raises(CannotObey, match="nothing"):
        await obey_offline(load_settings(config), RESUME)
    assert not (await what_is_left(config)).of(Resume)


async def test_while_a_daemon_runs_limits_are_shown_and_nothing_is_lifted(server_folder, embedded):
    config = a_config(server_folder)
    settings = load_settings(config)
    async with open_house(settings) as house:
        book = house.session.book
        book.note(Halt(by="Ada", why="to see", at=house.clock.now()))
        await house.journal.flush()
        with pytest.raises(FolderInUse):
            await obey_offline(settings, RESUME)
        standing = await read_standing(settings)
        assert standing.state == book.state
        assert standing.account.equity == book.ledger.equity
    assert (await read_standing(settings)).state == standing.state


async def test_whoever_writes_the_journal_keeps_others_from_obeying(tmp_path, configured):
    async with open_house(load_settings(a_config(tmp_path))), await connect(configured) as pool:
        with pytest.raises(JournalHeld):
            await apply(pool, RESUME, lock_within=timedelta(milliseconds=50))


async def test_the_account_is_read_as_the_daemon_left_it(tmp_path, configured):
    config = a_config(tmp_path)
    book = (await ran(config, 120)).session.book
    standing = await read_standing(load_settings(config))
    assert standing.state == book.state
    assert standing.account.equity == book.ledger.equity
    assert standing.account.positions == book.account(standing.at).positions


async def test_a_database_without_a_schema_has_nothing_on_record(
    tmp_path, postgres_server, monkeypatch
):
    bare = postgres_server.replace("@/postgres?", "@/template1?")
    monkeypatch.setenv("SEXTANT_DATABASE_URL", bare)
    assert await read_standing(load_settings(a_config(tmp_path))) is None


def test_the_command_says_what_it_lifted(server_folder, embedded):
    config = a_config(server_folder)
    words = ["--by", "Ada", "--why", "looked", "--config", str(config)]
    early = CliRunner().invoke(app, ["resume", *words])
    assert isinstance(early.exception, CannotObey)
    asyncio.run(halted(config))
    shown = CliRunner().invoke(app, ["limits", "--config", str(config)])
    assert "trading is halted (halted by a watchdog: a test)" in " ".join(shown.output.split())
    done = CliRunner().invoke(app, ["resume", *words])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("lifted: halted by a watchdog: a test; trading is active")
