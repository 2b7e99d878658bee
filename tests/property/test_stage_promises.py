"""Nothing is let in with a condition unmet, whatever the figures and whatever was said."""

from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sextant.promotion import Examination
from sextant.stage_settings import ExitTestSettings, Mode
from sextant.stages import (
    PHRASE,
    Cleared,
    Figures,
    NotCleared,
    Proof,
    confirmations,
    exit_test,
)
from tests.builders_stages import START

ASKED = ExitTestSettings(
    min_span=timedelta(days=14),
    min_trades=50,
    sharpe_above=1.0,
    drawdown_below=0.15,
    wins_above=0.45,
    uptime_above=0.99,
    errors_below=0.01,
)
PROOF = Proof(record="r", records=1, digest="d", since=START)


def near(limit):
    """Numbers around a limit, at it, far from it, and none."""
    exact = st.sampled_from([limit, limit - 1e-9, limit + 1e-9, float("nan"), None])
    return exact | st.floats(allow_nan=True)


figures = st.builds(
    Figures,
    span=st.sampled_from([-1, 0, 1]).map(lambda s: timedelta(days=14, microseconds=s)),
    trades=st.integers(48, 52),
    sharpe=near(1.0),
    max_drawdown=near(0.15),
    wins=near(0.45),
    uptime=near(0.99),
    errors=near(0.01),
)
good = st.builds(
    Figures,
    span=st.just(timedelta(days=20)),
    trades=st.integers(50, 500),
    sharpe=st.floats(1.01, 9.0),
    max_drawdown=st.floats(0.0, 0.14),
    wins=st.floats(0.46, 1.0),
    uptime=st.floats(0.995, 1.0),
    errors=st.floats(0.0, 0.009),
)
environments = st.fixed_dictionaries(
    {},
    optional={
        "SEXTANT_LIVE": st.sampled_from([PHRASE, "yes", ""]) | st.text(),
        "SEXTANT_STAGE": st.sampled_from([*map(str, Mode), ""]),
    },
)
stages = st.sampled_from([Mode.MICRO, Mode.LIVE])


def passes(found):
    """The exit test in other words: a limit that is not a number, or unknown, is not passed."""
    known = [getattr(found, field.name) for field in fields(found)]
    return (
        None not in known
        and found.span >= timedelta(days=14)
        and found.trades >= 50
        and found.sharpe > 1
        and found.max_drawdown < 0.15
        and found.wins > 0.45
        and found.uptime > 0.99
        and found.errors < 0.01
    )


def examined(stage, environment, found, proof=PROOF):
    return Examination(
        stage=stage,
        criteria=(*confirmations(stage, environment), *exit_test(found, ASKED, stage.before)),
        strategy={},
        bounds={},
        proof=proof,
    )


@pytest.mark.req("S0-6")
@settings(max_examples=300)
@given(stage=stages, environment=environments, found=figures | good)
def test_nothing_passes_with_a_condition_unmet(stage, environment, found):
    is_said = (environment.get("SEXTANT_LIVE"), environment.get("SEXTANT_STAGE")) == (PHRASE, stage)
    examination = examined(stage, environment, found)
    if is_said and passes(found):
        assert examination.cleared(START).stage is stage
        return
    with pytest.raises(NotCleared) as refused:
        examination.cleared(START)
    for criterion in examination.criteria:
        assert criterion.is_met or f"  {criterion.name}: " in str(refused.value)


@given(stage=stages, found=good)
def test_what_is_good_and_said_passes_and_only_with_a_record(stage, found):
    said = {"SEXTANT_LIVE": PHRASE, "SEXTANT_STAGE": stage.value}
    assert isinstance(examined(stage, said, found).cleared(START), Cleared)
    with pytest.raises(NotCleared):
        examined(stage, said, found, proof=None).cleared(START)
