"""The configuration: what is wrong with it is said with the file, the key and what is allowed."""

import ast
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from agents.council.baselines import BASELINES
from data.instrument import Symbol
from sextant.paper_settings import PaperVenueSettings
from sextant.settings import PROJECT, Settings, load_settings, secret
from sextant.settings_file import BadSettings, merged, read_layers
from sextant.stage_settings import Mode

ROOT = Path(__file__).resolve().parents[3]
COMPLETE = ROOT / "config" / "paper.toml"
SHIPPED = sorted([*(ROOT / "config").glob("*.toml"), *(ROOT / "bench").glob("*.toml")])


def problems(folder, text):
    """What is said about a file that lays `text` over the complete configuration."""
    path = folder / "mine.toml"
    path.write_text(f'extends = "{COMPLETE}"\n{text}', encoding="utf-8")
    with pytest.raises(BadSettings) as caught:
        load_settings(path)
    return [problem.replace(str(path), "mine.toml") for problem in caught.value.problems]


def lines_of(table, **changes):
    """TOML of one table of the complete configuration's lists, changed; None takes a key out."""
    values = {**table, **changes}
    return "\n".join(f"{k} = {_toml(v)}" for k, v in values.items() if v is not None)


def _toml(value):
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
        case dict():
            return "{ " + ", ".join(f"'{k}' = {_toml(v)}" for k, v in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return str(value)


@pytest.fixture(scope="module")
def tables():
    return tomllib.loads(COMPLETE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_what_is_shipped_can_be_loaded(path):
    assert load_settings(path).desk


def test_a_first_run_needs_no_key():
    assert load_settings(ROOT / "config" / "synthetic.toml").mode is Mode.REHEARSAL


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "[risk]\nmax_drawdwn = 0.2",
            "mine.toml: risk.max_drawdwn: no such key; did you mean max_drawdown? allowed: ",
            id="misspelt",
        ),
        pytest.param("[moon]\nphase = 1", "mine.toml: moon: no such key; allowed: ", id="no table"),
        pytest.param(
            "[market]\nsource = 'kraken'\nseeds = 1",
            "mine.toml: market.seeds: no such key; did you mean seed? allowed: ",
            id="a key of another kind of market",
        ),
        pytest.param(
            "[market]\nsource = 'kraken'",
            None,
            id="nothing wrong",
        ),
        pytest.param(
            "[panel]\ndeadline_s = 'soon'",
            "mine.toml: panel.deadline_s: Input should be a valid number, unable to parse string "
            "as a number (given: 'soon')",
            id="a wrong type",
        ),
        pytest.param(
            "[evaluation]\nhorizon_bars = 1.5",
            "mine.toml: evaluation.horizon_bars: Input should be a valid integer, got a number "
            "with a fractional part (given: 1.5)",
            id="a fraction of a bar",
        ),
        pytest.param(
            "[evaluation]\nhold_band = inf",
            "mine.toml: evaluation.hold_band: Input should be a finite number (given: inf)",
            id="infinite",
        ),
        pytest.param(
            "[risk]\nmax_drawdown = 1.5",
            "mine.toml: risk.max_drawdown: Input should be less than or equal to 1 (given: 1.5)",
            id="out of range",
        ),
        pytest.param(
            "mode = 'casino'",
            "mine.toml: mode: Input should be 'rehearsal', 'paper', 'micro' or 'live' (given: "
            "'casino')",
            id="an unknown mode",
        ),
        pytest.param(
            "[market]\nsource = 'krakn'\ntimeframe = '1m'",
            "mine.toml: market: Input tag 'krakn' found using 'source' does not match any of the "
            "expected tags: 'synthetic', 'recorded', 'kraken', 'binanceusdm', "
            "'binanceusdm_testnet', 'hyperliquid'",
            id="an unknown market",
        ),
        pytest.param(
            "[market]\nsource = 'synthetic'\nseed = 1\nspeed = 1\ntimeframe = '1m'\n"
            "start = 2026-01-05T00:00:00",
            "mine.toml: market.start: datetime.datetime(2026, 1, 5, 0, 0) is not in UTC",
            id="a time without a zone",
        ),
        pytest.param(
            "[market]\nsource = 'synthetic'\nseed = -1\nspeed = 1\ntimeframe = '1m'\n"
            "start = 2026-01-05T00:00:00Z",
            "mine.toml: market.seed: Input should be greater than or equal to 0 (given: -1)",
            id="a seed below zero",
        ),
        pytest.param(
            "[market]\nsource = 'synthetic'\nseed = 1\nspeed = 1\ntimeframe = '1m'\n"
            "start = 2016-01-05T00:00:00Z",
            "mine.toml: market.start: the made-up market begins at 2020-01-01T00:00:00Z",
            id="before there was a market",
        ),
        pytest.param(
            "[market]\nsource = 'synthetic'\nseed = 1\nspeed = 1\ntimeframe = '5m'\n"
            "start = 2026-01-05T00:00:00Z",
            "mine.toml: market.timeframe: the made-up market has bars of 1m only (given: '5m')",
            id="bars that the made-up market has not",
        ),
        pytest.param(
            "[account]\nbalances = { USDT = -5 }",
            "mine.toml: account.balances.USDT: Input should be greater than or equal to 0",
            id="owing from the start",
        ),
        pytest.param(
            "[account]\ncurrency = 'EUR'",
            "mine.toml: account.balances: has no EUR, the account's currency",
            id="a currency without a balance",
        ),
        pytest.param(
            "[storage]\ndsn_env = 'postgresql://user:word@host/db'",
            "mine.toml: storage.dsn_env: String should match pattern '^[A-Z][A-Z0-9_]*$'",
            id="an address instead of a variable's name, which is not repeated",
        ),
    ],
)
def test_one_wrong_key_is_said_with_what_is_allowed(tmp_path, text, said):
    if said is None:
        path = tmp_path / "mine.toml"
        path.write_text(f'extends = "{COMPLETE}"\n{text}')
        assert load_settings(path)
        return
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(said)
    assert "word@host" not in problem


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"stand_in": "ema_croos"},
            "mine.toml: seat[{voter}].stand_in: 'ema_croos' is no baseline; allowed: "
            + ", ".join(BASELINES),
            id="no such baseline",
        ),
        pytest.param(
            {"prompt": "voters/moon"},
            f"mine.toml: seat[{{voter}}].prompt: {PROJECT / 'prompts'} has no voters/moon.md; "
            "allowed: ",
            id="no such prompt",
        ),
        pytest.param({"modl": "x"}, "mine.toml: seat[{voter}].modl: no such key; ", id="misspelt"),
        pytest.param(
            {"model": None}, "mine.toml: seat[{voter}].model: missing, and has no", id="missing"
        ),
        pytest.param(
            {"vendor": "openia"},
            "mine.toml: seat[{voter}]: Input tag 'openia' found using 'vendor' does not match any",
            id="no such vendor",
        ),
        pytest.param(
            {"api_key_env": "sk-the-key-itself"},
            "mine.toml: seat[{voter}]: api_key_env and host_env name an environment variable",
            id="a key instead of a variable's name",
        ),
    ],
)
def test_a_wrong_seat_is_said_by_its_name(tmp_path, tables, changes, said):
    seat = next(s for s in tables["seat"] if "api_key_env" in s)
    others = (s for s in tables["seat"] if s is not seat)
    text = "\n".join(f"[[seat]]\n{lines_of(s)}" for s in others)
    (problem,) = problems(tmp_path, f"{text}\n[[seat]]\n{lines_of(seat, **changes)}")
    assert problem.startswith(said.format(voter=seat["voter"]))
    assert "the-key-itself" not in problem


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"instruments": ["BTCUSDT"]},
            "desk[council].instruments[BTCUSDT]: 'BTCUSDT' is no symbol; write BASE/QUOTE, such as "
            "BTC/USDT (given: 'BTCUSDT')",
            id="a bad symbol",
        ),
        pytest.param(
            {"instruments": ["DOGE/USDT"]},
            "desk[council].instruments: DOGE/USDT is no [[instrument]]; allowed: BTC/USDT",
            id="a symbol that is not described",
        ),
        pytest.param(
            {"instruments": []}, "desk[council].instruments: Tuple should have", id="none"
        ),
        pytest.param(
            {"timeframe": "2m"}, "desk[council].timeframe: Input should be '1m', '5m'", id="no bar"
        ),
        pytest.param(
            {"overlays": ["1m"], "timeframe": "5m"},
            "desk[council].overlays: 1m is no longer than the desk's timeframe, 5m",
            id="an overlay that is not above",
        ),
        pytest.param(
            {"instruments": ["BTC/USDT", "BTC/USDT"]},
            "desk[council].instruments: something stands there twice",
            id="an instrument twice",
        ),
        pytest.param(
            {"overlays": ["4h", "4h"]},
            "desk[council].overlays: something stands there twice",
            id="an overlay twice",
        ),
        pytest.param(
            {"quorum": 7}, "desk[council].strategy.quorum: 7 valid ballots of 6", id="quorum"
        ),
        pytest.param(
            {"majority": 3}, "desk[council].strategy.majority: 3 of 6 seats", id="no majority"
        ),
        pytest.param(
            {"majority": 7}, "desk[council].strategy.majority: 7 of 6 seats", id="too large"
        ),
        pytest.param(
            {"kind": "magic"},
            "desk[council].strategy: Input tag 'magic' found using 'kind' does not match any of "
            "the expected tags: 'council', 'ema_cross', 'hold', 'seeded_random'",
            id="no such strategy",
        ),
    ],
)
def test_a_wrong_desk_is_said_by_its_name(tmp_path, tables, changes, said):
    desk = {**tables["desk"][0], "strategy_id": "council"}
    inner = {k: v for k, v in changes.items() if k in {"quorum", "majority", "kind"}}
    outer = {k: v for k, v in changes.items() if k not in inner}
    desk["strategy"] = {**desk["strategy"], **inner}
    told = problems(tmp_path, f"[[desk]]\n{lines_of(desk, **outer)}")
    assert any(problem.startswith(f"mine.toml: {said}") for problem in told), told


def test_an_instrument_stands_there_once(tmp_path, tables):
    first, *others = tables["instrument"]
    text = "\n".join(f"[[instrument]]\n{lines_of(i)}" for i in (first, first, *others))
    assert problems(tmp_path, text) == [
        "mine.toml: instrument.symbol: two instruments share one; each needs its own"
    ]


def test_a_list_whose_only_item_is_wrong_is_not_called_short(tmp_path, tables):
    (problem,) = problems(tmp_path, f"[[instrument]]\n{lines_of(tables['instrument'][0], tick=0)}")
    assert problem.startswith("mine.toml: instrument[BTC/USDT].tick: ")


def test_every_problem_is_told_at_once(tmp_path):
    told = problems(tmp_path, "mode = 'x'\n[risk]\nmax_drawdwn = 1\nmax_position = -1")
    assert len(told) == 3


@pytest.mark.parametrize("key", ["tiers", "book", "latency_ms", "maker_fee"])
def test_what_paper_fills_on_has_no_default(tmp_path, tables, key):
    kept = {name: value for name, value in tables["paper_venue"].items() if name != key}
    with pytest.raises(ValidationError, match=f"{key}\n  Field required"):
        PaperVenueSettings.model_validate(kept)


@pytest.mark.parametrize("volumes", [("2000", "1000"), ("1000", "1000")])
def test_fee_tiers_rise(tables, volumes):
    tiers = [{"volume": v, "maker_fee": "0.001", "taker_fee": "0.002"} for v in volumes]
    with pytest.raises(ValidationError, match="volumes rise"):
        PaperVenueSettings.model_validate(tables["paper_venue"] | {"tiers": tiers})


@pytest.mark.parametrize(
    ("source", "depth", "is_told"),
    [
        pytest.param("kraken", 10, True, id="a live exchange with order books"),
        pytest.param("kraken", None, False, id="one without"),
        pytest.param("synthetic", None, False, id="a made-up market"),
    ],
)
def test_paper_fills_from_books_where_it_is_told_of_them(source, depth, is_told):
    name = "synthetic" if source == "synthetic" else "paper"
    settings = load_settings(ROOT / "config" / f"{name}.toml")
    if source == "kraken":
        market = settings.market.model_copy(update={"book_depth": depth})
        settings = settings.model_copy(update={"market": market})
    assert (settings.paper_books is not None) is is_told


@pytest.mark.req("S1-213")
def test_a_limit_that_risks_money_has_no_default(tmp_path, tables):
    for key in tables["risk"]:
        without = {k: v for k, v in tables["risk"].items() if k != key}
        with pytest.raises(ValidationError) as caught:
            Settings.model_validate({**tables, "risk": without})
        assert {e["loc"][:2] for e in caught.value.errors()} == {("risk", key)}


def test_a_mistake_is_told_of_the_file_that_makes_it(tmp_path):
    (tmp_path / "base.toml").write_text(f'extends = "{COMPLETE}"\n[risk]\nmax_position = -1')
    (tmp_path / "top.toml").write_text('extends = "base.toml"\n[risk]\nmax_leverage = -1')
    with pytest.raises(BadSettings) as caught:
        load_settings(tmp_path / "top.toml")
    told = {problem.split(": ")[1]: problem.split(": ")[0] for problem in caught.value.problems}
    assert told == {
        "risk.max_position": str(tmp_path / "base.toml"),
        "risk.max_leverage": str(tmp_path / "top.toml"),
    }


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param({}, "cannot be read: No such file or directory; name it", id="no file"),
        pytest.param({"a.toml": "= 1"}, "not TOML: ", id="no TOML"),
        pytest.param({"a.toml": b"\xff"}, "not TOML: ", id="no text"),
        pytest.param(
            {"a.toml": "extends = 1"}, "extends: must be the name of a file", id="no name"
        ),
        pytest.param({"a.toml": "extends = 'a.toml'"}, "extends: it extends itself", id="itself"),
        pytest.param(
            {"a.toml": "extends = 'b.toml'", "b.toml": "extends = 'a.toml'"},
            "extends: it extends itself",
            id="in a circle",
        ),
        pytest.param({"a.toml": "extends = 'b.toml'"}, "b.toml: cannot be read", id="no base"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadSettings) as caught:
        load_settings(tmp_path / "a.toml")
    (problem,) = caught.value.problems
    assert said in problem
    assert str(tmp_path) in problem


@pytest.mark.parametrize(
    ("base", "top", "joined"),
    [
        pytest.param("a = 1\nb = 2", "b = 3", {"a": 1, "b": 3}, id="key by key"),
        pytest.param(
            "[t]\na = 1\n[t.u]\nb = 2",
            "[t.u]\nc = 3",
            {"t": {"a": 1, "u": {"b": 2, "c": 3}}},
            id="deep",
        ),
        pytest.param("[[l]]\na = 1\n[[l]]\na = 2", "[[l]]\na = 3", {"l": [{"a": 3}]}, id="lists"),
        pytest.param(
            "[m]\nsource = 'x'\na = 1",
            "[m]\nsource = 'y'",
            {"m": {"source": "y"}},
            id="another source replaces the table",
        ),
        pytest.param(
            "[m]\nsource = 'x'\na = 1",
            "[m]\nsource = 'x'\nb = 2",
            {"m": {"source": "x", "a": 1, "b": 2}},
            id="the same source joins it",
        ),
        pytest.param("t = 1", "[t]\na = 1", {"t": {"a": 1}}, id="a table in a number's place"),
    ],
)
def test_files_are_laid_over_each_other(tmp_path, base, top, joined):
    (tmp_path / "base.toml").write_text(base)
    (tmp_path / "top.toml").write_text(f"extends = 'base.toml'\n{top}")
    assert merged(read_layers(tmp_path / "top.toml")) == joined


def test_what_the_settings_say():
    settings = load_settings(ROOT / "config" / "synthetic.toml")
    assert set(settings.traded) <= set(settings.instruments)
    assert settings.state_folder == PROJECT / settings.storage.folder
    assert all(isinstance(s, Symbol) for s in settings.traded)
    assert isinstance(settings.risk.max_drawdown, Decimal)
    assert settings.market.start == datetime(2026, 1, 5, tzinfo=UTC)


def test_settings_cannot_be_changed():
    settings = load_settings(COMPLETE)
    with pytest.raises(ValidationError):
        settings.mode = Mode.REHEARSAL


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("word", "word", id="set"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="unset"),
    ],
)
def test_a_secret_comes_from_the_environment(monkeypatch, value, expected):
    monkeypatch.delenv("SOME_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_SECRET", value)
    assert secret("SOME_SECRET") == expected


def _models(annotation):
    """Every table of the configuration that `annotation` leads to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for part in get_args(annotation):
        yield from _models(part)


@cache
def _attributes_read():
    """Names read as attributes in the product, outside of the modules that declare settings."""
    read = set()
    for package in ("agents", "data", "execution", "risk", "src/sextant"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            read |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
            }
    return read


_ASKED_BY_TYPE = {"source", "kind", "vendor"}
"""Tags: they choose the model that is read, and `match` asks for that."""


@pytest.mark.parametrize(
    "model", sorted(set(_models(Settings)), key=lambda m: m.__name__), ids=lambda m: m.__name__
)
def test_every_key_is_read_by_code(model):
    unread = set(model.model_fields) - _attributes_read() - _ASKED_BY_TYPE
    assert not unread, f"{model.__name__}: nothing reads {', '.join(sorted(unread))}"


def test_every_table_of_the_configuration_refuses_keys_that_it_does_not_know():
    for model in set(_models(Settings)):
        assert model.model_config.get("extra") == "forbid", model
        assert model.model_config.get("frozen") is True, model


def test_the_same_settings_are_written_alike_whatever_sets_are_ordered_by():
    program = (
        "import sys; from pathlib import Path; from sextant.settings import load_settings; "
        "print(load_settings(Path(sys.argv[1])).model_dump_json())"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", program, ROOT / "config" / "paper.toml"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(written) == 1
