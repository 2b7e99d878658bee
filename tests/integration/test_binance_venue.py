"""Binance's adapter on the wire: what is its own (LIBRARIES 6), beside the contract of venues."""

import logging
import traceback
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import ccxt.pro
import pytest

from data.clock import ManualClock, SystemClock
from data.feeds.binance import rate_budget
from data.instrument import Symbol
from execution.fill import Fill, Liquidity
from execution.order import OrderStatus
from execution.venue import NotTraded, OrderChanged, OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused
from execution.venues.binance_answers import AccountRefused
from execution.venues.binance_limits import BinanceLimits
from execution.venues.binance_line import BinanceLine, Keys
from execution.venues.binance_rows import milliseconds
from execution.venues.binance_wire import MarginType, TriggerPrice
from sextant.rehearsal.faults import Accident
from tests.builders_binance_venue import a_site, another, foreign, some_terms
from tests.builders_rehearsal import until
from tests.builders_venue import BTC, NOON, an_id, approved
from tests.fakes_binance import ETH, KEY, LISTEN_KEY, SECRET, BinanceAccount
from tests.fakes_kraken import QuickClock

PATIENT = some_terms(receive_window=timedelta(seconds=60))


def told_orders(events):
    return [event.order for event in events if isinstance(event, OrderChanged)]


def asked(site, what):
    return [form for name, form in site.server.requests if name == what]


# What is sent


@pytest.mark.req("S1-133", "S1-19")
async def test_the_forms_on_the_wire_are_exact():
    async with a_site(running=False) as site:
        await site.venue.submit(approved("entry", "0.3", limit="90.1", stop="80"))
        await site.venue.submit(approved("market", "1"))
        await site.venue.submit(approved("stop", "-1", trigger="80.5", reduce_only=True))
    assert asked(site, "POST order") == [
        {
            "symbol": "BTCUSDT", "side": "BUY", "positionSide": "BOTH", "type": "LIMIT",
            "quantity": "0.3", "price": "90.10", "timeInForce": "GTC",
            "newClientOrderId": an_id("entry"), "newOrderRespType": "RESULT",
        },
        {
            "symbol": "BTCUSDT", "side": "BUY", "positionSide": "BOTH", "type": "MARKET",
            "quantity": "1", "newClientOrderId": an_id("market"), "newOrderRespType": "RESULT",
        },
    ]  # fmt: skip
    assert asked(site, "POST algoOrder") == [
        {
            "algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL",
            "positionSide": "BOTH", "type": "STOP_MARKET", "quantity": "1",
            "reduceOnly": "true", "triggerPrice": "80.50", "workingType": "CONTRACT_PRICE",
            "clientAlgoId": an_id("stop"),
        }
    ]  # fmt: skip


async def test_nothing_is_sent_that_we_did_not_ask_for():
    """ccxt's `load_markets` with a key asks the wallet, and its orders bear its own ids."""
    async with a_site(running=False) as site:
        await site.venue.submit(approved("order", "1", limit="90"))
        sent = Counter(what for what, _ in site.server.requests)
    assert sent == {
        "GET exchangeInfo": 1, "GET openAlgoOrders": 1, "GET openOrders": 1,
        "GET userTrades": 2, "POST order": 1,
    }  # fmt: skip
    assert site.account.names() == [an_id("order")]


async def test_the_stream_is_the_private_one_and_takes_no_commands():
    async with a_site() as site:
        assert site.server.paths == [f"/private/ws?listenKey={LISTEN_KEY}"]


def test_the_testnet_is_the_demo_market():
    """ccxt's sandbox mode refuses futures; its demo trading has other addresses for each."""
    quick = QuickClock(NOON)
    line = BinanceLine(
        Keys(key=KEY, secret=SECRET),
        clock=quick,
        limits=BinanceLimits(quick, rate_budget(quick), reserve=0),
        receive_window=timedelta(seconds=5),
        testnet=True,
    )
    api = line._exchange.urls["api"]
    real = ccxt.pro.binanceusdm().urls["api"]
    assert line.name == "binanceusdm_testnet"
    for name in ("fapiPublic", "fapiPrivate", "fapiPrivateV3"):
        assert "demo" in api[name]
        assert api[name] != real[name]
    assert api["ws"]["linear"] != real["ws"]["linear"]
    assert "sapi" not in api


@pytest.mark.req("S1-138")
async def test_what_is_not_agreed_is_refused():
    async with a_site(running=False, terms=some_terms(leverage={BTC: 3})) as site:
        with pytest.raises(OrderRefused, match=ETH):
            await site.venue.submit(approved("order", "1", symbol=ETH))
        assert not asked(site, "POST order")


# Three answers


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        pytest.param(
            503,
            '{"code":-1000,"msg":"Unknown error, please check your request or try again later."}',
            OutcomeUnknown,
            id="503 unknown error",
        ),
        pytest.param(
            408,
            '{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status'
            ' unknown; execution status unknown."}',
            OutcomeUnknown,
            id="-1007",
        ),
        pytest.param(400, '{"code":-2010,"msg":"NEW_ORDER_REJECTED"}', OrderRefused, id="-2010"),
        pytest.param(
            400, '{"code":-4131,"msg":"PERCENT_PRICE"}', OrderRefused, id="-4131 no counterparty"
        ),
        pytest.param(400, '{"code":-1021,"msg":"recvWindow"}', VenueUnavailable, id="-1021"),
        pytest.param(200, "<html>Just a moment...</html>", OutcomeUnknown, id="a page of HTML"),
        pytest.param(200, '{"orderId": ', OutcomeUnknown, id="half an answer"),
        pytest.param(200, "{}", OutcomeUnknown, id="an answer to something else"),
    ],
)
async def test_what_binance_says_is_what_it_comes_to(status, body, fault):
    async with a_site(running=False) as site:
        site.server.instead["POST order"] = [(status, body)]
        with pytest.raises(fault, match=an_id("order")):
            await site.venue.submit(approved("order", "1", limit="90"))


@pytest.mark.parametrize(
    ("order", "said"),
    [
        pytest.param(approved("order", "0.04", limit="100"), "-4164", id="too little worth"),
        pytest.param(approved("order", "1000"), "-2019", id="beyond all means"),
        pytest.param(approved("order", "-1", reduce_only=True), "-2022", id="nothing to reduce"),
        pytest.param(approved("order", "1", trigger="99"), "-2021", id="would trigger at once"),
    ],
)
async def test_a_refusal_says_what_binance_said(order, said):
    async with a_site(running=False) as site:
        with pytest.raises(OrderRefused, match=said):
            await site.venue.submit(order)
        assert site.account.names() == []


# What expires, and the dead man's switch


async def test_the_switch_is_set_in_every_market_and_can_be_taken_back():
    """ccxt knows none for Binance: its endpoint is asked by name."""
    clock = ManualClock(NOON)
    async with a_site(running=False, clock=clock) as site:
        await site.venue.submit(approved("order", "1", limit="90"))
        await site.exchange.arm(timedelta(seconds=30))
        await site.exchange.disarm()
        clock.move_to(NOON + timedelta(minutes=2))
        assert len(await site.venue.open_orders()) == 1
        with pytest.raises(ValueError, match="1 s"):
            await site.exchange.arm(timedelta(milliseconds=900))
    told = [(f["symbol"], f["countdownTime"]) for f in asked(site, "POST countdownCancelAll")]
    assert told == [("BTCUSDT", "30000"), ("ETHUSDT", "30000"), ("BTCUSDT", "0"), ("ETHUSDT", "0")]


# Conditional orders: two at Binance, one here


async def test_a_stop_that_fires_is_one_order_with_its_trigger():
    async with a_site() as site:
        await site.venue.submit(approved("entry", "1"))
        await site.venue.submit(approved("stop", "-1", trigger="95", reduce_only=True))
        waiting = await site.venue.order(an_id("stop"))
        assert (waiting.status, waiting.trigger, waiting.filled) == (OrderStatus.OPEN, 95, 0)
        site.account.trade(BTC, "94")
        await site.venue.look()
        events = site.venue.drain()
        fills = [event for event in events if isinstance(event, Fill)]
        assert [fill.client_order_id for fill in fills] == [an_id("entry"), an_id("stop")]
        stop = await site.venue.order(an_id("stop"))
        assert (stop.status, stop.trigger, stop.filled) == (OrderStatus.FILLED, 95, 1)
        assert told_orders(events)[-1] == stop
        assert not await site.venue.open_orders()


async def test_a_stop_that_the_engine_does_not_take_is_rejected():
    """Its position is gone by then: Binance looks at what it costs only when it fires."""
    async with a_site() as site:
        await site.venue.submit(approved("entry", "1"))
        await site.venue.submit(approved("stop", "-1", trigger="95", reduce_only=True))
        await site.venue.submit(approved("exit", "-1", reduce_only=True))
        site.account.trade(BTC, "94")
        assert (await site.venue.order(an_id("stop"))).status is OrderStatus.REJECTED
        await site.venue.look()
        last = {order.client_order_id: order for order in told_orders(site.venue.drain())}
        assert last[an_id("stop")].status is OrderStatus.REJECTED


async def test_a_stop_is_cancelled_before_it_fires_and_its_limit_order_after():
    async with a_site(running=False) as site:
        await site.venue.submit(approved("waits", "1", trigger="120"))
        await site.venue.submit(approved("rests", "1", trigger="110", limit="105"))
        site.account.trade(BTC, "111")
        working = await site.venue.order(an_id("rests"))
        assert (working.trigger, working.limit) == (110, 105)
        names = {order.client_order_id for order in await site.venue.open_orders()}
        assert names == {an_id("waits"), an_id("rests")}
        for name in ("waits", "rests"):
            await site.venue.cancel(an_id(name))
            order = await site.venue.order(an_id(name))
            assert order.status is OrderStatus.CANCELLED
        assert not await site.venue.open_orders()


async def test_what_a_stop_has_placed_and_binance_does_not_tell_yet_is_unknown():
    async with a_site(running=False) as site:
        await site.venue.submit(approved("stop", "1", trigger="110"))
        site.account.trade(BTC, "111")
        site.server.instead["GET order"] = [(400, '{"code":-2013,"msg":"Order does not exist."}')]
        with pytest.raises(VenueUnavailable, match="not told"):
            await site.venue.order(an_id("stop"))
        assert (await site.venue.order(an_id("stop"))).status is OrderStatus.FILLED


# The second opinion


async def test_a_stream_whose_key_has_expired_is_opened_again():
    async with a_site() as site:
        site.server.say({"e": "listenKeyExpired", "E": 1, "listenKey": LISTEN_KEY})
        await until(lambda: len(asked(site, "POST listenKey")) == 2 and site.server.peers)
        assert "expired" in str(site.venue.last_fault)


async def test_a_stream_is_kept_alive_each_half_hour():
    clock = ManualClock(NOON)
    async with a_site(clock=clock) as site:
        for minutes in (29, 31, 32, 62):
            clock.move_to(NOON + timedelta(minutes=minutes))
            await site.venue.look()
        assert len(asked(site, "PUT listenKey")) == 2
        assert len(asked(site, "POST listenKey")) == 1


async def test_a_stream_is_kept_alive_at_the_next_look_if_it_was_not_at_this():
    clock = ManualClock(NOON)
    async with a_site(clock=clock) as site:
        clock.move_to(NOON + timedelta(minutes=31))
        site.server.instead["PUT listenKey"] = [(502, "")]
        foreign(site.account, "1")
        fills = await site.exchange.latest_fills(lambda _: False)
        assert len(fills) == 1
        await site.venue.look()
        assert len(asked(site, "PUT listenKey")) == 1
        assert not site.venue.faults


async def test_a_stream_that_cannot_be_kept_alive_is_opened_again():
    clock = ManualClock(NOON)
    async with a_site(clock=clock) as site:
        body = '{"code":-1125,"msg":"This listenKey does not exist."}'
        site.server.instead["PUT listenKey"] = [(400, body)]
        clock.move_to(NOON + timedelta(minutes=31))
        await site.venue.look()
        await until(lambda: site.venue.faults)
        assert "expired" in str(site.venue.last_fault)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": {"s": "BTCUSDT"}}, id="few"),
        pytest.param({"e": "ALGO_UPDATE", "E": 1}, id="none"),
    ],
)
async def test_a_message_that_cannot_be_read_ends_the_stream(message):
    async with a_site() as site:
        site.server.say(message)
        await until(lambda: site.venue.faults)
        assert "unreadable" in str(site.venue.last_fault)


# Another life, and other people


async def test_a_fill_of_a_stop_is_named_even_by_a_life_that_never_saw_it():
    async with a_site(running=False) as site:
        await site.venue.submit(approved("stop", "1", trigger="110"))
        site.account.trade(BTC, "111")
        async with another(site.server) as reborn:
            (fill,) = await reborn.venue.fills()
            assert fill.client_order_id == an_id("stop")
            assert (await reborn.venue.order(an_id("stop"))).trigger == 110


async def test_foreign_orders_and_fills_have_no_name_of_ours():
    async with a_site() as site:
        foreign(site.account, "1", price="50", name="web_resting")
        foreign(site.account, "3", market="ETHUSDT", name="adl_autoclose")
        await site.venue.submit(approved("order", "1"))
        (order,) = await site.venue.open_orders()
        assert order.client_order_id == "web_resting"
        theirs, ours = await site.venue.fills()
        assert (theirs.symbol, theirs.client_order_id) == (ETH, "adl_autoclose")
        assert (ours.symbol, ours.client_order_id) == (BTC, an_id("order"))
        await site.venue.look()
        assert len([e for e in site.venue.drain() if isinstance(e, Fill)]) == 2


async def test_a_fill_of_an_order_that_binance_has_forgotten_is_foreign():
    async with a_site(running=False) as site:
        placed = foreign(site.account, "1")
        site.account.trades[0]["time"] -= 61_000
        body = '{"code":-2013,"msg":"Order does not exist."}'
        site.server.instead["GET order"] = [(400, body)]
        (fill,) = await site.venue.fills()
        assert fill.client_order_id == f"BTCUSDT-{placed.order_id}"


# Fills


async def test_fills_are_read_page_by_page_and_week_by_week(monkeypatch):
    """And again only from where nothing can change any more."""
    monkeypatch.setattr("execution.venues.binance_exchange._PAGE", 4)
    clock = ManualClock(NOON)
    async with a_site(running=False, clock=clock, terms=PATIENT) as site:
        for day in range(20):
            clock.move_to(NOON + timedelta(days=day))
            foreign(site.account, "1" if day % 2 else "-1", name=f"order-{day}")
        for n in range(9):
            foreign(site.account, "0.1", market="ETHUSDT", name=f"last-{n}")
        async with another(site.server, clock=clock, since=NOON, terms=PATIENT) as late:
            fills = await late.venue.fills()
            assert [fill.client_order_id for fill in fills[:20]] == [
                f"order-{n}" for n in range(20)
            ]
            assert [fill.client_order_id for fill in fills[20:]] == [f"last-{n}" for n in range(9)]
            for after in (0, 7, 19, 20, 28, 29):
                assert await late.venue.fills(after=after) == fills[after:]
            before = len(asked(site, "GET userTrades"))
            clock.move_to(NOON + timedelta(days=19, hours=3))
            assert await late.venue.fills(after=25) == fills[25:]
            assert await late.venue.fills(after=29) == []
            assert len(asked(site, "GET userTrades")) - before <= 10
            foreign(site.account, "0.1", name="new")
            assert [f.client_order_id for f in await late.venue.fills(after=29)] == ["new"]


async def test_a_fill_says_what_it_cost_and_who_was_there_first():
    async with a_site(running=False) as site:
        await site.venue.submit(approved("takes", "1"))
        await site.venue.submit(approved("rests", "1", limit="99.5"))
        site.account.trade(BTC, "99")
        taken, rested = await site.venue.fills()
    assert (taken.liquidity, taken.fee) == (Liquidity.TAKER, Decimal(100) * Decimal("0.0005"))
    assert (rested.liquidity, rested.fee) == (Liquidity.MAKER, Decimal("99.5") * Decimal("0.0002"))
    assert {taken.fee_asset, rested.fee_asset} == {"USDT"}


# What the account is


async def test_grid_minimum_leverage_and_fees_come_from_the_venue():
    async with a_site(running=False) as site:
        grids = await site.exchange.instruments([BTC, ETH])
        fees = await site.exchange.taker_fees([BTC])
        with pytest.raises(NotTraded, match="DOGE/USDT: take it out"):
            await site.exchange.instruments([Symbol("DOGE/USDT")])
    assert (grids[BTC].tick, grids[BTC].lot) == (Decimal("0.10"), Decimal("0.0001"))
    assert (grids[ETH].min_notional, grids[ETH].max_leverage) == (5, 125)
    assert fees == {BTC: Decimal("0.0005")}


async def test_funding_of_weeks_is_told_once_and_in_order():
    """More than a page of it, over more than one span; of another market too, and not before."""
    async with a_site(running=False, since=SystemClock().now() - timedelta(days=10)) as site:
        now = site.account.now_ms
        for n in range(1_300):
            site.account.fund(ETH if n % 2 else BTC, Decimal(n))
            site.account.incomes[-1]["time"] = now - (1_300 - n) * 600_000
        site.account.fund(BTC, Decimal(7))
        site.account.incomes[-1]["time"] = now - 11 * 24 * 3_600_000
        charges = await site.venue.charges()
        latest = await site.venue.charges(since=charges[-2].charged_at)
    assert [charge.amount for charge in charges] == list(range(1_300))
    assert {charge.symbol for charge in charges} == {BTC, ETH}
    assert latest == charges[-2:]


async def test_a_position_made_smaller_and_turned_leaves_its_profit():
    async with a_site(running=False) as site:
        paid = Decimal(0)
        for n, (price, quantity) in enumerate([("100", "2"), ("110", "-1"), ("120", "-3")]):
            site.account.trade(BTC, price)
            await site.venue.submit(approved(f"order {n}", quantity))
        for fill in await site.venue.fills():
            paid += fill.side.sign * fill.quantity * fill.price + fill.fee
        balances = await site.venue.balances()
    assert (balances["BTC"], balances["USDT"]) == (-2, 10_000 - paid)


async def test_an_account_in_hedge_mode_is_refused():
    async with a_site(running=False) as site:
        await site.exchange.require_one_way()
        site.account.is_hedged = True
        with pytest.raises(AccountRefused, match="one-way"):
            await site.exchange.require_one_way()
        with pytest.raises(OrderRefused, match="-4061"):
            await site.venue.submit(approved("order", "1"))


@pytest.mark.req("S0-22")
async def test_leverage_and_margin_are_set_where_they_differ():
    terms = some_terms(leverage={BTC: 3, ETH: 20}, margin=MarginType.ISOLATED)
    async with a_site(running=False, terms=terms) as site:
        await site.exchange.apply_terms()
        assert site.account.settings == {"BTCUSDT": ["ISOLATED", 3], "ETHUSDT": ["ISOLATED", 20]}
        assert len(asked(site, "POST leverage")) == 1
        await site.exchange.apply_terms()
        assert len(asked(site, "POST marginType")) == 2


async def test_terms_that_binance_does_not_take_stop_us():
    terms = some_terms(leverage={BTC: 20}, margin=MarginType.ISOLATED)
    async with a_site(running=False, terms=terms) as site:
        site.server.instead["POST marginType"] = [(400, '{"code":-4046,"msg":"No need"}')]
        await site.exchange.apply_terms()
        foreign(site.account, "1")
        with pytest.raises(AccountRefused, match="-4048"):
            await site.exchange.apply_terms()


# Keys


@pytest.mark.req("S1-139")
@pytest.mark.parametrize(
    ("restrictions", "named"),
    [
        pytest.param(
            {"enableWithdrawals": True, "enableFutures": True}, "can withdraw", id="can withdraw"
        ),
        pytest.param({"enableFutures": True}, "may be able", id="does not say"),
        pytest.param(
            {"enableWithdrawals": False, "enableFutures": False}, "futures", id="cannot trade"
        ),
        pytest.param([], "may be able", id="says something else"),
    ],
)
async def test_a_key_that_can_withdraw_is_refused(restrictions, named):
    async with a_site(running=False) as site:
        await site.exchange.require_safe_key()
        site.account.restrictions = restrictions
        with pytest.raises(KeyRefused, match=named):
            await site.exchange.require_safe_key()


async def test_on_the_testnet_nobody_is_asked_what_a_key_may():
    async with a_site(running=False, testnet=True) as site:
        await site.exchange.require_safe_key()
        await site.venue.submit(approved("order", "1"))
        assert not asked(site, "GET sapi/account/apiRestrictions")
        assert site.venue.name == "binanceusdm_testnet"


@pytest.mark.parametrize(
    ("environment", "testnet", "named"),
    [
        pytest.param({}, False, "BINANCE_API_KEY and BINANCE_API_SECRET", id="neither"),
        pytest.param({"BINANCE_API_KEY": "k"}, False, "BINANCE_API_SECRET", id="no secret"),
        pytest.param(
            {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"},
            True,
            "BINANCE_TESTNET_API_KEY",
            id="the real ones are not for the testnet",
        ),
    ],
)
def test_keys_come_from_the_environment_alone(environment, testnet, named):
    with pytest.raises(KeyRefused, match=named):
        Keys.of_environment(environment, testnet=testnet)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        pytest.param(Keys(key="wrong", secret=SECRET), "-2015", id="key"),
        pytest.param(Keys(key=KEY, secret="wrong"), "-1022", id="secret"),
    ],
)
async def test_a_wrong_key_stops_us(keys, code):
    async with a_site(running=False) as site, another(site.server, keys=keys) as wrong:
        with pytest.raises(KeyRefused, match=code):
            await wrong.venue.balances()
        with pytest.raises(OrderRefused, match=code):
            await wrong.venue.submit(approved("order", "1"))


@pytest.mark.req("S1-149")
async def test_what_is_signed_or_quoted_is_never_said(caplog):
    """Beside what no venue says: signatures, keys that an answer repeats, the stream's address."""
    caplog.set_level(logging.DEBUG)
    said = []
    async with a_site() as site:
        site.server.next("POST order", Accident.FAIL_AFTER)
        with pytest.raises(OutcomeUnknown) as fault:
            await site.venue.submit(approved("order", "1", limit="90"))
        said += traceback.format_exception(fault.value)
        body = f'{{"code":-1000,"msg":"{KEY} {SECRET} listenKey={LISTEN_KEY}"}}'
        site.server.instead["GET account"] = [(400, body), (200, f"<p>{KEY} {SECRET}</p>")]
        for _ in range(2):
            with pytest.raises(VenueUnavailable) as fault:
                await site.venue.balances()
            said += traceback.format_exception(fault.value)
        await site.server.deafen()
        with pytest.raises(VenueUnavailable) as fault:
            async with site.line._exchange.user_data(LISTEN_KEY) as inbox:
                await _heard(inbox)
        said += traceback.format_exception(fault.value)
        await site.server.listen()
    said += [record.getMessage() for record in caplog.records]
    text = "".join(said)
    assert "fapiPrivateV3GetAccount" in text
    assert not [secret for secret in (KEY, SECRET, LISTEN_KEY) if secret in text]
    assert "signature=***" in text
    assert not [part for part in text.split("signature=")[1:] if not part.startswith("***")]


async def _heard(inbox):
    try:
        await inbox.get()
    except Exception as fault:
        raise VenueUnavailable(str(fault)) from fault


# Limits


async def test_budgets_are_spent_before_binance_has_to_say_no():
    clock = QuickClock(NOON)
    limits = BinanceLimits(clock, rate_budget(clock), reserve=0.2)
    async with a_site(running=False, limits=limits) as site:
        before = limits.weighed
        await site.venue.look()
        await site.venue.submit(approved("order", "1", limit="90"))
        assert limits.weighed - before == 40 + 40 + 2 * 5
        assert limits.ordered == 1


@pytest.mark.parametrize("header", ["7", None], ids=["told how long", "not told"])
async def test_what_binance_refuses_for_haste_is_rested(header):
    clock = QuickClock(NOON)
    limits = BinanceLimits(clock, rate_budget(clock), reserve=0.2)
    async with a_site(running=False, limits=limits) as site:
        site.server.after = {} if header is None else {"Retry-After": header}
        site.server.next("POST order", Accident.REFUSE_429)
        with pytest.raises(VenueUnavailable, match="429"):
            await site.venue.submit(approved("one", "1", limit="90"))
        began = clock.now()
        with pytest.raises(VenueUnavailable, match="none was sent"):
            await site.venue.submit(approved("one", "1", limit="90"))
        assert len(asked(site, "POST order")) == 0
        await site.venue.balances()
        assert clock.now() - began == timedelta(seconds=int(header or 60))


async def test_an_order_is_as_old_as_our_clock_says():
    """ccxt would take the machine's."""
    clock = ManualClock(NOON)
    async with a_site(running=False, clock=clock) as site:
        assert site.line._exchange.nonce() == milliseconds(NOON)
        await site.venue.submit(approved("order", "1"))
        (fill,) = await site.venue.fills()
        assert fill.filled_at == NOON


async def test_a_stop_can_be_set_off_by_the_mark_price():
    terms = some_terms(triggered_by=TriggerPrice.MARK)
    account = BinanceAccount(SystemClock())
    async with a_site(running=False, terms=terms, account=account) as site:
        await site.venue.submit(approved("stop", "1", trigger="120"))
    assert asked(site, "POST algoOrder")[0]["workingType"] == "MARK_PRICE"
