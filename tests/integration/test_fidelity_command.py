"""`sextant fidelity` on real recordings: Binance, Hyperliquid and Kraken."""

import json

import pytest
from typer.testing import CliRunner

from data.faults import Malformed
from sextant.cli import app
from sextant.fidelity.frames import NothingRecorded, read_tape
from sextant.settings import PROJECT

CONFIG = str(PROJECT / "config" / "paper.toml")
L2, CRYPTOFEED = "l2_binance_hyperliquid", "ws_captures_cryptofeed"
SPOT = (f"{L2}/binance_spot_btcusdt_20240808.jsonl.gz",)
HYPERLIQUID = (f"{L2}/hyperliquid_btc_20250126.jsonl.gz",)
SUSHI = (f"{CRYPTOFEED}/BINANCE_FUTURES.http.0.0.gz", f"{CRYPTOFEED}/BINANCE_FUTURES.ws.1.0.gz")
KRAKEN = (f"{CRYPTOFEED}/KRAKEN.ws.50.0.gz", f"{CRYPTOFEED}/KRAKEN.ws.48.0.gz")


def scores(shared_data, files, *options):
    """What the command prints for programs."""
    paths = [str(shared_data / file) for file in files]
    command = ["fidelity", *paths, "--config", CONFIG, "--json", *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def of(document, kind, rule):
    return {score["group"]: score for score in document[kind] if score["rule"] == rule}


@pytest.mark.parametrize(
    ("files", "options", "books", "trades"),
    [
        pytest.param(HYPERLIQUID, (), 46, 64, id="hyperliquid"),
        pytest.param(SUSHI, ("--symbol", "SUSHIUSDT"), 254, 40, id="binance USD-M"),
        pytest.param(KRAKEN, ("--symbol", "SC/EUR"), 819, 6, id="kraken, every checksum right"),
    ],
)
def test_paper_on_the_book_is_nearer_the_truth_than_simple_bots(
    shared_data, files, options, books, trades
):
    document = scores(shared_data, files, "--lifetime", "5", "--probes", "60", *options)
    assert (document["recording"]["books"], document["recording"]["trades"]) == (books, trades)
    ours = of(document, "market", "book and queue")
    for simple in ("last price + 0.1%", "a touch fills all"):
        for group, score in of(document, "market", simple).items():
            assert ours[group]["p50_error_bps"] <= score["p50_error_bps"]
    for score in of(document, "limit", "book and queue").values():
        assert score["false_fills"] == 0
        assert score["missed_fills"] <= 0.05 * score["probes"]  # their latency was another


def test_five_minutes_of_binance_tell_the_rules_apart(shared_data):
    document = scores(shared_data, SPOT, "--probes", "40")
    assert document["recording"]["books_known"] > document["recording"]["books"] > 3_000
    touch = {
        rule: of(document, "limit", rule)["at the touch"]
        for rule in ("book and queue", "one-minute bars", "a touch fills all")
    }
    queue = touch["book and queue"]
    assert queue["false_fills"] == 0
    assert queue["least_fill"] - 0.05 <= queue["predicted_fill"] <= queue["most_fill"] + 0.05
    assert touch["a touch fills all"]["false_fills"] >= 8
    assert touch["one-minute bars"]["false_fills"] >= 8


def test_the_same_seed_prints_the_same(shared_data):
    once, again = (scores(shared_data, HYPERLIQUID, "--probes", "20") for _ in range(2))
    assert once == again
    assert once != scores(shared_data, HYPERLIQUID, "--probes", "20", "--seed", "8")


def test_of_ten_markets_one_has_to_be_named(shared_data):
    paths = [shared_data / file for file in KRAKEN]
    with pytest.raises(NothingRecorded, match=r"--symbol: ADA/XBT, .*XMR/USD"):
        read_tape(paths, name=None, depth=20)


def test_frames_without_a_book_are_refused(shared_data):
    with pytest.raises(NothingRecorded, match="none"):
        read_tape([shared_data / "kraken_ws_v2" / "frames.jsonl"], name=None, depth=20)


def test_a_file_that_only_claims_to_be_packed_is_refused(tmp_path):
    path = tmp_path / "frames.jsonl.gz"
    path.write_text("1772452800000000000 {}\n")
    with pytest.raises(Malformed, match="not gzip"):
        read_tape([path], name=None, depth=20)
