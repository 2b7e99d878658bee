"""The kill switch as a latch: who throws it, what the venue's word does, and who lifts it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Notional
from risk.breaker import (
    DRAWDOWN,
    FlatSeen,
    Flatten,
    Halt,
    Marked,
    Resume,
    TradingState,
    next_state,
    trading_at,
)
from risk.latch import Latch, looked_at, thrown
from tests.builders_risk import LIMITS, NOW, a_state, limits_with

LATER = NOW + timedelta(minutes=1)
ON = Latch(reason="storm", since=NOW, flat_at=None)
DONE = Latch(reason="storm", since=NOW, flat_at=LATER)
FLATTEN = Flatten(by="Ada", why="storm", at=NOW)
HALT = Halt(by="Bob", why="upgrade", at=NOW)
FALL = Marked(equity=Notional(Decimal(790)), at=NOW)
RESUME = Resume(by="Ada", why="over", at=LATER)


def after(*events, limits=LIMITS):
    state = a_state()
    for event in events:
        state = next_state(state, event, limits)
    return state


def flat(is_flat, at=LATER):
    return FlatSeen(is_flat=is_flat, at=at)


@pytest.mark.parametrize(
    ("latch", "seen", "then"),
    [
        pytest.param(None, flat(True), None, id="off"),
        pytest.param(ON, flat(True), DONE, id="the word"),
        pytest.param(ON, flat(False), ON, id="not yet"),
        pytest.param(DONE, flat(True, LATER + timedelta(hours=1)), DONE, id="once more"),
        pytest.param(DONE, flat(False), ON, id="something has turned up"),
        pytest.param(ON, flat(True, NOW - timedelta(seconds=1)), ON, id="a word from before"),
        pytest.param(ON, flat(True, NOW), Latch(reason="storm", since=NOW, flat_at=NOW), id="now"),
    ],
)
def test_what_the_venue_says(latch, seen, then):
    assert looked_at(latch, seen) == then


def test_whoever_throws_it_first_stays_its_reason():
    assert thrown(None, "storm", NOW) == ON
    assert thrown(ON, "another", LATER) is ON
    assert thrown(DONE, "another", LATER) is DONE


@pytest.mark.parametrize(
    ("events", "reason", "latch"),
    [
        pytest.param([FLATTEN], "flattened by Ada: storm", "flattened by Ada: storm", id="person"),
        pytest.param([HALT], "halted by Bob: upgrade", None, id="a halt ends nothing"),
        pytest.param(
            [HALT, FLATTEN], "halted by Bob: upgrade", "flattened by Ada: storm", id="after a halt"
        ),
        pytest.param([FALL], DRAWDOWN, DRAWDOWN, id="a drawdown"),
        pytest.param([HALT, FALL], "halted by Bob: upgrade", DRAWDOWN, id="in a halt"),
        pytest.param([FALL, FLATTEN], DRAWDOWN, DRAWDOWN, id="a person after a drawdown"),
    ],
)
@pytest.mark.req("S0-25", "S1-97")
def test_who_throws_it(events, reason, latch):
    state = after(*events)
    assert (state.trading, state.reason) == (TradingState.HALTED, reason)
    assert (state.latch.reason if state.latch else None) == latch
    assert trading_at(state, NOW + timedelta(days=400)) is TradingState.HALTED


def test_a_drawdown_that_is_to_close_nothing_only_halts():
    state = after(FALL, limits=limits_with(drawdown_closes=False))
    assert (state.reason, state.latch) == (DRAWDOWN, None)
    assert after(FALL, RESUME, limits=limits_with(drawdown_closes=False)).reason != DRAWDOWN


@pytest.mark.parametrize(
    ("events", "lifted"),
    [
        pytest.param([FLATTEN], False, id="the venue was not asked"),
        pytest.param([FLATTEN, flat(False)], False, id="something is left"),
        pytest.param([FLATTEN, flat(True)], True, id="nothing is left"),
        pytest.param([FLATTEN, flat(True), flat(False)], False, id="something has turned up"),
        pytest.param([flat(True), FLATTEN], False, id="the word came before"),
        pytest.param([HALT], True, id="a halt alone"),
    ],
)
def test_when_a_person_may_lift_it(events, lifted):
    state = after(*events)
    then = next_state(state, RESUME, LIMITS)
    assert (then.trading is TradingState.ACTIVE) == lifted
    assert (then is state) == (not lifted)
    assert then.latch is None or not lifted


def test_a_drawdown_in_a_halt_is_measured_anew_once_both_are_lifted():
    lifted = after(HALT, FALL, flat(True), RESUME)
    assert (lifted.latch, lifted.peak_equity) == (None, None)
