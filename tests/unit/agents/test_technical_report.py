"""Trend, momentum and alignment by code."""

from datetime import timedelta

import pytest

from agents.analysts import technical
from data.bar import Timeframe
from tests.builders_agents import a_snapshot, with_overlay

NAN = float("nan")


def reported(**snapshot):
    return technical.report(a_snapshot(**snapshot))


@pytest.mark.req("S0-9")
@pytest.mark.parametrize(
    ("values", "trend"),
    [
        pytest.param({"ema_21": 101.0}, 0.5, id="1 ATR apart"),
        pytest.param({"ema_21": 99.0}, -0.5, id="1 ATR apart, down"),
        pytest.param({"ema_21": 110.0}, 1.0, id="no more than 1"),
        pytest.param({"ema_21": 100.0}, 0.0, id="crossing"),
        pytest.param({"ema_50": NAN}, 0.0, id="warming up"),
        pytest.param({"atr_14": NAN}, 0.0, id="no range known"),
        pytest.param({"atr_14": 0.0}, 0.0, id="no range"),
    ],
)
def test_trend_counts_in_ranges(values, trend):
    assert reported(values=values).trend == pytest.approx(trend)


@pytest.mark.parametrize(
    ("rsi", "momentum"),
    [
        pytest.param(50.0, 0.0, id="neutral"),
        pytest.param(65.0, 0.5, id="half"),
        pytest.param(95.0, 1.0, id="overbought is no more than full"),
        pytest.param(20.0, -1.0, id="full, down"),
        pytest.param(NAN, 0.0, id="warming up"),
    ],
)
def test_momentum_is_rsi_about_fifty(rsi, momentum):
    assert reported(values={"rsi_14": rsi}).momentum == pytest.approx(momentum)


@pytest.mark.parametrize(
    ("fast", "slow", "age", "alignment"),
    [
        pytest.param(2.0, 1.0, timedelta(hours=8), 1.0, id="all up; at two bars it is fresh"),
        pytest.param(1.0, 2.0, timedelta(hours=1), 0.0, id="above it the trend is down"),
        pytest.param(1.0, 2.0, timedelta(hours=8, seconds=1), 0.5, id="stale is neutral"),
        pytest.param(NAN, 2.0, timedelta(hours=1), 0.5, id="warming up is neutral"),
        pytest.param(2.0, 2.0, timedelta(hours=1), 0.5, id="level is neither"),
    ],
)
def test_alignment_is_the_mean_side_of_all_timeframes(fast, slow, age, alignment):
    snapshot = with_overlay(a_snapshot(), Timeframe.H4, fast=fast, slow=slow, age=age)
    assert technical.report(snapshot).alignment == alignment


def test_a_timeframe_that_is_neutral_is_named():
    late = timedelta(hours=9)
    snapshot = with_overlay(a_snapshot(), Timeframe.H4, fast=2.0, slow=1.0, age=late)
    report = technical.report(snapshot)
    assert report.rationale.endswith("neutral, as stale or missing: 4h")
