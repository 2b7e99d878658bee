"""What is heard twice, late and in any order is told once, fills before what they change."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.instrument import Side
from execution.fill import Fill
from execution.order import OrderStatus
from execution.venue import OrderChanged, VenueOrder
from execution.venues.telling import Telling
from tests.builders_venue import BTC, NOON, a_fill


def an_order(name="order", *, filled="0", status=None):
    done = Decimal(filled)
    return VenueOrder(
        client_order_id=name,
        symbol=BTC,
        side=Side.BUY,
        quantity=Decimal(3),
        filled=done,
        trigger=None,
        limit=Decimal(100),
        reduce_only=False,
        status=status or (OrderStatus.PARTIALLY_FILLED if done else OrderStatus.OPEN),
    )


def a_change(filled="0", *, status=None, second=0, name="order"):
    order = an_order(name, filled=filled, status=status)
    return OrderChanged(order=order, at=NOON + timedelta(seconds=second))


def the_fill(number, name="order"):
    return replace(a_fill(number, "1", "100"), client_order_id=name)


LIFE = [
    a_change(),
    the_fill(1),
    a_change("1", second=1),
    the_fill(2),
    a_change("2", second=2),
    the_fill(3),
    a_change("3", status=OrderStatus.FILLED, second=3),
]


def test_that_a_fill_was_forced_may_be_told_by_one_of_two_ways_alone():
    """The stream has told it without; who asks for it is told so, in the words of the stream."""
    telling, heard = Telling(), the_fill(1)
    telling.hear(heard)
    asked = replace(heard, price=heard.price + Decimal("0.000001"), forced="liquidated")
    assert telling.as_told(asked) == replace(heard, forced="liquidated")
    assert telling.as_told(replace(asked, forced="")) == heard


def told(telling, heard):
    for event in heard:
        telling.hear(event)
    return telling.drain()


@given(
    heard=st.permutations(LIFE).flatmap(
        lambda life: st.lists(st.sampled_from(life), max_size=10).map(lambda again: life + again)
    )
)
def test_whatever_the_line_does_the_story_is_whole(heard):
    events = told(Telling(), heard)
    fills = [event.fill_id for event in events if isinstance(event, Fill)]
    assert sorted(fills) == [fill.fill_id for fill in LIFE if isinstance(fill, Fill)]
    filled = Decimal(0)
    for event in events:
        filled += event.quantity if isinstance(event, Fill) else 0
        if isinstance(event, OrderChanged):
            assert event.order.filled == filled
    assert events[-1].order.status is OrderStatus.FILLED
    assert len(events) == len(set(events))


@pytest.mark.parametrize(
    ("heard", "works"),
    [
        pytest.param([], True, id="placed, and nothing heard"),
        pytest.param([the_fill(1)], True, id="filled, and no change heard"),
        pytest.param([a_change()], True, id="open"),
        pytest.param([a_change("1", second=1)], True, id="its fill is missing"),
        pytest.param([a_change(status=OrderStatus.CANCELLED)], False, id="over"),
    ],
)
def test_an_order_works_until_it_is_told_to_be_over(heard, works):
    telling = Telling()
    telling.expect_order("order")
    told(telling, heard)
    assert list(telling.working) == (["order"] if works else [])


def test_an_order_that_nobody_knows_is_asked_after_no_more():
    telling = Telling()
    telling.expect_order("lost")
    telling.hear(a_change(name="there"))
    telling.forget_order("lost")
    telling.forget_order("there")
    assert list(telling.working) == ["there"]


def test_what_was_known_before_is_not_told_again():
    telling = Telling()
    telling.know_order(an_order(filled="1"))
    telling.know_fill(the_fill(1))
    assert not told(telling, [the_fill(1), a_change("1")])
    assert told(telling, [the_fill(2), a_change("2", second=1)])


def test_an_answer_that_was_overtaken_is_no_news():
    telling = Telling()
    told(telling, [a_change(second=5)])
    late = OrderChanged(order=replace(an_order(), limit=Decimal(99)), at=NOON)
    assert not told(telling, [late])


def test_fills_from_before_our_time_hold_nothing_back():
    telling = Telling()
    telling.know_fill(the_fill(1))
    telling.hear(the_fill(2))
    change = a_change("2", second=2)
    assert telling.awaits_fills(change.order)
    telling.know_past(change.order)
    assert told(telling, [change]) == (the_fill(2), change)
    assert told(telling, LIFE[5:]) == tuple(LIFE[5:])
