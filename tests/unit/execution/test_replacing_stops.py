"""A real exchange is asked to replace a stop: the new one first; one that has gone off stays."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.instrument import Side
from execution.order import OrderStatus
from execution.venue import OrderChanged, OrderRefused, OutcomeUnknown, VenueOrder, VenueUnavailable
from execution.venues.ccxt_venue import CcxtVenue, CcxtVenueSettings
from tests.builders_venue import BTC, NOON, an_id, approved

FIRST, SECOND = an_id("first"), an_id("second")
PLACE, CANCEL = ("place", SECOND), ("cancel", FIRST)


class Notebook:
    """An exchange that has `first`, notes what it is asked, and fails where it is told to."""

    name = "notebook"
    attaches_stops = False

    def holds_targets(self, symbol):
        return False

    def __init__(self, first=None, **fails):
        self.asked, self._first, self._fails = [], first, fails

    async def place(self, order, *, expires_within):
        self._note("place", order.client_order_id)

    async def cancel(self, client_order_id):
        self._note("cancel", client_order_id)

    async def order(self, client_order_id):
        return self._first if client_order_id == FIRST else None

    def arrives_until(self):
        return NOON + timedelta(minutes=1)

    def _note(self, what, client_order_id):
        self.asked.append((what, client_order_id))
        if what in self._fails:
            raise self._fails[what]


def a_first(status=OrderStatus.OPEN, filled="0"):
    order = VenueOrder(
        client_order_id=FIRST,
        symbol=BTC,
        side=Side.SELL,
        quantity=Decimal(1),
        filled=Decimal(filled),
        trigger=Decimal(95),
        limit=None,
        reduce_only=True,
        status=status,
    )
    return OrderChanged(order=order, at=NOON)


async def submitted(notebook):
    venue = CcxtVenue(notebook, clock=ManualClock(NOON), settings=CcxtVenueSettings())
    second = approved("second", "-1", trigger="97", reduce_only=True, replaces="first")
    await venue.submit(second)
    return venue, second


@pytest.mark.req("S0-26")
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(a_first(), id="it stands"),
        pytest.param(a_first(OrderStatus.CANCELLED, "0.4"), id="it has ended"),
        pytest.param(None, id="it was never there"),
    ],
)
async def test_the_new_stop_is_there_before_the_old_one_goes(first):
    notebook = Notebook(first)
    venue, second = await submitted(notebook)
    await venue.submit(second)
    assert notebook.asked == [PLACE, CANCEL]


async def test_a_stop_that_has_begun_to_fill_stays():
    notebook = Notebook(a_first(OrderStatus.PARTIALLY_FILLED, "0.4"))
    with pytest.raises(OrderRefused, match="has been triggered"):
        await submitted(notebook)
    assert notebook.asked == []


@pytest.mark.parametrize("fault", [OrderRefused, VenueUnavailable, OutcomeUnknown])
async def test_where_the_new_stop_may_not_be_there_the_old_one_stays(fault):
    notebook = Notebook(a_first(), place=fault("no"))
    with pytest.raises(fault):
        await submitted(notebook)
    assert notebook.asked == [PLACE]


@pytest.mark.parametrize("fault", [VenueUnavailable, OutcomeUnknown])
async def test_an_old_stop_that_does_not_go_is_no_failure_of_the_new_one(fault):
    notebook = Notebook(a_first(), cancel=fault("no"))
    venue, _ = await submitted(notebook)
    assert notebook.asked == [PLACE, CANCEL]
    assert (venue.faults, type(venue.last_fault)) == (1, fault)
