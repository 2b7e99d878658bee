"""Charges on their way from a venue into the books: each once, whatever tells of it how often."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Symbol
from execution.blotter import ChargeBooked
from execution.charge import Charge, ChargeKind
from execution.difference import DifferenceKind
from execution.reconcile import reconcile
from execution.rounding import Bookings, Rounding
from execution.venue import VenueUnavailable
from tests.builders_engine import a_clock, a_ledger, a_paper_venue, an_engine, an_entry
from tests.builders_venue import BTC, NOON, KeptFacts, a_fill, an_id

HOUR = timedelta(hours=1)


def a_charge(name="C1", amount="3", *, asset="USDT", symbol=BTC, at=NOON):
    return Charge(
        charge_id=name,
        kind=ChargeKind.FUNDING,
        asset=asset,
        amount=Decimal(amount),
        symbol=symbol,
        charged_at=at,
    )


class ChargingVenue:
    """A paper venue that also charges what a test says, and tells of it when asked, or at once."""

    def __init__(self, venue):
        self._venue = venue
        self.charged = []
        self.told = []
        self.asked = []
        self.is_down = False

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def balances(self):
        balances = dict(await self._venue.balances())
        for charge in self.charged:
            balances[charge.asset] = balances.get(charge.asset, Decimal(0)) - charge.amount
        return balances

    async def charges(self, *, since=None):
        if self.is_down:
            raise VenueUnavailable("down")
        self.asked.append(since)
        return [c for c in self.charged if since is None or c.charged_at >= since]

    @property
    def pending(self):
        return bool(self.told)

    def drain(self):
        told, self.told = self.told, []
        return told


class Account:
    def __init__(self, clock, venue):
        self.clock, self.venue, self.journal = clock, venue, KeptFacts()
        self.heard = []
        self.engine = an_engine(venue, clock, self.journal, listener=self.heard.append)

    async def restart(self):
        await self.journal.flush()
        self.engine = an_engine(self.venue, self.clock, self.journal)
        await self.engine.recover(self.journal.facts())

    def on_record(self):
        facts = [*self.journal.durable, *self.journal._written]
        return [fact.charge_id for fact in facts if isinstance(fact, Charge)]


@pytest.fixture
async def account():
    clock = a_clock()
    return Account(clock, ChargingVenue(await a_paper_venue(clock)))


async def test_a_charge_is_booked_before_the_balances_are_compared(account):
    account.venue.charged = [a_charge("C1", "3"), a_charge("C2", "-1.25")]
    result = await reconcile(account.engine)
    assert (result.reconciled, result.differences) == (True, ())
    ledger = account.engine.ledger
    assert ledger.balances["USDT"] == Decimal("99998.25")
    assert ledger.charges == {"USDT": Decimal("1.75")}
    booked = [heard.charge.charge_id for heard in account.heard if isinstance(heard, ChargeBooked)]
    assert booked == account.on_record() == ["C1", "C2"]


async def test_it_goes_on_record_once_whoever_tells_of_it(account):
    charge = a_charge()
    account.venue.charged = account.venue.told = [charge, charge]
    account.venue.charged = [charge]
    account.engine.settle()
    await reconcile(account.engine)
    account.venue.told = [charge]
    await account.restart()
    await reconcile(account.engine)
    assert account.on_record() == ["C1"]
    assert account.engine.ledger.balances["USDT"] == 99_997


async def test_it_is_asked_for_from_an_hour_before_the_last_time_on_restarts_included(account):
    await reconcile(account.engine)
    account.clock.move_to(NOON + 5 * HOUR)
    account.venue.charged = [a_charge("late", at=NOON - timedelta(minutes=50))]
    await account.restart()
    assert (await reconcile(account.engine)).reconciled
    await reconcile(account.engine)
    assert account.venue.asked == [None, NOON - HOUR, NOON + 4 * HOUR]
    assert account.on_record() == ["late"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_it_is_asked_for_from_the_oldest_fill_on_that_came_late(account, restarts):
    """What such a fill was charged for came after the last look, and is dated long before it."""
    engine, long_ago = account.engine, NOON - 3 * HOUR
    await reconcile(engine)
    engine.accept(an_entry("A"))
    engine.record(replace(a_fill(1, "1", "100"), client_order_id=an_id("A"), filled_at=long_ago))
    if restarts:
        await account.restart()
    await reconcile(account.engine)
    await reconcile(account.engine)
    assert account.venue.asked == [None, long_ago, NOON - HOUR]


async def test_a_venue_that_does_not_tell_concludes_nothing(account):
    account.venue.charged, account.venue.is_down = [a_charge()], True
    with pytest.raises(VenueUnavailable):
        await reconcile(account.engine)
    account.venue.is_down = False
    assert (await reconcile(account.engine)).reconciled
    assert account.venue.asked == [None]


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(a_charge(symbol=Symbol("ETH/USDT")), id="for what is not traded here"),
        pytest.param(a_charge(asset="BNB", symbol=None), id="in what is not traded here"),
    ],
)
async def test_what_is_not_ours_is_told_once_and_not_booked(account, foreign):
    account.venue.charged = account.venue.told = [foreign]
    first, second = [await reconcile(account.engine) for _ in range(2)]
    kinds = [difference.kind for difference in first.differences]
    assert kinds[0] is DifferenceKind.FOREIGN_CHARGE
    assert DifferenceKind.FOREIGN_CHARGE not in [d.kind for d in second.differences]
    assert account.on_record() == []
    assert account.engine.ledger.charges == {}


async def test_a_charge_without_a_symbol_is_the_accounts(account):
    account.venue.charged = [a_charge(symbol=None)]
    assert (await reconcile(account.engine)).reconciled
    assert account.engine.ledger.charges == {"USDT": 3}


def test_a_charge_counts_in_the_trade_that_is_open():
    ledger = a_ledger()
    ledger.book(a_fill(1, "2", "100", fee="0.5"))
    assert ledger.charge(a_charge("C1", "3"))
    assert not ledger.charge(a_charge("C1", "3"))
    ledger.charge(a_charge("C2", "7", symbol=None))
    trade = ledger.book(a_fill(2, "-2", "110", fee="0.5"))
    ledger.charge(a_charge("after it was closed", "1"))
    assert (trade.fees, trade.pnl) == (4, 16)
    assert ledger.fees == {"USDT": 1}
    assert ledger.charges == {"USDT": 11}
    assert ledger.equity == 100_000 + 20 - 1 - 11


def test_a_charge_in_base_lessens_the_balance_and_not_the_position():
    ledger = a_ledger()
    ledger.book(a_fill(1, "2", "100"))
    ledger.mark(BTC, Decimal(100), NOON)
    ledger.charge(replace(a_charge("C1", "0.1"), asset="BTC"))
    assert ledger.held(BTC) == 2
    assert ledger.balances["BTC"] == Decimal("1.9")
    assert ledger.equity == 100_000 - 10


@pytest.mark.parametrize(
    ("rounding", "bookings", "leeway"),
    [
        pytest.param(("0", "0"), (9, "900"), "0", id="what keeps every digit"),
        pytest.param(("1e-8", "0"), (0, "0"), "1e-8", id="the balance as it is told"),
        pytest.param(("1e-8", "0"), (2, "5"), "7e-8", id="three amounts a fill"),
        pytest.param(("1e-8", "1e-8"), (2, "500"), "507e-8", id="average prices of what was held"),
    ],
)
def test_rounding_comes_to_no_more_than_this(rounding, bookings, leeway):
    amount, entry_price = map(Decimal, rounding)
    count, carried = bookings
    found = Rounding(amount=amount, entry_price=entry_price).leeway(
        Bookings(count=count, carried=Decimal(carried))
    )
    assert found == Decimal(leeway)


def test_the_ledger_counts_what_a_venue_may_have_rounded():
    ledger = a_ledger()
    for number, quantity in enumerate(("2", "-1", "-1")):
        ledger.book(a_fill(number, quantity, "100"))
    ledger.charge(a_charge())
    assert ledger.bookings("USDT") == Bookings(count=4, carried=Decimal(5))
    assert ledger.bookings("BTC") == Bookings()
