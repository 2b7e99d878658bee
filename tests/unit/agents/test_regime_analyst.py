"""One bar's regime by the rules, and the regime in force by the hysteresis."""

import pickle

import pytest

from agents.analysts.regime import NO_READING, Reading, RegimeAnalyst, classify, read, settle
from data.instrument import Symbol
from data.regime import Regime
from tests.builders_agents import BTC, START, a_bar, a_snapshot

BULL, BEAR, RANGING = Regime.TRENDING_BULL, Regime.TRENDING_BEAR, Regime.RANGING
CHOPPY, BREAKOUT, UNKNOWN = Regime.CHOPPY, Regime.BREAKOUT_POTENTIAL, Regime.UNKNOWN
NAN = float("nan")


def classified(**changed):
    numbers = {
        "close": 100.0,
        "fast_ema": 99.0,
        "slow_ema": 98.0,
        "adx": 15.0,
        "atr": 1.0,
        "choppiness": 50.0,
        "squeeze": 0.0,
    }
    return classify(**{**numbers, **changed})


BETWEEN = {"fast_ema": 99.0, "slow_ema": 101.0}
BELOW = {"fast_ema": 101.0, "slow_ema": 102.0}


@pytest.mark.req("S0-10")
@pytest.mark.parametrize(
    ("changed", "regime"),
    [
        pytest.param({"adx": 25.1}, BULL, id="trend above the EMAs"),
        pytest.param({"adx": 25.1, **BELOW}, BEAR, id="trend below the EMAs"),
        pytest.param({"adx": 25.1, "squeeze": 1.0}, BULL, id="a trend before a squeeze"),
        pytest.param({"squeeze": 1.0}, BREAKOUT, id="squeeze"),
        pytest.param({"squeeze": 1.0, "choppiness": 70.0}, BREAKOUT, id="squeeze before chop"),
        pytest.param({"adx": 19.9, "choppiness": 60.1}, RANGING, id="no trend and chop"),
        pytest.param({"adx": 20.0, "choppiness": 60.1}, CHOPPY, id="chop against some trend"),
        pytest.param({"adx": 40.0, "choppiness": 65.0, **BETWEEN}, CHOPPY, id="chop, no side"),
        pytest.param({"atr": 3.0}, Regime.VOLATILE_BULL, id="3 % range, up"),
        pytest.param({"atr": 6.0, "adx": 40.0, **BELOW}, Regime.VOLATILE_BEAR, id="6 %, down"),
        pytest.param({"atr": 3.0, **BETWEEN}, CHOPPY, id="3 % range without a side"),
        pytest.param({"adx": 25.1, "atr": 2.99}, BULL, id="just under 3 %"),
    ],
)
def test_a_named_market_is_named_with_confidence(changed, regime):
    reading = classified(**changed)
    assert reading.regime is regime
    assert 0.7 <= reading.confidence <= 1.0


@pytest.mark.parametrize(
    ("changed", "regime"),
    [
        pytest.param({}, RANGING, id="no trend, no chop"),
        pytest.param({"adx": 22.0}, CHOPPY, id="half a trend"),
        pytest.param({"adx": 25.0}, CHOPPY, id="ADX at 25 is not above it"),
        pytest.param({"adx": 19.9, "choppiness": 60.0}, RANGING, id="choppiness at 60"),
        pytest.param({"adx": 40.0, **BETWEEN}, CHOPPY, id="trend without a side"),
    ],
)
def test_an_unclear_market_changes_nothing(changed, regime):
    assert classified(**changed) == Reading(regime, 0.5)


@pytest.mark.parametrize(
    "name", ["close", "fast_ema", "slow_ema", "adx", "atr", "choppiness", "squeeze"]
)
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_a_missing_number_is_no_reading(name, value):
    assert classified(**{name: value}) == NO_READING


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        pytest.param({"adx": 26.0}, {"adx": 48.0}, id="trend by ADX"),
        pytest.param({"atr": 3.0}, {"atr": 4.9}, id="volatility by ATR"),
        pytest.param(
            {"adx": 19.0, "choppiness": 61.0}, {"adx": 2.0, "choppiness": 61.0}, id="range by ADX"
        ),
        pytest.param(
            {"adx": 22.0, "choppiness": 61.0}, {"adx": 22.0, "choppiness": 99.0}, id="chop"
        ),
    ],
)
def test_confidence_grows_past_the_threshold(weaker, stronger):
    assert classified(**weaker).confidence < classified(**stronger).confidence <= 1.0


@pytest.mark.parametrize(
    ("readings", "in_force"),
    [
        pytest.param([(BULL, 0.7)], [UNKNOWN], id="one reading is not enough"),
        pytest.param([(BULL, 0.7), (BULL, 0.7)], [UNKNOWN, BULL], id="two at exactly 0.7"),
        pytest.param([(BULL, 0.9), (BULL, 0.69)], [UNKNOWN, UNKNOWN], id="the second unsure"),
        pytest.param([(BULL, 0.69), (BULL, 0.9)], [UNKNOWN, UNKNOWN], id="the first unsure"),
        pytest.param(
            [(BULL, 0.9), (BEAR, 0.9), (BULL, 0.9), (BEAR, 0.9)], [UNKNOWN] * 4, id="no flapping"
        ),
        pytest.param(
            [(BULL, 0.9), (RANGING, 0.5), (BULL, 0.9)], [UNKNOWN] * 3, id="not consecutive"
        ),
        pytest.param(
            [(BULL, 0.9)] * 2 + [(BEAR, 0.9), (BULL, 0.5), (BEAR, 0.9)],
            [UNKNOWN] + [BULL] * 4,
            id="the regime in force resets the streak",
        ),
        pytest.param(
            [(BULL, 0.9)] * 2 + [(BEAR, 0.9)] * 2, [UNKNOWN, BULL, BULL, BEAR], id="bull to bear"
        ),
        pytest.param(
            [(BULL, 0.9)] * 2 + [NO_READING, (BULL, 0.9), (BULL, 0.9)],
            [UNKNOWN, BULL, UNKNOWN, UNKNOWN, BULL],
            id="no reading is unknown at once",
        ),
    ],
)
def test_a_regime_changes_after_two_confident_readings(readings, in_force):
    state, seen = None, []
    for reading in readings:
        state = settle(state, Reading(*reading), START)
        seen.append(state.regime)
    assert seen == in_force


def bars(count, symbol=BTC):
    return [a_snapshot(bars=[a_bar(index=index, symbol=symbol)]) for index in range(count)]


def test_the_analyst_reports_what_is_in_force_and_what_it_read():
    analyst = RegimeAnalyst()
    first, second = (analyst.report(snapshot) for snapshot in bars(2))
    assert (first.regime, first.reading) == (UNKNOWN, BULL)
    assert (second.regime, second.reading) == (BULL, BULL)
    assert second.confidence == read(bars(1)[0]).confidence


def test_reading_a_bar_again_changes_nothing():
    analyst = RegimeAnalyst()
    snapshot = bars(1)[0]
    assert analyst.report(snapshot) == analyst.report(snapshot)
    assert analyst.states[BTC].streak == 1


def test_symbols_do_not_share_a_memory():
    analyst = RegimeAnalyst()
    for snapshot in bars(2):
        analyst.report(snapshot)
    other = bars(1, Symbol("XRP/USDT"))[0]
    assert analyst.report(other).regime is UNKNOWN
    assert analyst.states[BTC].regime is BULL


def test_a_restart_goes_on_where_it_stopped():
    before = RegimeAnalyst()
    first, second = bars(2)
    before.report(first)
    after = RegimeAnalyst(pickle.loads(pickle.dumps(before.states)))
    assert after.report(second) == before.report(second)
    assert after.report(second).regime is BULL
