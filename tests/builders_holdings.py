"""Daemons that keep holdings beside desks which trade by chance."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from data.bar import Bar, Timeframe
from data.instrument import Symbol, Toward
from sextant.evaluation.summary import Summary
from sextant.facts import codec
from sextant.journal.line import parse_line
from sextant.replay import replay
from sextant.session import Session
from sextant.settings import load_settings
from tests.builders_daemon import CARE, EAGER, Left, a_config

START = datetime(2026, 1, 5, tzinfo=UTC)

# Half of the account is kept; drift is looked for every five minutes and worked off in two batches.
KEEPING = """
    [paper_venue]
    maker_fee = 0.000001
    taker_fee = 0.000001
    tiers = []
    spread_bps = 0
    slippage_bps = 0
    participation = 0
    opening_fee = 0
    rollover_fee = 0

    [risk]
    taker_fee = 0.000001
    max_position = 1
    max_exposure = 2
    max_risk_per_trade = 1
    max_margin_use = 1

    [[instrument]]
    symbol = "BTC/USDT"
    tick = 0.01
    lot = 0.00000001
    min_quantity = 0.000001
    min_notional = 0.1
    max_leverage = 3

    [[instrument]]
    symbol = "XRP/USDT"
    tick = 0.00001
    lot = 0.00001
    min_quantity = 0.1
    min_notional = 0.1
    max_leverage = 3

    [[instrument]]
    symbol = "XRP/BTC"
    tick = 0.00000001
    lot = 0.00001
    min_quantity = 0.1
    min_notional = 0.000001
    max_leverage = 3

    [allocation]
    enabled = true
    timeframe = "5m"
    patience = "PT12H"

    [allocation.rebalance]
    trigger = 0.05
    batches = 2
    batch_interval = "PT10M"
    min_interval = "PT40M"

    [allocation.hodl]
    share = 0.99
    min_profit = 0.01
    split = { BTC = 0.98, XRP = 0.01, USDT = 0.01 }
    thresholds = { BTC = 1, XRP = 12, USDT = 0.01 }
"""


def at_the_exchange():
    """The eager configuration with holdings, for a rehearsal exchange and its own grid and fees."""
    numbers = """
    [allocation]
    enabled = true
    timeframe = "5m"

    [allocation.rebalance]
    batches = 2
    batch_interval = "PT10M"
    min_interval = "PT1H"
"""
    return EAGER.replace("    [[desk]]", numbers + "\n    [[desk]]", 1)


def keeping(**changes):
    """The eager configuration with holdings; each change is a text and what takes its place."""
    limits = KEEPING.partition("    [risk]\n")[2].partition("\n\n")[0]
    body = KEEPING.replace("    [risk]\n" + limits + "\n\n", "")
    text = EAGER.replace("    [risk]\n", "    [risk]\n" + limits + "\n", 1)
    text = text.replace("    [[desk]]", body + "\n    [[desk]]", 1) + CARE
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def replayed(folder, prices, *, start=START, config=None):
    """The session, and the facts, of a replay over minutes of BTC/USDT and XRP/USDT.

    `prices` has one pair of closes a minute; XRP/BTC is what they come to. Every bar opens at its
    close but for a hair, so that no market looks dead.
    """
    path = a_config(folder, keeping() if config is None else config)
    settings, out = load_settings(path), folder / "out"
    events = (bar for n, pair in enumerate(prices) for bar in _bars(settings, n, pair, start))
    run = replay(settings, events, market="made up", out=out, keep_all=True)
    session, summary = asyncio.run(run)
    reading = codec()
    with (out / "journal.jsonl").open("rb") as file:
        records = [parse_line(line) for line in file]
    facts = [reading.decode(record.topic, record.body) for record in records]
    return Replayed(
        session=session,
        summary=summary,
        left=Left(settings=settings, desk=records, venue=[]),
        facts=facts,
        journal=out / "journal.jsonl",
    )


@dataclass(frozen=True)
class Replayed:
    """What a replay was, and left."""

    session: Session
    summary: Summary
    left: Left
    facts: list[object]
    journal: Path


def _bars(settings, number, pair, start):
    btc, xrp = pair
    closes = {"BTC/USDT": btc, "XRP/USDT": xrp, "XRP/BTC": xrp / btc}
    wobble = Decimal("1.0002") if number % 2 else Decimal("0.9998")
    for symbol, close in ((Symbol(name), close) for name, close in closes.items()):
        instrument = settings.instruments[symbol]
        end = instrument.price(close, Toward.LOWER)
        begin = instrument.price(close * wobble, Toward.LOWER)
        yield Bar(
            symbol=symbol,
            timeframe=Timeframe.M1,
            closed_at=start + (number + 1) * Timeframe.M1.delta,
            open=begin,
            high=max(begin, end),
            low=min(begin, end),
            close=end,
            volume=Decimal(1000),
        )
