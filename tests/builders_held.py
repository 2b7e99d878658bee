"""A house whose market stands still while it is dead, so that a kill changes nothing but itself.

The house is the one of `tests.builders_lies_life` at a rehearsal exchange, over wires in memory.
The market's clock moves only when a script has it move, and only once everybody has done what the
moment asks for; bars come from the script, and a bar that died unseen comes again. What happens,
and under which client order ids, follows from the script alone, with kills or without: so two
stories can be held against each other to the last digit.

A moment is one at which a process may be killed: after a record of its journal, when that record
and all before it are on disk; and before and after each request over REST and each message to a
socket, when only what was flushed is on disk.
"""

import asyncio
import contextlib
import random
from collections.abc import Collection, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from unittest.mock import patch

from ccxt.async_support.base.exchange import Exchange as Client
from ccxt.async_support.base.ws.client import Client as Socket

from data.clock import ManualClock
from data.collect.patience import Patience
from data.instrument import Side
from execution.reconcile import reconcile
from risk.intent import Purpose, intent_id
from sextant import venues
from sextant.facts import BarSeen
from sextant.market import Site
from sextant.rehearsal.market import MarketTrade
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.server import RehearsalServer, Terms
from tests.builders_lies_life import (
    Diary,
    Died,
    Life,
    Story,
    a_still_bar,
    an_entry,
    an_exit,
    codecs,
    settings_of,
)
from tests.builders_rehearsal import GENEROUS, NOON, PRICES
from tests.builders_venue import BTC, XRP
from tests.mortal import asked
from tests.simulated_loop import Host, SimulatedLoop, simulated_time

STEP = timedelta(seconds=5)  # of the market's clock
SETTLES = 2.5  # seconds of the loop, in which the watch looks twice
_FLUSHES = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the script does, at which second after noon."""

    at: int
    what: str
    args: tuple[object, ...]


def act(at, what, *args):
    return Act(at=at, what=what, args=args)


# Entries at market and at a limit, one of them filled in parts; a stop that moves, a target, an
# exit of the desk's, a stop that fills, an order cancelled in time, and one that stays open.
SCRIPT = (
    act(10, "enter", "A", BTC, Side.BUY, "0.04", "39200", "41200", None),
    act(60, "enter", "B", XRP, Side.BUY, "1900", "0.97", "1.2", "0.995"),
    act(90, "trade", XRP, "0.9949", "1500"),
    act(150, "trade", XRP, "0.9949", "9000"),
    act(170, "trade", BTC, "40600", "0.01"),
    act(230, "trade", BTC, "41300", "0.01"),
    act(280, "trade", XRP, "0.9690", "9000"),
    act(320, "enter", "C", XRP, Side.SELL, "1900", "1.0", "0.7", None),
    act(370, "enter", "D", BTC, Side.BUY, "0.04", "39900", "45000", "40900"),
    act(400, "cancel", "D"),
    act(430, "leave", XRP),
    act(490, "enter", "E", BTC, Side.SELL, "0.03", "42500", "35000", None),
)  # fmt: skip
ENDS = 560
ENTRIES = {each.args[0]: each for each in SCRIPT if each.what == "enter"}


def decided_at(name):
    """When an entry of the script is decided on."""
    return NOON + timedelta(seconds=ENTRIES[name].at)


def id_of(name):
    """Its client order id."""
    return intent_id("desk", ENTRIES[name].args[1], decided_at(name), Purpose.ENTRY)


class HeldDiary(Diary):
    """A journal that is on disk a little after it is told to be, by the loop's time."""

    async def flush(self):
        until = len(self.records)
        await _pass(0.003)
        if self.is_lost:
            raise Died
        self.durable = max(self.durable, until)


class OwnDiary(HeldDiary):
    """A journal whose every record is a moment to be killed at."""

    def __init__(self, world, life, records):
        super().__init__("desk", codecs()[0], world.clock, records=records, heard=life.hear)
        self._world = world

    def write(self, fact):
        before = len(self.records)
        super().write(fact)
        if len(self.records) == before:
            return
        self._world.pass_(f"record {self.records[-1].topic}", self._reach)

    def _reach(self):
        """All that is written is on disk."""
        self.durable = len(self.records)


class HeldLife(Life):
    """One process of ours; it takes its bars from the script."""

    def __init__(self, world, records):
        self.bars = set()  # symbol and close of those it knows of
        super().__init__(world, records)
        self.diary = OwnDiary(world, self, records)

    def _hear(self, fact):
        super()._hear(fact)
        if isinstance(fact, BarSeen):
            self.bars.add((fact.bar.symbol, fact.bar.closed_at))

    def hear(self, fact):
        self._hear(fact)

    async def _see_bars(self):
        await asyncio.Event().wait()

    async def _keep_diary(self):
        while True:
            await self.diary.has_news.wait()
            self.diary.has_news.clear()
            await _pass(_FLUSHES)
            await self.diary.flush()


@dataclass(kw_only=True)
class Fate:
    """What is done to the houses of one world."""

    attach: bool  # whether entries take their stops along
    dies_at: Collection[int] = ()  # moments, counted over all lives
    without: Collection[str] = ()  # entries that nobody decides on
    script: tuple[Act, ...] = SCRIPT
    ends: int = ENDS
    lasts: timedelta | None = None  # of a life: the longest, of the market's time
    fails: Mapping[str, type[Exception]] = field(default_factory=dict)  # requests, by kind: how


@dataclass(kw_only=True)
class Naked:
    """While stops for less than a position stood at the exchange, in the market's time."""

    symbol: str
    since: datetime
    until: datetime

    @property
    def lasted(self):
        return self.until - self.since


@dataclass(kw_only=True)
class Death:
    """When a process was killed."""

    moment: str
    at: datetime
    naked: list[str] = field(default_factory=list)  # symbols, as the exchange had it then


class HeldWorld:
    """The house and the exchange; the methods that the script names are what happens."""

    def __init__(self, fate, clock, tasks, story):
        self.fate, self.clock, self._tasks, self.story = fate, clock, tasks, story
        self.settings = settings_of(attach=fate.attach, spot=False, patient=False)
        self.prices = dict(PRICES)  # of the last bars
        self.approved = {}
        self.moments = []
        self.deaths = []
        self.spans = []
        self._naked = {}
        self._traded = dict(PRICES)  # last at the exchange; the next bars show it
        self._stop = asyncio.Event()
        self.server = self.site = self.life = None
        self._records = ()

    # What Life asks of its world

    @property
    def there(self):
        """The exchange: its site, its prices, and the settings that a house has for it."""
        return self

    def tell(self, text):
        self.story.tell(text)

    def were_held(self, balances):
        return True  # here the ledgers are compared at the end

    def note_flaw(self, flaw):
        raise flaw

    # The exchange

    async def open(self):
        balances = {asset: b for asset, b in self.settings.account.balances.items() if b}
        terms = Terms(balances=balances, tier=GENEROUS, tick=STEP, heartbeat=STEP)
        market = HeldDiary("venue", codecs()[1], self.clock)
        self.server = RehearsalServer(
            terms,
            prices=self.prices,
            clock=self.clock,
            tape=iter(()),
            record=await AccountRecord.open(market),
        )
        self.exchange.listeners.append(self._happened)
        opened = asyncio.Event()
        self._tasks.create_task(self._serve(opened))
        await opened.wait()
        self.site = Site(
            urls=self.server.urls, key=self.server.keyring.key, secret=self.server.keyring.secret
        )
        self.start()

    async def _serve(self, opened):
        async with self.server.serving():
            opened.set()
            await self._stop.wait()

    @property
    def exchange(self):
        return self.server.exchange

    def _happened(self, execution):
        order = execution.order
        name = order.ticket.cl_ord_id or order.parent or order.txid
        self.tell(
            f"   there: {execution.kind} {order.ticket.side} {order.ticket.quantity} "
            f"{order.ticket.listing.symbol} {order.ticket.kind} {name} {order.reason}"
        )

    # Ourselves

    def start(self):
        self.life = life = HeldLife(self, self._records)
        self._started_at = self.clock.now()
        context = copy_context()
        context.run(Host.current.set, life.host)
        life.task = self._tasks.create_task(life.run(), context=context)
        self.tell("we start")

    @property
    def is_trading(self):
        return self.life.host.is_up and self.life.session is not None

    def pass_(self, what, reach=lambda: None):
        """A moment of the life that is, or of none."""
        self.moments.append(what)
        if len(self.moments) - 1 in self.fate.dies_at:
            reach()
            self.kill(what)

    def kill(self, what):
        self.tell(f"killed at moment {len(self.moments) - 1}: {what}")
        now = self.clock.now()
        naked = [symbol for symbol in (BTC, XRP) if self._is_naked(symbol)]
        self.deaths.append(Death(moment=what, at=now, naked=naked))
        self._records = self.life.die()

    # What happens

    async def live(self):
        """From the start to the end of the script."""
        await self.open()
        await self._rest()
        for each in self.fate.script:
            await self._until(NOON + timedelta(seconds=each.at))
            if each.what == "enter" and each.args[0] in self.fate.without:
                continue
            self.tell(f"{each.what} {each.args}")
            await getattr(self, each.what)(*each.args)
            await self._rest()
        await self._until(NOON + timedelta(seconds=self.fate.ends))
        if self.fate.lasts is None:
            self.last = await self._look_at_last()
        self._note_naked()
        for symbol in tuple(self._naked):
            self._end_naked(symbol)

    async def _look_at_last(self):
        """Ours held against theirs; the time goes on, for a venue's limits may make us wait."""
        looking = self._tasks.create_task(reconcile(self.life.engine))
        while not looking.done():
            await self._until(self.clock.now() + STEP)
        return looking.result()

    def close(self):
        self.life.die()
        self._stop.set()

    async def _until(self, at):
        while self.clock.now() < at:
            self.clock.move_to(min(at, self.clock.now() + STEP))
            lasts = self.fate.lasts
            if lasts is not None and self.clock.now() - self._started_at >= lasts:
                self.kill("its time")
            await self._rest()
            if not (self.clock.now() - NOON) % timedelta(minutes=1):
                await self._show_bars()

    async def _rest(self):
        """Return once all has been done that this moment asks for; who has died starts again."""
        while True:
            if not self.life.host.is_up:
                self.start()
            await _pass(SETTLES)
            self._note_naked()
            if self.life.host.is_up:
                return

    async def enter(self, name, symbol, side, quantity, stop, target, limit):
        """A desk decides once; what dies with its process is not decided again."""
        assert self.is_trading, "an entry meets nobody"
        intent = an_entry(
            "desk",
            symbol,
            Decimal(quantity) * side.sign,
            self.clock.now(),
            asked_at=decided_at(name),
            stop=Decimal(stop),
            target=Decimal(target),
            limit=None if limit is None else Decimal(limit),
        )
        self.life.judge(intent, self.prices[symbol])

    async def leave(self, symbol):
        """A desk wants out, and says so at every step until it is."""
        while self.held(symbol):
            if self.is_trading:
                self._ask_out(symbol)
            await self._rest()
            await self._until(self.clock.now() + STEP)

    def _ask_out(self, symbol):
        book, now = self.life.book, self.clock.now()
        held = book.account(now).held(symbol)
        if not held or any(o.order.exits and o.order.symbol == symbol for o in book.engine.orders):
            return
        self.life.judge(an_exit("desk", symbol, -held, now), self.prices[symbol])

    async def cancel(self, name):
        """A desk takes its order back, and says so until it is gone."""
        for _ in range(4):
            if self.is_trading:
                self.life.engine.cancel(id_of(name))
            await self._rest()

    async def trade(self, symbol, price, quantity):
        """Others trade, down to `price`."""
        self._traded[symbol] = Decimal(price)
        market = MarketTrade(
            at=self.clock.now(), price=Decimal(price), quantity=Decimal(quantity), side=Side.SELL
        )
        self.server.catch_up()
        self.server.trade(symbol, market)

    async def _show_bars(self):
        """Those that close now; one that died unseen comes again."""
        now = self.clock.now()
        for symbol in (BTC, XRP):
            bar = a_still_bar(symbol, self._traded[symbol], now)
            while (symbol, now) not in self.life.bars and self.is_trading:
                self.prices[symbol] = bar.close
                await self.life.session.take(bar)
                await self._rest()

    # What is true at the exchange

    def held(self, symbol):
        lots = self.exchange.wallet.lots[symbol]
        return sum((lot.open * lot.opened_by.side.sign for lot in lots), Decimal(0))

    def _is_naked(self, symbol):
        """Whether stops and exits there would close less than the position."""
        held = self.held(symbol)
        covered = sum(
            order.ticket.quantity - order.filled
            for order in self.exchange.open_orders()
            if order.ticket.listing.symbol == symbol
            and order.ticket.side.sign * held < 0
            and (order.ticket.kind.waits or order.ticket.reduce_only)
            and not order.ticket.kind.takes_profit
        )
        bare = abs(held) - covered
        grid = self.exchange.register.instruments[symbol]
        return bare > 0 and not grid.is_dust(bare, self.prices[symbol])

    def _note_naked(self):
        for symbol in (BTC, XRP):
            if self._is_naked(symbol):
                self._naked.setdefault(symbol, self.clock.now())
            elif symbol in self._naked:
                self._end_naked(symbol)

    def _end_naked(self, symbol):
        since = self._naked.pop(symbol)
        self.spans.append(Naked(symbol=symbol, since=since, until=self.clock.now()))


async def _pass(seconds):
    await asyncio.sleep(seconds)  # noqa: TID251 - the loop's time is nobody's


@contextlib.contextmanager
def _moments_of(world):
    """Every request and message of the world's lives is a moment before it, and one after."""
    fetch, send = Client.fetch, Socket.send

    def passes(what):
        host = Host.current.get()
        if host is None:
            return  # the script itself looks at the end
        if host is world.life.host and host.is_up:
            world.pass_(what)
        if not host.is_up:
            raise Died

    async def fetched(self, url, method="GET", headers=None, body=None):
        kind = asked(url, body)
        passes(f"request {kind} before")
        if kind in world.fate.fails:
            raise world.fate.fails[kind]("it never got there")
        answer = await fetch(self, url, method, headers, body)
        passes(f"request {kind} after")
        return answer

    async def sent(self, message):
        kind = message.get("method") if isinstance(message, dict) else "frame"
        if kind == "ping":  # ccxt's, whenever it likes
            return await send(self, message)
        passes(f"message {kind} before")
        result = await send(self, message)
        passes(f"message {kind} after")
        return result

    with patch.object(Client, "fetch", fetched), patch.object(Socket, "send", sent):
        yield


async def _lived(fate, story):
    clock = story.clock
    async with asyncio.TaskGroup() as tasks:
        world = HeldWorld(fate, clock, tasks, story)
        with _moments_of(world):
            await world.live()
            world.close()
            await _pass(1.0)
    return world


def live_through(fate):
    """The world as `fate` leaves it.

    Raises:
        ExceptionGroup: something went wrong; its note tells the story.
    """
    clock = ManualClock(NOON)
    with (
        asyncio.Runner(loop_factory=SimulatedLoop) as runner,
        simulated_time(runner.get_loop(), NOON),
        patch.object(venues, "Patience", partial(Patience, chance=random.Random(1))),
        Story(clock).of_the_log() as story,
    ):
        story.clock = clock
        try:
            return runner.run(_lived(fate, story))
        except BaseException as error:
            error.add_note("\n".join(story.lines))
            raise
