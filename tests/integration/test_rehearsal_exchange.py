"""The rehearsal exchange through ccxt's unmodified Kraken client, and through a bare socket."""

import asyncio
import contextlib
import sys
import uuid
from datetime import timedelta
from decimal import Decimal

import aiohttp
import ccxt
import orjson
import pytest

from data.clock import ManualClock
from data.feeds.kraken import KrakenSource, rate_budget
from data.instrument import Side, Symbol
from sextant.rehearsal.faults import Accident, Faults
from sextant.rehearsal.rates import Tier
from tests.builders_rehearsal import (
    BALANCES,
    NOON,
    a_client,
    rehearsal_exchange,
    until,
)

BTC = "BTC/USDT"


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
async def venue(clock):
    async with rehearsal_exchange(clock) as running:
        yield running


@pytest.fixture
async def kraken(venue):
    async with a_client(venue) as client:
        yield client


async def order_of(client, txid):
    """Kraken's own row of an order."""
    return (await client.fetch_order(txid))["info"]


async def balances_of(client):
    answer = await client.private_post_balance()
    return {code: Decimal(text) for code, text in answer["result"].items()}


async def fills_of(client):
    answer = await client.private_post_tradeshistory()
    return answer["result"]["trades"]


# The market


async def test_ccxt_reads_the_markets_and_what_they_cost(kraken):
    markets = await kraken.load_markets()
    assert set(markets) == {"BTC/USDT", "XRP/USDT", "XRP/BTC"}
    btc = markets[BTC]
    assert (btc["id"], btc["taker"], btc["maker"]) == ("XBTUSDT", 0.004, 0.0025)
    assert (btc["precision"]["price"], btc["limits"]["amount"]["min"]) == (0.1, 0.00005)
    assert btc["limits"]["leverage"]["max"] == 5


async def test_the_market_is_told_alike_over_rest(venue, kraken):
    for price in ("40010.0", "40020.0", "40005.0"):
        venue.control.trade(BTC, price, "0.5")
    ticker = await kraken.fetch_ticker(BTC)
    (candle,) = await kraken.fetch_ohlcv(BTC, "1m")
    trades = await kraken.fetch_trades(BTC)
    book = await kraken.fetch_order_book(BTC, 5)
    assert ticker["last"] == 40005.0
    assert candle[1:] == [40010.0, 40020.0, 40005.0, 40005.0, 1.5]
    assert [trade["price"] for trade in trades] == [40010.0, 40020.0, 40005.0]
    assert book["bids"][0][0] < 40005.0 < book["asks"][0][0]
    assert ticker["bid"], ticker["ask"] == (book["bids"][0][0], book["asks"][0][0])


async def test_books_trades_and_checksums_hold_for_our_own_feed(venue, clock):
    """`KrakenSource` checks every checksum; ccxt 4.5.90 cannot, on Python."""
    source = KrakenSource(clock=clock, budget=rate_budget(clock), urls=venue.urls)
    books, trades = source.books(Symbol(BTC), 25), source.trades(Symbol(BTC))
    try:
        first = await anext(books)
        async with asyncio.TaskGroup() as tasks:
            told = tasks.create_task(anext(trades))
            await until(lambda: venue.control.subscriptions == 2)
            for step in range(20):
                venue.control.trade(BTC, f"{40000 + 7 * step}.5")
                book = await anext(books)
        assert [trade.price for trade in told.result()] == [Decimal("40000.5")]
        assert first.bids[0].price < 40000 < first.asks[0].price
        assert book.bids[0].price < Decimal("40133.5") < book.asks[0].price
        assert len(book.bids) == 25
    finally:
        await books.aclose()
        await trades.aclose()
        await source.close()


# Orders


async def test_a_market_order_walks_the_book_and_pays_as_taker(venue, kraken):
    asks = venue.control.exchange.markets[Symbol(BTC)].book.asks
    placed = await kraken.create_order(BTC, "market", "buy", 0.2)
    row = await order_of(kraken, placed["id"])
    fills = list((await fills_of(kraken)).values())
    assert (row["status"], row["vol_exec"]) == ("closed", "0.20000000")
    assert Decimal(fills[-1]["price"]) == asks[0].price
    assert Decimal(fills[-1]["vol"]) == asks[0].quantity
    assert len(fills) > 1
    assert not any(fill["maker"] for fill in fills)
    assert Decimal(row["fee"]) == Decimal(row["cost"]) * Decimal("0.004")


async def test_a_limit_order_rests_holds_its_money_and_fills_as_maker(venue, kraken):
    placed = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    held = (await kraken.fetch_balance())["USDT"]["used"]
    venue.control.trade(BTC, "39000.0")
    touched = await order_of(kraken, placed["id"])
    venue.control.trade(BTC, "38999.0")
    row = await order_of(kraken, placed["id"])
    (fill,) = (await fills_of(kraken)).values()
    assert held == pytest.approx(3900 * 1.0025)
    assert (touched["status"], row["status"]) == ("open", "closed")
    assert (fill["price"], fill["maker"], fill["fee"]) == ("39000.0", True, "9.75000")
    assert (await kraken.fetch_balance())["USDT"]["used"] == 0


async def test_a_trade_that_is_smaller_fills_in_part(venue, kraken):
    placed = await kraken.create_order(BTC, "limit", "sell", 0.5, 41_000)
    venue.control.trade(BTC, "41010.0", "0.2")
    part = await order_of(kraken, placed["id"])
    venue.control.trade(BTC, "41010.0", "9")
    whole = await order_of(kraken, placed["id"])
    assert (part["status"], part["vol_exec"]) == ("open", "0.20000000")
    assert (whole["status"], whole["vol_exec"]) == ("closed", "0.50000000")


async def test_a_post_only_order_that_would_take_is_refused(kraken):
    with pytest.raises(ccxt.ExchangeError, match="EOrder:Post only order"):
        await kraken.create_order(BTC, "limit", "buy", 0.1, 40_100, {"postOnly": True})
    resting = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_900, {"postOnly": True})
    assert (await order_of(kraken, resting["id"]))["oflags"] == "fciq,post"


async def test_what_an_immediate_order_does_not_get_is_cancelled(venue, kraken):
    offered = venue.control.exchange.markets[Symbol(BTC)].book.asks[0]
    price = float(offered.price)
    placed = await kraken.create_order(BTC, "limit", "buy", 1.0, price, {"timeInForce": "IOC"})
    row = await order_of(kraken, placed["id"])
    assert (row["status"], Decimal(row["vol_exec"])) == ("canceled", offered.quantity)


@pytest.mark.parametrize(
    ("kind", "amount", "price", "params", "error", "text"),
    [
        pytest.param(
            "market", 0.00001, None, {}, ccxt.InvalidOrder, "minimum not met", id="too small"
        ),
        pytest.param(
            "limit", 0.0001, 400.0, {}, ccxt.ExchangeError, "Cost minimum not met", id="too cheap"
        ),
        pytest.param(
            "market", 20, None, {}, ccxt.InsufficientFunds, "Insufficient funds", id="too dear"
        ),
        pytest.param(
            "market", 0.1, None, {"leverage": 7}, ccxt.ExchangeError, "leverage", id="leverage"
        ),
        pytest.param(
            "market", 0.1, None, {"reduceOnly": True}, ccxt.ExchangeError, "reduce_only",
            id="reduce-only on spot",
        ),
        pytest.param(
            "market", 0.1, None, {"reduceOnly": True, "leverage": 2}, ccxt.ExchangeError,
            "Reduce only:No position exists", id="nothing to reduce",
        ),
        pytest.param(
            "market", 100, None, {"leverage": 5}, ccxt.ExchangeError, "Margin level too low",
            id="beyond the margin",
        ),
        pytest.param(
            "limit", 0.1, 39_000, {"clientOrderId": "x" * 19}, ccxt.ExchangeError, "cl_ord_id",
            id="client id",
        ),
        pytest.param(
            "limit", 0.1, 39_000, {"deadline": "2026-03-02T11:59:59Z"}, ccxt.ExchangeError,
            "EService:Deadline elapsed", id="deadline",
        ),
    ],
)  # fmt: skip
async def test_what_kraken_refuses_is_refused_in_its_words(
    kraken, kind, amount, price, params, error, text
):
    with pytest.raises(error, match=text):
        await kraken.create_order(BTC, kind, "buy", amount, price, params)
    assert await kraken.fetch_open_orders() == []
    assert await fills_of(kraken) == {}


async def test_validate_places_nothing(kraken):
    params = {"validate": "true", "clientOrderId": str(uuid.uuid4())}
    placed = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, params)
    assert placed["id"] is None
    assert placed["info"]["descr"]["order"] == "buy 0.10000000 XBTUSDT @ limit 39000.0"
    assert await kraken.fetch_open_orders() == []


async def test_a_client_id_is_refused_again_while_its_order_is_open(kraken):
    params = {"clientOrderId": str(uuid.uuid4())}
    first = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, params)
    with pytest.raises(ccxt.ExchangeError, match="EOrder:Duplicate order"):
        await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, params)
    (found,) = await kraken.fetch_open_orders(params=params)
    assert (found["id"], found["clientOrderId"]) == (first["id"], params["clientOrderId"])
    await kraken.cancel_order(first["id"])
    again = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, params)
    assert again["id"] != first["id"]  # unique among open orders only: as at Kraken


async def test_cancelling_by_either_id_and_once_only(kraken):
    params = {"clientOrderId": str(uuid.uuid4())}
    by_id = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, params)
    await kraken.cancel_order(by_id["id"])
    await kraken.cancel_order(None, params=params)
    assert await kraken.fetch_open_orders() == []
    assert (await order_of(kraken, by_id["id"]))["reason"] == "User requested"
    with pytest.raises(ccxt.OrderNotFound):
        await kraken.cancel_order(by_id["id"])


async def test_an_amended_order_keeps_its_id(venue, kraken):
    placed = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    amended = await kraken.edit_order(placed["id"], BTC, "limit", "buy", 0.2, 39_500)
    row = await order_of(kraken, placed["id"])
    venue.control.trade(BTC, "39499.0", "5")
    filled = await order_of(kraken, placed["id"])
    assert amended["id"].startswith("T")  # ccxt tells the amendment's id
    assert (row["status"], row["vol"], row["descr"]["price"]) == ("open", "0.20000000", "39500.0")
    assert (filled["status"], filled["price"]) == ("closed", "39500.0")


async def test_an_edited_order_loses_its_id(kraken):
    placed = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    answer = await kraken.private_post_editorder(
        {"txid": placed["id"], "pair": "XBTUSDT", "price": "39100.0"}
    )
    (left,) = await kraken.fetch_open_orders()
    assert left["id"] == answer["result"]["txid"] != placed["id"]
    assert left["price"] == 39_100.0


# Stops, targets, conditional close


@pytest.mark.parametrize(
    ("params", "price", "moves"),
    [
        pytest.param({"stopLossPrice": 39_500}, None, ("39501.0", "39500.0"), id="stop-loss"),
        pytest.param({"takeProfitPrice": 40_500}, None, ("40499.0", "40500.0"), id="take-profit"),
        pytest.param({"stopLossPrice": 39_500}, 39_400, ("39501.0", "39499.0"), id="stop-limit"),
        pytest.param({"takeProfitPrice": 40_500}, 40_450, ("40499.0", "40510.0"), id="take-limit"),
    ],
)
async def test_a_trigger_sets_an_order_off_once_it_is_reached(venue, kraken, params, price, moves):
    kind = "market" if price is None else "limit"
    placed = await kraken.create_order(BTC, kind, "sell", 0.01, price, params)
    venue.control.trade(BTC, moves[0])
    before = await order_of(kraken, placed["id"])
    venue.control.trade(BTC, moves[1])
    after = await order_of(kraken, placed["id"])
    assert (before["status"], before["vol_exec"]) == ("open", "0.00000000")
    assert (after["status"], after["vol_exec"]) == ("closed", "0.01000000")


TRAIL = {"ordertype": "trailing-stop", "pair": "XBTUSDT", "type": "sell", "volume": "0.01"}


@pytest.mark.parametrize(
    ("form", "moves", "triggers", "fills_at"),
    [
        pytest.param(
            {"price": "+500"},
            ["40100.0", "40300.0", "40000.0", "39801.0"],
            ["39600.0", "39800.0", "39800.0", "39800.0"],
            "39800.0",
            id="by so much",
        ),
        pytest.param(
            {"price": "+1%"},
            ["40500.0", "40200.0"],
            ["40095.0", "40095.0"],
            "40095.0",
            id="by a share",
        ),
        pytest.param(
            {"price": "+500", "type": "buy"},
            ["39700.0", "39900.0"],
            ["40200.0", "40200.0"],
            "40200.0",
            id="of a buyer, from above",
        ),
        pytest.param(
            {"ordertype": "trailing-stop-limit", "price": "+500", "price2": "-10"},
            ["40300.0", "40000.0"],
            ["39800.0", "39800.0"],
            "39800.0",
            id="with a limit off its trigger",
        ),
    ],
)
async def test_a_trailing_stop_follows_the_last_price_one_way(
    venue, kraken, form, moves, triggers, fills_at
):
    answer = await kraken.private_post_addorder(TRAIL | form)
    (txid,) = answer["result"]["txid"]
    told = []
    for price in moves:
        venue.control.trade(BTC, price)
        row = await order_of(kraken, txid)
        assert row["descr"]["price"] == form["price"]
        told.append(row["stopprice"])
    assert told == triggers
    assert row["status"] == "open"
    venue.control.trade(BTC, fills_at)
    row = await order_of(kraken, txid)
    assert (row["status"], row["vol_exec"]) == ("closed", "0.01000000")


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"price": "39500"}, id="no offset"),
        pytest.param({"price": "-500"}, id="the wrong way"),
        pytest.param({"price": "+100%"}, id="all of it"),
        pytest.param({"price": "+0"}, id="nothing"),
        pytest.param({"ordertype": "trailing-stop-limit", "price": "+500"}, id="no limit"),
    ],
)
async def test_what_is_no_trailing_stop_is_declined(kraken, form):
    with pytest.raises(ccxt.BaseError, match="EGeneral:Invalid arguments:price"):
        await kraken.private_post_addorder(TRAIL | form)


async def test_a_trailing_stop_can_be_edited_and_not_amended(kraken):
    answer = await kraken.private_post_addorder(TRAIL | {"price": "+500"})
    (txid,) = answer["result"]["txid"]
    with pytest.raises(ccxt.BaseError, match="trigger_price"):
        await kraken.private_post_amendorder({"txid": txid, "trigger_price": "39000.0"})
    edited = await kraken.private_post_editorder(
        {"txid": txid, "pair": "XBTUSDT", "volume": "0.02"}
    )
    row = await order_of(kraken, edited["result"]["txid"])
    assert (row["vol"], row["descr"]["price"]) == ("0.02000000", "+500")


async def test_a_stop_limit_that_is_jumped_over_rests_unfilled(venue, kraken):
    params = {"stopLossPrice": 39_500}
    placed = await kraken.create_order(BTC, "limit", "sell", 0.01, 39_450, params)
    venue.control.trade(BTC, "39000.0")
    row = await order_of(kraken, placed["id"])
    venue.control.trade(BTC, "39451.0")
    filled = await order_of(kraken, placed["id"])
    assert (row["status"], row["vol_exec"]) == ("open", "0.00000000")
    assert (filled["status"], filled["price"]) == ("closed", "39450.0")


async def test_a_conditional_close_becomes_an_order_with_each_fill(venue, kraken):
    params = {"close": {"ordertype": "stop-loss", "price": 38_000}}
    entry = await kraken.create_order(BTC, "limit", "buy", 0.5, 39_000, params)
    assert len(await kraken.fetch_open_orders()) == 1
    venue.control.trade(BTC, "38990.0", "0.2")
    venue.control.trade(BTC, "38990.0", "0.3")
    stops = await kraken.fetch_open_orders()
    assert [(s["side"], s["amount"], s["stopLossPrice"]) for s in stops] == [
        ("sell", 0.2, 38_000.0),
        ("sell", 0.3, 38_000.0),
    ]
    assert {stop["info"]["refid"] for stop in stops} == {entry["id"]}
    venue.control.trade(BTC, "37999.0", "5")
    assert await kraken.fetch_open_orders() == []
    assert (await balances_of(kraken))["XXBT"] == BALANCES["BTC"]


async def test_the_dead_mans_switch_cancels_everything_when_its_time_is_over(clock, kraken):
    await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    await kraken.create_order(BTC, "market", "sell", 0.1, None, {"stopLossPrice": 39_000})
    answer = await kraken.cancel_all_orders_after(60_000)
    clock.move_to(NOON + timedelta(seconds=59))
    assert len(await kraken.fetch_open_orders()) == 2
    clock.move_to(NOON + timedelta(seconds=60))
    assert await kraken.fetch_open_orders() == []
    assert answer["result"]["triggerTime"] == "2026-03-02T12:01:00Z"


async def test_a_disarmed_switch_cancels_nothing(clock, kraken):
    await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    await kraken.cancel_all_orders_after(60_000)
    await kraken.cancel_all_orders_after(0)
    clock.move_to(NOON + timedelta(seconds=90))
    assert len(await kraken.fetch_open_orders()) == 1


async def test_an_order_expires_at_the_exchange(clock, kraken):
    placed = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, {"expiretm": "+30"})
    clock.move_to(NOON + timedelta(seconds=30))
    assert (await order_of(kraken, placed["id"]))["status"] == "expired"


# Margin


async def test_a_margin_position_opens_reduces_and_settles_its_profit(venue, kraken):
    before = await balances_of(kraken)
    await kraken.create_order(BTC, "market", "sell", 0.1, None, {"leverage": 3})
    positions = (await kraken.private_post_openpositions())["result"].values()
    venue.control.trade(BTC, "38000.0")
    await kraken.create_order(BTC, "market", "buy", 0.25, None, {"leverage": 3, "reduceOnly": True})
    after = await balances_of(kraken)
    fills = list((await fills_of(kraken)).values())
    entries = (await kraken.private_post_ledgers())["result"]["ledger"].values()
    sold = sum(Decimal(f["cost"]) for f in fills if f["type"] == "sell")
    bought = sum(Decimal(f["cost"]) for f in fills if f["type"] == "buy")
    fees = sum(Decimal(e["fee"]) for e in entries if e["asset"] == "USDT")
    assert {(p["type"], p["leverage"]) for p in positions} == {("sell", "3")}
    assert sum(Decimal(p["vol"]) for p in positions) == Decimal("0.1")
    assert (await kraken.private_post_openpositions())["result"] == {}
    assert sum(Decimal(f["vol"]) for f in fills if f["type"] == "buy") == Decimal("0.1")
    assert after["XXBT"] == before["XXBT"]
    assert after["USDT"] == before["USDT"] + sold - bought - fees
    assert fees == sum(Decimal(f["fee"]) for f in fills) + sold * Decimal("0.0002")


async def test_a_waiting_stop_ends_with_the_position_that_it_reduces(kraken):
    await kraken.create_order(BTC, "market", "buy", 0.1, None, {"leverage": 3})
    reducing = {"pair": "XBTUSDT", "type": "sell", "volume": "0.1", "leverage": "3"}
    reducing |= {"ordertype": "market", "reduce_only": "true"}
    waiting = reducing | {"ordertype": "stop-loss", "price": "39000.0"}
    placed = await kraken.private_post_addorder(waiting)  # ccxt cannot read the answer
    (stop,) = placed["result"]["txid"]
    await kraken.private_post_addorder(reducing)
    row = await order_of(kraken, stop)
    assert (row["status"], row["reason"]) == (
        "canceled",
        "EOrder:Reduce only:No position exists",
    )


async def test_what_cannot_be_carried_is_liquidated(venue, kraken):
    """Below a margin level of 40 %, whole, at market; and what waited to reduce it ends."""
    await kraken.create_order(BTC, "market", "buy", 5, None, {"leverage": 5})
    reducing = {"pair": "XBTUSDT", "type": "sell", "volume": "5", "leverage": "5"}
    waiting = reducing | {"ordertype": "stop-loss", "price": "10000.0", "reduce_only": "true"}
    (stop,) = (await kraken.private_post_addorder(waiting))["result"]["txid"]
    price, before = 40_000, 100.0
    while "ml" in (standing := (await kraken.private_post_tradebalance())["result"]):
        before = float(standing["ml"])
        price -= 100
        venue.control.trade(BTC, f"{price}.0")
    assert 40 <= before < 43
    trades = [row for row in (await fills_of(kraken)).values() if row["misc"]]
    assert {row["misc"] for row in trades} == {"liquidated"}
    assert sum(Decimal(row["vol"]) for row in trades) == 5
    (ended,) = {row["ordertxid"] for row in trades}
    row = await order_of(kraken, ended)
    assert (row["misc"], row["descr"]["type"], row["status"]) == ("liquidated", "sell", "closed")
    assert (await order_of(kraken, stop))["status"] == "canceled"
    assert (await kraken.private_post_openpositions())["result"] == {}


async def test_margin_costs_rollover_every_four_hours(clock, kraken):
    await kraken.create_order(BTC, "market", "buy", 0.1, None, {"leverage": 2})
    clock.move_to(NOON + timedelta(hours=9))
    entries = (await kraken.private_post_ledgers())["result"]["ledger"].values()
    rolled = [entry for entry in entries if entry["type"] == "rollover"]
    cost = sum(Decimal(fill["cost"]) for fill in (await fills_of(kraken)).values())
    assert sum(Decimal(entry["fee"]) for entry in rolled) == 2 * cost * Decimal("0.0002")


# The books


async def test_balances_are_their_opening_plus_fills_minus_fees_to_the_last_digit(venue, kraken):
    for n, price in enumerate(("40123.4", "39876.1", "40010.7", "39500.2"), start=1):
        venue.control.trade(BTC, price, "0.7")
        side = "buy" if n % 2 else "sell"
        await kraken.create_order(BTC, "market", side, 0.0123456 * n)
        await kraken.create_order(BTC, "limit", side, 0.01, float(price) - 200 * (-1) ** n)
    venue.control.trade(BTC, "38000.0", "3")
    venue.control.trade(BTC, "41000.0", "3")
    balances, fills = await balances_of(kraken), (await fills_of(kraken)).values()
    signed = [(1 if f["type"] == "buy" else -1, f) for f in fills]
    base = sum(sign * Decimal(f["vol"]) for sign, f in signed)
    quote = sum(sign * Decimal(f["cost"]) for sign, f in signed)
    fees = sum(Decimal(f["fee"]) for f in fills)
    assert len(fills) == 8
    assert balances["XXBT"] == BALANCES["BTC"] + base
    assert balances["USDT"] == BALANCES["USDT"] - quote - fees


# Keys and limits


async def test_a_wrong_key_a_wrong_secret_and_an_old_nonce_are_refused(venue, kraken):
    async with a_client(venue, apiKey="other") as stranger:
        with pytest.raises(ccxt.AuthenticationError, match="EAPI:Invalid key"):
            await stranger.fetch_balance()
    async with a_client(venue, secret="b3RoZXI=") as forger:
        with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
            await forger.fetch_balance()
    await kraken.fetch_balance()
    kraken.incrementing_nonce = lambda: 1
    with pytest.raises(ccxt.InvalidNonce):
        await kraken.fetch_balance()


async def test_the_key_can_trade_and_cannot_withdraw(kraken):
    info = (await kraken.private_post_getapikeyinfo())["result"]
    assert "modify-trades" in info["permissions"]
    assert not any("withdraw" in permission for permission in info["permissions"])


async def test_who_asks_too_often_waits_until_the_counter_has_decayed(clock):
    async with (
        rehearsal_exchange(clock, tier=Tier(asked=5, asked_decay=0.5)) as venue,
        a_client(venue) as kraken,
    ):
        for _ in range(5):
            await kraken.private_post_balance()
        with pytest.raises(ccxt.DDoSProtection, match="EAPI:Rate limit exceeded"):
            await kraken.private_post_balance()
        clock.move_to(NOON + timedelta(seconds=2))
        await kraken.private_post_balance()


async def test_cancelling_young_orders_uses_up_the_trading_counter(clock):
    async with (
        rehearsal_exchange(clock, tier=Tier(asked=1e6, traded=20)) as venue,
        a_client(venue) as kraken,
    ):
        for _ in range(2):
            placed = await kraken.create_order(BTC, "limit", "buy", 0.01, 39_000)
            await kraken.cancel_order(placed["id"])
        await kraken.create_order(BTC, "limit", "buy", 0.01, 39_000)
        await kraken.create_order(BTC, "limit", "buy", 0.01, 39_000)
        with pytest.raises(ccxt.DDoSProtection, match="EOrder:Rate limit exceeded"):
            await kraken.create_order(BTC, "limit", "buy", 0.01, 39_000)
        await kraken.create_order("XRP/USDT", "limit", "buy", 10, 0.9)  # each pair has its own


async def test_another_name_for_this_machine_is_turned_away(venue):
    async with aiohttp.ClientSession() as session:
        url = f"{venue.urls['public']}/0/public/Time"
        async with session.get(url, headers={"Host": "rebound.example"}) as answer:
            assert answer.status == 403


# Accidents


@pytest.mark.parametrize(
    ("accident", "error", "placed"),
    [
        pytest.param(Accident.REFUSE_503, ccxt.ExchangeNotAvailable, 0, id="503"),
        pytest.param(Accident.REFUSE_429, ccxt.RateLimitExceeded, 0, id="429"),
        pytest.param(Accident.BUSY, ccxt.ExchangeNotAvailable, 0, id="busy"),
        pytest.param(Accident.DROP_REQUEST, ccxt.NetworkError, 0, id="lost on the way"),
        pytest.param(Accident.DROP_ANSWER, ccxt.NetworkError, 1, id="accepted, not answered"),
        pytest.param(Accident.FAIL_AFTER, ccxt.ExchangeNotAvailable, 1, id="accepted, 502"),
    ],
)
async def test_an_accident_strikes_the_next_order_and_is_over(
    venue, kraken, accident, error, placed
):
    await kraken.load_markets()
    venue.control.next("AddOrder", accident)
    with pytest.raises(error):
        await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    assert len(venue.control.exchange.open_orders()) == placed
    await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    assert len(venue.control.exchange.open_orders()) == placed + 1


async def test_what_hangs_is_answered_when_it_is_let_go(venue, kraken):
    await kraken.load_markets()
    venue.control.next("AddOrder", Accident.HANG)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(kraken.create_order(BTC, "limit", "buy", 0.1, 39_000))
        (order,) = await kraken.fetch_open_orders() or await kraken.fetch_open_orders()
        assert not asked.done()
        venue.control.let_go()
    assert asked.result()["id"] == order["id"]


async def test_orders_outlive_a_restart(venue, kraken):
    placed = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    async with venue.control.down():
        with pytest.raises(ccxt.NetworkError):
            await kraken.fetch_balance()
    assert [order["id"] for order in await kraken.fetch_open_orders()] == [placed["id"]]


# The socket


class Stream:
    """A bare socket to the private channels."""

    def __init__(self, socket):
        self._socket = socket

    async def send(self, message):
        await self._socket.send_str(orjson.dumps(message).decode())

    async def next(self):
        message = await self._socket.receive(timeout=60)
        return orjson.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None

    async def until(self, matches):
        """The messages up to the first that `matches`, that one included."""
        told = []
        while not told or not matches(told[-1]):
            told.append(await self.next())
        return told

    async def until_pong(self):
        """All that was said before now."""
        await self.send({"method": "ping"})
        return (await self.until(lambda m: m.get("method") == "pong"))[:-1]


@contextlib.asynccontextmanager
async def executions(venue, kraken, **params):
    """A socket that is subscribed to executions, its snapshots not read yet."""
    token = (await kraken.private_post_getwebsocketstoken())["result"]["token"]
    wanted = {"channel": "executions", "token": token, **params}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.urls["ws"]["privateV2"]) as socket,
    ):
        stream = Stream(socket)
        await stream.send({"method": "subscribe", "params": wanted, "req_id": 1})
        await stream.until(lambda message: message.get("success"))
        yield stream


def events(messages):
    """(exec_type, order status) of every event."""
    rows = [row for m in messages if m.get("channel") == "executions" for row in m["data"]]
    return [(row["exec_type"], row["order_status"]) for row in rows]


def filled(messages):
    """Ids of the fills that were told."""
    rows = [row for m in messages if m.get("channel") == "executions" for row in m["data"]]
    return [row["exec_id"] for row in rows if row["exec_type"] == "trade"]


async def test_executions_tell_the_life_of_an_order(venue, kraken):
    async with executions(venue, kraken) as stream:
        params = {"clientOrderId": str(uuid.uuid4())}
        placed = await kraken.create_order(BTC, "limit", "buy", 0.2, 39_000, params)
        venue.control.trade(BTC, "38999.0", "0.1")
        await kraken.cancel_order(placed["id"])
        messages = await stream.until_pong()
    updates = [m for m in messages if m.get("type") == "update"]
    assert events(updates) == [
        ("pending_new", "pending_new"),
        ("new", "new"),
        ("trade", "partially_filled"),
        ("canceled", "canceled"),
    ]
    assert {m["data"][0]["cl_ord_id"] for m in updates} == {params["clientOrderId"]}
    sequences = [m["sequence"] for m in messages if m.get("channel") == "executions"]
    assert sequences == [1, 2, 3, 4, 5]


async def test_each_fill_is_told_once_and_again_in_the_snapshot_after_a_reconnect(venue, kraken):
    async with executions(venue, kraken) as stream:
        await kraken.create_order(BTC, "market", "buy", 0.2)
        resting = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
        told = filled(await stream.until_pong())
    venue.control.trade(BTC, "38990.0", "0.04")
    async with executions(venue, kraken, snap_trades=True) as stream:
        trades, orders = (await stream.until_pong())[:2]
    known = set(venue.control.exchange.trades)
    assert len(told) == len(set(told)) == len(known) - 1
    assert set(filled([trades])) == known
    assert (trades["type"], orders["type"]) == ("snapshot", "snapshot")
    assert [(row["order_id"], row["cum_qty"]) for row in orders["data"]] == [(resting["id"], 0.04)]


async def test_ccxt_watches_fills_orders_and_balances(venue, kraken):
    await kraken.create_order(BTC, "market", "buy", 0.05)
    first = await kraken.watch_my_trades()
    balance = await kraken.watch_balance()
    assert [trade["id"] for trade in first] == list(venue.control.exchange.trades)
    assert balance["BTC"]["total"] == 1.05
    async with asyncio.TaskGroup() as tasks:
        coming = tasks.create_task(kraken.watch_orders())
        await kraken.fetch_balance()
        placed = await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    assert placed["id"] in [order["id"] for order in coming.result()]


async def test_orders_are_placed_amended_and_cancelled_over_the_socket(venue, kraken):
    placed = await kraken.create_order_ws(BTC, "limit", "buy", 0.1, 39_000)
    await kraken.edit_order_ws(placed["id"], BTC, "limit", "buy", 0.2, 39_100)
    row = await order_of(kraken, placed["id"])
    await kraken.cancel_order_ws(placed["id"])
    assert (row["vol"], row["descr"]["price"]) == ("0.20000000", "39100.0")
    assert await kraken.fetch_open_orders() == []
    with pytest.raises(ccxt.ExchangeError, match="EOrder:Insufficient funds"):
        await kraken.create_order_ws(BTC, "market", "buy", 50)


async def test_a_stranger_hears_nothing_of_the_account(venue):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.urls["ws"]["privateV2"]) as socket,
    ):
        stream = Stream(socket)
        for params in ({}, {"token": "guessed"}):
            wanted = {"channel": "executions", **params}
            await stream.send({"method": "subscribe", "params": wanted, "req_id": 5})
            refusal = (await stream.until(lambda m: "error" in m))[-1]
            assert (refusal["error"], refusal["req_id"]) == ("ESession:Invalid session", 5)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        pytest.param(Faults(duplicated=1.0), [1, 1, 2, 2], id="told twice"),
        pytest.param(Faults(dropped=1.0), [], id="not told"),
        pytest.param(Faults(reordered=1.0), [2, 1], id="the second first"),
    ],
)
async def test_events_go_astray_as_they_are_told_to(venue, kraken, faults, expected):
    async with executions(venue, kraken) as stream:
        await stream.until_pong()
        venue.control.misbehave(faults)
        await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
        messages = [m for m in await stream.until_pong() if m.get("type") == "update"]
    assert [m["sequence"] - 1 for m in messages] == expected


async def test_a_silent_exchange_keeps_its_sockets_open(venue, kraken):
    async with executions(venue, kraken) as stream:
        await stream.until_pong()
        venue.control.silence()
        await kraken.create_order(BTC, "market", "buy", 0.05)
        venue.control.silence(on=False)
        assert events(await stream.until_pong()) == []
    assert venue.control.exchange.trades


async def test_closed_sockets_are_closed_for_the_client(venue, kraken):
    async with executions(venue, kraken) as stream:
        await stream.until_pong()
        venue.control.close_sockets()
        assert await stream.next() is None


async def test_the_channels_of_the_market_tell_what_is_traded(venue):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.urls["ws"]["publicV2"]) as socket,
    ):
        stream = Stream(socket)
        for channel in ("trade", "ticker", "ohlc", "book", "instrument"):
            params = {"channel": channel, "symbol": [BTC]}
            await stream.send({"method": "subscribe", "params": params})
        await stream.until_pong()
        venue.control.trade(BTC, "40100.0", "0.3", Side.SELL)
        told = {m["channel"]: m["data"][0] for m in await stream.until_pong()}
    assert told["trade"]["price"] == 40100.0
    assert told["trade"]["side"] == "sell"
    assert told["ticker"]["last"] == 40100.0
    assert (told["ohlc"]["close"], told["ohlc"]["volume"]) == (40100.0, 0.3)
    assert told["book"]["bids"] and told["book"]["checksum"]


# The whole, by itself


async def test_a_command_runs_it_alone_until_it_is_interrupted(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sextant", "rehearse", "--port", "0", "--seed", "3", "--speed", "600",
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(5)]
    rest = lines[1].split()[1]
    url = f"{rest}/0/public/SystemStatus"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        status = orjson.loads(await answer.read())
    process.terminate()
    assert await process.wait() == 0
    assert status["result"]["status"] == "online"
    assert "seed 3" in lines[0]
    assert rest.startswith("http://127.0.0.1:")
