"""When new exposure stops, for how long, and who may lift it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from data.instrument import Notional
from risk.breaker import (
    Halt,
    Marked,
    OrderPlaced,
    Reset,
    RiskState,
    TradingState,
    initial_state,
    next_state,
    trading_at,
)
from tests.builders_risk import BTC, LIMITS, NOW, XRP, a_state, a_trade, limits_with

ACTIVE, REDUCING, HALTED = TradingState
THURSDAY = datetime(2025, 3, 6, tzinfo=UTC)
MONDAY = datetime(2025, 3, 10, tzinfo=UTC)
APRIL = datetime(2025, 4, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def marked(equity, at=LATER):
    return Marked(equity=Notional(Decimal(equity)) if equity is not None else None, at=at)


def after(*events, state=None, limits=LIMITS):
    state = a_state() if state is None else state
    for event in events:
        state = next_state(state, event, limits)
    return state


@pytest.mark.req("S0-23", "S0-24", "S0-25")
@pytest.mark.parametrize(
    ("equity", "week", "peak", "trading", "reason", "until"),
    [
        pytest.param("950.01", "1000", "1000", ACTIVE, "", None, id="above the daily limit"),
        pytest.param("950", "1000", "1000", REDUCING, "daily_loss_limit", THURSDAY, id="at it"),
        pytest.param("950.01", "1055", "1055", ACTIVE, "", None, id="above the weekly limit"),
        pytest.param("954", "1060", "1060", REDUCING, "weekly_loss_limit", MONDAY, id="at weekly"),
        pytest.param(
            "900", "1000", "1000", REDUCING, "weekly_loss_limit", MONDAY, id="the longer halt rules"
        ),
        pytest.param("960.01", "1000", "1200", ACTIVE, "", None, id="above the drawdown limit"),
        pytest.param("960", "1000", "1200", HALTED, "drawdown_limit", None, id="at the drawdown"),
        pytest.param("0", "1000", "1000", HALTED, "drawdown_limit", APRIL, id="nothing left"),
        pytest.param("-5", "1000", "1000", HALTED, "drawdown_limit", APRIL, id="less than that"),
    ],
)
def test_a_loss_limit_stops_entries_at_the_limit_itself(equity, week, peak, trading, reason, until):
    start = a_state("1000")
    week = initial_state(Notional(Decimal(week)), NOW).week
    state = after(
        marked(equity), state=a_state(week=week, peak_equity=Decimal(peak), day=start.day)
    )
    assert (state.trading, state.reason, state.halted_until) == (trading, reason, until)


@pytest.mark.req("S0-23")
def test_the_days_loss_is_measured_from_the_days_first_equity():
    state = after(marked("1040"), marked("1100", THURSDAY), marked("1046", THURSDAY))
    assert state.trading is ACTIVE
    assert after(marked("1045", THURSDAY), state=state).reason == "daily_loss_limit"


@pytest.mark.req("S0-23")
def test_a_daily_halt_outlasts_a_recovery_and_ends_at_midnight():
    state = after(marked("940"), marked("1000", NOW + timedelta(hours=2)))
    assert state.trading is REDUCING
    assert trading_at(state, THURSDAY - timedelta(microseconds=1)) is REDUCING
    assert trading_at(state, THURSDAY) is ACTIVE
    reopened = after(marked("940", THURSDAY), state=state)
    assert (reopened.trading, reopened.halted_until) == (ACTIVE, None)
    assert reopened.day.equity == 940


@pytest.mark.req("S0-24")
def test_a_weekly_halt_ends_on_monday_even_if_the_process_was_down_then():
    state = after(marked("895"))
    assert trading_at(state, MONDAY - timedelta(seconds=1)) is REDUCING
    tuesday = MONDAY + timedelta(days=1, hours=3)
    assert trading_at(state, tuesday) is ACTIVE
    reopened = after(marked("895", tuesday), state=state)
    assert (reopened.trading, reopened.week.date) == (ACTIVE, MONDAY.date())


@pytest.mark.req("S0-24")
def test_the_week_belongs_to_the_iso_week_also_over_new_year():
    tuesday = datetime(2024, 12, 31, tzinfo=UTC)
    state = after(marked("960", tuesday + timedelta(days=1)), state=a_state(at=tuesday))
    assert str(state.week.date) == "2024-12-30"
    assert state.week.equity == 1000


@pytest.mark.req("S0-25", "S1-97", "S1-99")
def test_a_drawdown_halt_waits_for_a_person_and_is_then_measured_anew():
    state = after(marked("790"))
    far = NOW + timedelta(days=400)
    assert trading_at(state, far) is HALTED
    assert after(marked("2000", far), state=state).trading is HALTED
    lifted = after(Reset(by="Ada", why="looked", at=far), state=state)
    assert (lifted.trading, lifted.peak_equity) == (ACTIVE, None)
    assert after(marked("790", far), state=lifted).trading is ACTIVE
    assert after(marked("790", far), marked("632", far), state=lifted).reason == "drawdown_limit"


def test_a_reset_shortens_no_halt_that_ends_by_itself():
    state = after(marked("790"), Reset(by="Ada", why="looked", at=LATER))
    assert (state.trading, state.reason) == (REDUCING, "monthly_loss_limit")
    assert trading_at(state, APRIL) is ACTIVE


def test_a_reset_of_a_manual_halt_forgets_no_drawdown():
    state = after(Halt(by="Ada", why="upgrade", at=LATER), marked("810"))
    assert (state.trading, state.reason) == (HALTED, "halted by Ada: upgrade")
    state = after(Reset(by="Ada", why="done", at=LATER), marked("800"), state=state)
    assert (state.trading, state.reason) == (HALTED, "drawdown_limit")


def test_nobody_resets_what_is_not_halted():
    state = after(marked("940"))
    assert after(Reset(by="Ada", why="haste", at=LATER), state=state) is state


@pytest.mark.parametrize(
    "equity", [None, "NaN", "sNaN", "Infinity"], ids=["unknown", "nan", "snan", "infinite"]
)
def test_an_unknown_equity_stops_entries_until_it_is_known(equity):
    state = after(marked(equity))
    assert (state.trading, state.reason) == (REDUCING, "equity_unknown")
    assert trading_at(state, NOW + timedelta(days=30)) is REDUCING
    assert after(marked(equity), state=state) is state
    assert after(marked("990"), state=state).trading is ACTIVE


def test_an_unknown_equity_hides_no_other_halt():
    halted = after(marked("790"), marked(None))
    assert (halted.trading, halted.reason) == (HALTED, "drawdown_limit")
    reducing = after(marked("940"), marked(None), marked("1000"))
    assert (reducing.trading, reducing.reason) == (REDUCING, "daily_loss_limit")


@pytest.mark.req("S1-100")
def test_losses_in_a_row_cool_down_and_the_sixth_halts():
    states = [a_state()]
    for _ in range(6):
        states.append(after(a_trade("-1"), state=states[-1]))
    assert [s.trading for s in states] == [ACTIVE] * 3 + [REDUCING] * 3 + [HALTED]
    assert [s.loss_streak for s in states] == list(range(7))
    assert states[3].halted_until == states[4].halted_until == NOW + timedelta(minutes=30)
    assert states[5].halted_until == NOW + timedelta(hours=1)
    assert states[6].reason == "loss_streak"
    lifted = after(Reset(by="Ada", why="looked", at=NOW + timedelta(hours=2)), state=states[6])
    assert (lifted.trading, lifted.loss_streak) == (ACTIVE, 0)


@pytest.mark.parametrize(
    ("pnl", "streak"),
    [
        pytest.param("-0.01", 3, id="a loss counts"),
        pytest.param("0", 2, id="even neither counts nor clears"),
        pytest.param("0.01", 0, id="a win clears"),
        pytest.param(None, 3, id="unknown counts as lost"),
        pytest.param("NaN", 3, id="not a number counts as lost"),
    ],
)
def test_what_counts_as_a_loss(pnl, streak):
    assert after(a_trade(pnl), state=a_state(loss_streak=2)).loss_streak == streak


@pytest.mark.req("S1-93")
def test_a_symbol_cools_down_after_an_order_and_longer_after_a_loss():
    state = after(OrderPlaced(symbol=BTC, at=NOW))
    assert state.cool_down_until == {BTC: NOW + timedelta(minutes=5)}
    state = after(a_trade("-1"), OrderPlaced(symbol=XRP, at=NOW), state=state)
    assert state.cool_down_until == {
        BTC: NOW + timedelta(minutes=10),
        XRP: NOW + timedelta(minutes=5),
    }
    assert state.trading is ACTIVE


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(marked("1000"), id="the same equity"),
        pytest.param(marked("951"), id="a loss inside all limits"),
        pytest.param(OrderPlaced(symbol=BTC, at=NOW), id="a cool-down inside a longer one"),
        pytest.param(a_trade("5"), id="a win with no streak to clear"),
        pytest.param(a_trade("0"), id="even"),
        pytest.param(Reset(by="Ada", why="haste", at=NOW), id="a reset of nothing"),
    ],
)
def test_what_changes_nothing_returns_the_same_state(event):
    state = a_state(cool_down_until={BTC: NOW + timedelta(hours=1)})
    assert after(event, state=state) is state


@pytest.mark.parametrize("equity", ["940", "895", "790"])
def test_a_halt_already_in_force_returns_the_same_state(equity):
    state = after(marked(equity), marked(equity))
    assert after(marked(equity), Halt(by="a", why="b", at=LATER), state=state) == after(
        Halt(by="a", why="b", at=LATER), state=state
    )
    assert after(marked(equity), state=state) is state


def test_time_running_backwards_moves_no_anchor_and_lifts_nothing():
    state = after(marked("940", THURSDAY), marked("1500", NOW - timedelta(days=9)))
    assert (state.day.date, state.day.equity) == (THURSDAY.date(), 940)


def test_zero_cool_downs_are_off():
    limits = limits_with(cool_down_after_order=0, cool_down_after_loss=0, loss_streaks=[])
    state = after(OrderPlaced(symbol=BTC, at=NOW), a_trade("-1"), limits=limits)
    assert all(until <= NOW for until in state.cool_down_until.values())
    assert state.trading is ACTIVE


@pytest.mark.parametrize("equity", ["0", "-1", "NaN"])
def test_an_account_without_equity_cannot_start(equity):
    with pytest.raises(ValueError, match="cannot start"):
        initial_state(Notional(Decimal(equity)), NOW)


@pytest.mark.req("S1-99")
def test_the_state_survives_a_restart():
    state = after(marked("790"), OrderPlaced(symbol=BTC, at=NOW), a_trade("-3", symbol=XRP))
    stored = TypeAdapter(RiskState).dump_json(state)
    assert TypeAdapter(RiskState).validate_json(stored) == state
