"""Real money is let in by everything at once, and by nothing less."""

import asyncio
import contextlib
import itertools
from decimal import Decimal

import asyncpg
import pytest
import pytest_asyncio
from rich.console import Console
from typer.testing import CliRunner

from data.clock import SystemClock
from execution.venues.answers import KeyRefused
from sextant.audit import run_audit
from sextant.cli import app
from sextant.daemon import run_daemon
from sextant.facts import RunStarted
from sextant.house import open_house
from sextant.live_market import LiveMarket
from sextant.market import Site
from sextant.promotion import clear, examine
from sextant.recovery import AnotherAccount
from sextant.rehearsal.rest import Rest
from sextant.stage_settings import Mode
from sextant.stages import PHRASE, Cleared, NotCleared
from tests.builders_daemon import what_is_left
from tests.builders_rehearsal import rehearsal_exchange
from tests.builders_stages import (
    KEYS,
    OWN_DSN,
    RECORD_DSN,
    START,
    Account,
    a_clearance,
    a_stage,
    said,
    touched,
    written,
)

pytestmark = pytest.mark.xdist_group("daemon")

_numbers = itertools.count(1)


@pytest_asyncio.fixture
async def record(postgres_server, monkeypatch):
    """The DSN of the database of the stage before."""
    name = f"stage_{next(_numbers)}"
    maintenance = await asyncpg.connect(postgres_server, database="template1")
    await maintenance.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
    dsn = postgres_server.replace("@/postgres?", f"@/{name}?")
    monkeypatch.setenv(RECORD_DSN, dsn)
    yield dsn
    await maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await maintenance.close()


@pytest.fixture(autouse=True)
def own(postgres, monkeypatch):
    """The database of the account itself."""
    monkeypatch.setenv(OWN_DSN, postgres)
    for name in said("micro"):
        monkeypatch.delenv(name, raising=False)
    return postgres


@pytest.fixture
def sent(monkeypatch):
    """Every request that has reached the exchange, public ones too."""
    came = []
    handler = Rest._handler

    def noted(self, answer):
        handle = handler(self, answer)

        async def note(request):
            came.append(request.match_info["method"])
            return await handle(request)

        return note

    monkeypatch.setattr(Rest, "_handler", noted)
    return came


@contextlib.asynccontextmanager
async def an_exchange(monkeypatch, settings):
    """An exchange on loopback where Kraken's addresses would lead; yields the settings for it."""
    async with rehearsal_exchange(SystemClock(), balances={"USDT": Decimal(100)}) as exchange:
        site = Site(urls=exchange.urls, key=exchange.key, secret=exchange.secret)
        monkeypatch.setattr(LiveMarket, "site", site)
        monkeypatch.setattr(LiveMarket, "bring_past", no_past)
        urls = {name: exchange.urls[name] for name in ("public", "private")}
        there = settings.market.model_copy(update={"urls": {**urls, "ws": exchange.urls["ws"]}})
        yield settings.model_copy(update={"market": there}), exchange


async def no_past(self, symbol, needs, until):
    """The exchange has none, and asking for it would take its time."""


def speak(monkeypatch, mode, **changes):
    for name, value in {**said(mode), **changes}.items():
        monkeypatch.setenv(name, value)


async def unmet(settings, environment=None):
    found = await examine(settings, environment or said(settings.mode))
    return [c.name for c in found.criteria if not c.is_met]


@pytest.mark.req("S0-6")
async def test_a_passed_paper_record_lets_micro_in(tmp_path, record):
    newest = await written(record, Account(settings=a_stage(tmp_path, "paper")))
    settings = a_stage(tmp_path, "micro")
    cleared = await clear(settings, said("micro"), now=START)
    assert cleared.stage is Mode.MICRO
    assert (cleared.proof.digest, cleared.proof.records) == (newest.digest, newest.seq)
    told = {c.name: c.observed for c in cleared.criteria}
    assert told["closed trades"] == "60"
    assert told["trades won"] == "66.667%"
    assert told["uptime"] == "100.000%"


@pytest.mark.req("S0-6")
@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        pytest.param({"days": 1.9}, ["length"], id="short"),
        pytest.param({"trades": 49, "lost": 10}, ["closed trades"], id="few trades"),
        pytest.param({"lost": 33}, ["trades won"], id="wins at the limit"),
        pytest.param(
            {"worst": Decimal(2500)}, ["Sharpe (daily, 365)", "drawdown at most"], id="a crash"
        ),
        pytest.param({"late": 60}, ["uptime"], id="an hour away"),
        pytest.param({"failed": 5}, ["decisions failed"], id="errors at the limit"),
        pytest.param({"decisions": 0}, ["decisions failed"], id="nothing decided"),
        pytest.param(
            {"changes": {"mode": "rehearsal"}}, "no run counts", id="a rehearsal's record"
        ),
        pytest.param({"changes": {"prompts": {}}}, "no run counts", id="other prompts"),
        pytest.param({"changes": {"settings": {}}}, "no run counts", id="of another version"),
    ],
)
async def test_a_record_that_falls_short_lets_nothing_in(tmp_path, record, changes, missing):
    await written(record, Account(settings=a_stage(tmp_path, "paper"), **changes))
    found = await unmet(a_stage(tmp_path, "micro"))
    if missing == "no run counts":
        assert found[0] == "strategy"
        assert len(found) == 8
    else:
        assert found == missing


@pytest.mark.req("S0-6")
@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(
            "[risk]\nmax_position = 0.1\n", "risk.max_position 0.2 above 0.1", id="bounds"
        ),
        pytest.param("[risk]\nmin_reward_risk = 2\n", "risk.min_reward_risk", id="rules"),
        pytest.param('[market.urls]\npublic = "http://x"\n', "a server of its own", id="made up"),
    ],
)
async def test_a_record_of_something_else_is_named(tmp_path, record, text, named):
    await written(record, Account(settings=a_stage(tmp_path, "paper", text)))
    with pytest.raises(NotCleared, match=named):
        await clear(a_stage(tmp_path, "micro"), said("micro"), now=START)


async def test_a_record_that_closed_bars_filled_lets_nobody_in(tmp_path, record):
    paper = a_stage(tmp_path, "paper")
    barred = paper.market.model_copy(update={"book_depth": None})
    await written(record, Account(settings=paper.model_copy(update={"market": barred})))
    with pytest.raises(NotCleared, match="fills from closed bars"):
        await clear(a_stage(tmp_path, "micro"), said("micro"), now=START)


@pytest.mark.parametrize(
    ("order", "lets_in"),
    [
        pytest.param(("other", "paper"), True, id="changed before"),
        pytest.param(("paper", "other"), False, id="changed since"),
    ],
)
async def test_only_the_runs_since_the_last_change_count(tmp_path, record, order, lets_in):
    rule = "[risk]\nmin_reward_risk = 2\n"
    accounts = {
        "other": Account(
            settings=a_stage(tmp_path, "paper", rule), days=0.01, trades=0, decisions=9, failed=9
        ),
        "paper": Account(settings=a_stage(tmp_path, "paper"), days=2.1),
    }
    await written(record, *(accounts[name] for name in order))
    assert ("strategy" not in await unmet(a_stage(tmp_path, "micro"))) is lets_in
    assert (await unmet(a_stage(tmp_path, "micro")) == []) is lets_in


async def test_a_record_that_was_touched_is_worth_nothing(tmp_path, record):
    await written(record, Account(settings=a_stage(tmp_path, "paper")))
    await touched(record)
    with pytest.raises(NotCleared, match=r"record of paper: .*its digest is not that"):
        await clear(a_stage(tmp_path, "micro"), said("micro"), now=START)


@pytest.mark.req("S0-6")
async def test_live_is_let_in_by_a_micro_account_that_was_let_in_itself(tmp_path, record):
    micro, live = a_stage(tmp_path, "micro"), a_stage(tmp_path, "live")
    await written(record, Account(settings=micro, before=(a_clearance(micro),)))
    assert await unmet(live) == []


@pytest.mark.req("S0-6")
@pytest.mark.parametrize("mode", ["paper", "micro"])
async def test_live_is_not_let_in_by_paper_or_by_a_start_that_was_not_cleared(
    tmp_path, record, mode
):
    await written(record, Account(settings=a_stage(tmp_path, mode)))
    assert "strategy" in await unmet(a_stage(tmp_path, "live"))


@pytest.mark.req("S0-6")
@pytest.mark.parametrize(
    ("missing", "named"),
    [
        pytest.param("SEXTANT_LIVE", "SEXTANT_LIVE: not set", id="the phrase"),
        pytest.param("SEXTANT_STAGE", "SEXTANT_STAGE: not set", id="the stage"),
        pytest.param("KRAKEN_API_KEY", "keys of kraken: KRAKEN_API_KEY not set", id="a key"),
        pytest.param("record", "record of paper: 0 records", id="the record"),
        pytest.param("trades", "closed trades: 10; wanted at least 50", id="a figure of it"),
        pytest.param("books", "own books: of mode 'paper'", id="books of its own"),
    ],
)
async def test_without_any_one_of_them_the_daemon_sends_nothing(
    tmp_path, monkeypatch, record, own, sent, missing, named
):
    paper, micro = a_stage(tmp_path, "paper"), a_stage(tmp_path, "micro")
    if missing != "record":
        trades = {"trades": 10, "lost": 2} if missing == "trades" else {}
        await written(record, Account(settings=paper, **trades))
    if missing == "books":
        await written(own, Account(settings=paper, days=0.01, trades=0, decisions=0))
    speak(monkeypatch, "micro")
    monkeypatch.delenv(missing, raising=False)
    async with an_exchange(monkeypatch, micro) as (settings, exchange):
        with pytest.raises(NotCleared, match=named) as refused:
            await run_daemon(settings, view=False, max_bars=1)
        assert exchange.control.exchange.orders == {}
    assert "1 of 13 conditions" in str(refused.value) or missing == "record"
    assert sent == []
    assert not (tmp_path / "micro").exists()


@pytest.mark.req("S0-6", "S1-170")
async def test_what_let_it_in_is_on_record_and_a_restart_needs_no_new_one(
    tmp_path, monkeypatch, record, own
):
    await written(record, Account(settings=a_stage(tmp_path, "paper")))
    micro = a_stage(tmp_path, "micro")
    async with an_exchange(monkeypatch, micro) as (settings, _):
        cleared = await clear(micro, said("micro"), now=START)
        async with open_house(settings, cleared=cleared):
            pass
        async with asyncio.timeout(60):
            monkeypatch.delenv(RECORD_DSN)  # nobody asks for the record again
            again = await clear(micro, said("micro"), now=START)
        assert [c.name for c in again.criteria][-1] == "cleared before"
        assert again.proof == cleared.proof
        async with open_house(settings, cleared=again):
            pass
        with pytest.raises(NotCleared, match="SEXTANT_LIVE"):
            await clear(micro, {**said("micro"), "SEXTANT_LIVE": ""}, now=START)
        faster = a_stage(tmp_path, "micro", '[news]\nmax_age = "PT1H"\n')
        with pytest.raises(NotCleared, match="record of paper: 0 records"):
            await clear(faster, said("micro"), now=START)
    left = await what_is_left(tmp_path / "micro.toml")
    assert [type(fact) for fact in left.facts if isinstance(fact, Cleared | RunStarted)] == [
        Cleared,
        RunStarted,
        Cleared,
        RunStarted,
    ]
    assert left.of(Cleared)[0] == cleared
    assert left.of(RunStarted)[0].mode == "micro"


@pytest.mark.req("S0-6")
async def test_when_all_is_there_the_exchange_is_asked_first_whether_the_key_can_withdraw(
    tmp_path, monkeypatch, record, sent
):
    await written(record, Account(settings=a_stage(tmp_path, "paper")))
    speak(monkeypatch, "micro")
    async with an_exchange(monkeypatch, a_stage(tmp_path, "micro")) as (settings, exchange):
        exchange.keyring.permissions = (*exchange.keyring.permissions, "withdraw-funds")
        with pytest.raises(ExceptionGroup) as refused:
            await run_daemon(settings, view=False, max_bars=1)
        assert exchange.control.exchange.orders == {}
    (cause,) = refused.value.exceptions
    assert isinstance(cause, KeyRefused)
    assert "withdraw-funds" in str(cause)
    assert sent == ["Time", "GetApiKeyInfo"]


async def test_the_audit_sees_a_run_of_real_money_that_nothing_let_in(tmp_path, own):
    micro = a_stage(tmp_path, "micro")
    bare = {"days": 0.001, "trades": 0, "decisions": 0}
    printed = Console(record=True, width=200)
    await written(own, Account(settings=micro, **bare))
    assert not await run_audit(micro, export=None, console=printed)
    assert "mode micro was not cleared" in printed.export_text()


async def test_books_of_paper_are_never_gone_on_with_for_real(tmp_path, monkeypatch, own):
    await written(
        own, Account(settings=a_stage(tmp_path, "paper"), days=0.001, trades=0, decisions=0)
    )
    micro = a_stage(tmp_path, "micro", "[account]\nbalances = { USDT = 10_000 }\n")
    async with an_exchange(monkeypatch, micro) as (settings, _):
        with pytest.raises(ExceptionGroup) as refused:
            async with open_house(settings, cleared=a_clearance(micro)):
                pass
    (cause,) = refused.value.exceptions
    assert isinstance(cause, AnotherAccount)
    assert "of mode paper at paper" in str(cause)


async def test_paper_asks_for_nothing(tmp_path):
    assert await clear(a_stage(tmp_path, "paper"), {}, now=START) is None


def promoted(path, monkeypatch, **environment):
    monkeypatch.setenv("COLUMNS", "120")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["promote", "--config", str(path)])


def test_promote_prints_every_condition_and_starts_nothing(tmp_path, monkeypatch, own):
    monkeypatch.setenv(OWN_DSN, "")
    a_stage(tmp_path, "micro")
    done = promoted(tmp_path / "micro.toml", monkeypatch, **KEYS)
    assert done.exit_code == 1
    for part in ("SEXTANT_LIVE", PHRASE, "own books", "record of paper", "Sharpe", "11 of 13"):
        assert part in done.output
    assert KEYS["KRAKEN_API_SECRET"] not in done.output
    assert not (tmp_path / "micro").exists()
    paper = a_stage(tmp_path, "paper")
    refused = promoted(tmp_path / f"{paper.mode}.toml", monkeypatch).exception
    assert isinstance(refused, NotCleared)
    assert "trades no real money" in str(refused)
