"""The order state machine: every cell of its table, and each of its rules."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.faults import Corrupt
from data.instrument import Side
from execution.order import Cancelling, OrderStatus, Outcome, Submitted, Submitting
from execution.tracking import IllegalTransition, TrackedOrder
from execution.venue import OrderChanged, VenueOrder, stop_id
from risk.intent import Purpose
from tests.builders_engine import an_entry, an_exit
from tests.builders_venue import BTC, NOON, XRP, a_fill

NOTHING = Decimal(0)


def tracked(status=OrderStatus.SUBMITTING, *, filled="0", approved=None):
    """The entry "A" for 1 BTC, standing at `status` with `filled` of it booked."""
    order = TrackedOrder.of(Submitting.of(approved or an_entry("A"), at=NOON))
    booked = Decimal(filled)
    ids = frozenset({"earlier"}) if booked else frozenset()
    return replace(order, status=status, filled=booked, reported=booked, fill_ids=ids)


def answer(outcome):
    return Submitted(client_order_id=tracked().client_order_id, outcome=outcome, detail="", at=NOON)


def said(status, *, filled="0", quantity="1", of=None, seconds=1, **changes):
    """The venue says that `of` stands at `status`, so many seconds after noon."""
    order = (of or tracked()).order
    view = VenueOrder(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=Decimal(quantity),
        filled=Decimal(filled),
        trigger=order.trigger,
        limit=order.limit,
        reduce_only=order.reduce_only,
        status=status,
    )
    return OrderChanged(order=replace(view, **changes), at=NOON + timedelta(seconds=seconds))


def fill(number, quantity, *, of=None, **changes):
    """A fill of `of`; `quantity` is signed."""
    client_order_id = (of or tracked()).client_order_id
    return replace(a_fill(number, quantity, "100"), client_order_id=client_order_id, **changes)


EVENTS = {
    "accepted": answer(Outcome.ACCEPTED),
    "refused": answer(Outcome.REFUSED),
    "withheld": answer(Outcome.WITHHELD),
    "unavailable": answer(Outcome.UNAVAILABLE),
    "unknown": answer(Outcome.UNKNOWN),
    "said-open": said(OrderStatus.OPEN),
    "said-partly": said(OrderStatus.PARTIALLY_FILLED, filled="0.4"),
    "said-filled": said(OrderStatus.FILLED, filled="1"),
    "said-cancelled": said(OrderStatus.CANCELLED),
    "said-expired": said(OrderStatus.EXPIRED),
    "said-rejected": said(OrderStatus.REJECTED),
    "first-fill": fill(1, "0.1"),
    "last-fill": fill(2, "1"),
}
SHORT = {
    "submitting": OrderStatus.SUBMITTING,
    "unknown": OrderStatus.UNKNOWN,
    "open": OrderStatus.OPEN,
    "partly": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
FILLED_SO_FAR = {"partly": "0.4", "filled": "1"}
TABLE = """
event          submitting unknown   open      partly    filled  cancelled expired rejected
accepted       open       open      open      partly    filled  cancelled expired rejected
refused        rejected   rejected  illegal   illegal   illegal illegal   illegal rejected
withheld       rejected   rejected  illegal   illegal   illegal illegal   illegal rejected
unavailable    rejected   rejected  illegal   illegal   illegal illegal   illegal rejected
unknown        unknown    unknown   open      partly    filled  cancelled expired rejected
said-open      open       open      open      partly    filled  cancelled expired rejected
said-partly    partly     partly    partly    partly    filled  cancelled expired rejected
said-filled    filled     filled    filled    filled    filled  cancelled expired rejected
said-cancelled cancelled  cancelled cancelled cancelled filled  cancelled expired rejected
said-expired   expired    expired   expired   expired   filled  cancelled expired rejected
said-rejected  rejected   rejected  rejected  illegal   illegal cancelled expired rejected
first-fill     partly     partly    partly    partly    illegal cancelled expired rejected
last-fill      filled     filled    filled    illegal   illegal cancelled expired rejected
"""


def cells():
    head, *rows = (line.split() for line in TABLE.strip().splitlines())
    for event, *outcomes in rows:
        for now, outcome in zip(head[1:], outcomes, strict=True):
            yield pytest.param(now, event, outcome, id=f"{now}, {event}")


def test_the_table_has_every_status_and_every_event():
    assert set(SHORT.values()) == set(OrderStatus)
    assert len(list(cells())) == len(OrderStatus) * len(EVENTS)


@pytest.mark.parametrize(("now", "event", "outcome"), list(cells()))
def test_every_transition_is_as_the_table_says(now, event, outcome):
    before = tracked(SHORT[now], filled=FILLED_SO_FAR.get(now, "0"))
    if outcome == "illegal":
        with pytest.raises(IllegalTransition) as raised:
            before.after(EVENTS[event])
        assert isinstance(raised.value, Corrupt)
        assert before.client_order_id in str(raised.value)
        assert type(EVENTS[event]).__name__ in str(raised.value)
    else:
        assert before.after(EVENTS[event]).status is SHORT[outcome]


@pytest.mark.parametrize("status", list(OrderStatus))
def test_cancelling_marks_what_still_works_and_no_more(status):
    before = tracked(status)
    after = before.after(Cancelling(client_order_id=before.client_order_id, at=NOON))
    assert after.status is status
    assert after.cancelling is not status.is_final


@pytest.mark.parametrize(
    ("before", "event"),
    [
        pytest.param(tracked(), said(OrderStatus.OPEN, symbol=XRP), id="another symbol"),
        pytest.param(tracked(), said(OrderStatus.OPEN, side=Side.SELL), id="another side"),
        pytest.param(tracked(), said(OrderStatus.OPEN, quantity="0.5"), id="a smaller entry"),
        pytest.param(tracked(), said(OrderStatus.OPEN, quantity="2"), id="a larger entry"),
        pytest.param(tracked(), said(OrderStatus.OPEN, filled="1.1"), id="more than it all"),
        pytest.param(tracked(), said(OrderStatus.SUBMITTING), id="no venue's state"),
        pytest.param(tracked(), said(OrderStatus.UNKNOWN), id="no venue's state either"),
        pytest.param(tracked(), fill(1, "1.1"), id="a fill of more than was asked"),
        pytest.param(tracked(), fill(1, "-0.5"), id="a fill of the other side"),
        pytest.param(tracked(), fill(1, "0.5", symbol=XRP), id="a fill of another symbol"),
        pytest.param(tracked(), replace(fill(1, "0.5"), quantity=NOTHING), id="a fill of nothing"),
        pytest.param(
            tracked(OrderStatus.CANCELLED, filled="0.4"),
            said(OrderStatus.REJECTED),
            id="rejected after it traded",
        ),
    ],
)
def test_what_cannot_be_our_order_is_corrupt(before, event):
    with pytest.raises(IllegalTransition):
        before.after(event)


@pytest.mark.parametrize("name", EVENTS)
def test_the_same_again_is_nothing_new(name):
    once = tracked().after(EVENTS[name])
    assert once.after(EVENTS[name]) is once


def test_a_fill_after_the_cancellation_counts_and_the_status_stays():
    order = tracked().after(fill(1, "0.4")).after(said(OrderStatus.CANCELLED, filled="0.4"))
    late = order.after(fill(2, "0.6"))
    assert (late.status, late.filled, late.is_done) == (OrderStatus.CANCELLED, 1, True)


def test_a_fill_after_we_gave_an_order_up_counts():
    order = tracked().after(answer(Outcome.UNAVAILABLE)).after(fill(1, "1"))
    assert (order.status, order.filled) == (OrderStatus.REJECTED, 1)


def test_an_order_is_not_done_before_its_reported_fills_are_here():
    ended = tracked().after(said(OrderStatus.FILLED, filled="1"))
    assert (ended.is_done, ended.remaining) == (False, 1)
    partly = ended.after(fill(1, "0.3"))
    assert (partly.is_done, partly.remaining) == (False, Decimal("0.7"))
    assert partly.after(fill(2, "0.7")).is_done


def test_what_is_cancelled_has_no_remainder():
    assert tracked(OrderStatus.OPEN).remaining == 1
    assert tracked().after(said(OrderStatus.CANCELLED)).remaining == 0


def test_of_two_sizes_the_later_by_the_venues_time_holds():
    stop = tracked(approved=an_exit("S", "-1", trigger="90"))
    grown = stop.after(said(OrderStatus.OPEN, quantity="0.8", of=stop, seconds=5))
    late = grown.after(said(OrderStatus.OPEN, quantity="0.5", of=stop, seconds=4))
    assert late.remaining == Decimal("0.8")


def test_a_child_protects_its_entry_with_its_stop_and_grows_with_it():
    entry = tracked()
    child = entry.child()
    assert child.client_order_id == stop_id(entry.client_order_id)
    assert (child.parent, child.order.strategy_id) == (entry.client_order_id, "desk")
    assert (child.order.purpose, child.order.side) == (Purpose.PROTECTION, Side.SELL)
    assert (child.order.symbol, child.order.trigger) == (BTC, Decimal(90))
    assert child.is_protective
    assert child.remaining == 0
    half = child.after(said(OrderStatus.OPEN, quantity="0.5", of=child))
    whole = half.after(said(OrderStatus.OPEN, quantity="1", of=child, seconds=2))
    assert (half.remaining, whole.remaining) == (Decimal("0.5"), 1)


def test_a_child_that_filled_at_its_size_is_partly_filled_until_the_venue_says_all():
    child = tracked().child().after(said(OrderStatus.OPEN, quantity="0.5", of=tracked().child()))
    traded = child.after(fill(1, "-0.5", of=child))
    assert (traded.status, traded.remaining) == (OrderStatus.PARTIALLY_FILLED, 0)
    ended = traded.after(said(OrderStatus.FILLED, filled="0.5", quantity="0.5", of=child))
    assert (ended.status, ended.is_done) == (OrderStatus.FILLED, True)
