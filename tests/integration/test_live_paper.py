"""The real daemon on paper over the Kraken of loopback: its orders meet the book it was told."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from execution.fill import Fill, Liquidity
from execution.live_matching import BY_BAR
from execution.order import Submitting
from execution.venue import OrderChanged
from execution.venue_state import Placed
from sextant.audit import run_audit
from sextant.facts import RunStarted
from sextant.settings import load_settings
from tests.builders_daemon import flaws, what_is_left
from tests.builders_live_daemon import BTC, LIVE, a_world

pytestmark = pytest.mark.xdist_group("daemon")

LATENCY = timedelta(milliseconds=100)  # config/paper.toml
SIZE = Decimal("0.004")  # of each level of the thin book
BEST_BID, BEST_ASK, LEVELS = Decimal("85599.9"), Decimal("85600.1"), 30
TICK = Decimal("0.1")
TIERED = (
    LIVE
    + """
    [paper_venue]
    tiers = [{ volume = 2_000, maker_fee = 0.0020, taker_fee = 0.0035 }]
    """
)


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


async def audited(world):
    return await run_audit(load_settings(world.config), export=None, console=Console())


async def thin(world):
    """Little stands at each price of BTC, and the world's quotes add nothing to it."""
    market = world.server.markets[BTC]
    gone = {f"{price}": "0" for price in market.bids}, {f"{price}": "0" for price in market.asks}
    levels = [
        {f"{best + sign * n * TICK}": f"{SIZE:.8f}" for n in range(LEVELS)}
        for best, sign in ((BEST_BID, -1), (BEST_ASK, 1))
    ]
    await world.server.change_book(BTC, bids=gone[0] | levels[0], asks=gone[1] | levels[1])


def by_order(left, symbol):
    orders = defaultdict(list)
    for fill in left.of(Fill):
        if fill.symbol == symbol:
            orders[fill.client_order_id].append(fill)
    return orders


@pytest.mark.req("S1-132")
async def test_market_orders_walk_the_thin_book_and_the_audit_is_sound(tmp_path, monkeypatch):
    async with a_world(tmp_path, monkeypatch, text=TIERED, market="book_depth = 25") as world:
        await thin(world)
        await world.traded(24)
        left = await what_is_left(world.config)
        assert flaws(left) == []
        assert await audited(world)
    (started,) = left.of(RunStarted)
    assert started.venue == "paper, filled from order books and trades"
    assert BY_BAR not in {changed.reason for changed in left.of(OrderChanged)}
    _require_fees_by_tier(left)
    bought = [fills for fills in by_order(left, BTC).values() if fills[0].side.sign > 0]
    assert any(len(fills) > 1 for fills in bought)
    for fills in bought:
        prices = [fill.price for fill in fills]
        assert prices == sorted(prices)
        for fill in fills:
            assert fill.liquidity is Liquidity.TAKER
            assert (fill.price - BEST_ASK) % TICK == 0 <= fill.price - BEST_ASK
            assert fill.quantity <= SIZE


def _require_fees_by_tier(left):
    """Each fill pays by what was traded before it, in USDT."""
    volume, paid = Decimal(0), set()
    for fill in left.of(Fill):
        share = Decimal("0.0040") if volume < 2_000 else Decimal("0.0035")
        assert fill.fee == share * fill.quantity * fill.price
        paid.add(share)
        volume += fill.quantity * fill.price
    assert len(paid) == 2


async def test_orders_arrive_later_than_they_were_sent(tmp_path, monkeypatch):
    async with a_world(tmp_path, monkeypatch) as world:
        await world.traded(12)
        left = await what_is_left(world.config)
    placed = {f.order.client_order_id: f.at for f in left.venue_facts if isinstance(f, Placed)}
    first = {name: fills[0].filled_at for name, fills in by_order(left, BTC).items()}
    sent = {fact.order.client_order_id for fact in left.of(Submitting)} & first.keys()
    assert sent
    assert all(first[name] >= placed[name] + LATENCY for name in sent)


async def test_without_order_books_closed_bars_fill_and_the_record_says_so(tmp_path, monkeypatch):
    async with a_world(tmp_path, monkeypatch, market="") as world:
        text = world.config.read_text()  # over a market of another source, so without its books
        world.config.write_text('mode = "paper"\n' + text.replace("/paper.toml", "/synthetic.toml"))
        await world.traded(12)
        left = await what_is_left(world.config)
        assert await audited(world)
    (started,) = left.of(RunStarted)
    assert started.venue == "paper, filled from closed bars"
    assert left.of(Fill)
