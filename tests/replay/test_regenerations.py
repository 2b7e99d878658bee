"""A desk whose stops are too near is sent back once for each entry, and the audit agrees."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from data.feeds.synthetic import SyntheticMarket
from sextant.auditor import Auditor
from sextant.facts import codec
from sextant.journal.line import parse_line
from sextant.replay import replay
from sextant.settings import load_settings
from tests.builders_daemon import ROOT

HASTY = f"""
extends = "{ROOT}/config/synthetic.toml"

[[desk]]
strategy_id = "hasty"
instruments = ["BTC/USDT"]
timeframe = "1m"
strategy = {{ kind = "ema_cross", fast = 5, slow = 12, seed = "sma", quantity = 0.01, \
stop_distance = 0.0001, confidence = 0.8 }}
"""
BARS = 2000


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """What a replay of the made-up market puts on record."""
    folder = tmp_path_factory.mktemp("hasty")
    (folder / "hasty.toml").write_text(HASTY)
    settings = load_settings(folder / "hasty.toml")
    market = SyntheticMarket(seed=3, instruments=list(settings.instruments.values()))
    bars = market.bars_after(datetime(2026, 1, 5, tzinfo=UTC))
    events = [bar for bar, _ in zip(bars, range(3 * BARS), strict=False)]
    events = [bar for bar in events if bar.symbol == "BTC/USDT"]
    asyncio.run(replay(settings, iter(events), market="made up", out=folder, keep_all=True))
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    return [parse_line(line) for line in lines]


def bodies(records, topic):
    return [json.loads(record.body) for record in records if record.topic == topic]


@pytest.mark.req("S3-47", "S3-49", "S3-50")
def test_each_refused_entry_is_asked_once_more_inside_its_envelope(records):
    revisions, again = bodies(records, "revision"), bodies(records, "regeneration")
    assert len(revisions) == len(again) > 0
    for revision, second in zip(revisions, again, strict=True):
        assert {o["rule"] for o in revision["objections"]} >= {"stop_distance"}
        assert second["intent"]["attempt"] == 1
        assert second["intent"]["stop"] == revision["envelope"]["nearest_stop"]
    assert bodies(records, "order_intent")


async def test_the_audit_asks_again_too(records):
    auditor = Auditor(codec())
    for record in records:
        await auditor.follow(record)
    assert auditor.mismatches == []
    assert auditor.compared["regeneration"] == len(bodies(records, "regeneration"))
