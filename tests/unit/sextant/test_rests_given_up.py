"""The rest of an entry is given up where its desk could not have decided; the audit agrees."""

import pytest

from execution.order import OrderStatus
from execution.passive import PassiveSettings
from execution.reconcile import reconcile
from risk.approval import Rejection
from risk.intent import Purpose
from sextant import wiring
from sextant.facts import RestingWithdrawn
from sextant.rests import RestGivenUp
from tests.builders_passive import RESTS, some_settings
from tests.builders_rests import AT, Acting, Once

ENTRIES = PassiveSettings(entries=True)


@pytest.fixture
def acting(tmp_path, monkeypatch):
    async def opened(*, passive=ENTRIES, leaves_at=None):
        monkeypatch.setattr(wiring, "strategy", lambda desk, seats: Once(desk, leaves_at=leaves_at))
        floor = Acting(some_settings(tmp_path, passive=passive))
        return await (await floor.warm_up()).until_it_rests()

    return opened


async def cancelled(floor):
    await floor.after(10)


async def nothing_happens(floor):
    await floor.after(1)


async def a_bar_comes(floor):
    await floor.bar("100 100 100 100")


async def a_hole(floor):
    floor.interrupt()
    await floor.after(1)


async def a_hole_and_a_bar(floor):
    floor.interrupt()
    await floor.bar("100 100 100 100")


async def a_jump(floor):
    await floor.bar("100 112 100 112")


async def we_sleep(floor):
    await floor.after(300)
    await reconcile(floor.engine)
    await floor.after(1)


@pytest.mark.req("S0-19")
@pytest.mark.parametrize(
    ("meanwhile", "orders", "reasons"),
    [
        pytest.param(nothing_happens, 2, [], id="all is well"),
        pytest.param(a_bar_comes, 2, [], id="all is well, at a bar"),
        pytest.param(a_hole, 1, ["its data: interrupted"], id="data is missing"),
        pytest.param(a_hole_and_a_bar, 1, ["its data: interrupted"], id="missing, at a bar"),
        pytest.param(a_jump, 1, ["its data: a flawed bar"], id="the very bar is flawed"),
        pytest.param(we_sleep, 1, ["the process stood still meanwhile"], id="we stood still"),
    ],
)
async def test_the_rest_goes_where_a_decision_would(acting, meanwhile, orders, reasons):
    floor = await acting()
    if meanwhile is not we_sleep:
        await cancelled(floor)
    await meanwhile(floor)
    await floor.after(1)
    assert len(await floor.sent()) == orders
    assert [fact.reason for fact in await floor.facts(RestGivenUp)] == reasons
    assert await floor.facts(Rejection) == []
    audit = await floor.audited()
    assert audit.mismatches == []
    assert audit.compared["given_up"] == len(reasons)
    assert audit.compared["order_intent"] >= orders


async def test_an_exit_goes_on_where_nobody_may_decide(acting):
    floor = await acting(passive=RESTS, leaves_at=AT + 2)
    await floor.bar("100 100 99.5 100")
    await floor.bar("100 100 100 100")
    assert floor.held == 1
    await cancelled(floor)
    await a_hole(floor)
    await floor.bar("100 100 100 100")
    assert [order.post_only for order in await floor.sent(Purpose.EXIT)] == [True, False]
    assert floor.held == 0
    assert (await floor.audited()).mismatches == []


async def leaving(acting):
    """A floor whose exit rests."""
    floor = await acting(passive=RESTS, leaves_at=AT + 2)
    await floor.bar("100 100 99.5 100")
    await floor.bar("100 100 100 100")
    (order,) = await floor.sent(Purpose.EXIT)
    assert order.post_only
    return floor


@pytest.mark.req("S0-19")
async def test_as_the_daemon_stops_an_exit_takes_what_it_has_not_got(acting):
    floor = await leaving(acting)
    floor.session.withdraw_resting()
    await floor.work()
    assert floor.session.book.passive.has_exits
    await floor.after(0.1)
    assert not floor.session.book.passive.has_exits
    first, rest = await floor.sent(Purpose.EXIT)
    assert (await floor.paper.order(first.client_order_id)).status is OrderStatus.CANCELLED
    assert (rest.completes, rest.limit, rest.quantity) == (first.client_order_id, None, 1)
    audit = await floor.audited()
    assert audit.mismatches == []
    assert audit.compared["cancel"] == 1


@pytest.mark.parametrize("is_over", [False, True], ids=["it rests", "it is over"])
async def test_as_the_daemon_stops_no_entry_takes(acting, is_over):
    floor = await acting()
    if is_over:
        await cancelled(floor)
    floor.session.withdraw_resting()
    await floor.work()
    for _ in range(3):
        await floor.after(20)
    assert len(await floor.sent()) == 1
    assert len(await floor.facts(RestingWithdrawn)) == 1
    reasons = [fact.reason for fact in await floor.facts(RestGivenUp)]
    assert reasons == (["the daemon stops"] if is_over else [])
    assert not floor.session.book.passive.has_exits
    assert (await floor.audited()).mismatches == []
