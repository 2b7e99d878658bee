"""The operator's numbers: complete, coherent, or no start."""

import re

import pytest
from pydantic import ValidationError

from data.instrument import Symbol
from data.regime import Regime
from risk.limits import OverlayRule, RiskLimits
from tests.builders_risk import (
    BTC,
    LIMITS,
    REGIMES,
    SECTION,
    XRP,
    a_case,
    a_market,
    a_state,
    limits_with,
)


@pytest.mark.parametrize("key", sorted(SECTION))
def test_no_number_has_a_default(key):
    with pytest.raises(ValidationError, match=key):
        RiskLimits.model_validate({k: v for k, v in SECTION.items() if k != key})


def tier(confidence, size):
    return {"min_confidence": confidence, "size": size, "max_leverage": 5}


def step(losses, size, confidence):
    return {
        "losses": losses,
        "cool_down": 0,
        "size": size,
        "min_confidence": confidence,
        "max_leverage": 5,
    }


def fall(drawdown, leverage):
    return {"drawdown": drawdown, "max_leverage": leverage}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param(
            {"regimes": {Regime.CHOPPY: REGIMES[Regime.CHOPPY], "ranging": REGIMES["ranging"]}},
            "regimes without limits: trending_bull, trending_bear, volatile_bull, volatile_bear, "
            "breakout_potential, unknown",
            id="regimes missing",
        ),
        pytest.param(
            {"derisk_drawdown": "0.21"},
            "derisk_drawdown lies beyond max_drawdown, so it could never act",
            id="de-risking after the halt",
        ),
        pytest.param(
            {"shadow": ["stop_loss", "trend", "equity"]},
            "cannot be tried in shadow: equity, stop_loss",
            id="a guard in shadow",
        ),
        pytest.param(
            {"tiers": [tier(0.6, 1), tier(0.7, 1)]},
            "tiers must fall in confidence, and may not rise in size",
            id="tiers",
        ),
        pytest.param(
            {"loss_streaks": [step(3, "0.5", 0), step(5, 1, 0)]},
            "loss_streaks must rise in losses, and may only get stricter",
            id="streaks",
        ),
        pytest.param(
            {"drawdown_leverage": [fall("0.1", 2), fall("0.1", 1)]},
            "drawdown_leverage must deepen, and may only get stricter",
            id="one fall twice",
        ),
        pytest.param(
            {"drawdown_leverage": [fall("0.1", 1), fall("0.2", 2)]},
            "drawdown_leverage must deepen, and may only get stricter",
            id="deeper, yet looser",
        ),
        pytest.param(
            {"allocation": SECTION["allocation"] | {"targets": {"BTC": "0.33", "USDT": "0.66"}}},
            "targets add up to 0.99, not to 1",
            id="targets that leave something over",
        ),
    ],
)
def test_limits_that_do_not_fit_say_why(changes, why):
    with pytest.raises(ValidationError, match=f"Value error, {re.escape(why)} "):
        limits_with(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"tiers": [tier(0.8, 1), tier(0.6, 1)]}, id="tiers of one size"),
        pytest.param({"loss_streaks": [step(3, 1, 0.7), step(5, 1, 0.7)]}, id="steps of one size"),
        pytest.param({"drawdown_leverage": [fall("0.1", 2), fall("0.2", 2)]}, id="one leverage"),
        pytest.param({"derisk_drawdown": "0.2"}, id="de-risking at the halt"),
    ],
)
def test_what_is_no_looser_than_before_is_coherent(changes):
    assert limits_with(**changes)


@pytest.mark.parametrize(
    ("rule", "against", "agreeing", "vetoes"),
    [
        pytest.param(OverlayRule.AGREEMENT, 0, 0, False, id="agreement: none"),
        pytest.param(OverlayRule.AGREEMENT, 1, 9, True, id="agreement: one against"),
        pytest.param(OverlayRule.MAJORITY_VOTE, 1, 1, False, id="majority: as many for it"),
        pytest.param(OverlayRule.MAJORITY_VOTE, 2, 1, True, id="majority: more against"),
        pytest.param(OverlayRule.ONE_AGREES, 0, 0, False, id="one agrees: none"),
        pytest.param(OverlayRule.ONE_AGREES, 1, 0, True, id="one agrees: only one, against"),
        pytest.param(OverlayRule.ONE_AGREES, 9, 1, False, id="one agrees: one for it"),
    ],
)
def test_how_trends_are_combined(rule, against, agreeing, vetoes):
    trends = [(1.0, -0.01)] * against + [(1.0, 0.01)] * agreeing + [(1.0, 0.002), (1.0, -0.002)]
    assert rule.vetoes(trends, 0.002) is vetoes


@pytest.mark.parametrize(
    ("trends", "vetoes"),
    [
        pytest.param([], False, id="nothing to weigh"),
        pytest.param([(1.0, -0.03), (4.0, 0.005)], False, id="-0.2 %: at the threshold"),
        pytest.param([(1.0, -0.03), (4.0, 0.004)], True, id="-0.28 %"),
        pytest.param([(4.0, -0.01), (1.0, 0.02)], True, id="the weightier against it"),
    ],
)
@pytest.mark.req("S1-127")
def test_a_weighted_average_counts_a_trend_by_its_weight(trends, vetoes):
    assert OverlayRule.WEIGHTED_AVERAGE.vetoes(trends, 0.002) is vetoes


SWITCHED = {
    "adv_cap": {"max_adv_share": "0.1"},
    "day_drawdown_limit": {"max_day_drawdown": "0.99"},
    "depth": {"min_depth": 1},
    "depth_share": {"max_depth_share": "0.1"},
    "dynamic_floor": {"dynamic_floor": 0.1},
    "expected_edge": {"min_net_edge_bps": 1},
    "fresh_book": {"max_book_age": "PT1S"},
    "kelly": {"kelly_fraction": "0.1"},
    "liquidation_distance": {"min_liquidation_distance": "0.1"},
    "low_conf_veto": {"no_trade_below": 0.1},
    "overlay_trend": {"overlay_timeframes": ["1h"]},
    "referral": {"refer_above": "0.1"},
    "restricted_hours": {"restricted_hours": [{"start": "22:00", "end": "02:00"}]},
    "round_trip_cost": {"max_cost_to_risk": 1},
    "trend": {"trend_gate": True},
    "value_at_risk": {"max_value_at_risk": "0.1"},
}


@pytest.mark.parametrize("rule", SWITCHED)
def test_a_number_above_zero_switches_its_rule_on(rule):
    assert limits_with().off == SWITCHED.keys()
    assert limits_with(**SWITCHED[rule]).off == SWITCHED.keys() - {rule}


def test_what_switches_a_rule_off_again():
    assert limits_with(max_spread_bps=0, min_stop_atr=0).off == {*SWITCHED, "spread", "stop_atr"}
    assert "referral" not in limits_with(refer_below=0.1).off
    assert "overlay_trend" in limits_with(overlay_timeframes=["1h"], overlay_size="0.5").off


def test_symbols_are_tied_both_ways_as_strongly_as_it_counts():
    pairs = [(BTC, XRP, "0.5"), (BTC, "ETH/USDT", "-0.5"), (XRP, "ETH/USDT", "0.49")]
    limits = limits_with(
        correlations=[{"first": a, "second": b, "correlation": c} for a, b, c in pairs],
        min_correlation="0.5",
    )
    assert limits.tied_to(BTC) == {XRP: 1, "ETH/USDT": -1}
    assert limits.tied_to(XRP) == {BTC: 1}
    assert limits.tied_to(Symbol("ETH/USDT")) == {BTC: -1}
    assert limits.tied_to(Symbol("SOL/USDT")) == {}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"max_drawdwon": "0.2"}, id="a misspelt key"),
        pytest.param({"max_drawdown": "1.2"}, id="a share above the whole"),
        pytest.param({"max_daily_loss": "0"}, id="no loss allowed at all"),
        pytest.param({"max_position": "nan"}, id="not a number"),
        pytest.param({"max_spread_bps": float("nan")}, id="a float that is not a number"),
        pytest.param({"min_stop_atr": float("inf")}, id="without end"),
        pytest.param({"allowed_symbols": ["BTC"]}, id="no symbol"),
        pytest.param({"regimes": {Regime.CHOPPY: REGIMES[Regime.CHOPPY]}}, id="regimes missing"),
        pytest.param({"regimes": REGIMES | {"sideways": REGIMES[Regime.CHOPPY]}}, id="no regime"),
        pytest.param({"derisk_drawdown": "0.21"}, id="de-risking after the halt"),
        pytest.param({"tiers": []}, id="no tier"),
        pytest.param({"tiers": [tier(0.6, 1), tier(0.6, 1)]}, id="one tier twice"),
        pytest.param({"tiers": [tier(0.6, 1), tier(0.7, 1)]}, id="tiers upside down"),
        pytest.param({"tiers": [tier(0.8, "0.5"), tier(0.6, 1)]}, id="less sure, yet larger"),
        pytest.param({"loss_streaks": [step(3, 1, 0), step(3, 1, 0)]}, id="one step twice"),
        pytest.param({"loss_streaks": [step(3, "0.5", 0), step(5, 1, 0)]}, id="more lost, larger"),
        pytest.param({"loss_streaks": [step(3, 1, 0.8), step(5, 1, 0.7)]}, id="more lost, looser"),
    ],
)
def test_incoherent_limits_stop_the_start(changes):
    with pytest.raises(ValidationError):
        limits_with(**changes)


def test_limits_cannot_be_changed():
    with pytest.raises(ValidationError):
        LIMITS.max_drawdown = 1


@pytest.mark.parametrize(
    ("regime", "streak", "floor"),
    [
        pytest.param(Regime.TRENDING_BULL, 0, 0.60, id="the regime's"),
        pytest.param(Regime.RANGING, 0, 0.55, id="the lowest tier's where that is higher"),
        pytest.param(Regime.CHOPPY, 3, 0.75, id="the regime's where it is above the streak's"),
        pytest.param(Regime.TRENDING_BULL, 2, 0.60, id="two losses do not matter"),
        pytest.param(Regime.TRENDING_BULL, 3, 0.70, id="three losses"),
        pytest.param(Regime.TRENDING_BULL, 4, 0.70, id="four are like three"),
        pytest.param(Regime.CHOPPY, 5, 0.80, id="five losses"),
    ],
)
def test_the_strictest_confidence_floor_holds(regime, streak, floor):
    loose = {"min_confidence": 0.1, "max_leverage": 1, "size": 1}
    limits = limits_with(
        tiers=[*SECTION["tiers"], tier(0.55, "0.1")], regimes=REGIMES | {Regime.RANGING: loose}
    )
    case = a_case(market=a_market(regime=regime), state=a_state(loss_streak=streak), limits=limits)
    assert case.confidence_floor == floor


@pytest.mark.parametrize(
    ("confidence", "size"),
    [
        (1.0, "1"),
        (0.85, "1"),
        (0.8499, "0.75"),
        (0.75, "0.75"),
        (0.65, "0.5"),
        (0.60, "0.25"),
        (0.5999, "0"),
        (float("nan"), "0"),
    ],
)
def test_a_tier_begins_at_its_confidence(confidence, size):
    tier = LIMITS.tier(confidence)
    assert (str(tier.size) if tier is not None else "0") == size


@pytest.mark.parametrize(
    ("symbol", "cap"),
    [
        pytest.param(BTC, "0.03", id="its own"),
        pytest.param(XRP, "0.05", id="the general one"),
        pytest.param(Symbol("XRP/BTC"), "0.05", id="no looser than the general one"),
    ],
)
def test_a_symbol_may_have_a_tighter_stop_cap(symbol, cap):
    limits = limits_with(max_stop_distance_of={BTC: "0.03", "XRP/BTC": "0.09"})
    assert str(limits.stop_distance_cap(symbol)) == cap
