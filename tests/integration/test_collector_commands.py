"""The collectors' commands as a person starts them."""

import asyncio
import importlib
import os
import sys
from pathlib import Path

import pytest

from data.collect.command import run
from sextant import cli

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "postgresql://nobody@127.0.0.1:1/none"
COMMANDS = [
    "data.collect.__main__",
    "data.kraken_db.gap_filler",
    "data.kraken_db.websocket_writer",
    "data.kraken_db.order_book",
    "data.kraken_db.private_trades",
    "data.kraken_db.csv_importer",
]


@pytest.fixture
def said(monkeypatch, capsys):
    """Runs a command in this process; its exit code, and all that it said."""
    for name in ("DATABASE_URL", "KRAKEN_API_KEY", "KRAKEN_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def start(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run(importlib.import_module(module).app)
        told = capsys.readouterr()
        return ended.value.code, told.out + told.err

    return start


@pytest.mark.req("S0-30", "S0-31", "S0-32", "S0-33")
@pytest.mark.parametrize("module", COMMANDS)
def test_every_collector_is_a_command_with_help(said, module):
    code, text = said(module, "--help")
    assert code == 0
    assert "--db-url" in text and "DATABASE_URL" in text


@pytest.mark.parametrize(
    ("module", "arguments", "told"),
    [
        pytest.param("data.kraken_db.gap_filler", [], "--db-url", id="no database"),
        pytest.param(
            "data.kraken_db.gap_filler", ["--db-url", NOBODY], "Connect call failed", id="away"
        ),
        pytest.param(
            "data.kraken_db.gap_filler",
            ["--db-url", NOBODY, "--symbols", "BTC/USDT,btc"],
            "write BASE/QUOTE",
            id="no symbol",
        ),
        pytest.param(
            "data.kraken_db.private_trades",
            ["--db-url", NOBODY],
            "KRAKEN_API_KEY and KRAKEN_API_SECRET not set",
            id="no keys",
        ),
        pytest.param(
            "data.kraken_db.csv_importer",
            ["XBTUSDT_1.csv", "--db-url", NOBODY],
            "Connect call failed",
            id="import without a database",
        ),
        pytest.param(
            "data.kraken_db.csv_importer",
            ["none.zip", "--db-url", NOBODY],
            "none.zip: No such file",
            id="no archive",
        ),
        pytest.param(
            "data.collect.__main__",
            ["--exchange", "mtgox", "--db-url", NOBODY],
            "mtgox",
            id="no exchange",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(said, module, arguments, told):
    code, text = said(module, *arguments)
    assert code != 0
    assert told in text


async def test_an_import_in_a_process_of_its_own(postgres, pool, tmp_path):
    file = tmp_path / "XBTUSDT_1.csv"
    file.write_text("1709251200,10,12,9,11,1.5,3\n1709251320,11,13,10,12,2,1\nnot a row\n")
    for told in ("XBTUSDT_1.csv:3: malformed", "in the store already"):
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "data.kraken_db.csv_importer", str(file),
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200", "DATABASE_URL": postgres},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        text, _ = await done.communicate()
        assert done.returncode == 0 and told in text.decode()
    assert await pool.fetchval("SELECT count(*) FROM bars") == 3


@pytest.mark.req("S1-28")
def test_the_daemons_command_line_looks_after_data(monkeypatch, capsys, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(
        f'extends = "{ROOT / "config/paper.toml"}"\n[storage]\nfolder = "{tmp_path / "state"}"\n'
    )
    monkeypatch.delenv("SEXTANT_DATABASE_URL", raising=False)
    codes, said = [], ""
    for verb in (["status"], ["check"], ["status", "--json"], ["import", tmp_path]):
        arguments = ["sextant", "data", *verb, "--config", config]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        codes.append(ended.value.code)
        told = capsys.readouterr()
        said += told.out + told.err
    assert codes == [0, 1, 0, 1]
    assert "nothing is kept yet" in said and '"bars": []' in said
    assert "kraken BTC/USDT: no bar is kept; start the daemon" in said
    assert "nothing to import in" in said
    assert not (tmp_path / "state").exists()
