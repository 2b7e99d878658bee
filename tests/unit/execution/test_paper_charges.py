"""What the paper venue charges, and that each charge is made once, whatever happens between."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.funding import FundingRate
from execution.charge import Charge, ChargeKind
from execution.fill import Fill
from execution.paper_costs import MarginRates
from execution.venues.paper import PaperVenue
from tests.builders_venue import (
    BTC,
    MINUTE,
    NOON,
    KeptFacts,
    a_bar,
    approved,
    instruments,
    terms,
)

RATES = MarginRates(opening=Decimal("0.0002"), rollover=Decimal("0.0001"))
HOUR = timedelta(hours=1)


def a_rate(rate="0.0001", *, at=NOON + 60 * MINUTE, mark=None):
    return FundingRate(
        symbol=BTC, at=at, seen_at=NOON, rate=Decimal(rate), interval=HOUR, mark_price=mark
    )


class Stand:
    """A paper venue in a market that stands at 100."""

    def __init__(self, *, leverage="5", margin=RATES, facts=()):
        self.clock = ManualClock(NOON)
        self.journal = KeptFacts(facts)
        self.given = {
            "name": "paper",
            "instruments": instruments(leverage),
            "terms": terms(),
            "balances": {"USDT": Decimal(10_000), "BTC": Decimal(3)},
            "journal": self.journal,
            "clock": self.clock,
            "margin": margin,
        }
        self.venue = PaperVenue(**self.given)

    async def reopen(self):
        self.venue = await PaperVenue.open(**self.given)

    async def trade(self, name, quantity, minute):
        await self.venue.submit(approved(name, quantity))
        await self.bar(minute)

    async def bar(self, minute, prices="100 100 100 100"):
        bar = a_bar(prices, number=minute)
        if bar.closed_at > self.clock.now():
            self.clock.move_to(bar.closed_at)
        await self.venue.observe(bar)

    async def told(self):
        return [(c.kind, c.amount) for c in await self.venue.charges()]


async def test_what_is_opened_on_margin_pays_for_it_and_what_is_closed_does_not():
    stand = Stand()
    await stand.trade("long", "2", 0)
    await stand.trade("half", "-1", 1)
    await stand.trade("through zero", "-3", 2)
    assert await stand.told() == [
        (ChargeKind.OPENING, Decimal("0.04")),
        (ChargeKind.OPENING, Decimal("0.04")),
    ]
    kinds = [type(e) for e in stand.venue.drain() if isinstance(e, Charge | Fill)]
    assert kinds == [Fill, Charge, Fill, Fill, Charge]


async def test_a_position_rolls_over_every_four_hours_from_its_opening():
    stand = Stand()
    await stand.trade("long", "2", 0)
    for minute in (239, 240, 241, 900):
        await stand.bar(minute)
    charges = [c for c in await stand.venue.charges() if c.kind is ChargeKind.ROLLOVER]
    assert [(c.amount, c.charged_at - NOON) for c in charges] == [
        (Decimal("0.02"), 4 * HOUR),
        (Decimal("0.04"), 12 * HOUR),
    ]


async def test_on_spot_nothing_is_lent():
    stand = Stand(leverage="1")
    await stand.trade("long", "2", 0)
    await stand.bar(900)
    assert await stand.told() == []


@pytest.mark.parametrize(
    ("quantity", "mark", "paid"),
    [
        pytest.param("2", None, "0.02", id="a long pays"),
        pytest.param("-2", None, "-0.02", id="a short receives"),
        pytest.param("2", "150", "0.03", id="at the mark price, where one is told"),
    ],
)
async def test_funding_is_paid_on_what_is_held_at_its_time(quantity, mark, paid):
    stand = Stand(margin=MarginRates(opening=Decimal(0), rollover=Decimal(0)))
    await stand.trade("entry", quantity, 0)
    stand.venue.note(a_rate("0.0005"))
    stand.venue.note(a_rate(mark=Decimal(mark) if mark else None))
    await stand.bar(59)
    assert await stand.told() == []
    before = (await stand.venue.balances())["USDT"]
    await stand.bar(60)
    await stand.bar(61)
    assert await stand.told() == [(ChargeKind.FUNDING, Decimal(paid))]
    assert before - (await stand.venue.balances())["USDT"] == Decimal(paid)


async def test_who_opens_after_its_time_pays_no_funding():
    stand = Stand(margin=MarginRates(opening=Decimal(0), rollover=Decimal(0)))
    stand.venue.note(a_rate(at=NOON + 2 * MINUTE))
    await stand.trade("entry", "2", 5)
    await stand.bar(6)
    assert await stand.told() == []


async def test_a_restart_makes_no_charge_again_and_forgets_none():
    stand = Stand()
    await stand.trade("long", "2", 0)
    stand.venue.note(a_rate())
    await stand.bar(300)
    made, balances = await stand.venue.charges(), await stand.venue.balances()
    assert len(made) == 3
    await stand.reopen()
    stand.venue.note(a_rate())
    await stand.bar(301)
    assert await stand.venue.charges() == made
    assert await stand.venue.balances() == balances


async def test_an_opening_that_a_crash_left_unpaid_is_paid_with_the_next_bar():
    stand = Stand()
    await stand.trade("long", "2", 0)
    stand.journal.durable = [f for f in stand.journal.durable if not isinstance(f, Charge)]
    await stand.reopen()
    assert await stand.told() == []
    await stand.bar(1)
    assert await stand.told() == [(ChargeKind.OPENING, Decimal("0.04"))]
    assert sum(isinstance(fact, Charge) for fact in stand.journal.durable) == 1
