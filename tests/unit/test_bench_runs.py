"""The measurements run, at sizes that measure nothing: what they print is asked, no time is."""

import re

import pytest
from typer.testing import CliRunner

from bench import work
from bench.__main__ import app
from bench.engines import PEERS_ENV
from bench.figures import percentile, ratios, spread
from bench.process import BenchFailed, run


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """What one section prints; no peer is there, and nothing is kept in the project."""
    monkeypatch.setenv(PEERS_ENV, str(tmp_path / "no peers"))

    def section(name, bars):
        sizes = ["--bars", str(bars), "--runs", "1", "--cache", str(tmp_path / "cache")]
        result = CliRunner().invoke(app, ["--only", name, *sizes], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return section


@pytest.mark.parametrize(
    ("section", "bars", "row"),
    [
        pytest.param("orders", 60, r"bar taken to venue\.submit +│ +\d", id="orders"),
        pytest.param(
            "start-up", 60, r"there \(warm\) +│ +\d", id="start-up", marks=pytest.mark.soak
        ),
        pytest.param("execution", 60, r"to its last byte sent +│ +\d", id="execution"),
        pytest.param("parts", 200, r"bar to snapshot.* +│ +\d", id="parts"),
        pytest.param("risk", 200, r"judgement, every rule on +│ +\d", id="risk"),
        pytest.param("store", 60, r"one bar put, p50: ms +│ +\d", id="store"),
        pytest.param("feed", 900, r"to committed rows.* +│ +\d", id="feed", marks=pytest.mark.soak),
        pytest.param("history", 900, r"gap filler, the venue's bars, rows +│ +\d", id="history"),
    ],
)
def test_a_section_prints_its_figures(measured, section, bars, row):
    assert re.search(row, measured(section, bars))


@pytest.mark.usefixtures("shared_data")
def test_replays_are_compared_and_memory_is_watched(measured):
    compared = measured("replay", 3_000)
    assert re.search(r"│ sextant +│ open +│ +\d", compared)
    assert "a peer is missing; to have it: python3.11 -m venv" in compared
    assert re.search(r"│ 600 +│ 5,970 +│ +\d", measured("memory", 3_000))


def test_without_the_shared_folder_a_section_says_that_it_is_skipped(
    measured, tmp_path, monkeypatch
):
    monkeypatch.setattr(work, "SCRIPTS", tmp_path / "nowhere")
    assert "replay: skipped, no " in measured("replay", 3_000)


@pytest.mark.parametrize(
    ("equity", "sells", "right"),
    [
        pytest.param("100.0000005", 2, True, id="a float's last digits"),
        pytest.param("100.000002", 2, False, id="another equity"),
        pytest.param("100", 1, False, id="another number of trades"),
    ],
)
def test_a_wrong_result_has_no_speed(equity, sells, right):
    wanted = work.outcome({"equity": "100", "buys": 2, "sells": 2})
    answer = {"equity": equity, "buys": 2, "sells": sells, "bars_per_s": 1e9}
    if right:
        work.require_right("an engine", answer, wanted)
        return
    with pytest.raises(BenchFailed, match="an engine: no speed for a wrong result"):
        work.require_right("an engine", answer, wanted)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("raise SystemExit(3)", "exit 3", id="it fails"),
        pytest.param("print('done')", "no line of JSON", id="it answers nothing"),
    ],
)
def test_a_process_that_fails_has_no_figures(code, said):
    with pytest.raises(BenchFailed, match=said):
        run(["python3", "-c", code])


def test_no_key_reaches_what_is_measured(monkeypatch):
    for name in ("OPENAI_API_KEY", "OLLAMA_HOST", "SEXTANT_DATABASE_URL", "SEXTANT_OTHER"):
        monkeypatch.setenv(name, "there")
    names = "print(json.dumps({k: v for k, v in os.environ.items() if v == 'there'}))"
    assert run(["python3", "-c", f"import json, os; {names}"]).answer == {"SEXTANT_OTHER": "there"}


def test_figures_are_medians_with_their_range():
    assert spread([3.0, 1.0, 2.0]) == "2 (1-3)"
    assert spread([1234.5], ",.1f") == "1,234.5"
    assert ratios([4.0, 9.0], [2.0, 3.0]) == [2.0, 3.0]
    assert [percentile([5, 1, 4, 2, 3], share) for share in (0.0, 0.5, 1.0)] == [1, 3, 5]
