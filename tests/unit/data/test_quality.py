"""What is wrong with a stream of bars, found as they come and afterwards."""

from collections import Counter
from datetime import timedelta

import pytest
from pydantic import ValidationError

from data.bar import Timeframe
from data.instrument import Symbol
from data.quality import BarInspector, FlawKind, QualityLimits, inspect, staleness
from tests.builders_market import BTC, DIRTY, a_bar, at, bars_between, recorded_bars

XRP_BTC = Symbol("XRP/BTC")
LIMITS = QualityLimits(max_jump_per_minute="0.1", dead_after=3, max_delay=timedelta(seconds=60))
M1 = Timeframe.M1


def minutes(*bars):
    """One-minute bars of (minute, close) or (minute, close, volume)."""
    return [
        a_bar(at("12:00") + timedelta(minutes=minute), close, volume=volume, timeframe=M1)
        for minute, close, volume in ((*bar, "1")[:3] for bar in bars)
    ]


def kinds(flaws):
    return [(flaw.kind.value, round(flaw.observed, 9)) for flaw in flaws]


@pytest.mark.parametrize(
    ("bars", "flaws"),
    [
        pytest.param([(1, "100"), (2, "101"), (3, "100.5")], [], id="nothing wrong"),
        pytest.param([], [], id="no bars"),
        pytest.param([(1, "100"), (4, "100")], [("gap", 2.0)], id="two bars missing"),
        pytest.param([(1, "100"), (1, "100")], [("duplicate", 0.0)], id="the same again"),
        pytest.param(
            [(1, "100"), (2, "100"), (1, "100"), (3, "100")], [("out_of_order", -60.0)],
            id="an older one, then on as before",
        ),
        pytest.param([(1, "100"), (1.5, "100")], [("out_of_order", 30.0)], id="overlapping"),
        pytest.param([(1, "100"), (2, "110")], [], id="a rise at the limit"),
        pytest.param([(1, "100"), (2, "110.1")], [("jump", 0.101)], id="a rise past it"),
        pytest.param([(1, "100"), (2, "90")], [], id="a fall at the limit"),
        pytest.param([(1, "100"), (2, "89.9")], [("jump", 0.101)], id="a fall past it"),
        pytest.param(
            [(1, "100"), (2, "150"), (3, "150")], [("jump", 0.5)],
            id="a price that stays is told once",
        ),
        pytest.param(
            [(1, "100"), (3, "115")], [("gap", 1.0)], id="15 % in two minutes is 7.5 % a minute",
        ),
        pytest.param(
            [(1, "100"), (3, "130")], [("gap", 1.0), ("jump", 0.15)], id="gap and jump at once",
        ),
        pytest.param(
            [(1, "100"), (2, "100", "0"), (3, "100", "0"), (4, "100")], [], id="quiet for two bars",
        ),
        pytest.param(
            [(1, "100", "0"), (2, "100", "0"), (3, "100", "0"), (4, "100", "0"), (5, "100")],
            [("dead", 3.0), ("dead", 4.0)],
            id="dead from the third silent bar until it trades",
        ),
    ],
)  # fmt: skip
@pytest.mark.req("S1-22")
def test_flaws_are_told_with_what_was_seen(bars, flaws):
    assert kinds(inspect(minutes(*bars), LIMITS)) == flaws


def test_a_bar_that_moved_without_trades_is_not_dead():
    bars = [
        a_bar(bar.closed_at, "100", opened="101", volume="0", timeframe=M1)
        for bar in minutes(*((i, "100") for i in range(1, 9)))
    ]
    assert inspect(bars, LIMITS) == ()


def test_a_jump_is_measured_by_the_minute_whatever_the_bar():
    hours = [
        a_bar(at(f"{hour}:00"), close, timeframe=Timeframe.H1)
        for hour, close in ((1, "100"), (2, "600"), (3, "5000"))
    ]
    assert kinds(inspect(hours, LIMITS)) == [("jump", round((5000 / 600 - 1) / 60, 9))]


def test_a_flaw_names_its_bar_and_its_limit():
    (flaw,) = inspect(minutes((1, "100"), (2, "150")), LIMITS)
    assert (flaw.symbol, flaw.timeframe, flaw.closed_at) == (BTC, M1, at("12:02"))
    assert flaw.limit == 0.1


@pytest.mark.parametrize(
    ("timeframe", "age", "is_stale"),
    [
        pytest.param(M1, timedelta(seconds=120), False, id="a minute bar at 120 s"),
        pytest.param(M1, timedelta(seconds=121), True, id="a minute bar past 120 s"),
        pytest.param(Timeframe.H1, timedelta(minutes=61), False, id="an hour bar at its delay"),
        pytest.param(Timeframe.H1, timedelta(minutes=62), True, id="an hour bar past it"),
    ],
)
def test_a_stream_is_stale_once_the_next_bar_is_late(timeframe, age, is_stale):
    bar = a_bar(at("12:00"), timeframe=timeframe)
    flaw = staleness(bar, LIMITS, now=bar.closed_at + age)
    assert (flaw is not None) == is_stale
    if flaw is not None:
        assert (flaw.kind, flaw.observed) == (FlawKind.STALE, age.total_seconds())


def test_an_inspector_tells_staleness_of_its_newest_bar():
    inspector = BarInspector(BTC, M1, LIMITS)
    assert inspector.stale(at("12:00")) is None
    inspector.inspect(a_bar(at("12:00"), timeframe=M1))
    assert inspector.stale(at("12:02")) is None
    assert inspector.stale(at("12:03")).limit == 120.0


@pytest.mark.parametrize(
    "bar",
    [
        pytest.param(a_bar(at("12:01"), timeframe=M1, symbol=XRP_BTC), id="other symbol"),
        pytest.param(a_bar(at("12:01")), id="other timeframe"),
    ],
)
def test_an_inspector_takes_only_its_own_bars(bar):
    inspector = BarInspector(BTC, M1, LIMITS)
    inspector.inspect(a_bar(at("12:00"), timeframe=M1))
    with pytest.raises(ValueError, match="for the inspector of BTC/USDT 1m"):
        inspector.inspect(bar)


@pytest.mark.req("S1-22")
def test_the_faults_of_a_real_download_are_all_found(shared_data):
    limits = LIMITS.model_copy(update={"dead_after": 20})
    flaws = inspect(recorded_bars(shared_data / DIRTY, XRP_BTC), limits)
    assert Counter(flaw.kind for flaw in flaws) == {FlawKind.DUPLICATE: 263, FlawKind.GAP: 3}
    assert sum(flaw.observed for flaw in flaws if flaw.kind is FlawKind.GAP) == 263


@pytest.mark.parametrize(
    ("file", "gaps", "jumps"),
    [
        pytest.param("binance_perp_BTCUSDT_1m_20250504_20250603", [], 0, id="BTC perpetual"),
        pytest.param("binance_perp_XRPUSDT_1m_20250504_20250603", [], 0, id="XRP perpetual"),
        pytest.param("binance_spot_BTCUSDT_1m_20210420_20210520", [284], 0, id="BTC spot"),
        pytest.param("binance_spot_XRPUSDT_1m_20210420_20210520", [283], 1, id="the crash of May"),
        pytest.param("binance_spot_XRPBTC_1m_20210410_20210520", [150, 284], 0, id="XRP in BTC"),
    ],
)
def test_recorded_markets_have_the_gaps_of_their_manifest(file, gaps, jumps, shared_data):
    flaws = inspect(recorded_bars(shared_data / f"ohlcv_1m/{file}.csv.gz", BTC), LIMITS)
    assert [flaw.observed for flaw in flaws if flaw.kind is FlawKind.GAP] == gaps
    assert [flaw.kind for flaw in flaws if flaw.kind is not FlawKind.GAP] == ["jump"] * jumps


@pytest.mark.parametrize(
    "wrong",
    [{"max_jump_per_minute": "0"}, {"dead_after": 0}, {"max_delay": -1}, {"max_dealy": 60}],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(wrong):
    sound = {"max_jump_per_minute": "0.1", "dead_after": 3, "max_delay": 60}
    assert QualityLimits(**sound).max_delay == timedelta(minutes=1)
    with pytest.raises(ValidationError):
        QualityLimits(**(sound | wrong))


def test_good_bars_have_no_flaws_on_any_timeframe():
    for timeframe in Timeframe:
        bars = bars_between(at("00:00"), at("00:00", day=28), timeframe=timeframe)[:50]
        assert inspect(bars, LIMITS) == ()
