"""The house and the exchange together; each public method is something that may happen."""

from collections import Counter
from contextvars import copy_context
from datetime import timedelta
from decimal import Decimal

from data.instrument import Side
from sextant.command import CannotObey, Command, Verb
from tests.builders_lies_binance import BinanceThere
from tests.builders_lies_hyperliquid import HyperliquidThere
from tests.builders_lies_kraken import KrakenThere
from tests.builders_lies_life import Life, an_entry, an_exit
from tests.builders_lies_promises import Promises
from tests.builders_lies_script import MISCHIEF
from tests.builders_rehearsal import NOON
from tests.simulated_loop import Host

EXCHANGES = {
    "kraken": KrakenThere, "binance": BinanceThere, "hyperliquid": HyperliquidThere,
}  # fmt: skip
_CALM = timedelta(minutes=8)  # in which all must come to agree, once everybody behaves


class World(Promises):
    """All of it; each public method is something that may happen."""

    def __init__(self, script, clock, tasks, story):
        self.script, self.clock, self.tasks = script, clock, tasks
        self.story = story
        self.approved = {}  # ever, by id
        self.arrived = Counter()  # at the exchange, by client order id
        self.flaws = []
        self.calm_since = NOON
        self.unfit = {}  # since when the stops of a symbol are too few, or too many
        self.life = None
        self._records = ()
        self.there = EXCHANGES[script.venue](self)
        flat = {symbol.base: Decimal(0) for symbol in self.there.place.symbols}
        self._holdings = [(NOON, flat)]  # from when on

    def tell(self, text):
        self.story.tell(text)

    # The exchange

    async def open(self):
        await self.there.open()
        self.start()

    def notice(self, look, happened):
        """The exchange's own books change: what must never be is looked for at once.

        What is found is raised by the next `check`, and not at whoever the exchange answers.
        """
        try:
            look(happened)
        except AssertionError as flaw:
            self.note_flaw(flaw)

    def note_flaw(self, flaw):
        self.tell(f"FLAW: {flaw}")
        self.flaws.append(flaw)

    def saw_fill(self):
        self._holdings.append((self.clock.now(), self.there.bases))

    def saw_arrival(self, order):
        """An order that nobody but we can have placed is there for the first time."""
        name = order.name
        self.arrived[name] += 1
        assert self.arrived[name] == 1, f"placed twice: {name}"
        assert name in self.approved, f"never approved: {name}"
        approved = self.approved[name]
        assert self.life.is_durable(name), f"not on record: {name}"
        asked = abs(approved.quantity), approved.intent.symbol, Side.of(approved.quantity)
        placed = order.quantity, order.symbol, order.side
        assert placed == asked, f"{name}: {placed}, not {asked}"
        assert order.reduce_only == (approved.intent.reduce_only and order.on_margin)

    # Ourselves

    def start(self):
        self.life = life = Life(self, self._records)
        context = copy_context()
        context.run(Host.current.set, life.host)
        life.task = self.tasks.create_task(life.run(), context=context)
        self.tell("we start")

    @property
    def is_trading(self):
        return self.life is not None and self.life.host.is_up and self.life.session is not None

    # What may happen: ours

    async def enter(self, symbol, side, how, size, distance, accident):
        if not self.is_trading:
            return
        self._befalls(self.there.placing, accident)
        book, now = self.life.book, self.clock.now()
        price = self.there.prices[symbol]
        tick = book.engine.instruments[symbol].tick
        away = {"market": 0, "at": 0, "near": Decimal("0.002"), "far": Decimal("0.01")}[how]
        limit = None if how == "market" else _on(tick, price * (1 - side.sign * away))
        stop = _on(tick, (limit or price) * (1 - side.sign * Decimal(str(distance))))
        quantity = Decimal(1000) * Decimal(str(size)) / price
        intent = an_entry(
            "chance",
            symbol,
            book.engine.instruments[symbol].quantity(quantity * side.sign),
            now,
            stop=stop,
            target=_on(tick, (limit or price) * (1 + side.sign * Decimal("0.09"))),
            limit=limit,
        )
        self.life.judge(intent, price)

    async def leave(self, symbol, share, limited, accident):
        if not self.is_trading:
            return
        self._befalls(self.there.placing, accident)
        book, now = self.life.book, self.clock.now()
        held = book.account(now).held(symbol)
        grid, price = book.engine.instruments[symbol], self.there.prices[symbol]
        quantity = grid.quantity(-held * Decimal(str(share)))
        if not quantity:
            return
        better = Decimal("0.003") * (1 if held > 0 else -1)
        limit = _on(grid.tick, price * (1 + better)) if limited else None
        self.life.judge(an_exit("chance", symbol, quantity, now, limit=limit), price)

    async def enter_and_crash(self, symbol, side, soon, after):
        await self.enter(symbol, side, "market", 1, 0.02, None)
        await self.clock.sleep(timedelta(seconds=soon))
        await self.crash(after)

    async def leave_and_crash(self, symbol, soon, after):
        await self.leave(symbol, 1, False, None)
        await self.clock.sleep(timedelta(seconds=soon))
        await self.crash(after)

    def _befalls(self, method, accident):
        if accident is not None:
            self._trouble()
            self.there.next(method, accident)

    async def cancel(self, which, accident):
        if self.is_trading and (orders := self.life.engine.orders):
            name = orders[which % len(orders)].client_order_id
            self._befalls(self.there.cancelling_of(name), accident)
            self.life.engine.cancel(name)

    async def flatten(self):
        await self._command(Verb.FLATTEN)

    async def halt(self):
        await self._command(Verb.HALT)

    async def resume(self):
        await self._command(Verb.RESUME)

    async def _command(self, verb):
        if not self.is_trading:
            return
        try:
            text = await self.life.daemon._obey(Command(verb=verb, by="Ada", why="a drill"))
        except CannotObey as refused:
            text = f"refused: {refused}"
        self.tell(f"   {text}")

    async def crash(self, after):
        if self.life.host.is_up:
            self._records = self.life.die()
        self._trouble()
        await self.clock.sleep(timedelta(seconds=after))
        self.start()

    async def cut_off(self, seconds):
        """Our line is down: nothing goes out, and what is open breaks."""
        host = self.life.host
        if not host.is_up:
            return
        self._trouble(seconds)
        host.cut()
        await self.clock.sleep(timedelta(seconds=seconds))
        host.mend()

    # What may happen: theirs

    async def move(self, symbol, share, count):
        """Others move the price, in so many trades."""
        there = self.there
        for n in range(1, count + 1):
            step = Decimal(str(share)) / count
            price = _on(there.instruments[symbol].tick, there.prices[symbol] * (1 + step))
            if symbol == there.second:
                price = max(price, there.lowest)
            side = Side.BUY if share > 0 else Side.SELL
            await there.trade(symbol, price, Decimal(2000) / price, side)
            if n < count:
                await self.clock.sleep(timedelta(milliseconds=7))

    async def set_off(self, which, volume):
        """Others trade through the price of one of our orders, so much of it."""
        ours = [order for order in self.there.open_orders if order.trigger or order.limit]
        if not ours:
            return
        order = ours[which % len(ours)]
        tick = self.there.instruments[order.symbol].tick
        sign = order.side.sign * (1 if order.is_conditional else -1)
        price = (order.trigger or order.limit) + 3 * sign * tick
        side = order.side if order.is_conditional else order.side.opposite
        await self.there.trade(order.symbol, price, order.quantity * Decimal(str(volume)), side)

    async def trickle(self, symbol, size):
        """A little is traded at the price as it is, each way: what rests there fills in part."""
        tick = self.there.instruments[symbol].tick
        for side in Side:
            price = self.there.prices[symbol] - side.sign * 2 * tick
            await self.there.trade(symbol, price, Decimal(1000) * Decimal(str(size)) / price, side)

    async def lag(self, symbol, seconds):
        """What it answers of its fills in a market is so old from now on."""
        self._trouble()
        self.there.lag(symbol, timedelta(seconds=seconds))

    async def lag_orders(self, symbol, seconds):
        """What it answers knows of no order in a market that is younger than that."""
        self._trouble()
        self.there.lag_orders(symbol, timedelta(seconds=seconds))

    async def fund(self, symbol, amount):
        """Funding is paid, or received, if there is a position."""
        if self.there.held(symbol):
            self.there.fund(symbol, Decimal(str(amount)))

    async def misbehave(self, how, methods, seed):
        self._trouble()
        self.there.misbehave(MISCHIEF[how], methods, seed)

    async def behave(self):
        self._trouble()
        self.there.behave()

    async def mishap(self, method, accident, count):
        self._trouble()
        self.there.next(method, *[accident] * count)

    async def let_go(self):
        self.there.let_go()

    async def hang_up(self):
        self._trouble()
        self.there.close_sockets()

    async def fall_silent(self, on):
        self._trouble()
        self.there.silence(on=on)

    async def expire_tokens(self):
        self._trouble()
        self.there.expire_tokens()

    async def venue_cancels(self, which):
        """The exchange ends an order of ours by itself, the partly filled ones first."""
        self._trouble()
        ours = sorted(self.there.open_orders, key=lambda order: not order.filled)
        if ours:
            self.there.cancel(ours[which % len(ours)])

    async def restart_exchange(self, away):
        """It ends, and comes back with what it had kept."""
        self._trouble(away)
        await self.there.restart(away)

    def _trouble(self, seconds=0.0):
        self.calm_since = self.clock.now() + timedelta(seconds=seconds)

    @property
    def _is_calm(self):
        return self.is_trading and self.there.behaves

    # In the end

    async def let_pass(self, seconds):
        """Let the world go on, looking every second."""
        until = self.clock.now() + timedelta(seconds=seconds)
        while (left := until - self.clock.now()) > timedelta(0):
            pace = timedelta(seconds=1 if seconds < 30 else 5 if seconds < 200 else 20)
            await self.clock.sleep(min(left, pace))
            self.check()

    async def come_to_rest(self):
        """Everybody behaves from now on: in the end all must agree."""
        await self.behave()
        self.there.let_go()
        self.there.forget_accidents()
        if self.script.seed % 3 == 0:
            await self.until_trading()
            self.tell("flatten in the end")
            await self.flatten()
        for _ in range(int(_CALM.total_seconds() // 30)):
            for symbol in self.there.place.symbols:
                await self.there.trade(symbol, self.there.prices[symbol], Decimal(1), Side.BUY)
            await self.let_pass(30)
        assert self.is_trading, "never reconciled"
        self.tell("looked at in the end")
        await self._check_end()

    async def until_trading(self):
        for _ in range(600):
            if self.is_trading:
                return
            await self.clock.sleep(timedelta(seconds=1))
        raise AssertionError("never reconciled")

    def die_at_last(self):
        self.life.die()
        self.there.end()


def _on(grid, value):
    return round(value / grid) * grid
