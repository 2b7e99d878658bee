"""Whether an order can be at Hyperliquid, after each thing that can go wrong with a request."""

import ccxt
import pytest

from execution.venue import OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused
from execution.venues.hyperliquid_answers import (
    Declined,
    Said,
    SwitchRefused,
    asking_fault,
    has_ended,
    is_over_limit,
    may_be_duplicate,
    placing_fault,
)
from tests.cases_answers import ASKING, PLACING

NOBODY = "User or API Wallet 0xb8a6f8b26223de27c31938d56e470a5b832703a5 does not exist."
TOO_MANY = "Too many cumulative requests sent (37355 > 37321) for cumulative volume traded $27322."
ENDED = "Order was never placed, already canceled, or filled. asset=0"
UNTRADED = (
    "Cannot set scheduled cancel time until enough volume traded."
    " Required: $1000000. Traded: $373.47205."
)


@pytest.mark.req("S1-132")
@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(Declined("Insufficient margin to place order. asset=4"), OrderRefused, id="1"),
        pytest.param(Declined("Words never heard. asset=4"), OrderRefused, id="its own, declined"),
        pytest.param(Said("Order has zero size."), OrderRefused, id="no size"),
        pytest.param(Said("Price must be divisible by tick size."), OrderRefused, id="off grid"),
        pytest.param(Said(NOBODY), OrderRefused, id="no agent"),
        pytest.param(Said(TOO_MANY), VenueUnavailable, id="no actions left"),
        pytest.param(Said("Invalid nonce: too far"), VenueUnavailable, id="nonce"),
        pytest.param(Said("Invalid nonce: duplicate nonce"), OutcomeUnknown, id="twice"),
        pytest.param(Said("Action expired"), VenueUnavailable, id="too late"),
        pytest.param(Said("Words never heard"), OutcomeUnknown, id="never heard of"),
        *PLACING,
    ],
)
def test_what_became_of_an_order(error, fault):
    found = placing_fault(error, "hyperliquid order: order-1")
    assert type(found) is fault
    assert str(found) == "as is" or "order-1" in str(found)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(Said(NOBODY), KeyRefused, id="no agent"),
        pytest.param(Said(UNTRADED), SwitchRefused, id="no switch yet"),
        pytest.param(Said("Words never heard"), VenueUnavailable, id="never heard of"),
        *ASKING,
    ],
)
def test_what_a_question_came_to(error, fault):
    assert type(asking_fault(error, "hyperliquid userFees")) is fault


def test_the_kinds_that_need_care():
    assert has_ended(Declined(ENDED))
    assert not has_ended(Declined("Insufficient margin"))
    assert may_be_duplicate(Declined("Order has a cloid that is in use"))
    assert not may_be_duplicate(TimeoutError())
    assert is_over_limit(Said(TOO_MANY))
    assert is_over_limit(ccxt.RateLimitExceeded("429"))
    assert not is_over_limit(Said(NOBODY))
