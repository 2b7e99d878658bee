"""A position is looked after by the book itself, through the gate that every order takes."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from execution.protection import ProtectionSettings
from risk.intent import Purpose
from sextant.alerts import Alert, AlertKind
from tests.builders_care import a_house
from tests.builders_engine import an_engine, an_entry, sealed
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
