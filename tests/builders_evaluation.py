"""Bars, votes, fills and small replays for the tests of evaluation and of what people see."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

from agents.vote import Abstention, AbstentionReason, Vote, VoterId
from data.account import ClosedTrade
from data.bar import Bar, Timeframe
from data.feeds.synthetic import SyntheticMarket
from data.instrument import Price, Side, Symbol
from execution.fill import Fill, Liquidity
from risk.approval import Rejection
from risk.intent import Direction, OrderIntent, Purpose, intent_id
from risk.objection import Objection
from sextant.evaluation.equity import EquityCurve
from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.summary import summarise
from sextant.replay import replay
from sextant.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
BTC, XRP = Symbol("BTC/USDT"), Symbol("XRP/USDT")
START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def a_bar(index, close="100", *, symbol=BTC):
    """The one-minute bar that closes `index` minutes after the start."""
    price = Decimal(str(close))
    return Bar(
        symbol=symbol,
        timeframe=Timeframe.M1,
        closed_at=START + index * MINUTE,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )


def a_vote(direction=Direction.LONG, confidence=0.6, *, voter="gpt", stand_in=False):
    return Vote(
        voter=VoterId(voter),
        model="baseline:ema_cross" if stand_in else "gpt-x",
        stand_in=stand_in,
        direction=direction,
        confidence=confidence,
        rationale="said so",
    )


def an_abstention(reason=AbstentionReason.LATE, *, voter="gpt"):
    return Abstention(
        voter=VoterId(voter), model="gpt-x", stand_in=False, reason=reason, detail="30 s"
    )


def a_deliberation(*ballots, intent=None):
    """As much of a deliberation and its snapshot as a scorecard reads."""
    return SimpleNamespace(ballots=ballots, intent=intent)


def a_sighting(bar):
    return SimpleNamespace(bar=bar, instrument=SimpleNamespace(symbol=bar.symbol))


def a_fill(side=Side.BUY, quantity="1", price="100", *, symbol=BTC, at=START):
    return Fill(
        fill_id="f",
        client_order_id="c",
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal("0.1"),
        fee_asset="USDT",
        liquidity=Liquidity.TAKER,
        filled_at=at,
    )


def a_trade(pnl, fees="1"):
    return ClosedTrade(
        symbol=BTC,
        quantity=Decimal(1),
        pnl=None if pnl is None else Decimal(pnl),
        fees=Decimal(fees),
        opened_at=START,
        closed_at=START + MINUTE,
    )


def a_scorecard(*, horizon=1, hold_band=0.02):
    return Scorecard(horizon=horizon, hold_band=hold_band, fee=0.0)


def a_summary(card, *, equity="10000"):
    return summarise(
        card,
        title="Sextant, a test",
        market="made up",
        currency="USDT",
        equity=None if equity is None else Decimal(equity),
        model_costs_usd=Decimal("1.25"),
    )


def curve_of(values, *, step=DAY):
    """An equity curve with a mark every `step`."""
    curve = EquityCurve()
    for index, value in enumerate(values):
        curve.mark(START + index * step, Decimal(str(value)))
    return curve


def a_replay(out, *, bars=900, config=ROOT / "config" / "synthetic.toml"):
    """The session and the summary of a short replay of the made-up market, without any key."""
    settings = load_settings(config)
    market = SyntheticMarket(seed=7, instruments=list(settings.instruments.values()))
    stream = market.bars_after(START)
    events = (bar for bar, _ in zip(stream, range(bars), strict=False))
    return asyncio.run(replay(settings, events, market="synthetic:7", out=out, keep_all=True))


def a_veto(*rules, direction=Direction.LONG, stop="95", target="110", purpose=Purpose.ENTRY):
    intent = OrderIntent(
        intent_id=intent_id("desk", BTC, START, purpose),
        strategy_id="desk",
        symbol=BTC,
        purpose=purpose,
        direction=direction,
        decided_at=START,
        confidence=0.5,
        stop=None if stop is None else Price(Decimal(stop)),
        target=None if target is None else Price(Decimal(target)),
    )
    objections = tuple(Objection(rule=r, observed="1", limit="0", unit="x") for r in rules)
    return Rejection(intent=intent, objections=objections, shadowed=(), rejected_at=START)
