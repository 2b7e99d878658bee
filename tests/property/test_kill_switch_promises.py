"""The kill switch on a venue that lies, through crashes: what must hold whatever happens.

From its record on nothing is entered; exits never turn a position; it cannot be lifted before the
venue has said that nothing of ours is left, and in the end the venue says so; what is not ours is
left alone.
"""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution.order import OrderStatus, Submitting
from execution.protection import ProtectionSettings
from execution.venue import VenueUnavailable
from risk.approval import ApprovedOrder
from risk.breaker import (
    FlatSeen,
    Flatten,
    Halt,
    Marked,
    Resume,
    RiskState,
    TradingState,
    next_state,
)
from risk.breaker_orders import breaker_intents
from tests.builders_book import a_book_house
from tests.builders_engine import a_clock, a_paper_venue, an_entry
from tests.builders_risk import (
    INSTRUMENT,
    LIMITS,
    NOW,
    a_market,
    a_position,
    a_state,
    an_account,
    judged,
)
from tests.builders_venue import BTC, XRP, approved
from tests.fakes_venue import FlakyVenue

GRID = {symbol: replace(INSTRUMENT, symbol=symbol) for symbol in (BTC, XRP)}
THROWN = next_state(a_state(), Flatten(by="Ada", why="storm", at=NOW), LIMITS)
positions = st.dictionaries(
    st.sampled_from(list(GRID)), st.decimals("-3", "3", places=4).filter(bool), min_size=1
)


@given(held=positions, closing=st.sets(st.sampled_from(list(GRID))))
@settings(max_examples=150, deadline=None)
def test_what_it_asks_for_closes_and_never_turns_and_is_asked_for_once(held, closing):
    account = an_account("1000", *(a_position(str(q), symbol=s) for s, q in held.items()))
    orders = breaker_intents(
        THROWN, account, LIMITS, instruments=GRID, closing=frozenset(closing), now=NOW
    )
    intents = orders.intents if orders else ()
    assert not {intent.symbol for intent in intents} & closing
    for intent in intents:
        market = a_market(instrument=GRID[intent.symbol], price=None, rate=None)
        verdict = judged(intent, account=account, market=market, state=THROWN)
        assert isinstance(verdict, ApprovedOrder)
        assert verdict.intent.reduce_only
        before = held[intent.symbol]
        after = before + verdict.quantity
        assert after * before >= 0
        assert abs(after) < GRID[intent.symbol].lot
    left = {s for s, q in held.items() if not GRID[s].is_dust(q, Decimal(100))} - closing
    assert {intent.symbol for intent in intents} == left
    asked = frozenset(closing | {intent.symbol for intent in intents})
    assert (
        breaker_intents(THROWN, account, LIMITS, instruments=GRID, closing=asked, now=NOW) is None
    )


moments = st.integers(0, 5).map(lambda minutes: NOW + timedelta(minutes=minutes))
events = st.one_of(
    st.builds(FlatSeen, is_flat=st.booleans(), at=moments),
    st.builds(Flatten, by=st.just("Bob"), why=st.just("again"), at=moments),
    st.builds(Halt, by=st.just("Bob"), why=st.just("too"), at=moments),
    st.builds(Marked, equity=st.sampled_from([Decimal(700), Decimal(1500), None]), at=moments),
    st.builds(Resume, by=st.just("Bob"), why=st.just("done?"), at=moments),
)


@given(st.lists(events, max_size=12))
@settings(max_examples=150, deadline=None)
def test_it_is_lifted_by_a_person_and_only_after_the_venues_word(happened):
    state, has_spoken = THROWN, False
    for event in happened:
        after = next_state(state, event, LIMITS)
        if isinstance(event, FlatSeen):
            has_spoken = event.is_flat
        if after.latch is None:
            assert isinstance(event, Resume)
            assert has_spoken
            return
        assert after.latch.is_done == has_spoken
        assert after.trading is TradingState.HALTED
        assert after.latch.reason == THROWN.latch.reason
        state = after


class World:
    """A house on a venue that lies, with somebody else's order; each method may happen."""

    def __init__(self, runner, rng, faults):
        self.runner, self.rng = runner, rng
        self.bars = self.orders = 0
        clock = a_clock()
        paper = self.run(
            a_paper_venue(
                clock, leverage="3", taker_fee=Decimal("0.001"), participation=Decimal("0.5")
            )
        )
        self.foreign = approved("somebody else's", "1", limit="10")
        self.run(paper.submit(self.foreign))
        paper.drain()
        self.flaky = FlakyVenue(paper, rng, faults=faults)
        fit = ProtectionSettings(patience=timedelta(seconds=90), deadline=timedelta(minutes=10))
        self.house = self.run(a_book_house(self.flaky, clock=clock, leverage="3", fit=fit))
        self.look()

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def enter(self, symbol, side, limit):
        house, size = self.house, {BTC: 1, XRP: 100}[symbol]
        price = {BTC: Decimal(100), XRP: Decimal(1)}[symbol]
        account = house.book.account(house.clock.now())
        if account.held(symbol) or account.pending(symbol) or house.state.latch is not None:
            return
        self.orders += 1
        stop = price * (1 - side.sign * Decimal("0.05"))
        at = price * (1 - side.sign * Decimal("0.02")) if limit else None
        entry = an_entry(
            f"order {self.orders}",
            size * side.sign,
            symbol=symbol,
            stop=str(stop),
            limit=at,
            decided_at=house.clock.now(),
        )
        house.book.engine.accept(entry)

    def bar(self, symbol, volume):
        price = {BTC: 100, XRP: 1}[symbol]
        swing = self.rng.choice([Decimal("0.93"), Decimal("0.99"), Decimal(1), Decimal("1.07")])
        prices = sorted([price, price * swing])
        text = f"{price:.5f} {prices[1]:.5f} {prices[0]:.5f} {price:.5f}"
        self.run(self.house.bar(text, self.bars, symbol=symbol, volume=volume))
        self.bars += 1

    def work(self):
        self.run(self.house.after(7))

    def look(self):
        try:
            self.run(self.house.ask_the_venue())
        except VenueUnavailable:
            return

    def flatten(self):
        self.run(self.house.flatten())

    def resume(self):
        house, latch = self.house, self.house.state.latch
        house.book.risks.lift(Resume(by="Ada", why="over?", at=house.clock.now()))
        assert house.state.latch is None or not latch.is_done

    def crash(self):
        self.flaky._held.clear()
        self.flaky._venue.drain()
        self.run(self.house.restart())
        self.look()

    def nothing_is_entered_while_it_is_on(self):
        is_on = False
        for fact in self.house.facts:
            if isinstance(fact, RiskState):
                is_on = fact.latch is not None
            assert not (is_on and isinstance(fact, Submitting) and not fact.order.reduce_only)

    def come_to_rest(self):
        self.flaky.heal()
        self.flatten()
        for _ in range(25):
            for symbol in (BTC, XRP):
                self.bar(symbol, "1000000")
            self.work()
            self.look()
        house = self.house
        assert house.left == ()
        assert house.state.latch.is_done
        assert house.held(BTC) == house.held(XRP) == 0
        (foreign,) = self.run(self.flaky.open_orders())
        assert (foreign.client_order_id, foreign.status) == (
            self.foreign.intent.intent_id,
            OrderStatus.OPEN,
        )
        self.nothing_is_entered_while_it_is_on()
        self.resume()
        assert house.state.latch is None


WEIGHTS = {"bar": 10, "work": 8, "enter": 10, "look": 3, "flatten": 1, "resume": 2, "crash": 1}
DETAILS = {
    "bar": ([BTC, XRP], ["1.3", "150", "1000000"]),
    "enter": ([BTC, XRP], list(Side), [False, True]),
}


def live_through(seed, *, faults, steps):
    rng = random.Random(seed)
    with asyncio.Runner() as runner:
        world = World(runner, rng, faults)
        for name in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps):
            getattr(world, name)(*(rng.choice(choices) for choices in DETAILS.get(name, ())))
        world.come_to_rest()


@pytest.mark.req("S1-97", "S0-25")
@given(
    seed=st.integers(0, 2**32), faults=st.sampled_from([0.0, 0.2, 0.5]), steps=st.integers(1, 80)
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_it_ends_flat_by_the_venues_word(seed, faults, steps):
    live_through(seed, faults=faults, steps=steps)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(10))
def test_whatever_happens_for_long_it_ends_flat_by_the_venues_word(block):
    for seed in range(block * 50, block * 50 + 50):
        live_through(seed, faults=0.3, steps=300)
