"""Whether an order can be at Kraken, after each thing that can go wrong with a request."""

import pytest

from execution.venue import NoFunds, OffGrid, OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused
from execution.venues.kraken_answers import (
    Said,
    asking_fault,
    errors_of,
    is_over_limit,
    is_unknown_order,
    may_be_duplicate,
    placing_fault,
)
from tests.cases_answers import ASKING, PLACING


@pytest.mark.req("S1-132")
@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(Said(["EAPI:Rate limit exceeded"]), VenueUnavailable, id="REST limit"),
        pytest.param(Said(["EOrder:Rate limit exceeded"]), VenueUnavailable, id="engine limit"),
        pytest.param(Said(["EGeneral:Temporary lockout"]), VenueUnavailable, id="locked out"),
        pytest.param(Said(["EAPI:Invalid nonce"]), VenueUnavailable, id="overtaken"),
        pytest.param(
            Said(["EService:Market in cancel_only mode"]), VenueUnavailable, id="cancel only"
        ),
        pytest.param(Said(["EService:Deadline elapsed"]), VenueUnavailable, id="too late"),
        pytest.param(Said(["EService:Unavailable"]), OutcomeUnknown, id="unavailable"),
        pytest.param(Said(["EService:Busy"]), OutcomeUnknown, id="busy"),
        pytest.param(Said(["EService:Timeout"]), OutcomeUnknown, id="timeout"),
        pytest.param(Said(["EGeneral:Internal error"]), OutcomeUnknown, id="internal"),
        pytest.param(Said(["EDatabase:Internal error"]), OutcomeUnknown, id="database"),
        pytest.param(Said(["EStrange:Words"]), OutcomeUnknown, id="never heard of"),
        pytest.param(Said(["EOrder:Insufficient funds"]), NoFunds, id="funds"),
        pytest.param(Said(["EOrder:Insufficient margin"]), NoFunds, id="margin"),
        pytest.param(Said(["EOrder:Reduce only:No position exists"]), OrderRefused, id="flat"),
        pytest.param(Said(["EGeneral:Invalid arguments:volume"]), OffGrid, id="volume"),
        pytest.param(Said(["EQuery:Unknown asset pair"]), OrderRefused, id="pair"),
        pytest.param(Said(["EAPI:Invalid key"]), OrderRefused, id="key"),
        pytest.param(Said(["ETrade:User Locked"]), OrderRefused, id="locked"),
        pytest.param(
            Said(["EOrder:Insufficient funds", "EService:Busy"]), OutcomeUnknown, id="both"
        ),
        pytest.param(
            Said(["EAPI:Rate limit exceeded", "EOrder:Insufficient funds"]),
            NoFunds,
            id="limit and funds",
        ),
        *PLACING,
    ],
)
def test_what_became_of_an_order(error, fault):
    found = placing_fault(error, "kraken AddOrder: order-1")
    assert type(found) is fault
    assert str(found) == "as is" or "order-1" in str(found)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(Said(["EService:Busy"]), VenueUnavailable, id="busy"),
        pytest.param(Said(["EGeneral:Permission denied"]), KeyRefused, id="no right"),
        pytest.param(Said(["EAPI:Invalid signature"]), KeyRefused, id="wrong secret"),
        *ASKING,
    ],
)
def test_what_a_question_came_to(error, fault):
    assert type(asking_fault(error, "kraken Balance")) is fault


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        pytest.param({"error": [], "result": {}}, (), id="none"),
        pytest.param({"error": ["EOrder:No"]}, ("EOrder:No",), id="one"),
        pytest.param({"error": ["WGeneral:Slow"], "result": {}}, (), id="a warning"),
        pytest.param({"error": "EOrder:No"}, ("EOrder:No",), id="no list"),
        pytest.param([], (), id="no answer of Kraken's"),
    ],
)
def test_errors_are_told_from_warnings(answer, errors):
    assert errors_of(answer) == errors


def test_the_kinds_that_need_care():
    assert may_be_duplicate(Said(["EOrder:Duplicate order"]))
    assert may_be_duplicate(Said(["EGeneral:Invalid arguments:cl_ord_id"]))
    assert not may_be_duplicate(Said(["EOrder:Insufficient funds"]))
    assert not may_be_duplicate(TimeoutError())
    assert is_unknown_order(Said(["EOrder:Unknown order"]))
    assert is_over_limit(Said(["EAPI:Rate limit exceeded"]))
    assert not is_over_limit(Said(["EOrder:Insufficient funds"]))
