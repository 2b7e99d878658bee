"""A floor whose desk enters once and may leave, on its bars, so that an audit can make it again."""

from datetime import timedelta
from decimal import Decimal

from agents import intents
from agents.baseline_strategy import NOTHING
from agents.strategy import Deliberation, Requirements
from data.bar import Timeframe
from data.feed import FeedInterrupted
from data.indicators import Atr
from data.instrument import Side
from data.regime import Regime
from risk.intent import Direction
from sextant import wiring
from sextant.auditor import Auditor
from sextant.facts import RunStopped, codec
from sextant.history import MarketPast
from sextant.vigil import Vigil
from tests.builders_passive import Floor
from tests.builders_venue import BTC

AT = 12 * 60 + 32  # the minute of the day at which the desk enters: two after the floor's warm-up
WAKEFUL = timedelta(seconds=90)


class Once:
    """Enters BTC once, and leaves it once, each from a minute of the day on."""

    def __init__(self, desk, *, enters_at=AT, leaves_at=None, quantity="1"):
        self._desk, self._quantity = desk, Decimal(quantity)
        is_ours = desk.strategy_id == "chance-btc"
        self._enters_at, self._leaves_at = (enters_at, leaves_at) if is_ours else (None, None)
        self.requirements = Requirements(frames={desk.timeframe: (Atr(14),)}, bars=20, warm_up=1)

    async def revise(self, snapshot, intent, envelope):
        return None

    async def decide(self, snapshot):
        closed_at, held = snapshot.bar.closed_at, intents.open_quantity(snapshot)
        minute = closed_at.hour * 60 + closed_at.minute
        if self._enters_at is not None and minute >= self._enters_at:
            self._enters_at = None
            return deliberated(self._entry(snapshot))
        if self._leaves_at is not None and minute >= self._leaves_at and held:
            self._leaves_at, name = None, self._desk.strategy_id
            return deliberated(intents.exit_of(name, snapshot, held=held, confidence=0.9))
        return NOTHING

    def _entry(self, snapshot):
        return intents.entry(
            self._desk.strategy_id,
            snapshot,
            direction=Direction.LONG,
            confidence=0.9,
            stop=snapshot.instrument.stop_price(snapshot.bar.close * Decimal("0.98"), Side.BUY),
            quantity=self._quantity,
        )


def deliberated(intent):
    return Deliberation(
        reports=(),
        ballots=(),
        answers=(),
        consensus=None,
        regime=Regime.TRENDING_BULL,
        intent=intent,
        rationale="once",
    )


class Acting(Floor):
    """A floor whose desks decide on their bars, and whose journal can be audited."""

    def open(self, state=None):
        super().open(state)
        settings = self.settings
        past = MarketPast(base=Timeframe.M1, bars={})
        seats = wiring.roster(settings, self.clock)
        now = self.clock.now()
        self.journal.write(
            wiring.run_started(settings, self.venue, seats, "made", now, past, resumed=False)
        )
        self.session.vigil = Vigil(self.engine, self.clock, most=WAKEFUL)
        take = self.session.take

        async def acted(bar):
            for desk, snapshot in await take(bar):
                await self.session.decide(desk, snapshot)

        self.session.take = acted

    async def until_it_rests(self):
        for _ in range(2):
            await self.bar("100 100 100 100")
        assert [order.post_only for order in await self.sent()] == [True]
        return self

    def interrupt(self):
        """The feed says that bars are missing."""
        now = self.clock.now()
        gap = FeedInterrupted(
            symbol=BTC, timeframe=Timeframe.M1, since=now, until=None, reason="gone"
        )
        self.session.note(gap)

    async def audited(self):
        self.journal.write(RunStopped(at=self.clock.now(), reason="the test ends"))
        await self.journal.flush()
        auditor = Auditor(codec())
        async for record in self.journal.records():
            await auditor.follow(record)
        return auditor
