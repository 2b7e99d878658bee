"""What a history shows of any market, with any bars missing."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Timeframe
from data.indicators import Ema
from data.snapshot import MarketHistory, take_snapshot
from tests.builders_history import (
    DECIDING,
    HIGHER,
    M1,
    a_history,
    bars_of,
    folded,
    markets,
    seen_by,
    trade_counts,
    with_trades,
)
from tests.builders_market import MIDNIGHT, an_account, an_instrument


def expected(bars, timeframe):
    """(closed_at, open, high, low, close, volume) of every interval that has ended, by grouping."""
    groups = {}
    for bar in bars:
        groups.setdefault(timeframe.close_after(bar.opened_at), []).append(bar)
    first = timeframe.close_after(bars[0].opened_at)
    if bars[0].opened_at != first - timeframe.delta:
        del groups[first]
    priced = {at: [b for b in g if b.trades != 0] or g for at, g in groups.items()}
    return [
        (at, p[0].open, max(b.high for b in p), min(b.low for b in p), p[-1].close,
         sum((b.volume for b in groups[at]), Decimal(0)))
        for at, p in priced.items() if at <= bars[-1].closed_at
    ]  # fmt: skip


@given(steps=markets, counts=trade_counts)
def test_longer_bars_are_the_intervals_that_ended(steps, counts):
    bars = with_trades(bars_of(steps), counts)
    for timeframe in HIGHER:
        longer = folded(bars, timeframe)
        made = [(b.closed_at, b.open, b.high, b.low, b.close, b.volume) for b in longer]
        assert made == expected(bars, timeframe)


@given(steps=markets, counts=trade_counts)
def test_bars_folded_twice_are_those_folded_once(steps, counts):
    bars = with_trades(bars_of(steps), counts)
    for part, whole in ((Timeframe.M5, Timeframe.M15), (Timeframe.M30, Timeframe.H1)):
        once = {bar.closed_at: bar for bar in folded(bars, whole)}
        parts = folded(bars, part)
        for bar in folded(parts, whole):
            if bar.closed_at in once:
                assert bar == once[bar.closed_at]


@settings(max_examples=60)
@given(
    steps=markets,
    counts=trade_counts,
    cut=st.integers(min_value=0, max_value=80),
    without=st.sets(st.sampled_from(HIGHER)),
)
def test_a_history_begun_with_longer_bars_goes_on_as_one_that_saw_every_minute(
    steps, counts, cut, without
):
    bars = with_trades(bars_of(steps), counts)
    before = bars[:cut]
    past = {t: folded(before, t) for t in HIGHER if t not in without}
    if len(past) == len(HIGHER) and all(past.values()):  # minutes are needed since the newest 5m
        before = [bar for bar in before if bar.opened_at >= past[DECIDING][-1].closed_at]
    begun, fed = a_history(), a_history()
    begun.begin({**past, M1: before})
    for bar in bars[:cut]:
        fed.add(bar)
    assert seen_by(begun) == seen_by(fed)
    for bar in bars[cut:]:
        begun.add(bar)
        fed.add(bar)
        assert seen_by(begun) == seen_by(fed)


@settings(max_examples=50)
@given(steps=markets)
def test_nothing_in_a_snapshot_closed_after_it(steps):
    history = MarketHistory(
        an_instrument(), M1, dict.fromkeys((M1, *HIGHER), (Ema(3, "first"),)), capacity=5
    )
    for bar in bars_of(steps):
        history.add(bar)
        snapshot = take_snapshot(history, an_account(MIDNIGHT), taken_at=bar.closed_at)
        for timeframe, frame in snapshot.frames.items():
            assert frame.closed_at <= snapshot.taken_at
            assert timeframe.closes_at(frame.closed_at)
            assert frame.series.closed_at[-1] <= snapshot.primary.series.closed_at[-1]
