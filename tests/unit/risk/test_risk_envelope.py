"""Where a stop and a target may lie, on the tick grid, towards what passes."""

from dataclasses import replace
from decimal import Decimal

import pytest

from risk.envelope import nearest_target, probe, stop_range
from risk.intent import Direction
from tests.builders_risk import INSTRUMENT, a_case, a_market, an_entry, limits_with, price

SHORT = {"direction": Direction.SHORT, "stop": "102"}
NOTHING_NEAR = {"min_stop_distance": "0", "min_stop_atr": 0.0, "max_stop_distance_of": {}}
COARSE = replace(INSTRUMENT, tick=Decimal(1))


def case_of(intent=None, *, market=None, **limits):
    return a_case(
        intent,
        market=a_market(**(market or {})),
        limits=limits_with(
            **(NOTHING_NEAR | {"taker_fee": "0", "max_stop_distance": "0.05"} | limits)
        ),
    )


@pytest.mark.parametrize(
    ("case", "stops"),
    [
        pytest.param(case_of(), ("99.99", "95"), id="one tick, to the cap"),
        pytest.param(case_of(an_entry(**SHORT)), ("100.01", "105"), id="short"),
        pytest.param(case_of(min_stop_distance="0.02"), ("98", "95"), id="the share of the entry"),
        pytest.param(case_of(min_stop_atr=1.5, market={"atr": 2.0}), ("97", "95"), id="the ranges"),
        pytest.param(
            case_of(min_stop_atr=1.5, market={"atr": None}), ("99.99", "95"), id="ranges unknown"
        ),
        pytest.param(
            case_of(slippage="0.005", max_cost_to_risk="0.25", market={"spread_bps": None}),
            ("96", "95"),
            id="four times the cost",
        ),
        pytest.param(
            case_of(an_entry(**SHORT), min_stop_distance="0.0301", market={"instrument": COARSE}),
            ("104", "105"),
            id="a short's, on a coarse grid",
        ),
        pytest.param(
            case_of(
                min_stop_distance="0.0101",
                max_stop_distance="0.0399",
                market={"instrument": COARSE},
            ),
            ("98", "97"),
            id="the near one outwards, the far one inwards",
        ),
        pytest.param(
            case_of(min_stop_distance="0.03", max_stop_distance="0.03"), ("97", "97"), id="one stop"
        ),
        pytest.param(case_of(min_stop_distance="0.0501"), None, id="none between them"),
        pytest.param(
            case_of(
                an_entry(**SHORT),
                min_stop_distance="0.0101",
                max_stop_distance="0.0199",
                market={"instrument": COARSE},
            ),
            None,
            id="a short's, none between them on the grid",
        ),
        pytest.param(case_of(max_stop_distance="1"), None, id="as far as nothing"),
        pytest.param(case_of(max_stop_distance="0.995"), ("99.99", "0.5"), id="a cheap one"),
        pytest.param(case_of(market={"price": None}), None, id="price unknown"),
        pytest.param(case_of(an_entry(direction=Direction.CLOSE)), None, id="no entry"),
    ],
)
def test_the_nearest_and_the_farthest_stop(case, stops):
    assert stop_range(case) == (stops and tuple(map(Decimal, stops)))


@pytest.mark.parametrize(
    ("case", "stop", "target"),
    [
        pytest.param(
            case_of(an_entry(target="101"), min_reward_risk="2"), "97", "106", id="twice the risk"
        ),
        pytest.param(
            case_of(an_entry(**SHORT, target="99"), min_reward_risk="2"), "103", "94", id="short"
        ),
        # risk 3 + 1.97, reward target - 100 - 0.01 (100 + target)
        pytest.param(
            case_of(an_entry(target="101"), min_reward_risk="2", taker_fee="0.01"),
            "97",
            "112.07",
            id="after fees, upwards",
        ),
        pytest.param(
            case_of(an_entry(**SHORT, target="99"), min_reward_risk="2", taker_fee="0.01"),
            "103",
            "88.05",
            id="a short's after fees, downwards",
        ),
        pytest.param(
            case_of(an_entry(target="101"), min_reward_risk="1"), "97", "103", id="once the risk"
        ),
        pytest.param(case_of(an_entry(), min_reward_risk="2"), "97", None, id="no target"),
        pytest.param(
            case_of(an_entry(target="101"), min_reward_risk="0"), "97", None, id="none is asked for"
        ),
        pytest.param(
            case_of(an_entry(target="101"), market={"price": None}), "97", None, id="price unknown"
        ),
    ],
)
def test_the_nearest_target(case, stop, target):
    assert nearest_target(case, price(stop)) == (None if target is None else Decimal(target))


def test_a_probe_is_the_intent_asked_again():
    intent = an_entry("1", target="110")
    moved = probe(intent, price("97"), price("120"))
    assert moved == replace(intent, stop=price("97"), target=price("120"), attempt=1)
    kept = probe(moved, price("96"), None)
    assert kept == replace(moved, stop=price("96"), attempt=2)
