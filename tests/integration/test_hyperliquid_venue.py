"""Hyperliquid's adapter on the wire: what is its own, beside the contract of venues."""

import asyncio
import traceback
from datetime import timedelta
from decimal import Decimal

import ccxt.pro
import pytest

from data.clock import ManualClock, SystemClock
from data.instrument import Symbol
from execution.fill import Fill
from execution.order import OrderStatus
from execution.venue import NotTraded, OrderChanged, OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused
from execution.venues.hyperliquid_answers import SwitchRefused
from execution.venues.hyperliquid_line import Keys
from execution.venues.hyperliquid_wire import cloid_of, milliseconds
from sextant.rehearsal.faults import Accident
from tests.builders_exchange_venue import in_haste
from tests.builders_hyperliquid_venue import (
    BTC,
    FOREIGN,
    LIMIT,
    a_site,
    a_venue,
    generous_limits,
    usdc,
)
from tests.builders_rehearsal import until
from tests.builders_venue import an_id
from tests.fakes_hyperliquid_venue import (
    AGENT_KEY,
    MASTER_KEY,
    HyperliquidVenueServer,
    actions_of,
    address_of,
)


def told_orders(events):
    return [event.order for event in events if isinstance(event, OrderChanged)]


def cloids(*names):
    return [cloid_of(an_id(name)) for name in names]


# What is signed: trap 6 of LIBRARIES, and others of ccxt's


def an_unguarded_client(server):
    client = ccxt.pro.hyperliquid(
        {
            "privateKey": AGENT_KEY,
            "walletAddress": server.master,
            "enableRateLimit": False,
            "timeout_on_exit": 1,
            "options": {"fetchMarkets": {"types": ["swap"]}},
        }
    )
    client.has["fetchCurrencies"] = False
    client.urls["api"] = client.deep_extend(client.urls["api"], server.urls)
    return client


async def test_ccxt_by_itself_signs_a_fee_to_others_and_a_referral():
    """What the server notices, so that the next test proves something."""
    async with HyperliquidVenueServer(SystemClock()) as server:
        client = an_unguarded_client(server)
        try:
            await client.load_markets()
            await client.initialize_client()
        finally:
            await client.close()
    signed = {body["action"]["type"] for path, body in server.requests if path == "/exchange"}
    assert signed == {"approveBuilderFee", "setReferrer"}
    assert [request["action"]["type"] for request in server.wrongs] == ["setReferrer"]


@pytest.mark.req("S1-133")
async def test_nothing_is_signed_but_what_trades():
    """All that we can do, done: the server fails on anything else, and on a builder's fee."""
    async with a_site() as site:
        await site.exchange.require_safe_key()
        await site.exchange.instruments([BTC])
        await site.exchange.taker_fees([BTC])
        await site.exchange.set_leverage(BTC, 3)
        await site.venue.submit(usdc("order", "1"))
        await site.venue.submit(usdc("resting", "1", limit="90"))
        await site.venue.cancel(an_id("resting"))
        await site.exchange.arm(timedelta(seconds=30))
        await site.exchange.disarm()
        await site.venue.look()
        server = site.server
    assert [action["type"] for action in server.actions] == [
        "updateLeverage",
        "order",
        "order",
        "cancelByCloid",
        "scheduleCancel",
        "scheduleCancel",
    ]
    assert not any("builder" in action for action in server.actions)
    sent = [body for path, body in server.requests if path == "/exchange"]
    assert len(sent) == len(server.actions)
    assert all(
        request.keys() == {"action", "nonce", "signature", "expiresAfter"} for request in sent
    )


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda client: client.set_ref(), id="a referral"),
        pytest.param(lambda c: c.approve_builder_fee("0x" + "1" * 40, "0.01%"), id="a fee"),
        pytest.param(lambda client: client.set_user_abstraction("unifiedAccount"), id="a setting"),
        pytest.param(lambda client: client.reserve_request_weight(10), id="paid requests"),
        pytest.param(lambda c: c.withdraw("USDC", 10, "0x" + "1" * 40), id="a withdrawal"),
        pytest.param(lambda c: c.transfer("USDC", 10, "spot", "swap"), id="a transfer"),
    ],
)
async def test_the_client_can_sign_nothing_else(work):
    async with a_site(running=False) as site:
        client = site.line._exchange
        with pytest.raises(ccxt.PermissionDenied):
            await work(client)
        assert not [body for path, body in site.server.requests if path == "/exchange"]


async def test_the_agent_signs_and_the_account_is_asked_for():
    async with a_site() as site:
        await site.venue.submit(usdc("order", "1"))
        await site.venue.balances()
        await site.venue.fills()
        server = site.server
        asked = [body for path, body in server.requests if path == "/info" and "user" in body]
    assert set(server.signers) == {address_of(AGENT_KEY)}
    agents = [body["type"] for body in asked if body["user"] == server.agent]
    assert agents == ["userRole"]
    assert {body["user"] for body in asked if body["type"] != "userRole"} == {server.master}


async def test_on_the_testnet_signatures_are_of_the_testnet():
    async with a_site(source="b", testnet=True) as site:
        await site.venue.submit(usdc("order", "1", limit="90"))
        assert site.server.placed == cloids("order")
    async with a_site(source="b") as site:
        with pytest.raises(OrderRefused, match="does not exist"):
            await site.venue.submit(usdc("order", "1", limit="90"))


async def test_the_form_on_the_wire_is_exact():
    async with a_site() as site:
        await site.venue.submit(usdc("entry", "0.30", limit="90.17", stop="80"))
        await site.venue.submit(usdc("market", "1"))
        await site.venue.submit(usdc("stop", "-1", trigger="80.01", reduce_only=True))
        orders = [action["orders"] for action in site.server.actions]
    entry, market, stop = cloids("entry", "market", "stop")
    trigger = {"trigger": {"isMarket": True, "triggerPx": "80.1", "tpsl": "sl"}}
    assert orders == [
        [{"a": 0, "b": True, "p": "90.1", "s": "0.3", "r": False, "t": LIMIT, "c": entry}],
        [{"a": 0, "b": True, "p": "101", "s": "1", "r": False,
          "t": {"limit": {"tif": "Ioc"}}, "c": market}],
        [{"a": 0, "b": False, "p": "72.1", "s": "1", "r": True, "t": trigger, "c": stop}],
    ]  # fmt: skip


async def test_a_market_order_gives_no_more_than_our_bound():
    """The market has left while we asked for it: nothing is taken, and nothing rests."""
    async with a_site() as site:
        site.server.old_middles["BTC"] = "100"
        await site.server.trade("BTC", "102")
        with pytest.raises(OrderRefused, match="could not immediately match"):
            await site.venue.submit(usdc("order", "1"))
        assert not await site.venue.open_orders()
        assert (await site.venue.order(an_id("order"))).status is OrderStatus.REJECTED


# Three answers


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"status": "ok"}, id="ok, and nothing else"),
        pytest.param({"status": "ok", "response": {"type": "order", "data": {}}}, id="no statuses"),
        pytest.param(
            {"status": "ok", "response": {"type": "order", "data": {"statuses": ["what"]}}},
            id="a strange status",
        ),
        pytest.param({"status": "err", "response": "Words never heard"}, id="strange words"),
        pytest.param([], id="no object"),
    ],
)
async def test_an_answer_that_says_nothing_leaves_it_open(answer):
    async with a_site() as site:
        site.server.answers_instead.append(answer)
        with pytest.raises(OutcomeUnknown, match=an_id("order")):
            await site.venue.submit(usdc("order", "1", limit="90"))
        await site.venue.submit(usdc("order", "1", limit="90"))
        assert site.server.placed == cloids("order")


async def test_where_nobody_listens_nothing_was_sent():
    async with a_site() as site:
        urls = site.server.urls | {"private": "http://127.0.0.1:1"}
        async with a_venue(site.server, urls=urls) as deaf:
            with pytest.raises(VenueUnavailable, match=an_id("order")):
                await deaf.venue.submit(usdc("order", "1"))


async def test_what_another_life_has_sent_and_the_venue_minds_is_not_sent_again():
    async with a_site() as site:
        site.server.refuses_duplicates = True
        await site.venue.submit(usdc("order", "1", limit="90"))
        async with a_venue(site.server) as reborn:
            await reborn.venue.submit(usdc("order", "1", limit="90"))
        assert site.server.placed == cloids("order")


async def test_a_duplicate_is_success_once_it_is_seen():
    """It was not there when we asked, and is when it is placed."""
    async with a_site(running=False) as site:
        site.server.refuses_duplicates = True
        await site.server.place(FOREIGN | {"c": cloid_of(an_id("order"))})
        site.server.hides_orders = 1
        await site.venue.submit(usdc("order", "1", limit="90"))
        assert site.server.placed == cloids("order")
        assert len(actions_of(site.server)["order"]) == 1


async def test_a_duplicate_that_nobody_sees_is_left_open():
    async with a_site(running=False) as site:
        site.server.refuses_duplicates = True
        await site.server.place(FOREIGN | {"c": cloid_of(an_id("order"))})
        site.server.hides_orders = 2
        with pytest.raises(OutcomeUnknown, match=an_id("order")):
            await site.venue.submit(usdc("order", "1", limit="90"))


async def test_a_fill_of_an_order_that_hyperliquid_has_forgotten_is_foreign():
    async with a_site(running=False) as site, a_venue(site.server) as ours:
        await ours.venue.submit(usdc("order", "1"))
        site.server.account.fills[0]["time"] -= 61_000
        site.server.hides_orders = 1
        (fill,) = await site.venue.fills()
        assert fill.client_order_id == str(site.server.account.fills[0]["oid"])


async def test_a_stop_that_would_go_off_at_once_is_refused():
    async with a_site() as site:
        await site.venue.submit(usdc("position", "1"))
        with pytest.raises(OrderRefused, match="Invalid TP/SL"):
            await site.venue.submit(usdc("stop", "-1", trigger="105", reduce_only=True))


# Cancelling


@pytest.mark.parametrize(
    "accident", [Accident.REFUSE_503, Accident.DROP_ANSWER, Accident.HANG, Accident.BUSY]
)
async def test_a_cancellation_without_an_answer_may_be_repeated(accident):
    async with a_site() as site:
        await site.venue.submit(usdc("order", "1", limit="90"))
        site.server.next(accident)
        with in_haste(site), pytest.raises(VenueUnavailable):
            await site.venue.cancel(an_id("order"))
        site.server.let_go()
        await site.venue.cancel(an_id("order"))
        assert (await site.venue.order(an_id("order"))).status is OrderStatus.CANCELLED


# Stops of our own


async def test_a_stop_fires_as_itself_and_closes_the_position():
    async with a_site() as site:
        await site.venue.submit(usdc("position", "1"))
        await site.venue.submit(usdc("stop", "-1", trigger="95", reduce_only=True))
        (stop,) = await site.venue.open_orders()
        assert (stop.trigger, stop.limit, stop.reduce_only) == (95, None, True)
        await site.server.trade("BTC", "94")
        await site.venue.look()
        events = site.venue.drain()
        fills = [event for event in events if isinstance(event, Fill)]
        assert [fill.client_order_id for fill in fills] == [an_id("position"), an_id("stop")]
        ended = [o for o in told_orders(events) if o.status.is_final]
        assert {(o.client_order_id, o.status) for o in ended} == {
            (an_id("position"), OrderStatus.FILLED),
            (an_id("stop"), OrderStatus.FILLED),
        }
        assert (await site.venue.balances())["USDC"] != 10_000


async def test_a_stop_ends_with_its_position():
    async with a_site() as site:
        await site.venue.submit(usdc("position", "1"))
        await site.venue.submit(usdc("stop", "-1", trigger="95", reduce_only=True))
        await site.venue.submit(usdc("exit", "-1", reduce_only=True))
        await site.venue.look()
        stop = await site.venue.order(an_id("stop"))
        assert (stop.status, stop.filled) == (OrderStatus.CANCELLED, 0)


# The dead man's switch


async def test_the_switch_can_be_put_off_and_taken_back():
    """ccxt takes it back with a time that has come, which would cancel everything."""
    async with a_site() as site:
        await site.venue.submit(usdc("order", "1", limit="90"))
        await site.exchange.arm(timedelta(seconds=30))
        await site.exchange.arm(timedelta(seconds=60))
        await site.exchange.disarm()
        await site.server.pass_time(milliseconds(SystemClock().now() + timedelta(minutes=2)))
        assert len(await site.venue.open_orders()) == 1
        with pytest.raises(ValueError, match="5 s"):
            await site.exchange.arm(timedelta(seconds=4))
        first, second, back = actions_of(site.server)["scheduleCancel"]
    assert second["time"] - first["time"] >= 30_000
    assert back == {"type": "scheduleCancel"}


async def test_who_has_traded_little_has_no_switch():
    async with a_site() as site:
        site.server.may_switch = False
        with pytest.raises(SwitchRefused, match="Required: "):
            await site.exchange.arm(timedelta(seconds=30))


# The second opinion


async def test_a_snapshot_tells_what_was_missed_and_nothing_old():
    """Between the loss of a stream and the next, somebody trades."""
    async with a_site() as site:
        await site.venue.submit(usdc("old", "1"))
        site.server.account.fills[0]["time"] -= 7_200_000
        async with a_venue(site.server) as reborn:
            await reborn.venue.open()
            await site.venue.submit(usdc("missed", "1"))
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(reborn.venue.run())
                async with asyncio.timeout(60):
                    await reborn.venue.wait()
                task.cancel()
            told = reborn.venue.drain()
    assert [event.client_order_id for event in told] == [an_id("missed")]


async def test_a_snapshot_before_anything_is_known_tells_nothing():
    async with a_site() as site:
        await site.venue.submit(usdc("old", "1"))
        async with a_venue(site.server) as reborn:
            fills = site.server.account.fills
            message = {"channel": "userFills", "data": {"isSnapshot": True, "fills": fills}}
            assert await reborn.exchange._events(message) == []


async def test_a_refused_subscription_ends_the_stream():
    async with a_site() as site:
        for peer in site.server.peers:
            await peer.send({"channel": "error", "data": "Invalid subscription {}"})
        await until(lambda: site.venue.faults)
        assert "Invalid subscription" in str(site.venue.last_fault)


# Another life, and other people


async def test_fills_that_name_no_order_are_known_again_by_a_new_life():
    async with a_site() as site:
        site.server.account.fills_name_orders = False
        await site.venue.submit(usdc("first", "1"))
        await site.venue.submit(usdc("entry", "2", limit="99.5"))
        await site.server.trade("BTC", "99", "0.5")
        async with a_venue(site.server) as reborn:
            await reborn.venue.open()
            fills = await reborn.venue.fills()
            assert [f.client_order_id for f in fills] == [an_id("first"), an_id("entry")]
            await site.server.trade("BTC", "99", "100")
            await reborn.venue.look()
            told = [e for e in reborn.venue.drain() if isinstance(e, Fill)]
            assert [(e.client_order_id, e.quantity) for e in told] == [
                (an_id("entry"), Decimal("1.5"))
            ]
            assert await reborn.venue.fills(after=2) == told


async def test_an_opening_that_failed_half_way_begins_anew():
    """The fills were read, and the names of their orders could not be had."""
    async with a_site() as site:
        await site.venue.submit(usdc("old", "1"))
        async with a_venue(site.server) as reborn:
            site.server.next_info(*[Accident.NONE] * 3, Accident.REFUSE_503)
            with pytest.raises(VenueUnavailable, match="orderStatus"):
                await reborn.venue.open()
            await reborn.venue.open()
            await reborn.venue.look()
            assert not [e for e in reborn.venue.drain() if isinstance(e, Fill)]


async def test_foreign_orders_and_fills_have_no_name_of_ours():
    async with a_site() as site:
        answer = await site.server.place(FOREIGN)
        taken = await site.server.place(FOREIGN | {"p": "101", "t": {"limit": {"tif": "Ioc"}}})
        await site.venue.submit(usdc("order", "1"))
        (order,) = await site.venue.open_orders()
        assert order.client_order_id == str(answer["resting"]["oid"])
        theirs, ours = await site.venue.fills()
        assert theirs.client_order_id == str(taken["filled"]["oid"])
        assert ours.client_order_id == an_id("order")
        await until(lambda: len(told_orders(site.venue._telling._events)) >= 3)
        await site.venue.cancel(order.client_order_id)
        assert not await site.venue.open_orders()
        assert "cancel" in actions_of(site.server)


async def test_what_is_no_perpetual_is_left_out():
    async with a_site() as site:
        await site.venue.submit(usdc("order", "1"))
        spot = site.server.account.fills[0] | {"coin": "@107", "tid": 5}
        site.server.account.fills.insert(0, spot)
        site.server._tell("userFills", spot)
        await site.venue.look()
        assert [f.client_order_id for f in await site.venue.fills()] == [an_id("order")]
        assert await site.venue.fills(after=1) == []


async def test_fills_are_read_page_by_page(monkeypatch):
    """Also where the newest of a page and the oldest of the next are of one moment."""
    monkeypatch.setattr("execution.venues.hyperliquid_history._PAGE", 3)
    async with a_site(running=False) as site:
        names = [f"order {n}" for n in range(8)]
        for name in names:
            await site.venue.submit(usdc(name, "1"))
        site.server.page = 3
        times = [0, 0, 1, 1, 2, 3, 4, 4]
        start = milliseconds(SystemClock().now() - timedelta(minutes=10))
        for row, seconds in zip(site.server.account.fills, times, strict=True):
            row["time"] = start + seconds * 1_000
        fills = await site.venue.fills()
        assert [fill.client_order_id for fill in fills] == [an_id(name) for name in names]
        for after in (8, 5, 2, 7):
            assert await site.venue.fills(after=after) == fills[after:]


async def test_a_moment_that_fills_a_page_is_no_end(monkeypatch):
    monkeypatch.setattr("execution.venues.hyperliquid_history._PAGE", 2)
    async with a_site(running=False) as site:
        for n in range(3):
            await site.venue.submit(usdc(f"order {n}", "1"))
        site.server.page = 2
        for row in site.server.account.fills:
            row["time"] = site.server.account.now_ms
        with pytest.raises(VenueUnavailable, match="one moment"):
            await site.venue.fills()


async def test_more_fills_than_the_venue_tells_are_not_numbered(monkeypatch):
    monkeypatch.setattr("execution.venues.hyperliquid_history._KEPT", 3)
    async with a_site(running=False) as site:
        for n in range(2):
            await site.venue.submit(usdc(f"order {n}", "1"))
        assert len(await site.venue.fills()) == 2
        await site.venue.submit(usdc("order 2", "1"))
        with pytest.raises(VenueUnavailable, match="than are told"):
            await site.venue.fills()


# What the account is


async def test_grid_minimum_leverage_and_fees_come_from_the_venue():
    async with a_site() as site:
        grids = await site.exchange.instruments([BTC, Symbol("KPEPE/USDC")])
        fees = await site.exchange.taker_fees([BTC])
        with pytest.raises(NotTraded, match="DOGE/USDC: take it out"):
            await site.exchange.instruments([Symbol("DOGE/USDC")])
    assert (grids[BTC].tick, grids[BTC].lot) == (Decimal("0.1"), Decimal("0.00001"))
    assert (grids[BTC].min_notional, grids[BTC].max_leverage) == (10, 5)
    assert grids[Symbol("KPEPE/USDC")].tick == Decimal("0.000001")
    assert fees == {BTC: Decimal("0.00045")}


async def test_leverage_beyond_what_there_is_is_refused():
    async with a_site() as site:
        await site.exchange.set_leverage(BTC, 5)
        with pytest.raises(OrderRefused, match="Invalid leverage"):
            await site.exchange.set_leverage(BTC, 6)


@pytest.mark.parametrize(
    "accident",
    [Accident.REFUSE_503, Accident.BUSY, Accident.DROP_REQUEST, Accident.DROP_ANSWER,
     Accident.FAIL_AFTER, Accident.HANG],
)  # fmt: skip
async def test_a_setting_without_an_answer_may_be_repeated(accident):
    """It is no order: a start that meets silence asks again, and does not fail for good."""
    async with a_site() as site:
        site.server.next(accident)
        await site.exchange.instruments([BTC])  # what is asked once is asked with patience
        with in_haste(site), pytest.raises(VenueUnavailable, match="updateLeverage"):
            await site.exchange.set_leverage(BTC, 3)
        site.server.let_go()
        await site.exchange.set_leverage(BTC, 3)


# Keys


@pytest.mark.parametrize(
    ("role", "named"),
    [
        pytest.param({"role": "user"}, "no agent", id="a master's, which can withdraw"),
        pytest.param({"role": "missing"}, "no agent", id="nobody's"),
        pytest.param({"role": "vault"}, "no agent", id="a vault's"),
        pytest.param(
            {"role": "agent", "data": {"user": "0x" + "3" * 40}}, "another account", id="another's"
        ),
    ],
)
async def test_only_an_agent_of_the_account_may_sign(role, named):
    async with a_site(running=False) as site:
        site.server.roles[site.server.agent] = role
        with pytest.raises(KeyRefused, match=named):
            await site.exchange.require_safe_key()
        with pytest.raises(KeyRefused, match=named):
            await site.venue.submit(usdc("order", "1"))
        assert site.server.signers == []


async def test_the_accounts_own_key_is_refused_unasked():
    async with a_site(running=False) as site, a_venue(site.server, agent_key=MASTER_KEY) as bold:
        with pytest.raises(KeyRefused, match="can withdraw"):
            await bold.venue.submit(usdc("order", "1"))
        assert site.server.signers == []


@pytest.mark.parametrize("pooled", ["unifiedAccount", "portfolioMargin"])
async def test_an_account_with_pooled_balances_is_refused(pooled):
    async with a_site(running=False) as site:
        site.server.abstraction = pooled
        with pytest.raises(KeyRefused, match=pooled):
            await site.venue.submit(usdc("order", "1"))


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        pytest.param({}, "HYPERLIQUID_AGENT_KEY and HYPERLIQUID_ACCOUNT", id="neither"),
        pytest.param({"HYPERLIQUID_AGENT_KEY": "1" * 64}, "HYPERLIQUID_ACCOUNT", id="no account"),
        pytest.param(
            {"HYPERLIQUID_AGENT_KEY": "not-a-key", "HYPERLIQUID_ACCOUNT": "0x" + "1" * 40},
            "32 bytes",
            id="no key",
        ),
        pytest.param(
            {"HYPERLIQUID_AGENT_KEY": "1" * 64, "HYPERLIQUID_ACCOUNT": "0x123"},
            "20 bytes",
            id="no address",
        ),
    ],
)
def test_keys_come_from_the_environment_alone(environment, named):
    with pytest.raises(KeyRefused, match=named) as refusal:
        Keys.of_environment(environment)
    said = "".join(traceback.format_exception(refusal.value))
    assert "not-a-key" not in said
    assert "1" * 64 not in said


# Limits and nonces


async def test_what_is_sent_in_one_instant_has_nonces_of_its_own():
    """The venue refuses one that is used."""
    standing = ManualClock(SystemClock().now())
    async with a_site(clock=standing, running=False) as site:
        names = [f"order {n}" for n in range(5)]
        await asyncio.gather(*(site.venue.submit(usdc(name, "1", limit="90")) for name in names))
        await asyncio.gather(*(site.venue.cancel(an_id(name)) for name in names))
        nonces = [body["nonce"] for path, body in site.server.requests if path == "/exchange"]
        assert len(nonces) == len(set(nonces)) == 10
        assert not await site.venue.open_orders()


async def test_actions_are_counted_before_the_venue_has_to_say_no():
    async with a_site(limits=generous_limits(reserve=5)) as site:
        site.server.most_actions = 10
        placed = refused = 0
        for n in range(10):
            try:
                await site.venue.submit(usdc(f"order {n}", "1", limit="90"))
                placed += 1
            except VenueUnavailable as error:
                refused += 1
                assert "none was sent" in str(error)
        assert (placed, refused) == (5, 5)
        await site.venue.cancel(an_id("order 0"))
        assert len(await site.venue.open_orders()) == 4


async def test_what_the_venue_refuses_for_haste_is_unavailable_and_asked_about():
    async with a_site() as site:
        await site.venue.submit(usdc("first", "1", limit="90"))
        site.server.most_actions = 1
        with pytest.raises(VenueUnavailable, match="Too many cumulative requests"):
            await site.venue.submit(usdc("second", "1", limit="90"))
        with pytest.raises(VenueUnavailable, match="none was sent"):
            await site.venue.submit(usdc("second", "1", limit="90"))
        assert site.server.placed == cloids("first")


async def test_questions_cost_what_the_venue_says():
    """No more is spent than it counts, and no less."""
    limits = generous_limits()
    async with a_site(limits=limits) as site:
        ip = limits._ip
        before, counted = ip.spent, site.server.info_weight
        await site.venue.balances()
        await site.venue.order(an_id("none"))
        await site.venue.open_orders()
        assert ip.spent - before == site.server.info_weight - counted == 24


async def test_funding_is_told_page_by_page():
    """Five hundred rows to an answer, the first of the next within the last one's moment."""
    async with a_site(running=False) as site:
        account = site.server.account
        now = account.now_ms
        for n in range(1_200):
            account.fund("ETH" if n % 2 else "BTC", Decimal(n + 1))
            account.funding[-1]["time"] = now + n // 2
        charges = await site.venue.charges()
    assert [charge.amount for charge in charges] == list(range(1, 1_201))
    assert len({charge.charge_id for charge in charges}) == 1_200
