"""What we say to Kraken about orders, and what its rows mean."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.feeds.ccxt_source import exact
from data.instrument import Side, Symbol
from execution.fill import Liquidity
from execution.order import OrderStatus
from execution.venue import OrderRefused
from execution.venues.kraken_wire import (
    Close,
    OrderType,
    Terms,
    Ticket,
    amend_form,
    borrowed,
    combined,
    fill_of_row,
    order_of_row,
    text_of,
    ticket_of,
    wire_form,
)
from risk.intent import Purpose
from tests.builders_kraken import a_row, a_trade
from tests.builders_venue import BTC, NOON, an_id, an_order, instruments

PAIR = "XBTUSDT"
SPOT = Terms(leverage={}, deadline=None, entries_rest=None)
MARGIN = Terms(leverage={BTC: 3}, deadline=timedelta(seconds=5), entries_rest=timedelta(minutes=5))
GRID = instruments("5")[BTC]


def form_of(order, terms=SPOT, **options):
    ticket = ticket_of(order, GRID, terms, now=NOON, **({"attach_stop": True} | options))
    return wire_form(ticket, PAIR)


def a_ticket(**changes):
    plain = Ticket(
        client_order_id=an_id("order"), side=Side.SELL, quantity=Decimal("0.5"),
        type=OrderType.MARKET,
    )  # fmt: skip
    return replace(plain, **changes)


BASE = {
    "pair": PAIR, "type": "buy", "ordertype": "market", "volume": "1",
    "cl_ord_id": an_id("order"), "oflags": "fciq",
}  # fmt: skip


@pytest.mark.req("S0-33")
@pytest.mark.parametrize(
    ("order", "terms", "form"),
    [
        pytest.param(an_order("order", "1"), SPOT, BASE, id="market"),
        pytest.param(
            an_order("order", "-1", limit="100.5"),
            SPOT,
            BASE | {"type": "sell", "ordertype": "limit", "price": "100.5"},
            id="limit",
        ),
        pytest.param(
            an_order("order", "-1", trigger="95"),
            SPOT,
            BASE | {"type": "sell", "ordertype": "stop-loss", "price": "95"},
            id="stop",
        ),
        pytest.param(
            an_order("order", "-1", trigger="95", limit="94"),
            SPOT,
            BASE | {"type": "sell", "ordertype": "stop-loss-limit", "price": "95",
                    "price2": "94"},
            id="stop with a limit",
        ),
        pytest.param(
            an_order("order", "1", stop="95"),
            SPOT,
            BASE | {"close": {"ordertype": "stop-loss", "price": "95"}},
            id="entry with its stop",
        ),
        pytest.param(
            an_order("order", "1"),
            MARGIN,
            BASE | {"leverage": "3", "deadline": "2026-03-02T12:00:05.000Z"},
            id="on margin, by a deadline",
        ),
        pytest.param(
            an_order("order", "1", limit="100"),
            MARGIN,
            BASE | {"ordertype": "limit", "price": "100", "leverage": "3",
                    "deadline": "2026-03-02T12:00:05.000Z", "timeinforce": "GTD",
                    "expiretm": "1772453100"},
            id="an entry that rests expires",
        ),
        pytest.param(
            an_order("order", "-1", trigger="95", reduce_only=True),
            MARGIN,
            BASE | {"type": "sell", "ordertype": "stop-loss", "price": "95", "leverage": "3",
                    "reduce_only": "true", "deadline": "2026-03-02T12:00:05.000Z"},
            id="a stop of ours stays, and only reduces",
        ),
        pytest.param(
            an_order("order", "-1", reduce_only=True),
            SPOT,
            BASE | {"type": "sell"},
            id="Kraken knows no reduce-only on spot",
        ),
    ],
)  # fmt: skip
def test_an_order_as_kraken_takes_it(order, terms, form):
    assert form_of(order, terms) == form


@pytest.mark.parametrize(
    ("ticket", "said"),
    [
        pytest.param(a_ticket(validate=True), {"validate": "true"}, id="to be looked at only"),
        pytest.param(
            a_ticket(type=OrderType.LIMIT, limit=Decimal(100), post_only=True),
            {"oflags": "fciq,post", "price": "100"},
            id="post-only",
        ),
        pytest.param(
            a_ticket(type=OrderType.TAKE_PROFIT, trigger=Decimal(120)),
            {"ordertype": "take-profit", "price": "120"},
            id="take-profit",
        ),
        pytest.param(
            a_ticket(
                type=OrderType.TAKE_PROFIT_LIMIT, trigger=Decimal(120), limit=Decimal("119.5")
            ),
            {"ordertype": "take-profit-limit", "price": "120", "price2": "119.5"},
            id="take-profit with a limit",
        ),
        pytest.param(
            a_ticket(
                close=Close(type=OrderType.TAKE_PROFIT_LIMIT, price=Decimal(80), limit=Decimal(81))
            ),
            {"close": {"ordertype": "take-profit-limit", "price": "80", "price2": "81"}},
            id="a target attached",
        ),
    ],
)
def test_the_other_forms(ticket, said):
    form = wire_form(ticket, PAIR)
    assert form.items() >= said.items()


def test_every_flag_is_text():
    """A True would go out as `True`, which is no flag to Kraken: the order would be real."""
    form = form_of(an_order("order", "1", limit="100"), MARGIN, validate=True)
    assert all(isinstance(value, str | dict) for value in form.values())
    assert form["validate"] == "true"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"type": OrderType.LIMIT}, id="limit without a limit"),
        pytest.param({"trigger": Decimal(1)}, id="market with a trigger"),
        pytest.param({"post_only": True}, id="post-only at market"),
        pytest.param({"reduce_only": True}, id="reduce-only on spot"),
    ],
)
def test_a_form_that_kraken_does_not_have_is_no_ticket(changes):
    with pytest.raises(ValueError, match=an_id("order")):
        a_ticket(**changes)


@pytest.mark.parametrize(
    "terms",
    [
        pytest.param({"deadline": timedelta(milliseconds=499)}, id="too soon"),
        pytest.param({"deadline": timedelta(seconds=61)}, id="too late"),
        pytest.param({"leverage": {BTC: 1}}, id="a leverage of 1"),
    ],
)
def test_terms_that_kraken_does_not_take(terms):
    with pytest.raises(ValueError, match=r"leverage|deadlines"):
        Terms(**({"leverage": {}, "deadline": None, "entries_rest": None} | terms))


def test_a_quantity_off_the_grid_is_refused_not_rounded():
    with pytest.raises(OrderRefused, match=an_id("order")):
        form_of(an_order("order", "1.00001"))


@pytest.mark.parametrize(
    ("order", "price"),
    [
        pytest.param(an_order("order", "-1", trigger="95.001"), "95.01", id="a long's stop"),
        pytest.param(an_order("order", "1", trigger="95.009"), "95.00", id="a short's stop"),
        pytest.param(an_order("order", "1", limit="95.009"), "95.00", id="a bid"),
        pytest.param(an_order("order", "-1", limit="95.001"), "95.01", id="an offer"),
    ],
)
def test_prices_give_towards_less_risk(order, price):
    assert form_of(order)["price"] == price


@given(st.integers(1, 10**15), st.integers(-12, 3))
def test_numbers_are_digits_and_a_point(digits, exponent):
    text = text_of(Decimal(digits).scaleb(exponent))
    assert Decimal(text) == Decimal(digits).scaleb(exponent)
    assert set(text) <= set("0123456789.")


def test_an_amendment_names_only_what_changes():
    nothing = {"limit": None, "quantity": None, "post_only": False, "deadline": None}
    assert amend_form(trigger=Decimal("96.5"), **nothing) == {"trigger_price": "96.5"}
    until = datetime(2026, 3, 2, 12, tzinfo=UTC)
    form = amend_form(trigger=None, **nothing | {"quantity": Decimal("1E-3"), "deadline": until})
    assert form == {"order_qty": "0.001", "deadline": "2026-03-02T12:00:00.000Z"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(a_row(), (Side.BUY, None, 100, OrderStatus.OPEN), id="limit"),
        pytest.param(
            a_row(vol_exec="0.50000000"),
            (Side.BUY, None, 100, OrderStatus.PARTIALLY_FILLED),
            id="partly filled",
        ),
        pytest.param(
            a_row(vol_exec="2.00000000", status="closed"),
            (Side.BUY, None, 100, OrderStatus.FILLED),
            id="filled",
        ),
        pytest.param(
            a_row(vol_exec="1.00000000", status="closed"),
            (Side.BUY, None, 100, OrderStatus.CANCELLED),
            id="ran out of position",
        ),
        pytest.param(
            a_row(status="canceled", vol_exec="1"),
            (Side.BUY, None, 100, OrderStatus.CANCELLED),
            id="cancelled",
        ),
        pytest.param(
            a_row(status="expired"), (Side.BUY, None, 100, OrderStatus.EXPIRED), id="expired"
        ),
        pytest.param(
            a_row(status="pending"), (Side.BUY, None, 100, OrderStatus.OPEN), id="pending"
        ),
        pytest.param(
            a_row(descr={"type": "sell", "ordertype": "market", "price": "0"}),
            (Side.SELL, None, None, OrderStatus.OPEN),
            id="market",
        ),
        pytest.param(
            a_row(descr={"type": "sell", "ordertype": "stop-loss", "price": "95.0"}),
            (Side.SELL, 95, None, OrderStatus.OPEN),
            id="stop",
        ),
        pytest.param(
            a_row(descr={"type": "sell", "ordertype": "take-profit-limit", "price": "120",
                         "price2": "119"}),
            (Side.SELL, 120, 119, OrderStatus.OPEN),
            id="target with a limit",
        ),
        pytest.param(
            a_row(descr={"type": "sell", "ordertype": "trailing-stop", "price": "+50.0000%"},
                  stopprice="0.23424000", limitprice="0.46847000"),
            (Side.SELL, Decimal("0.23424"), None, OrderStatus.OPEN),
            id="a trailing stop of somebody's",
        ),
    ],
)  # fmt: skip
def test_a_row_is_an_order(row, expected):
    order = order_of_row(row, BTC, client_order_id="id")
    assert (order.side, order.trigger, order.limit, order.status) == expected
    assert (order.quantity, order.client_order_id, order.parent) == (2, "id", None)


@pytest.mark.parametrize("status", ["rejected", "", "OPEN"])
def test_a_word_that_kraken_does_not_have_is_no_status(status):
    with pytest.raises(ValueError, match="status"):
        order_of_row(a_row(status=status), BTC, client_order_id="id")


def test_a_fill_is_what_kraken_wrote():
    fill = fill_of_row("TXID", exact(json.dumps(a_trade())), BTC, client_order_id="id")
    assert (fill.fill_id, fill.client_order_id, fill.symbol) == ("TXID", "id", BTC)
    assert (fill.quantity, fill.price, fill.fee) == (2, Decimal("99.9"), Decimal("0.51948"))
    assert (fill.fee_asset, fill.liquidity) == ("USDT", Liquidity.MAKER)
    assert fill.filled_at.isoformat() == "2024-12-10T07:21:10.123456+00:00"


@pytest.mark.parametrize(
    ("misc", "known", "forced"),
    [
        pytest.param("", "", "", id="a trade of an order"),
        pytest.param("stopped,partial", "", "", id="of a stop"),
        pytest.param("liquidated", "", "liquidated", id="the trade says it"),
        pytest.param("partial,liquidated", "", "liquidated", id="among other things"),
        pytest.param("", "liquidated", "liquidated", id="its order has said it"),
        pytest.param(None, "", "", id="nothing is said"),
    ],
)
def test_what_kraken_has_liquidated_is_told(misc, known, forced):
    fill = fill_of_row("TXID", a_trade(misc=misc), BTC, client_order_id="OID", forced=known)
    assert fill.forced == forced


@pytest.mark.req("S1-132")
def test_the_recorded_answer_to_an_order_holds_its_id(shared_data):
    recorded = json.loads((shared_data / "rest_fixtures" / "kraken.json").read_text())
    body = recorded["AddOrder_market_buy"]["http"]
    (txid,) = body["result"]["txid"]
    assert txid == recorded["AddOrder_market_buy"]["expect"]["id"]
    form = wire_form(a_ticket(side=Side.BUY, quantity=Decimal("0.10000000")), "LTCUSDT")
    said = f"{form['type']} {form['volume']} {form['pair']} @ {form['ordertype']}"
    assert said == body["result"]["descr"]["order"]


def a_child(**changes):
    row = a_row(descr={"type": "sell", "ordertype": "stop-loss", "price": "95"}, vol="1", **changes)
    return order_of_row(row, BTC, client_order_id="child")


@pytest.mark.parametrize(
    ("children", "parent_works", "expected"),
    [
        pytest.param([a_child()], False, (1, 0, OrderStatus.OPEN), id="one"),
        pytest.param([a_child(), a_child()], True, (2, 0, OrderStatus.OPEN), id="two"),
        pytest.param(
            [a_child(status="closed", vol_exec="1"), a_child()],
            False,
            (2, 1, OrderStatus.PARTIALLY_FILLED),
            id="one of two has filled",
        ),
        pytest.param(
            [a_child(status="closed", vol_exec="1")],
            True,
            (1, 1, OrderStatus.PARTIALLY_FILLED),
            id="filled, and the entry may bring another",
        ),
        pytest.param(
            [a_child(status="closed", vol_exec="1")] * 2,
            False,
            (2, 2, OrderStatus.FILLED),
            id="all filled",
        ),
        pytest.param(
            [a_child(status="closed", vol_exec="1"), a_child(status="canceled")],
            False,
            (2, 1, OrderStatus.CANCELLED),
            id="one filled, one cancelled",
        ),
        pytest.param(
            [a_child(status="canceled"), a_child(vol_exec="0.25")],
            False,
            (1, Decimal("0.25"), OrderStatus.PARTIALLY_FILLED),
            id="what was cancelled guards nothing",
        ),
        pytest.param(
            [a_child(status="canceled")], True, (0, 0, OrderStatus.OPEN), id="cancelled for now"
        ),
    ],
)
def test_what_closes_an_entry_is_one_stop(children, parent_works, expected):
    stop = combined(children, client_order_id="stop", parent="entry", parent_works=parent_works)
    assert (stop.quantity, stop.filled, stop.status) == expected
    assert (stop.client_order_id, stop.parent, stop.trigger) == ("stop", "entry", 95)


def test_open_positions_are_bought_and_owed():
    rows = {
        "TLONG": {"pair": PAIR, "type": "buy", "vol": "4", "vol_closed": "1", "cost": "400"},
        "TSHORT": {"pair": "XRPUSDT", "type": "sell", "vol": "10", "vol_closed": "0", "cost": "5"},
    }
    held = borrowed(rows, {PAIR: BTC, "XRPUSDT": Symbol("XRP/USDT")})
    assert held == {"BTC": 3, "USDT": -295, "XRP": -10}


@pytest.mark.req("S0-5")
@pytest.mark.parametrize("purpose", [Purpose.ALLOCATION, Purpose.HODL])
def test_what_moves_holdings_is_spot_where_the_pair_is_traded_on_margin(purpose):
    order = replace(an_order("order", "1", limit="100"), purpose=purpose)
    assert "leverage" not in form_of(order, MARGIN)
    assert form_of(replace(order, purpose=Purpose.ENTRY), MARGIN)["leverage"] == "3"
