"""A rehearsal of recorded bars or trades: what the exchange tells of them is what the files say."""

import gzip
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import islice

import pytest

from data.clock import ManualClock
from data.faults import Malformed
from data.instrument import UnknownSymbol
from sextant.rehearsal.scenes import recorded_bars, recorded_trades
from sextant.rehearsal.server import RehearsalServer, Terms
from tests.builders_rehearsal import BALANCES, GENEROUS, a_client

MINUTE = timedelta(minutes=1)
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
BITCOIN = [  # open, high, low, close, volume
    ("40000.0", "40100.5", "39900.0", "40050.0", "1.5"),
    ("40050.0", "40060.0", "40010.1", "40020.0", "0.25000001"),
    ("40020.0", "40020.0", "40020.0", "40020.0", "0.00001"),
    ("40020.0", "40500.0", "40020.0", "40499.9", "12"),
]
QUIET = [("40020.0", "40020.0", "40020.0", "40020.0", "0")]
APART = [  # none opens where the one before has closed
    ("40000.0", "40100.5", "39900.0", "40050.0", "1.5"),
    ("40060.0", "40070.0", "40055.1", "40070.0", "0.25000001"),
    ("39000.0", "39000.0", "38990.0", "38990.1", "12"),
]
RIPPLE = [
    ("1.00000", "1.00100", "0.99900", "1.00050", "1000"),
    ("1.00050", "1.00051", "1.00049", "1.00050", "20.5"),
    ("1.00050", "1.10000", "1.00050", "1.09999", "7"),
]
TRADES = [  # ms, id, side, type, price, amount
    ("1772452800123", "71", "buy", "market", "40000.1", "0.5"),
    ("1772452800123", "72", "sell", "limit", "40000.0", "0.00006"),
    ("1772452859999", "73", "sell", "market", "39990.0", "2"),
    ("1772452980000", "90", "buy", "market", "40010.0", "0.12345678"),
]
TRADES_HEADER = "ts_ms,id,side,type,price,amount"
PAIRS = {"BTC/USDT": "XBTUSDT", "XRP/USDT": "XRPUSDT"}


def stamp(at):
    return str(int(at.timestamp()))


def write_bars(folder, pair, rows, *, start=START):
    stamped = [(stamp(start + n * MINUTE), *row) for n, row in enumerate(rows)]
    path = folder / f"kraken_spot_{pair}_1m_made.csv"
    lines = [",".join(row) for row in stamped]
    path.write_text("\n".join(["ts,open,high,low,close,volume", *lines, ""]))
    return path, stamped


def write_trades(folder, rows, *, header=TRADES_HEADER):
    path = folder / "trades.csv"
    path.write_text("\n".join([header, *(",".join(row) for row in rows), ""]))
    return path


@asynccontextmanager
async def played(scene, span):
    """A client of the exchange that `sextant rehearse` makes of a scene, `span` after its start."""
    clock = ManualClock(scene.start)
    terms = Terms(balances=BALANCES, listings=scene.listings, tier=GENEROUS)
    server = RehearsalServer(
        terms,
        prices=scene.prices,
        clock=clock,
        tape=scene.tape,
        past=scene.past,
        traded=scene.traded,
    )
    async with server.serving() as control, a_client(control) as client:
        clock.move_to(scene.start + span)
        yield client


async def ohlc(client, symbol):
    """Rows as in a file of bars; without the minute that is still open."""
    pair = PAIRS[symbol]
    told = (await client.public_get_ohlc({"pair": pair}))["result"][pair][:-1]
    return [bar_row(row[0], *row[1:5], row[6]) for row in told]


async def trades(client, symbol="BTC/USDT"):
    """Rows as in a file of trades, but for ids and types, which are the exchange's own."""
    pair, told, since = PAIRS[symbol], [], "0"
    while page := (answer := await _page(client, pair, since))[pair]:
        told, since = [*told, *page], answer["last"]
    return [
        (round(float(row[2]) * 1000), {"b": "buy", "s": "sell"}[row[3]], *map(Decimal, row[:2]))
        for row in told
    ]


async def _page(client, pair, since):
    return (await client.public_get_trades({"pair": pair, "since": since}))["result"]


async def bars_traded(client, symbol):
    """Rows as in a file of bars, of what the exchange says was traded."""
    minutes = defaultdict(list)
    for at, _, price, quantity in await trades(client, symbol):
        minutes[at // 60_000 * 60].append((price, quantity))
    return [_bar_traded(at, dealt) for at, dealt in minutes.items()]


def _bar_traded(at, dealt):
    prices = [price for price, _ in dealt]
    corners = prices[0], max(prices), min(prices), prices[-1]
    return bar_row(at, *corners, sum(quantity for _, quantity in dealt))


def bar_row(at, *values):
    return int(at), *map(Decimal, values)


def trade_rows(rows):
    return [
        (int(at), side, Decimal(price), Decimal(amount)) for at, _, side, _, price, amount in rows
    ]


def on_grid(row, tick):
    """A row of a file, whose prices are told to the pair's tick."""
    at, *prices, volume = row
    return bar_row(
        at, *(Decimal(price).quantize(Decimal(tick), ROUND_HALF_EVEN) for price in prices), volume
    )


@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize(
    "bars", [pytest.param(BITCOIN, id="joined"), pytest.param(APART, id="apart")]
)
async def test_ohlc_of_recorded_bars_is_the_file(tmp_path, bars, seed):
    path, rows = write_bars(tmp_path, "BTCUSDT", bars)
    scene = recorded_bars([path], seed=seed)
    assert scene.start == START
    async with played(scene, len(rows) * MINUTE) as client:
        assert await ohlc(client, "BTC/USDT") == [bar_row(*row) for row in rows]


@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize(
    "bars", [pytest.param(BITCOIN, id="joined"), pytest.param(APART, id="apart")]
)
async def test_the_trades_of_recorded_bars_make_the_file_again(tmp_path, bars, seed):
    path, rows = write_bars(tmp_path, "BTCUSDT", bars)
    async with played(recorded_bars([path], seed=seed), len(rows) * MINUTE) as client:
        assert await bars_traded(client, "BTC/USDT") == [bar_row(*row) for row in rows]


async def test_a_minute_without_volume_is_told_at_the_close_before(tmp_path):
    """No trade is made of it; the next minute's are its own."""
    path, rows = write_bars(tmp_path, "BTCUSDT", [*BITCOIN[:3], *QUIET, BITCOIN[3]])
    async with played(recorded_bars([path], seed=7), len(rows) * MINUTE) as client:
        assert await ohlc(client, "BTC/USDT") == [bar_row(*row) for row in rows]


async def test_two_files_begin_where_the_later_one_does(tmp_path):
    bitcoin, bitcoins = write_bars(tmp_path, "BTCUSDT", BITCOIN)
    ripple, ripples = write_bars(tmp_path, "XRPUSDT", RIPPLE, start=START + MINUTE)
    scene = recorded_bars([bitcoin, ripple], seed=7)
    assert scene.start == START + MINUTE
    assert scene.prices == {"BTC/USDT": Decimal("40050.0"), "XRP/USDT": Decimal("1.00000")}
    async with played(scene, len(ripples) * MINUTE) as client:
        assert await ohlc(client, "BTC/USDT") == [bar_row(*row) for row in bitcoins[1:]]
        assert await ohlc(client, "XRP/USDT") == [bar_row(*row) for row in ripples]


async def test_recorded_trades_are_told_as_they_were(tmp_path):
    scene = recorded_trades(write_trades(tmp_path, TRADES), "BTC/USDT")
    assert scene.start == START + timedelta(milliseconds=123)
    async with played(scene, 4 * MINUTE) as client:
        assert await trades(client) == trade_rows(TRADES)
        first, second, third, fourth = await ohlc(client, "BTC/USDT")
    opened = int(stamp(START))
    assert first == bar_row(opened, "40000.1", "40000.1", "39990.0", "39990.0", "2.50006")
    assert [row[5] for row in (second, third)] == [0, 0]
    assert fourth == bar_row(opened + 180, *["40010.0"] * 4, "0.12345678")


async def test_a_trade_is_told_at_its_time(tmp_path):
    scene = recorded_trades(write_trades(tmp_path, TRADES), "BTC/USDT")
    async with played(scene, MINUTE) as client:
        assert await trades(client) == trade_rows(TRADES[:3])


@pytest.mark.parametrize(
    ("rows", "header", "named"),
    [
        pytest.param([], TRADES_HEADER, "no trade in it", id="empty"),
        pytest.param(TRADES, "time,price", "first line should be", id="another header"),
        pytest.param([("1", "2", "buy")], TRADES_HEADER, r":2: .* is no trade", id="too short"),
        pytest.param(
            [("1", "2", "both", "market", "1", "1")], TRADES_HEADER, "is no trade", id="no side"
        ),
        pytest.param(
            [("1", "2", "buy", "market", "x", "1")], TRADES_HEADER, "is no trade", id="no price"
        ),
    ],
)
def test_a_file_that_is_none_of_trades_is_refused(tmp_path, rows, header, named):
    with pytest.raises(Malformed, match=named):
        recorded_trades(write_trades(tmp_path, rows, header=header), "BTC/USDT")


def test_bars_that_end_before_the_others_begin_are_refused(tmp_path):
    early, _ = write_bars(tmp_path, "BTCUSDT", BITCOIN)
    late, _ = write_bars(tmp_path, "XRPUSDT", RIPPLE, start=START + 60 * MINUTE)
    with pytest.raises(Malformed, match="no bar of BTC/USDT from where the others begin"):
        recorded_bars([early, late], seed=7)


def test_a_pair_that_is_not_listed_is_refused(tmp_path):
    path, _ = write_bars(tmp_path, "DOGEUSDT", RIPPLE)
    with pytest.raises(UnknownSymbol, match="DOGE/USDT"):
        recorded_bars([path], seed=7)
    with pytest.raises(UnknownSymbol, match="DOGE/USDT"):
        recorded_trades(write_trades(tmp_path, TRADES), "DOGE/USDT")


def first_rows(path, count):
    with gzip.open(path, "rt") as lines:
        return [line.strip().split(",") for line in islice(lines, 1, count + 1)]


async def test_real_bars_are_told_as_recorded(shared_data):
    """Of Binance's market, on Kraken's grid; one pair's file begins a minute before the other's."""
    folder = shared_data / "ohlcv_1m"
    bitcoin = folder / "binance_spot_BTCUSDT_1m_20210420_20210520.csv.gz"
    ripple = folder / "binance_spot_XRPUSDT_1m_20210420_20210520.csv.gz"
    bitcoins = [on_grid(row, "0.1") for row in first_rows(bitcoin, 120)]
    ripples = [on_grid(row, "0.00001") for row in first_rows(ripple, 121)[1:]]
    assert bitcoins[0][0] == ripples[0][0]
    async with played(recorded_bars([bitcoin, ripple], seed=7), 120 * MINUTE) as client:
        assert (await bars_traded(client, "BTC/USDT"))[:120] == bitcoins
        assert (await bars_traded(client, "XRP/USDT"))[:120] == ripples
        assert await ohlc(client, "BTC/USDT") == bitcoins
        assert await ohlc(client, "XRP/USDT") == ripples


async def test_real_trades_are_told_as_recorded(shared_data):
    (path,) = (shared_data / "kraken_trades").glob("*.csv.gz")
    expected = trade_rows(first_rows(path, 400))
    span = timedelta(milliseconds=expected[-1][0] - expected[0][0])
    async with played(recorded_trades(path, "BTC/USDT"), span) as client:
        told = await trades(client)
    assert told[:400] == expected
