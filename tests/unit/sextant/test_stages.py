"""The stages: every condition at exactly its limit, and what counts as the same."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from risk.limits import RiskLimits
from sextant.facts import BarSeen, codec
from sextant.settings import BadSettings, Settings, load_settings
from sextant.stage_record import Uptime
from sextant.stage_settings import ExitTestSettings, Mode
from sextant.stages import (
    BOUNDS,
    PHRASE,
    Figures,
    NotCleared,
    bounds_of,
    changed,
    confirmations,
    exit_test,
    loosened,
    require_cleared,
    require_met,
    rules_changed,
    strategy_of,
)
from tests.builders_daemon import ROOT
from tests.builders_evaluation import a_bar
from tests.builders_stages import BTC, MINUTE, SECOND, START, a_clearance, a_stage, prompts_of

DAY = timedelta(days=1)
ASKED = load_settings(ROOT / "config" / "live.toml").live.exit_test
PASSED = Figures(
    span=14 * DAY,
    trades=50,
    sharpe=1.001,
    max_drawdown=0.149,
    wins=0.451,
    uptime=0.991,
    errors=0.009,
)


def unmet(figures, asked=ASKED):
    return [c.name for c in exit_test(figures, asked, Mode.PAPER) if not c.is_met]


@pytest.mark.req("S0-6")
def test_what_is_shipped_asks_for_what_the_parameters_say():
    assert (
        ExitTestSettings(
            min_span=14 * DAY,
            min_trades=50,
            sharpe_above=1.0,
            drawdown_below=0.15,
            wins_above=0.45,
            uptime_above=0.99,
            errors_below=0.01,
        )
        == ASKED
    )
    assert load_settings(ROOT / "config" / "micro.toml").live.micro_capital == 100


@pytest.mark.req("S0-6")
@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        pytest.param({}, None, id="all just met"),
        pytest.param({"span": 14 * DAY - SECOND}, "length", id="a second short"),
        pytest.param({"trades": 49}, "closed trades", id="a trade short"),
        pytest.param({"sharpe": 1.0}, "Sharpe (daily, 365)", id="Sharpe at its limit"),
        pytest.param({"sharpe": None}, "Sharpe (daily, 365)", id="no Sharpe"),
        pytest.param({"sharpe": float("nan")}, "Sharpe (daily, 365)", id="Sharpe not a number"),
        pytest.param({"max_drawdown": 0.15}, "drawdown at most", id="drawdown at its limit"),
        pytest.param({"max_drawdown": None}, "drawdown at most", id="no drawdown"),
        pytest.param({"wins": 0.45}, "trades won", id="wins at their limit"),
        pytest.param({"wins": None}, "trades won", id="no wins"),
        pytest.param({"uptime": 0.99}, "uptime", id="uptime at its limit"),
        pytest.param({"uptime": None}, "uptime", id="no uptime"),
        pytest.param({"errors": 0.01}, "decisions failed", id="errors at their limit"),
        pytest.param({"errors": None}, "decisions failed", id="no decision"),
    ],
)
def test_each_criterion_at_its_limit(changes, fails):
    assert unmet(replace(PASSED, **changes)) == ([] if fails is None else [fails])


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        pytest.param({}, ["SEXTANT_LIVE", "SEXTANT_STAGE"], id="nothing said"),
        pytest.param({"SEXTANT_LIVE": PHRASE}, ["SEXTANT_STAGE"], id="the phrase alone"),
        pytest.param({"SEXTANT_STAGE": "live"}, ["SEXTANT_LIVE"], id="the stage alone"),
        pytest.param(
            {"SEXTANT_LIVE": PHRASE.lower(), "SEXTANT_STAGE": "live"}, ["SEXTANT_LIVE"], id="almost"
        ),
        pytest.param(
            {"SEXTANT_LIVE": f"{PHRASE} ", "SEXTANT_STAGE": "live"}, ["SEXTANT_LIVE"], id="a space"
        ),
        pytest.param(
            {"SEXTANT_LIVE": PHRASE, "SEXTANT_STAGE": "micro"},
            ["SEXTANT_STAGE"],
            id="another stage",
        ),
        pytest.param({"SEXTANT_LIVE": PHRASE, "SEXTANT_STAGE": "live"}, [], id="both"),
    ],
)
def test_a_person_says_it_twice_and_exactly(environment, missing):
    told = confirmations(Mode.LIVE, environment)
    assert [c.name for c in told if not c.is_met] == missing
    assert not any(
        "hunter2" in c.observed for c in confirmations(Mode.LIVE, {"SEXTANT_LIVE": "hunter2"})
    )


def test_a_refusal_names_every_condition_and_its_remedy():
    criteria = exit_test(replace(PASSED, trades=0, wins=None), ASKED, Mode.PAPER)
    with pytest.raises(NotCleared) as refused:
        require_met(Mode.MICRO, criteria)
    text = str(refused.value)
    assert "2 of 7 conditions of mode 'micro' are not met; nothing was sent" in text
    assert "closed trades: 0; wanted at least 50: let the paper account run on" in text
    assert "trades won: undefined; wanted above 45.00%" in text


def test_nothing_looked_at_is_nothing_passed():
    with pytest.raises(NotCleared):
        require_met(Mode.LIVE, ())


@pytest.mark.req("S0-6")
def test_no_stage_is_skipped():
    assert [mode.before for mode in Mode] == [
        Mode.REHEARSAL,
        Mode.REHEARSAL,
        Mode.PAPER,
        Mode.MICRO,
    ]
    assert [mode.is_real for mode in Mode] == [False, False, True, True]


def test_a_house_of_real_money_opens_only_for_what_was_cleared(tmp_path):
    micro, live = a_stage(tmp_path, "micro"), a_stage(tmp_path, "live")
    require_cleared(a_stage(tmp_path, "paper"), None)
    require_cleared(micro, a_clearance(micro))
    for settings, cleared in (
        (micro, None),
        (live, a_clearance(micro)),
        (micro, a_clearance(live)),
    ):
        with pytest.raises(NotCleared, match="was not cleared"):
            require_cleared(settings, cleared)


def test_bounds_are_limits_of_which_less_is_safer():
    assert set(BOUNDS) <= set(RiskLimits.model_fields)
    assert all(key.startswith("max_") for key in BOUNDS)


def test_capital_is_no_part_of_what_decides_and_everything_else_of_a_desk_is(tmp_path):
    paper, micro = a_stage(tmp_path, "paper"), a_stage(tmp_path, "micro")
    prompts = prompts_of(paper)
    assert changed(strategy_of(micro, prompts), strategy_of(paper, prompts)) == []
    assert rules_changed(micro.risk, paper.risk) == []
    assert loosened(bounds_of(micro), bounds_of(paper)) == []
    assert strategy_of(paper, prompts) != strategy_of(paper, {**prompts, "voters/trend": "another"})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("[desk.strategy]\nfast = 5\n", None, id="a list of desks is replaced whole"),
        pytest.param('[news]\nmax_age = "PT1H"\n', ["news"], id="the news"),
        pytest.param("[risk]\nmin_reward_risk = 1.0\n", ["risk.min_reward_risk"], id="a rule"),
        pytest.param("[risk]\ntaker_fee = 0.001\n", [], id="the venue's own fee"),
        pytest.param("[risk]\nmax_position = 0.1\n", [], id="a lower bound"),
        pytest.param(
            "[risk]\nmax_position = 0.3\n", ["risk.max_position 0.3 above 0.2"], id="a higher bound"
        ),
    ],
)
def test_what_differs_from_the_record_is_named(tmp_path, text, named):
    if named is None:
        other = a_stage(tmp_path, "paper").model_copy()
        (desk,) = other.desk
        faster = desk.model_copy(update={"strategy": desk.strategy.model_copy(update={"fast": 5})})
        other, named = other.model_copy(update={"desk": (faster,)}), ["desk[crosses]"]
        ours = a_stage(tmp_path, "micro")
    else:
        other = a_stage(tmp_path, "paper")
        ours = a_stage(tmp_path, "micro", text)
    prompts = prompts_of(ours)
    found = [
        *changed(strategy_of(ours, prompts), strategy_of(other, prompts)),
        *rules_changed(ours.risk, other.risk),
        *loosened(bounds_of(ours), bounds_of(other)),
    ]
    assert found == named


def test_leverage_at_the_venue_is_a_bound(tmp_path):
    assert bounds_of(a_stage(tmp_path, "paper"))["leverage BTC/USDT"] == 3
    two = a_stage(tmp_path, "micro", '[venue]\nleverage = { "BTC/USDT" = 2 }\n')
    assert bounds_of(two)["leverage BTC/USDT"] == 2


@pytest.mark.parametrize(
    ("changes", "mode", "holds"),
    [
        pytest.param({}, Mode.LIVE, True, id="the same"),
        pytest.param({}, Mode.MICRO, True, id="a stage back"),
        pytest.param({"stage": Mode.MICRO}, Mode.LIVE, False, id="a stage on"),
        pytest.param({"strategy": {}}, Mode.LIVE, False, id="another strategy"),
        pytest.param({"bounds": {}}, Mode.LIVE, False, id="bounds that nobody knew"),
        pytest.param(
            {"bounds": {"risk.max_position": Decimal(1)}}, Mode.LIVE, True, id="lower now"
        ),
        pytest.param(
            {"bounds": {"risk.max_position": Decimal("0.1")}}, Mode.LIVE, False, id="higher now"
        ),
    ],
)
def test_a_clearance_holds_for_what_has_not_changed(tmp_path, changes, mode, holds):
    settings = a_stage(tmp_path, "live")
    cleared = a_clearance(settings)
    if changes.get("bounds"):
        changes = {"bounds": {**cleared.bounds, **changes["bounds"]}}
    before = replace(cleared, **changes)
    assert before.holds_for(mode, cleared.strategy, cleared.bounds) is holds


def test_a_clearance_reads_back_from_the_journal(tmp_path):
    cleared = a_clearance(a_stage(tmp_path, "micro"))
    topic, body = codec().encode(cleared)
    assert codec().decode(topic, body) == cleared


REAL = '[market]\nsource = "binanceusdm_testnet"\ntimeframe = "1m"\n'
PERPETUAL = """
[venue]
kind = "{kind}"
leverage = {{ "BTC/USDT" = 2 }}
receive_window = "PT5S"
[allocation]
enabled = false
[venue.dead_man]
deadline = "PT1M"
renew_every = "PT20S"
"""
HYPERLIQUID = """
[market]
source = "hyperliquid"
timeframe = "1m"
[venue]
kind = "hyperliquid"
testnet = {testnet}
leverage = {{ "BTC/USDT" = 2 }}
slippage = 0.01
stop_slippage = 0.05
order_deadline = "PT5S"
[allocation]
enabled = false
[venue.dead_man]
deadline = "PT1M"
renew_every = "PT20S"
"""


@pytest.mark.req("S0-6")
@pytest.mark.parametrize(
    ("base", "text", "named"),
    [
        pytest.param("live", "", None, id="live as shipped"),
        pytest.param("micro", "", None, id="micro as shipped"),
        pytest.param("live", 'mode = "paper"', "sends orders", id="a live venue in paper"),
        pytest.param("live", 'mode = "rehearsal"', "needs market.source", id="in a rehearsal"),
        pytest.param(
            "paper", 'mode = "live"', "name the account's exchange", id="live on a paper venue"
        ),
        pytest.param("paper", 'mode = "live"', "live: missing", id="live without conditions"),
        pytest.param(
            "live",
            '[market]\nsource = "hyperliquid"\ntimeframe = "1m"',
            "go by its own prices",
            id="other prices",
        ),
        pytest.param(
            "live", '[market.urls]\npublic = "http://x"', "market.urls", id="a server of its own"
        ),
        pytest.param(
            "live",
            '[venue]\norder_deadline = "PT1M"',
            "engine.lost_after: 0:00:10 is too short",
            id="given up before it can no longer arrive",
        ),
        pytest.param("live", 'mode = "micro"', "capital: missing", id="micro without capital"),
        pytest.param(
            "micro", "[live]\nmicro_capital = 99", "100 in all", id="more capital than micro has"
        ),
        pytest.param(
            "paper", REAL + PERPETUAL.format(kind="binanceusdm_testnet"), None, id="a testnet"
        ),
        pytest.param(
            "paper", PERPETUAL.format(kind="binanceusdm_testnet"), "its own prices", id="mixed"
        ),
        pytest.param("paper", HYPERLIQUID.format(testnet="true"), None, id="another testnet"),
        pytest.param("paper", HYPERLIQUID.format(testnet="false"), "sends orders", id="no testnet"),
        pytest.param(
            "live",
            REAL + PERPETUAL.format(kind="binanceusdm_testnet"),
            "trades real money",
            id="live on a testnet",
        ),
    ],
)
def test_real_money_goes_to_an_exchange_in_its_own_mode_only(tmp_path, base, text, named):
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "{ROOT / "config" / base}.toml"\n{text}')
    if named is None:
        assert load_settings(path)
        return
    with pytest.raises(BadSettings, match=named):
        load_settings(path)


def seen(minute, late=SECOND):
    bar = replace(a_bar(1), closed_at=START + minute * MINUTE)
    return BarSeen(at=bar.closed_at + late, bar=bar)


@pytest.mark.parametrize(
    ("bars", "share"),
    [
        pytest.param([], None, id="no bar"),
        pytest.param([seen(1)], 1.0, id="one bar"),
        pytest.param([seen(1), seen(2), seen(4)], 0.75, id="one that never came"),
        pytest.param([seen(1), seen(2, late=MINUTE)], 1.0, id="as late as may be"),
        pytest.param([seen(1), seen(2, late=MINUTE + SECOND)], 0.5, id="too late"),
        pytest.param([seen(1), seen(1), seen(2)], 1.0, id="one that came twice"),
        pytest.param([seen(-1), seen(0), seen(1)], 1.0, id="from before the run"),
    ],
)
def test_uptime_is_the_share_of_the_bars_due_that_were_in_time(tmp_path, bars, share):
    uptime = Uptime(a_stage(tmp_path, "paper"), START)
    for bar in bars:
        uptime.see(bar)
    assert uptime.share == share


def test_a_symbol_that_never_came_was_due_too(tmp_path):
    settings = a_stage(tmp_path, "paper")
    (desk,) = settings.desk
    both = desk.model_copy(update={"instruments": (BTC, "XRP/USDT")})
    uptime = Uptime(settings.model_copy(update={"desk": (both,)}), START)
    for minute in (1, 2):
        uptime.see(seen(minute))
    assert uptime.share == 0.5
    assert uptime.span == MINUTE


@pytest.mark.req("S0-36")
def test_nothing_is_kept_where_a_stop_could_sell_it():
    shown = load_settings(ROOT / "config" / "live.toml").model_dump(mode="json")
    assert Settings.model_validate(shown).allocation.enabled
    del shown["venue"]["leverage"]["XRP/USDT"]
    with pytest.raises(ValidationError, match="desks trade XRP/USDT on spot"):
        Settings.model_validate(shown)
