"""Markets with any minutes missing, and histories of them."""

import itertools
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st

from data.bar import Resampler, Timeframe
from data.indicators import Ema, VolumeSma
from data.snapshot import MarketHistory
from tests.builders_market import MIDNIGHT, a_bar, an_instrument

M1 = Timeframe.M1
HIGHER = (Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1)
DECIDING = Timeframe.M5
FRAMES = {t: (Ema(3), Ema(2, "first"), VolumeSma(2)) for t in HIGHER}

trade_counts = st.lists(st.sampled_from([0, 0, 0, 1, 7, None]), min_size=1, max_size=9)
markets = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 1, 2, 5, 13, 40]),  # minutes since the bar before
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


def with_trades(bars, counts):
    """The same, each with a count of trades; one of 0 has the close before as all its prices."""
    told, close = [], bars[0].open
    for bar, trades in zip(bars, itertools.cycle(counts), strict=False):
        if trades == 0:
            bar = replace(bar, open=close, high=close, low=close, close=close, volume=Decimal(0))
        told.append(replace(bar, trades=trades))
        close = bar.close
    return told


def folded(bars, timeframe):
    resampler = Resampler(timeframe)
    return [longer for bar in bars for longer in resampler.add(bar)]


def a_history():
    """Fed minutes, deciding on five of them, and looking at all of `HIGHER`."""
    return MarketHistory(an_instrument(), DECIDING, FRAMES, capacity=50, base=M1)


def seen_by(history):
    """Everything that a history shows, to be compared."""
    return (
        history.count,
        history.bar,
        {
            timeframe: (
                frame.closed_at,
                frame.series.closed_at.tolist(),
                frame.series.open.tolist(),
                frame.series.high.tolist(),
                frame.series.low.tolist(),
                frame.series.close.tolist(),
                frame.series.volume.tolist(),
                {name: repr(value) for name, value in frame.indicators.items()},  # NaN is NaN
            )
            for timeframe, frame in history.frames.items()
        },
    )
