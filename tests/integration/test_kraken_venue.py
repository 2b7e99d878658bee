"""Kraken's adapter on the wire: what is its own (LIBRARIES 6), beside the contract of venues."""

import traceback
from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock, SystemClock
from data.instrument import Side
from execution.fill import Fill
from execution.order import OrderStatus
from execution.venue import (
    OrderChanged,
    OrderRefused,
    VenueUnavailable,
    stop_id,
)
from execution.venues.answers import KeyRefused
from execution.venues.kraken_limits import KrakenLimits, Tier
from execution.venues.kraken_line import Keys
from execution.venues.kraken_wire import Terms
from sextant.rehearsal.faults import Faults
from sextant.rehearsal.rates import Tier as ExchangeTier
from sextant.rehearsal.rest import Rest
from sextant.rehearsal.sockets import Sockets
from tests.builders_kraken_venue import a_site, another
from tests.builders_rehearsal import a_client, until
from tests.builders_venue import BTC, NOON, XRP, an_id, an_order, approved
from tests.fakes_kraken import PushingClock, QuickClock


@pytest.fixture
def requests(monkeypatch):
    """Every private request that has come, as (method, form without its nonce)."""
    came = []
    answer = Rest._answer_private

    async def recorded(self, request, method, lateness):
        form = dict(await request.post())
        form.pop("nonce", None)
        came.append((method, form))
        return await answer(self, request, method, lateness)

    monkeypatch.setattr(Rest, "_answer_private", recorded)
    return came


@pytest.fixture
def commands(monkeypatch):
    """Everything that has come over sockets."""
    came = []
    obey = Sockets._obey

    def recorded(self, peer, text):
        came.append(text)
        obey(self, peer, text)

    monkeypatch.setattr(Sockets, "_obey", recorded)
    return came


def placed(site):
    """The orders that the exchange has taken, by their client order ids."""
    return [order.ticket.cl_ord_id for order in site.control.exchange.orders.values()]


def told_orders(events):
    return [event.order for event in events if isinstance(event, OrderChanged)]


# Traps 2 and 3: orders over REST alone, trials that are trials, amendments that keep the id


@pytest.mark.req("S0-33")
async def test_orders_go_over_rest_and_the_socket_only_listens(requests, commands):
    async with a_site() as site:
        await site.venue.submit(approved("order", "1", limit="90", stop="80"))
        await site.venue.cancel(an_id("order"))
    assert {"AddOrder", "CancelOrder"} <= {method for method, _ in requests}
    assert commands
    assert all('"subscribe"' in text or '"unsubscribe"' in text for text in commands)


async def test_the_form_on_the_wire_is_exact(requests):
    terms = Terms(leverage={BTC: 3}, deadline=None, entries_rest=None)
    async with a_site(terms=terms) as site:
        await site.venue.submit(approved("order", "0.3", limit="90.1", stop="80"))
    assert [form for method, form in requests if method == "AddOrder"] == [
        {
            "pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "volume": "0.3",
            "cl_ord_id": an_id("order"), "oflags": "fciq", "price": "90.1", "leverage": "3",
            "close[ordertype]": "stop-loss", "close[price]": "80",
        }
    ]  # fmt: skip


async def test_a_trial_says_true_in_text_and_places_nothing(requests):
    async with a_site() as site:
        await site.exchange.check(an_order("order", "1", limit="90"))
        with pytest.raises(OrderRefused):
            await site.exchange.check(an_order("small", "0.00005"))
        assert placed(site) == []
    trials = [form["validate"] for method, form in requests if method == "AddOrder"]
    assert trials == ["true", "true"]


async def test_an_amended_order_keeps_its_id():
    async with a_site() as site:
        await site.venue.submit(approved("stop", "-1", trigger="80"))
        ((txid, _),) = site.control.exchange.orders.items()
        await site.exchange.amend(an_id("stop"), trigger=Decimal(85))
        order = await site.venue.order(an_id("stop"))
        assert (order.trigger, order.status) == (85, OrderStatus.OPEN)
        assert list(site.control.exchange.orders) == [txid]
        await site.venue.cancel(an_id("stop"))
        assert (await site.venue.order(an_id("stop"))).status is OrderStatus.CANCELLED


async def test_amending_what_is_not_there_is_refused():
    async with a_site() as site:
        with pytest.raises(OrderRefused, match=an_id("none")):
            await site.exchange.amend(an_id("none"), trigger=Decimal(85))


# Three answers


async def test_a_warning_is_no_refusal(monkeypatch):
    body = Rest._body

    async def warned(self, answer, request, lateness):
        said = await body(self, answer, request, lateness)
        return said | {"error": ["WGeneral:Danger ahead", *said["error"]]}

    monkeypatch.setattr(Rest, "_body", warned)
    async with a_site() as site:
        await site.venue.submit(approved("order", "1", limit="90"))
        assert placed(site) == [an_id("order")]


# What expires, and the dead man's switch


async def test_the_switch_can_be_put_off_and_taken_back(requests):
    async with a_site() as site:
        await site.venue.submit(approved("order", "1", limit="90"))
        await site.exchange.arm(timedelta(seconds=30))
        await site.exchange.arm(timedelta(seconds=60))
        await site.exchange.disarm()
        site.control.exchange.pass_time(SystemClock().now() + timedelta(minutes=2))
        assert len(await site.venue.open_orders()) == 1
        for wrong in (timedelta(milliseconds=900), timedelta(days=2)):
            with pytest.raises(ValueError, match="1 day"):
                await site.exchange.arm(wrong)
    told = [form for method, form in requests if method == "CancelAllOrdersAfter"]
    assert told == [{"timeout": "30"}, {"timeout": "60"}, {"timeout": "0"}]


# Stops attached to entries


async def test_an_entry_that_fills_in_parts_has_one_stop_of_its_size():
    """At Kraken there is one for each fill."""
    async with a_site() as site:
        await site.venue.submit(approved("entry", "2", limit="99.5", stop="95"))
        for _ in range(2):
            site.control.trade("BTC/USDT", "99", "0.5")
        stop = await site.venue.order(stop_id(an_id("entry")))
        assert (stop.quantity, stop.parent, stop.status) == (1, an_id("entry"), OrderStatus.OPEN)
        assert len(site.control.exchange.open_orders()) == 3
        names = {order.client_order_id for order in await site.venue.open_orders()}
        assert names == {an_id("entry"), stop_id(an_id("entry"))}
        await site.venue.cancel(stop_id(an_id("entry")))
        assert [o.client_order_id for o in await site.venue.open_orders()] == [an_id("entry")]


async def test_a_stop_that_fires_is_told_as_the_entrys():
    async with a_site() as site:
        await site.venue.submit(approved("entry", "1", stop="95"))
        site.control.trade("BTC/USDT", "94")
        await site.venue.look()
        stop = stop_id(an_id("entry"))
        fills = [e for e in site.venue.drain() if isinstance(e, Fill)]
        assert [fill.client_order_id for fill in fills] == [an_id("entry"), stop]
        assert (await site.venue.order(stop)).status is OrderStatus.FILLED
        assert (await site.venue.balances()).get("BTC", 0) == 0


@pytest.mark.parametrize(
    ("price", "status"),
    [
        pytest.param("96", OrderStatus.OPEN, id="waits"),
        pytest.param("94", OrderStatus.FILLED, id="has fired"),
    ],
)
async def test_a_stop_is_found_by_a_life_that_has_placed_nothing(price, status):
    """Also when it is over, its entry too, and much has been traded since."""
    async with a_site(running=False) as site, a_client(site.rehearsal) as other:
        await site.venue.submit(approved("entry", "1", stop="95"))
        site.control.trade("BTC/USDT", price)
        for _ in range(60):
            await other.create_order("XRP/USDT", "market", "buy", 10)
        async with another(site) as reborn:
            stop = await reborn.venue.order(stop_id(an_id("entry")))
            assert await reborn.venue.order(an_id("never placed")) is None
        assert (stop.status, stop.quantity, stop.parent) == (status, 1, an_id("entry"))


async def test_a_life_that_has_placed_nothing_can_cancel_a_stop():
    async with a_site(running=False) as site:
        await site.venue.submit(approved("entry", "1", stop="95"))
        async with another(site) as reborn:
            await reborn.venue.cancel(stop_id(an_id("entry")))
        assert not site.control.exchange.open_orders()


async def test_a_stop_that_ended_unseen_is_found():
    """It came and went while the stream was deaf: only the history knows it."""
    async with a_site(faults=Faults(dropped=1.0)) as site:
        await site.venue.submit(approved("entry", "1", limit="99.5", stop="95"))
        site.control.trade("BTC/USDT", "99")
        (child,) = site.control.exchange.open_orders()
        site.control.exchange.cancel(child.txid)
        stop = await site.venue.order(stop_id(an_id("entry")))
        assert (stop.status, stop.filled) == (OrderStatus.CANCELLED, 0)


async def test_what_fell_away_of_a_stop_guards_nothing():
    """One of its two orders was cancelled before the stream was opened again."""
    async with a_site() as site:
        stop = stop_id(an_id("entry"))
        await site.venue.submit(approved("entry", "2", limit="99.5", stop="95"))
        site.control.trade("BTC/USDT", "99", "0.5")
        _, child = site.control.exchange.open_orders()
        site.control.exchange.cancel(child.txid)
        site.control.close_sockets()
        await until(lambda: site.venue.faults and site.control.listeners)
        site.control.trade("BTC/USDT", "99", "0.7")
        events = []
        while not any(order.client_order_id == stop for order in told_orders(events)):
            await site.venue.wait()
            events += site.venue.drain()
        await site.venue.look()
        events += site.venue.drain()
        told = [order for order in told_orders(events) if order.client_order_id == stop]
        assert (told[-1].quantity, told[-1].filled) == (Decimal("0.7"), 0)


async def test_without_attached_stops_none_is_sent(requests):
    async with a_site(attach_stops=False) as site:
        assert not site.venue.attaches_stops
        await site.venue.submit(approved("entry", "1", stop="95"))
        assert not await site.venue.open_orders()
    assert not any("close[price]" in form for _, form in requests)


# The second opinion


async def test_a_token_that_has_expired_on_its_way_is_asked_for_anew():
    """Which once ended the daemon, as if the key were wrong."""
    async with a_site() as site:
        site.control.misbehave(Faults(tokens_expired=1.0))
        site.control.close_sockets()
        await until(lambda: "Invalid session" in str(site.venue.last_fault))
        site.control.misbehave(Faults())
        await until(lambda: site.control.listeners)


# Another life, and other people


async def test_a_new_life_knows_the_stop_that_an_entry_took_along():
    async with a_site() as site:
        await site.venue.submit(approved("entry", "2", limit="99.5", stop="95"))
        site.control.trade("BTC/USDT", "99", "0.5")
        async with another(site) as reborn:
            await reborn.venue.open()
            assert not reborn.venue.drain()
            names = {order.client_order_id for order in await reborn.venue.open_orders()}
            assert names == {an_id("entry"), stop_id(an_id("entry"))}


async def test_a_new_life_is_told_how_a_stop_stands_that_began_before_it():
    """Its order is one of several at Kraken; those that have filled are open no more."""
    async with a_site(running=False) as site:
        await site.venue.submit(approved("entry", "2", limit="99.5", stop="99"))
        for price in ("99.2", "98.9"):
            site.control.trade("BTC/USDT", price, "0.5")
        async with another(site) as reborn:
            await reborn.venue.open()
            site.control.trade("BTC/USDT", "98.9", "0.5")
            for _ in range(2):  # its fill is heard first, and then it is asked for
                await reborn.venue.look()
            orders = told_orders(reborn.venue.drain())
        stop = stop_id(an_id("entry"))
        told = [order for order in orders if order.client_order_id == stop]
        assert told[-1].filled == (await site.venue.order(stop)).filled > 0


async def test_foreign_orders_and_fills_have_no_name_of_ours():
    async with a_site() as site, a_client(site.rehearsal) as other:
        resting = await other.create_order("BTC/USDT", "limit", "buy", 1, 50)
        await other.create_order("XRP/USDT", "market", "buy", 100)
        await site.venue.submit(approved("order", "1"))
        (order,) = await site.venue.open_orders()
        assert (order.client_order_id, order.parent) == (resting["id"], None)
        theirs, ours = await site.venue.fills()
        assert (theirs.symbol, ours.symbol) == (XRP, BTC)
        assert ours.client_order_id == an_id("order")
        assert theirs.client_order_id.startswith("O")
        await site.venue.cancel(order.client_order_id)
        assert [o.client_order_id for o in await site.venue.open_orders()] == [resting["id"]]


async def test_what_kraken_has_liquidated_is_told_by_asking_alone():
    """No stream runs, and its order was never seen open: its row says so, and its trade's."""
    async with a_site(running=False) as site, a_client(site.rehearsal) as other:
        await site.venue.submit(approved("order", "250"))
        await other.create_order("XRP/USDT", "market", "buy", 100)
        site.control.trade("BTC/USDT", "60")
        fills = await site.venue.fills()
        ended = [fill for fill in fills if fill.forced]
        assert {fill.forced for fill in ended} == {"liquidated"}
        assert sum(fill.quantity for fill in ended) == 250
        assert {fill.symbol for fill in fills if not fill.forced} == {BTC, XRP}
        async with another(site) as reborn:
            assert [fill for fill in await reborn.venue.fills() if fill.forced] == ended
        assert (await site.venue.balances()).get("BTC", 0) == 0


async def test_fills_are_read_page_by_page():
    async with a_site() as site, a_client(site.rehearsal) as other:
        for _ in range(60):
            await other.create_order("XRP/USDT", "market", "buy", 10)
        await site.venue.submit(approved("order", "1"))
        fills = await site.venue.fills()
        count = len(site.control.exchange.trades)
        assert len(fills) == count >= 61
        assert fills == sorted(fills, key=lambda fill: fill.filled_at)
        assert await site.venue.fills(after=count - 1) == fills[-1:]
        assert await site.venue.fills(after=7) == fills[7:]


# What the account is


async def test_grid_minimum_leverage_and_fees_come_from_the_venue():
    async with a_site() as site:
        grids = await site.exchange.instruments([BTC, XRP])
        fees = await site.exchange.taker_fees([BTC, XRP])
    assert (grids[BTC].tick, grids[BTC].lot) == (Decimal("0.1"), Decimal("1e-8"))
    assert (grids[XRP].min_quantity, grids[XRP].max_leverage) == (2, 5)
    assert fees == {BTC: Decimal("0.0026"), XRP: Decimal("0.0026")}


async def test_what_was_bought_on_spot_is_in_the_balances():
    async with a_site(leverage=None) as site:
        await site.venue.submit(approved("order", "2"))
        (fill,) = await site.venue.fills()
        balances = await site.venue.balances()
    assert (balances["BTC"], fill.side) == (2, Side.BUY)
    assert balances["USDT"] == 10_000 - 2 * fill.price - fill.fee


async def test_a_closed_position_leaves_its_profit():
    async with a_site() as site:
        await site.venue.submit(approved("open", "2"))
        site.control.trade("BTC/USDT", "110")
        await site.venue.submit(approved("close", "-2", reduce_only=True))
        opened, closed = await site.venue.fills()
        balances = await site.venue.balances()
    profit = 2 * (closed.price - opened.price) - opened.fee - closed.fee
    assert (balances.get("BTC", 0), balances["USDT"]) == (0, 10_000 + profit)


# Keys


@pytest.mark.parametrize(
    ("permissions", "named"),
    [
        pytest.param(("query-funds", "modify-trades", "withdraw-funds"), "withdraw", id="can"),
        pytest.param((), "not told", id="does not say"),
    ],
)
async def test_a_key_that_can_withdraw_is_refused(permissions, named):
    async with a_site() as site:
        await site.exchange.require_safe_key()
        site.control.keyring.permissions = permissions
        with pytest.raises(KeyRefused, match=named):
            await site.exchange.require_safe_key()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        pytest.param({}, "KRAKEN_API_KEY and KRAKEN_API_SECRET", id="neither"),
        pytest.param({"KRAKEN_API_KEY": "k"}, "KRAKEN_API_SECRET", id="no secret"),
        pytest.param(
            {"KRAKEN_API_KEY": "k", "KRAKEN_API_SECRET": "not-base-64"}, "base64", id="no base64"
        ),
    ],
)
def test_keys_come_from_the_environment_alone(environment, named):
    with pytest.raises(KeyRefused, match=named) as refusal:
        Keys.of_environment(environment)
    assert "not-base-64" not in "".join(traceback.format_exception(refusal.value))


async def test_a_wrong_key_stops_us():
    wrong = Keys.of_environment({"KRAKEN_API_KEY": "wrong", "KRAKEN_API_SECRET": "c2VjcmV0"})
    async with a_site() as site, another(site, keys=wrong) as stranger:
        with pytest.raises(KeyRefused, match="Invalid key"):
            await stranger.venue.balances()
        with pytest.raises(OrderRefused, match="Invalid key"):
            await stranger.venue.submit(approved("order", "1"))


# Limits


async def test_budgets_are_spent_before_kraken_has_to_say_no():
    """Both count by the same clock."""
    clock = ManualClock(NOON)
    limits = KrakenLimits(PushingClock(clock), Tier.INTERMEDIATE, reserve=0.2)
    terms = Terms(leverage={}, deadline=None, entries_rest=None)
    async with a_site(
        clock=clock, limits=limits, terms=terms, tier=ExchangeTier(), running=False
    ) as site:
        for _ in range(25):
            await site.venue.balances()
        refused = 0
        for n in range(30):
            try:
                await site.venue.submit(approved(f"order {n}", "0.1", limit="90"))
                await site.venue.cancel(an_id(f"order {n}"))
            except VenueUnavailable as error:
                refused += 1
                assert "none was sent" in str(error)
        assert refused
        assert site.limits.traded(BTC) >= 90  # and room to take back what rests


async def test_what_kraken_refuses_for_haste_is_unavailable_and_rested():
    limits = KrakenLimits(QuickClock(NOON), Tier.PRO, reserve=0.0)
    strict = ExchangeTier(asked=1e6, traded=2.5, traded_decay=1e-9)
    async with a_site(limits=limits, tier=strict) as site:
        await site.venue.submit(approved("one", "1", limit="90"))
        await site.venue.submit(approved("two", "1", limit="90"))
        with pytest.raises(VenueUnavailable, match="Rate limit"):
            await site.venue.submit(approved("three", "1", limit="90"))
        with pytest.raises(VenueUnavailable, match="none was sent"):
            await site.venue.submit(approved("three", "1", limit="90"))
        assert len(placed(site)) == 2
