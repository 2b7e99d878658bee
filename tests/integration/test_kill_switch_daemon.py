"""The kill switch of the real daemon: by command, by signal, between two runs; and audited."""

import asyncio
import os
import signal

import pytest
from typer.testing import CliRunner

from data.postgres.pool import connect
from execution.kill_switch import closing
from execution.order import Submitting
from risk.breaker import Flatten, RiskState, TradingState
from sextant.audit import audit
from sextant.cli import app
from sextant.command import SOCKET, CannotObey, Command, Verb, send
from sextant.daemon import Daemon
from sextant.facts import BarSeen, Commanded, RunStarted
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, Rehearsal, a_config, flaws, ran, what_is_left
from tests.builders_safety import ONLY_FLATTENED, calls_noted, safety_functions

pytestmark = pytest.mark.xdist_group("daemon")

# A market so thin that an exit takes several bars.
THIN = "[paper_venue]\nparticipation = 0.0006\n"
WORDS = ["--by", "Ada", "--why", "storm"]


@pytest.fixture
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


def command(verb):
    return Command(verb=verb, by="Ada", why="storm")


async def happened(house, condition):
    while not condition():
        await house.clock.sleep(house.settings.market.timeframe.delta)


async def lifted(house):
    """What `resume` says once it is obeyed, and what it said before."""
    refusals = []
    while True:
        try:
            return await send(house.settings.state_folder, command(Verb.RESUME)), refusals
        except CannotObey as refused:
            refusals.append(str(refused))
            await house.clock.sleep(house.settings.market.timeframe.delta)


def entries_while_on(facts):
    """The entries that were put on record while the kill switch was on."""
    is_on, found = False, []
    for fact in facts:
        if isinstance(fact, RiskState):
            is_on = fact.latch is not None
        elif is_on and isinstance(fact, Submitting) and not fact.order.reduce_only:
            found.append(fact)
    return found


def is_flat(left):
    """Whether the venue's own books hold no order and no position but dust."""
    held = (
        (left.ledger.held(symbol), left.ledger.last_mark(symbol), grid)
        for symbol, grid in left.settings.instruments.items()
    )
    return not any(left.books.resting.values()) and all(
        not quantity or grid.is_dust(quantity, mark.price) for quantity, mark, grid in held
    )


def is_idle(book):
    """Whether nothing is being closed already."""
    return not closing(book.engine.orders)


def run_until(config, condition):
    """Runs of half an hour of the market's, each of which asks the venue at its start.

    Each is longer by some bars: who trades on every second one must not end on the same foot.
    """
    for run in range(20):
        house = asyncio.run(ran(config, 90 + 4 * run))
        if condition(house.session.book, house.clock.now()):
            return
    raise AssertionError("it never came to be")


async def the_audit_is_content(config, dsn):
    async with await connect(dsn) as pool:
        found = await audit(load_settings(config), pool)
    assert found.is_sound, found


@pytest.mark.req("S1-97", "S1-211")
async def test_by_command_it_ends_all_and_a_person_lifts_it_after_the_venues_word(
    tmp_path, configured
):
    config = a_config(tmp_path, THIN + EAGER, speed=1200)
    with calls_noted() as called:
        async with open_house(load_settings(config)) as house, asyncio.TaskGroup() as tasks:
            work = tasks.create_task(Daemon(house).run(view=False))
            folder, book = house.settings.state_folder, house.session.book
            await happened(house, (folder / SOCKET).exists)
            await happened(house, lambda: len(book.account(house.clock.now()).positions) == 2)
            said = await send(folder, command(Verb.FLATTEN))
            assert "flattened by Ada: storm" in said
            assert "still open: BTC/USDT" in said
            assert await send(folder, command(Verb.WAITING)) != "no order waits for consent"
            text, refusals = await lifted(house)
            assert text.startswith("lifted: flattened by Ada: storm")
            assert all("the kill switch has not done its work" in said for said in refusals)
            assert any("the venue has yet to say" in said for said in refusals)
            assert book.state.trading is not TradingState.HALTED
            bars = house.session.scorecard.bars
            await happened(house, lambda: house.session.scorecard.bars > bars + 60)
            os.kill(os.getpid(), signal.SIGINT)
            await work
    left = await what_is_left(config)
    assert flaws(left) == []
    assert [c.command.verb for c in left.of(Commanded)] == [Verb.FLATTEN, Verb.RESUME]
    assert entries_while_on(left.facts) == []
    resumed = left.facts.index(left.of(Commanded)[1])
    after = [f for f in left.facts[resumed:] if isinstance(f, Submitting)]
    assert any(not fact.order.reduce_only for fact in after)
    await the_audit_is_content(config, configured)
    silent = {name for name, code in safety_functions() if code not in called}
    assert not silent & ONLY_FLATTENED.keys()


@pytest.mark.req("S1-97")
def test_a_signal_does_the_same(tmp_path, configured):
    config = a_config(tmp_path, THIN + EAGER, speed=3000)
    rehearsal = Rehearsal(config, SEXTANT_DATABASE_URL=configured)
    ended = rehearsal.signalled(
        "sextant.session:Session.take", 120, "before", signal.SIGUSR1, bars=900
    )
    assert ended.code == 0, ended.said
    left = asyncio.run(what_is_left(config))
    assert flaws(left) == []
    assert [c.command.by for c in left.of(Commanded)] == ["a signal"]
    assert entries_while_on(left.facts) == []
    assert is_flat(left)
    assert left.of(RiskState)[-1].latch.is_done
    audited = rehearsal.audited()
    assert audited.code == 0, audited.said


def test_a_signal_before_there_is_a_house_is_obeyed_in_it(tmp_path, configured):
    config = a_config(tmp_path)
    rehearsal = Rehearsal(config, SEXTANT_DATABASE_URL=configured)
    ended = rehearsal.signalled("sextant.house:migrate", 1, "after", signal.SIGUSR1, bars=60)
    assert ended.code == 0, ended.said
    left = asyncio.run(what_is_left(config))
    assert [c.command.verb for c in left.of(Commanded)] == [Verb.FLATTEN]
    assert [s for s in left.of(Submitting) if not s.order.reduce_only] == []


def test_where_no_daemon_runs_the_next_start_does_it_first(tmp_path, configured):
    config = a_config(tmp_path, speed=1800)
    run_until(config, lambda book, now: book.account(now).positions and is_idle(book))
    said = CliRunner().invoke(app, ["flatten", *WORDS, "--config", str(config)])
    assert said.exit_code == 0, said.output
    assert "the next start does it first" in " ".join(said.output.split())
    early = CliRunner().invoke(app, ["resume", *WORDS, "--config", str(config)])
    assert isinstance(early.exception, CannotObey)
    assert "has not done its work" in str(early.exception)

    run_until(config, lambda book, now: not book.latches.unfinished(now))
    left = asyncio.run(what_is_left(config))
    assert flaws(left) == []
    assert len(left.of(Flatten)) == 1
    began = left.facts.index(left.of(Flatten)[0])
    following = left.facts[began:]
    kinds = [type(f) for f in following if isinstance(f, RunStarted | Submitting | BarSeen)]
    assert kinds[:2] == [RunStarted, Submitting]
    assert entries_while_on(left.facts) == []
    assert is_flat(left)
    done = CliRunner().invoke(app, ["resume", *WORDS, "--config", str(config)])
    assert done.exit_code == 0, done.output
    asyncio.run(the_audit_is_content(config, configured))


@pytest.mark.parametrize("verb", ["halt", "flatten", "resume"])
def test_before_the_first_run_there_is_nothing_to_order(verb, tmp_path, configured):
    config = a_config(tmp_path)
    said = CliRunner().invoke(app, [verb, *WORDS, "--config", str(config)])
    assert isinstance(said.exception, CannotObey)
    assert "nothing is on record yet" in str(said.exception)
