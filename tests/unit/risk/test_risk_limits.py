"""The operator's numbers: complete, coherent, or no start."""

import pytest
from pydantic import ValidationError

from data.instrument import Symbol
from data.regime import Regime
from risk.limits import RiskLimits
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
