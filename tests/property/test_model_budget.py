"""Money for models never passes its limits, however calls overlap."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.llm.budget import Budget, Reservation
from data.clock import ManualClock

MORNING = datetime(2026, 1, 5, 6, tzinfo=UTC)
DAILY, DECISION = Decimal(5), Decimal("0.5")
cents = st.integers(0, 60).map(lambda c: Decimal(c) / 100)
calls = st.lists(
    st.tuples(
        st.booleans(),  # a new decision begins
        cents,  # the worst case
        st.integers(0, 100),  # what it does cost, in percent of the worst case
        st.integers(0, 5),  # calls that begin before it ends
        st.integers(0, 40),  # minutes that pass first
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(calls=calls, spent=st.integers(0, 500).map(lambda c: Decimal(c) / 100))
def test_no_day_and_no_decision_passes_its_limit(calls, spent):
    clock = ManualClock(MORNING)
    budget = Budget(daily_limit=DAILY, decision_limit=DECISION, clock=clock, spent=spent)
    purse, by_day, by_decision = budget.purse(), {MORNING.date(): spent}, Decimal(0)
    underway: list[tuple[int, Reservation, Decimal]] = []

    def end(reserved: Reservation, cost: Decimal) -> None:
        with reserved:
            reserved.settle(cost)
        day = clock.now().date()
        by_day[day] = by_day.get(day, Decimal(0)) + cost

    for number, (fresh, worst, percent, lasts, minutes) in enumerate(calls):
        clock.move_to(clock.now() + timedelta(minutes=minutes))
        for _, reserved, cost in [call for call in underway if call[0] <= number]:
            end(reserved, cost)
        underway = [call for call in underway if call[0] > number]
        if fresh:
            purse, by_decision = budget.purse(), Decimal(0)
        reserved = purse.reserve(worst)
        if isinstance(reserved, Reservation):
            cost = worst * percent / 100
            by_decision += cost
            assert by_decision <= DECISION
            underway.append((number + lasts, reserved, cost))
    for _, reserved, cost in underway:
        end(reserved, cost)
    assert all(total <= DAILY for total in by_day.values())
    assert budget.spent == by_day.get(clock.now().date(), Decimal(0))
