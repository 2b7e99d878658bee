"""What an agent may know at a moment, and what it may not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from data.bar import BarSeries, Timeframe
from data.faults import Corrupt
from data.indicators import Ema, IndicatorBank, Rsi, Sma
from data.instrument import Symbol
from data.snapshot import LookAhead, MarketHistory, NothingKnown, UnexpectedBar, take_snapshot
from tests.builders_market import (
    BITCOIN,
    BTC,
    a_bar,
    an_account,
    an_instrument,
    at,
    bars_between,
    recorded_bars,
)

M5, M15, H1 = Timeframe.M5, Timeframe.M15, Timeframe.H1
FRAMES = {M5: (Ema(3, "first"), Sma(2)), M15: (Ema(2, "first"),), H1: (Sma(1),)}
DAY_START = an_account(at("00:00"))


def a_history(frames=FRAMES, *, deciding=M5, capacity=10, base=None):
    return MarketHistory(an_instrument(), deciding, frames, capacity=capacity, base=base)


def after(bars, history=None):
    history = history if history is not None else a_history()
    for bar in bars:
        history.add(bar)
    return history


@pytest.mark.req("S1-105")
def test_at_14_35_the_15m_bar_of_14_30_and_the_1h_bar_of_14_00_are_seen():
    history = after(bars_between(at("12:00"), at("14:35")))
    snapshot = take_snapshot(history, DAY_START, taken_at=at("14:35"))
    closed = {timeframe: frame.closed_at for timeframe, frame in snapshot.frames.items()}
    assert closed == {M5: at("14:35"), M15: at("14:30"), H1: at("14:00")}
    assert snapshot.primary.closed_at == snapshot.bar.closed_at == at("14:35")


@pytest.mark.req("S1-106")
def test_a_frame_changes_only_on_its_own_boundary():
    history = a_history()
    changes = {M15: [], H1: []}
    seen = {}
    for bar in bars_between(at("12:00"), at("14:00")):
        history.add(bar)
        for timeframe in changes:
            frame = history.frames.get(timeframe)
            if frame is not seen.get(timeframe):
                changes[timeframe].append(bar.closed_at)
                seen[timeframe] = frame
    assert changes[M15] == [at("12:00") + i * M15.delta for i in range(1, 9)]
    assert changes[H1] == [at("13:00"), at("14:00")]


@pytest.mark.req("S0-13")
def test_a_frame_holds_the_series_and_indicators_of_its_own_bars(shared_data):
    bars = recorded_bars(shared_data / BITCOIN, BTC, 400)
    frames = {Timeframe.M1: (Ema(9), Rsi(14)), M15: (Sma(3), Ema(2, "first"))}
    history = after(bars, a_history(frames, deciding=Timeframe.M1, capacity=500))
    for timeframe, indicators in frames.items():
        frame = history.frames[timeframe]
        bank = IndicatorBank(indicators)
        lines = (frame.series.closed_at, frame.series.open, frame.series.high, frame.series.low,
                 frame.series.close, frame.series.volume)  # fmt: skip
        readings = [bank.update(*row) for row in zip(*(x.tolist() for x in lines), strict=True)]
        assert dict(frame.indicators) == readings[-1]
    assert history.count == len(history.frames[Timeframe.M1].series) == 400


def test_a_snapshot_does_not_change_as_the_market_goes_on():
    bars = bars_between(at("12:00"), at("20:00"))
    history = after(bars[:40])
    snapshot = take_snapshot(history, DAY_START, taken_at=bars[39].closed_at)
    frames = dict(snapshot.frames)
    kept = {
        t: (f.closed_at, f.series.close.tolist(), dict(f.indicators)) for t, f in frames.items()
    }
    after([replace(bar, close=bar.high) for bar in bars[40:]], history)
    assert dict(snapshot.frames) == frames
    for timeframe, frame in snapshot.frames.items():
        assert (frame.closed_at, frame.series.close.tolist(), dict(frame.indicators)) == kept[
            timeframe
        ]


def test_a_frame_without_a_closed_bar_is_absent():
    history = after(bars_between(at("14:20"), at("14:40")))
    assert set(history.frames) == {M5}
    after(bars_between(at("14:40"), at("14:45")), history)
    assert set(history.frames) == {M5, M15}


def test_a_history_keeps_no_more_bars_than_asked_for():
    history = after(bars_between(at("00:00"), at("06:00")))
    assert len(history.frames[M5].series) == 10
    assert history.count == 72


def test_it_decides_on_a_longer_timeframe_than_it_is_fed():
    history = after(bars_between(at("12:00"), at("12:35")), a_history(deciding=M15, base=M5))
    assert history.count == 2
    assert history.bar.timeframe is M15
    assert history.bar.closed_at == at("12:30")
    snapshot = take_snapshot(history, DAY_START, taken_at=at("12:35"))
    assert snapshot.primary.closed_at == at("12:30")


@pytest.mark.parametrize(
    ("bar", "why"),
    [
        pytest.param(a_bar(at("12:10"), symbol=Symbol("XRP/USDT")), "XRP/USDT", id="other symbol"),
        pytest.param(a_bar(at("12:15"), timeframe=M15), "15m", id="other timeframe"),
        pytest.param(a_bar(at("12:05")), "closed", id="the same again"),
        pytest.param(a_bar(at("12:00")), "closed", id="before the newest"),
        pytest.param(a_bar(at("12:12")), "closed", id="off the grid"),
    ],
)
def test_an_unexpected_bar_is_refused_and_changes_nothing(bar, why):
    history = after([a_bar(at("12:05"))])
    with pytest.raises(UnexpectedBar, match=why):
        history.add(bar)
    assert history.count == 1
    history.add(a_bar(at("12:10")))
    assert history.count == 2


def test_the_first_bar_stands_on_the_grid():
    with pytest.raises(UnexpectedBar):
        a_history().add(a_bar(at("12:03")))


def test_bars_may_be_missing():
    history = after([a_bar(at("12:05")), a_bar(at("13:05")), a_bar(at("13:10"))])
    assert history.count == 3


def test_a_history_begins_with_bars_of_every_size():
    bars = bars_between(at("00:00"), at("14:35"))
    hours = bars_between(at("00:00"), at("14:00"), timeframe=H1)
    quarters = bars_between(at("12:00"), at("14:30"), timeframe=M15)
    begun, fed = a_history(), after(bars)
    begun.begin({H1: hours, M15: quarters, M5: bars[-10:]})
    assert begun.frames[H1].series.closed_at.tolist() == fed.frames[H1].series.closed_at.tolist()
    assert begun.count == 10
    for bar in bars_between(at("14:35"), at("15:00")):
        begun.add(bar)
        fed.add(bar)
    made, told = begun.frames[H1].series, fed.frames[H1].series
    assert made.volume.tolist() == [1.0] * 9 + [8.0]  # two quarters, and six bars of five minutes
    assert made.closed_at.tolist() == told.closed_at.tolist()


def test_a_past_without_bars_changes_nothing():
    history = a_history()
    history.begin({M5: [], H1: []})
    assert seen_after(history, "12:05") == seen_after(a_history(), "12:05")


def seen_after(history, time):
    history.add(a_bar(at(time)))
    return history.count, set(history.frames), history.bar


@pytest.mark.parametrize(
    "past",
    [
        pytest.param({M15: [a_bar(at("12:05"))]}, id="of another size"),
        pytest.param({M5: [a_bar(at("12:05"), symbol=Symbol("XRP/USDT"))]}, id="other symbol"),
        pytest.param({M5: [a_bar(at("12:10")), a_bar(at("12:05"))]}, id="not in order"),
        pytest.param({M5: [a_bar(at("12:05")), a_bar(at("12:05"))]}, id="twice"),
        pytest.param({M5: [a_bar(at("12:07"))]}, id="off the grid"),
        pytest.param(
            {Timeframe.M1: [a_bar(at("12:05"), timeframe=Timeframe.M1)]}, id="shorter than base"
        ),
    ],
)
def test_a_past_that_is_none_is_refused_and_changes_nothing(past):
    history = a_history()
    with pytest.raises(UnexpectedBar):
        history.begin({H1: [a_bar(at("11:00"), timeframe=H1)], **past})
    assert history.frames == {}
    assert history.count == 0


def test_after_a_past_only_newer_bars_are_taken():
    history = a_history()
    history.begin({M5: [a_bar(at("12:05"))], H1: [a_bar(at("12:00"), timeframe=H1)]})
    with pytest.raises(UnexpectedBar):
        history.add(a_bar(at("12:05")))
    history.add(a_bar(at("12:10")))
    assert history.count == 2


@pytest.mark.parametrize(
    ("taken_at", "as_of"),
    [
        pytest.param(at("12:04"), at("12:00"), id="the bar had not closed"),
        pytest.param(at("12:05"), at("12:06"), id="the account is of later"),
    ],
)
@pytest.mark.req("S1-105")
def test_look_ahead_is_refused(taken_at, as_of):
    history = after([a_bar(at("12:05"))])
    with pytest.raises(LookAhead) as refused:
        take_snapshot(history, an_account(as_of), taken_at=taken_at)
    assert isinstance(refused.value, Corrupt)


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(seconds=2)])
def test_what_closed_by_then_may_be_seen(delay):
    history = after([a_bar(at("12:05"))])
    snapshot = take_snapshot(history, an_account(at("12:05")), taken_at=at("12:05") + delay)
    assert snapshot.bar == a_bar(at("12:05"))


def test_nothing_is_known_before_the_first_bar():
    with pytest.raises(NothingKnown):
        take_snapshot(a_history(), DAY_START, taken_at=at("12:05"))


@pytest.mark.parametrize(
    ("frames", "deciding", "base"),
    [
        pytest.param({M15: ()}, M5, None, id="the deciding one is not asked for"),
        pytest.param({M5: (), M15: ()}, M15, M15, id="shorter than what it is fed"),
    ],
)
def test_frames_that_cannot_be_made_are_refused(frames, deciding, base):
    with pytest.raises(ValueError, match="give no frames"):
        a_history(frames, deciding=deciding, base=base)


def test_the_same_bars_give_the_same_numbers_one_by_one_and_as_a_series():
    bars = bars_between(at("00:00"), at("12:00"))
    history = after(bars, a_history({M5: (Sma(3),)}, capacity=200))
    batch = Sma(3).batch(BarSeries.of(bars))["sma_3"]
    assert history.frames[M5].indicators["sma_3"] == batch[-1]
