"""A position is looked after by the book itself, through the gate that every order takes."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from execution.dust import DustLeft
from execution.protection import ProtectionSettings
from execution.venue import OrderRefused
from risk.intent import Purpose
from sextant.alerts import Alert, AlertKind
from tests.builders_care import a_house, an_empty_house
from tests.builders_engine import an_engine, an_entry, an_exit, sealed
from tests.builders_venue import BTC

QUICK = ProtectionSettings(patience=timedelta(0), deadline=timedelta(minutes=10), take_profit=True)
REASONED = {"target": Decimal(120), "thesis": "it rises", "falsified_at": Decimal(95)}


def an_entry_with_a_thesis():
    return sealed(replace(an_entry("A", "1", stop="90").intent, **REASONED))


def reductions(house):
    return [order.purpose for order in house.asked_for("desk") if order.reduce_only]


def held(house):
    return house.book.account(house.clock.now()).held(BTC)


@pytest.mark.req("S0-26")
@pytest.mark.parametrize(
    ("prices", "purposes", "left"),
    [
        pytest.param("100 119 96 118", [], 1, id="neither won nor wrong at its close"),
        pytest.param("100 120 100 120", [Purpose.TAKE_PROFIT], 0, id="at its target"),
        pytest.param("100 100 95 95", [Purpose.FALSIFIED], 0, id="proven wrong"),
        pytest.param("100 100 89 89", [], 0, id="at its stop, which is the venue's to see to"),
    ],
)
async def test_a_position_ends_where_its_entry_said(prices, purposes, left):
    house = await a_house(an_entry_with_a_thesis(), protection=QUICK)
    await house.bar(prices, 1)
    await house.bar(" ".join(prices.split()[-1:] * 4), 2)
    assert (reductions(house), held(house)) == (purposes, left)


async def test_why_a_position_is_held_is_known_after_a_restart():
    house = await a_house(an_entry_with_a_thesis(), protection=QUICK)
    await house.journal.flush()
    engine = an_engine(house.venue, house.clock, house.journal)
    await engine.recover(house.journal.facts())
    plan = engine.plans[BTC]
    assert {name: getattr(plan, name) for name in REASONED} == REASONED


async def test_a_position_that_is_closed_for_want_of_its_stop_alerts_a_person():
    house = await a_house(an_entry("A", "1", stop="90"), protection=QUICK)
    (stop,) = [order for order in house.book.engine.orders if order.is_protective]
    await house.venue.cancel(stop.client_order_id)
    await house.bar("100 100 88 88", 1)
    await house.bar("88 88 88 88", 2)
    assert (reductions(house), held(house)) == ([Purpose.FLATTEN], 0)
    assert [(a.kind, a.subject) for a in house.told(Alert)] == [(AlertKind.NO_STOP, BTC)]


async def test_a_stop_trails_by_the_range_that_its_entry_was_decided_at():
    by_atr = QUICK.model_copy(update={"trail_atr": 1.5, "take_profit": False})
    entry = sealed(replace(an_entry("A", "1", stop="90").intent, atr=2.0))
    house = await a_house(entry, protection=by_atr)
    await house.bar("100 110 100 110", 1)
    await house.bar("110 110 108 108", 2)
    moved = [o for o in house.asked_for("desk") if o.purpose is Purpose.PROTECTION]
    assert [order.trigger for order in moved] == [Decimal(97), Decimal(107)]


AIMS = {"protection": QUICK, "targets_in": (BTC,)}


@pytest.mark.req("S2-46", "S3-36")
@pytest.mark.parametrize(
    ("prices", "left"),
    [
        pytest.param("100 119 96 118", 1, id="neither is reached"),
        pytest.param("118 121 118 119", 0, id="the target is reached, and not kept"),
        pytest.param("100 100 89 95", 0, id="the stop is"),
        pytest.param("100 121 89 100", 0, id="both are: the stop is taken to have come first"),
    ],
)
async def test_the_venue_holds_stop_and_target_and_one_ends_the_other(prices, left):
    house = await a_house(an_entry_with_a_thesis(), **AIMS)
    await house.bar("100 100 100 100", 1)
    resting = {o.trigger for o in await house.venue.open_orders()}
    assert resting == {Decimal(90), Decimal(120)}
    await house.bar(prices, 2)
    await house.bar(" ".join(prices.split()[-1:] * 4), 3)
    assert held(house) == left
    assert {o.trigger for o in await house.venue.open_orders()} == (resting if left else set())
    assert {o.client_order_id for o in house.book.engine.orders} == {
        o.client_order_id for o in await house.venue.open_orders()
    }


async def test_a_target_follows_the_position_as_its_stop_does():
    house = await an_empty_house(participation=Decimal(1), **AIMS)
    house.book.engine.accept(an_entry_with_a_thesis())
    await house.book.engine.work()
    for number, volume in enumerate(["0.3", "0.3", "0.3", "10"]):
        await house.bar("100 100 100 100", number, volume=volume)
    await house.bar("100 100 100 100", 4)
    open_orders = await house.venue.open_orders()
    sizes = {
        trigger: sum(o.quantity for o in open_orders if o.trigger == trigger)
        for trigger in (90, 120)
    }
    assert sizes == {90: 1, 120: 1}
    await house.bar("119 121 119 119", 5, volume="0.4")
    await house.bar("119 119 119 119", 6)
    await house.bar("119 119 119 119", 7)
    assert held(house) == 0
    assert not await house.venue.open_orders()


async def test_a_target_that_the_venue_refuses_leaves_the_stop_alone():
    house = await an_empty_house(behind=NoTargets, **AIMS)
    house.book.engine.accept(an_entry_with_a_thesis())
    await house.book.engine.work()
    for number in range(3):
        await house.bar("100 100 100 100", number)
    (stop,) = await house.venue.open_orders()
    assert (stop.trigger, stop.quantity) == (90, 1)
    await house.bar("100 121 100 121", 3)
    await house.bar("121 121 121 121", 4)
    assert held(house) == 0


class NoTargets:
    """A venue that takes no take-profit orders."""

    def __init__(self, venue):
        self._venue = venue

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def submit(self, order):
        if order.intent.purpose is Purpose.TAKE_PROFIT and order.intent.trigger is not None:
            raise OrderRefused("no such type")
        await self._venue.submit(order)


async def test_what_is_left_below_the_minimum_is_on_record_as_dust_and_counts_as_flat():
    house = await a_house(an_entry("A", "1", stop="90"), protection=QUICK)
    house.book.engine.accept(an_exit("X", "-0.96"))
    await house.book.engine.work()
    await house.bar("100 100 100 100", 1)
    await house.bar("100 100 100 100", 2)
    (dust,) = house.told(DustLeft)
    assert (dust.symbol, dust.quantity) == (BTC, Decimal("0.04"))
    assert held(house) == 0
    assert not await house.venue.open_orders()
