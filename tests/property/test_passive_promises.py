"""Resting first never buys more than was approved, whatever the venue answers and tells.

And whatever happens, one intent is two orders at most, no passive order rests for long, and what is
bought has its stop.
"""

import asyncio
import random
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.order import Submitting
from execution.reconcile import reconcile
from execution.venue import VenueUnavailable
from risk.intent import completion_id
from tests.builders_passive import Floor, some_settings
from tests.builders_venue import BTC, an_id
from tests.fakes_venue import FlakyVenue

SETTINGS = some_settings(Path(tempfile.mkdtemp()), text="    participation = 1\n")
BARS = {  # prices, volume
    "flat": ("100 100 100 100", "1000"),
    "through": ("100 100 99.6 100", "0.3"),
    "far through": ("100 100 99.6 100", "1000"),
    "away": ("100 100.3 100 100.3", "1000"),
    "under it": ("99.7 99.7 99.7 99.7", "0.5"),
}


async def lived_through(seed, faults, steps):
    """Something happens at random, step by step; then the line heals and all comes to rest."""
    rng = random.Random(seed)
    floor = Floor(SETTINGS, behind=lambda venue: FlakyVenue(venue, rng, faults=0))
    await floor.warm_up()
    floor.venue._faults = faults
    verdict = await floor.wish("A", "1" if rng.random() < 0.8 else "2")
    approved = verdict.quantity
    for _ in range(steps):
        match rng.choice(["bar", "bar", "second", "seconds", "look"]):
            case "bar":
                prices, volume = BARS[rng.choice(list(BARS))]
                await floor.bar(prices, volume=volume)
            case "second":
                await floor.after(1)
            case "seconds":
                await floor.after(rng.choice([4, 11]))
            case "look":
                await looked(floor)
        bought = sum(f.quantity for f in await floor.paper.fills() if f.side.sign > 0)
        assert bought <= approved
    floor.venue.heal()
    for _ in range(8):
        await floor.bar("100 100 100 100")
        await looked(floor)
    return floor, approved


async def looked(floor):
    try:
        await reconcile(floor.engine)
    except VenueUnavailable:
        return


@pytest.mark.req("S0-21")
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32), faults=st.sampled_from([0.0, 0.3, 0.6]), steps=st.integers(1, 25)
)
def test_no_more_is_bought_than_was_approved(seed, faults, steps):
    with asyncio.Runner() as runner:
        floor, approved = runner.run(lived_through(seed, faults, steps))
        assert 0 <= floor.held <= approved
        sent = [f.order for f in runner.run(floor.facts(Submitting)) if not f.order.reduce_only]
        assert {o.client_order_id for o in sent} <= {an_id("A"), completion_id(an_id("A"))}
        resting = runner.run(floor.paper.open_orders())
        assert all(order.reduce_only for order in resting)
        covered = sum(o.quantity - o.filled for o in resting if o.trigger is not None)
        assert covered == floor.held
        assert floor.engine.ledger.held(BTC) == floor.held


def test_most_of_it_is_bought_in_the_end():
    """So that the promise above is not kept by buying nothing."""
    with asyncio.Runner() as runner:
        held = [runner.run(lived_through(seed, 0.0, 12))[0].held for seed in range(12)]
    assert sum(held) > Decimal(7)
