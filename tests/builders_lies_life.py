"""One process of ours after the other, each with the real parts, and the journal between them."""

import asyncio
import contextlib
import tempfile
import textwrap
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import structlog

from data.bar import Bar, Timeframe
from data.regime import Regime
from execution.charge import Charge
from execution.difference import Reconciliation
from execution.exact import EXACT
from execution.fill import Fill
from execution.order import Submitting
from execution.reconcile import reconcile
from execution.venue import VenueUnavailable
from risk.approval import ApprovedOrder
from risk.breaker import TradingState
from risk.intent import Direction, OrderIntent, Purpose, intent_id
from risk.market import Market
from sextant import venues, wiring
from sextant.daemon import Daemon
from sextant.facts import codec, rehearsal_codec
from sextant.journal.record import Chain
from sextant.outside import Outside
from sextant.recovery import Recollection
from sextant.settings import load_settings
from sextant.trials import TrialRefused
from tests.builders_rehearsal import NOON
from tests.builders_venue import XRP
from tests.simulated_loop import Host

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """
    [venue]
    order_deadline = "{deadline}"
    look_every = "PT30S"
    first_redial = "PT1S"
    attach_stops = {attach}

    [engine]
    lost_after = "{lost_after}"

    [protection]
    patience = "PT2S"
    trail_from = 0.0005
    trail_distance = 0.002
    move_every = "PT10S"
    deadline = "PT2M"

    [quality]
    max_delay = "PT12H"

    [risk]
    max_price_age = "PT12H"
    min_stop_atr = 0.0
    min_reward_risk = 0.0
    max_daily_loss = 0.9
    max_weekly_loss = 0.9
    max_monthly_loss = 0.9
    max_day_drawdown = 1
    max_cost_to_risk = 0
    trend_gate = false
    drawdown_leverage = []
    max_correlated_exposure = 1
    max_drawdown = 0.9
    derisk_drawdown = 0.9
    unusual_move = 0
    cool_down_after_order = "PT0S"
    cool_down_after_loss = "PT0S"
    max_loss_streak = 100000
    loss_streaks = []
"""


class Story:
    """What has happened so far, for whoever has to find out why."""

    def __init__(self, clock):
        self._clock = clock
        self.lines = []

    def tell(self, text):
        self.lines.append(f"{self._clock.now():%H:%M:%S.%f} {text}")

    @contextlib.contextmanager
    def of_the_log(self):
        """What the daemon logs while the block lasts goes into the story, and nowhere else."""
        processors = structlog.get_config()["processors"]
        before = list(processors)
        processors[:] = [self._note]
        try:
            yield self
        finally:
            processors[:] = before

    def _note(self, _, level, entry):
        if entry.get("kind") != "foreign_order":
            self.tell(f"   {level}: {entry}")
        raise structlog.DropEvent


class Died(Exception):
    """Nothing is written any more: the process has ended."""


class Diary:
    """A journal in memory with the real encoding: durable a little after it is told to be.

    What a process has not flushed is gone with it; the next one goes on from `records`.
    """

    def __init__(self, name, kinds, clock, *, records=(), heard=lambda fact: None):
        self.records = list(records)
        self._codec, self._clock, self._heard = kinds, clock, heard
        self._chain = Chain(name, kinds, clock, records[-1] if records else None)
        self.durable = len(self.records)
        self.is_lost = False
        self.has_news = asyncio.Event()

    def write(self, fact):
        if self.is_lost:
            return
        self.has_news.set()
        self.records.append(self._chain.extend(fact))
        self._heard(fact)

    async def flush(self):
        if (until := len(self.records)) == self.durable:
            return
        await self._clock.sleep(timedelta(milliseconds=3))
        if self.is_lost:
            raise Died
        self.durable = max(self.durable, until)

    def lose(self):
        """The process ends: give what it leaves."""
        self.is_lost = True
        return tuple(self.records[: self.durable])

    async def facts(self):
        for record in self.records[: self.durable]:
            yield self._codec.decode(record.topic, record.body)


@cache
def codecs():
    return codec(), rehearsal_codec()


@cache
def settings_of(*, attach, spot, patient):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lies.toml"
        text = textwrap.dedent(SETTINGS).format(
            attach=str(attach).lower(),
            deadline="PT60S" if patient else "PT5S",
            lost_after="PT2M" if patient else "PT10S",
        )
        path.write_text(f'extends = "{ROOT / "config" / "rehearsal.toml"}"\n{text}')
        settings = load_settings(path)
    leverage = {s: most for s, most in settings.venue.leverage.items() if not (spot and s == XRP)}
    venue = settings.venue.model_copy(update={"leverage": leverage})
    return settings.model_copy(update={"venue": venue})


def perpetual_settings_of(venue, symbols, *, patient):
    """The same house, which trades these perpetuals at `venue`."""
    settings = settings_of(attach=False, spot=False, patient=patient)
    some, quote = settings.instrument[0], symbols[0].quote
    (desk,) = settings.desk
    changed = {
        "venue": venue,
        "account": settings.account.model_copy(
            update={"currency": quote, "balances": {quote: Decimal(10_000)}}
        ),
        "instrument": tuple(some.model_copy(update={"symbol": symbol}) for symbol in symbols),
        "desk": (desk.model_copy(update={"instruments": symbols}),),
        "risk": settings.risk.model_copy(
            update={"allowed_symbols": frozenset(symbols), "correlations": ()}
        ),
    }
    return settings.model_copy(update=changed)


def an_entry(desk, symbol, quantity, now, *, asked_at=None, **prices):
    """What `desk` wants; `quantity` is signed, and its id is of `asked_at`."""
    return OrderIntent(
        intent_id=intent_id(desk, symbol, asked_at or now, Purpose.ENTRY),
        strategy_id=desk,
        symbol=symbol,
        purpose=Purpose.ENTRY,
        direction=Direction.LONG if quantity > 0 else Direction.SHORT,
        decided_at=now,
        confidence=0.9,
        quantity=quantity,
        **prices,
    )


def an_exit(desk, symbol, quantity, now, *, limit=None):
    """The same of its way out."""
    return OrderIntent(
        intent_id=intent_id(desk, symbol, now, Purpose.EXIT),
        strategy_id=desk,
        symbol=symbol,
        purpose=Purpose.EXIT,
        direction=Direction.CLOSE,
        decided_at=now,
        confidence=0.9,
        quantity=quantity,
        limit=limit,
        reduce_only=True,
    )


def a_still_bar(symbol, price, closed_at):
    """A minute in which the price stood."""
    prices = dict.fromkeys(("open", "high", "low", "close"), price)
    return Bar(
        symbol=symbol, timeframe=Timeframe.M1, closed_at=closed_at, volume=Decimal(1), **prices
    )


def _in_short(verdict):
    objections = getattr(verdict, "objections", None)
    return type(verdict).__name__ if objections is None else [str(o.rule) for o in objections]


class Books:
    """What fills and charges have made of the opening balances, reckoned without the ledger."""

    def __init__(self, opening):
        self.balances = Counter({asset: amount for asset, amount in opening.items() if amount})
        self.fills = {}

    def take(self, fact):
        match fact:
            case Fill():
                assert fact.fill_id not in self.fills, f"booked twice: {fact}"
                self.fills[fact.fill_id] = fact
                signed = fact.quantity * fact.side.sign
                self._add(fact.symbol.base, signed)
                self._add(fact.symbol.quote, EXACT.multiply(-signed, fact.price))
                self._add(fact.fee_asset, -fact.fee)
            case Charge():
                self._add(fact.asset, -fact.amount)

    def _add(self, asset, amount):
        self.balances[asset] = EXACT.add(Decimal(self.balances[asset]), amount)


class Life:
    """One process of ours, from its journal to its end."""

    def __init__(self, world, records):
        self.world, self.host = world, Host()
        self.books = Books(world.there.settings.account.balances)
        self._recorded = {}  # each order's place in the journal, by its id
        self._count = 0
        self._engine = None
        ours, _ = codecs()
        self.diary = Diary("desk", ours, world.clock, records=records, heard=self._hear)
        for record in records:
            self._hear(ours.decode(record.topic, record.body))
        self.session = None  # until it is reconciled for the first time

    def _hear(self, fact):
        self.books.take(fact)
        self._count += 1
        if isinstance(fact, Submitting):
            self._recorded[fact.order.client_order_id] = self._count
        elif isinstance(fact, Reconciliation) and fact.reconciled and self._engine is not None:
            balances, unanswered = self._engine.ledger.balances, self._engine.outbox.unanswered
            if unanswered or not self.world.were_held(balances):
                flaw = AssertionError(f"reconciled with {unanswered} open, and {balances} held")
                self.world.note_flaw(flaw)

    @property
    def book(self):
        return self.session.book

    @property
    def engine(self):
        return self._engine

    def is_durable(self, client_order_id):
        """Whether the order's record outlives the process."""
        return self._recorded.get(client_order_id, self._count + 1) <= self.diary.durable

    async def run(self):
        try:
            while not await self._trades():
                await self.world.clock.sleep(timedelta(seconds=2))
        except (Died, asyncio.CancelledError, ExceptionGroup):
            if self.host.is_up:
                raise

    async def _trades(self):
        """Live to the end; whether it came to that. A start that is refused is made again."""
        try:
            await self._live()
        except TrialRefused:
            return False
        return True

    def judge(self, intent, price):
        """Have the real book judge `intent` in a market that stands at `price`, and act on it."""
        book, now = self.book, self.world.clock.now()
        market = Market(
            instrument=book.engine.instruments[intent.symbol],
            price=price,
            priced_at=now,
            rate=Decimal(1),
            spread_bps=1.0,
            atr=float(price) / 1000,
            regime=Regime.TRENDING_BULL,
        )
        verdict = book.judge(intent, market, now=now)
        self.world.tell(f"judged {intent.purpose} {intent.intent_id}: {_in_short(verdict)}")
        book.act(verdict, now=now)

    def die(self):
        """As by kill -9; give what is left of it."""
        left = self.diary.lose()
        self.host.go_down()
        self.task.cancel()
        return left

    async def _live(self):
        world, clock, diary = self.world, self.world.clock, self.diary
        there = world.there
        around = venues.Surroundings(clock=clock, since=NOON, site=there.site, budget=None)
        async with venues.open_venue(there.settings, books=diary, around=around) as opened:
            settings = opened.settings
            self._engine = engine = wiring.engine(settings, opened.venue, diary, clock)
            outside = Outside(settings.news)
            before = Recollection(settings.desk, outside)
            await engine.recover(before.following(diary.facts()))
            dead_man = wiring.dead_man(opened, engine, diary, clock, before.guard)
            for symbol, price in there.prices.items():
                engine.ledger.mark(symbol, price, clock.now())
            session = wiring.session(
                settings,
                wiring.unasked_roster(settings, clock),
                engine=engine,
                state=before.state,
                parts=(),
                desk_states={},
                allocation=before.allocation,
                paper=None,
                journal=diary,
                clock=clock,
                keep_all=True,
                outside=outside,
                naked_seen=before.naked_seen.values(),
            )
            session.book.begin(now=clock.now())
            self._watch_the_gate(session.book)
            await self._reconcile_first(engine)
            self.session = session
            house = SimpleNamespace(session=session, clock=clock, journal=diary, venue=opened)
            self.daemon = daemon = Daemon(house)
            async with asyncio.TaskGroup() as tasks:
                for work in (
                    engine.run(),
                    opened.listen(),
                    dead_man.run(),
                    daemon._keep_reconciled(),
                    daemon._keep_watch(),
                    self._see_bars(),
                    self._keep_diary(),
                ):
                    tasks.create_task(work)

    async def _reconcile_first(self, engine):
        """A daemon that cannot ends, and is started again."""
        while True:
            try:
                await reconcile(engine)
            except VenueUnavailable:
                await self.world.clock.sleep(timedelta(seconds=2))
            else:
                return

    async def _see_bars(self):
        clock, minute = self.world.clock, timedelta(minutes=1)
        while True:
            now = clock.now()
            closed_at = now - (now - NOON) % minute + minute
            await clock.sleep(closed_at - now)
            for symbol, price in self.world.there.prices.items():
                bar = a_still_bar(symbol, price, closed_at)
                await self.session.take(bar)

    async def _keep_diary(self):
        """As the journal's writer does, all the time."""
        while True:
            await self.diary.has_news.wait()
            self.diary.has_news.clear()
            await self.world.clock.sleep(timedelta(milliseconds=50))
            await self.diary.flush()

    def _watch_the_gate(self, book):
        engine = book.engine
        accept = engine.accept

        def watched(approved):
            assert isinstance(approved, ApprovedOrder)
            if not approved.intent.reduces:
                assert engine.reconciled, f"entered while unreconciled: {approved}"
                assert book.state.trading is TradingState.ACTIVE, f"entered in a halt: {approved}"
            accept(approved)
            self.world.approved.setdefault(approved.intent.intent_id, approved)

        engine.accept = watched
