"""A second attempt: as it was meant, moved no farther than the envelope asks."""

from decimal import Decimal

import pytest

from agents import intents
from data.instrument import Price, Quantity
from risk.intent import Direction, Envelope
from tests.builders_risk import an_entry

LONG = Envelope(
    nearest_stop=Price(Decimal(98)),
    farthest_stop=Price(Decimal(95)),
    nearest_target=Price(Decimal(106)),
    max_quantity=Quantity(Decimal(2)),
)
SHORT = Envelope(
    nearest_stop=Price(Decimal(102)),
    farthest_stop=Price(Decimal(105)),
    nearest_target=Price(Decimal(94)),
    max_quantity=Quantity(Decimal(2)),
)


@pytest.mark.parametrize(
    ("envelope", "direction", "asked", "given"),
    [
        pytest.param(LONG, "long", ("99.9", "110"), ("98", "110"), id="long, stop too near"),
        pytest.param(LONG, "long", ("90", "110"), ("95", "110"), id="long, stop too far"),
        pytest.param(LONG, "long", ("97", "110"), ("97", "110"), id="long, stop inside"),
        pytest.param(LONG, "long", ("97", "101"), ("97", "106"), id="long, target too near"),
        pytest.param(LONG, "long", ("97", None), ("97", None), id="long, no target"),
        pytest.param(SHORT, "short", ("100.1", "90"), ("102", "90"), id="short, stop too near"),
        pytest.param(SHORT, "short", ("110", "90"), ("105", "90"), id="short, stop too far"),
        pytest.param(SHORT, "short", ("103", "99"), ("103", "94"), id="short, target too near"),
    ],
)
@pytest.mark.req("S3-47")
def test_stop_and_target_move_into_the_envelope(envelope, direction, asked, given):
    intent = an_entry(stop=asked[0], target=asked[1], direction=Direction(direction))
    again = intents.within(envelope, intent)
    wanted = tuple(None if text is None else Decimal(text) for text in given)
    assert (again.stop, again.target) == wanted


@pytest.mark.parametrize(
    ("direction", "wish", "given"),
    [
        pytest.param("long", None, None, id="as much as the rules give"),
        pytest.param("long", "1", "1", id="less than the most"),
        pytest.param("long", "3", "2", id="more"),
        pytest.param("short", "-3", "-2", id="more, short"),
    ],
)
def test_the_wish_is_no_larger_than_the_envelope(direction, wish, given):
    envelope = LONG if direction == "long" else SHORT
    quantity = None if wish is None else Quantity(Decimal(wish))
    intent = an_entry(quantity=quantity, direction=Direction(direction))
    again = intents.within(envelope, intent)
    assert again.quantity == (None if given is None else Decimal(given))


def test_a_second_attempt_says_so_and_has_an_id_of_its_own():
    intent = an_entry()
    again = intents.within(LONG, intent)
    assert (again.attempt, again.symbol, again.confidence) == (1, intent.symbol, intent.confidence)
    assert again.intent_id != intent.intent_id
    assert again == intents.within(LONG, intent)
