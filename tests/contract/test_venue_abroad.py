"""One suite more for the adapters of real exchanges: what differs from a venue of our own.

They are reached over a line that fails, lies and forgets, and what rests there outlives us. What
only one of them does is in the integration tests of its own.
"""

import asyncio
import logging
import traceback
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Side, Symbol
from execution.fill import Fill, Liquidity
from execution.order import OrderStatus
from execution.venue import (
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
    Withheld,
)
from execution.venues.answers import was_never_sent
from sextant.rehearsal.faults import Accident, Faults
from tests.builders_arenas import EXCHANGES, a_stop
from tests.builders_exchange_venue import A_MINUTE, AheadClock, in_haste
from tests.builders_rehearsal import until
from tests.builders_venue import an_id, approved

A_QUARTER = timedelta(minutes=15)


@pytest.fixture(params=EXCHANGES)
async def abroad(request):
    async with EXCHANGES[request.param]() as arena:
        yield arena


@pytest.fixture(params=EXCHANGES)
async def unheard(request):
    """The same, where nobody listens to what the exchange tells."""
    async with EXCHANGES[request.param](running=False) as arena:
        yield arena


@pytest.fixture
def venue(abroad):
    return abroad.venue


def fills_in(events):
    return [event for event in events if isinstance(event, Fill)]


def told_orders(events):
    return [event.order for event in events if isinstance(event, OrderChanged)]


# Three answers


@pytest.mark.req("S1-132", "S1-133")
@pytest.mark.parametrize(
    ("kind", "order"),
    [
        pytest.param("order", approved("order", "1", limit="90"), id="plain"),
        pytest.param("stop", approved("order", "1", trigger="120"), id="conditional"),
    ],
)
@pytest.mark.parametrize(
    ("accident", "fault", "arrives"),
    [
        pytest.param(Accident.REFUSE_429, VenueUnavailable, False, id="429"),
        pytest.param(Accident.REFUSE_503, OutcomeUnknown, False, id="503"),
        pytest.param(Accident.BUSY, None, False, id="busy"),
        pytest.param(Accident.DROP_REQUEST, OutcomeUnknown, False, id="lost on its way"),
        pytest.param(Accident.DROP_ANSWER, OutcomeUnknown, True, id="answer lost"),
        pytest.param(Accident.FAIL_AFTER, OutcomeUnknown, True, id="502 after all"),
    ],
)
async def test_silence_is_never_a_refusal(abroad, venue, accident, fault, arrives, kind, order):
    abroad.befall(kind, accident)
    with pytest.raises(fault or abroad.busy, match=an_id("order")):
        await venue.submit(order)
    await _require_sent_once(abroad, order, arrives=arrives)


async def test_no_answer_in_time_is_no_refusal(abroad, venue):
    order = approved("order", "1", limit="90")
    await venue.submit(approved("first", "1"))  # what is asked once is asked with patience
    abroad.befall("order", Accident.HANG)
    with in_haste(abroad.site), pytest.raises(OutcomeUnknown, match=an_id("order")):
        await venue.submit(order)
    abroad.let_go()
    await _require_sent_once(abroad, order, arrives=True, before=[an_id("first")])


async def _require_sent_once(abroad, order, *, arrives, before=()):
    found = await abroad.venue.order(an_id("order"))
    assert (found is not None) == arrives
    if arrives:
        await abroad.venue.submit(order)
    assert abroad.placed() == [*before, *[an_id("order")] * arrives]


async def test_nothing_is_sent_twice_behind_our_back(abroad, venue):
    """ccxt can be set to repeat requests that failed."""
    abroad.befall("order", Accident.FAIL_AFTER, Accident.FAIL_AFTER)
    with pytest.raises(OutcomeUnknown):
        await venue.submit(approved("order", "1"))
    assert abroad.mischief.strike(abroad.requests["order"]) is Accident.FAIL_AFTER
    assert abroad.placed() == [an_id("order")]


async def test_what_may_still_arrive_is_not_sent_again(abroad, venue):
    """Until it would come too late, and some."""
    abroad.befall("order", Accident.DROP_REQUEST)
    with pytest.raises(OutcomeUnknown):
        await venue.submit(approved("order", "1"))
    with pytest.raises(VenueUnavailable, match="may still arrive"):
        await venue.submit(approved("order", "1"))
    assert abroad.placed() == []
    await abroad.later(2 * A_MINUTE)
    await venue.submit(approved("order", "1"))
    assert abroad.placed() == [an_id("order")]


async def test_an_order_that_comes_too_late_is_turned_away(abroad):
    """Our clock is behind: the exchange takes nothing, and says so."""
    async with abroad.another(clock=AheadClock(-2 * A_MINUTE)) as late:
        with pytest.raises(VenueUnavailable, match=abroad.says_too_late):
            await late.submit(approved("order", "1"))
    assert abroad.placed() == []


async def test_a_submission_that_is_cancelled_counts_as_sent(abroad, venue):
    abroad.befall("order", Accident.HANG)
    submission = asyncio.ensure_future(  # noqa: TID251 - what a shutdown cancels
        venue.submit(approved("order", "1", limit="90"))
    )
    await until(abroad.placed)
    submission.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submission
    abroad.let_go()
    await venue.submit(approved("order", "1", limit="90"))
    assert abroad.placed() == [an_id("order")]


async def test_where_nobody_listens_nothing_was_sent(abroad, venue):
    await venue.submit(approved("first", "1"))
    async with abroad.down():
        await _connections_dropped(venue)
        with pytest.raises(VenueUnavailable):
            await venue.submit(approved("order", "1", limit="90"))
    await venue.submit(approved("order", "1", limit="90"))
    assert abroad.placed() == [an_id("first"), an_id("order")]


async def _connections_dropped(venue):
    """Return once no connection of old is left, so that a new one has to be made."""
    async with asyncio.timeout(60):
        while True:
            try:
                await venue.balances()
            except VenueUnavailable as fault:
                if was_never_sent(fault):
                    return


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(approved("order", "1", limit="90"), id="plain"),
        pytest.param(approved("order", "1", trigger="120"), id="conditional"),
    ],
)
async def test_what_another_life_has_sent_is_not_sent_again(abroad, venue, order):
    await venue.submit(order)
    async with abroad.another() as reborn:
        await reborn.submit(order)
    assert abroad.placed() == [an_id("order")]


@pytest.mark.req("S1-138")
async def test_what_is_not_listed_is_refused(abroad, venue):
    inner = getattr(venue, "_venue", venue)
    with pytest.raises(OrderRefused, match="DOGE/USDT"):
        await inner.submit(approved("order", "1", symbol=Symbol("DOGE/USDT")))
    assert abroad.placed() == []


# The second opinion


async def test_a_deaf_stream_is_made_up_for(abroad, venue):
    venue.drain()
    abroad.misbehave(Faults(dropped=1.0))
    await venue.submit(approved("order", "1"))
    await venue.submit(approved("resting", "1", limit="90"))
    await venue.look()
    events = venue.drain()
    assert len(fills_in(events)) == 1
    statuses = {order.client_order_id: order.status for order in told_orders(events)}
    assert statuses == {an_id("order"): OrderStatus.FILLED, an_id("resting"): OrderStatus.OPEN}


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(duplicated=0.5, seed=1), id="doubled"),
        pytest.param(Faults(reordered=0.4, seed=2), id="reordered"),
        pytest.param(Faults(dropped=0.4, seed=3), id="dropped"),
        pytest.param(Faults(sockets_closed=0.3, seed=4), id="cut off"),
    ],
)
async def test_everything_is_told_once_over_a_bad_stream(abroad, venue, faults):
    abroad.misbehave(faults)
    events, names = list(venue.drain()), {an_id(f"order {n}") for n in range(6)}
    for n in range(6):
        await venue.submit(approved(f"order {n}", "1", limit="99.5"))
        abroad.trade("99", "0.4")
        abroad.trade("100", "1")
        events += venue.drain()
    abroad.trade("98", "100")
    abroad.misbehave(Faults())
    await venue.look()
    events += venue.drain()
    fills = await venue.fills()
    assert sum(fill.quantity for fill in fills) == 6
    assert {fill.liquidity for fill in fills} == {Liquidity.MAKER}
    assert sorted(f.fill_id for f in fills_in(events)) == sorted(fill.fill_id for fill in fills)
    last = {order.client_order_id: order for order in told_orders(events)}
    assert {order.status for order in last.values()} == {OrderStatus.FILLED}
    assert all(order.filled == order.quantity for order in last.values())
    assert last.keys() == names


async def test_a_lost_stream_is_opened_again(abroad, venue):
    abroad.close_sockets()
    await until(lambda: venue.faults and abroad.is_heard)
    venue.drain()
    await venue.submit(approved("order", "1", limit="90"))
    async with asyncio.timeout(60):
        await venue.wait()


# Another life, and other people


async def test_a_new_life_knows_our_orders_stops_and_fills_again(abroad, venue):
    await venue.submit(approved("first", "1"))
    await venue.submit(approved("entry", "2", limit="99.5"))
    for name, trigger in (("stop", "95"), ("deep", "80")):
        await venue.submit(a_stop(name, trigger))
    abroad.trade("99", "0.5")
    async with abroad.another() as reborn:
        await reborn.open()
        assert not reborn.drain()
        names = {order.client_order_id for order in await reborn.open_orders()}
        assert names == {an_id("entry"), an_id("stop"), an_id("deep")}
        fills = await reborn.fills()
        assert [f.client_order_id for f in fills] == [an_id("first"), an_id("entry")]
        assert (await reborn.order(an_id("first"))).status is OrderStatus.FILLED
        abroad.trade("99", "100")
        abroad.trade("94", "100")
        await reborn.look()
        told = fills_in(reborn.drain())
        assert [(event.client_order_id, event.quantity) for event in told] == [
            (an_id("entry"), Decimal("1.5")),
            (an_id("stop"), Decimal(1)),
        ]
        assert await reborn.fills(after=2) == told
        for name in ("stop", "deep"):
            await reborn.cancel(an_id(name))
        assert not await reborn.open_orders()


async def test_whose_a_new_fill_is_nobody_guesses(unheard):
    """It is told before its order is: whoever takes it for a foreign one never books it."""
    if not unheard.hides_orders:
        pytest.skip("its fills and orders are told together")
    async with unheard.another() as ours:
        await ours.submit(approved("order", "1"))
        unheard.hide_orders()
        with pytest.raises(VenueUnavailable, match="not told yet"):
            await unheard.venue.fills()
        (fill,) = await unheard.venue.fills()
        assert fill.client_order_id == an_id("order")


@pytest.mark.parametrize("quantity", ["2", "-2"])
async def test_balances_are_the_ledgers(abroad, venue, quantity):
    await venue.submit(approved("order", quantity))
    (fill,) = await venue.fills()
    abroad.trade("112.3", "1")
    balances = await venue.balances()
    signed = Decimal(quantity)
    assert balances["BTC"] == signed
    assert balances["USDT"] == 10_000 - signed * fill.price - fill.fee
    assert (fill.side, fill.fee_asset) == (Side.of(signed), "USDT")


@pytest.mark.req("S1-149")
async def test_nothing_secret_is_ever_said(abroad, venue, caplog):
    """In no log at any level, no error with all its causes, no repr."""
    caplog.set_level(logging.DEBUG)
    said, faults = [], Counter()
    for accident in Accident:
        for what, work in (
            ("order", lambda: venue.submit(approved(f"order {accident}", "1", limit="90"))),  # noqa: B023 - called at once
            ("balances", venue.balances),
        ):
            abroad.befall(what, accident)
            with in_haste(abroad.site):
                try:
                    await work()
                except (VenueUnavailable, OutcomeUnknown) as error:
                    faults[what] += 1
                    said += traceback.format_exception(error)
            abroad.let_go()
    abroad.close_sockets()
    await until(lambda: venue.last_fault)
    said += traceback.format_exception(venue.last_fault)
    said += [repr(each) for each in abroad.speakers]
    said += [record.getMessage() for record in caplog.records]
    text = "".join(said)
    assert min(faults["order"], faults["balances"]) > 4
    assert an_id(f"order {Accident.HANG}") in text
    assert len(abroad.secrets) > 2
    assert not [secret for secret in abroad.secrets if secret in text]
    assert "API-Sign" not in text


# What rests there would outlive us: what takes it back, and what else they tell


async def test_an_entry_ends_there_in_time_and_a_stop_does_not(abroad):
    venue = abroad.venue
    if not venue.expires(A_QUARTER):
        pytest.skip("this venue ends no order by itself")
    await venue.submit(approved("position", "1"))
    await abroad.move("100 100 100 100")
    await venue.submit(a_stop("stop", "80"))
    await expiring(venue, approved("entry", "1", limit="90"))
    await abroad.later(A_QUARTER)
    assert (await venue.order(an_id("entry"))).status is OrderStatus.EXPIRED
    assert (await venue.order(an_id("stop"))).status is OrderStatus.OPEN


@pytest.mark.parametrize("name", ["kraken", "binance"])
async def test_an_entry_ends_there_when_the_operator_wishes(name):
    """Though nobody is there to cancel it; what guards the position stays."""
    async with EXCHANGES[name](entries_rest=A_QUARTER, running=False) as arena:
        venue = arena.venue
        await venue.submit(approved("position", "1"))
        await venue.submit(a_stop("stop", "80"))
        await venue.submit(approved("target", "-1", limit="130", reduce_only=True))
        await venue.submit(approved("entry", "1", limit="90"))
        await arena.later(A_QUARTER + A_MINUTE)
        assert (await venue.order(an_id("entry"))).status is OrderStatus.EXPIRED
        names = {order.client_order_id for order in await venue.open_orders()}
        assert names == {an_id("stop"), an_id("target")}


async def test_an_entry_that_cannot_end_there_is_not_sent(abroad):
    if abroad.venue.expires(A_QUARTER):
        pytest.skip("this venue ends orders by itself")
    with pytest.raises(Withheld, match="no order expires"):
        await expiring(abroad.venue, approved("entry", "1", limit="90"))
    assert not await abroad.venue.open_orders()


async def expiring(venue, order):
    """Submit it so that it ends after a quarter of an hour; what comes later need not."""
    inner = getattr(venue, "_venue", venue)
    inner.entries_expire = A_QUARTER
    try:
        await venue.submit(order)
    finally:
        inner.entries_expire = None


async def test_the_switch_takes_back_what_rests(abroad):
    venue = abroad.venue
    await venue.submit(approved("entry", "1", limit="90"))
    for _ in range(2):
        await venue.arm(timedelta(seconds=30))
    await abroad.later(timedelta(seconds=40))
    assert (await venue.order(an_id("entry"))).status is OrderStatus.CANCELLED
    assert not await venue.open_orders()


async def test_the_switch_takes_stops_and_what_others_have_placed_too(unheard):
    """Which is why it is only for accounts that have neither."""
    venue = unheard.venue
    await unheard.place_foreign()
    await venue.submit(approved("position", "1"))
    await venue.submit(a_stop("stop", "80"))
    assert len(await venue.open_orders()) == 2
    await venue.arm(timedelta(seconds=30))
    await unheard.later(timedelta(seconds=31))
    assert not await venue.open_orders()
    assert (await venue.order(an_id("stop"))).status is OrderStatus.CANCELLED


async def test_a_switch_that_is_disarmed_takes_nothing(abroad):
    venue = abroad.venue
    await venue.disarm()
    await venue.submit(approved("entry", "1", limit="90"))
    await venue.arm(timedelta(seconds=30))
    await venue.disarm()
    await abroad.later(timedelta(seconds=40))
    assert (await venue.order(an_id("entry"))).status is OrderStatus.OPEN


async def test_money_that_comes_from_elsewhere_is_told(abroad):
    venue = abroad.venue
    before = (await venue.balances())["USDT"]
    await abroad.deposit(Decimal(250))
    async with asyncio.timeout(60):
        await venue.moved.wait()
    assert (await venue.balances())["USDT"] - before == 250


async def test_money_that_trading_moves_is_no_news(abroad):
    venue = abroad.venue
    await venue.submit(approved("order", "1"))
    await abroad.move("100 100 100 100")
    async with asyncio.timeout(60):
        while not any(isinstance(event, OrderChanged) for event in venue.drain()):
            await venue.wait()
    assert not venue.moved.is_set()


async def test_an_order_off_its_grid_asks_for_the_grid_anew(abroad):
    assert not abroad.venue.off_grid.is_set()
    with pytest.raises(OrderRefused):
        await abroad.venue.submit(approved("small", "0.00005"))
    assert abroad.venue.off_grid.is_set()
