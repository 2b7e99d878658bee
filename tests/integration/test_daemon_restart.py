"""Restarted, a daemon goes on where it was."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import SystemClock
from execution.order import Submitting
from risk.breaker import Halt, TradingState
from sextant.alerts import Alert, AlertKind
from sextant.cycle import Decision
from sextant.daemon import Daemon
from sextant.facts import DecisionFailed, RunStarted
from sextant.house import open_house
from sextant.recovery import AnotherAccount
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, a_config, flaws, ran, what_is_left

pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture(autouse=True)
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)


@pytest.mark.req("S1-76")
async def test_the_account_is_what_it_was(tmp_path):
    config = a_config(tmp_path)
    before = (await ran(config, 300)).session.book
    async with open_house(load_settings(config)) as house:
        after, now = house.session.book, house.clock.now()
        assert after.ledger.equity == before.ledger.equity
        assert after.ledger.balances == before.ledger.balances
        assert after.ledger.fees == before.ledger.fees
        assert after.state == before.state
        assert after.engine.plans == before.engine.plans
        assert {o.client_order_id: o.order for o in after.engine.orders} == {
            o.client_order_id: o.order for o in before.engine.orders
        }
        assert after.account(now).positions == before.account(now).positions
        assert house.session._paper._matching._bars.keys() == after.engine.instruments.keys()
    assert before.state.cool_down_until
    assert before.ledger.equity != Decimal(10_000)


async def test_runs_that_end_between_the_symbols_of_a_minute_leave_no_gap(tmp_path):
    config = a_config(tmp_path)
    for bars in (31, 32, 33, 1, 1):
        await ran(config, bars)
    left = await what_is_left(config)
    assert flaws(left) == []
    assert [run.resumed for run in left.of(RunStarted)] == [False, True, True, True, True]


async def test_what_models_cost_today_counts_against_today(tmp_path):
    config = a_config(tmp_path, "")  # the council, whose decisions have costs
    async with open_house(load_settings(config)) as house:
        await _spend(house, "0.07")
    async with open_house(load_settings(config)) as house:
        assert house.seats.budget.spent == Decimal("0.07")


async def test_a_day_of_the_market_is_no_new_day_for_the_budget(tmp_path):
    config = a_config(tmp_path, "", speed=60 * 60 * 24 * 7.0)
    async with open_house(load_settings(config)) as house:
        await _spend(house, "0.07")
        began = house.clock.now()
        while house.clock.now() < began + timedelta(days=2):
            await SystemClock().sleep(timedelta(milliseconds=10))
        assert house.seats.budget.spent == Decimal("0.07")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param("[market]\nseed = 8\n", "synthetic:7, not synthetic:8", id="market"),
        pytest.param(
            "[account]\nbalances = { USDT = 5000 }\n", "10000 USDT", id="opening balances"
        ),
    ],
)
async def test_the_books_of_another_account_are_not_gone_on_with(tmp_path, change, said):
    config = a_config(tmp_path)
    await ran(config, 6)
    other = tmp_path / "other.toml"
    other.write_text(f'extends = "{config}"\n{change}')
    refused = pytest.RaisesExc(AnotherAccount, match=said)
    with pytest.RaisesGroup(refused, flatten_subgroups=True):
        await ran(other, 3)
    await ran(config, 3)  # and nothing of the attempt is left


async def test_the_same_account_in_other_words_is_gone_on_with(tmp_path):
    config = a_config(tmp_path)
    await ran(config, 6)
    other = tmp_path / "other.toml"
    other.write_text(
        f'extends = "{config}"\n[account]\nbalances = {{ USDT = 10000.00, ETH = 0 }}\n'
    )
    await ran(other, 3)


async def _spend(house, usd):
    """Have a decision cost so much."""
    with house.seats.budget.purse().reserve(Decimal("0.2")) as call:
        call.settle(Decimal(usd))
    house.market.go()
    async for bar in house.feed.events():
        await house.bars.put([bar])
        for desk, snapshot in await house.session.take(bar):
            await house.session.decide(desk, snapshot)
        return


@pytest.mark.req("S1-100")
async def test_a_halt_holds_over_a_restart(tmp_path):
    config = a_config(tmp_path)
    async with open_house(load_settings(config)) as house:
        book = house.session.book
        book.note(Halt(by="somebody", why="to see", at=house.clock.now()))
    resumed = await ran(config, 60)
    assert resumed.session.book.state.trading is TradingState.HALTED
    left = await what_is_left(config)
    assert not left.of(Submitting)
    assert any(d.intent is not None for d in left.of(Decision))


async def test_a_desk_added_later_begins_with_a_past(tmp_path):
    one = EAGER[: EAGER.rindex("[[desk]]")]
    await ran(a_config(tmp_path, one, name="one"), 60)
    config = a_config(tmp_path, name="two")
    await ran(config, 60)
    decided = {(d.strategy_id, d.symbol) for d in (await what_is_left(config)).of(Decision)}
    assert decided == {("chance-btc", "BTC/USDT"), ("chance-xrp", "XRP/USDT")}


class _Fails:
    """A strategy that never comes to a decision."""

    def __init__(self, strategy):
        self.requirements = strategy.requirements

    async def decide(self, snapshot):
        raise ValueError("no idea")


@pytest.mark.req("S1-161")
async def test_a_desk_that_fails_is_on_record_and_the_others_go_on(tmp_path):
    config = a_config(tmp_path)
    async with open_house(load_settings(config)) as house:
        desk = house.session.desks[0]
        desk.strategy = _Fails(desk.strategy)
        await Daemon(house, max_bars=60).run(view=False)
    left = await what_is_left(config)
    assert flaws(left) == []
    assert {f.error for f in left.of(DecisionFailed)} == {"ValueError: no idea"}
    assert [a.subject for a in left.of(Alert) if a.kind is AlertKind.DESK_PAUSED] == ["chance-btc"]
    assert {d.strategy_id for d in left.of(Decision)} == {"chance-xrp"}
