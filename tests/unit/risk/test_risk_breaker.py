"""When new exposure stops, for how long, and who may lift it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from data.instrument import Notional
from risk.breaker import (
    Anchor,
    BreakerActed,
    FlatSeen,
    Halt,
    Liquidated,
    Marked,
    MarketSeen,
    ModelAnswered,
    ModelFailed,
    OrderPlaced,
    Rebalanced,
    Resume,
    RiskState,
    TradingState,
    Withdrawn,
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
FLAT = FlatSeen(is_flat=True, at=LATER)


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
    assert after(Resume(by="Ada", why="haste", at=far), state=state) is state
    lifted = after(FLAT, Resume(by="Ada", why="looked", at=far), state=state)
    assert (lifted.trading, lifted.peak_equity, lifted.latch) == (ACTIVE, None, None)
    assert after(marked("790", far), state=lifted).trading is ACTIVE
    assert after(marked("790", far), marked("632", far), state=lifted).reason == "drawdown_limit"


def test_a_resume_shortens_no_halt_that_ends_by_itself():
    state = after(marked("790"), FLAT, Resume(by="Ada", why="looked", at=LATER))
    assert (state.trading, state.reason) == (REDUCING, "monthly_loss_limit")
    assert trading_at(state, APRIL) is ACTIVE


def test_a_resume_of_a_manual_halt_forgets_no_drawdown():
    state = after(Halt(by="Ada", why="upgrade", at=LATER), marked("810"))
    assert (state.trading, state.reason) == (HALTED, "halted by Ada: upgrade")
    state = after(Resume(by="Ada", why="done", at=LATER), marked("800"), state=state)
    assert (state.trading, state.reason) == (HALTED, "drawdown_limit")


def test_a_liquidation_halts_until_a_person_resumes():
    state = after(Liquidated(symbol=BTC, at=LATER), Liquidated(symbol=XRP, at=LATER))
    assert (state.trading, state.reason) == (HALTED, f"liquidation of {BTC}")
    assert trading_at(state, LATER + timedelta(days=60)) is HALTED
    lifted = after(Resume(by="Ada", why="understood", at=LATER), state=state)
    assert (lifted.trading, lifted.reason) == (ACTIVE, "")


def test_nobody_resumes_what_is_not_halted():
    state = after(marked("940"))
    assert after(Resume(by="Ada", why="haste", at=LATER), state=state) is state


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
    lifted = after(Resume(by="Ada", why="looked", at=NOW + timedelta(hours=2)), state=states[6])
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
        pytest.param(Resume(by="Ada", why="haste", at=NOW), id="a resume of nothing"),
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


def test_an_account_that_has_never_traded():
    cents = Notional(Decimal("0.5"))
    assert initial_state(cents, NOW) == RiskState(
        trading=ACTIVE,
        reason="",
        peak_equity=cents,
        day=Anchor(date=date(2025, 3, 5), equity=cents),
        week=Anchor(date=date(2025, 3, 3), equity=cents),
        month=Anchor(date=date(2025, 3, 1), equity=cents),
        day_peak=cents,
        equity_known=True,
        loss_streak=0,
        cool_down_until={},
        spike_until={},
        model_failures={},
        paused_until={},
        weekly_reached=None,
        acted={},
        halted_until=None,
        halted_for="",
        latch=None,
    )


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(OrderPlaced(symbol=BTC, at=NOW), id="an order"),
        pytest.param(Rebalanced(symbol=BTC, at=NOW), id="rebalancing"),
        pytest.param(BreakerActed(reason="a test", at=NOW), id="a breaker's orders"),
        pytest.param(
            MarketSeen(symbol=BTC, atr=4.0, mean_atr=1.0, move=0.1, at=NOW), id="a wild market"
        ),
    ],
)
def test_what_is_told_twice_changes_nothing_the_second_time(event):
    once = after(event)
    assert once != a_state()
    assert after(event, state=once) is once


@pytest.mark.req("S2-43")
@pytest.mark.parametrize(
    ("atr", "mean", "spikes"),
    [
        pytest.param(1.5, 0.5, False, id="at the ratio"),
        pytest.param(1.51, 0.5, True, id="beyond it"),
        pytest.param(1.0, 0.0, False, id="no mean"),
    ],
)
def test_a_spike_is_a_range_beyond_so_many_means(atr, mean, spikes):
    state = after(MarketSeen(symbol=BTC, atr=atr, mean_atr=mean, move=None, at=NOW))
    assert state.spike_until == ({BTC: NOW + LIMITS.spike_span} if spikes else {})


@pytest.mark.req("S2-44")
def test_an_answer_ends_the_count_of_its_desk_and_of_no_other():
    failed = after(*(ModelFailed(strategy_id=desk, at=NOW) for desk in ("one", "two")))
    answered = after(ModelAnswered(strategy_id="one", at=NOW), state=failed)
    assert answered == a_state(model_failures={"two": 1})
    assert after(ModelAnswered(strategy_id="one", at=NOW), state=answered) is answered


@pytest.mark.parametrize(
    ("at", "anchors"),
    [
        pytest.param(LATER, ("2025-03-05 1000", "2025-03-03 1000", "2025-03-01 1000"), id="today"),
        pytest.param(
            THURSDAY, ("2025-03-06 999", "2025-03-03 1000", "2025-03-01 1000"), id="another day"
        ),
        pytest.param(
            MONDAY, ("2025-03-10 999", "2025-03-10 999", "2025-03-01 1000"), id="another week"
        ),
        pytest.param(
            APRIL, ("2025-04-01 999", "2025-03-31 999", "2025-04-01 999"), id="another month"
        ),
    ],
)
def test_a_day_a_week_and_a_month_begin_with_their_first_equity(at, anchors):
    state = after(marked("999", at))
    seen = (f"{anchor.date} {anchor.equity}" for anchor in (state.day, state.week, state.month))
    assert tuple(seen) == anchors


@pytest.mark.req("S1-98")
def test_the_days_peak_is_followed_within_its_day():
    limits = limits_with(max_day_drawdown="0.2")
    state = after(marked("1100"), marked("1050"), limits=limits)
    assert (state.day_peak, state.day.equity) == (1100, 1000)
    assert after(marked("1060", THURSDAY), state=state, limits=limits).day_peak == 1060


@pytest.mark.req("S1-98")
def test_a_resume_of_a_fall_within_the_day_measures_the_day_anew_and_not_the_drawdown():
    limits = limits_with(max_day_drawdown="0.04")
    halted = after(marked("960"), limits=limits)
    assert (halted.trading, halted.reason) == (HALTED, "day_drawdown_limit")
    lifted = after(FLAT, Resume(by="Ada", why="looked", at=LATER), state=halted, limits=limits)
    assert (lifted.trading, lifted.day_peak, lifted.peak_equity) == (ACTIVE, None, 1000)


@pytest.mark.req("S1-98")
def test_a_limit_from_the_days_peak_that_is_off_follows_no_peak_and_halts_nothing():
    assert after(marked("1100")).day_peak == 1000
    nothing_left = after(marked("0"), state=a_state(peak_equity=None))
    assert (nothing_left.trading, nothing_left.reason) == (REDUCING, "monthly_loss_limit")


def test_an_equity_that_is_unknown_is_remembered_as_such():
    assert after(marked(None)).equity_known is False


@pytest.mark.parametrize(
    ("peak", "equity", "then"),
    [
        pytest.param(None, "0.5", "0.5", id="the first"),
        pytest.param("0.5", "0.8", "0.8", id="a higher one"),
        pytest.param("0.8", "0.79", "0.8", id="a lower one"),
        pytest.param(None, "0", None, id="nothing is no peak"),
        pytest.param("0", "1000", "0", id="a peak of nothing stays, so that what reads it refuses"),
    ],
)
def test_a_peak_is_the_highest_equity(peak, equity, then):
    state = a_state(peak_equity=None if peak is None else Notional(Decimal(peak)))
    seen = after(marked(equity), state=state).peak_equity
    assert seen == (None if then is None else Decimal(then))


def test_one_win_clears_one_loss():
    assert after(a_trade("-1"), a_trade("1")).loss_streak == 0


@pytest.mark.req("S1-100")
def test_a_losing_streak_says_that_it_is_the_reason():
    state = after(a_trade("-1"), a_trade("-1"), a_trade("-1"))
    assert (state.reason, state.halted_for) == ("loss_streak", "loss_streak")
    over = after(marked("1000", NOW + timedelta(minutes=30)), state=state)
    assert (over.trading, over.reason, over.halted_until, over.halted_for) == (ACTIVE, "", None, "")


def test_a_resume_of_a_manual_halt_forgets_no_streak_and_no_peak():
    halted = after(
        Halt(by="Ada", why="upgrade", at=LATER), state=a_state(loss_streak=LIMITS.max_loss_streak)
    )
    lifted = after(Resume(by="Ada", why="done", at=LATER), state=halted)
    assert (lifted.trading, lifted.loss_streak) == (ACTIVE, LIMITS.max_loss_streak)
    assert (lifted.peak_equity, lifted.day_peak) == (1000, 1000)


@pytest.mark.req("S1-99")
def test_the_state_survives_a_restart():
    state = after(marked("790"), OrderPlaced(symbol=BTC, at=NOW), a_trade("-3", symbol=XRP))
    stored = TypeAdapter(RiskState).dump_json(state)
    assert TypeAdapter(RiskState).validate_json(stored) == state


def with_kept(equity, whole):
    return Marked(equity=Notional(Decimal(equity)), whole=Notional(Decimal(whole)), at=LATER)


@pytest.mark.req("S0-36")
@pytest.mark.parametrize(
    ("whole", "halted"),
    [
        pytest.param("1801", False, id="above the limit"),
        pytest.param("1800", True, id="at the limit"),
        pytest.param("900", True, id="beyond"),
    ],
)
def test_a_fall_of_the_whole_account_stops_entries_and_closes_nothing(whole, halted):
    """The trading book has lost nothing: it is the holdings that have fallen."""
    limits = limits_with(max_account_drawdown="0.4", drawdown_closes=True)
    state = after(with_kept("1000", "3000"), with_kept("1000", whole), limits=limits)
    assert (state.trading is HALTED) is halted
    assert state.reason == ("account_drawdown_limit" if halted else "")
    assert state.latch is None
    again = after(with_kept("1000", "3000"), state=state, limits=limits)
    assert (again.trading is HALTED) is halted  # it does not lift itself


@pytest.mark.req("S0-19", "S0-36")
@pytest.mark.parametrize(
    ("peak", "whole"),
    [
        pytest.param("3000", "NaN", id="what it is worth is not known"),
        pytest.param("3000", "Infinity", id="it is worth no amount"),
        pytest.param("NaN", "2900", id="its peak is no number"),
        pytest.param("0", "2900", id="its peak is nothing"),
        pytest.param("-3000", "2900", id="its peak is below nothing"),
    ],
)
def test_a_whole_account_whose_fall_nobody_can_tell_lets_nothing_in(peak, whole):
    state = replace(after(marked("1000")), account_peak=Notional(Decimal(peak)))
    seen = after(with_kept("1000", whole), state=state)
    assert not seen.equity_known
    assert after(with_kept("1000", "2900"), state=replace(seen, account_peak=None)).equity_known


def test_a_resume_measures_the_whole_account_anew():
    limits = limits_with(max_account_drawdown="0.4")
    resume = Resume(by="Ada", why="looked", at=LATER)
    fallen = after(with_kept("1000", "3000"), with_kept("1000", "1500"), limits=limits)
    lifted = after(resume, with_kept("1000", "1500"), state=fallen, limits=limits)
    assert (lifted.trading, lifted.account_peak) == (ACTIVE, 1500)


def test_a_resume_of_another_halt_leaves_its_peak():
    halted = after(with_kept("1000", "3000"), Halt(by="Ada", why="upgrade", at=LATER))
    lifted = after(Resume(by="Ada", why="done", at=LATER), state=halted)
    assert (lifted.trading, lifted.account_peak) == (ACTIVE, 3000)


def test_a_whole_account_may_be_worth_little():
    state = after(with_kept("1000", "0.5"))
    assert (state.account_peak, state.equity_known) == (Decimal("0.5"), True)
    again = after(with_kept("1000", "0.4"), state=state)
    assert (again.account_peak, again.equity_known) == (Decimal("0.5"), True)


def test_what_is_withdrawn_lowers_no_top_that_is_not_known():
    state = replace(after(marked("1000")), peak_equity=None, day_peak=None)
    less = after(Withdrawn(amount=Notional(Decimal(100)), at=LATER), state=state)
    assert (less.peak_equity, less.day_peak) == (None, None)


def test_where_nothing_is_kept_the_whole_account_is_not_measured():
    assert after(marked("1000"), marked("950")).account_peak is None


@pytest.mark.req("S0-36")
def test_what_goes_into_a_bag_is_no_loss():
    """Every start and top is lower by it, so what is left may lose as large a share as before."""
    gained = after(marked("1200"))
    state = after(Withdrawn(amount=Notional(Decimal(100)), at=LATER), state=gained)
    tops = (state.peak_equity, state.day.equity, state.week.equity, state.month.equity)
    before = (gained.peak_equity, gained.day.equity, gained.week.equity, gained.month.equity)
    assert tops == tuple(top - 100 for top in before)
    assert state.day_peak == gained.day_peak - 100
    assert after(marked("1100"), state=state).trading is ACTIVE
