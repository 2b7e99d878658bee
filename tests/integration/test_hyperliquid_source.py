"""Hyperliquid through the real ccxt client, against its wire protocol on loopback."""

import csv
import inspect
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import ccxt
import pytest

from data.bar import Timeframe
from data.clock import ManualClock
from data.feeds.hyperliquid import HyperliquidSource, rate_budget
from data.feeds.source import (
    BookBroken,
    Cursor,
    RateLimited,
    SourceRefused,
    SourceUnavailable,
)
from data.instrument import Side, Symbol
from tests.builders_captures import frames
from tests.builders_streams import heard
from tests.wire.hyperliquid import Coin, HyperliquidServer
from tests.wire.loopback import HTML, UNREADABLE, Answer

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BTC, ETH, PEPE = Symbol("BTC/USDC"), Symbol("ETH/USDC"), Symbol("KPEPE/USDC")


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
async def server(clock):
    async with HyperliquidServer(clock) as server:
        yield server
        assert not [path for path, _ in server.requests if path != "/info"]  # nothing signed


@pytest.fixture
async def source(clock, server):
    source = HyperliquidSource(clock=clock, budget=rate_budget(clock), urls=server.urls)
    yield source
    await source.close()


def candle(opened_ms, *, trades=42):
    row = {"t": opened_ms, "T": opened_ms + MINUTE_MS - 1, "s": "BTC", "i": "1m", "n": trades}
    return row | {"o": "100.0", "h": "102.0", "l": "99.9", "c": "101.5", "v": "12.345"}


@pytest.mark.parametrize(
    ("symbol", "tick", "lot", "leverage"),
    [
        pytest.param(BTC, "1", "0.00001", 50, id="above 99,999: whole numbers"),
        pytest.param(ETH, "0.1", "0.0001", 25, id="five figures"),
        pytest.param(PEPE, "0.000001", "1", 10, id="six decimals, and a coin in small letters"),
    ],
)
async def test_an_instrument_has_the_tick_of_todays_price(source, symbol, tick, lot, leverage):
    instrument = (await source.instruments([symbol]))[symbol]
    assert (instrument.tick, instrument.lot) == (Decimal(tick), Decimal(lot))
    assert (instrument.min_notional, instrument.max_leverage) == (10, leverage)


async def test_a_coin_that_is_not_listed_or_not_any_more_is_refused(source, server):
    server.coins["ETH"].delisted = True
    for symbol in (Symbol("DOGE/USDC"), ETH):
        with pytest.raises(SourceRefused):
            await source.instruments([symbol])
        with pytest.raises(SourceRefused):
            await anext(source.trades(symbol))


@pytest.mark.req("S1-26")
async def test_a_trade_is_told_with_its_buyer_and_its_seller(source, server):
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed("trades:BTC")
        await server.trade("BTC", "105051.0", "0.03480", side="A", users=("0xb", "0x5"))
        (trade,) = await trades.next()
    assert (trade.buyer, trade.seller, trade.side) == ("0xb", "0x5", Side.SELL)
    assert (str(trade.price), str(trade.quantity)) == ("105051.0", "0.03480")
    assert trade.traded_at == NOON


async def test_every_trade_of_a_burst_is_told_once_and_in_order(source, server):
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed("trades:BTC")
        rows = [
            await server.trade("BTC", "100.0", "1", at_ms=NOON_MS + n // 9, tell=False)
            for n in range(3_000)
        ]
        for start in range(0, 3_000, 30):  # each batch repeats a third of the one before
            await server.tell_trades("BTC", rows[max(start - 10, 0) : start + 30])
        told = [trade.trade_id for batch in await trades.take(100) for trade in batch]
    assert told == [row["tid"] for row in rows]


async def test_what_a_new_subscription_repeats_is_not_told_again(source, server):
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed("trades:BTC")
        known = [await server.trade("BTC", f"{100 + n}.0", "1") for n in range(4)]
        await trades.take(4)
        await server.close_sockets()
        assert isinstance(await trades.next(), SourceUnavailable)
    await server.trade("BTC", "200.0", "1")  # while nobody listens
    async with heard(source.trades(BTC)) as trades:
        batch = await trades.next()
    assert [trade.price for trade in batch] == [200]
    assert len(known) == 4


async def test_past_trades_are_the_last_ten_and_end(source, server):
    rows = [
        await server.trade("BTC", f"{100 + n}.0", "1", at_ms=NOON_MS + n, tell=False)
        for n in range(10)
    ]
    cursor = Cursor(since=NOON + timedelta(milliseconds=4))
    page, following = await source.past_trades(BTC, cursor)
    assert [trade.trade_id for trade in page] == [row["tid"] for row in rows[4:]]
    assert await source.past_trades(BTC, following) == ((), following)

    await server.trade("BTC", "300.0", "1", at_ms=NOON_MS + 9, tell=False)
    page, _ = await source.past_trades(BTC, following)
    assert [trade.price for trade in page] == [300]


async def test_trades_that_are_past_are_refused_not_left_out_silently(source, server):
    for n in range(10):
        await server.trade("BTC", "100.0", "1", at_ms=NOON_MS + n, tell=False)
    with pytest.raises(SourceRefused):
        await source.past_trades(BTC, Cursor(since=NOON))  # an eleventh may be as old


async def test_few_trades_are_all_there_ever_were(source, server):
    await server.trade("BTC", "100.0", "1", tell=False)
    page, _ = await source.past_trades(BTC, Cursor(since=NOON - timedelta(days=9)))
    assert len(page) == 1


@pytest.mark.req("S1-18")
async def test_bars_are_asked_for_over_http_and_the_open_one_is_left_out(source, server):
    opened = [NOON_MS - n * MINUTE_MS for n in (3, 2, 1, 0)]
    server.coins["BTC"].candles["1m"] = [candle(at, trades=at % 7) for at in opened]
    bars = await source.past_bars(BTC, Timeframe.M1, NOON - timedelta(minutes=2))
    assert [bar.closed_at for bar in bars] == [NOON - timedelta(minutes=1), NOON]
    assert (bars[0].close, bars[0].volume) == (Decimal("101.5"), Decimal("12.345"))
    assert bars[0].turnover is None


async def test_weeks_are_refused(source):
    with pytest.raises(SourceRefused):
        await source.past_bars(BTC, Timeframe.W1, NOON)


async def test_a_book_is_each_snapshot_cut_to_the_depth(source, server):
    async with heard(source.books(BTC, 2)) as books:
        await server.subscribed("l2Book:BTC")
        bids = [(f"{100 - n}.0", "1.50") for n in range(3)]
        await server.set_book("BTC", bids, [("101.0", "2")])
        book = await books.next()
    assert book.bids == ((Decimal(100), Decimal("1.5")), (Decimal(99), Decimal("1.5")))
    assert book.asks == ((Decimal(101), Decimal(2)),)
    assert book.at == NOON


async def test_a_book_that_comes_late_is_left_out(source, server):
    async with heard(source.books(BTC, 2)) as books:
        await server.subscribed("l2Book:BTC")
        await server.set_book("BTC", [("100.0", "1")], [])
        await server.set_book("BTC", [("90.0", "1")], [], at_ms=NOON_MS - 1)
        await server.set_book("BTC", [("110.0", "1")], [], at_ms=NOON_MS + 1)
        assert [book.bids[0].price for book in await books.take(2)] == [100, 110]


@pytest.mark.parametrize(
    ("bids", "fault"),
    [
        pytest.param([("100.0", "-1")], BookBroken, id="below zero"),
        pytest.param([("100.0", "NaN")], BookBroken, id="no number"),
        pytest.param([("99.0", "1"), ("100.0", "1")], BookBroken, id="out of order"),
        pytest.param([("1O0.0", "1")], SourceUnavailable, id="a letter"),
    ],
)
async def test_a_corrupt_level_ends_the_book(source, server, bids, fault):
    async with heard(source.books(BTC, 5)) as books:
        await server.subscribed("l2Book:BTC")
        await server.set_book("BTC", bids, [])
        assert isinstance(await books.next(), fault)


async def test_funding_is_for_the_next_full_hour_with_the_mark_price(source, server, clock):
    clock.move_to(NOON + timedelta(minutes=59))
    async with heard(source.funding(BTC)) as funding:
        await funding.next()  # each subscription begins with the rate as it stands
        await server.tell_funding("BTC", rate="-0.0000125", mark="105055.5")
        rate = await funding.next()
    assert (rate.rate, rate.mark_price) == (Decimal("-0.0000125"), Decimal("105055.5"))
    assert (rate.at, rate.seen_at) == (NOON + timedelta(hours=1), NOON + timedelta(minutes=59))
    assert rate.interval == timedelta(hours=1)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param(Answer(status=429, headers={"Retry-After": "7"}), RateLimited, id="429"),
        pytest.param(Answer(status=502, body="bad gateway"), SourceUnavailable, id="502"),
        pytest.param(Answer(status=500, body="null"), SourceUnavailable, id="500"),
        pytest.param(HTML, SourceUnavailable, id="a page of HTML"),
        pytest.param(UNREADABLE, SourceUnavailable, id="half an answer"),
        pytest.param(Answer(body="{}"), SourceUnavailable, id="an empty object"),
        pytest.param(Answer(body="null"), SourceUnavailable, id="nothing"),
    ],
)
async def test_what_rest_says_instead_of_an_answer_is_a_fault(source, server, answer, fault):
    await source.instruments([BTC])
    server.instead.append(answer)
    with pytest.raises(fault):
        await source.server_time()


@pytest.mark.parametrize("how", ["close", "reset", "html", "half", "reconnect"])
async def test_a_broken_socket_ends_all_streams_and_the_next_ones_go_on(source, server, how):
    async with heard(source.trades(BTC)) as trades, heard(source.books(ETH, 5)) as books:
        await server.subscribed("trades:BTC", "l2Book:ETH")
        await server.trade("BTC", "100.0", "1")
        await trades.next()
        match how:
            case "close":
                await server.close_sockets()
            case "reset":
                server.reset_sockets()
            case "html":
                await server.push("trades:BTC", HTML.body)
            case "half":
                await server.push("trades:BTC", UNREADABLE.body)
            case "reconnect":  # what cures a socket that lives and says nothing
                server.silent = True
                await source.reconnect()
                server.silent = False
        assert isinstance(await trades.next(), SourceUnavailable)
        assert isinstance(await books.next(), SourceUnavailable)
    await server.until(lambda: not server.peers)  # none is left open and unheard
    async with heard(source.trades(BTC)) as trades:
        await server.subscribed("trades:BTC")
        await server.trade("BTC", "101.0", "1")
        assert [trade.price for trade in await trades.next()] == [101]


async def test_streams_are_apart_one_that_is_closed_leaves_the_others_alone(source, server):
    async with heard(source.trades(BTC)) as trades:
        async with heard(source.trades(ETH)), heard(source.books(BTC, 5)):
            await server.subscribed("trades:BTC", "trades:ETH", "l2Book:BTC")
        await server.until(lambda: not server.listeners("trades:ETH"))
        await server.trade("BTC", "100.0", "1")
        assert (await trades.next())[0].price == 100
    assert server.connections == 1


async def test_a_subscription_is_made_anew_on_the_same_socket(source, server):
    for price in (100, 101, 102):
        async with heard(source.trades(BTC)) as trades:
            await server.subscribed("trades:BTC")
            await server.trade("BTC", f"{price}.0", "1")
            assert [trade.price for trade in await trades.next()] == [price]
        await server.until(lambda: not server.listeners("trades:BTC"))
    assert server.connections == 1


async def test_an_error_ends_the_subscription_it_quotes_and_no_other(source, server):
    wish = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}
    async with heard(source.trades(BTC)) as trades, heard(source.books(BTC, 5)) as books:
        await server.subscribed("trades:BTC", "l2Book:BTC")
        for text in ("Already subscribed: ", "Invalid subscription "):
            error = {"channel": "error", "data": text + json.dumps(wish)}
            await server.push("trades:BTC", error)
        assert isinstance(await trades.next(), SourceRefused)
        await server.set_book("BTC", [("100.0", "1")], [])
        assert (await books.next()).bids
        await server.push("l2Book:BTC", {"channel": "error", "data": "too many messages"})
        assert isinstance(await books.next(), SourceUnavailable)


async def test_nothing_is_ever_signed_even_if_somebody_gives_the_client_a_key(source, server):
    assert set(inspect.signature(HyperliquidSource).parameters) == {
        "clock",
        "budget",
        "urls",
        "timeout",
    }
    client = source._exchange
    client.walletAddress, client.privateKey = "0x" + "1" * 40, "0x" + "1" * 64
    client.has["fetchCurrencies"] = True  # where ccxt would initialise
    await client.load_markets(True)
    await client.initialize_client()
    for sign in (
        lambda: client.approve_builder_fee("0x" + "2" * 40, "0.01%"),
        lambda: client.set_ref(),
        lambda: client.create_order("BTC/USDC:USDC", "limit", "buy", 1, 100_000),
    ):
        with pytest.raises(ccxt.BaseError):
            if await sign() is not None:  # ccxt keeps some errors to itself
                raise ccxt.PermissionDenied
    assert {path for path, _ in server.requests} == {"/info"}
    kinds = {query["type"] for _, query in server.requests}
    assert kinds <= {"metaAndAssetCtxs", "spotMeta", "userAbstraction"}


@pytest.mark.req("S1-20")
async def test_every_call_drains_the_budget_by_what_the_venue_weighs(clock, server):
    budget = rate_budget(clock)
    source = HyperliquidSource(clock=clock, budget=budget, urls=server.urls)
    hours = range(NOON_MS - 100 * HOUR_MS, NOON_MS, HOUR_MS)
    server.coins["BTC"].funding = [{"time": at, "fundingRate": "0.1"} for at in hours]
    minutes = range(NOON_MS - 200 * MINUTE_MS, NOON_MS, MINUTE_MS)
    server.coins["BTC"].candles["1m"] = [candle(at) for at in minutes]
    await source.instruments([BTC])
    await source.server_time()
    await source.past_trades(BTC, Cursor(since=NOON))
    await source.past_bars(BTC, Timeframe.M1, NOON - timedelta(minutes=200))
    await source.past_funding(BTC, NOON - timedelta(hours=100))
    await source.close()
    assert budget.spent == server.used_weight


async def test_recorded_frames_give_all_trades_and_books(shared_data, source, server):
    recorded = list(
        frames(shared_data / "l2_binance_hyperliquid" / "hyperliquid_btc_20250126.jsonl.gz")
    )
    async with heard(source.trades(BTC)) as trades, heard(source.books(BTC, 20)) as books:
        await server.subscribed("trades:BTC", "l2Book:BTC")
        for frame in recorded:
            await server.push(f"{frame['channel']}:BTC", frame)
        rows = [row for frame in recorded if frame["channel"] == "trades" for row in frame["data"]]
        snapshots = [frame["data"] for frame in recorded if frame["channel"] == "l2Book"]
        told = [trade for batch in await trades.take(9) for trade in batch]
        books_told = await books.take(len(snapshots))
    assert (len(told), len(snapshots)) == (64, 46)
    assert {(t.trade_id, t.buyer, t.seller, str(t.price), str(t.quantity)) for t in told} == {
        (row["tid"], *row["users"], row["px"], row["sz"]) for row in rows
    }
    for book, snapshot in zip(books_told, snapshots, strict=True):
        for side, levels in zip((book.bids, book.asks), snapshot["levels"], strict=True):
            assert [(str(p), str(q)) for p, q in side] == [(x["px"], x["sz"]) for x in levels]


async def test_recorded_answers_are_read_whole(shared_data, source, server, clock):
    """Of 2023: 28 listings with their mids, 24 candles, and two months of funding."""
    folder = shared_data / "hyperliquid_info"

    def recorded(name):
        return json.loads((folder / f"{name}.json").read_text())["response"]

    mids = recorded("allMids")
    server.coins = {
        listing["name"]: Coin(
            name=listing["name"],
            decimals=listing["szDecimals"],
            max_leverage=listing["maxLeverage"],
            mark=mids.get(listing["name"], "1"),
        )
        for listing in recorded("meta")["universe"]
    }
    symbols = {name: Symbol(f"{name.upper()}/USDC") for name in server.coins}
    instruments = await source.instruments(list(symbols.values()))
    assert len(instruments) == len(server.coins)
    bids, asks = recorded("l2Book_DYDX")["levels"]
    for level in bids + asks:
        assert not Decimal(level["px"]) % instruments[symbols["DYDX"]].tick
        assert not Decimal(level["sz"]) % instruments[symbols["DYDX"]].lot

    rows = server.coins["kPEPE"].candles["1h"] = recorded("candleSnapshot_kPEPE_1h")
    since = datetime.fromtimestamp(rows[0]["t"] // 1000, UTC)
    bars = await source.past_bars(PEPE, Timeframe.H1, since)
    assert [(str(bar.close), str(bar.volume), bar.trades) for bar in bars] == [
        (row["c"], row["v"], row["n"]) for row in rows
    ]

    with (folder / "btc_funding_1h.csv").open() as file:
        paid = list(csv.DictReader(file))
    server.coins["BTC"].funding = [
        {"time": int(row["ts_ms"]), "fundingRate": row["rate"], "premium": row["premium"]}
        for row in paid
    ]
    rates, since = [], NOON - timedelta(days=2_000)
    while page := await source.past_funding(BTC, since):
        rates += page
        clock.move_to(clock.now() + timedelta(minutes=1))  # the budget fills
        since = page[-1].at + timedelta(microseconds=1)  # its row is some milliseconds late
    assert [rate.rate for rate in rates] == [Decimal(row["rate"]) for row in paid]
    lengths = [rate.interval // timedelta(hours=1) for rate in rates]
    assert (lengths[1], lengths[-1]) == (8, 1)
    assert len({rate.at for rate in rates}) == len(rates)
