"""The live feed on a Kraken of loopback: whatever the wire does, the bars are the market's."""

import asyncio
import contextlib
from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.collect.patience import Patience
from data.feeds.live import LiveFeed, LiveFeedSettings
from tests.builders_live import (
    BTC,
    MINUTE,
    MINUTES,
    SECOND,
    START,
    STEP,
    XRP,
    Sink,
    a_book,
    a_stage,
    bars_of,
    settled,
    the_market,
)
from tests.wire.kraken import KrakenServer

HOUR = timedelta(hours=1)
TRADES, BOOK = "trade@BTC/USD", "book@BTC/USD"


def set_(**values):
    def accident(server):
        for name, value in values.items():
            setattr(server, name, value)

    return accident


def mute(*topics):
    return set_(mute=set(topics))


def closed(server):
    return server.close_sockets()


def reset(server):
    server.reset_sockets()


def repeat_book(server):
    return server.repeat_book(BTC)


def tick(server):
    return server.change_decimals(BTC, 2)


ACCIDENTS = [  # those that every venue can have are in test_live_feed_venues
    pytest.param({60: [repeat_book], 100: [repeat_book]}, id="a snapshot of the book unasked"),
    pytest.param({80: [set_(corrupt_next_book=True)]}, id="a level of the book corrupt"),
    pytest.param({80: [tick]}, id="another tick"),
]


@pytest.mark.req("S1-17")
@pytest.mark.parametrize("accidents", ACCIDENTS)
async def test_the_bars_are_those_of_an_undisturbed_run(accidents):
    async with a_stage(book_depth=5) as stage:
        accidents = {second - second % 3: done for second, done in accidents.items()}
        await stage.live(the_market(), accidents | _book_changes(accidents))
        whole = bars_of(stage.server)
        assert stage.bars == whole
        assert await stage.store.last(BTC, Timeframe.M1, 100) == whole
        ids = [trade.trade_id for trade in stage.sink.trades]
        assert ids == [made.number for made in stage.server.markets[BTC].prints]
        assert stage.feed.health().lines[0].lost == 0


def _book_changes(accidents):
    """Something for the book to tell, at each twelfth second that has no accident."""

    def change(server):
        market = server.markets[BTC]
        size = f"{Decimal(market.bids[Decimal('85599.9')]) + 1:.8f}"
        return server.change_book(BTC, bids={"85599.9": size})

    return {second: [change] for second in range(12, 60 * MINUTES, 12) if second not in accidents}


async def test_a_quiet_market_is_no_silent_subscription():
    async with a_stage(settings=LiveFeedSettings(clock_every=timedelta(hours=1))) as stage:
        await stage.server.trade(BTC, "85600.0", "1.0")
        await stage.until(lambda: len(stage.bars) == 5, step=5)
        health = stage.feed.health()
        assert [bar.trades for bar in stage.bars] == [1, 0, 0, 0, 0]
        assert {bar.close for bar in stage.bars} == {Decimal("85600.0")}
        assert health.subscriptions[0].resubscriptions == health.reconnects == 0
        assert not stage.gaps


async def test_a_bar_closes_by_time_shortly_after_its_end():
    async with a_stage() as stage:
        await stage.server.trade(BTC, "85600.0", "1.0")
        await stage.pass_time(61)
        assert not stage.bars
        await stage.until(lambda: bool(stage.bars), step=0.5)
        assert stage.clock.now() <= START + MINUTE + 4 * SECOND


async def test_a_bar_closes_with_the_first_trade_of_the_next():
    async with a_stage() as stage:
        await stage.server.trade(BTC, "85600.0", "1.0")
        await stage.until(lambda: stage.feed.health().lines[0].trades == 1, step=0)
        await stage.pass_time(29)
        await stage.pass_time(29)
        await stage.pass_time(2.3)
        await stage.server.trade(BTC, "85601.0", "1.0")
        await stage.until(lambda: bool(stage.bars), step=0)
        assert [bar.close for bar in stage.bars] == [Decimal("85600.0")]


async def test_an_interruption_is_told_once_at_its_onset():
    async with a_stage() as stage:
        await stage.live(the_market(), {93: [closed], 96: [closed]})
        (gap,) = stage.gaps
        assert (gap.since, gap.until) == (START + MINUTE, None)
        assert stage.events.index(gap) == 1


async def test_silence_is_answered_with_a_subscription_then_with_a_connection():
    async with a_stage(book_depth=5) as stage:
        await stage.live(the_market(), {63: [mute(TRADES)]})
        health = stage.feed.health()
        assert health.subscriptions[0].resubscriptions > health.reconnects >= 1
        assert stage.server.connections > 1


async def test_what_is_missing_is_told_to_the_watcher_and_its_repair_too():
    async with a_stage() as stage:
        await stage.live(the_market(), {93: [mute(TRADES)], 102: [mute()]})
        missing = [note[2] for note in stage.watcher.notes if note[0] == "missing"]
        assert missing[0] > 0
        assert missing[-1] == 0
        assert stage.feed.health().lines[0].repaired >= missing[0]


async def test_a_late_trade_corrects_the_stored_bar_and_is_not_told_again():
    async with a_stage() as stage:
        await stage.server.trade(BTC, "85600.0", "1.0")
        await stage.pass_time(61)
        await stage.server.trade(BTC, "85610.0", "1.0")
        await stage.server.trade(BTC, "85700.0", "2.0", at=START + 59 * SECOND)
        await stage.until(lambda: stage.feed.health().lines[0].corrected == 1)
        (kept,) = await stage.store.last(BTC, Timeframe.M1, 5)
        assert [bar.close for bar in stage.bars] == [Decimal("85600.0")]
        assert (kept.close, kept.volume, kept.trades) == (Decimal("85700.0"), Decimal("3.0"), 2)
        assert stage.feed.health().lines[0].late == 1


async def test_a_late_trade_is_waited_for_where_the_history_is_behind(monkeypatch):
    hidden, told = set(), KrakenServer._trades

    def behind(server, query):
        market = server._named(query)
        prints = market.prints
        market.prints = [made for made in prints if made.number not in hidden]
        answer = told(server, query)
        market.prints = prints
        return answer

    monkeypatch.setattr(KrakenServer, "_trades", behind)
    async with a_stage() as stage:
        for _ in range(4):
            await stage.server.trade(BTC, "85600.0", "1.0")
            await stage.pass_time(20)
        hidden.add(stage.server.markets[BTC].next_trade)
        await stage.server.trade(BTC, "85700.0", "2.0", at=START + 59 * SECOND)
        await stage.until(lambda: stage.feed.health().lines[0].late == 1, step=0)
        await stage.pass_time(0.1)
        hidden.clear()
        await stage.until(lambda: stage.feed.health().lines[0].corrected == 1)
        (kept,) = await stage.store.last(BTC, Timeframe.M1, 5)
        assert (kept.close, kept.volume, kept.trades) == (Decimal("85700.0"), Decimal("5.0"), 4)


async def test_trades_that_the_venue_has_lost_make_the_bar_the_venues():
    async with a_stage() as stage:
        await stage.server.trade(BTC, "85600.0", "1.0")
        await stage.server.trade(BTC, "85601.0", "1.0", tell=False)
        lost = stage.server.markets[BTC].prints.pop()
        await stage.server.trade(BTC, "85602.0", "1.0")
        await stage.until(lambda: len(stage.bars) == 2)
        health = stage.feed.health().lines[0]
        assert (health.lost, health.replaced) == (1, 1)
        assert stage.bars[0].turnover is None  # REST has no exact one
        assert lost.number not in [trade.trade_id for trade in stage.sink.trades]


async def test_a_trade_from_the_future_is_left_out_and_closes_nothing():
    async with a_stage() as stage:
        await stage.server.trade(BTC, "85600.0", "1.0")
        await stage.server.trade(BTC, "1.0", "1.0", at=START + timedelta(days=300))
        await stage.until(lambda: stage.feed.health().lines[0].misdated == 1, step=0)
        assert not stage.bars


@pytest.mark.parametrize("hours", [0.2, 5, 10])
async def test_history_since_the_newest_bar_is_told_first_in_order_and_once(hours):
    since, begin = START - timedelta(hours=hours), START + 30 * SECOND

    async def history(server):
        for minute in range(int(hours * 60)):
            at = since + minute * MINUTE + 7 * SECOND
            await server.trade(BTC, f"{85_000 + minute}.5", "0.25", at=at)
            if minute % 7:
                await server.trade(BTC, f"{85_000 + minute}.1", "0.5", at=at + SECOND)

    async with a_stage(newest={BTC: since}, begin=begin, before=history) as stage:
        await stage.until(lambda: len(stage.bars) >= hours * 60 + 1)
        whole = bars_of(stage.server, since=since, until=START + MINUTE)
        plain = [(bar.closed_at, bar.ohlcv, bar.trades) for bar in whole]
        assert [(bar.closed_at, bar.ohlcv, bar.trades) for bar in stage.bars] == plain
        assert (stage.bars == whole) == (hours < 6)  # beyond that they are the venue's


async def test_a_hole_that_no_history_fills_is_told_with_both_ends():
    newest = START - timedelta(days=3)

    async def history(server):
        await server.trade(BTC, "85000.0", "1.0", at=newest)
        await server.trade(BTC, "85001.0", "1.0", at=START - 3 * MINUTE)

    async with a_stage(newest={BTC: newest}, before=history) as stage:
        await stage.until(lambda: bool(stage.bars) and stage.bars[-1].closed_at > START)
        (gap,) = stage.gaps
        assert gap.since == newest
        assert gap.until == stage.bars[0].closed_at
        assert stage.events[0] == gap
        closes = [bar.closed_at for bar in stage.bars]
        assert closes == [closes[0] + n * MINUTE for n in range(len(closes))]
        assert len(closes) >= 700


async def test_symbols_live_apart():
    async with a_stage(symbols=(BTC, XRP)) as stage:
        await stage.server.trade(XRP, "0.51234", "10.0")
        await stage.live(the_market(), {63: [mute(TRADES)], 240: [mute()]})
        await stage.until(lambda: sum(bar.symbol == XRP for bar in stage.bars) >= 4)
        assert [bar for bar in stage.bars if bar.symbol == BTC][:4] == bars_of(stage.server)
        quiet = [bar for bar in stage.bars if bar.symbol == XRP][:4]
        assert quiet == bars_of(stage.server, XRP)


async def test_books_are_conflated_to_the_newest_and_never_block():
    async with a_stage(book_depth=5) as stage:
        stage.clock.move_to(START + SECOND)
        for size in range(1, 200):
            await stage.server.change_book(BTC, bids={"85599.9": f"{size}.00000000"})
        await stage.until(
            lambda: bool(stage.books) and stage.books[-1].bids[0].quantity == 199, step=0
        )
        assert len(stage.books) + stage.feed.health().replaced == 200


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(set_(corrupt_next_book=True), id="corrupt level"),
        pytest.param(tick, id="another tick"),
        pytest.param(set_(without_checksum=True), id="no checksum"),
    ],
)
async def test_a_broken_book_is_told_and_mends_itself(break_it):
    async with a_stage(book_depth=5) as stage:
        await stage.until(lambda: bool(stage.books), step=0)
        done = break_it(stage.server)
        if done is not None:
            await done
        await stage.server.change_book(BTC, asks={"85600.10": "3.00000000"})
        await settled()
        stage.server.without_checksum = False
        await stage.until(lambda: stage.feed.health().books_broken == 1, step=0.1)
        await stage.server.subscribed("book@BTC/USD@10")
        await stage.server.change_book(BTC, asks={"85600.10": "4.00000000"})
        await stage.until(lambda: stage.books[-1].asks[0].quantity == 4, step=0.1)
        assert stage.watcher.notes[-1] == ("book", BTC)
        assert not stage.gaps


async def test_a_thin_book_has_no_checksum_and_is_believed():
    async def thin(server):
        server.markets[BTC].bids.clear()
        server.markets[BTC].asks.clear()
        await server.change_book(BTC, **a_book(levels=3))

    async with a_stage(book_depth=5, before=thin) as stage:
        await stage.server.change_book(BTC, bids={"85599.9": "7.00000000"})
        await stage.until(lambda: bool(stage.books) and stage.books[-1].bids[0].quantity == 7)
        assert len(stage.books[-1].asks) == 3
        assert stage.feed.health().books_broken == 0


async def test_closing_the_feed_leaves_no_task_behind():
    before = asyncio.all_tasks()
    async with a_stage(book_depth=5) as stage:
        await stage.live(the_market(), {93: [reset]})
    for _ in range(5):
        await settled()
    assert asyncio.all_tasks() - before == set()


async def test_a_consumer_may_stop_in_the_middle():
    async with a_stage() as stage:
        other = LiveFeed(
            stage.source,
            stage.clock,
            symbols=[XRP],
            timeframe=Timeframe.M1,
            newest={XRP: START - 3 * MINUTE},
            settings=LiveFeedSettings(),
            patience=Patience(clock=stage.clock),
        )
        await stage.server.trade(XRP, "0.5", "1.0", at=START - 4 * MINUTE)
        before = named_tasks()
        async with contextlib.aclosing(other.events()) as events:
            async for event in events:
                assert event.closed_at == START - 2 * MINUTE
                break
        await stage.pass_time(0)
        assert named_tasks() == before


def named_tasks():
    """Those of the feeds; what ccxt and aiohttp start has no names."""
    return {task for task in asyncio.all_tasks() if not task.get_name().startswith("Task-")}


async def test_an_error_of_ours_ends_the_feed_where_the_consumer_waits():
    class Broken(Sink):
        def take(self, trades):
            raise RuntimeError("the sink is broken")

    async with a_stage() as stage:
        stage.feed._lines[0]._sink = Broken()
        await stage.server.trade(BTC, "85600.0", "1.0")
        with pytest.raises(ExceptionGroup) as raised:
            await stage.outcome()
        assert raised.group_contains(RuntimeError, match="the sink is broken")


async def test_the_venues_clock_closes_the_bars():
    async with a_stage() as stage:
        assert abs(stage.feed.health().skew) <= timedelta(seconds=0.5)
        assert ("skew", stage.feed.health().skew) in stage.watcher.notes


def numbers(bar):
    """The venue's own bars have no turnover."""
    return (bar.closed_at, *bar.ohlcv, bar.trades)


class Apart:
    """A clock that is so far from another."""

    def __init__(self, clock, ahead):
        self._clock, self._ahead = clock, ahead

    def now(self):
        return self._clock.now() + self._ahead


@pytest.mark.parametrize(
    "ahead",
    [pytest.param(-HOUR, id="ours is set ahead"), pytest.param(HOUR, id="ours is set back")],
)
async def test_a_clock_that_is_set_while_it_runs_makes_no_bar_that_the_market_has_not(ahead):
    """As on a machine that hears of the right time only after its start."""
    async with a_stage() as stage:
        clock, server = stage.clock, stage.server
        for second in range(0, MINUTES * 60 + 1, STEP):
            if second == 75:
                server.clock = Apart(clock, ahead)
                clock.move_to(max(clock.now() - ahead, clock.now()))
            else:
                clock.move_to(clock.now() + STEP * SECOND)
            price = f"{85_600 + second}.0"
            await server.trade(BTC, price, "0.5", at=server.clock.now() - SECOND / 10)
            await settled()
        due = server.clock.now().replace(second=0, microsecond=0)
        await stage.until(lambda: stage.bars[-1].closed_at >= due)
        made = bars_of(server, until=stage.bars[-1].closed_at)
        assert [numbers(bar) for bar in stage.bars] == [numbers(bar) for bar in made]
        assert stage.bars[-1].closed_at <= server.clock.now()
        health = stage.feed.health().lines[0]
        assert (health.misdated, health.late) == (0, 0)


@pytest.mark.parametrize("first", [1, 1_000_000], ids=["from the beginning", "far ahead"])
async def test_trades_that_a_venue_numbers_anew_are_trades(first):
    """As testnets do when they are set up again: what has a small id then is no repetition."""

    async def numbered(server):
        server.markets[BTC].next_trade = 5_000

    def anew(server):
        server.markets[BTC].next_trade = first

    async with a_stage(before=numbered) as stage:
        await stage.live(the_market(), {90: [anew]})
        told = [numbers(bar) for bar in stage.bars]
        assert told == [numbers(bar) for bar in bars_of(stage.server)]
        assert len(stage.sink.trades) == len(stage.server.markets[BTC].prints)
