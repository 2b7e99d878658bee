"""A book over a paper venue, with its position and its journal."""

from datetime import timedelta
from decimal import Decimal

from data.instrument import Notional
from execution.care import PositionCare
from execution.order import Submitting
from execution.protection import Protection, ProtectionSettings
from risk.breaker import initial_state
from sextant.book import Book
from sextant.evaluation.scorecard import Scorecard
from tests.builders_engine import a_clock, a_paper_venue, an_engine, an_entry
from tests.builders_risk import limits_with
from tests.builders_venue import KeptFacts, a_bar, instruments

LATE = ProtectionSettings(patience=timedelta(hours=1), deadline=timedelta(hours=2))


class House:
    """A book and its venue, bar by bar."""

    def __init__(self, clock, venue, limits, protection=LATE, leverage="1", targets_in=()):
        self.clock, self.venue, self.journal = clock, venue, KeptFacts()
        self.book = Book(
            engine=an_engine(venue, clock, self.journal, leverage=leverage),
            protection=Protection(instruments(leverage), protection, write=self.journal.write),
            care=PositionCare(instruments(leverage), protection, targets_in=targets_in),
            limits=limits,
            state=initial_state(Notional(Decimal(100_000)), clock.now()),
            journal=self.journal,
            scorecard=Scorecard(horizon=1, hold_band=0.02, fee=0.0),
        )

    async def bar(self, prices, number, *, volume="1000"):
        bar = a_bar(prices, number=number, volume=volume)
        self.clock.move_to(bar.closed_at)
        await self.venue.observe(bar)
        await self.look_after(bar)

    async def look_after(self, bar):
        self.book.engine.settle()
        self.book.mark(bar, now=self.clock.now())
        self.book.guard(now=self.clock.now())
        await self.book.engine.work()
        self.book.engine.settle()

    def told(self, kind):
        return [f for f in self.journal.durable + self.journal._written if isinstance(f, kind)]

    def asked_for(self, strategy_id):
        orders = [fact.order for fact in self.told(Submitting)]
        return [order for order in orders if order.strategy_id == strategy_id]


async def an_empty_house(
    *,
    protection=LATE,
    leverage="1",
    participation=None,
    targets_in=(),
    behind=lambda venue: venue,
    **limits,
):
    """A house that holds nothing, and where little stops a trade."""
    clock = a_clock()
    wide = {"max_daily_loss": "1", "max_monthly_loss": "1"} | limits
    venue = await a_paper_venue(clock, leverage=leverage, participation=participation)
    return House(clock, behind(venue), limits_with(**wide), protection, leverage, targets_in)


async def a_house(entry=None, *, protection=LATE, targets_in=(), **limits):
    """A house with `entry` filled at 100; without one it buys 900 with its stop at 1."""
    house = await an_empty_house(protection=protection, targets_in=targets_in, **limits)
    house.book.engine.accept(entry or an_entry("A", "900", stop="1"))
    await house.book.engine.work()
    await house.bar("100 100 100 100", 0)
    return house
