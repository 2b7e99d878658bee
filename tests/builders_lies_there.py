"""What a story needs of an exchange, whichever it is: what is true there, and what can be done."""

import asyncio
import contextlib
import os
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

from data.instrument import Side, Symbol
from sextant.rehearsal.faults import NO_FAULTS, Faults
from tests.builders_lies_script import PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An order at an exchange, as it stands there."""

    key: object  # by which the exchange knows it
    name: str | None  # the client order id in our words; None: it was placed without one
    symbol: Symbol
    side: Side
    quantity: Decimal
    filled: Decimal
    kind: str
    trigger: Decimal | None = None
    limit: Decimal | None = None
    reduce_only: bool = False
    is_conditional: bool = False
    takes_profit: bool = False
    waits: bool = False  # for its price, outside the book
    parent: object = None  # the order that brought it along
    on_margin: bool = True


class There:
    """An exchange with one account, in the time of a world.

    What happens there it tells the world at once: `saw_arrival`, `saw_fill`, `tell`. `server` has
    `mischief`, and is replaced where a restart makes another one.
    """

    server = None
    site = None  # where the daemon is told of it; the others are put in place of the real ones

    def __init__(self, world):
        self.world, self.clock = world, world.clock
        self.place = PLACES[world.script.venue]
        self.first, self.second = self.place.symbols
        self.foreign = {}

    def misbehave(self, how, methods, seed):
        chosen = frozenset(self.place.methods[methods])
        self.server.mischief.change(Faults(seed=seed, methods=chosen, **how))

    def behave(self):
        self.server.mischief.change(NO_FAULTS)
        self.silence(on=False)

    def next(self, method, *accidents):
        self.server.mischief.order(method, *accidents)

    def forget_accidents(self):
        """Nothing more happens to the requests that it was ordered for."""
        for each in self.server.mischief._ordered.values():
            each.clear()

    @property
    def behaves(self):
        mischief = self.server.mischief
        return (
            mischief.faults == NO_FAULTS
            and not any(mischief._ordered.values())
            and not self.is_silent
            and not self.hangs
        )

    @property
    def bases(self):
        balances = self.balances
        return {symbol.base: Decimal(balances[symbol.base]) for symbol in self.place.symbols}

    def is_dust(self, symbol, quantity):
        return not quantity or self.instruments[symbol].is_dust(quantity, self.prices[symbol])


class LateThere(There):
    """One that keeps all that has happened; only its server ends, and comes back."""

    def __init__(self, world):
        super().__init__(world)
        self._stop = self._serving = None

    @property
    def watched(self):
        """How its venue is watched, and the leverage there: of the settings."""
        return {
            "leverage": dict.fromkeys(self.place.symbols, 3),
            "look_every": timedelta(seconds=30),
            "first_redial": timedelta(seconds=1),
        }

    @contextlib.contextmanager
    def in_place(self):
        """What the daemon opens is here."""
        module, name = self.line
        real = getattr(module, name)

        def line(*args, **options):
            return real(*args, **options, urls=self.server.urls)

        with patch.dict(os.environ, self.keys), patch.object(module, name, line):
            yield

    @property
    def balances(self):
        return Counter(self.account.books.balances)

    def lag(self, symbol, span):
        self.account.lags[self._market(symbol)] = span

    def lag_orders(self, symbol, span):
        self.account.order_lags[self._market(symbol)] = span

    @property
    def lowest(self):
        """What the price of the second market never falls below: there others' orders are."""
        return Decimal(600)

    async def open(self):
        if self.world.script.foreign:
            self.place_foreign_orders()
        self.watch()
        await self._open()

    async def _open(self):
        opened, self._stop = asyncio.Event(), asyncio.Event()
        self._serving = self.world.tasks.create_task(self._serve(opened, self._stop))
        await opened.wait()

    async def _serve(self, opened, stop):
        await self.server.listen()
        opened.set()
        try:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await stop.wait()
                self.pass_time()
        finally:
            await self.server.deafen()

    async def restart(self, away):
        self._stop.set()
        await self._serving
        await self.clock.sleep(timedelta(seconds=away))
        await self._open()

    def end(self):
        self._stop.set()

    def behave(self):
        super().behave()
        for lags in (self.account.lags, self.account.order_lags):
            lags.clear()

    @property
    def behaves(self):
        lags = *self.account.lags.values(), *self.account.order_lags.values()
        return super().behaves and not any(lags)

    def silence(self, *, on):
        self.server.silent = on

    @property
    def is_silent(self):
        return self.server.silent

    @property
    def hangs(self):
        return self.server.hangs

    def let_go(self):
        self.server.let_go()
