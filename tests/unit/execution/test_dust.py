"""What is left below the venue's minimum: told once as dust, and again once it has changed."""

from datetime import timedelta
from decimal import Decimal

import pytest

from execution.dust import DustLeft, DustWatch
from tests.builders_engine import a_ledger
from tests.builders_venue import BTC, NOON, a_fill, instruments


class Bench:
    """A ledger, its watch, and a clock that moves by a second."""

    def __init__(self):
        self.ledger, self.watch, self.revision = a_ledger(), DustWatch(instruments()), 0
        self.now = NOON

    def fill(self, quantity, price="100"):
        self.revision += 1
        self.ledger.book(a_fill(self.revision, quantity, price))
        self.mark(price)

    def mark(self, price):
        self.ledger.mark(BTC, Decimal(price), self.now)

    def look(self):
        self.now += timedelta(seconds=1)
        account = self.ledger.account(as_of=self.now)
        found = self.watch.review(account, self.ledger, revision=self.revision)
        return [(fact.symbol, fact.quantity, fact.mark) for fact in found]


@pytest.fixture
def bench():
    return Bench()


def test_a_position_is_no_dust_and_nothing_is_none(bench):
    assert bench.look() == []
    bench.fill("1")
    assert bench.look() == []
    bench.fill("-1")
    assert bench.look() == []


def test_what_an_exit_leaves_below_the_minimum_is_told_once(bench):
    bench.fill("1")
    bench.look()
    bench.fill("-0.96")
    assert bench.look() == [(BTC, Decimal("0.04"), Decimal(100))]
    bench.mark("101")
    assert bench.look() == []
    assert bench.ledger.account(as_of=bench.now).positions == {}


def test_a_price_alone_can_make_dust_and_undo_it(bench):
    bench.fill("0.06")
    assert bench.look() == []
    bench.mark("80")
    assert bench.look() == [(BTC, Decimal("0.06"), Decimal(80))]
    bench.mark("100")
    assert bench.look() == []
    bench.mark("80")
    assert bench.look() == [(BTC, Decimal("0.06"), Decimal(80))]


def test_dust_of_another_size_is_told_again(bench):
    bench.fill("0.01")
    assert bench.look() == [(BTC, Decimal("0.01"), Decimal(100))]
    bench.fill("0.01")
    assert bench.look() == [(BTC, Decimal("0.02"), Decimal(100))]


def test_it_says_when(bench):
    bench.fill("0.01")
    account = bench.ledger.account(as_of=NOON)
    (fact,) = bench.watch.review(account, bench.ledger, revision=1)
    assert fact == DustLeft(at=NOON, symbol=BTC, quantity=Decimal("0.01"), mark=Decimal(100))
