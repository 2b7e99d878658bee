"""What a person at the command line is told, in a process of its own as a person starts it."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REHEARSAL = ROOT / "config" / "synthetic.toml"
HEADER = "ts,open,high,low,close,volume\n"


def sextant(*arguments, **environment):
    """Run the program; returns its exit code and all that it said."""
    done = subprocess.run(
        [sys.executable, "-m", "sextant", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def a_config(folder, text):
    path = folder / "mine.toml"
    path.write_text(f'extends = "{REHEARSAL}"\n{text}')
    return path


@pytest.mark.parametrize("verb", ["run", "replay", "audit", "check"])
def test_every_verb_has_help(verb):
    code, said = sextant(verb, "--help")
    assert code == 0
    assert "--config" in said


def test_the_program_alone_shows_its_verbs():
    _, said = sextant()
    for verb in ("run", "replay", "audit", "check"):
        assert verb in said


@pytest.mark.req("S1-13")
def test_check_finds_the_rehearsal_in_order_and_names_the_stand_ins():
    code, said = sextant("check", "--config", REHEARSAL, OPENAI_API_KEY="")
    assert code == 0
    assert "seat gpt: OPENAI_API_KEY is not set; the baseline 'ema_cross' stands in" in said


@pytest.mark.parametrize(
    ("market", "is_told"),
    [
        pytest.param('source = "kraken"\ntimeframe = "1m"\n', True, id="no order books"),
        pytest.param(
            'source = "kraken"\ntimeframe = "1m"\nbook_depth = 10\n', False, id="order books"
        ),
    ],
)
def test_check_tells_that_paper_fills_from_bars(tmp_path, market, is_told):
    code, said = sextant(
        "check", "--config", a_config(tmp_path, f'mode = "paper"\n[market]\n{market}')
    )
    assert code == 0
    assert ("paper fills from closed bars" in said) is is_told


def test_check_tells_a_key_that_is_set_without_showing_it():
    code, said = sextant("check", "--config", REHEARSAL, OPENAI_API_KEY="sk-secret-value")
    assert code == 0
    assert "OPENAI_API_KEY is set" in said
    assert "sk-secret" not in said


@pytest.mark.req("S1-9")
@pytest.mark.parametrize(
    ("config", "key", "code", "told"),
    [
        pytest.param("live", "", 1, "kraken: KRAKEN_API_KEY is not set", id="without its key"),
        pytest.param("live", "a-secret", 1, "kraken: KRAKEN_API_KEY is set", id="with it"),
        pytest.param("live", "a-secret", 1, "is not base64", id="with one that is none"),
        pytest.param("rehearsal", "", 0, "at an exchange of our own", id="its own exchange"),
        pytest.param("rehearsal-apart", "", 1, "KRAKEN_API_KEY is not set", id="another process"),
    ],
)
def test_check_looks_for_the_keys_of_the_venue(config, key, code, told):
    keys = dict.fromkeys(("KRAKEN_API_KEY", "KRAKEN_API_SECRET"), key)
    found, said = sextant("check", "--config", ROOT / "config" / f"{config}.toml", **keys)
    assert found == code
    assert told in said
    assert "a-secret" not in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("[risk]\nmax_drawdwn = 0.2\n", "risk.max_drawdwn: no such key", id="a typo"),
        pytest.param("[panel]\ndeadline_s = -1\n", "panel.deadline_s", id="out of range"),
        pytest.param("[risk\n", "not TOML", id="not TOML"),
        pytest.param(
            '[market]\nsource = "moon"\ntimeframe = "1m"\n', "market", id="no such source"
        ),
    ],
)
def test_a_bad_configuration_is_said_in_words(tmp_path, text, told):
    code, said = sextant("check", "--config", a_config(tmp_path, text))
    assert code != 0
    assert told in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("postgresql://somebody:hidden-word", id="no host"),
        pytest.param("postgresql://somebody:hidden-word@localhost:port/db", id="no port"),
        pytest.param("mysql://somebody:hidden-word@localhost/db", id="another database"),
    ],
)
def test_an_address_that_is_none_is_said_in_words_and_not_repeated(tmp_path, address):
    config = a_config(tmp_path, f'[storage]\nfolder = "{tmp_path / "state"}"\n')
    code, said = sextant("run", "--no-view", "--config", config, SEXTANT_DATABASE_URL=address)
    assert code == 1
    assert "sextant: database: " in said
    assert "hidden-word" not in said
    assert "Traceback" not in said


def test_a_missing_configuration_is_said_in_words():
    code, said = sextant("run", "--config", "nowhere.toml")
    assert code == 2
    assert "nowhere.toml: cannot be read" in said


def test_a_file_that_was_cut_short_is_said_in_words(tmp_path):
    rows = "".join(f"{60 * i},100,101,99,{100 + i % 2},{i}\n" for i in range(3000))
    path = tmp_path / "BTCUSDT_1m.csv.gz"
    path.write_bytes(gzip.compress((HEADER + rows).encode())[:-500])
    code, said = sextant("replay", path, "--config", REHEARSAL, "--out", tmp_path / "out")
    assert code == 1
    assert f"sextant: {path}: damaged gzip" in said


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        pytest.param("BTCUSDT_1m.csv", "", "empty", id="empty"),
        pytest.param("BTCUSDT_1m.csv", "a,b\n1,2\n", "header", id="another header"),
        pytest.param("BTCUSDT_1m.csv.gz", HEADER, "gzip", id="not gzip"),
        pytest.param(
            "bars.csv", HEADER, "its name tells no symbol", id="a name that tells nothing"
        ),
        pytest.param("DOGEUSDT_1m.csv", HEADER, "DOGE/USDT", id="a pair that is not traded"),
        pytest.param("BTCUSDT_5m.csv", HEADER, "5m", id="another timeframe"),
        pytest.param("BTCUSDT_1m.csv", HEADER, "no bar", id="no bar at all"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_said_in_words(tmp_path, name, content, told):
    (tmp_path / name).write_text(content)
    code, said = sextant(
        "replay", tmp_path / name, "--config", REHEARSAL, "--out", tmp_path / "out"
    )
    assert code == 1
    assert told in said
    assert "Traceback" not in said


def test_a_file_that_is_not_there_is_said_in_words(tmp_path):
    code, said = sextant("replay", tmp_path / "BTCUSDT_1m.csv", "--config", REHEARSAL)
    assert code == 1
    assert "BTCUSDT_1m.csv: No such file" in said
    assert "Traceback" not in said


def test_a_replay_leaves_a_report_and_a_journal_that_can_be_audited(tmp_path):
    rows = [
        f"{1_700_000_040 + 60 * i},{100 + i % 7},{108 + i % 7},99,{101 + i % 7},5\n"
        for i in range(300)
    ]
    (tmp_path / "BTCUSDT_1m.csv").write_text(HEADER + "".join(rows))
    out = tmp_path / "out"
    code, said = sextant(
        "replay", tmp_path / "BTCUSDT_1m.csv", "--config", REHEARSAL, "--out", out, "--all-records"
    )
    assert code == 0, said
    assert {"report.html", "report.json", "journal.jsonl"} <= {p.name for p in out.iterdir()}
    code, said = sextant("audit", "--journal", out / "journal.jsonl", "--export", tmp_path / "x")
    assert code == 0, said
    assert "sound" in said
    assert (tmp_path / "x" / "bar" / "date=2023-11-14" / "bar.jsonl").is_file()


def test_a_journal_without_bars_is_not_called_unsound(tmp_path):
    rows = [f"{1_700_000_040 + 60 * i},{100 + i},{108 + i},99,{101 + i},5\n" for i in range(120)]
    (tmp_path / "BTCUSDT_1m.csv").write_text(HEADER + "".join(rows))
    out = tmp_path / "out"
    sextant("replay", tmp_path / "BTCUSDT_1m.csv", "--config", REHEARSAL, "--out", out)
    code, said = sextant("audit", "--journal", out / "journal.jsonl")
    assert code == 1
    assert "no bar is on record" in said
    assert "--all-records" in said
    assert "NOT SOUND" not in said


def test_an_audit_finds_a_journal_that_was_touched(tmp_path):
    rows = [f"{1_700_000_040 + 60 * i},100,101,99,100,5\n" for i in range(120)]
    (tmp_path / "BTCUSDT_1m.csv").write_text(HEADER + "".join(rows))
    out = tmp_path / "out"
    sextant(
        "replay", tmp_path / "BTCUSDT_1m.csv", "--config", REHEARSAL, "--out", out, "--all-records"
    )
    journal = out / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"close":"100"', '"close":"101"', 1))
    code, said = sextant("audit", "--journal", journal)
    assert code == 1
    assert "Traceback" not in said
