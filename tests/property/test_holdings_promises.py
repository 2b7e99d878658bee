"""What no road through the daemon's session may ever do to what is kept beside the trading book."""

import asyncio
import io
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from data.instrument import Side
from execution.blotter import Blotter
from execution.fill import Fill
from execution.order import Submitting
from risk.intent import Purpose
from sextant.allocator import Allocated
from sextant.audit import run_file_audit
from sextant.facts import BarSeen
from tests.builders_daemon import a_ledger
from tests.builders_holdings import keeping, replayed

WILD, STILL = 60, 150  # minutes
CONFIG = keeping(**{'patience = "PT12H"': 'patience = "PT10M"'})  # here no clock runs ahead
ALMOST_NOTHING = Decimal("0.05")  # USDT: a fee that the planned price did not have
NONE = Decimal(0)

moves = st.lists(st.tuples(st.integers(-250, 250), st.integers(-250, 250)), min_size=6, max_size=12)


def road(steps):
    """Closes by the minute: each step, in ten thousandths, goes on for some; then nothing moves."""
    btc, xrp, found = Decimal(40_000), Decimal("0.5"), []
    each = WILD // len(steps)
    for up, down in steps:
        for _ in range(each):
            btc *= 1 + Decimal(up) / 10_000 / each
            xrp *= 1 + Decimal(down) / 1_000 / each
            found.append((btc, xrp))
    return found + [(btc, xrp)] * STILL


def run(steps):
    with tempfile.TemporaryDirectory() as folder:
        seen = replayed(Path(folder), road(steps), config=CONFIG)
        told = Console(file=io.StringIO())
        sound = asyncio.run(run_file_audit(seen.journal, export=None, console=told))
    return seen, sound, told.file.getvalue()


class Watch:
    """Follows the facts, and looks at every order and every fill of what is kept."""

    def __init__(self, seen):
        settings = seen.left.settings
        self.ledger = a_ledger(settings)
        self.blotter = Blotter(self.ledger, settings.instruments, remembered=4096)
        self.taken_in = self.asked = 0

    def take(self, fact):
        if isinstance(fact, BarSeen):
            self.ledger.mark(fact.bar.symbol, fact.bar.close, fact.bar.closed_at)
        before = self.ledger.holdings.bags
        cash = self.ledger.cash
        self.blotter.apply(fact)
        after = self.ledger.holdings.bags
        assert before.keys() <= after.keys()
        assert all(after[a].quantity >= bag.quantity for a, bag in before.items())
        if isinstance(fact, Submitting) and fact.order.purpose.exchanges:
            self.require_affordable(fact)
        if isinstance(fact, Fill):
            self.require_apart(fact, cash)

    def require_affordable(self, fact):
        """Of nothing more is given than is held, all orders under way together."""
        self.asked += 1
        order = fact.order
        assert order.stop is None and order.limit is not None and not order.reduce_only
        gives = {}
        for live in self.blotter.orders:
            if live.order.purpose is not order.purpose:
                continue
            symbol, left = live.order.symbol, live.remaining
            is_sale = live.order.side is Side.SELL
            asset = symbol.base if is_sale else symbol.quote
            amount = left if is_sale else left * live.order.limit
            gives[asset] = gives.get(asset, NONE) + amount
        if order.purpose is Purpose.HODL:
            assert order.side is Side.BUY
            assert gives["USDT"] <= self.ledger.cash["USDT"]
            return
        held = self.ledger.holdings.portfolio
        assert all(amount <= held.get(asset, NONE) for asset, amount in gives.items())
        sides = {
            live.order.side
            for live in self.blotter.orders
            if live.order.purpose is Purpose.ALLOCATION
        }
        assert len(sides) == 1  # no buy is asked while a sell is under way

    def require_apart(self, fill, cash):
        """A fill moves one of the two books, and what the venue has is the sum of both."""
        order = self.blotter.find(fill.client_order_id).order
        self.taken_in += order.purpose.exchanges
        if order.purpose is Purpose.ALLOCATION:
            assert self.ledger.cash == cash
        assert all(q > -ALMOST_NOTHING for q in self.ledger.holdings.portfolio.values())


@pytest.mark.req("S0-1", "S0-2", "S0-36", "S0-3")
@given(steps=moves)
@settings(max_examples=6, deadline=None)
def test_holdings_are_brought_into_the_band_and_left_alone_there(steps):
    seen, sound, told = run(steps)
    assert sound, told
    watch = Watch(seen)
    for fact in seen.facts:
        watch.take(fact)
    assert watch.asked and watch.taken_in
    book = seen.session.book
    assert watch.ledger.holdings.portfolio == book.ledger.holdings.portfolio
    assert watch.ledger.holdings.bags == book.ledger.holdings.bags
    theirs = seen.session._paper._books.balances
    assert {a: q for a, q in book.ledger.balances.items() if q} == {
        a: q for a, q in theirs.items() if q
    }
    numbers = book.allocator.settings.rebalance
    assert all(abs(kept.drift) < numbers.trigger for kept in book.kept)
    looks = [fact for fact in seen.facts if isinstance(fact, Allocated)]
    rebalances = [look.at for look in looks for i in look.asked if i.purpose is Purpose.ALLOCATION]
    last_bar = seen.summary.last_bar
    assert (last_bar - max(rebalances)).total_seconds() >= 1800  # quiet since
