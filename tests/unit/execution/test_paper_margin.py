"""Liquidation on paper: when a position can no longer be carried, the venue ends it."""

from decimal import Decimal

import pytest

from data.clock import ManualClock
from execution.liquidation import LIQUIDATION
from execution.paper_charges import NO_MARGIN_FEES
from execution.paper_costs import MarginRates, margin_liquidation_price, perpetual_liquidation_price
from execution.venue_state import Placed
from execution.venues.paper import PaperVenue
from tests.builders_venue import BTC, NOON, XRP, KeptFacts, a_bar, approved, instruments, terms

LENDING = MarginRates(opening=Decimal(0), rollover=Decimal("0.0000001"))
LEVERAGE = Decimal(5)


class Stand:
    """A position on margin, in a market that a test moves bar by bar."""

    def __init__(self, *, margin, cash="1000", leverage="5", participation=None):
        self.clock = ManualClock(NOON)
        self.journal = KeptFacts()
        self.given = {
            "name": "paper",
            "instruments": instruments(leverage),
            "terms": terms(participation=participation),
            "balances": {"USDT": Decimal(cash)},
            "journal": self.journal,
            "clock": self.clock,
            "margin": margin,
        }
        self.venue = PaperVenue(**self.given)
        self.bars = 0

    async def bar(self, prices, symbol=BTC):
        bar = a_bar(prices, number=self.bars, symbol=symbol)
        self.bars += 1
        self.clock.move_to(bar.closed_at)
        await self.venue.observe(bar)

    async def hold(self, quantity, symbol=BTC, prices="100 100 100 100"):
        await self.venue.submit(approved(f"{symbol} {quantity}", quantity, symbol=symbol))
        await self.bar(prices, symbol)

    @property
    def liquidated(self):
        placed = [fact for fact in self.journal.durable if isinstance(fact, Placed)]
        return [
            (fact.order.symbol, fact.order.side.sign * fact.order.quantity)
            for fact in placed
            if fact.order.strategy_id == LIQUIDATION
        ]

    async def held(self):
        return (await self.venue.balances()).get("BTC", Decimal(0))


def kraken_price(quantity):
    return margin_liquidation_price(
        Decimal(quantity), Decimal(100), leverage=LEVERAGE, balance=Decimal(1000)
    )


def perpetual_price(quantity):
    return perpetual_liquidation_price(
        Decimal(quantity), Decimal(100), equity=Decimal(1000), share=1 / (2 * LEVERAGE)
    )


@pytest.mark.parametrize(
    ("margin", "quantity", "price_of"),
    [
        pytest.param(LENDING, "40", kraken_price, id="kraken, long"),
        pytest.param(LENDING, "-40", kraken_price, id="kraken, short"),
        pytest.param(NO_MARGIN_FEES, "40", perpetual_price, id="perpetual, long"),
        pytest.param(NO_MARGIN_FEES, "-40", perpetual_price, id="perpetual, short"),
    ],
)
async def test_it_goes_beyond_the_price_of_the_formula_and_not_before(margin, quantity, price_of):
    """A bar reaches nearly there and comes back; the next one a little beyond."""
    stand = Stand(margin=margin)
    await stand.hold(quantity)
    edge, step = price_of(quantity), Decimal("0.01").copy_sign(-Decimal(quantity))
    for worst, gone in ((edge - step, []), (edge + step, [(BTC, -Decimal(quantity))])):
        worst = worst.quantize(Decimal("0.001"))
        low, high = sorted((worst, Decimal(100)))
        await stand.bar(f"100 {high} {low} 100")
        assert stand.liquidated == gone
    await stand.bar("100 100 100 100")
    assert await stand.held() == 0


async def test_it_happens_once_and_whole_however_little_is_traded():
    stand = Stand(margin=LENDING, participation=Decimal("0.01"), cash="200")
    await stand.hold("8")
    await stand.bar("100 100 50 60")
    for _ in range(3):
        await stand.bar("60 60 60 60")
    assert stand.liquidated == [(BTC, -8)]
    assert await stand.held() == 0


async def test_a_slow_slide_is_seen_too():
    """Each bar moves by less than what would make it look again at once."""
    stand = Stand(margin=LENDING)
    await stand.hold("40")
    price = Decimal(100)
    while not stand.liquidated and price > 70:
        price -= Decimal("0.4")
        await stand.bar(f"{price} {price} {price} {price}")
    assert stand.liquidated
    assert abs(price - kraken_price("40")) < 1


async def test_the_oldest_position_goes_first():
    stand = Stand(margin=LENDING)
    await stand.hold("100", XRP, "1 1 1 1")
    await stand.hold("35")
    await stand.bar("100 100 70 75")
    assert stand.liquidated == [(XRP, -100)]


async def test_on_spot_there_is_nothing_to_liquidate():
    stand = Stand(margin=LENDING, leverage="1", cash="5000")
    await stand.hold("40")
    await stand.bar("100 100 1 1")
    assert stand.liquidated == []


async def test_after_a_restart_it_is_watched_again():
    stand = Stand(margin=LENDING)
    await stand.hold("40")
    stand.venue = await PaperVenue.open(**stand.given)
    await stand.bar("100 100 70 75")
    assert stand.liquidated == [(BTC, -40)]
    stand.venue = await PaperVenue.open(**stand.given)
    await stand.bar("75 75 75 75")
    assert stand.liquidated == [(BTC, -40)]
    assert await stand.held() == 0


async def test_what_nothing_values_is_not_judged():
    stand = Stand(margin=LENDING)
    await stand.hold("100", XRP, "1 1 1 1")
    await stand.hold("35")
    stand.venue = await PaperVenue.open(**stand.given)
    await stand.bar("100 100 70 75")
    assert stand.liquidated == []
    await stand.bar("1 1 1 1", XRP)
    await stand.bar("75 75 70 75")
    assert stand.liquidated == [(XRP, -100)]
