"""A session: what becomes of a desk that fails, and when things are said to have happened."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.faults import Corrupt
from data.feeds.synthetic import SyntheticMarket
from data.funding import FundingRate
from data.news import NewsItem, NewsStream
from execution.order import Submitting
from execution.reconcile import reconcile
from execution.venues.paper import PaperVenue
from risk.intent import Purpose
from sextant import wiring
from sextant.alerts import Alert, AlertKind
from sextant.allocator import AllocationState
from sextant.facts import (
    BarSeen,
    DecisionFailed,
    FundingSeen,
    NewsSeen,
    Watched,
    codec,
    venue_codec,
)
from sextant.journal.memory import MemoryJournal
from sextant.outside import Outside
from sextant.settings import load_settings
from tests.builders_daemon import ROOT

SETTINGS = load_settings(ROOT / "config" / "synthetic.toml")
DAY = timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)


class Scripted:
    """Decides by what `outcomes` hold: an error is raised, an event is waited for first."""

    def __init__(self, strategy, *outcomes):
        self._strategy = strategy
        self._outcomes = list(outcomes)

    async def decide(self, snapshot):
        match self._outcomes.pop(0):
            case Exception() as error:
                raise error
            case asyncio.Event() as awaited:
                await awaited.wait()
        return await self._strategy.decide(snapshot)


class Silent:
    """Decides as `strategy` does, as if all but three seats had been silent."""

    def __init__(self, strategy):
        self._strategy = strategy

    async def decide(self, snapshot):
        decided = await self._strategy.decide(snapshot)
        return replace(decided, consensus=replace(decided.consensus, valid=3))


class Stand:
    """A session on the made-up market, bar by bar."""

    def __init__(self):
        self.clock = ManualClock(START)
        self.journal = MemoryJournal(codec=codec(), clock=self.clock)
        instruments = SETTINGS.instruments
        self.paper = PaperVenue(
            name="paper",
            instruments=instruments,
            terms=SETTINGS.paper_terms,
            balances=SETTINGS.account.balances,
            journal=MemoryJournal(codec=venue_codec(), clock=self.clock),
            clock=self.clock,
        )
        engine = wiring.engine(SETTINGS, self.paper, self.journal, self.clock)
        self.session = wiring.session(
            SETTINGS,
            wiring.roster(SETTINGS, self.clock),
            engine=engine,
            state=None,
            parts=(),
            desk_states={},
            allocation=AllocationState(),
            paper=self.paper,
            journal=self.journal,
            clock=self.clock,
            keep_all=True,
            outside=Outside(SETTINGS.news),
        )
        market = SyntheticMarket(seed=7, instruments=list(instruments.values()))
        self._bars = market.bars_after(START)
        (self.desk,) = self.session.desks

    async def sighting(self):
        """The next snapshot that the desk is to decide on."""
        while True:
            bar = next(self._bars)
            self.clock.move_to(bar.closed_at)
            if seen := await self.session.take(bar):
                return seen[0][1]

    async def facts(self, kind):
        await self.journal.flush()
        return [fact async for fact in self.journal.facts() if isinstance(fact, kind)]


@pytest.fixture
def stand():
    return Stand()


@pytest.mark.req("S2-44", "S1-161", "S1-162")
async def test_a_desk_that_fails_again_and_again_is_paused_and_goes_on(stand):
    stand.desk.strategy = Scripted(stand.desk.strategy, *[ValueError("no")] * 3, None)
    seen = [await stand.sighting() for _ in range(4)]
    for snapshot in seen[:3]:
        await stand.session.decide(stand.desk, snapshot)
    failed = await stand.facts(DecisionFailed)
    assert [f.error for f in failed] == ["ValueError: no"] * 3
    paused = stand.session.book.state.paused_until
    assert paused == {stand.desk.strategy_id: failed[-1].at + timedelta(minutes=5)}
    told = [(a.kind, a.subject) for a in await stand.facts(Alert)]
    desk = stand.desk.strategy_id
    assert told == [(AlertKind.ERROR, desk), (AlertKind.DESK_PAUSED, desk)]

    await stand.session.decide(stand.desk, seen[3])
    assert not stand.session.book.state.model_failures
    assert stand.session.book.state.paused_until == paused


@pytest.mark.req("S2-44")
async def test_models_without_a_quorum_are_a_failure_and_with_one_an_answer(stand):
    silent = Silent(stand.desk.strategy)
    voting, stand.desk.strategy = stand.desk.strategy, silent
    for failures in (1, 2):
        await stand.session.decide(stand.desk, await stand.sighting())
        assert stand.session.book.state.model_failures == {stand.desk.strategy_id: failures}
    stand.desk.strategy = voting
    await stand.session.decide(stand.desk, await stand.sighting())
    assert stand.session.book.state.model_failures == {}


async def test_two_decisions_at_once_forget_one_failure(stand):
    go = asyncio.Event()
    stand.desk.strategy = Scripted(stand.desk.strategy, ValueError("no"), go, go)
    first, *others = [await stand.sighting() for _ in range(3)]
    await stand.session.decide(stand.desk, first)
    async with asyncio.TaskGroup() as tasks:
        for snapshot in others:
            tasks.create_task(stand.session.decide(stand.desk, snapshot))
        go.set()
    assert not stand.session.book.state.model_failures


async def test_what_failed_side_by_side_is_all_told(stand):
    group = ExceptionGroup("all", [ValueError("this"), ExceptionGroup("in", [KeyError("that")])])
    stand.desk.strategy = Scripted(stand.desk.strategy, group)
    await stand.session.decide(stand.desk, await stand.sighting())
    (failed,) = await stand.facts(DecisionFailed)
    assert failed.error == "ValueError: this; KeyError: 'that'"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Corrupt("wrong"), id="alone"),
        pytest.param(ExceptionGroup("all", [ValueError(), Corrupt("wrong")]), id="among others"),
    ],
)
async def test_what_is_corrupt_ends_the_service(stand, error):
    stand.desk.strategy = Scripted(stand.desk.strategy, error)
    with pytest.raises(type(error)):
        await stand.session.decide(stand.desk, await stand.sighting())


async def test_a_bar_is_seen_once_the_venue_is_done_with_it(stand, monkeypatch):
    """Else what was decided meanwhile would be on record before it, and dated after it."""
    await stand.sighting()
    observe, a_while = stand.paper.observe, timedelta(seconds=3)

    async def slowly(bar):
        await observe(bar)
        stand.clock.move_to(stand.clock.now() + a_while)

    monkeypatch.setattr(stand.paper, "observe", slowly)
    snapshot = await stand.sighting()
    seen = (await stand.facts(BarSeen))[-1]
    assert seen.at == snapshot.taken_at == snapshot.account.as_of == stand.clock.now()


async def held(stand):
    """Let the desk trade until it holds something; its stop stands at the venue."""
    engine = stand.session.book.engine
    await reconcile(engine)
    while not engine.plans:
        await stand.session.decide(stand.desk, await stand.sighting())
        await stand.session.work_off()
    (stop,) = [order for order in engine.orders if order.is_protective]
    return stop


@pytest.mark.req("S0-26")
async def test_a_stop_that_is_gone_is_missed_between_two_bars(stand):
    """The feed may be silent: nothing but the clock moves here."""
    engine = stand.session.book.engine
    stop = await held(stand)
    stand.session.look_after()  # its target is placed
    await stand.session.work_off()
    watched = await stand.facts(Watched)
    stand.session.look_after()
    assert await stand.facts(Watched) == watched
    await stand.paper.cancel(stop.client_order_id)
    engine.settle()
    for _ in range(3):
        stand.session.look_after()
        stand.clock.move_to(stand.clock.now() + timedelta(seconds=2))
    await stand.session.work_off()
    again = [
        f.order for f in await stand.facts(Submitting) if f.order.purpose is Purpose.PROTECTION
    ]
    assert [order.trigger for order in again] == [stop.order.trigger]
    assert len(await stand.facts(Watched)) > len(watched)
    (standing,) = [order for order in engine.orders if order.is_protective]
    assert standing.remaining == stop.remaining


async def test_one_bad_tick_moves_no_peak(stand):
    await stand.sighting()
    bar = next(stand._bars)
    before = stand.session.book.ledger.last_mark(bar.symbol)
    wild = replace(bar, high=bar.high * 2, close=bar.high * 2)
    stand.clock.move_to(wild.closed_at)
    assert await stand.session.take(wild) == []
    assert stand.session.book.ledger.last_mark(wild.symbol) == before


def test_a_replay_asks_no_model_whatever_keys_are_set(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-set-but-not-asked")
    seats = wiring.unasked_roster(SETTINGS, ManualClock(START))
    assert set(seats.stand_ins) == {seat.voter for seat in SETTINGS.seat}


def a_headline(title="Ripple rises", *, published, seen=None):
    return NewsItem(
        source="wire",
        stream=NewsStream.MICRO,
        title=title,
        url=f"https://example.org/{title}",
        published_at=published,
        first_seen_at=seen or published,
    )


@pytest.mark.req("S3-6")
async def test_a_headline_is_shown_from_when_it_was_seen_and_goes_on_record_once(stand):
    now = (await stand.sighting()).taken_at
    early = a_headline(published=now - timedelta(hours=1))
    late = a_headline("From tomorrow", published=now - timedelta(hours=1), seen=now + DAY)
    for item in (early, late, early):
        stand.session.learn(item)
    assert (await stand.sighting()).headlines == (early,)
    assert [fact.item for fact in await stand.facts(NewsSeen)] == [early, late]


async def test_the_newest_funding_rate_is_shown_and_goes_on_record_before_its_bar(stand):
    snapshot = await stand.sighting()
    symbol, now = snapshot.instrument.symbol, snapshot.taken_at
    rate = FundingRate(
        symbol=symbol, at=now + DAY, seen_at=now, rate=Decimal("0.0001"), interval=DAY
    )
    ahead = replace(rate, seen_at=now + DAY)
    for told, shown in ((rate, rate), (ahead, None)):
        stand.session.note(told)
        while (seen := await stand.sighting()).instrument.symbol != symbol:
            assert seen.funding is None
        assert seen.funding == shown
    facts = await stand.facts(object)
    (place,) = [i for i, fact in enumerate(facts) if isinstance(fact, FundingSeen)]
    assert facts[place].rate == rate
    assert isinstance(facts[place + 1], BarSeen)
