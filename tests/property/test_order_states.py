"""The order state machine under every order of events: lies, echoes and delays included."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from execution.order import Cancelling, OrderStatus, Outcome, Submitted, Submitting
from execution.tracking import IllegalTransition, TrackedOrder
from execution.venue import OrderChanged, VenueOrder
from tests.builders_engine import an_entry
from tests.builders_venue import NOON, a_fill, an_id

WHOLE = Decimal(1)
parts = st.sampled_from([Decimal(n) / 10 for n in range(1, 11)])
venue_statuses = st.sampled_from(
    [s for s in OrderStatus if s not in (OrderStatus.SUBMITTING, OrderStatus.UNKNOWN)]
)


def fresh():
    return TrackedOrder.of(Submitting.of(an_entry("A"), at=NOON))


def said(status, filled, second=0):
    view = VenueOrder(
        client_order_id=an_id("A"),
        symbol=fresh().order.symbol,
        side=fresh().order.side,
        quantity=WHOLE,
        filled=filled,
        trigger=None,
        limit=None,
        reduce_only=False,
        status=status,
    )
    return OrderChanged(order=view, at=NOON + timedelta(seconds=second))


def a_part(number, quantity):
    return replace(a_fill(number, "1", "100"), quantity=quantity)


@st.composite
def histories(draw):
    """What an honest venue tells of one order, from its first word to its last."""
    events, filled = [said(OrderStatus.OPEN, Decimal(0))], Decimal(0)
    for number, part in enumerate(draw(st.lists(parts, max_size=5))):
        if filled + part > WHOLE:
            break
        filled += part
        status = OrderStatus.FILLED if filled == WHOLE else OrderStatus.PARTIALLY_FILLED
        events += [a_part(number, part), said(status, filled, number + 1)]
    if filled < WHOLE:
        ends = [OrderStatus.CANCELLED, OrderStatus.EXPIRED]
        events.append(said(draw(st.sampled_from(ends)), filled, 9))
    outcome = draw(st.sampled_from([Outcome.ACCEPTED, Outcome.UNKNOWN]))
    events.append(Submitted(client_order_id=an_id("A"), outcome=outcome, detail="", at=NOON))
    return events, filled


@given(data=st.data(), history=histories())
@settings(max_examples=200, deadline=None)
def test_in_any_order_and_however_often_told_it_ends_the_same(data, history):
    events, filled = history
    echoes = data.draw(st.lists(st.sampled_from(events), max_size=5))
    order = fresh()
    for event in data.draw(st.permutations(events + echoes)):
        order = order.after(event)
    assert order.is_done
    assert (order.filled, order.remaining) == (filled, 0)
    assert (order.status is OrderStatus.FILLED) == (filled == WHOLE)


class AnyOrder(RuleBasedStateMachine):
    """One order, told anything at all: what it accepts keeps it sound, what it does not raises."""

    def __init__(self):
        super().__init__()
        self.order = fresh()
        self.fills = {}

    def tell(self, event):
        before = self.order
        try:
            self.order = before.after(event)
        except IllegalTransition:
            return False
        assert self.order.after(event) is self.order
        if before.status.is_final:
            assert self.order.status is before.status
        assert self.order.filled >= before.filled
        assert self.order.reported >= before.reported
        assert self.order.cancelling >= before.cancelling
        return True

    @rule(outcome=st.sampled_from(list(Outcome)))
    def answered(self, outcome):
        self.tell(Submitted(client_order_id=an_id("A"), outcome=outcome, detail="", at=NOON))

    @rule(status=venue_statuses, filled=parts | st.just(Decimal(0)), second=st.integers(0, 9))
    def changed(self, status, filled, second):
        self.tell(said(status, filled, second))

    @rule(number=st.integers(0, 5), quantity=parts)
    def filled(self, number, quantity):
        if self.tell(a_part(number, quantity)):
            self.fills.setdefault(number, quantity)

    @rule()
    def cancelling(self):
        self.tell(Cancelling(client_order_id=an_id("A"), at=NOON))

    @invariant()
    def it_is_sound(self):
        order = self.order
        assert order.filled == sum(self.fills.values()) <= WHOLE
        assert order.filled <= order.reported <= WHOLE
        assert 0 <= order.remaining <= WHOLE - order.filled
        assert order.is_done == (order.status.is_final and not order.remaining)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
