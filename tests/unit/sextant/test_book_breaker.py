"""What a breaker wants closed is asked for by the book itself, and judged like any other order."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Notional
from execution.order import Submitting
from execution.protection import Protection, ProtectionSettings
from risk.breaker import DRAWDOWN, RiskState, TradingState, initial_state
from risk.breaker_orders import BREAKER
from risk.intent import Purpose
from sextant.book import Book
from sextant.evaluation.scorecard import Scorecard
from tests.builders_engine import a_clock, a_paper_venue, an_engine, an_entry
from tests.builders_risk import limits_with
from tests.builders_venue import BTC, KeptFacts, a_bar, instruments


class House:
    """A book that holds one BTC, bought at 100 of 100,000, and its venue."""

    def __init__(self, clock, venue, limits):
        self.clock, self.venue, self.journal = clock, venue, KeptFacts()
        self.book = Book(
            engine=an_engine(venue, clock, self.journal),
            protection=Protection(
                instruments(),
                ProtectionSettings(patience=timedelta(hours=1), deadline=timedelta(hours=2)),
            ),
            limits=limits,
            state=initial_state(Notional(Decimal(100_000)), clock.now()),
            journal=self.journal,
            scorecard=Scorecard(horizon=1, hold_band=0.02, fee=0.0),
        )

    async def bar(self, prices, number):
        bar = a_bar(prices, number=number)
        self.clock.move_to(bar.closed_at)
        await self.venue.observe(bar)
        self.book.engine.settle()
        self.book.mark(bar, now=self.clock.now())
        self.book.guard(now=self.clock.now())
        await self.book.engine.work()
        self.book.engine.settle()

    def asked_for(self):
        facts = self.journal.durable + self.journal._written
        orders = [fact.order for fact in facts if isinstance(fact, Submitting)]
        return [o for o in orders if o.strategy_id == BREAKER]


async def a_house(quantity="900", **limits):
    clock = a_clock()
    wide = {"max_daily_loss": "1", "max_monthly_loss": "1"} | limits
    house = House(clock, await a_paper_venue(clock), limits_with(**wide))
    house.book.engine.accept(an_entry("A", quantity, stop="1"))
    await house.book.engine.work()
    await house.bar("100 100 100 100", 0)
    return house


@pytest.mark.req("S0-25", "S1-97")
async def test_a_drawdown_closes_everything_once():
    house = await a_house(max_weekly_loss="1")
    held = house.book.account(house.clock.now()).held(BTC)
    assert held > 0
    await house.bar("75 75 75 75", 1)
    assert house.book.state.trading is TradingState.HALTED
    asked = house.asked_for()
    assert [(o.purpose, o.quantity, o.reduce_only) for o in asked] == [
        (Purpose.FLATTEN, held, True)
    ]
    for number in (2, 3):
        await house.bar("75 75 75 75", number)
    assert house.book.account(house.clock.now()).held(BTC) == 0
    assert house.asked_for() == asked
    states = [fact for fact in house.journal.durable if isinstance(fact, RiskState)]
    assert DRAWDOWN in states[-1].acted


@pytest.mark.req("S0-24")
async def test_the_weeks_limit_cuts_by_half_once():
    house = await a_house(max_drawdown="1", derisk_drawdown="1")
    held = house.book.account(house.clock.now()).held(BTC)
    for number in (1, 2, 3):
        await house.bar("85 85 85 85", number)
    assert house.book.state.trading is TradingState.REDUCING
    assert house.book.account(house.clock.now()).held(BTC) * 2 == held
    assert len(house.asked_for()) == 1
