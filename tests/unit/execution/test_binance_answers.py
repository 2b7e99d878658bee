"""Whether an order can be at Binance, after each thing that can go wrong with a request."""

from datetime import timedelta

import ccxt
import pytest

from data.feeds.ccxt_source import _TurnedAway
from execution.venue import OffGrid, OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused
from execution.venues.binance_answers import (
    Said,
    asking_fault,
    has_no_stream,
    is_set_already,
    is_unknown_order,
    may_be_duplicate,
    patience,
    placing_fault,
)
from tests.cases_answers import ASKING, PLACING


def said(code, words="", status=400):
    return Said(code, words, status=status)


@pytest.mark.req("S1-133")
@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(said(-1000, status=503), OutcomeUnknown, id="503 unknown error"),
        pytest.param(said(-1000), OutcomeUnknown, id="unknown"),
        pytest.param(said(-1001, status=500), OutcomeUnknown, id="disconnected"),
        pytest.param(said(-1006), OutcomeUnknown, id="unexpected response"),
        pytest.param(said(-1007, status=408), OutcomeUnknown, id="timeout"),
        pytest.param(said(-1010), OutcomeUnknown, id="error message received"),
        pytest.param(said(-9999), OutcomeUnknown, id="never heard of"),
        pytest.param(said(-2010, status=502), OutcomeUnknown, id="a refusal of a broken server"),
        pytest.param(said(-1003), VenueUnavailable, id="too much weight"),
        pytest.param(said(-1008, status=503), VenueUnavailable, id="overloaded"),
        pytest.param(said(-1015), VenueUnavailable, id="too many orders"),
        pytest.param(said(-1021), VenueUnavailable, id="outside recvWindow"),
        pytest.param(said(-5028), VenueUnavailable, id="outside the engine's recvWindow"),
        pytest.param(said(-1022), OrderRefused, id="signature"),
        pytest.param(said(-1102), OrderRefused, id="a parameter is missing"),
        pytest.param(said(-1106), OrderRefused, id="a parameter too many"),
        pytest.param(said(-1111), OffGrid, id="precision"),
        pytest.param(said(-2010), OrderRefused, id="rejected"),
        pytest.param(said(-2011), OrderRefused, id="cancel rejected"),
        pytest.param(said(-2013), OrderRefused, id="no such order"),
        pytest.param(said(-2015), OrderRefused, id="key"),
        pytest.param(said(-2019), OrderRefused, id="margin"),
        pytest.param(said(-2021), OrderRefused, id="would trigger at once"),
        pytest.param(said(-2022), OrderRefused, id="nothing to reduce"),
        pytest.param(said(-2027), OrderRefused, id="position cap at this leverage"),
        pytest.param(said(-4003), OffGrid, id="quantity"),
        pytest.param(said(-4015), OrderRefused, id="client order id"),
        pytest.param(said(-4061), OrderRefused, id="position side"),
        pytest.param(said(-4120), OrderRefused, id="a conditional order where none is taken"),
        pytest.param(said(-4131), OrderRefused, id="no counterparty's price"),
        pytest.param(said(-4164), OffGrid, id="notional"),
        pytest.param(said(-5021), OrderRefused, id="fill or kill"),
        pytest.param(said(-5022), OrderRefused, id="post-only"),
        pytest.param(said(-20130), OrderRefused, id="a conditional order's parameter"),
        *PLACING,
    ],
)
def test_what_became_of_an_order(error, fault):
    found = placing_fault(error, "binanceusdm Order: order-1")
    assert type(found) is fault
    assert str(found) == "as is" or "order-1" in str(found)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(said(-1001, status=500), VenueUnavailable, id="busy"),
        pytest.param(said(-1021), VenueUnavailable, id="too old"),
        pytest.param(said(-1022), KeyRefused, id="wrong secret"),
        pytest.param(said(-2014), KeyRefused, id="no key"),
        pytest.param(said(-2015), KeyRefused, id="wrong key, or address, or no right"),
        pytest.param(said(-1002), KeyRefused, id="no right"),
        *ASKING,
    ],
)
def test_what_a_question_came_to(error, fault):
    assert type(asking_fault(error, "binanceusdm account")) is fault


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        pytest.param(_TurnedAway("429", timedelta(seconds=7)), 7, id="told how long"),
        pytest.param(ccxt.DDoSProtection("418"), 60, id="not told"),
        pytest.param(said(-1003), 60, id="too much weight"),
        pytest.param(said(-1015), 60, id="too many orders"),
        pytest.param(said(-1021), None, id="another error"),
        pytest.param(ccxt.ExchangeNotAvailable("502"), None, id="502"),
    ],
)
def test_how_long_binance_wants_us_to_be_silent(error, seconds):
    assert patience(error) == (None if seconds is None else timedelta(seconds=seconds))


def test_the_kinds_that_need_care():
    assert may_be_duplicate(said(-4116, "ClientOrderId is duplicated."))
    assert may_be_duplicate(said(-20132))
    assert may_be_duplicate(said(-2010, "Duplicate order sent."))
    assert not may_be_duplicate(said(-2010, "Rejected."))
    assert not may_be_duplicate(TimeoutError())
    assert is_unknown_order(said(-2011))
    assert is_unknown_order(said(-2013))
    assert not is_unknown_order(said(-2015))
    assert not is_unknown_order(None)
    assert is_set_already(said(-4046))
    assert has_no_stream(said(-1125))
