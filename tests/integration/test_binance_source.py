"""Binance USD-M through the real ccxt client, against its wire protocol on loopback."""

import asyncio
import inspect
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.clock import ManualClock, SystemClock
from data.feeds.binance import BinanceSource, rate_budget
from data.feeds.source import (
    BookBroken,
    Cursor,
    RateLimited,
    SourceRefused,
    SourceUnavailable,
)
from data.instrument import Side, Symbol
from tests.builders_captures import Rebuilt, answers, frames
from tests.builders_streams import heard
from tests.wire.binance import BinanceServer, Market
from tests.wire.loopback import HTML, UNREADABLE, Answer

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BTC, ETH = Symbol("BTC/USDT"), Symbol("ETH/USDT")
TRADES, DEPTH, MARK = "btcusdt@aggTrade", "btcusdt@depth@100ms", "btcusdt@markPrice@1s"


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
async def server(clock):
    async with BinanceServer(clock) as server:
        yield server


@pytest.fixture
async def source(clock, server):
    source = BinanceSource(clock=clock, budget=rate_budget(clock), urls=server.urls)
    yield source
    await source.close()


def kline(opened_ms, *, length_ms=MINUTE_MS, trades=42):
    closed_ms = opened_ms + length_ms - 1
    prices = ["100.0", "102.00", "99.9", "101.5"]
    volume = "12.345" if trades else "0"
    return [opened_ms, *prices, volume, closed_ms, "1234.5678", trades, "6.1", "610.1", "0"]


@pytest.mark.req("S1-19")
async def test_an_instrument_is_what_the_venue_lists(source, server):
    btc = (await source.instruments([BTC]))[BTC]
    assert (btc.tick, btc.lot, btc.min_quantity) == (Decimal("0.1"), Decimal("0.001"), btc.lot)
    assert (btc.min_notional, btc.max_leverage) == (100, 20)

    server.markets["BTCUSDT"].tick = "0.50"
    assert (await source.instruments([BTC]))[BTC].tick == Decimal("0.5")


async def test_a_symbol_that_is_not_listed_or_not_traded_any_more_is_refused(source, server):
    server.markets["ETHUSDT"].status = "SETTLING"
    for symbol in (Symbol("DOGE/USDT"), ETH):
        with pytest.raises(SourceRefused):
            await source.instruments([symbol])
        with pytest.raises(SourceRefused):
            await anext(source.trades(symbol))


async def test_every_trade_of_a_burst_is_told_in_order_with_its_digits(source, server):
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed(TRADES)
        for n in range(3_000):  # ccxt's own cache would drop two thirds
            await server.trade("BTCUSDT", f"{61_800 + n}.30", "0.0060", maker_buys=n % 2 == 0)
        batches = await trades.take(3_000)
    told = [trade for batch in batches for trade in batch]
    assert [trade.trade_id for trade in told] == list(range(1_000, 4_000))
    assert str(told[7].price), str(told[7].quantity) == ("61807.30", "0.0060")
    assert [trade.side for trade in told[:2]] == [Side.SELL, Side.BUY]
    assert told[0].traded_at == NOON


async def test_a_repeated_trade_is_told_once_and_a_lost_one_is_a_hole_that_rest_fills(
    source, server
):
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed(TRADES)
        first = await server.trade("BTCUSDT", "100.0", "1")
        await server.tell_trade("BTCUSDT", first)
        await server.trade("BTCUSDT", "100.1", "2", tell=False)
        await server.trade("BTCUSDT", "100.2", "3")
        await server.tell_trade("BTCUSDT", first)
        await server.trade("BTCUSDT", "100.3", "4")
        told = [batch[0].trade_id for batch in await trades.take(3)]
    assert told == [1_000, 1_002, 1_003]

    page, _ = await source.past_trades(BTC, Cursor(since=NOON, trade_id=1_001))
    assert [trade.trade_id for trade in page] == [1_001, 1_002, 1_003]
    assert page[0].price == Decimal("100.1")


@pytest.mark.parametrize(
    ("began", "calls"),
    [
        pytest.param(NOON - timedelta(hours=2), 3 + 1, id="from the first trade on"),
        pytest.param(NOON - timedelta(days=90), 3 + 1 + 1 + 3, id="from long before it"),
    ],
)
async def test_past_trades_are_paged_by_time_until_one_is_found_and_then_by_id(
    source, server, began, calls
):
    for n in range(2_300):
        at = NOON_MS - 2 * HOUR_MS + n
        await server.trade("BTCUSDT", "100.0", "1", at_ms=at, tell=False)
    hours = [NOON_MS - n * HOUR_MS for n in range(90 * 24, -1, -1)]
    server.markets["BTCUSDT"].klines["1h"] = [
        kline(at, length_ms=HOUR_MS, trades=2_300 if at == hours[-3] else 0) for at in hours
    ]
    await source.instruments([BTC])
    server.requests.clear()
    seen, cursor = [], Cursor(since=began)
    while True:
        page, following = await source.past_trades(BTC, cursor)
        if not page and following == cursor:
            break
        seen, cursor = [*seen, *page], following
    assert [trade.trade_id for trade in seen] == list(range(1_000, 3_300))
    assert len(server.requests) == calls


async def test_past_trades_of_a_time_without_any_are_at_their_end(source, server):
    cursor = Cursor(since=NOON - timedelta(hours=3))
    assert await source.past_trades(BTC, cursor) == ((), cursor)


async def test_bars_are_exact_and_the_open_one_is_left_out(source, server):
    opened = [NOON_MS - n * MINUTE_MS for n in (3, 2, 1, 0)]
    server.markets["BTCUSDT"].klines["1m"] = [kline(at) for at in opened]
    bars = await source.past_bars(BTC, Timeframe.M1, NOON - timedelta(minutes=2))
    assert [bar.closed_at for bar in bars] == [NOON - timedelta(minutes=1), NOON]
    assert (bars[0].close, bars[0].volume) == (Decimal("101.5"), Decimal("12.345"))
    assert (bars[0].turnover, bars[0].trades) == (Decimal("1234.5678"), None)


async def test_a_bar_that_may_still_change_waits_although_our_clock_is_past_its_close(
    source, server
):
    server.markets["BTCUSDT"].klines["1m"] = [kline(NOON_MS - MINUTE_MS)]
    assert not await source.past_bars(BTC, Timeframe.M1, NOON - timedelta(minutes=9))


async def test_the_book_is_the_snapshot_and_all_changes_since(source, server):
    market = server.markets["BTCUSDT"]
    market.bids, market.asks = {"100.0": "1", "99.9": "2"}, {"100.1": "3", "100.2": "4"}
    async with heard(source.books(BTC, 2)) as books:
        first = await books.next()
        await server.change_book("BTCUSDT", bids={"100.0": "0", "99.8": "5"}, asks={"100.1": "7"})
        second = await books.next()
    assert first.bids == ((Decimal("100.0"), Decimal(1)), (Decimal("99.9"), Decimal(2)))
    assert second.bids == ((Decimal("99.9"), Decimal(2)), (Decimal("99.8"), Decimal(5)))
    assert second.asks[0] == (Decimal("100.1"), Decimal(7))


async def test_changes_that_come_while_the_snapshot_is_on_its_way_are_not_lost(source, server):
    server.markets["BTCUSDT"].bids = {"100.0": "1"}
    gate = server.snapshots["BTCUSDT"] = asyncio.Event()
    async with heard(source.books(BTC, 5)) as books:
        await server.until(lambda: any(path.endswith("depth") for path, _ in server.requests))
        for size in ("2", "3", "4"):
            await server.change_book("BTCUSDT", bids={"100.0": size})
        gate.set()
        told = [book.bids[0].quantity for book in await books.take(4)]
    assert told == [1, 2, 3, 4]


async def test_a_snapshot_that_is_older_than_the_stream_is_asked_for_again(source, server):
    server.markets["BTCUSDT"].bids = {"100.0": "1"}
    stale = Answer(body=f'{{"lastUpdateId":17,"E":1,"T":{NOON_MS},"bids":[],"asks":[]}}')
    await source.instruments([BTC])
    server.silent = True  # no receipt: the first thing heard is a change
    async with heard(source.books(BTC, 5)) as books:
        await server.subscribed(DEPTH)
        server.silent = False
        server.instead.extend([stale, stale])
        await server.change_book("BTCUSDT", bids={"100.0": "9"})
        assert (await books.next()).bids[0].quantity == 9


async def test_a_lost_change_breaks_the_book_and_a_new_subscription_mends_it(source, server):
    server.markets["BTCUSDT"].bids = {"100.0": "1"}
    async with heard(source.books(BTC, 5)) as books:
        await books.next()
        await server.change_book("BTCUSDT", bids={"100.0": "2"}, tell=False)
        await server.change_book("BTCUSDT", bids={"99.0": "3"})
        assert isinstance(await books.next(), BookBroken)
    async with heard(source.books(BTC, 5)) as books:
        assert [level.quantity for level in (await books.next()).bids] == [2, 3]


async def test_a_repeated_change_changes_nothing(source, server):
    async with heard(source.books(BTC, 5)) as books:
        await books.next()
        frame = await server.change_book("BTCUSDT", bids={"100.0": "2"})
        await server.push(DEPTH, frame)
        await server.change_book("BTCUSDT", bids={"99.0": "3"})
        told = await books.take(3)
    assert told[0] == told[1]
    assert len(told[2].bids) == 2


async def test_a_book_that_is_used_up_is_asked_for_again(source, server):
    market = server.markets["BTCUSDT"]
    market.bids = {f"{10_000 - n}.0": "1" for n in range(1_003)}  # three more than are told
    async with heard(source.books(BTC, 5)) as books:
        await books.next()
        best = sorted(market.bids, key=float, reverse=True)[:999]
        await server.change_book("BTCUSDT", bids=dict.fromkeys(best, "0"))
        assert len((await books.next()).bids) == 4


@pytest.mark.parametrize(
    "level",
    [
        pytest.param(["100.0", "-1"], id="below zero"),
        pytest.param(["1e999999999", "NaN"], id="no number"),
        pytest.param(["1O0.0", "1"], id="a letter"),
        pytest.param(["100.0"], id="cut short"),
    ],
)
async def test_a_corrupt_level_ends_the_book(source, server, level):
    async with heard(source.books(BTC, 5)) as books:
        await books.next()
        frame = await server.change_book("BTCUSDT", bids={"100.0": "2"}, tell=False)
        await server.push(DEPTH, frame | {"b": [level]})
        assert isinstance(await books.next(), SourceUnavailable)


async def test_funding_tells_the_rate_to_come_with_the_mark_price(source, server):
    async with heard(source.funding(ETH)) as funding:
        await server.subscribed("ethusdt@markPrice@1s")
        await server.tell_funding(
            "ETHUSDT", rate="0.00010000", mark="3301.22", next_ms=NOON_MS + 4 * HOUR_MS
        )
        rate = await funding.next()
    assert (rate.rate, rate.mark_price) == (Decimal("0.0001"), Decimal("3301.22"))
    assert (rate.at, rate.seen_at) == (NOON + timedelta(hours=4), NOON)
    assert rate.interval == timedelta(hours=4)  # as fundingInfo says of this one
    assert not rate.is_settled


async def test_past_funding_is_dated_on_the_minute_and_knows_old_intervals(source, server):
    paid = [NOON_MS - hours * HOUR_MS + 3 for hours in (20, 12, 4, 0)]  # 8 hours, then 4
    server.markets["ETHUSDT"].funding = [
        {"symbol": "ETHUSDT", "fundingTime": at, "fundingRate": "-0.0002", "markPrice": mark}
        for at, mark in zip(paid, ["", "3300.1", "3300.2", "3300.3"], strict=True)
    ]
    rates = await source.past_funding(ETH, NOON - timedelta(days=1))
    assert [rate.at for rate in rates] == [NOON - timedelta(hours=h) for h in (20, 12, 4, 0)]
    assert [rate.interval // timedelta(hours=1) for rate in rates] == [4, 8, 8, 4]
    assert rates[0].mark_price is None
    assert all(rate.is_settled and rate.rate == Decimal("-0.0002") for rate in rates)
    assert not await source.past_funding(ETH, rates[-1].at + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param(Answer(status=429, headers={"Retry-After": "7"}), RateLimited, id="429"),
        pytest.param(Answer(status=418, headers={"Retry-After": "7"}), RateLimited, id="ban"),
        pytest.param(Answer(status=503, body="busy"), SourceUnavailable, id="503"),
        pytest.param(
            Answer(status=500, body='{"code":-1000,"msg":"unknown"}'), SourceUnavailable, id="500"
        ),
        pytest.param(HTML, SourceUnavailable, id="a page of HTML"),
        pytest.param(UNREADABLE, SourceUnavailable, id="half an answer"),
        pytest.param(Answer(body="{}"), SourceUnavailable, id="an empty object"),
        pytest.param(Answer(status=451, body="barred"), SourceRefused, id="barred by law"),
    ],
)
async def test_what_rest_says_instead_of_an_answer_is_a_fault(source, server, answer, fault):
    await source.instruments([BTC])
    server.instead.append(answer)
    with pytest.raises(fault) as caught:
        await source.server_time()
    if fault is RateLimited:
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.req("S1-20")
async def test_what_others_use_from_the_same_address_counts(clock, server):
    """A fill beside a daemon: each has a budget of its own, and the address one for both."""
    budget = rate_budget(clock)
    source = BinanceSource(clock=clock, budget=budget.patient, urls=server.urls)
    await source.instruments([BTC])
    used = {"X-MBX-USED-WEIGHT-1M": "2350"}
    server.instead.append(Answer(body='{"serverTime":1}', headers=used))
    await source.server_time()
    assert budget.left == 50
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(source.server_time())
        await budget.spend(40)  # an order
        await SystemClock().sleep(timedelta(milliseconds=50))
        assert not asked.done()
        clock.move_to(NOON + timedelta(minutes=1))
    await source.close()


async def test_an_answer_that_never_comes_is_given_up(clock, server):
    source = BinanceSource(
        clock=clock,
        budget=rate_budget(clock),
        urls=server.urls,
        timeout=timedelta(milliseconds=50),
    )
    server.hold.clear()
    with pytest.raises(SourceUnavailable):
        await source.server_time()
    await source.close()


async def interrupted(server, stream, how):
    """What a stream of trades ends with when `how` happens to its socket."""
    async with heard(stream) as trades:
        await server.subscribed(TRADES)
        await server.trade("BTCUSDT", "100.0", "1")
        await trades.next()
        await how()
        return await trades.next()


@pytest.mark.parametrize("how", ["close", "reset", "html", "half", "reconnect"])
async def test_a_broken_socket_ends_the_stream_and_the_next_one_goes_on(source, server, how):
    async def happen():
        match how:
            case "close":
                await server.close_sockets()
            case "reset":
                server.reset_sockets()
            case "html":
                await server.push(TRADES, HTML.body)
            case "half":
                await server.push(TRADES, UNREADABLE.body)
            case "reconnect":  # what cures a socket that lives and says nothing
                server.silent = True
                await source.reconnect()
                server.silent = False

    assert isinstance(await interrupted(server, source.trades(BTC), happen), SourceUnavailable)
    await server.until(lambda: not server.peers)  # none is left open and unheard
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed(TRADES)
        for price in ("101.0", "102.0"):
            await server.trade("BTCUSDT", price, "1")
        told = [trade.price for batch in await trades.take(2) for trade in batch]
    assert told == [101, 102]


async def test_streams_are_apart_one_that_is_closed_leaves_the_others_alone(source, server):
    async with heard(source.trades(BTC)) as trades, heard(source.books(BTC, 5)) as books:
        await books.next()
        async with heard(source.funding(BTC)):
            await server.subscribed(TRADES, MARK)
        await server.until(lambda: not server.listeners(MARK))
        await server.trade("BTCUSDT", "100.0", "1")
        await server.change_book("BTCUSDT", bids={"100.0": "2"})
        assert (await trades.next())[0].price == 100
        assert (await books.next()).bids[0].quantity == 2


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        pytest.param(2, SourceRefused, id="no such stream"),
        pytest.param(503, SourceUnavailable, id="busy"),
    ],
)
async def test_an_error_ends_the_subscription_that_it_answers(source, server, code, fault):
    server.errors[TRADES] = {"code": code, "msg": "no"}
    async with heard(source.books(BTC, 5)) as books:
        await books.next()
        async with heard(source.trades(BTC)) as trades:
            assert isinstance(await trades.next(), fault)
        await server.change_book("BTCUSDT", bids={"100.0": "2"})
        assert (await books.next()).bids


async def test_a_handshake_that_is_turned_away_asks_for_patience(source, server):
    server.refuse_sockets = Answer(status=429, headers={"Retry-After": "9"})
    async with heard(source.trades(BTC)) as trades:
        fault = await trades.next()
    assert isinstance(fault, RateLimited)


@pytest.mark.req("S1-20")
async def test_every_call_drains_the_budget_by_what_the_venue_weighs(clock, server):
    budget = rate_budget(clock)
    source = BinanceSource(clock=clock, budget=budget, urls=server.urls)
    await source.instruments([BTC])
    await source.server_time()
    await source.past_trades(BTC, Cursor(since=NOON))
    await source.past_bars(BTC, Timeframe.H1, NOON)
    async with heard(source.books(BTC, 5)) as books:
        await books.next()
    await source.close()
    assert budget.spent == server.used_weight


def test_no_adapter_of_public_data_takes_a_key():
    assert set(inspect.signature(BinanceSource).parameters) == {
        "clock",
        "budget",
        "testnet",
        "urls",
        "timeout",
    }


@pytest.mark.req("S1-17")
async def test_the_testnet_has_its_own_name_and_its_own_addresses(clock):
    real, testnet = (
        BinanceSource(clock=clock, budget=rate_budget(clock), testnet=flag)
        for flag in (False, True)
    )
    addresses = [
        {source._exchange.urls["api"]["fapiPublic"], source._exchange.urls["api"]["ws"]["linear"]}
        for source in (real, testnet)
    ]
    assert not addresses[0] & addresses[1]
    assert (real.traits.exchange, testnet.traits.exchange) == ("binanceusdm", "binanceusdm_testnet")


async def test_the_testnet_speaks_the_same(clock, server):
    source = BinanceSource(clock=clock, budget=rate_budget(clock), testnet=True, urls=server.urls)
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed(TRADES)
        await server.trade("BTCUSDT", "100.0", "1")
        assert (await trades.next())[0].price == 100
    await source.close()


async def test_recorded_streams_of_four_symbols_give_their_trades_and_books(
    shared_data, source, server
):
    """30 seconds of 2021: bookTicker and kline frames come too, which nobody has asked for."""
    folder = shared_data / "ws_captures_cryptofeed"
    ((_, listed),) = answers(folder / "BINANCE_FUTURES.0.gz")
    names = {"SUSHIUSDT": "SUSHI", "AKROUSDT": "AKRO", "KEEPUSDT": "KEEP", "CTKUSDT": "CTK"}
    for symbol, base in names.items():
        (entry,) = [entry for entry in listed["symbols"] if entry["symbol"] == symbol]
        filters = {row["filterType"]: row for row in entry["filters"]}
        server.markets[symbol] = Market(
            symbol=symbol,
            base=base,
            quote="USDT",
            tick=filters["PRICE_FILTER"]["tickSize"],
            lot=filters["LOT_SIZE"]["stepSize"],
        )
    rebuilt = {}
    for address, snapshot in answers(folder / "BINANCE_FUTURES.http.0.0.gz"):
        symbol = address.partition("symbol=")[2].partition("&")[0]
        market = server.markets[symbol]
        market.update_id = snapshot["lastUpdateId"]
        market.bids, market.asks = dict(snapshot["bids"]), dict(snapshot["asks"])
        rebuilt[symbol] = Rebuilt()
        rebuilt[symbol].put(snapshot, "bids", "asks")
    recorded = list(frames(folder / "BINANCE_FUTURES.ws.1.0.gz"))
    expected = Counter(
        frame["data"]["s"] for frame in recorded if frame["stream"].endswith("aggTrade")
    )
    assert sum(expected.values()) == 91

    for symbol, base in names.items():
        here, last_id = Symbol(f"{base}/USDT"), server.markets[symbol].update_id
        mine = [frame for frame in recorded if frame["stream"].startswith(symbol.lower())]
        changes = [frame["data"] for frame in mine if frame["stream"].endswith("depth@100ms")]
        newer = [frame for frame in changes if frame["u"] > last_id]
        async with heard(source.trades(here)) as trades, heard(source.books(here, 25)) as books:
            await server.subscribed(f"{symbol.lower()}@aggTrade")
            await books.next()
            for frame in mine:
                is_trade = frame["data"]["e"] == "aggTrade"
                for peer in server.peers:
                    if peer.topics and is_trade == peer.path.startswith("/market/"):
                        await peer.send(frame["data"])
            told = await trades.take(expected[symbol])
            final = (await books.take(len(changes)))[-1]
        ids = [trade.trade_id for batch in told for trade in batch]
        assert ids == list(range(ids[0], ids[0] + expected[symbol]))
        for frame in newer:
            rebuilt[symbol].put(frame)
        assert (list(final.bids), list(final.asks)) == rebuilt[symbol].best(25)


async def test_five_recorded_minutes_of_bitcoin_give_every_trade_and_every_book(
    shared_data, source, server
):
    """2024: single trades, each served as an aggregate of one; no snapshot, so an empty one."""
    recorded = [
        frame["data"]
        for frame in frames(
            shared_data / "l2_binance_hyperliquid" / "binance_usdm_btcusdt_20240808.jsonl.gz",
            leave_out="@bookTicker",
        )
        if "stream" in frame
    ]
    changes = [frame for frame in recorded if frame["e"] == "depthUpdate"]
    singles = [frame for frame in recorded if frame["e"] == "trade"]
    server.markets["BTCUSDT"].update_id = changes[0]["pu"]
    rebuilt = Rebuilt()
    async with heard(source.trades(BTC)) as trades, heard(source.books(BTC, 10)) as books:
        await server.subscribed(TRADES)
        assert not (await books.next()).bids
        for frame in singles:
            await server.push(TRADES, frame | {"e": "aggTrade", "a": frame["t"]})
        for number, frame in enumerate(changes):
            await server.push(DEPTH, frame)
            rebuilt.put(frame)
            book = await books.next()
            if number % 250 == 0 or frame is changes[-1]:
                assert (list(book.bids), list(book.asks)) == rebuilt.best(10)
        told = [batch[0].trade_id for batch in await trades.take(len(singles))]
    assert told == [frame["t"] for frame in singles]
    assert (len(told), len(changes)) == (21_313, 6_551)
