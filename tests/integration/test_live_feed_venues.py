"""The live feed on every venue: whatever the wire does, the bars are the market's."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.clock import ManualClock
from data.collect.patience import Patience
from data.feeds.live import LiveFeed, LiveFeedSettings
from data.instrument import Price, Quantity, Side, Symbol
from data.store_memory import MemoryBarStore
from data.trade import Trade
from data.trade_bars import TradeBars
from tests.builders_live import END, MINUTES, SECOND, START, STEP, Sink, settled, the_market
from tests.wire.harness import HARNESSES, Rig
from tests.wire.loopback import HTML, UNREADABLE, Answer

BUSY = Answer(status=503, body="busy", content_type="text/plain")
PATIENCE = Answer(status=429, body="{}", headers={"Retry-After": "3"})
DOWN = Answer(status=502, body="<html>Bad gateway</html>", content_type="text/html")
ENOUGH = 400  # seconds after the market's end by which everything must be told


def set_(**values):
    def accident(show):
        for name, value in values.items():
            setattr(show.rig.server, name, value)

    return accident


def mute(show):
    show.rig.server.mute = {show.rig.trade_topic(show.symbol)}


def unmute(show):
    show.rig.server.mute = set()


def closed(show):
    return show.rig.server.close_sockets()


def reset(show):
    show.rig.server.reset_sockets()


def repeat_trades(show):
    return show.rig.repeat_trades(show.symbol, 20)


def hold(show):
    show.rig.server.hold_frames()


def release(show):
    return show.rig.server.release_frames()


def break_book(show):
    if show.rig.tells_book_changes:
        show.rig.break_book()


def rest_answers(*answers):
    return lambda show: show.rig.server.instead.extend(answers)


ACCIDENTS = [
    pytest.param({}, id="nothing"),
    pytest.param({70: [set_(silent=True)], 110: [set_(silent=False)]}, id="silent, sockets live"),
    pytest.param({70: [mute], 190: [unmute]}, id="one subscription silent for long"),
    pytest.param({70: [mute]}, id="one subscription silent for good"),
    pytest.param({95: [closed]}, id="closed"),
    pytest.param({94: [closed], 120: [closed], 122: [closed]}, id="closed again and again"),
    pytest.param({94: [reset]}, id="reset in the middle of a frame"),
    pytest.param({60: [repeat_trades], 100: [repeat_trades]}, id="trades repeated unasked"),
    pytest.param({110: [hold], 150: [release]}, id="frames forty seconds late"),
    pytest.param({94: [closed, rest_answers(PATIENCE, PATIENCE)]}, id="429 on repair"),
    pytest.param(
        {94: [closed, rest_answers(BUSY, HTML, UNREADABLE, DOWN)]}, id="no sense from REST"
    ),
    pytest.param(
        {94: [closed, set_(rest_fails=BUSY)], 200: [set_(rest_fails=None)]},
        id="REST down for long, and the socket closed",
    ),
    pytest.param(
        {94: [closed, set_(refuse_sockets=BUSY)], 200: [set_(refuse_sockets=None)]},
        id="no new socket for long",
    ),
    pytest.param(
        {94: [closed, set_(refuse_sockets=PATIENCE)], 130: [set_(refuse_sockets=None)]},
        id="429 on the handshake",
    ),
    pytest.param({80: [break_book]}, id="a book that breaks"),
]
SKIPPED = [
    pytest.param({93: [mute], 102: [unmute]}, id="ids skipped"),
    pytest.param({117: [mute], 123: [unmute]}, id="ids skipped around a minute's end"),
]
BY_ID = [name for name in HARNESSES if name != "hyperliquid"]  # its ids are hashes


@dataclass(slots=True, kw_only=True)
class Show:
    """One venue, its market, and what a feed told of it."""

    rig: Rig
    clock: ManualClock
    store: MemoryBarStore = field(default_factory=MemoryBarStore)
    sink: Sink = field(default_factory=Sink)
    made: list[Trade] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    @property
    def symbol(self) -> Symbol:
        return self.rig.symbols[0]

    def feed(self) -> LiveFeed:
        return LiveFeed(
            self.rig.source,
            self.clock,
            symbols=[self.symbol],
            timeframe=Timeframe.M1,
            newest={},
            settings=LiveFeedSettings(),
            patience=Patience(clock=self.clock, chance=random.Random(1)),
            book_depth=5,
            sink=self.sink,
            corrections=self.store,
        )

    async def listen(self, feed: LiveFeed) -> None:
        async with contextlib.aclosing(feed.events()) as events:
            async for event in events:
                if isinstance(event, Bar):
                    self.bars.append(event)
                    await self.store.put([event])

    async def trade(self, deal) -> None:
        number = await self.rig.trade(self.symbol, deal.price, deal.quantity, deal.side, at=deal.at)
        self.made.append(
            Trade(
                symbol=self.symbol,
                trade_id=number,
                traded_at=deal.at,
                side=Side(deal.side),
                price=Price(Decimal(deal.price)),
                quantity=Quantity(Decimal(deal.quantity)),
            )
        )

    async def live(self, accidents) -> None:
        """Let the market happen, and at their seconds the accidents; then tell all bars of it."""
        deals = the_market()
        for second in range(0, MINUTES * 60 + 1, STEP):
            self.clock.move_to(START + second * SECOND)
            for at in [at for at in accidents if at - at % STEP == second]:
                for accident in accidents[at]:
                    done = accident(self)
                    if asyncio.iscoroutine(done):
                        await done
            for deal in (deal for deal in deals if deal.second == second):
                await self.trade(deal)
            await self.rig.change_book(self.symbol, **a_book(1 + second))
            await settled()
        for _ in range(ENOUGH):
            if self.bars and self.bars[-1].closed_at >= END:
                return
            self.clock.move_to(self.clock.now() + SECOND)
            await settled()
        raise AssertionError(f"never told: {self.bars[-1:]}")

    def whole(self) -> list[Bar]:
        """What all trades that there were make of bars."""
        builder = TradeBars(self.symbol, Timeframe.M1, since=START)
        built = [bar for trade in self.made for bar in builder.add(trade)]
        return [*built, *builder.close_until(END)]


def a_book(size):
    return {"bids": {"85599.9": f"{size}.0"}, "asks": {"85600.1": "1.0"}}


@contextlib.asynccontextmanager
async def a_show(name):
    clock = ManualClock(START)
    async with HARNESSES[name](clock) as rig:
        show = Show(rig=rig, clock=clock)
        await rig.change_book(show.symbol, **a_book(1))
        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(show.listen(show.feed()))
            await rig.server.subscribed(rig.trade_topic(show.symbol))
            yield show
            listener.cancel()


def prices(bars):
    """What the venue's own bars have in common with those that are made of trades."""
    return [(bar.closed_at, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]


@pytest.mark.req("S1-17")
@pytest.mark.parametrize("name", HARNESSES)
@pytest.mark.parametrize("accidents", ACCIDENTS)
async def test_the_bars_are_those_of_an_undisturbed_run(name, accidents):
    async with a_show(name) as show:
        await show.live(accidents)
        kept = [trade.trade_id for trade in show.sink.trades]
        made = [trade.trade_id for trade in show.made]
        if show.rig.keeps_trades:
            assert (show.bars, kept) == (show.whole(), made)
        else:  # what the venue's short history does not reach is in its own bars only
            assert prices(show.bars) == prices(show.whole())
            assert kept == [number for number in made if number in set(kept)]
            assert accidents or kept == made
        assert await show.store.last(show.symbol, Timeframe.M1, 100) == show.bars


@pytest.mark.parametrize("name", BY_ID)
@pytest.mark.parametrize("accidents", SKIPPED)
async def test_ids_that_were_skipped_are_asked_for(name, accidents):
    async with a_show(name) as show:
        await show.live(accidents)
        assert show.bars == show.whole()
        assert [trade.trade_id for trade in show.sink.trades] == [t.trade_id for t in show.made]
