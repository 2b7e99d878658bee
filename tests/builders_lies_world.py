"""The house and the exchange together; each public method is something that may happen."""

import asyncio
from collections import Counter
from contextvars import copy_context
from datetime import timedelta
from decimal import Decimal

from data.instrument import Side
from data.regime import Regime
from risk.intent import Direction, OrderIntent, Purpose, intent_id
from risk.market import Market
from sextant.command import CannotObey, Command, Verb
from sextant.market import Site
from sextant.rehearsal.faults import NO_FAULTS, Faults
from sextant.rehearsal.market import MarketTrade
from sextant.rehearsal.order_form import ticket_of
from sextant.rehearsal.rates import Tier
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.server import RehearsalServer, Terms
from tests.builders_lies_life import Diary, Life, codecs, settings_of
from tests.builders_lies_promises import Promises
from tests.builders_lies_script import METHODS, MISCHIEF
from tests.builders_rehearsal import GENEROUS, NOON, PRICES
from tests.builders_venue import BTC, XRP
from tests.simulated_loop import Host

_CALM = timedelta(minutes=8)  # in which all must come to agree, once everybody behaves


class World(Promises):
    """All of it; each public method is something that may happen."""

    def __init__(self, script, clock, tasks, story):
        self.script, self.clock, self._tasks = script, clock, tasks
        self.settings = settings_of(attach=script.attach, spot=script.spot, patient=script.patient)
        self.prices = dict(PRICES)
        self.story = story
        self.approved = {}  # ever, by id
        self.arrived = Counter()  # at the exchange, by client order id
        self.foreign = {}
        self.flaws = []
        self._holdings = [(NOON, {"BTC": Decimal(0), "XRP": Decimal(0)})]  # from when on
        self.calm_since = NOON
        self.unfit = {}  # since when the stops of a symbol are too few, or too many
        self.control = self.server = self.life = self.site = None
        self._records = ()
        self._market = Diary("venue", codecs()[1], clock)
        self._stop = None

    def tell(self, text):
        self.story.tell(text)

    # The exchange

    async def open(self):
        await self._open_exchange()
        self._place_foreign_orders()
        self.site = Site(
            urls=self.server.urls, key=self.server.keyring.key, secret=self.server.keyring.secret
        )
        self.start()

    @property
    def exchange(self):
        return self.server.exchange

    async def _open_exchange(self):
        balances = {asset: b for asset, b in self.settings.account.balances.items() if b}
        terms = Terms(
            balances=balances,
            seed=self.script.seed,
            tier=Tier(asked=20, asked_decay=1, traded=180, traded_decay=3.75)
            if self.script.tier
            else GENEROUS,
            port=self.server.port if self.server is not None else 0,
            tick=timedelta(seconds=1),
            heartbeat=timedelta(seconds=5),
        )
        self.server = RehearsalServer(
            terms,
            prices=self.prices,
            clock=self.clock,
            tape=iter(()),
            record=await AccountRecord.open(self._market),
        )
        self.exchange.listeners.append(self._happened)
        opened, self._stop = asyncio.Event(), asyncio.Event()
        self._tasks.create_task(self._serve(opened, self._stop))
        await opened.wait()
        self._holdings.append((self.clock.now(), self._bases))  # what was not kept never was

    async def _serve(self, opened, stop):
        async with self.server.serving() as control:
            self.control = control
            opened.set()
            await stop.wait()

    def _place_foreign_orders(self):
        """Somebody else's, at the same account: with an id, without one, and a stop on margin."""
        common = {"pair": "XRPUSDT", "volume": "50", "leverage": "none"}
        for form in (
            common | {"type": "buy", "ordertype": "limit", "price": "0.1"},
            common
            | {"type": "buy", "ordertype": "limit", "price": "0.11", "cl_ord_id": "somebody"},
            common | {"type": "sell", "ordertype": "stop-loss", "price": "0.05", "leverage": "2"},
        ):
            order = self.exchange.add(ticket_of(form, self.exchange.register, self.clock.now()))
            self.foreign[order.txid] = order.ticket

    def _happened(self, execution):
        """The exchange's own books change: what must never be is looked for at once.

        What is found is raised by the next `check`, and not at whoever the exchange answers.
        """
        try:
            self._look_at(execution)
        except AssertionError as flaw:
            self.note_flaw(flaw)

    def note_flaw(self, flaw):
        self.tell(f"FLAW: {flaw}")
        self.flaws.append(flaw)

    def _look_at(self, execution):
        if execution.trade is not None:
            self._holdings.append((self.clock.now(), self._bases))
        order = execution.order
        name = order.ticket.cl_ord_id
        if (
            execution.kind == "pending_new"
            and order.parent is None
            and order.txid not in self.foreign
        ):
            if name in (None, "somebody"):
                return
            self.arrived[name] += 1
            self._check_arrival(name, order)
        if order.txid in self.foreign:
            assert execution.kind in ("pending_new", "new"), f"foreign, and {execution.kind}"
        about = f" of {order.parent}" if order.parent else ""
        self.tell(
            f"   there: {execution.kind} {order.ticket.side} {order.ticket.quantity} "
            f"{order.ticket.listing.symbol} {order.ticket.kind} {name or order.txid}{about} "
            f"{order.reason}"
        )

    def _check_arrival(self, name, order):
        assert self.arrived[name] == 1, f"placed twice: {name}"
        assert name in self.approved, f"never approved: {name}"
        approved, ticket = self.approved[name], order.ticket
        assert self.life.is_durable(name), f"not on record: {name}"
        asked = abs(approved.quantity), approved.intent.symbol, Side.of(approved.quantity)
        placed = ticket.quantity, ticket.listing.symbol, ticket.side
        assert placed == asked, f"{name}: {placed}, not {asked}"
        on_margin = ticket.leverage is not None
        assert ticket.reduce_only == (approved.intent.reduce_only and on_margin)

    # Ourselves

    def start(self):
        self.life = life = Life(self, self._records)
        context = copy_context()
        context.run(Host.current.set, life.host)
        life.task = self._tasks.create_task(life.run(), context=context)
        self.tell("we start")

    @property
    def is_trading(self):
        return self.life is not None and self.life.host.is_up and self.life.session is not None

    # What may happen: ours

    async def enter(self, symbol, side, how, size, distance, accident):
        if not self.is_trading:
            return
        self._befalls("AddOrder", accident)
        book, now = self.life.book, self.clock.now()
        price = self.prices[symbol]
        tick = book.engine.instruments[symbol].tick
        away = {"market": 0, "at": 0, "near": Decimal("0.002"), "far": Decimal("0.01")}[how]
        limit = None if how == "market" else _on(tick, price * (1 - side.sign * away))
        stop = _on(tick, (limit or price) * (1 - side.sign * Decimal(str(distance))))
        quantity = Decimal(1000) * Decimal(str(size)) / price
        intent = OrderIntent(
            intent_id=intent_id("chance", symbol, now, Purpose.ENTRY),
            strategy_id="chance",
            symbol=symbol,
            purpose=Purpose.ENTRY,
            direction=Direction.LONG if side is Side.BUY else Direction.SHORT,
            decided_at=now,
            confidence=0.9,
            quantity=book.engine.instruments[symbol].quantity(quantity * side.sign),
            stop=stop,
            target=_on(tick, (limit or price) * (1 + side.sign * Decimal("0.09"))),
            limit=limit,
        )
        self._judge(intent, price, now)

    async def leave(self, symbol, share, limited, accident):
        if not self.is_trading:
            return
        self._befalls("AddOrder", accident)
        book, now = self.life.book, self.clock.now()
        held = book.account(now).held(symbol)
        grid, price = book.engine.instruments[symbol], self.prices[symbol]
        quantity = grid.quantity(-held * Decimal(str(share)))
        if not quantity:
            return
        better = Decimal("0.003") * (1 if held > 0 else -1)
        intent = OrderIntent(
            intent_id=intent_id("chance", symbol, now, Purpose.EXIT),
            strategy_id="chance",
            symbol=symbol,
            purpose=Purpose.EXIT,
            direction=Direction.CLOSE,
            decided_at=now,
            confidence=0.9,
            quantity=quantity,
            limit=_on(grid.tick, price * (1 + better)) if limited else None,
            reduce_only=True,
        )
        self._judge(intent, price, now)

    def _judge(self, intent, price, now):
        book = self.life.book
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
        self.tell(f"judged {intent.purpose} {intent.intent_id}: {_in_short(verdict)}")
        book.act(verdict, now=now)

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
            self.control.next(method, accident)

    async def cancel(self, which, accident):
        if self.is_trading and (orders := self.life.engine.orders):
            self._befalls("CancelOrder", accident)
            self.life.engine.cancel(orders[which % len(orders)].client_order_id)

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
        for n in range(1, count + 1):
            tick = self.exchange.register.instruments[symbol].tick
            step = Decimal(str(share)) / count
            price = _on(tick, self.prices[symbol] * (1 + step))
            if symbol == XRP:
                price = max(price, Decimal("0.3"))
            self._trade(symbol, price, Decimal(2000) / price, Side.BUY if share > 0 else Side.SELL)
            if n < count:
                await self.clock.sleep(timedelta(milliseconds=7))

    async def set_off(self, which, volume):
        """Others trade through the price of one of our orders, so much of it."""
        ours = [o for o in self._open_orders() if o.ticket.trigger or o.ticket.limit]
        if not ours:
            return
        ticket = ours[which % len(ours)].ticket
        tick = ticket.listing.instrument.tick
        sign = ticket.side.sign * (1 if ticket.kind.waits else -1)
        price = (ticket.trigger or ticket.limit) + 3 * sign * tick
        side = ticket.side if ticket.kind.waits else ticket.side.opposite
        self._trade(ticket.listing.symbol, price, ticket.quantity * Decimal(str(volume)), side)

    async def trickle(self, symbol, size):
        """A little is traded at the price as it is, each way: what rests there fills in part."""
        tick = self.exchange.register.instruments[symbol].tick
        for side in Side:
            price = self.prices[symbol] - side.sign * 2 * tick
            self._trade(symbol, price, Decimal(1000) * Decimal(str(size)) / price, side)

    def _trade(self, symbol, price, quantity, side):
        lot = self.exchange.register.instruments[symbol].lot
        self.server.catch_up()
        trade = MarketTrade(
            at=self.clock.now(), price=price, quantity=_on(lot, quantity) or lot, side=side
        )
        self.server.trade(symbol, trade)
        self.prices[symbol] = price

    async def misbehave(self, how, methods, seed):
        faults = MISCHIEF[how]
        self._trouble()
        self.control.misbehave(Faults(seed=seed, methods=frozenset(METHODS[methods]), **faults))

    async def behave(self):
        self._trouble()
        self.control.misbehave(NO_FAULTS)
        self.control.silence(on=False)

    async def mishap(self, method, accident, count):
        self._trouble()
        self.control.next(method, *[accident] * count)

    async def let_go(self):
        self.control.let_go()

    async def hang_up(self):
        self._trouble()
        self.control.close_sockets()

    async def fall_silent(self, on):
        self._trouble()
        self.control.silence(on=on)

    async def expire_tokens(self):
        self._trouble()
        self.control.expire_tokens()

    async def venue_cancels(self, which):
        """The exchange ends an order of ours by itself, the partly filled ones first."""
        self._trouble()
        ours = sorted(self._open_orders(), key=lambda order: not order.filled)
        if ours:
            order = ours[which % len(ours)]
            if order.is_open:
                self.exchange.cancel(order.txid)

    async def restart_exchange(self, away):
        """It ends, and comes back with what it had kept."""
        self._trouble(away)
        self._stop.set()
        while self.server._runner is not None:
            await self.clock.sleep(timedelta(milliseconds=1))
        self._market = Diary("venue", codecs()[1], self.clock, records=self._market.lose())
        await self.clock.sleep(timedelta(seconds=away))
        await self._open_exchange()

    def _trouble(self, seconds=0.0):
        self.calm_since = self.clock.now() + timedelta(seconds=seconds)

    @property
    def _is_calm(self):
        mischief = self.server.mischief
        return (
            self.is_trading
            and mischief.faults == NO_FAULTS
            and not self.server.sockets.silent
            and not any(mischief._ordered.values())
            and self.server.rest.go_on.is_set()
        )

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
        self.control.let_go()
        for each in self.server.mischief._ordered.values():
            each.clear()
        if self.script.seed % 3 == 0:
            await self.until_trading()
            self.tell("flatten in the end")
            await self.flatten()
        for _ in range(int(_CALM.total_seconds() // 30)):
            for symbol in (BTC, XRP):
                self._trade(symbol, self.prices[symbol], Decimal(1), Side.BUY)
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
        self._stop.set()


def _on(grid, value):
    return round(value / grid) * grid


def _in_short(verdict):
    objections = getattr(verdict, "objections", None)
    return type(verdict).__name__ if objections is None else [str(o.rule) for o in objections]
