"""What no market may make of the rules that read it."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.analysts.regime import Reading, RegimeState, classify, settle
from agents.council.baselines import BASELINES
from agents.council.strategy import Council, exit_prices
from data.bar import Timeframe
from data.regime import Regime
from risk.intent import Direction, Purpose
from tests.builders_agents import BTC, COUNCIL, START, a_bar, a_snapshot, an_instrument, council_of

numbers = st.floats(allow_nan=True, allow_infinity=True)
prices = st.floats(min_value=1, max_value=1000)
averages = st.one_of(prices, st.just(float("nan")))
ranges = st.one_of(st.floats(min_value=0, max_value=20), st.just(float("nan")))
sides = st.sampled_from([Direction.LONG, Direction.SHORT])
regimes = st.sampled_from(Regime)
RULES = [make() for make in BASELINES.values()]


@given(values=st.lists(numbers, min_size=6, max_size=6), close=prices)
def test_any_numbers_are_read_as_something(values, close):
    names = ("fast_ema", "slow_ema", "adx", "atr", "choppiness", "squeeze")
    regime, confidence = classify(close=close, **dict(zip(names, values, strict=True)))
    assert (confidence == 0.0) == (regime is Regime.UNKNOWN)
    assert 0.0 <= confidence <= 1.0


readings = st.builds(Reading, regimes, st.floats(min_value=0, max_value=1))


@given(said=st.lists(readings, max_size=12))
def test_a_regime_in_force_was_read_twice_in_a_row(said):
    state = None
    for index, reading in enumerate(said):
        before = state.regime if state is not None else Regime.UNKNOWN
        state = settle(state, reading, START + timedelta(hours=index))
        if state.regime not in (before, Regime.UNKNOWN):
            pair = said[index - 1 : index + 1]
            assert [r.regime for r in pair] == [state.regime] * 2
            assert all(r.confidence >= 0.7 for r in pair)


@settings(max_examples=200)
@given(atr=numbers, average=numbers, close=prices, side=sides, regime=regimes)
def test_exits_are_on_the_grid_and_on_their_own_sides_of_the_market(
    atr, average, close, side, regime
):
    bar = a_bar(round(close, 2))
    snapshot = a_snapshot(bars=[bar], values={"atr_14": atr, "ema_50": average})
    exits = exit_prices(snapshot, side, regime, COUNCIL)
    if exits is None:
        return
    low, high = sorted([exits.stop, exits.target])
    assert 0 < low < bar.close < high
    assert (exits.stop < bar.close) == (side is Direction.LONG)
    assert all(price % an_instrument().tick == 0 for price in exits if price is not None)
    if exits.falsified_at is not None:
        nearest = bar.close + (exits.stop - bar.close) * COUNCIL.falsified_from
        assert min(exits.stop, nearest) <= exits.falsified_at <= max(exits.stop, nearest)
        assert exits.falsified_at != exits.stop


@given(
    values=st.fixed_dictionaries(
        {**dict.fromkeys(("ema_9", "ema_21", "ema_50"), averages), "atr_14": ranges}
    ),
    side=sides,
    regime=regimes,
)
async def test_no_entry_goes_against_the_trend(values, side, regime):
    state = RegimeState(regime=regime, candidate=regime, streak=0, read_at=START)
    council = Council(
        strategy_id="council",
        timeframe=Timeframe.H1,
        overlays=(),
        panel=council_of(side),
        settings=COUNCIL,
        regimes={BTC: state},
    )
    deliberation = await council.decide(a_snapshot(values=values))
    intent = deliberation.intent
    if intent is not None:
        assert intent.purpose is Purpose.ENTRY
        assert (values["ema_21"] - values["ema_50"]) * intent.direction.sign > 0
        against = "_bear" if side is Direction.LONG else "_bull"
        assert not deliberation.regime.endswith(against)


@given(
    values=st.fixed_dictionaries(dict.fromkeys(("ema_21", "ema_50", "atr_14"), numbers)),
    closes=st.lists(prices, min_size=1, max_size=30),
    held=st.sampled_from(["-1", "0", "1"]),
    leverage=st.sampled_from(["1", "5"]),
)
def test_a_rule_always_has_an_opinion_that_fits_the_position(values, closes, held, leverage):
    bars = [a_bar(round(close, 2), index=index) for index, close in enumerate(closes)]
    snapshot = a_snapshot(bars=bars, values=values, held=held, leverage=leverage)
    for rule in RULES:
        direction, confidence, rationale = rule.opine(snapshot)
        assert 0.5 <= confidence <= 0.8
        assert rationale
        if direction is Direction.CLOSE:
            assert held != "0"
        if direction is Direction.SHORT:
            assert snapshot.instrument.shortable
