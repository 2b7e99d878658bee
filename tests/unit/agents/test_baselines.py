"""The rules that can fill a seat."""

from dataclasses import replace

import pytest

from agents.council.baselines import (
    BASELINES,
    breakout,
    confidence,
    ema_cross,
    hold,
    momentum,
    seeded_random,
    volatility_scaled_trend,
)
from data.indicators import STANDARD
from risk.intent import Direction
from tests.builders_agents import a_bar, a_market, a_snapshot

LONG, SHORT, HOLD, CLOSE = Direction.LONG, Direction.SHORT, Direction.HOLD, Direction.CLOSE
NAN = float("nan")


def flat_then(close, *, bars=30):
    """Bars at 100 that reach from 99 to 101, and one more that closes at `close`."""
    quiet = [a_bar(100, index=i, high=101, low=99) for i in range(bars)]
    return [*quiet, a_bar(close, index=bars)]


@pytest.mark.req("S0-17")
@pytest.mark.parametrize(
    ("baseline", "snapshot", "direction"),
    [
        pytest.param(ema_cross(), {"values": {"ema_21": 101.0}}, LONG, id="ema_cross up"),
        pytest.param(ema_cross(), {"values": {"ema_21": 99.0}}, SHORT, id="ema_cross down"),
        pytest.param(ema_cross(), {"values": {"ema_21": 100.0}}, HOLD, id="ema_cross level"),
        pytest.param(ema_cross(), {"values": {"ema_50": NAN}}, HOLD, id="ema_cross warming up"),
        pytest.param(ema_cross(), {"values": {"atr_14": 0.0}}, HOLD, id="ema_cross, no range"),
        pytest.param(breakout(), {"bars": flat_then(101.5)}, LONG, id="breakout above"),
        pytest.param(breakout(), {"bars": flat_then(98.5)}, SHORT, id="breakout below"),
        pytest.param(breakout(), {"bars": flat_then(101)}, HOLD, id="breakout at the high"),
        pytest.param(breakout(), {"bars": flat_then(99)}, HOLD, id="breakout at the low"),
        pytest.param(breakout(), {"bars": flat_then(102, bars=19)}, HOLD, id="too few bars"),
        pytest.param(breakout(), {"bars": flat_then(102, bars=20)}, LONG, id="bars enough"),
        pytest.param(momentum(), {"bars": flat_then(101.6)}, LONG, id="momentum up"),
        pytest.param(momentum(), {"bars": flat_then(98.4)}, SHORT, id="momentum down"),
        pytest.param(momentum(), {"bars": flat_then(101.5)}, HOLD, id="momentum within noise"),
        pytest.param(momentum(), {"bars": flat_then(102, bars=9)}, HOLD, id="momentum too young"),
        pytest.param(
            volatility_scaled_trend(), {"bars": [a_bar(101)]}, LONG, id="trend 1 ATR away"
        ),
        pytest.param(volatility_scaled_trend(), {"bars": [a_bar(98)]}, SHORT, id="trend down"),
        pytest.param(
            volatility_scaled_trend(), {"bars": [a_bar("100.9")]}, HOLD, id="trend too near"
        ),
        pytest.param(hold(), {}, HOLD, id="hold"),
    ],
)
def test_each_rule_reads_its_market(baseline, snapshot, direction):
    opinion = baseline.opine(a_snapshot(**snapshot))
    assert opinion.direction is direction
    assert 0.5 <= opinion.confidence <= 0.8


@pytest.mark.parametrize(
    ("ema_21", "held", "leverage", "direction"),
    [
        pytest.param(99.0, "1", "5", CLOSE, id="down and long"),
        pytest.param(99.0, "1", "1", CLOSE, id="down and long, spot"),
        pytest.param(99.0, "0", "1", HOLD, id="down and flat, spot"),
        pytest.param(99.0, "-1", "5", SHORT, id="down and short"),
        pytest.param(101.0, "-1", "5", CLOSE, id="up and short"),
        pytest.param(101.0, "1", "5", LONG, id="up and long"),
    ],
)
def test_a_reading_against_the_position_closes_it(ema_21, held, leverage, direction):
    snapshot = a_snapshot(values={"ema_21": ema_21}, held=held, leverage=leverage)
    assert ema_cross().opine(snapshot).direction is direction


def test_confidence_never_falls_as_strength_grows():
    values = [confidence(strength / 10) for strength in range(30)]
    assert values == sorted(values)
    assert (values[0], values[10], values[-1]) == (0.5, 0.8, 0.8)


@pytest.mark.parametrize("name", BASELINES)
def test_a_rule_needs_no_more_than_it_says(name):
    baseline = BASELINES[name]()
    snapshot = a_market([100 + 0.2 * i for i in range(80)])[-1]
    names = [output for indicator in baseline.indicators for output in indicator.names]
    frame = snapshot.primary
    bare = replace(
        frame,
        indicators={n: frame.indicators[n] for n in names},
        series=frame.series.last(baseline.bars),
    )
    opinion = baseline.opine(replace(snapshot, frames={frame.timeframe: bare}))
    assert opinion == baseline.opine(snapshot)
    assert set(baseline.indicators) <= set(STANDARD)
    assert baseline.name == name


def test_chance_is_a_function_of_the_bar_not_of_the_calls_before_it():
    market = a_market([100.0] * 60)
    forwards = [seeded_random(7).opine(s) for s in market]
    again = seeded_random(7)
    backwards = [again.opine(s) for s in reversed(market)]
    assert forwards == backwards[::-1]
    assert {o.direction for o in forwards} == {LONG, SHORT, HOLD}
    assert forwards != [seeded_random(8).opine(s) for s in market]
