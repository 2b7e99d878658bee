"""A desk with capital of its own: held to its own limits too, across restarts, and audited."""

from decimal import Decimal

import pytest

from data.postgres.pool import connect
from execution.charge import Charge
from execution.fill import Fill
from execution.order import Submitting
from risk.approval import Rejection
from risk.breaker import TradingState
from sextant.audit import audit
from sextant.command import Command, Verb
from sextant.facts import BarSeen
from sextant.offline import obey_offline
from sextant.settings import load_settings
from sextant.settings_file import BadSettings
from sextant.subaccount import DeskRiskState
from tests.builders_daemon import EAGER, a_config, flaws, ran, what_is_left

pytestmark = pytest.mark.xdist_group("daemon")

CAPITAL = 3000
OWN = EAGER.replace(
    'strategy_id = "chance-btc"',
    f'strategy_id = "chance-btc"\n    capital = {CAPITAL}\n'
    "    limits = { max_drawdown = 0.004, derisk_drawdown = 0.004, max_position = 0.5 }",
)


@pytest.fixture
def configured(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


def the_desks_equity(left):
    """What the capital has become by fills and charges in BTC/USDT alone, at the last close."""
    cash, held = Decimal(CAPITAL), Decimal(0)
    for fill in left.of(Fill):
        if fill.symbol == "BTC/USDT":
            signed = fill.side.sign * fill.quantity
            cash -= signed * fill.price + fill.fee
            held += signed
            assert fill.fee_asset == "USDT"
    cash -= sum(charge.amount for charge in left.of(Charge) if charge.symbol == "BTC/USDT")
    bars = [seen.bar for seen in left.of(BarSeen) if seen.bar.symbol == "BTC/USDT"]
    return cash + held * bars[-1].close


@pytest.mark.req("S0-25", "S1-15")
async def test_its_own_drawdown_halts_the_desk_and_nobody_else(tmp_path, configured):
    config = a_config(tmp_path, OWN)
    settings = load_settings(config)
    book = (await ran(config, 400)).session.book
    halted = book.risks.desk_states["chance-btc"]
    assert (halted.trading, halted.reason) == (TradingState.HALTED, "drawdown_limit")
    assert book.state.trading is TradingState.ACTIVE
    left = await what_is_left(config)
    assert flaws(left) == []
    part, _ = book.risks.parts["chance-btc"]
    assert part.ledger.equity == the_desks_equity(left)

    first = next(i for i, f in enumerate(left.facts) if _halts(f))
    entries = [
        fact.order.symbol
        for fact in left.facts[first:]
        if isinstance(fact, Submitting) and not fact.order.reduce_only
    ]
    assert "BTC/USDT" not in entries
    vetoes = [
        {o.rule for o in fact.objections}
        for fact in left.facts[first:]
        if isinstance(fact, Rejection) and fact.intent.strategy_id == "chance-btc"
    ]
    assert vetoes
    assert all("desk.trading_state" in rules for rules in vetoes)

    resumed = await ran(config, 30)  # a restart lifts nothing
    assert resumed.session.book.risks.desk_states["chance-btc"].trading is TradingState.HALTED
    resume = Command(verb=Verb.RESUME, by="Ada", why="looked at it")
    lifted = await obey_offline(settings, resume)
    assert lifted.lifted == ("drawdown_limit",)
    again = await ran(config, 3)
    assert again.session.book.risks.desk_states["chance-btc"].trading is TradingState.ACTIVE
    async with await connect(configured) as pool:
        found = await audit(settings, pool)
    assert found.is_sound, found
    assert found.compared["desk_risk_state"] > 2


def _halts(fact):
    return isinstance(fact, DeskRiskState) and fact.state.trading is TradingState.HALTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            OWN.replace('instruments = ["XRP/USDT"]', 'instruments = ["XRP/USDT", "BTC/USDT"]'),
            "shares no instrument",
            id="a shared instrument",
        ),
        pytest.param(
            OWN.replace("max_position = 0.5", "max_positon = 0.5"), "max_positon", id="misspelt"
        ),
        pytest.param(OWN.replace(f"capital = {CAPITAL}", ""), "add capital", id="no capital"),
        pytest.param(
            OWN.replace("derisk_drawdown = 0.004", "derisk_drawdown = 0.5"),
            "derisk_drawdown lies beyond",
            id="limits that do not fit one another",
        ),
    ],
)
def test_what_a_desk_cannot_have_is_named(tmp_path, text, message):
    with pytest.raises(BadSettings, match=message):
        load_settings(a_config(tmp_path, text))
