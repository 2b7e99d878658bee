"""What we say to Hyperliquid about orders, and what its rows mean, recorded ones among them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import ccxt.pro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.feeds.ccxt_source import exact
from data.feeds.hyperliquid_wire import instrument, tick_at
from data.instrument import Price, Side, Symbol, Toward
from execution.charge import ChargeKind
from execution.fill import Liquidity
from execution.order import OrderStatus
from execution.venue import OrderRefused
from execution.venues.hyperliquid_orders import KnownOrders
from execution.venues.hyperliquid_wire import (
    Kind,
    Listing,
    Terms,
    Ticket,
    TimeInForce,
    Trigger,
    balances_of,
    cancel_action,
    charge_of_row,
    cloid_of,
    described,
    fill_of_row,
    handle_of,
    leverage_action,
    middle_of,
    name_of,
    order_action,
    order_of_row,
    status_of,
    switch_action,
    taker_fee_of,
    text_of,
    ticket_of,
)
from tests.builders_venue import NOON, an_id, an_order

BTC = Symbol("BTC/USDC")
ROW = {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "markPx": "40000.0", "baseId": 0}
LISTING = Listing(asset=0, coin="BTC", size_decimals=5, instrument=instrument(BTC, ROW))
TERMS = Terms(slippage=Decimal("0.01"), stop_slippage=Decimal("0.1"), deadline=timedelta(seconds=5))
CLOID = "0x" + uuid.UUID(an_id("order")).hex


def wire_of(order, *, middle="40000"):
    ticket = ticket_of(order, LISTING, TERMS, middle=Price(Decimal(middle)) if middle else None)
    (wire,) = order_action(ticket)["orders"]
    return wire


BASE = {"a": 0, "b": True, "p": "40400", "s": "0.5", "r": False, "c": CLOID,
        "t": {"limit": {"tif": "Ioc"}}}  # fmt: skip


@pytest.mark.req("S0-33", "S1-133")
@pytest.mark.parametrize(
    ("order", "said"),
    [
        pytest.param(an_order("order", "0.5"), BASE, id="market: at once, within our bound"),
        pytest.param(
            an_order("order", "-0.50", reduce_only=True),
            BASE | {"b": False, "p": "39600", "r": True},
            id="market, to sell",
        ),
        pytest.param(
            an_order("order", "0.5", limit="39123.7"),
            BASE | {"p": "39123", "t": {"limit": {"tif": "Gtc"}}},
            id="limit: no more than asked",
        ),
        pytest.param(
            an_order("order", "-0.5", limit="39123.2"),
            BASE | {"b": False, "p": "39124", "t": {"limit": {"tif": "Gtc"}}},
            id="limit, to sell: no less",
        ),
        pytest.param(
            an_order("order", "-0.5", trigger="38000.4", reduce_only=True),
            BASE | {"b": False, "p": "34201", "r": True, "t": {
                "trigger": {"isMarket": True, "triggerPx": "38001", "tpsl": "sl"}}},
            id="stop: nearer to the market, within a bound of its own",
        ),
        pytest.param(
            an_order("order", "0.5", trigger="9999.96", limit="10000.2"),
            BASE | {"p": "10000", "t": {
                "trigger": {"isMarket": False, "triggerPx": "9999.9", "tpsl": "sl"}}},
            id="stop with a limit, each on its own grid",
        ),
        pytest.param(
            an_order("order", "0.5", limit="40000", stop="38000"),
            BASE | {"p": "40000", "t": {"limit": {"tif": "Gtc"}}},
            id="its stop is an order of its own",
        ),
    ],
)  # fmt: skip
def test_an_order_as_hyperliquid_takes_it(order, said):
    wire = wire_of(order)
    assert wire == said
    assert list(wire) == ["a", "b", "p", "s", "r", "t", "c"]  # what is signed has an order


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        pytest.param(TimeInForce.POST_ONLY, {"limit": {"tif": "Alo"}}, id="post-only"),
        pytest.param(
            Trigger(price=Price(Decimal(45000)), kind=Kind.TARGET, takes=True),
            {"trigger": {"isMarket": True, "triggerPx": "45000", "tpsl": "tp"}},
            id="take-profit",
        ),
        pytest.param(
            Trigger(price=Price(Decimal(45000)), kind=Kind.TARGET, takes=False),
            {"trigger": {"isMarket": False, "triggerPx": "45000", "tpsl": "tp"}},
            id="take-profit with a limit",
        ),
    ],
)
def test_the_other_forms(terms, said):
    ticket = Ticket(
        asset=3, cloid=CLOID, side=Side.SELL, quantity=Decimal(1), price=Decimal(45), terms=terms
    )
    action = order_action(ticket)
    assert (action["type"], action["grouping"]) == ("order", "na")
    assert action["orders"][0]["t"] == said


def test_the_actions_that_are_no_orders():
    assert cancel_action(4, CLOID) == {
        "type": "cancelByCloid",
        "cancels": [{"asset": 4, "cloid": CLOID}],
    }
    assert cancel_action(4, 77) == {"type": "cancel", "cancels": [{"a": 4, "o": 77}]}
    assert switch_action(NOON) == {"type": "scheduleCancel", "time": 1772452800000}
    assert switch_action(None) == {"type": "scheduleCancel"}
    assert leverage_action(1, 3) == {
        "type": "updateLeverage",
        "asset": 1,
        "isCross": True,
        "leverage": 3,
    }


@pytest.mark.parametrize(
    ("order", "middle"),
    [
        pytest.param(an_order("order", "0.000001"), "40000", id="no multiple of a lot"),
        pytest.param(an_order("order", "1"), None, id="a market order without a price"),
        pytest.param(
            replace(an_order("order", "1"), client_order_id="order-1"), "40000", id="no UUID"
        ),
    ],
)
def test_what_is_refused_before_it_is_sent(order, middle):
    with pytest.raises(OrderRefused, match=order.client_order_id):
        wire_of(order, middle=middle)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"slippage": Decimal(0)}, id="no slippage at all"),
        pytest.param({"stop_slippage": Decimal(1)}, id="all of the price"),
        pytest.param({"deadline": timedelta(seconds=61)}, id="too late"),
    ],
)
def test_terms_that_make_no_sense(changes):
    with pytest.raises(ValueError, match=r"slippage|deadline"):
        replace(TERMS, **changes)


@given(
    price=st.decimals("0.00001", "999999", allow_nan=False, places=6),
    decimals=st.integers(0, 5),
    toward=st.sampled_from([Toward.LOWER, Toward.HIGHER]),
)
def test_every_price_has_five_figures_and_few_decimals(price, decimals, toward):
    listing = replace(LISTING, size_decimals=decimals)
    found = listing.price(price, toward)
    assert abs(found - price) < tick_at(price, decimals)
    assert (found <= price) if toward is Toward.LOWER else (found >= price)
    text = text_of(found)
    whole, _, fraction = text.partition(".")
    assert len(fraction) <= 6 - decimals
    assert not fraction or len(f"{whole}{fraction}".lstrip("0")) <= 5


@given(st.uuids())
def test_an_id_and_its_cloid_are_the_same(number):
    cloid = cloid_of(str(number))
    assert len(cloid) == 34
    assert name_of({"oid": 1, "cloid": cloid}) == str(number)
    assert handle_of(str(number)) == cloid


def test_what_is_foreign_goes_by_its_number():
    assert name_of({"oid": 91490942, "cloid": None}) == "91490942"
    assert handle_of("91490942") == 91490942
    assert handle_of("nobody's") is None


@pytest.mark.parametrize(
    ("said", "filled", "status"),
    [
        pytest.param("open", "0", OrderStatus.OPEN, id="open"),
        pytest.param("open", "1", OrderStatus.PARTIALLY_FILLED, id="filled in part"),
        pytest.param("triggered", "0", OrderStatus.OPEN, id="triggered"),
        pytest.param("filled", "2", OrderStatus.FILLED, id="filled"),
        pytest.param("filled", "1", OrderStatus.CANCELLED, id="all that there was"),
        pytest.param("canceled", "1", OrderStatus.CANCELLED, id="cancelled"),
        pytest.param("reduceOnlyCanceled", "0", OrderStatus.CANCELLED, id="nothing to reduce"),
        pytest.param("liquidatedCanceled", "0", OrderStatus.CANCELLED, id="liquidated"),
        pytest.param("scheduledCancel", "0", OrderStatus.CANCELLED, id="the switch"),
        pytest.param("rejected", "0", OrderStatus.REJECTED, id="rejected"),
        pytest.param("perpMarginRejected", "0", OrderStatus.REJECTED, id="no margin"),
        pytest.param("iocCancelRejected", "0", OrderStatus.REJECTED, id="nothing to take"),
    ],
)
def test_a_word_and_its_status(said, filled, status):
    assert status_of(said, quantity=Decimal(2), filled=Decimal(filled)) is status


def test_a_word_that_says_nothing_is_no_status():
    with pytest.raises(ValueError, match="sleeping"):
        status_of("sleeping", quantity=Decimal(2), filled=Decimal(0))


def test_what_the_stream_leaves_out_is_known_from_the_ticket():
    order = an_order("order", "-0.5", trigger="38000", reduce_only=True)
    ticket = ticket_of(order, LISTING, TERMS, middle=None)
    known = KnownOrders()
    row = {"coin": "BTC", "side": "A", "limitPx": "34200.0", "sz": "0.2", "origSz": "0.5",
           "oid": 9, "timestamp": 1, "cloid": CLOID}  # fmt: skip
    update = {"order": row, "status": "open", "statusTimestamp": 2}
    assert known.completed(update) is None
    known.expect(an_id("order"), "BTC", ticket)
    told = known.completed(update)
    change = known.change(told["order"], BTC, status="open", at=2)
    assert (change.order.trigger, change.order.limit) == (Decimal(38000), None)
    assert (change.order.reduce_only, change.order.filled) == (True, Decimal("0.3"))
    assert known.name(9) == an_id("order")
    assert described(ticket)["orderType"] == "Stop Market"


# Bodies recorded from the venue


@pytest.fixture
def recorded(shared_data):
    def read(name):
        return exact((shared_data / "hyperliquid_info" / f"{name}.json").read_text())["response"]

    return read


@pytest.fixture
def symbols(recorded):
    names = [row["name"] for row in recorded("meta")["universe"]]
    return {name: Symbol(f"{name.upper()}/USDC") for name in names}


def test_recorded_balances_are_worth_what_the_venue_says(recorded, symbols):
    """Its cash and positions at its prices come to its account value, to the last digit."""
    state = recorded("clearinghouseState")
    held = balances_of(state, symbols)
    assert held["USDC"] == Decimal("86.549602")
    assert (held["BTC"], held["ETH"], held["ATOM"]) == tuple(
        map(Decimal, ("-0.00785", "0.1334", "-0.45"))
    )
    positions = [row["position"] for row in state["assetPositions"]]
    values = [Decimal(row["positionValue"]).copy_sign(Decimal(row["szi"])) for row in positions]
    assert held["USDC"] + sum(values) == Decimal(state["marginSummary"]["accountValue"])
    assert len(held) == 13


def test_recorded_fills(recorded, symbols):
    rows = recorded("userFills_first100")
    fills = [
        fill_of_row(str(n), row, symbols[row["coin"]], client_order_id=name_of(row), account="0xa")
        for n, row in enumerate(rows)
    ]
    first = fills[0]
    assert (len(fills), first.symbol, first.side) == (100, Symbol("SUI/USDC"), Side.SELL)
    assert (first.price, first.quantity) == (Decimal("1.3189"), Decimal("142.7"))
    assert (first.fee, first.fee_asset, first.liquidity) == (0, "USDC", Liquidity.TAKER)
    assert first.client_order_id == "189324432"
    assert first.filled_at == datetime(2023, 5, 5, 0, 18, 4, 863000, UTC)


OURS, OTHERS = f"0x{'aB' * 20}", f"0x{'cd' * 20}"


@pytest.mark.parametrize(
    ("told", "forced"),
    [
        pytest.param({}, "", id="a trade of ours"),
        pytest.param(
            {"liquidation": {"liquidatedUser": OURS, "markPx": "95", "method": "market"}},
            "liquidation (market)",
            id="our position, in the market",
        ),
        pytest.param(
            {"liquidation": {"liquidatedUser": OURS, "markPx": "90", "method": "backstop"}},
            "liquidation (backstop)",
            id="our position, taken over",
        ),
        pytest.param(
            {"liquidation": {"liquidatedUser": OTHERS, "markPx": "95", "method": "market"}},
            "",
            id="somebody else's, against an order of ours",
        ),
        pytest.param(
            {"liquidation": {"markPx": "95", "method": "market"}},
            "liquidation (market)",
            id="it does not say whose",
        ),
        pytest.param({"liquidation": None}, "", id="none is told as such"),
        pytest.param({"dir": "Liquidated Cross Long"}, "Liquidated Cross Long", id="in words"),
        pytest.param({"dir": "Auto-Deleveraging"}, "Auto-Deleveraging", id="deleveraged"),
        pytest.param({"dir": "Settlement"}, "Settlement", id="delisted"),
    ],
)
def test_what_hyperliquid_has_forced_is_told(told, forced):
    row = {
        "coin": "BTC", "px": "95.0", "sz": "0.5", "side": "A", "time": 1772452800000,
        "startPosition": "0.5", "dir": "Close Long", "closedPnl": "-2.5", "hash": "0x0",
        "oid": 77, "crossed": True, "fee": "0.02", "tid": 5, "feeToken": "USDC",
    } | told  # fmt: skip
    fill = fill_of_row("5", row, BTC, client_order_id="77", account=OURS.lower())
    assert fill.forced == forced


def test_recorded_orders_with_their_triggers(recorded, symbols):
    rows = recorded("frontendOpenOrders")
    target, stop, entry = (order_of_row(row, symbols[row["coin"]], status="open") for row in rows)
    assert (target.trigger, target.limit) == (Decimal("10.004"), None)
    assert (stop.trigger, stop.limit, stop.reduce_only) == (Decimal("9.995"), None, True)
    assert (entry.trigger, entry.limit, entry.reduce_only) == (None, 10, False)
    assert {(order.quantity, order.status) for order in (target, stop, entry)} == {
        (Decimal("12.5"), OrderStatus.OPEN)
    }
    assert [order.client_order_id for order in (target, stop, entry)] == [
        "3184595907",
        "3184595906",
        "3184595905",
    ]


def test_recorded_open_orders(recorded, symbols):
    orders = [
        order_of_row(row, symbols[row["coin"]], status="open") for row in recorded("openOrders")
    ]
    assert len(orders) == 196
    assert len({order.client_order_id for order in orders}) == 196
    first = orders[0]
    assert (first.symbol, first.side) == (Symbol("MATIC/USDC"), Side.BUY)
    assert (first.limit, first.quantity) == (Decimal("1.0357"), Decimal("208.7"))


def test_recorded_funding_payments(recorded, symbols):
    rows = recorded("userFunding_window")
    charges = [charge_of_row(row, symbols[row["delta"]["coin"]]) for row in rows]
    assert len(charges) == len({charge.charge_id for charge in charges}) == 13
    ape, arb = charges[:2]
    assert (ape.symbol, ape.amount) == (Symbol("APE/USDC"), Decimal("-0.145796"))
    assert (arb.kind, arb.asset, arb.amount) == (ChargeKind.FUNDING, "USDC", Decimal("-2.694388"))
    for charge, row in zip(charges, rows, strict=True):  # longs pay a rate above zero
        owed = Decimal(row["delta"]["fundingRate"]) * Decimal(row["delta"]["szi"])
        assert (charge.amount > 0) == (owed > 0)


def test_recorded_middles_bound_a_market_order(recorded):
    assert middle_of(recorded("allMids"), "BTC") == Decimal("30135.0")
    assert wire_of(an_order("order", "0.5"), middle="30135.0")["p"] == "30436"


def test_recorded_grids(recorded):
    """Each of the universe at its middle: the tick never has more than five figures."""
    middles = recorded("allMids")
    rows = {row["name"]: row for row in recorded("meta")["universe"]}
    grids = {
        name: instrument(Symbol(f"{name.upper()}/USDC"), row | {"markPx": middles[name]})
        for name, row in rows.items()
    }
    assert (grids["BTC"].tick, grids["BTC"].lot, grids["BTC"].max_leverage) == (
        1, Decimal("0.00001"), 50,
    )  # fmt: skip
    assert (grids["kPEPE"].tick, grids["kPEPE"].lot) == (Decimal("0.000001"), 1)
    assert all(grid.min_notional == 10 for grid in grids.values())


def test_fees():
    fees = {"userCrossRate": "0.00045", "userAddRate": "-0.00001"}
    assert taker_fee_of(fees) == Decimal("0.00045")


# What ccxt would have done


async def test_ccxt_gives_an_entry_and_its_stop_the_same_id():
    """Which is why no stop is attached through it."""
    client = ccxt.pro.hyperliquid(
        {"privateKey": "11" * 32, "walletAddress": "0x" + "22" * 20, "timeout_on_exit": 1}
    )
    try:
        client.set_markets([client.parse_market(ROW)])
        request = client.create_orders_request([
            {"symbol": "BTC/USDC:USDC", "type": "limit", "side": "buy", "amount": "1",
             "price": "40000",
             "params": {"clientOrderId": CLOID, "stopLoss": {"triggerPrice": "38000"}}}
        ])  # fmt: skip
    finally:
        await client.close()
    assert [order["c"] for order in request["action"]["orders"]] == [CLOID, CLOID]
