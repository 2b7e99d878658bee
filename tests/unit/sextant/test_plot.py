"""Axes and drawings."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from sextant.evaluation.axis import nice_step, percent, plain, time_ticks, value_ticks
from sextant.evaluation.plot import Marker, bar_plot, line_plot, share_bar
from tests.builders_evaluation import DAY, MINUTE, START


@pytest.mark.parametrize(
    ("span", "most", "step"),
    [
        pytest.param(10.0, 5, 2.0, id="exact"),
        pytest.param(11.0, 5, 5.0, id="a little more"),
        pytest.param(0.00003, 5, 0.00001, id="small"),
        pytest.param(60_000.0, 5, 20_000.0, id="large"),
        pytest.param(50.0, 5, 10.0, id="a power of ten"),
    ],
)
def test_nice_step(span, most, step):
    assert nice_step(span, most) == pytest.approx(step)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        pytest.param(9_790, 10_020, ["9,800", "9,850", "9,900", "9,950", "10,000"], id="money"),
        pytest.param(-1.0, 1.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"], id="around zero"),
        pytest.param(
            0.0000181, 0.000038, ["0.000020", "0.000025", "0.000030", "0.000035"], id="in BTC"
        ),
    ],
)
def test_value_ticks_in_words(low, high, texts):
    ticks, step = value_ticks(low, high)
    assert [plain(tick, step) for tick in ticks] == texts


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        pytest.param(-0.02, 0.005, "-2.0 %", id="a fall"),
        pytest.param(0.0, 0.005, "0.0 %", id="zero"),
        pytest.param(-0.00001, 0.01, "0 %", id="no minus before nothing"),
    ],
)
def test_percent(value, step, text):
    assert percent(value, step) == text


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        pytest.param(timedelta(hours=1), "00:10", "01:00", id="an hour"),
        pytest.param(timedelta(hours=12), "02:00", "12:00", id="half a day"),
        pytest.param(timedelta(days=30), "Jan 12", "Feb 2", id="a month in weeks"),
        pytest.param(timedelta(days=900), "2026-04-27", "2028-04-24", id="years"),
    ],
)
def test_time_ticks(span, first, last):
    names = [name for _, name in time_ticks(START + MINUTE, START + MINUTE + span)]
    assert (names[0], names[-1]) == (first, last)
    assert 2 <= len(names) <= 8


def test_a_tick_at_midnight_says_the_day():
    ticks = time_ticks(datetime(2026, 1, 5, 20, tzinfo=UTC), datetime(2026, 1, 6, 4, tzinfo=UTC))
    assert [name for _, name in ticks] == ["20:00", "22:00", "Jan 6", "02:00", "04:00"]


def drawn(svg):
    return ET.fromstring(svg)


@pytest.mark.parametrize(
    ("times", "values"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([START], [1.0], id="one point"),
        pytest.param([START, START], [1.0, 2.0], id="two points of one moment"),
    ],
)
def test_too_little_to_draw_is_said(times, values):
    assert "fewer than two points" in line_plot(times, values, label="equity")


@pytest.mark.parametrize(
    ("values", "base"),
    [
        pytest.param([1.0, 2.0, 1.5], None, id="a line"),
        pytest.param([5.0, 5.0, 5.0], 5.0, id="flat"),
        pytest.param([0.0, 0.0, 0.0], 0.0, id="flat at zero"),
        pytest.param([0.0, -0.1, -0.05], 0.0, id="a drawdown"),
        pytest.param([-3.0, -1e9, 1e-9], None, id="of every size"),
    ],
)
def test_a_line_stays_inside_its_drawing(values, base):
    times = [START, START + DAY, START + 3 * DAY]
    root = drawn(line_plot(times, values, label="a <b>", base=base))
    points = root.find("polyline").get("points").split()
    for x, y in (point.split(",") for point in points):
        assert 0 <= float(x) <= 960
        assert 0 <= float(y) <= 240
    assert root.get("aria-label") == "a <b>"


def test_a_fall_from_a_base_of_zero_hangs_from_the_top():
    root = drawn(line_plot([START, START + DAY], [0.0, -0.1], label="x", base=0.0))
    first, last = (float(p.split(",")[1]) for p in root.find("polyline").get("points").split())
    assert first < last
    area = root.find("polygon").get("points").split()
    assert float(area[0].split(",")[1]) == float(area[-1].split(",")[1]) == first


def test_markers_say_what_they_are():
    markers = [
        Marker(at=START, value=1.0, up=True, label="buy 1 at 1 <now>"),
        Marker(at=START + DAY, value=2.0, up=False, label="sell"),
    ]
    root = drawn(line_plot([START, START + DAY], [1.0, 2.0], label="x", markers=markers))
    assert [p.get("class") for p in root.findall("path")] == ["buy", "sell"]
    assert [p.find("title").text for p in root.findall("path")] == ["buy 1 at 1 <now>", "sell"]


@pytest.mark.req("S1-212")
def test_bars_tell_gains_from_falls():
    times = [START + i * DAY for i in range(3)]
    svg = bar_plot(times, [0.01, -0.02, 0.0], label="days", span=(times[0], times[-1]))
    bars = drawn(svg).findall("rect")
    assert [bar.get("class") for bar in bars] == ["gain", "fall", "grid"]
    assert float(bars[1].get("height")) == pytest.approx(2 * float(bars[0].get("height")), rel=0.05)


@pytest.mark.parametrize(
    ("times", "span"),
    [
        pytest.param([], (START, START + DAY), id="no day"),
        pytest.param([START], (START, START), id="no time"),
    ],
)
def test_no_bars_are_said(times, span):
    assert "nothing to show" in bar_plot(times, [0.0] * len(times), label="days", span=span)


def test_shares_fill_their_bar():
    root = drawn(share_bar([("long", 1), ("short", 0), ("hold", 3)]))
    widths = [float(rect.get("width")) for rect in root.findall("rect")]
    assert widths == [100.0, 0.0, 300.0]
    assert root.find("rect/title").text == "long: 1 of 4"
    assert "no ballot" in share_bar([("long", 0)])
