"""Indicators against TA-Lib, against themselves bar by bar, and at the edges of a market."""

import numpy as np
import pytest
import talib

from data.indicators import (
    STANDARD,
    Adx,
    Atr,
    BollingerBands,
    Choppiness,
    Ema,
    IndicatorBank,
    KeltnerChannel,
    Macd,
    MeanAtr,
    Obv,
    Roc,
    Rsi,
    Sma,
    Squeeze,
    StochasticRsi,
    Supertrend,
    VolumeSma,
    Vwap,
)
from tests.builders_market import (
    BITCOIN,
    RIPPLE_IN_BITCOIN,
    a_series,
    recorded_rows,
    synthetic_rows,
)

WALK = synthetic_rows([("walk", 300), ("trend", 100), ("jump", 100), ("walk", 100)], seed=11)
FIRST = (Ema(20, "first"), Ema(50, "first"))
ANY = pytest.mark.parametrize("indicator", (*STANDARD, *FIRST), ids=lambda i: i.names[0])


def streamed(indicator, rows):
    """Every output by name, bar by bar, shape (n,) each."""
    state = indicator.start()
    values = np.array([state.update(*row) for row in rows]).reshape(-1, len(indicator.names))
    return dict(zip(indicator.names, values.T, strict=True))


def assert_same(actual, expected, *, after=0):
    """Equal to 1e-9 of the value, or of the line's own size where the value is near zero."""
    actual, expected = actual[after:], expected[after:]
    size = np.nanmax(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9 * size)


@ANY
@pytest.mark.parametrize("file", [BITCOIN, RIPPLE_IN_BITCOIN], ids=["BTC", "XRP-in-BTC"])
def test_stream_and_batch_agree_on_recorded_bars(indicator, file, shared_data):
    rows = recorded_rows(shared_data / file, 6000)
    batch, stream = indicator.batch(a_series(rows)), streamed(indicator, rows.tolist())
    for name in indicator.names:
        assert_same(stream[name], batch[name])


@pytest.mark.parametrize(
    ("indicator", "first"),
    [
        *(pytest.param(Ema(n), n - 1, id=f"EMA {n}") for n in (9, 21, 50, 200)),
        pytest.param(Ema(20, "first"), 0, id="EMA seeded by the first close"),
        *(pytest.param(Sma(n), n - 1, id=f"SMA {n}") for n in (20, 50, 200)),
        pytest.param(Adx(14), 27, id="ADX"),
        pytest.param(Supertrend(10, 3.0), 10, id="Supertrend"),
        pytest.param(Rsi(14), 14, id="RSI"),
        pytest.param(Roc(10), 10, id="ROC"),
        pytest.param(StochasticRsi(14, 14, 3, 3), 31, id="stochastic RSI"),
        pytest.param(Macd(12, 26, 9), 34, id="MACD"),
        pytest.param(Atr(14), 14, id="ATR"),
        pytest.param(MeanAtr(14, 20), 33, id="mean ATR"),
        pytest.param(BollingerBands(20, 2.0), 19, id="Bollinger"),
        pytest.param(KeltnerChannel(20, 10, 2.0), 19, id="Keltner"),
        pytest.param(Obv(), 0, id="OBV"),
        pytest.param(Vwap(), 0, id="VWAP"),
        pytest.param(VolumeSma(20), 19, id="volume SMA"),
        pytest.param(Choppiness(14), 14, id="choppiness"),
        pytest.param(Squeeze(20), 20, id="squeeze"),
    ],
)
@pytest.mark.req("S0-13")
def test_warm_up_is_nan_and_ends_where_the_table_says(indicator, first):
    for lines in (indicator.batch(a_series(WALK)), streamed(indicator, WALK)):
        for name in indicator.names:
            assert np.isnan(lines[name][:first]).all(), name
            assert np.isfinite(lines[name][first:]).all(), name


@ANY
@pytest.mark.parametrize("seen", [0, 1, 2, 14, 20, 35, 200, 431])
def test_a_cut_series_gives_the_same_beginning(indicator, seen):
    whole, cut = indicator.batch(a_series(WALK)), indicator.batch(a_series(WALK[:seen]))
    for name in indicator.names:
        np.testing.assert_array_equal(cut[name], whole[name][:seen])


def columns(rows):
    """high, low, close, volume as TA-Lib takes them."""
    return (np.ascontiguousarray(column) for column in np.asarray(rows).T[2:])


@pytest.mark.parametrize("indicator", [Ema(9), Ema(200), Sma(20), Rsi(14), Roc(10)], ids=str)
def test_averages_and_momentum_agree_with_talib(indicator, shared_data):
    rows = recorded_rows(shared_data / BITCOIN, 5000)
    _, _, close, _ = columns(rows)
    (name,) = indicator.names
    oracle = getattr(talib, type(indicator).__name__.upper())(close, indicator.period)
    assert_same(indicator.batch(a_series(rows))[name], oracle)
    assert_same(streamed(indicator, rows.tolist())[name], oracle)


@pytest.mark.parametrize("indicator", [Adx(14), Atr(14)], ids=str)
def test_ranges_agree_with_talib(indicator, shared_data):
    rows = recorded_rows(shared_data / BITCOIN, 5000)
    high, low, close, _ = columns(rows)
    (name,) = indicator.names
    oracle = getattr(talib, type(indicator).__name__.upper())(high, low, close, 14)
    assert_same(indicator.batch(a_series(rows))[name], oracle)
    assert_same(streamed(indicator, rows.tolist())[name], oracle)


def test_macd_is_the_difference_of_averages_and_meets_talib(shared_data):
    rows = recorded_rows(shared_data / BITCOIN, 5000)
    _, _, close, _ = columns(rows)
    lines = streamed(Macd(), rows.tolist())
    difference = talib.EMA(close, 12) - talib.EMA(close, 26)
    assert_same(lines["macd_12_26_9"], difference, after=34)
    assert_same(lines["macd_signal_12_26_9"], talib.EMA(difference, 9), after=34)
    for name, expected in zip(Macd().names, talib.MACD(close, 12, 26, 9), strict=True):
        assert_same(lines[name], expected, after=200)  # its other seed is forgotten by then


def test_stochastic_rsi_agrees_with_talib(shared_data):
    rows = recorded_rows(shared_data / BITCOIN, 5000)
    _, _, close, _ = columns(rows)
    indicator = StochasticRsi(14, 14, 1, 3)  # TA-Lib's %K is not smoothed
    lines = streamed(indicator, rows.tolist())
    for name, expected in zip(indicator.names, talib.STOCHRSI(close, 14, 14, 3), strict=True):
        assert_same(lines[name], expected)


def test_bands_agree_with_talib(shared_data):
    rows = recorded_rows(shared_data / BITCOIN, 5000)
    high, low, close, _ = columns(rows)
    bands = streamed(BollingerBands(), rows.tolist())
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    assert_same(bands["bb_upper_20"], upper)
    assert_same(bands["bb_middle_20"], middle)
    assert_same(bands["bb_lower_20"], lower)
    np.testing.assert_allclose(bands["bb_width_20"], (upper - lower) / middle, rtol=1e-6)
    position = (close - lower) / (upper - lower)
    np.testing.assert_allclose(bands["bb_position_20"], position, atol=1e-6)
    channel = streamed(KeltnerChannel(), rows.tolist())
    middle, reach = talib.EMA(close, 20), 2.0 * talib.ATR(high, low, close, 10)
    assert_same(channel["kc_upper_20"], middle + reach)
    assert_same(channel["kc_lower_20"], middle - reach)
    inside = 2.0 * talib.STDDEV(close, 20) < 1.5 * talib.SMA(talib.TRANGE(high, low, close), 20)
    squeezed = streamed(Squeeze(), rows.tolist())["squeeze_20"]
    np.testing.assert_array_equal(squeezed[20:], inside[20:])


def test_volume_agrees_with_talib(shared_data):
    rows = recorded_rows(shared_data / BITCOIN, 5000)
    _, _, close, volume = columns(rows)
    lines = streamed(VolumeSma(), rows.tolist())
    assert_same(streamed(Obv(), rows.tolist())["obv"], talib.OBV(close, volume))
    assert_same(lines["volume_sma_20"], talib.SMA(volume, 20))
    assert_same(lines["volume_ratio_20"], volume / talib.SMA(volume, 20))


def test_choppiness_is_the_path_over_the_ground_covered(shared_data):
    rows = recorded_rows(shared_data / BITCOIN, 5000)
    high, low, close, _ = columns(rows)
    path = talib.SUM(talib.TRANGE(high, low, close), 14)
    ground = talib.MAX(high, 14) - talib.MIN(low, 14)
    expected = 100.0 * np.log10(path / ground) / np.log10(14)
    assert_same(streamed(Choppiness(), rows.tolist())["choppiness_14"], expected)


def test_an_average_seeded_by_the_first_close_is_the_plain_recursion():
    alpha, value, expected = 2 / 21, None, []
    for row in WALK:
        value = row[4] if value is None else value + alpha * (row[4] - value)
        expected.append(value)
    assert streamed(Ema(20, "first"), WALK)["ema_20_first"].tolist() == expected
    assert Ema(20, "first").batch(a_series(WALK))["ema_20_first"].tolist() == expected


@pytest.mark.parametrize(
    ("minutes", "price", "expected"),
    [
        pytest.param([1, 2], [10.0, 20.0], [10.0, 15.0], id="one session"),
        pytest.param([1440, 1441], [10.0, 20.0], [10.0, 20.0], id="midnight ends the day"),
        pytest.param([1439, 1440], [10.0, 20.0], [10.0, 15.0], id="the last bar of the day"),
        pytest.param([1, 3000], [10.0, 20.0], [10.0, 20.0], id="across a missing day"),
    ],
)
def test_vwap_starts_anew_each_utc_day(minutes, price, expected):
    rows = [(60.0 * m, p, p, p, p, 2.0) for m, p in zip(minutes, price, strict=True)]
    assert streamed(Vwap(), rows)["vwap"].tolist() == expected
    assert Vwap().batch(a_series(rows))["vwap"].tolist() == expected


UNDEFINED = {
    "rsi_14", "stoch_rsi_k_14_14_3_3", "stoch_rsi_d_14_14_3_3", "bb_position_20", "vwap",
    "volume_ratio_20", "choppiness_14",
}  # fmt: skip
AT_ZERO = {
    "adx_14", "atr_14", "roc_10", "macd_12_26_9", "macd_signal_12_26_9",
    "macd_histogram_12_26_9", "bb_width_20", "obv", "volume_sma_20", "squeeze_20",
}  # fmt: skip
DIRECTION = "supertrend_direction_10_3"


@ANY
@pytest.mark.parametrize("price", [0.1, 2e-5, 60_000.0])
def test_a_market_that_never_moved_nor_traded(indicator, price):
    rows = [(60.0 * (i + 1), price, price, price, price, 0.0) for i in range(300)]
    for lines in (indicator.batch(a_series(rows)), streamed(indicator, rows)):
        for name in indicator.names:
            last = lines[name][-1]
            if name in UNDEFINED:
                assert np.isnan(last), name
            elif name in AT_ZERO:
                assert last == pytest.approx(0.0, abs=1e-12), name
            else:
                assert last == pytest.approx(1.0 if name == DIRECTION else price), name


def test_a_market_that_stops_and_starts_again_reads_the_same_either_way():
    stretches = [("walk", 80), ("still", 60), ("walk", 60), ("silent", 60), ("jump", 60)]
    rows = synthetic_rows(stretches, seed=5)
    for indicator in STANDARD:
        batch, stream = indicator.batch(a_series(rows)), streamed(indicator, rows)
        for name in indicator.names:
            assert_same(stream[name], batch[name])


def test_a_strictly_rising_market_has_full_strength_and_no_stochastic():
    rows = [(60.0 * (i + 1), 100.0 + i, 100.0 + i, 100.0 + i, 100.0 + i, 1.0) for i in range(80)]
    for indicator in (Rsi(), StochasticRsi()):
        for lines in (indicator.batch(a_series(rows)), streamed(indicator, rows)):
            expected = 100.0 if indicator == Rsi() else np.nan
            assert lines[indicator.names[0]][-1] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Ema(0), id="no period"),
        pytest.param(lambda: BollingerBands(1), id="no spread in one value"),
        pytest.param(lambda: Choppiness(1), id="logarithm of one"),
        pytest.param(lambda: Macd(26, 12, 9), id="fast above slow"),
        pytest.param(lambda: Supertrend(10, float("nan")), id="no multiplier"),
        pytest.param(lambda: IndicatorBank((Rsi(14), Rsi(14))), id="two of one name"),
        pytest.param(
            lambda: IndicatorBank((BollingerBands(20, 2.0), BollingerBands(20, 3.0))),
            id="two of one name that differ",
        ),
    ],
)
def test_senseless_parameters_are_refused(make):
    with pytest.raises(ValueError, match=r"period|fast|multiplier|named"):
        make()


def test_a_bank_gives_each_bar_a_dict_of_its_own():
    bank = IndicatorBank(STANDARD)
    readings = [bank.update(*row) for row in WALK]
    kept = dict(readings[250])
    bank.update(*WALK[0])
    assert readings[250] == kept
    assert set(kept) == {name for indicator in STANDARD for name in indicator.names}
    assert kept["rsi_14"] == streamed(Rsi(14), WALK)["rsi_14"][250]
