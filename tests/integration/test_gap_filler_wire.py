"""The gap filler over Kraken's wire, through the real client, with the venue's bad days."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.clock import ManualClock
from data.collect.gaps import fill_gaps
from data.feeds.kraken import KrakenSource, rate_budget
from data.instrument import Side, Symbol
from data.store_memory import MemoryBarStore, MemoryTradeStore
from data.trade import Trade
from tests.fakes_source import MINUTE, OPENING, bars_of, kept_trades
from tests.wire.kraken import KrakenServer
from tests.wire.loopback import HTML, UNREADABLE, Answer

BTC = Symbol("BTC/USD")
BEGIN, END = OPENING + MINUTE, OPENING + 13 * 60 * MINUTE
PATIENCE = Answer(status=429, headers={"Retry-After": "7"})


class QuickClock(ManualClock):
    """Waits by moving itself on."""

    async def sleep(self, delay):
        self.move_to(self.now() + delay)


def a_market(server):
    """13 hours of trades, three to a moment, so that pages end between two of the same time."""
    market = server.markets[BTC]
    for n in range(3_120):
        at = OPENING + timedelta(seconds=45 * (n // 3) + 1)
        market.trade(at, f"{60_000 + n % 17}.{n % 10}", f"0.{1 + n % 9}", ("buy", "sell")[n % 2])
    return [
        Trade(
            symbol=BTC,
            trade_id=made.number,
            traded_at=OPENING + timedelta(seconds=45 * (n // 3) + 1),
            side=Side(made.side),
            price=Decimal(made.price),
            quantity=Decimal(made.quantity),
        )
        for n, made in enumerate(market.prints)
    ]


@pytest.mark.req("S0-31", "S1-24")
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([], id="a good day"),
        pytest.param([PATIENCE, Answer(status=503), HTML, UNREADABLE], id="a bad day"),
    ],
)
@pytest.mark.parametrize(
    ("lost", "gone"),
    [
        pytest.param(range(3_121), range(780), id="nothing there"),
        pytest.param([1_000, 1_001, 2_000], [], id="ids at page edges"),
        pytest.param(range(500, 900), range(200, 215), id="an inner gap and a hole"),
    ],
)
async def test_history_is_made_whole_over_the_wire(faults, lost, gone):
    clock = QuickClock(END + MINUTE)
    async with KrakenServer(clock) as server:
        truth = a_market(server)
        kept = [trade for trade in truth if trade.trade_id not in lost]
        missing = {OPENING + (n + 1) * MINUTE for n in gone}
        trades, bars = MemoryTradeStore(), MemoryBarStore()
        await trades.put(kept)
        await bars.put([bar for bar in bars_of(kept, END) if bar.closed_at not in missing])
        source = KrakenSource(clock=clock, budget=rate_budget(clock), urls=server.urls)
        try:
            server.instead.extend(faults)
            report = await fill_gaps(source, trades, bars, BTC, since=BEGIN, until=END, clock=clock)
            again = await fill_gaps(source, trades, bars, BTC, since=BEGIN, until=END, clock=clock)
        finally:
            await source.close()
    whole = [bar for bar in bars_of(truth, END) if bar.opened_at >= BEGIN]
    assert await bars.last(BTC, Timeframe.M1, len(whole), until=END) == whole
    begun = [trade for trade in truth if trade.traded_at >= BEGIN]
    assert [t for t in await kept_trades(trades, BTC) if t.traded_at >= BEGIN] == begun
    assert (report.ids_left, report.left, again.changed) == (0, (), False)
