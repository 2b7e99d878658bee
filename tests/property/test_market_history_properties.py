"""What a history shows of any market, with any bars missing."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Resampler, Timeframe
from data.indicators import Ema
from data.snapshot import MarketHistory, take_snapshot
from tests.builders_market import MIDNIGHT, a_bar, an_account, an_instrument

M1 = Timeframe.M1
HIGHER = (Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1)
markets = st.lists(
    st.tuples(
        st.integers(min_value=1, max_value=40),  # minutes since the bar before
        st.integers(min_value=1, max_value=500),
        st.integers(min_value=0, max_value=30),
        st.integers(min_value=0, max_value=9),
    ),
    min_size=1,
    max_size=80,
)


def bars_of(steps):
    minute, bars = 0, []
    for wait, close, wick, volume in steps:
        minute += wait
        bars.append(
            a_bar(
                MIDNIGHT + timedelta(minutes=minute), close + 100, high=close + 100 + wick,
                low=close + 100 - wick, volume=volume, timeframe=M1,
            )
        )  # fmt: skip
    return bars


def expected(bars, timeframe):
    """(closed_at, open, high, low, close, volume) of every interval that has ended, by grouping."""
    groups = {}
    for bar in bars:
        groups.setdefault(timeframe.close_after(bar.opened_at), []).append(bar)
    first = timeframe.close_after(bars[0].opened_at)
    if bars[0].opened_at != first - timeframe.delta:
        del groups[first]
    return [
        (at, g[0].open, max(b.high for b in g), min(b.low for b in g), g[-1].close,
         sum((b.volume for b in g), Decimal(0)))
        for at, g in groups.items() if at <= bars[-1].closed_at
    ]  # fmt: skip


@given(steps=markets)
def test_longer_bars_are_the_intervals_that_ended(steps):
    bars = bars_of(steps)
    for timeframe in HIGHER:
        resampler = Resampler(timeframe)
        longer = [b for bar in bars for b in resampler.add(bar)]
        made = [(b.closed_at, b.open, b.high, b.low, b.close, b.volume) for b in longer]
        assert made == expected(bars, timeframe)


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
