"""What `sextant limits` says of numbers, sources, and what binds."""

import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console
from typer.testing import CliRunner

from data.instrument import Notional
from risk.breaker import Halt, Marked, ModelFailed, OrderPlaced, TradingState, next_state
from risk.limits import RiskLimits
from risk.rulebook import BOOK
from sextant.cli import app
from sextant.limits import _SWITCHES, binding, in_words, is_on, numbers_of, render, sources_in
from sextant.settings import PROJECT, load_settings
from sextant.settings_file import read_layers
from sextant.standing import Standing
from tests.builders_daemon import EAGER, a_config
from tests.builders_risk import BTC, FULL, LIMITS, NOW, a_state, a_trade, an_account

PAPER = PROJECT / "config" / "paper.toml"
REHEARSAL = PROJECT / "config" / "synthetic.toml"
SETTINGS = load_settings(REHEARSAL)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("[risk]\na = 1 # S0-19", {"a": "S0-19"}, id="behind the key"),
        pytest.param("[risk]\na = 1 # S\nb = 2", {"a": "S", "b": "S"}, id="the key before it"),
        pytest.param("[risk]\na = 1 # S\n\nb = 2", {"a": "S", "b": ""}, id="another paragraph"),
        pytest.param('[risk]\na = "# no" # S', {"a": "S"}, id="a string has no comment"),
        pytest.param('[risk]\na = "# no"', {"a": ""}, id="a string alone"),
        pytest.param("[risk]\na = [ # S\n  1,\n]", {"a": "S"}, id="a list over lines"),
        pytest.param("[risk.t] # S\nx = 1 # T", {"t": "S"}, id="a table of its own"),
        pytest.param("[engine]\na = 1 # S", {}, id="another section"),
    ],
)
def test_where_a_number_comes_from(text, found):
    assert sources_in(text) == found


def test_every_number_has_a_source_in_the_complete_configuration():
    numbers = numbers_of(load_settings(PAPER).risk, read_layers(PAPER))
    assert set(numbers) == set(RiskLimits.model_fields)
    assert not [number.key for number in numbers.values() if not number.source]


def test_a_number_is_that_of_the_topmost_file(tmp_path):
    path = a_config(tmp_path, "[risk]\nmax_daily_loss = 0.04 # Ada\n")
    numbers = numbers_of(load_settings(path).risk, read_layers(path))
    said = {key: (in_words(n.value), n.file, n.source) for key, n in numbers.items()}
    assert said["max_daily_loss"] == ("0.04", path.name, "Ada")
    assert said["max_loss_streak"][:2] == ("50", "synthetic.toml")
    assert said["max_position"][:2] == ("0.2", "paper.toml")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(Decimal("0.050"), "0.05", id="a Decimal"),
        pytest.param(1.0, "1", id="a float"),
        pytest.param(True, "yes", id="a switch"),
        pytest.param(timedelta(minutes=5), "0:05:00", id="a time"),
        pytest.param(frozenset(), "none", id="no set"),
        pytest.param((), "none", id="no list"),
        pytest.param({BTC: Decimal("0.03")}, "BTC/USDT: 0.03", id="a table"),
        pytest.param(FULL.drawdown_leverage[:1], "drawdown 0.05, max_leverage 3", id="a step"),
    ],
)
def test_a_limit_in_words(value, text):
    assert in_words(value) == text


def test_what_can_be_off_is_on_with_its_numbers():
    everything = FULL.model_copy(update={"shadow": frozenset({"trend"})})
    assert [info.name for info in BOOK if not is_on(info, everything)] == []
    rows = {info.name: info for info in BOOK}
    for name, keys in _SWITCHES.items():
        off = everything.model_copy(update={key: type(getattr(everything, key))() for key in keys})
        assert not is_on(rows[name], off)
        assert set(keys) <= set(rows[name].limits)


def a_standing(state=None, equity="1000"):
    return Standing(at=NOW, state=state or a_state(), account=an_account(equity), desks={})


def after(*events):
    state = a_state()
    for event in events:
        state = next_state(state, event, LIMITS)
    return state


def marked(equity):
    return Marked(equity=Notional(Decimal(equity)), at=NOW)


LOSSES = [a_trade("-1")] * 3
DESK = SETTINGS.desk[0].strategy_id


@pytest.mark.parametrize(
    ("standing", "names"),
    [
        pytest.param(a_standing(), set(), id="nothing"),
        pytest.param(
            a_standing(after(marked("949")), "949"),
            {"trading_state", "daily_loss_limit", "alerts"},
            id="the day's loss",
        ),
        pytest.param(
            a_standing(after(marked("949"))), {"trading_state"}, id="the day's loss, made good"
        ),
        pytest.param(
            a_standing(after(Halt(by="Ada", why="looks", at=NOW))), {"trading_state"}, id="a halt"
        ),
        pytest.param(
            a_standing(after(OrderPlaced(symbol=BTC, at=NOW))), {"cool_down"}, id="a cool-down"
        ),
        pytest.param(
            a_standing(after(*[ModelFailed(strategy_id=DESK, at=NOW)] * 3)),
            {"model_failures"},
            id="a desk's pause",
        ),
        pytest.param(a_standing(after(*LOSSES)), {"trading_state", "cool_down"}, id="three losses"),
        pytest.param(
            a_standing(replace(a_state(), spike_until={BTC: NOW + timedelta(minutes=1)})),
            {"volatility_spike"},
            id="a spike",
        ),
        pytest.param(
            a_standing(a_state("1120"), "1000"),
            {"trading_state", "daily_loss_limit", "weekly_loss_limit", "day_drawdown_limit"}
            | {"alerts", "derisk"},
            id="a drawdown",
        ),
    ],
)
def test_what_binds_now(standing, names):
    bound = binding(standing, SETTINGS)
    assert set(bound) == names
    assert all(bound.values())


def test_a_cool_down_names_its_symbol_and_its_end():
    text = binding(a_standing(after(OrderPlaced(symbol=BTC, at=NOW))), SETTINGS)["cool_down"]
    assert text.startswith("BTC/USDT: ")
    assert text.endswith((NOW + timedelta(minutes=5)).isoformat())


@pytest.mark.parametrize("standing", [None, a_standing(after(marked("949")), "949")])
def test_the_tables_fit_into_a_hundred_columns(standing):
    shown = io.StringIO()
    numbers = numbers_of(SETTINGS.risk, read_layers(REHEARSAL))
    Console(file=shown, width=100).print(render(SETTINGS, numbers, standing))
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in shown.getvalue()
    words = {word for line in lines for word in line.split()}
    assert {info.name for info in BOOK} | set(RiskLimits.model_fields) <= words
    headline = " ".join(lines[:3])
    assert ("nothing is on record" in headline) == (standing is None)
    assert ("trading is reducing (daily_loss_limit)" in headline) == (standing is not None)


def test_before_the_first_run_nothing_is_on_record(tmp_path, monkeypatch):
    monkeypatch.setenv("SEXTANT_DATABASE_URL", "")
    config = a_config(tmp_path, "")
    ended = CliRunner().invoke(app, ["limits", "--config", str(config)])
    assert ended.exit_code == 0
    assert "nothing is on record yet" in ended.output
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("missing", ["--by", "--why"])
def test_nobody_resumes_without_a_name_and_a_reason(missing, tmp_path):
    given = {"--by": "Ada", "--why": "looked"} | {missing: " "}
    config = a_config(tmp_path, "")
    words = [word for pair in given.items() for word in pair]
    ended = CliRunner().invoke(app, ["resume", *words, "--config", str(config)])
    assert ended.exit_code == 2


@pytest.mark.parametrize(
    ("halted", "trading"),
    [
        pytest.param(None, "nothing is on record yet", id="before the first run"),
        pytest.param("drawdown_limit", "halted: drawdown_limit", id="halted"),
    ],
)
def test_a_desk_with_numbers_of_its_own_is_shown_with_them(tmp_path, halted, trading):
    own = "    capital = 3000\n    limits = { max_drawdown = 0.004, derisk_drawdown = 0.004 }"
    text = EAGER.replace('strategy_id = "chance-btc"', f'strategy_id = "chance-btc"\n{own}')
    config = a_config(tmp_path, text)
    settings = load_settings(config)
    state = replace(a_state(), trading=TradingState.HALTED, reason=halted or "")
    standing = replace(a_standing(), desks={"chance-btc": state}) if halted else None
    shown = io.StringIO()
    numbers = numbers_of(settings.risk, read_layers(config))
    Console(file=shown, width=100).print(render(settings, numbers, standing))
    row = " ".join(shown.getvalue().partition("Desks with a part")[2].split())
    assert "chance-btc 3000 max_drawdown = 0.004" in row
    assert trading in row
    assert "chance-xrp" not in row
