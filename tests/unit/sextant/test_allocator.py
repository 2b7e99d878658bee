"""What the allocator asks for, in which order, and where a crash leaves it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from agents.allocation import DriftLevel, drifts
from agents.hodl import HodlBag, HodlState
from agents.rebalancing import RebalanceState
from data.bar import Timeframe
from data.instrument import Price
from execution.engine import Engine, EngineSettings
from execution.holdings import SetAside
from execution.ledger import Ledger
from execution.order import Submitting
from risk.intent import Purpose
from risk.limits import AllocationLimits
from sextant.allocator import AllocationState, Allocator, holdings_of
from sextant.allocator_settings import AllocatorSettings, allocation_problems, portfolio_of
from tests.builders_allocation import ASSETS, TARGETS, a_profit, hodl_settings, settings_with
from tests.builders_engine import a_clock, a_paper_venue, sealed
from tests.builders_venue import BTC, CROSS, MINUTE, NOON, XRP, KeptFacts, a_bar, instruments

PRICES = {BTC: "40000", XRP: "0.5", CROSS: "0.0000125"}


def asked(rebalance=None, hodl=None, **changes):
    numbers = {
        "enabled": True,
        "portfolio": {"USDT": "0.5"},
        "timeframe": "5m",
        "patience": "PT10M",
        "rebalance": rebalance or settings_with(batch_above=100_000),
        "hodl": hodl or hodl_settings(),
    }
    return AllocatorSettings.model_validate(numbers | changes)


class House:
    """An allocator over an engine and a paper venue, with what it has put on record."""

    def __init__(self, engine, state):
        self.engine, self.written = engine, []
        self.allocator = Allocator(
            engine, asked(), currency="USDT", state=state, write=self.written.append
        )

    def look(self, minutes=0, *, may_ask=True):
        """What is wanted, after so many minutes; it is done, as the session does it."""
        look = self.allocator.look(NOON + minutes * MINUTE, may_ask=may_ask)
        if look is None:
            return None
        if look.set_aside is not None:
            self.engine.record(look.set_aside)
        for client_order_id in look.record.given_up:
            self.engine.cancel(client_order_id)
        for intent in look.record.asked:
            self.engine.accept(sealed(intent))
        self.allocator.become(look.state)
        return look

    async def fill(self, number=0):
        """Let the venue fill what it has."""
        await self.engine.work()
        for symbol, price in PRICES.items():
            await self.engine.venue.observe(
                a_bar(" ".join([price] * 4), number=number, symbol=symbol, volume="1000000")
            )
        self.engine.settle()


async def a_house(kept, state=None):
    """`kept` is the portfolio; twice as much of it is in the account."""
    clock = a_clock()
    portfolio = {asset: Decimal(kept.get(asset, "0")) for asset in ASSETS}
    balances = {asset: 2 * amount for asset, amount in portfolio.items()}
    venue = await a_paper_venue(clock)
    venue._books._balances.update(balances)
    ledger = Ledger("USDT", balances, instruments(), portfolio=portfolio)
    for symbol, price in PRICES.items():
        ledger.mark(symbol, Price(Decimal(price)), NOON)
    engine = Engine(
        venue=venue,
        ledger=ledger,
        journal=KeptFacts(),
        clock=clock,
        instruments=instruments(),
        settings=EngineSettings(),
        entries_last=timedelta(days=1),
    )
    return House(engine, state or AllocationState())


def trades(look):
    return [(i.symbol, i.purpose, i.direction.sign) for i in look.record.asked]


@pytest.mark.req("S0-1", "S0-2")
async def test_buys_wait_until_the_sells_of_their_batch_have_ended():
    house = await a_house({"BTC": "0.1"})
    first = house.look()
    assert first.record.level is DriftLevel.CRITICAL
    assert trades(first) == [(BTC, Purpose.ALLOCATION, -1)]
    assert [order.for_bag for order in house.engine.blotter.exchanging()] == [False]
    assert house.allocator.state.buys is not None
    assert house.look(5) is None  # the sale is under way
    await house.fill()
    then = house.look(10)
    assert [intent.symbol for intent in then.record.asked] in ([XRP], [CROSS])
    assert then.record.asked[0].direction.sign == 1
    assert house.allocator.state.buys is None
    await house.fill(20)
    assert house.look(30) is not None  # the alert on drift is over
    assert house.look(35) is None
    found = drifts(holdings_of(house.engine.ledger, ASSETS), TARGETS)
    assert max(drift.size for drift in found) < Decimal("0.01")


async def test_the_same_plan_after_a_crash_is_the_same_order():
    """The orders are on record and the state that says so is not: nothing is asked twice."""
    house = await a_house({"USDT": "3000"})
    before = house.allocator.state
    look = house.look()
    crashed = House(house.engine, before)
    assert crashed.look(5).record.asked == ()  # its orders are under way
    ids = [
        fact.order.client_order_id
        for fact in house.engine._journal._written
        if isinstance(fact, Submitting)
    ]
    assert ids == [intent.intent_id for intent in look.record.asked]
    assert len(set(ids)) == len(ids)


async def test_nothing_is_asked_while_all_would_be_refused():
    house = await a_house({"USDT": "3000"})
    look = house.look(may_ask=False)
    assert look.record.asked == ()
    assert look.alert.startswith("critical: BTC 0.0% of 33.33%")
    assert house.look(5, may_ask=False) is None  # told once
    assert house.allocator.state.rebalance == RebalanceState()


async def test_an_order_that_rests_too_long_is_given_up():
    house = await a_house({"USDT": "3000"})
    orders = house.look().record.asked
    assert house.look(9) is None
    assert set(house.look(10).record.given_up) == {intent.intent_id for intent in orders}
    assert house.look(11) is None  # being cancelled


@pytest.mark.req("S0-36")
async def test_a_bag_is_what_the_ledger_says_and_is_counted_once():
    house = await a_house({"BTC": "0.025", "XRP": "2000", "USDT": "1000"})
    house.allocator.close(a_profit("600"))
    assert house.written[-1].hodl.bag("BTC").waiting == Decimal("19.998")
    look = house.look()
    assert trades(look) == [(BTC, Purpose.HODL, 1)]
    assert look.set_aside == SetAside(at=NOON, asset="USDT", amount=Decimal("20.004"))
    assert [order.for_bag for order in house.engine.blotter.exchanging()] == [True]
    await house.fill()
    bag = house.engine.ledger.holdings.bags["BTC"]
    for _ in range(2):  # again, as after a crash between the fill and the state
        crashed = House(house.engine, look.state)
        crashed.look(5)
        kept = crashed.allocator.state.hodl.bag("BTC")
        assert (kept.quantity, kept.cost, kept.asked_at) == (bag.quantity, bag.cost, None)
        assert kept.waiting == Decimal("19.998") - bag.cost
    assert house.look(5) is not None
    assert house.look(10) is None


async def test_currency_that_was_not_set_aside_before_a_crash_is_so_after():
    hodl = HodlState(bags={"USDT": HodlBag(quantity=Decimal(5), cost=Decimal(5))})
    house = await a_house(
        {"USDT": "1000", "BTC": "0.025", "XRP": "2000"}, AllocationState(hodl=hodl)
    )
    assert house.look().set_aside.amount == 5
    assert house.look(5) is None


async def test_a_purchase_that_bought_nothing_is_tried_again():
    hodl = HodlState(bags={"BTC": HodlBag(waiting=Decimal(20), asked_at=NOON - MINUTE)})
    house = await a_house(
        {"USDT": "1000", "BTC": "0.025", "XRP": "2000"}, AllocationState(hodl=hodl)
    )
    assert house.look().record.asked == ()  # of the purchase nothing is known: it was refused
    assert house.allocator.state.hodl.bag("BTC").failures == 1
    assert trades(house.look(5)) == [(BTC, Purpose.HODL, 1)]


async def test_it_looks_when_every_pair_has_closed_a_bar_of_the_timeframe():
    house = await a_house({"USDT": "3000"})
    ledger, due = house.engine.ledger, house.allocator.is_due
    bars = [a_bar("1 1 1 1", number=4, symbol=symbol) for symbol in PRICES]
    for bar in bars:
        assert not due(bar)
        ledger.mark(bar.symbol, Price(Decimal(PRICES[bar.symbol])), bar.closed_at)
    assert all(map(due, bars))
    early = a_bar("1 1 1 1", number=3)
    assert not due(early)
    assert early.timeframe is Timeframe.M1


@pytest.mark.parametrize(
    ("changes", "portfolio"),
    [
        pytest.param({}, {"USDT": 500, "BTC": 0, "XRP": 0}, id="a share"),
        pytest.param(
            {"portfolio": {"USDT": "1", "BTC": "0.5"}},
            {"USDT": 1000, "BTC": 1, "XRP": 0},
            id="all of one, half of another",
        ),
        pytest.param({"enabled": False}, {}, id="off"),
    ],
)
def test_what_is_kept_in_the_beginning(changes, portfolio):
    balances = {"USDT": Decimal(1000), "BTC": Decimal(2)}
    assert portfolio_of(balances, asked(**changes)) == portfolio


LIMITS = {
    "targets": {target.asset: target.share for target in TARGETS},
    "max_order": 1000,
    "max_slippage": "0.005",
    "max_cost": "0.01",
}


@pytest.mark.req("S0-2", "S0-3")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"currency": "USD"}, "needs the instrument", id="another currency"),
        pytest.param({"symbols": frozenset({BTC, CROSS})}, "XRP/USDT", id="no pair to value one"),
        pytest.param(
            {"limits": LIMITS | {"targets": {"BTC": "0.5", "USDT": "0.5"}}},
            "other shares",
            id="another target at the gate",
        ),
        pytest.param(
            {"limits": LIMITS | {"max_slippage": "0.004"}}, "none would pass", id="beyond the gate"
        ),
    ],
)
def test_what_would_not_work_together_is_named(changes, told):
    terms = {"currency": "USDT", "symbols": frozenset(PRICES), "limits": LIMITS} | changes
    limits = AllocationLimits.model_validate(terms.pop("limits"))
    problems = list(allocation_problems(asked(), limits=limits, **terms))
    assert (problems == []) if told is None else any(told in problem for problem in problems)
