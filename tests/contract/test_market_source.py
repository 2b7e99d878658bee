"""What holds for every venue's public data, each over the wire from a server of its own."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from data.bar import Timeframe
from data.clock import ManualClock, SystemClock
from data.feeds.source import (
    BookBroken,
    Cursor,
    RateLimited,
    SourceRefused,
    SourceUnavailable,
)
from data.instrument import Side
from data.trade_bars import TradeBars
from tests.builders_streams import heard
from tests.wire.harness import HARNESSES
from tests.wire.loopback import HTML, UNREADABLE, Answer

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DEPTH = 5


@pytest.fixture(params=HARNESSES)
async def rig(request):
    async with HARNESSES[request.param](ManualClock(NOON)) as opened:
        yield opened


def symbol_of(rig):
    return rig.symbols[0]


async def trade(rig, number, *, symbol=None, at=NOON, tell=True):
    """The `number`-th of a row of trades that all differ."""
    return await rig.trade(
        symbol or rig.symbols[0],
        f"{60_000 + number}.1",
        f"{number + 1}.005",
        "sell" if number % 2 else "buy",
        at=at,
        tell=tell,
    )


async def listening(rig, *symbols):
    await rig.server.subscribed(*(rig.trade_topic(symbol) for symbol in symbols))


async def trades_heard(ears, count):
    """The next `count` trades, in however many batches."""
    trades = []
    while len(trades) < count:
        batch = await ears.next()
        if isinstance(batch, Exception):
            raise batch
        trades += batch
    return trades


async def all_past(source, symbol, cursor):
    """Every trade from `cursor` on by id, and how many pages it took."""
    trades, pages = {}, 0
    while True:
        page, following = await source.past_trades(symbol, cursor)
        pages += 1
        trades |= {trade.trade_id: trade for trade in page}
        if not page and following == cursor:
            return list(trades.values()), pages
        cursor = following


@pytest.mark.req("S1-17", "S1-19")
async def test_instruments_have_the_venues_grid(rig):
    found = await rig.source.instruments(rig.symbols)
    assert tuple(found) == rig.symbols
    for instrument in found.values():
        assert min(instrument.tick, instrument.lot, instrument.min_quantity) > 0


async def test_an_unknown_symbol_is_refused(rig):
    with pytest.raises(SourceRefused):
        await rig.source.instruments([rig.unknown])
    with pytest.raises(SourceRefused):
        await anext(rig.source.trades(rig.unknown))
    with pytest.raises(SourceRefused):
        await anext(rig.source.books(rig.unknown, DEPTH))
    with pytest.raises(SourceRefused):
        await rig.source.past_bars(rig.unknown, Timeframe.M1, NOON)


async def test_a_trade_is_told_to_the_last_digit(rig):
    symbol, at = symbol_of(rig), NOON + timedelta(milliseconds=123)
    async with heard(rig.source.trades(symbol)) as ears:
        await listening(rig, symbol)
        number = await rig.trade(symbol, "60000.1", "0.12300", "sell", at=at)
        (told,) = await trades_heard(ears, 1)
    assert (told.symbol, told.trade_id, told.traded_at) == (symbol, number, at)
    assert (told.price, told.quantity) == (Decimal("60000.1"), Decimal("0.12300"))
    assert told.side is Side.SELL
    assert told.traded_at.tzinfo is UTC


async def test_a_burst_is_told_whole_once_and_in_order(rig):
    symbol = symbol_of(rig)
    async with heard(rig.source.trades(symbol)) as ears:
        await listening(rig, symbol)
        made = [await trade(rig, number) for number in range(2_500)]
        told = await trades_heard(ears, len(made))
    assert [each.trade_id for each in told] == made


async def test_consecutive_ids_are_consecutive(rig):
    made = [await trade(rig, number, tell=False) for number in range(5)]
    steps = {later - earlier for earlier, later in pairwise(made)}
    assert (steps == {1}) or not rig.source.traits.consecutive_ids


async def test_the_history_of_a_trade_is_what_was_told_of_it(rig):
    symbol = symbol_of(rig)
    async with heard(rig.source.trades(symbol)) as ears:
        await listening(rig, symbol)
        for number in range(4):
            await trade(rig, number, at=NOON + timedelta(microseconds=number * 1000))
        told = await trades_heard(ears, 4)
    past, _ = await all_past(rig.source, symbol, Cursor(since=NOON))
    assert past == told


async def test_a_history_without_trades_is_at_its_end(rig):
    cursor = Cursor(since=NOON)
    assert await rig.source.past_trades(symbol_of(rig), cursor) == ((), cursor)


async def test_no_trade_is_lost_between_two_pages(rig):
    if not rig.keeps_trades:
        pytest.skip("the venue tells the newest trades only")
    count = int(rig.source.traits.page * 2.5)
    made = [
        await trade(rig, number, at=NOON + timedelta(milliseconds=number // 40), tell=False)
        for number in range(count)  # many at the same time, also at the edges of pages
    ]
    past, pages = await all_past(rig.source, symbol_of(rig), Cursor(since=NOON))
    assert [each.trade_id for each in past] == made
    assert pages <= 6


async def test_a_page_begins_where_the_cursor_says(rig):
    for number in range(6):
        await trade(rig, number, at=NOON + number * SECOND, tell=False)
    past, _ = await all_past(rig.source, symbol_of(rig), Cursor(since=NOON + 3 * SECOND))
    assert [each.traded_at for each in past] == [NOON + n * SECOND for n in (3, 4, 5)]


@pytest.mark.parametrize("end", ["closed", "reset", "reconnected"])
async def test_a_stream_that_ends_says_so_and_can_be_opened_again(rig, end):
    symbol = symbol_of(rig)
    async with heard(rig.source.trades(symbol)) as ears:
        await listening(rig, symbol)
        first = await trade(rig, 1)
        match end:
            case "closed":
                await rig.server.close_sockets()
            case "reset":
                assert (await trades_heard(ears, 1))[0].trade_id == first
                rig.server.reset_sockets()
            case "reconnected":
                assert (await trades_heard(ears, 1))[0].trade_id == first
                await rig.source.reconnect()
        with pytest.raises(SourceUnavailable):
            await trades_heard(ears, 2)
    async with heard(rig.source.trades(symbol)) as ears:
        await listening(rig, symbol)
        again = await trade(rig, 2)
        assert (await trades_heard(ears, 1))[-1].trade_id == again


async def test_a_subscription_that_is_closed_leaves_the_others_alone(rig):
    first, second = rig.symbols
    async with heard(rig.source.trades(first)) as kept:
        async with heard(rig.source.trades(second)):
            await listening(rig, first, second)
        await rig.server.until(lambda: not rig.server.listeners(rig.trade_topic(second)))
        number = await trade(rig, 1)
        assert (await trades_heard(kept, 1))[0].trade_id == number
        async with heard(rig.source.trades(second)) as again:
            await listening(rig, second)
            number = await trade(rig, 2, symbol=second)
            assert (await trades_heard(again, 1))[-1].trade_id == number


async def test_a_venue_that_refuses_the_socket_is_unavailable(rig):
    await rig.source.instruments(rig.symbols)
    rig.server.refuse_sockets = Answer(status=503, body="no")
    with pytest.raises(SourceUnavailable):
        await anext(rig.source.trades(symbol_of(rig)))


@pytest.mark.req("S1-20")
async def test_a_venue_that_asks_for_patience_is_told_so_by_name(rig):
    await rig.source.instruments(rig.symbols)
    rig.server.instead.append(Answer(status=429, body="{}", headers={"Retry-After": "0"}))
    with pytest.raises(RateLimited) as raised:
        await rig.source.past_trades(symbol_of(rig), Cursor(since=NOON))
    assert raised.value.retry_after == timedelta(0)


@pytest.mark.req("S1-20")
async def test_patience_that_is_asked_for_without_a_term_is_had_all_the_same(rig):
    """Who goes on asking after a 429 is banned, orders and all."""
    await rig.source.instruments(rig.symbols)
    rig.server.instead.append(Answer(status=429, body="{}"))
    with pytest.raises(RateLimited):
        await rig.source.server_time()
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(rig.source.server_time())
        await SystemClock().sleep(timedelta(milliseconds=50))
        assert not asked.done()
        rig.server.clock.move_to(NOON + 10 * SECOND)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(HTML, id="a page of HTML, with status 200"),
        pytest.param(UNREADABLE, id="half of an answer"),
        pytest.param(Answer(body="{}"), id="an answer with nothing in it"),
        pytest.param(Answer(status=500, body="oops", content_type="text/plain"), id="500"),
        pytest.param(Answer(status=502, body="<html>", content_type="text/html"), id="502"),
        pytest.param(Answer(status=503, body=""), id="503 without a word"),
        pytest.param(Answer(status=504, body=""), id="504"),
    ],
)
async def test_an_answer_without_sense_is_no_empty_history(rig, answer):
    await rig.source.instruments(rig.symbols)
    await trade(rig, 1, tell=False)
    rig.server.instead.append(answer)
    with pytest.raises(SourceUnavailable):
        await rig.source.past_trades(symbol_of(rig), Cursor(since=NOON))
    past, _ = await all_past(rig.source, symbol_of(rig), Cursor(since=NOON))
    assert len(past) == 1


async def test_markets_that_cannot_be_had_are_asked_for_again(rig):
    rig.server.instead.append(HTML)
    with pytest.raises(SourceUnavailable):
        await rig.source.past_bars(symbol_of(rig), Timeframe.M1, NOON)
    assert list(await rig.source.instruments(rig.symbols)) == list(rig.symbols)


async def test_the_book_is_told_after_each_change(rig):
    symbol = symbol_of(rig)
    bids = {f"{60_000 - n}.0": f"{n + 1}.5" for n in range(12)}
    asks = {f"{60_001 + n}.0": f"{n + 1}.25" for n in range(12)}
    await rig.change_book(symbol, bids=bids, asks=asks)
    async with heard(rig.source.books(symbol, DEPTH)) as ears:
        await rig.server.subscribed(rig.book_topic(symbol, DEPTH))
        first = await ears.next()
        await rig.change_book(symbol, bids={"60000.0": "0"}, asks={"60001.0": "7.75"})
        second = await ears.next()
    assert [len(first.bids), len(first.asks)] == [DEPTH, DEPTH]
    assert first.bids[0] == (Decimal("60000.0"), Decimal("1.5"))
    assert second.bids[0] == (Decimal("59999.0"), Decimal("2.5"))
    assert second.asks[0] == (Decimal("60001.0"), Decimal("7.75"))
    assert second.symbol == symbol


async def test_a_book_that_is_not_the_venues_is_broken(rig):
    if not rig.tells_book_changes:
        pytest.skip("the venue sends whole books")
    symbol = symbol_of(rig)
    bids = {f"{60_000 - n}.0": f"{n + 1}.5" for n in range(12)}
    asks = {f"{60_001 + n}.0": f"{n + 1}.25" for n in range(12)}
    await rig.change_book(symbol, bids=bids, asks=asks)
    async with heard(rig.source.books(symbol, DEPTH)) as ears:
        await rig.server.subscribed(rig.book_topic(symbol, DEPTH))
        await ears.next()
        rig.break_book()
        await rig.change_book(symbol, bids={"60000.0": "3.5"}, asks={})
        await rig.change_book(symbol, bids={"60000.0": "4.5"}, asks={})
        assert isinstance(await ears.next(), BookBroken)
    async with heard(rig.source.books(symbol, DEPTH)) as ears:
        assert (await ears.next()).bids[0] == (Decimal("60000.0"), Decimal("4.5"))


async def test_the_venues_clock_is_told(rig):
    assert abs(await rig.source.server_time() - NOON) < SECOND


async def test_what_has_no_funding_refuses_it(rig):
    if rig.source.traits.has_funding:
        pytest.skip("the venue has funding")
    with pytest.raises(SourceRefused):
        await rig.source.past_funding(symbol_of(rig), NOON)
    with pytest.raises(SourceRefused):
        async for _ in rig.source.funding(symbol_of(rig)):
            pass


@pytest.mark.req("S1-20")
async def test_every_question_drains_the_budget(rig):
    symbol = symbol_of(rig)
    await rig.source.instruments(rig.symbols)
    for ask in (
        lambda: rig.source.past_trades(symbol, Cursor(since=NOON)),
        lambda: rig.source.past_bars(symbol, Timeframe.M1, NOON),
        rig.source.server_time,
    ):
        before = rig.budget.spent
        await ask()
        assert rig.budget.spent > before


async def test_a_closed_source_leaves_no_task_behind():
    before = asyncio.all_tasks()
    for open_rig in HARNESSES.values():
        async with open_rig(ManualClock(NOON)) as rig:
            async with heard(rig.source.trades(symbol_of(rig))):
                await listening(rig, symbol_of(rig))
            rig.server.silent = True
    for _ in range(10):
        await SystemClock().sleep(timedelta(milliseconds=1))
    assert asyncio.all_tasks() - before == set()


@pytest.mark.parametrize("name", HARNESSES)
async def test_past_bars_are_closed_and_those_of_the_trades(name):
    clock = ManualClock(NOON)
    async with HARNESSES[name](clock) as rig:
        symbol = symbol_of(rig)
        for number in range(40):
            await trade(rig, number, at=NOON + number * 9 * SECOND, tell=False)
        clock.move_to(NOON + 40 * 9 * SECOND)
        bars = await rig.source.past_bars(symbol, Timeframe.M1, NOON + MINUTE)
        builder = TradeBars(symbol, Timeframe.M1, since=NOON)
        if not rig.keeps_trades:
            pytest.skip("the venue tells the newest trades only")
        past, _ = await all_past(rig.source, symbol, Cursor(since=NOON))
        built = [bar for each in past for bar in builder.add(each)]
        assert [bar.closed_at for bar in bars] == [NOON + n * MINUTE for n in (2, 3, 4, 5)] + (
            [NOON + 6 * MINUTE] if len(bars) == 5 else []
        )
        numbers = {bar.closed_at: (bar.ohlcv, bar.trades) for bar in built}
        for bar in bars[:4]:
            ohlcv, count = numbers[bar.closed_at]
            assert bar.ohlcv == ohlcv
            assert bar.trades in (count, None)  # a venue may count other trades than it streams
