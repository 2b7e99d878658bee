from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agents.llm.budget import Budget, OverBudget, Reservation, TokenPrice
from data.clock import ManualClock
from tests.builders_models import a_question, an_answer

EVENING = datetime(2026, 1, 5, 23, 59, tzinfo=UTC)
PRICE = TokenPrice(input=Decimal(2), output=Decimal(10))
FREE = TokenPrice(input=Decimal(0), output=Decimal(0))


def a_budget(*, daily="5", decision="0.50", spent="0", clock=None) -> Budget:
    return Budget(
        daily_limit=Decimal(daily),
        decision_limit=Decimal(decision),
        clock=clock or ManualClock(EVENING),
        spent=Decimal(spent),
    )


@pytest.mark.parametrize(
    ("spent", "worst", "granted"),
    [
        pytest.param("0", "0.50", True, id="the whole decision"),
        pytest.param("0", "0.51", False, id="past the decision's limit"),
        pytest.param("4.60", "0.40", True, id="reaches the day's limit exactly"),
        pytest.param("4.60", "0.41", False, id="past the day's limit"),
        pytest.param("5", "0", True, id="a local model, with nothing left"),
        pytest.param("6", "0", False, id="the day is past its limit already"),
    ],
)
def test_a_reservation_stays_within_both_limits(spent, worst, granted):
    reserved = a_budget(spent=spent).purse().reserve(Decimal(worst))
    assert isinstance(reserved, Reservation) == granted


def test_what_is_held_counts_as_spent():
    purse = a_budget(decision="1").purse()
    first = purse.reserve(Decimal("0.6"))
    assert isinstance(purse.reserve(Decimal("0.6")), OverBudget)
    with first:
        first.settle(Decimal("0.1"))
    assert isinstance(purse.reserve(Decimal("0.6")), Reservation)


def test_a_decision_cannot_spend_what_another_holds():
    budget = a_budget(daily="1", decision="1")
    budget.purse().reserve(Decimal("0.7"))
    refused = budget.purse().reserve(Decimal("0.7"))
    assert isinstance(refused, OverBudget)
    assert "daily limit 1 USD" in refused.detail


def test_leaving_without_a_bill_pays_the_worst_case():
    budget = a_budget()
    with pytest.raises(TimeoutError), budget.purse().reserve(Decimal("0.3")):
        raise TimeoutError
    assert budget.spent == Decimal("0.3")


def test_a_bill_above_the_worst_case_is_booked_in_full():
    budget = a_budget(daily="1", decision="1")
    with budget.purse().reserve(Decimal("0.3")) as reserved:
        reserved.settle(Decimal("1.2"))
    assert budget.spent == Decimal("1.2")
    assert isinstance(budget.purse().reserve(Decimal(0)), OverBudget)


def test_a_day_begins_at_midnight_utc():
    clock = ManualClock(EVENING)
    budget = a_budget(spent="5", clock=clock)
    assert isinstance(budget.purse().reserve(Decimal("0.1")), OverBudget)
    clock.move_to(EVENING + timedelta(minutes=1))
    assert budget.spent == 0
    assert isinstance(budget.purse().reserve(Decimal("0.1")), Reservation)


def test_what_is_held_over_midnight_counts_against_the_new_day_too():
    clock = ManualClock(EVENING)
    budget = a_budget(daily="0.50", clock=clock)
    held = budget.purse().reserve(Decimal("0.4"))
    clock.move_to(EVENING + timedelta(hours=1))
    assert isinstance(budget.purse().reserve(Decimal("0.2")), OverBudget)
    with held:
        held.settle(Decimal("0.25"))
    assert budget.spent == Decimal("0.25")
    assert isinstance(budget.purse().reserve(Decimal("0.25")), Reservation)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"daily": "NaN"}, id="no daily limit"),
        pytest.param({"decision": "-1"}, id="a limit below zero"),
        pytest.param({"spent": "Infinity"}, id="spending unknown"),
    ],
)
def test_a_budget_without_numbers_is_none(changes):
    budget = {"daily": "5", "decision": "1", "spent": "0", **changes}
    with pytest.raises(ValueError, match="finite"):
        a_budget(**budget).purse()


@pytest.mark.parametrize("cost", ["-0.01", "NaN"])
def test_no_bill_gives_money_back(cost):
    with pytest.raises(ValueError, match="cost"), a_budget().purse().reserve(Decimal(1) / 10) as r:
        r.settle(Decimal(cost))


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity"])
def test_a_price_is_a_number_from_zero_up(price):
    with pytest.raises(ValueError, match="price"):
        TokenPrice(input=Decimal(price), output=Decimal(1))


def test_prices_are_per_million_tokens():
    assert PRICE.of_answer(an_answer()) == Decimal("0.002")  # 700 x 2 + 60 x 10 millionths
    assert FREE.of_answer(an_answer()) == 0


@pytest.mark.parametrize(
    "user", ["Which way?", "大" * 500], ids=["ASCII", "many bytes a character"]
)
def test_the_worst_case_covers_every_byte_and_the_longest_answer(user):
    question = a_question(user=user)
    sent = len((question.system + user).encode())
    least = PRICE.of_tokens(input_tokens=sent, output_tokens=question.max_tokens)
    assert PRICE.worst_case(question) > least
