"""Two days of May 2025 on which Bitcoin rose and gave some back: a stop that follows keeps most.

The desk buys once and holds; positions are cared for as config/paper.toml says. What the stop
should have been is reckoned from the bars alone.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from agents.baseline_strategy import HoldSettings
from data.bar import Timeframe
from data.feeds.recorded import read_bars
from data.instrument import Side
from execution.fill import Fill
from execution.order import Submitting
from risk.intent import Purpose
from sextant.auditor import Auditor
from sextant.facts import codec
from sextant.journal.line import parse_line
from sextant.replay import replay
from sextant.settings import load_settings
from tests.builders_daemon import ROOT
from tests.builders_venue import BTC

CARE = load_settings(ROOT / "config" / "paper.toml").protection
NONE = Decimal(0)
SINCE = datetime(2025, 5, 8, 9, 30, tzinfo=UTC)


def settings(**changes):
    base = load_settings(ROOT / "tests" / "replay" / "crash_day.toml")
    holds = HoldSettings(
        kind="hold", quantity=Decimal("0.05"), stop_distance=Decimal("0.03"), confidence=1.0
    )
    desk = base.desk[0].model_copy(update={"instruments": (BTC,), "strategy": holds})
    return base.model_copy(update={"desk": (desk,), "protection": CARE.model_copy(update=changes)})


@pytest.fixture(scope="module")
def bars(shared_data):
    path = shared_data / "ohlcv_1m" / "binance_perp_BTCUSDT_1m_20250504_20250603.csv.gz"
    until = SINCE + timedelta(days=2)
    return [b for b in read_bars(path, BTC, Timeframe.M1) if SINCE < b.closed_at <= until]


def records_of(wanted, bars, folder):
    asyncio.run(replay(wanted, iter(bars), market="recorded", out=folder, keep_all=True))
    with (folder / "journal.jsonl").open("rb") as lines:
        return list(map(parse_line, lines))


def told(records, kind):
    reading = codec()
    decoded = (reading.decode(r.topic, r.body) for r in records)
    return [fact for fact in decoded if isinstance(fact, kind)]


@pytest.fixture(scope="module")
def records(bars, tmp_path_factory):
    return records_of(settings(), bars, tmp_path_factory.mktemp("trailing"))


@pytest.mark.req("S0-26")
def test_a_stop_that_follows_the_price_locks_the_gain(records, bars):
    bought, sold = told(records, Fill)
    moves = [f.order for f in told(records, Submitting) if f.order.replaces is not None]
    assert (bought.side, sold.side) == (Side.BUY, Side.SELL)
    assert sold.client_order_id == moves[-1].client_order_id
    assert sold.price > bought.price * Decimal("1.02")
    best = max(bar.close for bar in bars if bought.filled_at < bar.closed_at < sold.filled_at)
    assert moves[-1].trigger <= best * Decimal("0.985") + Decimal("0.01")
    assert moves[-1].trigger > best * Decimal("0.984")  # less than `min_move` behind it


@pytest.mark.req("S0-26")
def test_each_move_tightens_and_takes_the_place_of_the_one_before(records):
    asked = told(records, Submitting)
    moves = [fact.order for fact in asked if fact.order.replaces is not None]
    assert len(moves) > 5
    triggers = [order.trigger for order in moves]
    assert triggers == sorted(set(triggers))
    chain = [order.replaces for order in moves[1:]]
    assert chain == [order.client_order_id for order in moves[:-1]]
    times = [fact.decided_at for fact in asked if fact.order.replaces is not None]
    assert all(b - a >= CARE.move_every for a, b in pairwise(times))


async def test_the_audit_moves_the_stops_again(records):
    auditor = Auditor(codec())
    for record in records:
        await auditor.follow(record)
    assert auditor.mismatches == []
    assert auditor.compared["order_intent"] == len(told(records, Submitting))


@pytest.mark.parametrize(
    ("changes", "purpose"),
    [
        pytest.param({"max_age": timedelta(hours=6)}, Purpose.MAX_AGE, id="too old"),
        pytest.param(
            {"trail_distance": NONE, "break_even_from": NONE}, None, id="left to its stop"
        ),
    ],
)
def test_how_else_the_position_ends(bars, tmp_path, changes, purpose):
    asked = told(records_of(settings(**changes), bars[:500], tmp_path), Submitting)
    exits = [fact.order.purpose for fact in asked if fact.order.reduce_only]
    assert exits[-1:] == ([purpose] if purpose is not None else [])
