"""Kraken's private channel, message by message."""

from decimal import Decimal

import pytest

from execution.fill import Fill, Liquidity
from execution.order import OrderStatus
from execution.venue import OrderChanged, stop_id
from execution.venues.kraken_executions import Executions, Untold
from execution.venues.kraken_names import Names
from tests.builders_kraken import CHILD, ENTRY, OTHER, an_execution
from tests.builders_venue import an_id

STOP = stop_id(an_id("order"))


def a_child(exec_type, txid=CHILD, **changes):
    """A message about what closes the entry, as short as Kraken's after the first."""
    first = {
        "ord_ref_id": ENTRY, "symbol": "BTC/USDT", "side": "sell", "order_qty": "0.5",
        "cum_qty": "0.0", "order_type": "stop-loss", "triggers": {"price": "95.0"},
        "cl_ord_id": None, "limit_price": None,
    }  # fmt: skip
    row = an_execution(exec_type, order_id=txid)
    return row | (first if exec_type in ("new", "pending_new") else {}) | changes


def told(*messages):
    executions = Executions(Names())
    return [event for message in messages for event in executions.take(message)]


def test_a_life_is_told_from_messages_that_repeat_nothing():
    opened, fill, part, cancelled = told(
        an_execution("new"),
        an_execution("trade"),
        an_execution("canceled", reason="User requested"),
    )
    assert isinstance(fill, Fill)
    assert (fill.quantity, fill.price, fill.fee) == (
        Decimal("0.5"),
        Decimal("99.9"),
        Decimal("0.1"),
    )
    assert (fill.client_order_id, fill.liquidity) == (an_id("order"), Liquidity.MAKER)
    changes = [(e.order.status, e.order.filled) for e in (opened, part, cancelled)]
    assert changes == [
        (OrderStatus.OPEN, 0),
        (OrderStatus.PARTIALLY_FILLED, Decimal("0.5")),
        (OrderStatus.CANCELLED, Decimal("0.5")),
    ]
    assert (cancelled.reason, cancelled.order.limit) == ("User requested", 100)


@pytest.mark.parametrize(
    ("liquidated", "forced"),
    [
        pytest.param({}, "", id="nothing is said"),
        pytest.param({"liquidated": False}, "", id="it is not"),
        pytest.param({"liquidated": True}, "liquidated", id="it is"),
    ],
)
def test_what_the_engine_has_liquidated_is_told(liquidated, forced):
    """An order without a client order id, of which the trade is the first that is heard."""
    market = {"order_type": "market", "order_qty": "0.5", "side": "sell"}
    fill, change = told(an_execution("trade", order_id="OLIQ", **market, **liquidated))
    assert (fill.forced, fill.client_order_id) == (forced, "OLIQ")
    assert (change.order.status, change.order.filled) == (OrderStatus.PARTIALLY_FILLED, 0.5)


def test_an_order_that_is_not_in_the_book_yet_is_not_told():
    assert told(an_execution("pending_new")) == []


def test_fills_without_a_sum_are_added_up():
    trades = [an_execution("trade", exec_id=f"T{n}") for n in range(2)]
    for trade in trades:
        del trade["cum_qty"]
    events = told(an_execution("new"), *trades)
    assert [e.order.filled for e in events if isinstance(e, OrderChanged)][-1] == 1


A_STOP = {"order_type": "stop-loss", "triggers": {"price": "95.0"}, "limit_price": None}


def test_an_amendment_is_told_with_its_terms_or_asked_after():
    terms = {"order_qty": "1.5", "triggers": {"price": "97.0"}}
    amended, later = told(
        an_execution("new", **A_STOP), an_execution("amended", **terms), an_execution("canceled")
    )[1:]
    assert [(e.order.quantity, e.order.trigger) for e in (amended, later)] == [
        (Decimal("1.5"), 97)
    ] * 2
    for left_out in terms:
        said = an_execution("amended", **terms)
        del said[left_out]
        events = told(an_execution("new", **A_STOP), said, an_execution("canceled"))
        assert events[1:] == [Untold(an_id("order"))] * 2


def test_what_closes_an_entry_is_told_as_one():
    entry = (an_execution("new"), an_execution("trade"))
    events = told(*entry, a_child("new"), a_child("new", OTHER))
    last = events[-1].order
    assert (last.client_order_id, last.quantity, last.trigger) == (STOP, 1, 95)
    assert last.parent == an_id("order")


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param([an_execution("new", cum_qty="0.5")], id="in part"),
        pytest.param([], id="not told"),
    ],
)
def test_of_an_entry_that_had_filled_before_it_has_to_be_asked(entry):
    """Who knows what closed it then."""
    names = Names()
    names.learn(ENTRY, own=an_id("order"), parent=None)
    executions = Executions(names)
    for message in entry:
        list(executions.take(message))
    assert list(executions.take(a_child("new"))) == [Untold(STOP)]


def test_a_short_message_about_an_unknown_order_cannot_be_read():
    with pytest.raises(LookupError):
        told(an_execution("canceled"))


def test_fees_in_two_assets_are_no_fill():
    fees = [{"asset": "USDT", "qty": "0.1"}, {"asset": "KFEE", "qty": "1"}]
    with pytest.raises(ValueError, match="KFEE"):
        told(an_execution("new"), an_execution("trade", fees=fees))
