"""How much, and what made it smaller, by name."""

from decimal import Decimal

import pytest

from data.regime import Regime
from risk.objection import Objection, Scale
from risk.sizing import guard_share, scales, shadowed_scales, sized
from risk.volatility import guard_scale, targeted
from tests.builders_risk import (
    BTC,
    NOW,
    a_case,
    a_full_market,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    limits_with,
)
from tests.cases_risk_book import MINUTE, overlays
from tests.cases_risk_exchange import an_exchange

AGAINST = {"overlay_timeframes": ["1h"], "overlay_size": "0.5"}
WILD = {"realised_volatility": 1.6}


def scaled(intent=None, *, market=None, state=None, **limits):
    return a_case(
        intent,
        market=a_market(**(market or {})),
        state=state or a_state(),
        limits=limits_with(**limits),
    )


@pytest.mark.req("S1-85", "S2-41", "S2-43")
@pytest.mark.parametrize(
    ("case", "made"),
    [
        pytest.param(scaled(), {}, id="a full size"),
        pytest.param(scaled(an_entry(confidence=0.8)), {"tier": "0.75"}, id="tier"),
        pytest.param(scaled(an_entry(confidence=0.1)), {"tier": "0"}, id="below all tiers"),
        pytest.param(scaled(market={"regime": Regime.RANGING}), {"regime": "0.6"}, id="regime"),
        pytest.param(scaled(derisk_drawdown="0.2"), {}, id="not fallen"),
        pytest.param(
            scaled(state=a_state(peak_equity=Decimal(1250)), derisk_drawdown="0.2"),
            {"derisk": "0.5"},
            id="fallen so far",
        ),
        pytest.param(
            scaled(state=a_state(loss_streak=5)), {"loss_streak": "0.5"}, id="a losing streak"
        ),
        pytest.param(
            scaled(state=a_state(spike_until={BTC: NOW + MINUTE})),
            {"volatility_spike": "0.5"},
            id="a spike",
        ),
        pytest.param(scaled(state=a_state(spike_until={BTC: NOW})), {}, id="a spike that is over"),
        pytest.param(
            scaled(market={"overlays": overlays(-0.01)}, **AGAINST),
            {"overlay_trend": "0.5"},
            id="against a higher timeframe",
        ),
        pytest.param(
            scaled(market={"overlays": overlays(-0.01)}, **AGAINST, shadow=["overlay_trend"]),
            {},
            id="against a higher timeframe, only tried",
        ),
        pytest.param(
            scaled(market={"overlays": overlays(-0.01)}, **(AGAINST | {"overlay_size": "0"})),
            {},
            id="against a higher timeframe, which vetoes it",
        ),
        pytest.param(
            scaled(market=WILD, volatility_guard=0.8),
            {"volatility_guard": "0.5", "signal": "0.5"},
            id="the guard, which is part of the signal's",
        ),
        pytest.param(
            scaled(market=WILD, volatility_target=0.4), {"signal": "0.25"}, id="the target"
        ),
        pytest.param(scaled(an_entry(alpha=0.5)), {"signal": "0.5"}, id="a weak signal"),
    ],
)
def test_what_makes_an_entry_smaller(case, made):
    assert scales(case) == tuple(Scale(rule=k, share=Decimal(v)) for k, v in made.items())


@pytest.mark.req("S1-125")
@pytest.mark.parametrize(
    ("market", "limits", "said"),
    [
        pytest.param({}, {}, {}, id="nothing is tried"),
        pytest.param(WILD, {"shadow": ["trend"], "volatility_guard": 0.8}, {}, id="only a rule is"),
        pytest.param(
            {"overlays": overlays(-0.01)},
            {"shadow": ["overlay_trend"]} | AGAINST,
            {"overlay_trend": "0.5"},
            id="an overlay",
        ),
        pytest.param(
            {"overlays": overlays(-0.01)},
            {"shadow": ["overlay_trend"]} | AGAINST | {"overlay_size": "1"},
            {},
            id="an overlay that cuts nothing",
        ),
        pytest.param(
            {"overlays": overlays(-0.01)},
            {"shadow": ["overlay_trend"]} | AGAINST | {"overlay_size": "0"},
            {},
            id="an overlay that vetoes, of which its rule speaks",
        ),
        pytest.param(
            {"overlays": overlays(-0.01)},
            {"shadow": ["volatility_guard"]} | AGAINST,
            {},
            id="another than the overlay",
        ),
        pytest.param(
            WILD,
            {"shadow": ["volatility_guard"], "volatility_guard": 0.8, "volatility_target": 0.4},
            {"volatility_guard": "0.5"},
            id="the guard",
        ),
        pytest.param(
            WILD,
            {"shadow": ["volatility_target"], "volatility_guard": 0.8, "volatility_target": 0.4},
            {"volatility_target": "0.125"},
            id="the target",
        ),
        pytest.param(
            {"realised_volatility": 0.2},
            {"shadow": ["volatility_guard"], "volatility_guard": 0.8},
            {},
            id="the guard in a calm market",
        ),
    ],
)
def test_what_would_have_made_an_entry_smaller(market, limits, said):
    assert shadowed_scales(scaled(market=market, **limits)) == tuple(
        Objection(rule=rule, observed="1", limit=share, unit="of size")
        for rule, share in said.items()
    )


@pytest.mark.req("S1-82", "S1-83", "S1-84")
@pytest.mark.parametrize(
    ("alpha", "market", "limits", "share"),
    [
        pytest.param(1.0, {}, {}, "1", id="the whole signal"),
        pytest.param(1.0, {}, {"volatility_cap": "0.3"}, "0.3", id="the cap"),
        pytest.param(0.2, {}, {"volatility_cap": "0.3"}, "0.2", id="less than the cap"),
        pytest.param(0.0, {}, {}, "0", id="no signal"),
        pytest.param(1.5, {}, {}, "0", id="no share"),
        pytest.param(float("nan"), {}, {}, "0", id="no number"),
        pytest.param(1.0, {}, {"volatility_target": 0.4}, "0", id="volatility unknown"),
        pytest.param(0.5, WILD, {"volatility_target": 0.4}, "0.125", id="half a signal"),
        pytest.param(
            1.0,
            {"realised_volatility": 0.1},
            {"volatility_target": 0.4, "volatility_cap": "0.9"},
            "0.9",
            id="calm, up to the cap",
        ),
    ],
)
def test_the_share_that_a_signal_gives(alpha, market, limits, share):
    case = scaled(an_entry(alpha=alpha), market=market, **limits)
    made = {scale.rule: scale.share for scale in scales(case)}
    assert made.get("signal", 1) == Decimal(share)


@pytest.mark.parametrize(
    ("volatility", "cap", "share"),
    [
        pytest.param(2.0, 1.0, 0.5, id="beyond the cap"),
        pytest.param(0.5, 1.0, 1.0, id="below it"),
        pytest.param(2.0, 0.0, 1.0, id="off"),
        pytest.param(None, 1.0, 1.0, id="unknown: the rule rejects"),
        pytest.param(float("nan"), 1.0, 1.0, id="no number"),
        pytest.param(9.0, 1.0, 0.25, id="the floor"),
    ],
)
def test_what_the_guard_leaves(volatility, cap, share):
    assert guard_share(a_case(market=a_full_market(realised_volatility=volatility)), cap) == share


@pytest.mark.req("S1-89", "S1-90")
@pytest.mark.parametrize(
    ("volatility", "cap", "share"),
    [(0.8, 0.8, 1.0), (1.6, 0.8, 0.5), (3.2, 0.8, 0.25), (9.0, 0.8, 0.25), (2.0, 1.0, 0.5)],
)
def test_the_guards_scale(volatility, cap, share):
    assert guard_scale(volatility, cap=cap, floor=0.25) == share
    assert guard_scale(volatility, cap=0.0, floor=0.25) == 1


def test_a_target_that_is_off_leaves_the_signal_as_it_is():
    assert targeted(0.5, 2.0, target=0.0, cap=1.0) == 0.5
    assert targeted(0.5, 2.0, target=0.0, cap=0.4) == 0.4


@pytest.mark.parametrize(
    ("wish", "quantity"),
    [
        pytest.param(None, "0.2", id="as much as there is"),
        pytest.param("0.3", "0.2", id="more than there is"),
        pytest.param("0.2", "0.2", id="all that there is"),
        pytest.param("0.12345", "0.1234", id="less, on the grid"),
        pytest.param("-0.3", "-0.2", id="of the wrong sign, which is kept"),
    ],
)
def test_a_wish_is_met_as_far_as_the_size_goes(wish, quantity):
    case = a_case(an_entry(wish), account=an_account("100"), state=a_state("100"))
    assert sized(case) == Decimal(quantity)


@pytest.mark.parametrize(
    ("wish", "quantity"),
    [
        pytest.param("0.12345", "0.1234", id="as wished, on the grid"),
        pytest.param("1000", "1000", id="as wished, and cut by nothing"),
        pytest.param(None, "0", id="as much as there is, which nobody says of an exchange"),
    ],
)
def test_an_exchange_has_no_size_of_its_own(wish, quantity):
    assert sized(a_case(an_exchange(wish), account=an_account("1000", a_position("3")))) == Decimal(
        quantity
    )
