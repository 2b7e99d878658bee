"""The strategies of one rule."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import ValidationError

from agents.baseline_strategy import (
    NOTHING,
    EmaCross,
    EmaCrossSettings,
    Hold,
    HoldSettings,
    SeededRandom,
    SeededRandomSettings,
)
from data.bar import Timeframe
from risk.intent import Direction, Purpose
from tests.builders_agents import a_market, a_snapshot, an_account, an_order

TERMS = {"quantity": "1", "stop_distance": "0.05", "confidence": 0.6}
EMA = {**TERMS, "kind": "ema_cross", "fast": 20, "slow": 50, "seed": "first"}


def ema_cross():
    settings = EmaCrossSettings.model_validate(EMA)
    return EmaCross(strategy_id="ema", timeframe=Timeframe.H1, settings=settings)


def buy_and_hold():
    settings = HoldSettings.model_validate({**TERMS, "kind": "hold"})
    return Hold(strategy_id="hold", timeframe=Timeframe.H1, settings=settings)


def by_chance():
    settings = SeededRandomSettings.model_validate({**TERMS, "kind": "seeded_random", "seed": 3})
    return SeededRandom(strategy_id="chance", timeframe=Timeframe.H1, settings=settings)


@pytest.mark.parametrize(
    ("fast", "held", "outcome"),
    [
        pytest.param(101.0, "0", Purpose.ENTRY, id="above and flat"),
        pytest.param(101.0, "1", None, id="above and long"),
        pytest.param(100.0, "1", Purpose.EXIT, id="level and long"),
        pytest.param(99.0, "1", Purpose.EXIT, id="below and long"),
        pytest.param(99.0, "0", None, id="below and flat"),
        pytest.param(float("nan"), "0", None, id="unknown and flat"),
        pytest.param(float("nan"), "1", None, id="unknown and long"),
    ],
)
async def test_ema_cross_is_long_above_and_flat_below(fast, held, outcome):
    values = {"ema_20_first": fast, "ema_50_first": 100.0}
    deliberation = await ema_cross().decide(a_snapshot(values=values, held=held))
    if outcome is None:
        assert deliberation is NOTHING
    else:
        assert deliberation.intent.purpose is outcome


async def test_an_entry_carries_its_stop_and_its_quantity():
    values = {"ema_20_first": 101.0, "ema_50_first": 100.0}
    intent = (await ema_cross().decide(a_snapshot(values=values))).intent
    assert (intent.direction, intent.quantity) == (Direction.LONG, Decimal(1))
    assert intent.stop == Decimal("98.80")  # 5 % below 104
    assert intent.confidence == 0.6


async def test_an_exit_closes_all_of_it_and_only_reduces():
    values = {"ema_20_first": 99.0, "ema_50_first": 100.0}
    intent = (await ema_cross().decide(a_snapshot(values=values, held="0.7"))).intent
    assert (intent.direction, intent.quantity, intent.reduce_only) == (
        Direction.CLOSE,
        Decimal("-0.7"),
        True,
    )


@pytest.mark.parametrize("strategy", [ema_cross(), buy_and_hold()], ids=["ema_cross", "hold"])
async def test_nothing_is_asked_for_while_an_entry_is_in_flight(strategy):
    values = {"ema_20_first": 101.0, "ema_50_first": 100.0}
    assert await strategy.decide(a_snapshot(values=values, in_flight=[an_order()])) is NOTHING


def crossings(closes, *, fast=20, slow=50):
    """What the yardstick of the benchmarks does, bar by bar: +1 buys, -1 sells."""
    quick = slow_value = closes[0]
    held, done = 0, []
    for index, close in enumerate(closes):
        quick += 2 / (fast + 1) * (close - quick)
        slow_value += 2 / (slow + 1) * (close - slow_value)
        if index < slow - 1:
            continue
        if quick > slow_value and not held:
            held, _ = 1, done.append((index, 1))
        elif quick <= slow_value and held:
            held, _ = 0, done.append((index, -1))
    return done


async def test_ema_cross_trades_as_the_yardstick_of_the_benchmarks_does():
    closes = [round(100 + 5 * math.sin(i / 17) + 3 * math.sin(i / 5), 2) for i in range(500)]
    strategy, held, done = ema_cross(), "0", []
    for index, snapshot in enumerate(a_market(closes)):
        if index + 1 < strategy.requirements.warm_up:
            continue
        seen = replace(snapshot, account=an_account(held))
        intent = (await strategy.decide(seen)).intent
        if intent is not None:
            done.append((index, 1 if intent.quantity > 0 else -1))
            held = str(Decimal(held) + intent.quantity)
    assert done == crossings(closes)
    assert len(done) >= 10


async def test_hold_buys_until_it_has_and_never_again():
    strategy = buy_and_hold()
    assert (await strategy.decide(a_snapshot())).intent.quantity == 1
    assert (await strategy.decide(a_snapshot())).intent is not None  # it was refused
    assert await strategy.decide(a_snapshot(held="1")) is NOTHING
    assert await strategy.decide(a_snapshot()) is NOTHING  # its stop was hit


async def test_chance_enters_and_leaves_on_either_side():
    strategy, outcomes = by_chance(), set()
    for held in ("0", "1", "-1"):
        for snapshot in a_market([100.0] * 40):
            intent = (await strategy.decide(replace(snapshot, account=an_account(held)))).intent
            outcomes.add((held, intent and (intent.direction, intent.quantity)))
    assert outcomes == {
        ("0", None),
        ("0", (Direction.LONG, Decimal(1))),
        ("0", (Direction.SHORT, Decimal(-1))),
        ("1", None),
        ("1", (Direction.CLOSE, Decimal(-1))),
        ("-1", None),
        ("-1", (Direction.CLOSE, Decimal(1))),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"fast": 50}, "must be below slow", id="the fast one is not faster"),
        pytest.param({"stop_distance": "1"}, "less than 1", id="a stop at zero"),
        pytest.param({"quantity": "0"}, "greater than 0", id="nothing to buy"),
        pytest.param({"seed": "zero"}, "'sma' or 'first'", id="unknown seed"),
        pytest.param({"quanity": "1"}, "Extra inputs", id="misspelt"),
    ],
)
def test_settings_that_cannot_be(change, message):
    with pytest.raises(ValidationError, match=message):
        EmaCrossSettings.model_validate({**EMA, **change})
