"""Histories that never change behind a reader, and longer bars out of shorter ones."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from data.bar import Bar, BarHistory, BarSeries, Resampler, Timeframe, seconds
from tests.builders_market import a_bar, at, bars_between

LINES = ("closed_at", "open", "high", "low", "close", "volume")


def a_row(index):
    return float(index), (index + 0.1, index + 0.2, index + 0.3, index + 0.4, index + 0.5)


@pytest.mark.parametrize("capacity", [1, 2, 3, 7])
def test_a_history_keeps_its_newest_bars_in_order(capacity):
    history = BarHistory(capacity)
    for index in range(40):
        history.add(*a_row(index))
        kept = range(max(0, index + 1 - capacity), index + 1)
        assert history.series.closed_at.tolist() == [float(i) for i in kept]
        assert history.series.volume.tolist() == [i + 0.5 for i in kept]


@pytest.mark.parametrize("capacity", [1, 3])
def test_a_series_never_changes_once_it_is_taken(capacity):
    history = BarHistory(capacity)
    taken = []
    for index in range(20):
        history.add(*a_row(index))
        series = history.series
        taken.append((series, {line: getattr(series, line).copy() for line in LINES}))
    for series, seen in taken:
        for line in LINES:
            np.testing.assert_array_equal(getattr(series, line), seen[line])


@pytest.mark.parametrize("line", LINES)
def test_a_series_cannot_be_written_to(line):
    history = BarHistory(3)
    history.add(*a_row(1))
    for series in (history.series, BarSeries.of([a_bar(at("00:05"))])):
        with pytest.raises(ValueError, match="read-only"):
            getattr(series, line)[0] = 0.0


def test_a_series_of_bars_holds_their_numbers():
    bar = a_bar(at("00:05"), "101", opened="100", high="103", low="99", volume="2.5")
    series = BarSeries.of([bar, a_bar(at("00:10"), "102")])
    assert [getattr(series, line)[0] for line in LINES] == [
        seconds(at("00:05")), 100.0, 103.0, 99.0, 101.0, 2.5,
    ]  # fmt: skip
    assert series.last(1).close.tolist() == [102.0]
    assert len(series.last(9)) == 2
    assert len(BarSeries.of([])) == 0


def test_a_history_holds_at_least_one_bar():
    with pytest.raises(ValueError, match="at least one"):
        BarHistory(0)


def folded(bars, timeframe=Timeframe.M15):
    resampler = Resampler(timeframe)
    return [longer for bar in bars for longer in resampler.add(bar)]


@pytest.mark.req("S1-104")
def test_three_bars_make_one_three_times_as_long():
    bars = [
        a_bar(at("14:05"), "101", opened="100", high="104", low="99", volume="1.5"),
        a_bar(at("14:10"), "98", opened="101", high="102", low="95", volume="2"),
        a_bar(at("14:15"), "103", opened="98", high="103", low="97", volume="0.25"),
    ]
    (longer,) = folded(bars)
    assert longer == Bar(
        symbol=bars[0].symbol,
        timeframe=Timeframe.M15,
        closed_at=at("14:15"),
        open=Decimal(100),
        high=Decimal(104),
        low=Decimal(95),
        close=Decimal(103),
        volume=Decimal("3.75"),
    )


@pytest.mark.req("S1-104", "S1-106")
@pytest.mark.parametrize(
    ("timeframe", "opened", "closed", "count"),
    [
        pytest.param(Timeframe.M15, at("14:00"), at("15:00"), 4, id="every third"),
        pytest.param(Timeframe.H1, at("00:00"), at("06:00"), 6, id="every twelfth"),
        pytest.param(Timeframe.D1, at("00:00"), at("00:00", day=2), 2, id="UTC days"),
        pytest.param(Timeframe.W1, at("00:00"), at("00:00", day=14), 2, id="weeks from Monday"),
    ],
)
def test_a_longer_bar_closes_on_its_own_boundary(timeframe, opened, closed, count):
    longer = folded(bars_between(opened, closed), timeframe)
    expected = [opened + (index + 1) * timeframe.delta for index in range(count)]
    assert [bar.closed_at for bar in longer] == expected


@pytest.mark.parametrize(
    ("times", "closes"),
    [
        pytest.param(["14:05", "14:15"], ["14:15"], id="a hole inside"),
        pytest.param(["14:10", "14:15", "14:20"], [], id="the first interval has no beginning"),
        pytest.param(
            ["14:10", "14:15", "14:25", "14:30"], ["14:30"],
            id="only the first interval is left out for a missing beginning",
        ),
        pytest.param(["14:05", "14:10", "14:20"], ["14:15"], id="a missing end closes late"),
        pytest.param(["14:05", "14:50"], ["14:15"], id="intervals without a bar give none"),
        pytest.param(["14:05", "14:45"], ["14:15", "14:45"], id="two close at once"),
    ],
)  # fmt: skip
def test_gaps_are_tolerated_but_an_unknown_beginning_is_not(times, closes):
    longer = folded([a_bar(at(time)) for time in times])
    assert [bar.closed_at for bar in longer] == [at(time) for time in closes]


def told(time, prices, trades):
    """A bar of 5 minutes whose open, high, low and close stand in `prices`."""
    opened, high, low, close = prices.split()
    bar = a_bar(
        at(time), close, opened=opened, high=high, low=low, volume="0" if trades == 0 else "1"
    )
    return replace(bar, trades=trades)


@pytest.mark.parametrize(
    ("parts", "prices"),
    [
        pytest.param(
            [("9 9 9 9", 0), ("5 6 4 5", 2), ("5 7 5 6", 3)], "5 7 4 6",
            id="before the first trade",
        ),
        pytest.param(
            [("5 6 4 5", 2), ("9 9 9 9", 0), ("5 7 5 6", 3)], "5 7 4 6",
            id="between trades, after minutes that nobody has seen",
        ),
        pytest.param(
            [("5 6 4 5", 2), ("5 7 5 6", 3), ("9 9 9 9", 0)], "5 7 4 6", id="after the last trade",
        ),
        pytest.param(
            [("9 9 9 9", 0), ("9 9 9 9", 0), ("9 9 9 9", 0)], "9 9 9 9", id="no trade at all",
        ),
        pytest.param(
            [("9 9 9 9", None), ("5 6 4 5", 2), ("5 7 5 6", 3)], "9 9 4 6",
            id="unknown counts as traded",
        ),
        pytest.param(
            [("9 9 9 9", 0), ("5 6 4 5", None), ("8 8 8 8", 0)], "5 6 4 5",
            id="unknown after none",
        ),
    ],
)  # fmt: skip
def test_what_did_not_trade_gives_a_longer_bar_no_price(parts, prices):
    times = ("14:05", "14:10", "14:15")
    (longer,) = folded([told(time, *part) for time, part in zip(times, parts, strict=True)])
    assert " ".join(map(str, (longer.open, longer.high, longer.low, longer.close))) == prices


def test_after_a_bar_from_elsewhere_come_those_that_follow_it():
    resampler = Resampler(Timeframe.M15)
    resampler.follow(a_bar(at("14:15"), timeframe=Timeframe.M15))
    bars = [a_bar(at(time)) for time in ("14:05", "14:10", "14:15", "14:25", "14:30")]
    made = [longer for bar in bars for longer in resampler.add(bar)]
    assert [(bar.closed_at, bar.volume) for bar in made] == [(at("14:30"), Decimal(2))]


def test_a_bar_of_the_same_length_is_itself():
    bar = a_bar(at("14:05"), "101", opened="100", volume="3")
    assert folded([bar], Timeframe.M5) == [bar]
    assert bar.opened_at == bar.closed_at - timedelta(minutes=5)
