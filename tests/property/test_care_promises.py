"""Along any path of the market a position keeps its stop, and its stop and exits never turn it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution.order import Submitting
from execution.protection import ProtectionSettings
from risk.intent import Purpose
from tests.builders_care import an_empty_house
from tests.builders_engine import an_entry, sealed
from tests.builders_venue import BTC, a_bar, instruments
from tests.fakes_venue import ReservingVenue

CARE = ProtectionSettings(
    patience=timedelta(0),
    deadline=timedelta(minutes=5),
    take_profit=True,
    break_even_from=Decimal("0.005"),
    break_even_buffer=Decimal("0.001"),
    trail_from=Decimal("0.005"),
    trail_distance=Decimal("0.01"),
    move_every=timedelta(minutes=1),
    max_age=timedelta(minutes=25),
)
paths = st.lists(  # of each bar: the change of its close in hundredths, and its volume
    st.tuples(st.integers(-150, 150), st.sampled_from(["0.4", "3", "1000"])), max_size=30
)


def a_position_wanted(side):
    """An entry of 2 at about 100, with stop, target and falsification."""
    intent = an_entry("A", str(2 * side.sign), stop=str(100 - 5 * side.sign)).intent
    carried = {
        "target": Decimal(100 + 4 * side.sign),
        "falsified_at": Decimal(100 - 3 * side.sign),
    }
    return sealed(replace(intent, **carried))


class Tape:
    """A house on its way through the bars, looked at after every step."""

    def __init__(self, house, side):
        self.house, self.side = house, side
        self.tightest = None
        self.aimed = False  # an order at the target has stood there

    def is_target(self, order):
        known = self.house.book.engine.blotter.find(order.client_order_id)
        return known is not None and known.is_target

    async def go(self, path):
        close = Decimal(100)
        for number, (change, volume) in enumerate(path):
            opened, close = close, close + Decimal(change) / 100
            prices = f"{opened} {max(opened, close)} {min(opened, close)} {close}"
            bar = a_bar(prices, number=number, volume=volume)
            self.house.clock.move_to(bar.closed_at)
            await self.house.venue.observe(bar)
            await self.look()
            await self.house.look_after(bar)
            await self.look()

    async def look(self):
        """What the venue holds, whatever we know of it."""
        venue = self.house.venue
        held = sum(f.quantity * f.side.sign for f in await venue.fills())
        assert held * self.side.sign >= 0
        orders = [o for o in await venue.open_orders() if o.reduce_only]
        stops = [o for o in orders if o.trigger is not None and not self.is_target(o)]
        covered = sum(order.quantity - order.filled for order in stops)
        self.aimed |= len(orders) > len(stops)
        if not held or instruments("3")[BTC].is_dust(held, Decimal(100)):
            return
        assert covered >= abs(held)
        loosest = min(order.trigger * self.side.sign for order in stops)
        assert self.tightest is None or loosest >= self.tightest
        self.tightest = loosest


async def lived_through(side, path, targets_in=(BTC,)):
    house = await an_empty_house(
        protection=CARE, leverage="3", participation=Decimal("0.5"), targets_in=targets_in
    )
    house.book.engine.accept(a_position_wanted(side))
    await house.book.engine.work()
    tape = Tape(house, side)
    await tape.go(path)
    return tape


@pytest.mark.req("S2-46")
@settings(max_examples=120, deadline=None)
@given(side=st.sampled_from(Side), path=paths, targets_in=st.sampled_from([(), (BTC,)]))
def test_no_position_is_ever_without_its_stop_and_none_is_turned(side, path, targets_in):
    asyncio.run(lived_through(side, path, targets_in))


async def test_such_paths_move_stops_and_end_positions():
    """So that the promise above is not kept by doing nothing."""
    up = [(40, "1000")] * 6 + [(-60, "3")] * 8
    down = [(-change, volume) for change, volume in up]
    for side, path in ((Side.BUY, up), (Side.SELL, down)):
        tape = await lived_through(side, path)
        house = tape.house
        assert tape.aimed
        moves = [f.order for f in house.told(Submitting) if f.order.replaces is not None]
        assert len(moves) > 2
        assert house.book.account(house.clock.now()).held(BTC) == 0


class Held(Tape):
    """A house whose venue takes one sell order for what is held: since when no stop is there?"""

    def __init__(self, house, side):
        super().__init__(house, side)
        self.naked_since = None

    async def look(self):
        venue, now = self.house.venue, self.house.clock.now()
        held = sum(f.quantity * f.side.sign for f in await venue.fills())
        assert held * self.side.sign >= 0
        stops = [o for o in await venue.open_orders() if o.reduce_only and o.trigger is not None]
        covered = sum(order.quantity - order.filled for order in stops)
        if covered >= abs(held) or instruments("3")[BTC].is_dust(held, Decimal(100)):
            self.naked_since = None
            return
        self.naked_since = self.naked_since or now
        assert now - self.naked_since <= CARE.deadline + timedelta(minutes=1)


async def held_through(path, refusals):
    house = await an_empty_house(
        protection=CARE,
        leverage="3",
        participation=Decimal("0.5"),
        behind=lambda venue: ReservingVenue(venue, reserves=True, refusals=refusals),
    )
    house.book.engine.accept(a_position_wanted(Side.BUY))
    await house.book.engine.work()
    tape = Held(house, Side.BUY)
    await tape.go(path)
    return house


@settings(max_examples=60, deadline=None)
@given(path=paths, refusals=st.integers(0, 3))
def test_a_target_that_is_watched_leaves_no_position_naked_for_long(path, refusals):
    asyncio.run(held_through(path, refusals))


async def test_where_the_stop_is_in_the_way_the_exit_at_the_target_replaces_it():
    house = await held_through([(450, "1000"), (5, "1000"), (5, "1000"), (5, "1000")], 0)
    assert house.book.account(house.clock.now()).held(BTC) == 0
    asked = [f.order.purpose for f in house.told(Submitting) if f.order.trigger is None]
    assert asked == [Purpose.ENTRY, Purpose.TAKE_PROFIT, Purpose.TAKE_PROFIT]
