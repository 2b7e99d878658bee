"""The live feed on Binance and Hyperliquid of loopback: whatever happens, the market's bars."""

import asyncio
import contextlib
import random
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.collect.patience import Patience
from data.feeds.live import LiveFeed, LiveFeedSettings
from data.funding import FundingRate
from data.instrument import Symbol
from data.order_book import OrderBook
from tests.builders_live import END, MINUTES, SECOND, START, STEP, settled, the_market
from tests.wire.binance import BinanceServer
from tests.wire.candles import candles
from tests.wire.harness import HARNESSES
from tests.wire.loopback import HTML, UNREADABLE, Answer

BUSY = Answer(status=503, body="busy", content_type="text/plain")
MOST_STEPS = 400
END_MS = int(END.timestamp() * 1000)


def closed(rig):
    return rig.server.close_sockets()


def reset(rig):
    rig.server.reset_sockets()


def repeat(rig):
    return rig.server.repeat_trades(market_of(rig), 10)


def hold(rig):
    rig.server.hold_frames()


def release(rig):
    return rig.server.release_frames()


def break_book(rig):
    if rig.tells_book_changes:
        rig.break_book()
        return None
    levels = [[{"px": "1.0", "sz": "-1", "n": 1}], []]
    book = {"coin": "BTC", "time": rig.server.now_ms, "levels": levels}
    return rig.server.push("l2Book:BTC", {"channel": "l2Book", "data": book})


def set_(**values):
    def accident(rig):
        for name, value in values.items():
            setattr(rig.server, name, value)

    return accident


def rest_answers(*answers):
    return lambda rig: rig.server.instead.extend(answers)


def mute(rig):
    rig.server.mute = {rig.trade_topic(rig.symbols[0])}


def market_of(rig):
    """What the server calls the first of its markets."""
    return next(iter(getattr(rig.server, "markets", None) or rig.server.coins))


def tell_funding(rig, *, mark):
    if isinstance(rig.server, BinanceServer):
        return rig.server.tell_funding("BTCUSDT", rate="0.0001", mark=mark, next_ms=END_MS)
    return rig.server.tell_funding("BTC", rate="0.0001", mark=mark)


ACCIDENTS = [
    pytest.param({}, id="nothing"),
    pytest.param({69: [set_(silent=True)], 111: [set_(silent=False)]}, id="silent, sockets live"),
    pytest.param({69: [mute]}, id="trades silent for good"),
    pytest.param({93: [closed], 120: [closed]}, id="closed"),
    pytest.param({93: [reset]}, id="reset in the middle of a frame"),
    pytest.param({60: [repeat], 99: [repeat]}, id="trades repeated unasked"),
    pytest.param({111: [hold], 150: [release]}, id="frames late"),
    pytest.param({93: [closed, rest_answers(BUSY, HTML, UNREADABLE)]}, id="no sense from REST"),
    pytest.param(
        {93: [closed, set_(rest_fails=BUSY)], 201: [set_(rest_fails=None)]}, id="REST down"
    ),
    pytest.param({81: [break_book]}, id="a book that is not the venue's"),
]
SKIPPED = pytest.param(
    {93: [mute], 102: [set_(mute=set())]}, id="ids skipped"
)  # where they are consecutive


class Run:
    """What a feed over `rig` tells of its first market."""

    def __init__(self, rig, clock):
        self.rig, self.clock, self.events = rig, clock, []
        self.symbol: Symbol = rig.symbols[0]
        self.feed = LiveFeed(
            rig.source,
            clock,
            symbols=(self.symbol,),
            timeframe=Timeframe.M1,
            newest={},
            settings=LiveFeedSettings(),
            patience=Patience(clock=clock, chance=random.Random(1)),
            book_depth=5,
            with_funding=True,
        )

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    async def listen(self):
        async with contextlib.aclosing(self.feed.events()) as events:
            async for event in events:
                self.events.append(event)

    async def live(self, accidents):
        """Let the market happen, with a change of the book in each step."""
        deals = the_market()
        for second in range(0, MINUTES * 60 + 1, STEP):
            self.clock.move_to(START + second * SECOND)
            for accident in accidents.get(second, ()):
                done = accident(self.rig)
                if asyncio.iscoroutine(done):
                    await done
            for deal in (deal for deal in deals if deal.second == second):
                await self.rig.trade(self.symbol, deal.price, deal.quantity, deal.side, at=deal.at)
            await self.rig.change_book(self.symbol, bids={"85599.0": f"{second + 1}"}, asks={})
            await tell_funding(self.rig, mark=f"{85_600 + second}.0")
            await settled()
        await self._until_told()
        return deals

    async def _until_told(self):
        for _ in range(MOST_STEPS):
            if self.of(Bar) and self.of(Bar)[-1].closed_at >= END:
                return
            self.clock.move_to(self.clock.now() + SECOND)
            await settled()
        raise AssertionError(f"never: {self.feed.health()}")


@contextlib.asynccontextmanager
async def a_run(name):
    clock = ManualClock(START)
    async with HARNESSES[name](clock) as rig:
        symbol = rig.symbols[0]
        await rig.change_book(symbol, bids={"85599.0": "1"}, asks={"85601.0": "1"})
        run = Run(rig, clock)
        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(run.listen())
            await rig.server.subscribed(rig.trade_topic(symbol), rig.book_topic(symbol, 5))
            yield run
            listener.cancel()


def whole(deals):
    """The bars of all deals: when they opened, prices and volume."""
    made = [(int(deal.at.timestamp() * 1000), deal.price, deal.quantity) for deal in deals]
    return [
        (
            candle.opened_ms,
            *map(Decimal, (candle.open, candle.high, candle.low, candle.close, candle.volume)),
        )
        for candle in candles(made, 60_000, END_MS - 1)
    ]


@pytest.mark.req("S1-17", "S1-19")
@pytest.mark.parametrize(
    ("name", "accidents"),
    [
        pytest.param(name, *accident.values, id=f"{name}: {accident.id}")
        for name, known in (("binanceusdm", [*ACCIDENTS, SKIPPED]), ("hyperliquid", ACCIDENTS))
        for accident in known
    ],
)
async def test_the_bars_are_the_markets(name, accidents):
    async with a_run(name) as run:
        expected = whole(await run.live(accidents))
        told = [
            (
                int(bar.opened_at.timestamp() * 1000),
                *(bar.open, bar.high, bar.low, bar.close, bar.volume),
            )
            for bar in run.of(Bar)
        ]
        assert told == expected
        assert run.of(OrderBook)[-1].bids[0].quantity == MINUTES * 60 + 1
        assert run.of(FundingRate)[-1].mark_price == 85_600 + MINUTES * 60
