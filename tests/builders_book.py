"""A book over an engine and a venue, driven bar by bar, that can crash and start again."""

from datetime import timedelta
from decimal import Decimal

from data.instrument import Notional
from execution.care import PositionCare
from execution.order import Submitting
from execution.protection import NakedSeen, Protection, ProtectionSettings
from execution.reconcile import reconcile
from risk.breaker import Flatten, RiskState, initial_state
from sextant.book import Book
from sextant.evaluation.scorecard import Scorecard
from tests.builders_engine import a_clock, a_paper_venue, an_engine, an_entry
from tests.builders_risk import limits_with
from tests.builders_venue import KeptFacts, a_bar, instruments

CASH = Decimal(100_000)
WIDE = {
    "max_daily_loss": "1",
    "max_weekly_loss": "1",
    "max_monthly_loss": "1",
    "max_drawdown": "1",
    "derisk_drawdown": "1",
}
FIT = ProtectionSettings(patience=timedelta(hours=1), deadline=timedelta(hours=2))


class BookHouse:
    """A book, its journal, its venue and its clock."""

    def __init__(self, clock, venue, limits, *, fit=FIT, leverage="1"):
        self.clock, self.venue, self.journal = clock, venue, KeptFacts()
        self.limits, self._fit, self._leverage = limits, fit, leverage
        self._open(initial_state(Notional(CASH), clock.now()))

    def _open(self, state):
        self.book = Book(
            engine=an_engine(self.venue, self.clock, self.journal, leverage=self._leverage),
            protection=Protection(
                instruments(self._leverage),
                self._fit,
                write=self.journal.write,
                seen=[fact for fact in self.journal.durable if isinstance(fact, NakedSeen)],
            ),
            care=PositionCare(instruments(self._leverage), self._fit),
            limits=self.limits,
            state=state,
            journal=self.journal,
            scorecard=Scorecard(horizon=1, hold_band=0.02, fee=0.0),
        )

    async def restart(self):
        """As after kill -9: what was not flushed is gone."""
        self.journal._written.clear()
        marks = self.book.ledger
        states = [fact for fact in self.journal.durable if isinstance(fact, RiskState)]
        self._open(states[-1] if states else initial_state(Notional(CASH), self.clock.now()))
        await self.book.engine.recover(self.journal.facts())
        for symbol in self.book.engine.instruments:
            if (mark := marks.last_mark(symbol)) is not None:
                self.book.ledger.mark(symbol, mark.price, mark.at)

    @property
    def state(self):
        return self.book.state

    @property
    def facts(self):
        return self.journal.durable + self.journal._written

    def of(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def asked_for(self, *askers):
        """The orders that these strategies have sent."""
        orders = [fact.order for fact in self.of(Submitting)]
        return [order for order in orders if order.strategy_id in askers]

    def held(self, symbol):
        return self.book.account(self.clock.now()).held(symbol)

    async def bar(self, prices, number, **details):
        bar = a_bar(prices, number=number, **details)
        self.clock.move_to(bar.closed_at)
        await self.venue.observe(bar)
        self.book.engine.settle()
        self.book.mark(bar, now=self.clock.now())
        await self.look_after()

    async def look_after(self):
        """What happens each second, bar or none."""
        self.book.guard(now=self.clock.now())
        await self.book.engine.work()
        self.book.engine.settle()

    async def after(self, seconds):
        """The same, later."""
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))
        await self.look_after()

    async def flatten(self):
        """As a person's word does."""
        now = self.clock.now()
        self.book.note(Flatten(by="Ada", why="storm", at=now))
        await self.look_after()

    async def ask_the_venue(self):
        return await reconcile(self.book.engine)

    @property
    def left(self):
        """What keeps the kill switch from being lifted."""
        return self.book.latches.unfinished(self.clock.now())


async def a_book_house(venue=None, *, clock=None, fit=FIT, leverage="1", **limits):
    """A house whose limits nothing reaches, but for `limits`."""
    clock = clock or a_clock()
    venue = venue or await a_paper_venue(clock, leverage=leverage)
    return BookHouse(clock, venue, limits_with(**(WIDE | limits)), fit=fit, leverage=leverage)


async def enter(house, name="A", quantity="1", **terms):
    """Accept and send an approved entry."""
    entry = an_entry(name, quantity, decided_at=house.clock.now(), **terms)
    house.book.engine.accept(entry)
    await house.book.engine.work()
    house.book.engine.settle()
