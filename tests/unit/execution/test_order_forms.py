"""Every form of order as each venue is told it: targets, limits behind triggers, post-only."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Price
from execution.fill import Fill, Liquidity
from execution.matching import Matching
from execution.order import OrderStatus
from execution.venue import OrderChanged
from execution.venues import binance_wire, hyperliquid_wire, kraken_wire
from risk.intent import Purpose
from tests.builders_venue import BTC, NOON, a_bar, an_id, an_order, approved, instruments, terms

GRID = instruments("5")[BTC]
MARGIN = kraken_wire.Terms(leverage={BTC: 3}, deadline=None, entries_rest=timedelta(hours=1))
USD_M = binance_wire.Terms(
    leverage={BTC: 3},
    margin=binance_wire.MarginType.ISOLATED,
    triggered_by=binance_wire.TriggerPrice.LAST,
    receive_window=timedelta(seconds=5),
    entries_rest=timedelta(hours=1),
)
PERPETUAL = hyperliquid_wire.Terms(
    slippage=Decimal("0.01"), stop_slippage=Decimal("0.1"), deadline=timedelta(seconds=5)
)
LISTING = hyperliquid_wire.Listing(asset=0, coin="BTC", size_decimals=4, instrument=GRID)


def a_form(**changes):
    order = an_order("order", "-1", trigger="105", reduce_only=True)
    return replace(order, **{"purpose": Purpose.TAKE_PROFIT} | changes)


FORMS = {
    "take-profit": a_form(),
    "take-profit with a limit": a_form(limit=Price(Decimal("104.5"))),
    "stop with a limit": a_form(purpose=Purpose.PROTECTION, limit=Price(Decimal("104.5"))),
    "post-only": replace(an_order("order", "1", limit="99"), post_only=True),
}


@pytest.mark.req("S0-33", "S2-46")
@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("take-profit", {"ordertype": "take-profit", "price": "105", "oflags": "fciq"}),
        (
            "take-profit with a limit",
            {"ordertype": "take-profit-limit", "price": "105", "price2": "104.5"},
        ),
        (
            "stop with a limit",
            {"ordertype": "stop-loss-limit", "price": "105", "price2": "104.5"},
        ),
        ("post-only", {"ordertype": "limit", "price": "99", "oflags": "fciq,post"}),
    ],
)
def test_at_kraken(form, said):
    ticket = kraken_wire.ticket_of(FORMS[form], GRID, MARGIN, now=NOON, attach_stop=False)
    wire = kraken_wire.wire_form(ticket, "XBTUSDT")
    assert wire.items() >= said.items()
    assert wire.get("reduce_only") == ("true" if FORMS[form].reduce_only else None)
    assert ("expiretm" in wire) == (form == "post-only")


@pytest.mark.req("S1-133", "S2-46")
@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("take-profit", {"type": "TAKE_PROFIT_MARKET", "triggerPrice": "105"}),
        (
            "take-profit with a limit",
            {"type": "TAKE_PROFIT", "triggerPrice": "105", "price": "104.5"},
        ),
        ("stop with a limit", {"type": "STOP", "triggerPrice": "105", "price": "104.5"}),
        ("post-only", {"type": "LIMIT", "price": "99", "timeInForce": "GTX"}),
    ],
)
def test_at_binance(form, said):
    ticket = binance_wire.ticket_of(FORMS[form], GRID, USD_M, now=NOON)
    wire = binance_wire.wire_form(ticket, "BTCUSDT")
    assert wire.items() >= said.items()
    assert ("algoType" in wire) == (form != "post-only")
    assert "goodTillDate" not in wire


@pytest.mark.req("S1-133", "S2-46")
@pytest.mark.parametrize(
    ("form", "kind", "takes"),
    [
        ("take-profit", "tp", True),
        ("take-profit with a limit", "tp", False),
        ("stop with a limit", "sl", False),
        ("post-only", None, None),
    ],
)
def test_at_hyperliquid(form, kind, takes):
    ticket = hyperliquid_wire.ticket_of(FORMS[form], LISTING, PERPETUAL, middle=None)
    (wire,) = hyperliquid_wire.order_action(ticket)["orders"]
    if kind is None:
        assert wire["t"] == {"limit": {"tif": "Alo"}}
    else:
        assert wire["t"]["trigger"] == {"isMarket": takes, "triggerPx": "105", "tpsl": kind}


@pytest.mark.parametrize(
    ("purpose", "sent"),
    [
        pytest.param(Purpose.TAKE_PROFIT, "105", id="a target, nearer to the market: met earlier"),
        pytest.param(Purpose.PROTECTION, "105.01", id="a stop, nearer to it: less is lost"),
    ],
)
def test_a_trigger_off_the_grid_gives_towards_the_market(purpose, sent):
    order = a_form(purpose=purpose, trigger=Price(Decimal("105.004")))
    ticket = kraken_wire.ticket_of(order, GRID, MARGIN, now=NOON, attach_stop=False)
    assert ticket.trigger == Decimal(sent)
    ticket = binance_wire.ticket_of(order, GRID, USD_M, now=NOON)
    assert ticket.trigger == Decimal(sent)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"post_only": True}, id="at market"),
        pytest.param({"post_only": True, "limit": "99", "trigger": "98"}, id="behind a trigger"),
    ],
)
def test_only_a_limit_order_can_be_post_only(asked):
    with pytest.raises(ValueError, match="post-only"):
        approved("order", "1", **asked)


# In the matching core


def a_matching():
    return Matching(
        venue="paper",
        instruments=instruments("5"),
        terms=terms(),
        balances={"USDT": Decimal(1_000)},
    )


def played(matching, prices, *, number=0):
    return matching.observe(a_bar(prices, number=number))


def a_target(trigger="105", limit=None, **changes):
    return a_form(
        trigger=Price(Decimal(trigger)),
        limit=None if limit is None else Price(Decimal(limit)),
        **changes,
    )


def resting(order):
    """A core that holds 1 BTC bought at 100, and `order`."""
    matching = a_matching()
    played(matching, "100 100 100 100")
    matching.place(an_order("entry", "1"), NOON + timedelta(minutes=1))
    played(matching, "100 100 100 100", number=1)
    assert matching.refusal(order) is None
    matching.place(order, NOON + timedelta(minutes=2))
    return matching


@pytest.mark.parametrize(
    ("order", "bars", "price", "liquidity"),
    [
        pytest.param(a_target(), ["100 104.99 95 100"], None, None, id="not reached"),
        pytest.param(a_target(), ["100 105 95 100"], "105", "taker", id="touched"),
        pytest.param(a_target(), ["107 108 106 107"], "107", "taker", id="jumped over"),
        pytest.param(
            a_target(limit="104"), ["100 106 100 101"], "105", "taker", id="within its limit"
        ),
        pytest.param(
            a_target(limit="106"), ["100 107 100 101"], None, None, id="its limit is farther off"
        ),
        pytest.param(
            a_target(limit="106"),
            ["100 105.5 100 101", "101 106.5 101 106"],
            "106",
            "maker",
            id="set off, rested, and met there",
        ),
        pytest.param(
            a_target("95", "94", purpose=Purpose.PROTECTION),
            ["93 94.5 92 93", "93 93 93 93"],
            "94",
            "maker",
            id="a stop that was jumped over rests at its limit",
        ),
        pytest.param(
            a_target("95", "94.5", purpose=Purpose.PROTECTION),
            ["100 101 94 96"],
            "95",
            "taker",
            id="a stop within its limit",
        ),
    ],
)
def test_what_waits_for_a_price_fills_as_its_form_says(order, bars, price, liquidity):
    matching = resting(order)
    for number, prices in enumerate(bars, start=2):
        played(matching, prices, number=number)
    fills = matching.fills()[1:]
    assert [(f.price, f.liquidity) for f in fills] == (
        [] if price is None else [(Decimal(price), Liquidity(liquidity))]
    )


def test_of_stop_and_target_in_one_bar_the_stop_comes_first():
    matching = resting(a_target())
    stop = a_target("95", purpose=Purpose.PROTECTION)
    matching.place(replace(stop, client_order_id=an_id("stop")), NOON + timedelta(minutes=2))
    facts = played(matching, "100 106 94 100", number=2)
    (fill,) = [fact for fact in facts if isinstance(fact, Fill)]
    assert fill.client_order_id == an_id("stop")
    ended = {f.order.client_order_id: f.order.status for f in facts if isinstance(f, OrderChanged)}
    assert ended[an_id("order")] is OrderStatus.CANCELLED
    assert not matching.open_orders


@pytest.mark.parametrize(
    ("limit", "bar", "status", "price"),
    [
        pytest.param("99", "100 100 98 99", OrderStatus.FILLED, "99", id="it rests and is met"),
        pytest.param("99", "98 99 97 98", OrderStatus.EXPIRED, None, id="it would take"),
        pytest.param("99", "100 100 99.5 100", OrderStatus.OPEN, None, id="it rests"),
    ],
)
def test_what_is_post_only_never_takes(limit, bar, status, price):
    matching = a_matching()
    played(matching, "100 100 100 100")
    order = replace(an_order("order", "1", limit=limit), post_only=True)
    matching.place(order, NOON + timedelta(minutes=1))
    played(matching, bar, number=1)
    assert matching.order(an_id("order")).status is status
    assert [f.price for f in matching.fills()] == ([Decimal(price)] if price else [])
