"""What every indicator keeps to in any market."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.indicators import (
    STANDARD,
    Adx,
    Atr,
    BollingerBands,
    Choppiness,
    Ema,
    KeltnerChannel,
    Macd,
    MeanAtr,
    Roc,
    Rsi,
    Sma,
    Squeeze,
    StochasticRsi,
    Supertrend,
    VolumeSma,
)
from tests.builders_market import a_series, synthetic_rows

SHORT = (
    Ema(1), Ema(3), Ema(5, "first"), Sma(1), Sma(4), Adx(2), Supertrend(3, 1.5), Rsi(2), Roc(1),
    StochasticRsi(3, 4, 2, 2), Macd(2, 5, 3), Atr(1), MeanAtr(3, 5), BollingerBands(5, 1.5),
    Choppiness(3), KeltnerChannel(4, 6, 1.0), VolumeSma(3), Squeeze(6),
)  # fmt: skip
ALL = (*STANDARD, *SHORT)

stretches = st.lists(
    st.tuples(
        st.sampled_from(["walk", "trend", "jump", "still", "silent"]),
        st.integers(min_value=1, max_value=60),
    ),
    max_size=6,
)
markets = st.builds(
    synthetic_rows,
    stretches,
    st.integers(min_value=0, max_value=2**32),
    price=st.sampled_from([2e-5, 1.0, 60_000.0]),
)
IN_BOUNDS = {"adx": (0, 100), "rsi": (0, 100), "stoch_rsi": (0, 100), "squeeze": (0, 1)}


def streamed(indicator, rows):
    state = indicator.start()
    return np.array([state.update(*row) for row in rows]).reshape(-1, len(indicator.names)).T


@settings(max_examples=25, deadline=None)
@given(rows=markets)
def test_bar_by_bar_is_as_good_as_the_whole_series(rows):
    rounding = 1e-15 + 1e-14 * max((row[4] for row in rows), default=0.0)
    for indicator in ALL:
        batch = indicator.batch(a_series(rows))
        for name, stream in zip(indicator.names, streamed(indicator, rows), strict=True):
            share, size = 1e-9, np.nanmax(np.abs(stream), initial=0.0)
            if name.startswith("stoch_rsi"):  # divides by an RSI range of no less than 1e-6
                share, size = 1e-6, 100.0
            np.testing.assert_allclose(
                batch[name], stream, rtol=share, atol=share * size + rounding, err_msg=name
            )


@settings(max_examples=25, deadline=None)
@given(rows=markets, seen=st.integers(min_value=0, max_value=200))
def test_no_value_depends_on_a_later_bar(rows, seen):
    for indicator in ALL:
        whole, cut = indicator.batch(a_series(rows)), indicator.batch(a_series(rows[:seen]))
        for name in indicator.names:
            np.testing.assert_array_equal(cut[name], whole[name][:seen], err_msg=name)


@settings(max_examples=50, deadline=None)
@given(rows=markets)
def test_oscillators_stay_in_bounds_and_nothing_is_infinite(rows):
    for indicator in ALL:
        for name, values in zip(indicator.names, streamed(indicator, rows), strict=True):
            assert not np.isinf(values).any(), name
            for prefix, (lowest, highest) in IN_BOUNDS.items():
                if name.startswith(prefix):
                    known = values[~np.isnan(values)]
                    assert (known >= lowest - 1e-9).all(), name
                    assert (known <= highest + 1e-9).all(), name
