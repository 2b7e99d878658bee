"""Along any path of the market a position keeps its stop, and its stop and exits never turn it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution.order import Submitting
from execution.protection import ProtectionSettings
from tests.builders_care import an_empty_house
from tests.builders_engine import an_entry, sealed
from tests.builders_venue import BTC, a_bar, instruments

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
        stops = [o for o in orders if o.trigger is not None]
        covered = sum(order.quantity - order.filled for order in stops)
        if not held or instruments("3")[BTC].is_dust(held, Decimal(100)):
            return
        assert covered >= abs(held)
        loosest = min(order.trigger * self.side.sign for order in stops)
        assert self.tightest is None or loosest >= self.tightest
        self.tightest = loosest


async def lived_through(side, path):
    house = await an_empty_house(protection=CARE, leverage="3", participation=Decimal("0.5"))
    house.book.engine.accept(a_position_wanted(side))
    await house.book.engine.work()
    await Tape(house, side).go(path)
    return house


@settings(max_examples=120, deadline=None)
@given(side=st.sampled_from(Side), path=paths)
def test_no_position_is_ever_without_its_stop_and_none_is_turned(side, path):
    asyncio.run(lived_through(side, path))


async def test_such_paths_move_stops_and_end_positions():
    """So that the promise above is not kept by doing nothing."""
    up = [(40, "1000")] * 6 + [(-60, "3")] * 8
    down = [(-change, volume) for change, volume in up]
    for side, path in ((Side.BUY, up), (Side.SELL, down)):
        house = await lived_through(side, path)
        moves = [f.order for f in house.told(Submitting) if f.order.replaces is not None]
        assert len(moves) > 2
        assert house.book.account(house.clock.now()).held(BTC) == 0
