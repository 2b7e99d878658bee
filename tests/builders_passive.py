"""A session on bars that a test makes, whose one desk wishes what the test says."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from agents.strategy import Deliberation
from data.clock import ManualClock
from data.regime import Regime
from execution.order import Submitting
from execution.passive import PassiveSettings
from execution.reconcile import reconcile
from execution.venues.paper import PaperVenue
from risk.intent import Direction, OrderIntent, Purpose
from sextant import wiring
from sextant.allocator import AllocationState
from sextant.facts import codec, venue_codec
from sextant.journal.memory import MemoryJournal
from sextant.outside import Outside
from sextant.settings import Settings, load_settings
from tests.builders_daemon import EAGER, a_config
from tests.builders_venue import BTC, NOON, a_bar, an_id

RESTS = PassiveSettings(entries=True, exits=True, cross_after=timedelta(seconds=10))
MORE = """
    [paper_venue]
    spread_bps = 10
    slippage_bps = 0
    latency_ms = 0
"""
_PAST = 30  # bars


def some_settings(folder, *, passive=RESTS, text="") -> Settings:
    """Rehearsal settings in which little stops a trade."""
    found = load_settings(a_config(folder, EAGER + MORE + text))
    return found.model_copy(update={"passive": passive})


class Floor:
    """A session, its venue and its clock; BTC stands at 100 for half an hour first.

    The desk's wishes are approved on the account and the market as they are.
    """

    def __init__(self, settings, *, behind=lambda venue: venue, journal=None, paper=None):
        self.settings = settings
        self.clock = ManualClock(NOON)
        self.journal = journal or MemoryJournal(codec=codec(), clock=self.clock)
        self.paper = paper or PaperVenue(
            name="paper",
            instruments=settings.instruments,
            terms=settings.paper_terms,
            balances=settings.account.balances,
            journal=MemoryJournal(codec=venue_codec(), clock=self.clock),
            clock=self.clock,
        )
        self.venue = behind(self.paper)
        self._bars = 0
        self.open()

    def open(self, state=None):
        self.engine = wiring.engine(self.settings, self.venue, self.journal, self.clock)
        self.session = wiring.session(
            self.settings,
            wiring.roster(self.settings, self.clock),
            engine=self.engine,
            state=state,
            parts=wiring.subaccounts(self.settings, self.clock),
            desk_states={},
            allocation=AllocationState(),
            paper=None,
            journal=self.journal,
            clock=self.clock,
            keep_all=True,
            outside=Outside(self.settings.news),
        )
        self.desk = next(d for d in self.session.desks if d.strategy_id == "chance-btc")

    async def warm_up(self):
        for _ in range(_PAST):
            await self.bar("100 100 100 100")
        await reconcile(self.engine)
        return self

    async def bar(self, prices, *, volume="1000000"):
        """A minute passes, in which the market moves so."""
        bar = a_bar(prices, number=self._bars, volume=volume)
        self._bars += 1
        self.clock.move_to(bar.closed_at)
        await self.paper.observe(bar)
        await self.session.take(bar)
        await self.work()

    def show(self, book):
        """Let the session know an order book."""
        self.session.exhibits.note(book)

    async def after(self, seconds):
        """So much time passes, and nothing happens."""
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))
        self.session.look_after()
        await self.work()

    async def work(self):
        await self.engine.work()
        self.engine.settle()

    async def wish(self, name, quantity, *, stop="98", target=None, **terms):
        """Have the desk ask for so much at once; what the rules say."""
        intent = self.intent(name, quantity, stop=stop, target=target)
        return await self.ask(replace(intent, **terms))

    async def leave(self, name, quantity):
        """Have it ask for an exit."""
        intent = self.intent(name, quantity)
        return await self.ask(
            replace(intent, purpose=Purpose.EXIT, direction=Direction.CLOSE, reduce_only=True)
        )

    async def ask(self, intent):
        now = self.clock.now()
        account = self.session.book.account(now)
        heard = self.session._outside.heard(BTC, now)
        snapshot = self.desk.look(BTC, account, now=now, heard=heard)
        deliberation = Deliberation(
            reports=(),
            ballots=(),
            answers=(),
            consensus=None,
            regime=Regime.TRENDING_BULL,
            intent=intent,
            rationale="asked",
        )
        verdict = self.session.conclude(self.desk, snapshot, deliberation, now=now)
        await self.work()
        return verdict

    def intent(self, name, quantity, *, stop=None, target=None):
        signed = Decimal(quantity)
        return OrderIntent(
            intent_id=an_id(name),
            strategy_id="chance-btc",
            symbol=BTC,
            purpose=Purpose.ENTRY,
            direction=Direction.LONG if signed > 0 else Direction.SHORT,
            decided_at=self.clock.now(),
            confidence=0.9,
            quantity=signed,
            stop=None if stop is None else Decimal(stop),
            target=None if target is None else Decimal(target),
        )

    @property
    def held(self):
        return self.engine.ledger.held(BTC)

    async def facts(self, kind):
        await self.journal.flush()
        return [fact async for fact in self.journal.facts() if isinstance(fact, kind)]

    async def sent(self, purpose=Purpose.ENTRY):
        """The orders of that purpose that are on record, oldest first."""
        orders = [fact.order for fact in await self.facts(Submitting)]
        return [order for order in orders if order.purpose is purpose]


async def a_floor(folder, *, passive=RESTS, text="", **options):
    return await Floor(some_settings(folder, passive=passive, text=text), **options).warm_up()
