"""The watch on every bar's mark says what the breaker says, and reckons only where it must."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Notional
from risk import breaker
from risk.breaker import Anchor, Marked, TradingState, next_state
from risk.mark_watch import MarkWatch
from tests.builders_risk import LIMITS, NOW, a_state, limits_with

CENT = Decimal("0.01")
DAY = a_state().day.date
DAILY = {"max_day_drawdown": "0.04"}


def notional(number):
    return Notional(Decimal(number))


def since(equity):
    return Anchor(date=DAY, equity=notional(equity))


class Read:
    """Limits, and the names of those that were read."""

    def __init__(self, limits):
        self.limits, self.names = limits, []

    def __getattr__(self, name):
        self.names.append(name)
        return getattr(self.limits, name)


@pytest.mark.parametrize(
    ("state", "limits", "quiet"),
    [
        pytest.param(a_state(), LIMITS, ("950", "1000"), id="the day's loss, to the peak"),
        pytest.param(
            a_state(week=since(1060)), LIMITS, ("954", "1000"), id="the week's loss is nearer"
        ),
        pytest.param(
            a_state(month=since(1140)), LIMITS, ("969", "1000"), id="the month's loss is nearer"
        ),
        pytest.param(
            a_state(peak_equity=notional(1220)),
            LIMITS,
            ("976", "1220"),
            id="the drawdown is nearer",
        ),
        pytest.param(
            a_state(), limits_with(**DAILY), ("960", "1000"), id="the fall within the day is nearer"
        ),
        pytest.param(
            a_state(peak_equity=notional(1100), day_peak=notional(1050)),
            limits_with(**DAILY),
            ("1008", "1050"),
            id="to the day's peak",
        ),
        pytest.param(
            a_state(day_peak=notional(990)), LIMITS, ("950", "1000"), id="the day's peak is off"
        ),
        pytest.param(a_state(day_peak=None), LIMITS, ("950", "1000"), id="and need not be known"),
        pytest.param(
            a_state(day_peak=None), limits_with(**DAILY), None, id="it is on, and unknown"
        ),
        pytest.param(a_state(peak_equity=None), LIMITS, None, id="no peak known"),
        pytest.param(a_state(day=since("NaN")), LIMITS, None, id="a day that cannot be read"),
        pytest.param(a_state(peak_equity=notional("NaN")), LIMITS, None, id="a peak likewise"),
        pytest.param(
            a_state(trading=TradingState.REDUCING, equity_known=False),
            LIMITS,
            None,
            id="equity unknown until now",
        ),
    ],
)
def test_between_its_limits_nothing_is_reckoned(state, limits, quiet):
    """To reckon anything is to read a limit."""
    floor, ceiling = map(Decimal, quiet or ("950", "1000"))
    marks = [floor - CENT, floor, floor + CENT, ceiling, ceiling + CENT]
    read = Read(limits)
    watch = MarkWatch(read)
    watch.after(state, Notional(ceiling), NOW)
    seen = []
    for equity in marks:
        read.names.clear()
        marked = next_state(state, Marked(equity=Notional(equity), at=NOW), limits)
        assert repr(watch.after(state, Notional(equity), NOW)) == repr(marked)
        seen.append(not read.names)
    assert seen == [quiet is not None and floor < equity <= ceiling for equity in marks]


@pytest.mark.parametrize(
    ("equity", "at"),
    [
        pytest.param("1000", NOW + timedelta(days=1), id="another day"),
        pytest.param("1000", NOW - timedelta(days=1), id="a day before"),
        pytest.param(None, NOW, id="unknown"),
        pytest.param("NaN", NOW, id="no number"),
        pytest.param("sNaN", NOW, id="no number that may be compared"),
    ],
)
def test_what_is_not_as_usual_is_reckoned(equity, at):
    equity = None if equity is None else notional(equity)
    state = a_state()
    watch = MarkWatch(LIMITS)
    assert watch.after(state, notional(990), NOW) is state
    assert repr(watch.after(state, equity, at)) == repr(
        next_state(state, Marked(equity=equity, at=at), LIMITS)
    )


def test_another_state_has_limits_of_its_own():
    watch, state = MarkWatch(LIMITS), a_state()
    assert watch.after(state, notional(960), NOW) is state
    higher = replace(state, day=since(1020))
    assert watch.after(higher, notional(960), NOW).reason == breaker.DAILY_LOSS
    assert watch.after(state, notional(960), NOW) is state


def test_what_is_kept_beside_is_seen():
    state = a_state()
    seen = MarkWatch(LIMITS).after(state, notional(1000), NOW, whole=notional(3000))
    assert (state.account_peak, seen.account_peak) == (None, 3000)
