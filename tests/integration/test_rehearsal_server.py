"""The rehearsal exchange as a service in somebody else's loop: its time, its market, its end."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.faults import Malformed
from data.instrument import Side, Symbol
from execution.venue import VenueUnavailable
from sextant.rehearsal.market import MarketTrade
from sextant.rehearsal.scenes import synthetic
from sextant.rehearsal.server import PortTaken, RehearsalServer, Terms
from tests.builders_rehearsal import BALANCES, NOON, PRICES, a_client, rehearsal_exchange, until

BTC = "BTC/USDT"
MINUTE = timedelta(minutes=1)


def a_trade(seconds, price):
    return Symbol(BTC), MarketTrade(
        at=NOON + timedelta(seconds=seconds),
        price=Decimal(price),
        quantity=Decimal(1),
        side=Side.BUY,
    )


def a_made_up_server(clock, seed):
    scene = synthetic(seed=seed, symbols=[BTC, "XRP/USDT"], start=NOON)
    terms = Terms(balances=BALANCES, listings=scene.listings, seed=seed)
    return RehearsalServer(
        terms, prices=scene.prices, clock=clock, tape=scene.tape, past=scene.past
    )


async def candles(client):
    answer = await client.public_get_ohlc({"pair": "XBTUSDT"})
    return answer["result"]["XBTUSDT"]


async def bars_after(seed, steps):
    """What the exchange tells of a market whose clock was moved in `steps`."""
    clock = ManualClock(NOON)
    server = a_made_up_server(clock, seed)
    async with server.serving() as control, a_client(control) as client:
        for step in steps:
            clock.move_to(clock.now() + step)
            told = await candles(client)
        book = await client.fetch_order_book(BTC)
        return told, book["bids"], book["asks"]


async def test_the_market_is_the_seeds_whether_the_machine_is_late_or_not():
    smooth = await bars_after(7, [timedelta(seconds=10)] * 60)
    assert await bars_after(7, [timedelta(minutes=10)]) == smooth
    assert await bars_after(8, [timedelta(minutes=10)]) != smooth


async def test_what_is_asked_is_answered_as_of_now():
    """Whatever the market's own task has come to."""
    clock = ManualClock(NOON)
    tape = [a_trade(10, "40100"), a_trade(61, "39900"), a_trade(200, "41000")]
    async with rehearsal_exchange(clock, tape=tape) as venue, a_client(venue) as client:
        resting = await client.create_order(BTC, "limit", "buy", 0.1, 39_950)
        clock.move_to(NOON + 2 * MINUTE)
        order = await client.fetch_order(resting["id"])
        first, second, _ = await candles(client)
    assert (order["status"], Decimal(order["info"]["vol_exec"])) == ("closed", Decimal("0.1"))
    assert (first[4], second[4]) == ("40100.0", "39900.0")


async def test_two_of_them_run_beside_each_other_in_one_loop():
    clock = ManualClock(NOON)
    async with (
        rehearsal_exchange(clock) as one,
        rehearsal_exchange(clock) as other,
        a_client(one) as client,
    ):
        await client.create_order(BTC, "limit", "buy", 0.1, 39_000)
        assert one.urls != other.urls
        assert len(one.control.exchange.open_orders()) == 1
        assert not other.control.exchange.open_orders()


async def test_it_is_a_task_among_others_and_ends_when_it_is_told_to():
    clock, stop, served = ManualClock(NOON), asyncio.Event(), []

    async def serve():
        async with a_made_up_server(clock, 7).serving() as control:
            served.append(control)
            await stop.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve())
        await until(lambda: served)
        async with a_client(served[0]) as client:
            assert await candles(client)
        stop.set()


async def test_what_its_host_raises_is_raised_as_it_is():
    with pytest.raises(VenueUnavailable, match="the host's own"):
        async with a_made_up_server(ManualClock(NOON), 7).serving():
            raise VenueUnavailable("the host's own")


async def test_a_market_that_breaks_off_ends_it():
    def broken():
        yield a_trade(1, "40100")
        raise Malformed("no trade")

    clock, terms = ManualClock(NOON), Terms(balances=BALANCES)
    server = RehearsalServer(terms, prices=PRICES, clock=clock, tape=broken())
    with pytest.raises(ExceptionGroup) as group:
        async with server.serving():
            clock.move_to(NOON + MINUTE)
            await asyncio.Event().wait()
    assert group.group_contains(Malformed, match="no trade")


async def test_a_port_that_is_taken_is_said_to_be():
    clock = ManualClock(NOON)
    first = a_made_up_server(clock, 7)
    async with first.serving():
        terms = Terms(balances=BALANCES, port=first.port)
        second = RehearsalServer(terms, prices=PRICES, clock=clock, tape=iter(()))
        with pytest.raises(PortTaken, match=str(first.port)):
            async with second.serving():
                pass
