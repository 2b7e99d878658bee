"""An engine on a venue that lies, through crashes: what must hold whatever happens.

One intent is at most one order, on disk before it is on the wire; no fill is lost or booked twice;
in the end our books are the venue's, and every position has stops for exactly its size.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution.care import PositionCare
from execution.order import Amending, Submitting
from execution.protection import (
    CancelOrder,
    NakedSeen,
    Protection,
    ProtectionSettings,
    cover,
)
from execution.reconcile import reconcile
from execution.venue import VenueUnavailable
from tests.builders_engine import a_clock, a_paper_venue, an_engine, an_entry, an_exit, sealed
from tests.builders_venue import BTC, XRP, KeptFacts, a_bar, instruments
from tests.fakes_venue import FlakyVenue

QUANTITIES = {BTC: Decimal(1), XRP: Decimal(100)}
PRICES = {BTC: Decimal(100), XRP: Decimal(1)}
SHAPES = {  # open, high, low, close, as shares of the usual price
    "flat": "1 1.01 0.99 1",
    "dip": "1 1.01 0.93 0.99",
    "spike": "1 1.07 0.99 1.01",
    "gap down": "0.9 0.92 0.88 0.9",
}
FIT = ProtectionSettings(
    patience=timedelta(seconds=90),
    deadline=timedelta(minutes=10),
    take_profit=True,
    break_even_from=Decimal("0.005"),
    break_even_buffer=Decimal("0.001"),
    trail_from=Decimal("0.01"),
    trail_distance=Decimal("0.01"),
    move_every=timedelta(minutes=1),
    max_age=timedelta(minutes=60),
)


def an_entry_with_a_thesis(name, quantity, *, stop, **terms):
    intent = an_entry(name, quantity, stop=stop, **terms).intent
    room = PRICES[intent.symbol] - intent.stop
    carried = {"target": intent.stop + 3 * room, "falsified_at": intent.stop + room / 2}
    return sealed(replace(intent, **carried))


class Died(Exception):
    """The process ended here."""


@dataclass
class Wire:
    """The way to the venue: it sees what goes out, and can be where the process dies."""

    venue: FlakyVenue
    journal: KeptFacts
    dies: str | None = None

    def __post_init__(self):
        self.sent = Counter()

    def __getattr__(self, name):
        return getattr(self.venue, name)

    async def amend(self, client_order_id, **terms):
        wishes = [f for f in self.journal.durable if isinstance(f, Amending)]
        assert client_order_id in {wish.client_order_id for wish in wishes}
        if self.dies == "before":
            raise Died
        await self.venue.amend(client_order_id, **terms)
        if self.dies == "after":
            raise Died

    async def submit(self, order):
        client_order_id = order.intent.intent_id
        durable = {f.order.client_order_id for f in self.journal.durable if _is_submitting(f)}
        assert client_order_id in durable
        if self.dies == "before":
            raise Died
        try:
            await self.venue.submit(order)
        except VenueUnavailable:
            raise
        except Exception:
            self.sent[client_order_id] += 1
            raise
        self.sent[client_order_id] += 1
        if self.dies == "after":
            raise Died


def _is_submitting(fact):
    return isinstance(fact, Submitting)


class World:
    """An engine, its journal, its venue and a market; each method is something that may happen."""

    def __init__(self, runner, rng, faults, *, amends):
        self.runner, self.amends = runner, amends
        self.clock = a_clock()
        self.journal = KeptFacts()
        self.bars = self.orders = 0
        paper = self.run(
            a_paper_venue(
                self.clock,
                leverage="3",
                amends=amends,
                taker_fee=Decimal("0.001"),
                participation=Decimal("0.5"),
            )
        )
        self.flaky = FlakyVenue(paper, rng, faults=faults)
        self.wire = Wire(venue=self.flaky, journal=self.journal)
        self.start()

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def start(self):
        self.care = PositionCare(
            instruments("3"), FIT, targets_in=instruments(), amends=self.amends
        )
        self.engine = an_engine(
            self.wire, self.clock, self.journal, leverage="3", listener=self.care.hear
        )
        seen = [fact for fact in self.journal.durable if isinstance(fact, NakedSeen)]
        self.protection = Protection(
            instruments("3"), FIT, amends=self.amends, write=self.journal.write, seen=seen
        )
        self.run(self.engine.recover(self.journal.facts()))
        self.look()

    def look(self):
        try:
            self.run(reconcile(self.engine))
        except VenueUnavailable:
            return

    def crash(self):
        """What was not flushed is gone, and so is what the venue told and nobody drained."""
        self.journal._written.clear()
        self.flaky._held.clear()
        self.flaky._venue.drain()
        self.start()

    def crash_while_submitting(self, where):
        self.wire.dies = where
        try:
            self.run(self.engine.work())
        except Died:
            self.wire.dies = None
            self.crash()
        self.wire.dies = None

    def enter(self, symbol, side):
        account = self.engine.account(self.clock.now())
        if account.held(symbol) or account.pending(symbol) or not account.reconciled:
            return
        stop = PRICES[symbol] * (1 - side.sign * Decimal("0.05"))
        self.accept(an_entry_with_a_thesis, QUANTITIES[symbol] * side.sign, symbol, stop=str(stop))

    def leave(self, symbol, share):
        held = self.engine.account(self.clock.now()).held(symbol)
        if quantity := instruments()[symbol].quantity(-held * Decimal(share)):
            self.accept(an_exit, quantity, symbol)

    def accept(self, build, quantity, symbol, **terms):
        self.orders += 1
        now = self.clock.now()
        approved = build(f"order {self.orders}", quantity, symbol=symbol, decided_at=now, **terms)
        self.engine.accept(approved)
        self.engine.accept(approved)

    def cancel(self, which):
        for order in self.engine.orders[which : which + 1]:
            self.engine.cancel(order.client_order_id)

    def work(self):
        self.run(self.engine.work())

    def settle(self):
        self.engine.settle()

    def flush(self):
        self.run(self.journal.flush())

    def bar(self, symbol, shape, volume):
        prices = " ".join(f"{PRICES[symbol] * Decimal(p):.5f}" for p in SHAPES[shape].split())
        bar = a_bar(prices, number=self.bars, symbol=symbol, volume=volume)
        self.bars += 1
        self.clock.move_to(bar.closed_at)
        self.run(self.flaky.observe(bar))
        self.engine.ledger.mark(symbol, bar.close, bar.closed_at)

    def protect(self):
        account = self.engine.account(self.clock.now())
        engine = self.engine
        self.do(
            account,
            self.protection.review(account, engine.orders, engine.plans, revision=engine.revision),
        )
        self.do(account, self.care.review(account, engine.orders, engine.plans))

    def do(self, account, actions):
        """What the book does, without the gate."""
        for action in actions:
            if isinstance(action, CancelOrder):
                self.engine.cancel(action.client_order_id)
            else:
                assert action.reduces
                assert abs(action.quantity) <= abs(account.held(action.symbol))
                self.no_stop_gives_way_to_a_looser_one(action)
                self.engine.accept(sealed(action))

    def no_stop_gives_way_to_a_looser_one(self, intent):
        if intent.moves:
            before = self.engine.blotter.find(intent.replaces or intent.amends).order
            assert (intent.trigger - before.trigger) * before.side.opposite.sign >= 0

    def one_intent_is_at_most_one_order(self):
        assert all(times == 1 for times in self.wire.sent.values())

    def come_to_rest(self):
        self.flaky.heal()
        for quiet in range(25):
            if quiet >= 20 and not self.engine.outbox.has_work:
                break  # a position may have come of age in the last of them
            for symbol in (BTC, XRP):
                self.bar(symbol, "flat", "1000000")
                self.run(self.engine.work())
                self.engine.settle()
                self.protect()
            self.run(reconcile(self.engine))
        assert not self.engine.outbox.has_work
        last = self.run(reconcile(self.engine))
        assert last.reconciled
        assert not last.differences
        self.books_are_the_venues()
        self.every_position_has_its_stop()
        self.no_exit_turned_a_position()

    def no_exit_turned_a_position(self):
        held = Counter()
        for fill in self.run(self.flaky.fills()):
            before, change = held[fill.symbol], fill.quantity * fill.side.sign
            order = self.engine.blotter.find(fill.client_order_id).order
            if order.reduce_only:
                assert before * change < 0
                assert abs(change) <= abs(before)
            held[fill.symbol] += change

    def books_are_the_venues(self):
        ours, theirs = self.engine.ledger.balances, self.run(self.flaky.balances())
        assert all(ours.get(a, 0) == theirs.get(a, 0) for a in ours.keys() | theirs.keys())
        open_there = {order.client_order_id for order in self.run(self.flaky.open_orders())}
        assert {order.client_order_id for order in self.engine.orders} == open_there

    def every_position_has_its_stop(self):
        account = self.engine.account(self.clock.now())
        for symbol in (BTC, XRP):
            held = account.held(symbol)
            fit = cover(held, [o for o in self.engine.orders if o.order.symbol == symbol])
            assert not fit.superfluous
            bare = abs(held) - fit.acknowledged  # dust from before an entry has no stop of its own
            assert not bare or instruments()[symbol].is_dust(bare, PRICES[symbol])
            assert bare >= 0


WEIGHTS = {
    "bar": 10,
    "work": 8,
    "settle": 8,
    "protect": 6,
    "enter": 8,
    "leave": 3,
    "cancel": 1,
    "flush": 1,
    "look": 4,
    "crash": 1,
    "crash_while_submitting": 1,
}
DETAILS = {
    "bar": ([BTC, XRP], list(SHAPES), ["1.3", "150", "1000000"]),
    "enter": ([BTC, XRP], list(Side)),
    "leave": ([BTC, XRP], ["0.4", "1"]),
    "cancel": (range(6),),
    "crash_while_submitting": (["before", "after"],),
}


def live_through(seed, *, faults, steps, amends):
    """A world in which so many things happen at random, and which then comes to rest."""
    rng = random.Random(seed)
    with asyncio.Runner() as runner:
        world = World(runner, rng, faults, amends=amends)
        for name in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps):
            getattr(world, name)(*(rng.choice(choices) for choices in DETAILS.get(name, ())))
            world.one_intent_is_at_most_one_order()
        world.come_to_rest()
    return world


@pytest.mark.req("S0-21", "S1-131", "S1-137")
@given(
    seed=st.integers(0, 2**32),
    faults=st.sampled_from([0.0, 0.2, 0.5]),
    steps=st.integers(1, 150),
    amends=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_the_books_come_to_agree(seed, faults, steps, amends):
    live_through(seed, faults=faults, steps=steps, amends=amends)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_whatever_happens_for_long_the_books_come_to_agree(block):
    for seed in range(block * 50, block * 50 + 50):
        live_through(seed, faults=0.3, steps=500, amends=bool(seed % 2))
