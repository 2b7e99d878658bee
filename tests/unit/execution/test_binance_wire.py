"""What we say to Binance about orders, and what its rows and messages mean."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.feeds.ccxt_source import exact
from data.instrument import Side, Symbol
from execution.charge import ChargeKind
from execution.fill import Liquidity
from execution.order import OrderStatus
from execution.venue import OrderRefused
from execution.venues.binance_rows import (
    charge_of_row,
    conditional_of_row,
    conditional_of_update,
    fill_of_row,
    fill_of_update,
    holdings,
    milliseconds,
    order_of_row,
    order_of_update,
    perpetuals,
    placed_by,
    windows,
)
from execution.venues.binance_wire import (
    MarginType,
    OrderType,
    Terms,
    Ticket,
    TriggerPrice,
    ticket_of,
    wire_form,
)
from tests.builders_venue import BTC, NOON, an_id, an_order, instruments

GRID = instruments("5")[BTC]
TERMS = Terms(
    leverage={BTC: 5},
    margin=MarginType.CROSSED,
    triggered_by=TriggerPrice.MARK,
    receive_window=timedelta(seconds=5),
    entries_rest=timedelta(minutes=15),
)
STAYING = replace(TERMS, entries_rest=None)
BASE = {
    "symbol": "BTCUSDT", "side": "BUY", "positionSide": "BOTH", "type": "MARKET",
    "quantity": "1", "newClientOrderId": an_id("order"), "newOrderRespType": "RESULT",
}  # fmt: skip
WAITS = {
    "symbol": "BTCUSDT", "side": "SELL", "positionSide": "BOTH", "type": "STOP_MARKET",
    "quantity": "1", "algoType": "CONDITIONAL", "clientAlgoId": an_id("order"),
    "triggerPrice": "95", "workingType": "MARK_PRICE",
}  # fmt: skip


def form_of(order, terms=STAYING):
    return wire_form(ticket_of(order, GRID, terms, now=NOON), "BTCUSDT")


def a_ticket(**changes):
    plain = Ticket(
        client_order_id=an_id("order"),
        side=Side.SELL,
        quantity=Decimal("0.5"),
        type=OrderType.MARKET,
    )
    return replace(plain, **changes)


@pytest.mark.req("S1-133")
@pytest.mark.parametrize(
    ("order", "terms", "form"),
    [
        pytest.param(an_order("order", "1"), TERMS, BASE, id="market"),
        pytest.param(
            an_order("order", "-1", reduce_only=True),
            TERMS,
            BASE | {"side": "SELL", "reduceOnly": "true"},
            id="an exit",
        ),
        pytest.param(
            an_order("order", "1", limit="100.5", stop="95"),
            STAYING,
            BASE | {"type": "LIMIT", "price": "100.5", "timeInForce": "GTC"},
            id="limit; its stop is for others",
        ),
        pytest.param(
            an_order("order", "1", limit="100"),
            TERMS,
            BASE | {"type": "LIMIT", "price": "100", "timeInForce": "GTD",
                    "goodTillDate": "1772453700000"},
            id="a limit entry expires",
        ),
        pytest.param(
            an_order("order", "-1", limit="100", reduce_only=True),
            TERMS,
            BASE | {"side": "SELL", "type": "LIMIT", "price": "100", "timeInForce": "GTC",
                    "reduceOnly": "true"},
            id="a limit exit stays",
        ),
        pytest.param(
            an_order("order", "-1", trigger="95", reduce_only=True),
            TERMS,
            WAITS | {"reduceOnly": "true"},
            id="stop",
        ),
        pytest.param(
            an_order("order", "-1", trigger="95", limit="94"),
            TERMS,
            WAITS | {"type": "STOP", "price": "94", "timeInForce": "GTC"},
            id="stop with a limit",
        ),
    ],
)  # fmt: skip
def test_an_order_as_binance_takes_it(order, terms, form):
    assert form_of(order, terms) == form


@pytest.mark.parametrize(
    ("ticket", "said"),
    [
        pytest.param(
            a_ticket(type=OrderType.LIMIT, limit=Decimal(100), post_only=True),
            {"type": "LIMIT", "timeInForce": "GTX", "price": "100"},
            id="post-only",
        ),
        pytest.param(
            a_ticket(type=OrderType.TAKE_PROFIT_MARKET, trigger=Decimal(120), reduce_only=True),
            {"type": "TAKE_PROFIT_MARKET", "triggerPrice": "120", "reduceOnly": "true"},
            id="take-profit",
        ),
        pytest.param(
            a_ticket(type=OrderType.TAKE_PROFIT, trigger=Decimal(120), limit=Decimal("119.5")),
            {"type": "TAKE_PROFIT", "triggerPrice": "120", "price": "119.5"},
            id="take-profit with a limit",
        ),
    ],
)
def test_the_other_forms(ticket, said):
    assert wire_form(ticket, "BTCUSDT").items() >= said.items()


@pytest.mark.parametrize("kind", OrderType)
def test_no_form_closes_all_that_the_account_holds(kind):
    """Several desks may share its one net position."""
    ticket = a_ticket(
        type=kind,
        trigger=Decimal(90) if kind.is_conditional else None,
        limit=Decimal(90) if kind.is_limited else None,
    )
    form = wire_form(ticket, "BTCUSDT")
    assert "closePosition" not in form
    assert form["quantity"] == "0.5"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"type": OrderType.LIMIT}, id="limit without a limit"),
        pytest.param({"trigger": Decimal(1)}, id="market with a trigger"),
        pytest.param({"post_only": True}, id="post-only at market"),
        pytest.param({"expires_at": NOON}, id="a market order that expires"),
        pytest.param(
            {
                "type": OrderType.LIMIT,
                "limit": Decimal(1),
                "post_only": True,
                "expires_at": NOON,
            },
            id="two times in force",
        ),
        pytest.param({"client_order_id": f"{an_id('order')}x"}, id="an id of 37 characters"),
        pytest.param({"client_order_id": f"{an_id('order')[:30]} "}, id="a blank in an id"),
    ],
)
def test_a_form_that_binance_does_not_have_is_no_ticket(changes):
    with pytest.raises(ValueError, match=an_id("order")[:30]):
        a_ticket(**changes)


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        pytest.param({"receive_window": timedelta(seconds=61)}, "recvWindow", id="too long"),
        pytest.param({"receive_window": timedelta(0)}, "recvWindow", id="none"),
        pytest.param({"leverage": {BTC: 0}}, "leverage", id="a leverage of 0"),
        pytest.param({"leverage": {}}, "leverage", id="no market"),
        pytest.param({"entries_rest": timedelta(minutes=10)}, "600 s", id="expires too soon"),
    ],
)
def test_terms_that_binance_does_not_take(terms, named):
    with pytest.raises(ValueError, match=named):
        replace(TERMS, **terms)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(an_order("order", "1.00001"), id="off the lot grid"),
        pytest.param(
            replace(an_order("order", "1"), client_order_id="ünlike-an-id"), id="no id for Binance"
        ),
    ],
)
def test_what_binance_would_change_is_refused(order):
    with pytest.raises(OrderRefused, match=order.client_order_id):
        form_of(order)


@pytest.mark.parametrize(
    ("order", "name", "price"),
    [
        pytest.param(
            an_order("o", "-1", trigger="95.001"), "triggerPrice", "95.01", id="a long's stop"
        ),
        pytest.param(
            an_order("o", "1", trigger="95.009"), "triggerPrice", "95.00", id="a short's stop"
        ),
        pytest.param(an_order("o", "1", limit="95.009"), "price", "95.00", id="a bid"),
        pytest.param(an_order("o", "-1", limit="95.001"), "price", "95.01", id="an offer"),
    ],
)
def test_prices_give_towards_less_risk(order, name, price):
    assert form_of(order)[name] == price


@given(st.integers(1, 10**15), st.integers(-12, 3))
def test_numbers_are_digits_and_a_point(digits, exponent):
    quantity = Decimal(digits).scaleb(exponent)
    text = wire_form(a_ticket(quantity=quantity), "BTCUSDT")["quantity"]
    assert Decimal(text) == quantity
    assert set(text) <= set("0123456789.")


# Orders as Binance tells them


def a_row(**changes):
    """A body of `order`, as the documentation has it."""
    row = {
        "avgPrice": "0.00000", "clientOrderId": "abc", "cumQuote": "0", "executedQty": "0",
        "orderId": 1917641, "origQty": "2.000", "origType": "LIMIT", "price": "100.0",
        "reduceOnly": False, "side": "BUY", "positionSide": "BOTH", "status": "NEW",
        "stopPrice": "0", "closePosition": False, "symbol": "BTCUSDT", "time": 1579276756075,
        "timeInForce": "GTC", "type": "LIMIT", "updateTime": 1579276756075,
    }  # fmt: skip
    return exact(json.dumps(row | changes))


def an_update(**changes):
    """The `o` of an ORDER_TRADE_UPDATE, as the documentation has it."""
    said = {
        "s": "BTCUSDT", "c": "TEST", "S": "SELL", "o": "LIMIT", "f": "GTC", "q": "2.000",
        "p": "100.0", "ap": "0", "sp": "0", "x": "NEW", "X": "NEW", "i": 8886774, "l": "0",
        "z": "0", "L": "0", "T": 1568879465651, "t": 0, "b": "0", "a": "9.91", "m": False,
        "R": False, "wt": "CONTRACT_PRICE", "ot": "LIMIT", "ps": "BOTH", "cp": False, "rp": "0",
    }  # fmt: skip
    return exact(json.dumps(said | changes))


STATUSES = [
    ("NEW", OrderStatus.OPEN),
    ("PARTIALLY_FILLED", OrderStatus.PARTIALLY_FILLED),
    ("FILLED", OrderStatus.FILLED),
    ("CANCELED", OrderStatus.CANCELLED),
    ("EXPIRED", OrderStatus.EXPIRED),
    ("EXPIRED_IN_MATCH", OrderStatus.EXPIRED),
    ("REJECTED", OrderStatus.REJECTED),
    ("NEW_ADL", OrderStatus.OPEN),
]


@pytest.mark.parametrize(("word", "status"), STATUSES)
def test_both_ways_of_telling_an_order_mean_the_same(word, status):
    row = order_of_row(
        a_row(status=word, executedQty="0.5", reduceOnly=True, side="SELL"),
        BTC,
        client_order_id="id",
    )
    update = order_of_update(an_update(X=word, z="0.5", R=True), BTC, client_order_id="id")
    assert row == update
    assert (row.status, row.filled, row.limit, row.trigger) == (status, Decimal("0.5"), 100, None)


@pytest.mark.parametrize("word", ["", "new", "DONE"])
def test_a_word_that_binance_does_not_have_is_no_status(word):
    with pytest.raises(LookupError):
        order_of_row(a_row(status=word), BTC, client_order_id="id")
    with pytest.raises(LookupError):
        conditional_of_row(a_conditional(algoStatus=word), BTC)


def test_a_market_order_has_no_prices():
    order = order_of_row(a_row(type="MARKET", price="0"), BTC, client_order_id="id")
    assert (order.limit, order.trigger) == (None, None)


def a_conditional(**changes):
    """A body of `algoOrder`, as the documentation has it."""
    row = {
        "algoId": 2146760, "clientAlgoId": "6B2I9XVcJpCjqPAJ4YoFX7", "algoType": "CONDITIONAL",
        "orderType": "TAKE_PROFIT", "symbol": "BNBUSDT", "side": "SELL", "positionSide": "BOTH",
        "timeInForce": "GTC", "quantity": "0.01", "algoStatus": "NEW", "triggerPrice": "750.000",
        "price": "750.000", "workingType": "CONTRACT_PRICE", "priceMatch": "NONE",
        "closePosition": False, "priceProtect": False, "reduceOnly": False,
        "createTime": 1750485492076, "updateTime": 1750485492076, "triggerTime": 0,
        "goodTillDate": 0, "actualOrderId": "",
    }  # fmt: skip
    return row | changes


def a_conditional_update(**changes):
    """The `o` of an ALGO_UPDATE, as the documentation has it."""
    said = {
        "caid": "6B2I9XVcJpCjqPAJ4YoFX7", "aid": 2148719, "at": "CONDITIONAL", "o": "TAKE_PROFIT",
        "s": "BNBUSDT", "S": "SELL", "ps": "BOTH", "f": "GTC", "q": "0.01", "X": "NEW", "ai": "",
        "ap": "0.00000", "aq": "0.00000", "act": "0", "tp": "750", "p": "750",
        "V": "EXPIRE_MAKER", "wt": "CONTRACT_PRICE", "pm": "NONE", "cp": False, "pP": False,
        "R": False, "tt": 0, "gtd": 0, "rm": "",
    }  # fmt: skip
    return said | changes


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("NEW", OrderStatus.OPEN),
        ("CANCELED", OrderStatus.CANCELLED),
        ("EXPIRED", OrderStatus.EXPIRED),
        ("REJECTED", OrderStatus.REJECTED),
    ],
)
def test_both_ways_of_telling_a_conditional_order_mean_the_same(word, status):
    row = conditional_of_row(a_conditional(algoStatus=word), BTC)
    assert row == conditional_of_update(a_conditional_update(X=word), BTC)
    assert (row.status, row.trigger, row.limit, row.filled) == (status, 750, 750, 0)


@pytest.mark.parametrize("word", ["TRIGGERING", "TRIGGERED", "FINISHED"])
def test_what_is_triggered_is_told_by_the_order_that_it_has_placed(word):
    assert conditional_of_update(a_conditional_update(X=word), BTC) is None


@pytest.mark.parametrize(
    ("row", "placed"),
    [
        pytest.param(a_conditional(), None, id="waits"),
        pytest.param(a_conditional(actualOrderId="88937381063"), 88937381063, id="has placed one"),
        pytest.param(a_conditional_update(ai=""), None, id="says that it waits"),
        pytest.param(a_conditional_update(ai="88937381063"), 88937381063, id="says which"),
    ],
)
def test_a_conditional_order_names_what_it_has_placed(row, placed):
    assert placed_by(row) == placed


# Fills


def a_trade(**changes):
    """A row of `userTrades`, as the documentation has it."""
    row = {
        "buyer": False, "commission": "0.07819010", "commissionAsset": "USDT", "id": 698759,
        "maker": True, "orderId": 8886774, "price": "7819.01", "qty": "0.002",
        "quoteQty": "15.63802", "realizedPnl": "-0.91539999", "side": "SELL",
        "positionSide": "BOTH", "symbol": "BTCUSDT", "time": 1569514978020,
    }  # fmt: skip
    return row | changes


def test_both_ways_of_telling_a_fill_mean_the_same():
    row = fill_of_row(a_trade(), BTC, client_order_id="id")
    update = fill_of_update(
        an_update(x="TRADE", X="PARTIALLY_FILLED", l="0.002", L="7819.01", n="0.07819010",
                  N="USDT", t=698759, m=True, T=1569514978020),
        BTC,
        client_order_id="id",
    )  # fmt: skip
    assert row == update
    assert (row.fill_id, row.liquidity) == ("BTCUSDT-8886774-698759", Liquidity.MAKER)
    assert row.filled_at.isoformat() == "2019-09-26T16:22:58.020000+00:00"


def test_a_fill_without_a_commission_was_free():
    fill = fill_of_update(an_update(x="TRADE", l="1", L="100", t=5), BTC, client_order_id="id")
    assert (fill.fee, fill.fee_asset) == (0, "USDT")


def test_a_trade_of_two_orders_of_ours_is_two_fills():
    one = fill_of_row(a_trade(), BTC, client_order_id="one")
    other = fill_of_row(a_trade(orderId=8886775, side="BUY"), BTC, client_order_id="other")
    assert one.fill_id != other.fill_id


@pytest.mark.parametrize(
    ("name", "kind", "forced"),
    [
        pytest.param(an_id("order"), "MARKET", "", id="an order of ours"),
        pytest.param("web_autoclose-1", "MARKET", "", id="one by hand"),
        pytest.param("autoclose-1602", "LIMIT", "liquidation", id="liquidated"),
        pytest.param("adl_autoclose", "LIMIT", "automatic deleveraging", id="deleveraged"),
        pytest.param("settlement_autoclose-9", "MARKET", "settlement", id="delisted"),
        pytest.param("8886774", "LIQUIDATION", "liquidation", id="by its type"),
    ],
)
def test_what_binance_has_forced_is_told(name, kind, forced):
    said = an_update(x="CALCULATED", X="FILLED", c=name, o=kind, l="1", L="100", n="0.1", N="USDT",
                     t=5)  # fmt: skip
    assert fill_of_update(said, BTC, client_order_id=name).forced == forced
    if kind != "LIQUIDATION":  # trades tell neither; of its order we know the name
        assert fill_of_row(a_trade(), BTC, client_order_id=name).forced == forced


def test_what_a_liquidation_costs_is_a_charge_of_its_own():
    row = {
        "symbol": "BTCUSDT", "incomeType": "INSURANCE_CLEAR", "income": "-1.25", "asset": "USDT",
        "info": "", "time": 1772452800000, "tranId": 9, "tradeId": "",
    }  # fmt: skip
    charge = charge_of_row(row, BTC)
    assert (charge.kind, charge.amount) == (ChargeKind.LIQUIDATION, Decimal("1.25"))
    assert charge.charge_id == "INSURANCE_CLEAR-9-BTCUSDT"


def test_what_fills_nothing_is_no_fill():
    assert fill_of_update(an_update(), BTC, client_order_id="id") is None


@pytest.mark.parametrize(
    ("income", "amount"),
    [
        pytest.param("-0.37500000", "0.375", id="paid"),
        pytest.param("0.00000001", "-1e-8", id="received"),
    ],
)
def test_a_payment_of_funding_is_a_charge(income, amount):
    """The row is the example of Binance's page, "Get Income History"."""
    row = {
        "symbol": "BTCUSDT", "incomeType": "FUNDING_FEE", "income": income, "asset": "USDT",
        "info": "FUNDING_FEE", "time": 1570636800000, "tranId": 9689322392, "tradeId": "",
    }  # fmt: skip
    charge = charge_of_row(row, BTC)
    assert (charge.kind, charge.asset, charge.amount) == ("funding", "USDT", Decimal(amount))
    assert charge.charge_id == "FUNDING_FEE-9689322392-BTCUSDT"
    assert charge.charged_at.isoformat() == "2019-10-09T16:00:00+00:00"


# The account and its markets


@pytest.mark.parametrize(
    ("positions", "held"),
    [
        pytest.param([], {"USDT": Decimal(1000), "BNB": Decimal("0.5")}, id="flat"),
        pytest.param(
            [("BTCUSDT", "2", "220", "20")],
            {"USDT": Decimal(800), "BNB": Decimal("0.5"), "BTC": Decimal(2)},
            id="long, ahead",
        ),
        pytest.param(
            [("BTCUSDT", "-2", "-220", "-20")],
            {"USDT": Decimal(1200), "BNB": Decimal("0.5"), "BTC": Decimal(-2)},
            id="short, behind",
        ),
        pytest.param(
            [("BTCUSDT", "1", "100", "0"), ("XRPUSDT", "-10", "-5", "0")],
            {
                "USDT": Decimal(905),
                "BNB": Decimal("0.5"),
                "BTC": Decimal(1),
                "XRP": Decimal(-10),
            },
            id="two",
        ),
    ],
)
def test_positions_are_bought_and_paid(positions, held):
    names = ("symbol", "positionAmt", "notional", "unrealizedProfit")
    account = {
        "assets": [
            {"asset": "USDT", "walletBalance": "1000"},
            {"asset": "BNB", "walletBalance": "0.5"},
        ],
        "positions": [dict(zip(names, row, strict=True)) for row in positions],
    }
    assert holdings(account, {"BTCUSDT": BTC, "XRPUSDT": Symbol("XRP/USDT")}) == held


def test_a_position_in_an_unknown_market_cannot_be_read():
    row = {"symbol": "XUSDT", "positionAmt": "1", "notional": "1", "unrealizedProfit": "0"}
    with pytest.raises(LookupError):
        holdings({"assets": [], "positions": [row]}, {"BTCUSDT": BTC})


def test_markets_are_the_perpetual_ones_whose_names_are_ours():
    def entry(base, kind="PERPETUAL"):
        return {
            "symbol": f"{base}USDT", "contractType": kind, "baseAsset": base, "quoteAsset": "USDT"
        }  # fmt: skip

    told = {"symbols": [entry("BTC"), entry("BTC", "CURRENT_QUARTER"), entry("FOO_B")]}
    assert perpetuals(told) == {BTC: entry("BTC")}


@pytest.mark.parametrize(
    ("days", "spans"),
    [(0, []), (1, [(0, 1)]), (7, [(0, 7)]), (15, [(0, 7), (7, 14), (14, 15)])],
)
def test_spans_that_one_answer_covers(days, spans):
    expected = [tuple(NOON + timedelta(days=day) for day in span) for span in spans]
    assert list(windows(NOON, NOON + timedelta(days=days))) == expected


def test_times_are_whole_milliseconds():
    assert milliseconds(NOON + timedelta(microseconds=1_999)) == 1772452800001
