"""A purchase for a bag that is in flight counts as filled: no entry is promised its cash."""

from dataclasses import replace
from decimal import Decimal

import pytest

from data.instrument import Notional
from risk.approval import ApprovedOrder, Rejection
from risk.rules import leverage, position_size, total_exposure
from tests.builders_risk import a_case, an_account, an_entry, in_flight, judged, limits_with

LIMITS = limits_with(max_position="1", max_exposure="1", max_leverage="1", taker_fee="0")


def with_bag(*worth, **changes):
    """An account of 1,000 that buys for bags, for so much each."""
    purchases = tuple(
        replace(in_flight("1", notional="0"), for_bag=True, notional=Notional(each))
        for each in worth
    )
    return an_account("1000", exchanging=purchases, **changes)


@pytest.mark.req("S0-19", "S0-36")
@pytest.mark.parametrize(
    ("account", "size", "objects"),
    [
        pytest.param(an_account("1000"), "10", False, id="all of equity"),
        pytest.param(with_bag(Decimal(100)), "9", False, id="what the bag leaves"),
        pytest.param(with_bag(Decimal(100)), "9.1", True, id="what the bag is about to take"),
        pytest.param(with_bag(Decimal(60), Decimal(40)), "9", False, id="what two bags leave"),
        pytest.param(with_bag(Decimal(60), Decimal(40)), "9.1", True, id="what they will take"),
        pytest.param(with_bag(Decimal(2000)), "0.1", True, id="a bag that takes all"),
        pytest.param(with_bag(Decimal("NaN")), "0.1", True, id="a bag that nobody can value"),
        pytest.param(with_bag(Decimal("Infinity")), "0.1", True, id="a bag without a price"),
        pytest.param(
            an_account("1000", exchanging=(in_flight("1", notional="100"),)),
            "10",
            False,
            id="what moves holdings takes nothing",
        ),
    ],
)
@pytest.mark.parametrize("rule", [position_size, total_exposure, leverage])
def test_a_limit_of_size_counts_a_purchase_in_flight_as_filled(rule, account, size, objects):
    case = a_case(sized=size, account=account, limits=LIMITS)
    assert (rule(case) is not None) == objects


def test_the_fee_of_the_purchase_counts_too():
    case = a_case(account=with_bag(Decimal(100)), limits=limits_with(taker_fee="0.01"))
    assert case.stake == Decimal(899)


@pytest.mark.req("S0-36")
def test_an_entry_is_sized_by_what_the_bag_leaves():
    alone = judged(an_entry(quantity=None))
    beside = judged(an_entry(quantity=None), account=with_bag(Decimal(500)))
    assert isinstance(alone, ApprovedOrder)
    assert isinstance(beside, ApprovedOrder)
    assert 0 < beside.quantity < alone.quantity


def test_where_the_bag_takes_all_nothing_is_entered():
    assert isinstance(judged(an_entry(), account=with_bag(Decimal(1000))), Rejection)


@pytest.mark.req("S0-23", "S0-25")
def test_a_purchase_in_flight_is_no_loss():
    case = a_case(account=with_bag(Decimal(900)))
    assert (case.equity, case.left, case.drawdown) == (Decimal(1000), Decimal(1000), Decimal(0))
