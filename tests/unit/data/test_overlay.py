"""Higher timeframes as a filter: fresh ones have a say, the others are neutral and say why."""

from datetime import timedelta

import pytest

from data.bar import BarSeries, Timeframe
from data.overlay import INDICATORS, Freshness, is_stale, read_overlay, timeframe_trend, trend
from data.snapshot import Frame, MarketHistory
from tests.builders_market import a_bar, an_instrument, at

M15, H1, H4 = Timeframe.M15, Timeframe.H1, Timeframe.H4
NOON = at("12:00")
NAN = float("nan")


def a_frame(timeframe=H1, *, close="101", fast=101.0, slow=100.0, closed_at=NOON):
    return Frame(
        timeframe=timeframe,
        closed_at=closed_at,
        series=BarSeries.of([a_bar(closed_at, close, timeframe=timeframe)]),
        indicators={"ema_9": fast, "ema_21": slow},
    )


RISING, FALLING = a_frame(), a_frame(M15, close="99", fast=99.0)


@pytest.mark.req("S1-107")
@pytest.mark.parametrize(
    ("close", "average", "expected"),
    [
        pytest.param("101", 100.0, 0.01, id="1 % above"),
        pytest.param("99.8", 100.0, -0.002, id="0.2 % below"),
        pytest.param("100", 100.0, 0.0, id="on it"),
        pytest.param("101", NAN, 0.0, id="the average is warming up"),
    ],
)
def test_trend_is_the_close_against_its_average(close, average, expected):
    assert trend(a_frame(close=close, slow=average)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("frames", "alignment"),
    [
        pytest.param({H1: RISING, M15: a_frame(M15)}, 1.0, id="both rise"),
        pytest.param({H1: RISING, M15: FALLING}, 0.0, id="they differ"),
        pytest.param({H1: RISING}, 0.5, id="one is missing"),
        pytest.param({}, 0.0, id="both are missing"),
        pytest.param({H1: RISING, M15: a_frame(M15, fast=100.0)}, 0.5, id="one is undecided"),
        pytest.param({H1: RISING, M15: a_frame(M15, fast=NAN)}, 0.5, id="one is warming up"),
    ],
)
def test_alignment_is_the_mean_direction(frames, alignment):
    assert read_overlay(frames, (H1, M15), now=NOON).alignment == alignment


def test_no_timeframe_is_aligned_with_nothing():
    assert read_overlay({H1: RISING}, (), now=NOON).alignment == 0.0


@pytest.mark.req("S1-120")
@pytest.mark.parametrize(
    ("age", "freshness"),
    [
        pytest.param(timedelta(hours=1), Freshness.FRESH, id="one interval"),
        pytest.param(timedelta(hours=2), Freshness.FRESH, id="exactly two intervals"),
        pytest.param(timedelta(hours=2, microseconds=1), Freshness.STALE, id="just over two"),
    ],
)
def test_a_stale_timeframe_is_neutral_and_says_so(age, freshness):
    reading = timeframe_trend(H1, RISING, now=NOON + age)
    assert reading.freshness is freshness
    assert reading.age == age
    assert is_stale(RISING, now=NOON + age) == (freshness is Freshness.STALE)
    assert (reading.direction, reading.trend == 0.0) == (
        (1, False) if freshness is Freshness.FRESH else (0, True)
    )


@pytest.mark.req("S1-121")
def test_missing_data_is_neutral_and_says_so():
    overlay = read_overlay({M15: a_frame(M15, slow=NAN)}, (M15, H1), now=NOON)
    assert overlay.unreadable == (M15, H1)
    assert overlay.trends[H1].age is None
    assert all(t.direction == 0 and t.trend == 0.0 for t in overlay.trends.values())


def test_a_frame_that_was_not_asked_to_carry_the_averages_is_missing():
    bare = Frame(timeframe=H1, closed_at=NOON, series=RISING.series, indicators={})
    assert timeframe_trend(H1, bare, now=NOON).freshness is Freshness.MISSING


def test_the_averages_of_a_history_can_be_read():
    history = MarketHistory(an_instrument(), H1, dict.fromkeys((H1, H4), INDICATORS), capacity=30)
    for hour in range(1, 101):
        history.add(a_bar(at("00:00") + timedelta(hours=hour), 100 + hour, timeframe=H1))
    overlay = read_overlay(history.frames, (H1, H4), now=at("00:00") + timedelta(hours=100))
    assert overlay.alignment == 1.0
    assert overlay.unreadable == ()
    assert all(reading.trend > 0.0 for reading in overlay.trends.values())
