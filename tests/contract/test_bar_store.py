"""What every `BarStore` does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.instrument import Price, Quantity, Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import connect
from data.store import StoreUnavailable
from data.store_memory import MemoryBarStore

BTC = Symbol("BTC/USD")
ETH = Symbol("ETH/USD")
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def a_bar(minute, *, symbol=BTC, timeframe=Timeframe.M1, close="100.10", volume="1"):
    price = Price(Decimal(close))
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=NOON + minute * timeframe.delta,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Quantity(Decimal(volume)),
    )


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    if request.param == "memory":
        return MemoryBarStore()
    return PostgresBarStore(request.getfixturevalue("pool"), exchange="kraken")


async def test_the_newest_bars_come_oldest_first(store):
    await store.put([a_bar(2), a_bar(0), a_bar(1)])
    assert await store.last(BTC, Timeframe.M1, 2) == [a_bar(1), a_bar(2)]


async def test_fewer_bars_than_asked_for_are_all_bars(store):
    await store.put([a_bar(0)])
    assert await store.last(BTC, Timeframe.M1, 50) == [a_bar(0)]


@pytest.mark.parametrize(
    ("until", "minutes"),
    [
        pytest.param(NOON + timedelta(minutes=1), [0, 1], id="the bar that closes then counts"),
        pytest.param(NOON + timedelta(seconds=59), [0], id="one that closes later does not"),
        pytest.param(NOON - timedelta(seconds=1), [], id="before the first"),
        pytest.param(None, [0, 1, 2], id="without a bound"),
    ],
)
async def test_no_bar_after_until(store, until, minutes):
    await store.put([a_bar(minute) for minute in range(3)])
    found = await store.last(BTC, Timeframe.M1, 10, until=until)
    assert found == [a_bar(minute) for minute in minutes]


async def test_a_bar_put_again_is_replaced(store):
    await store.put([a_bar(0), a_bar(1)])
    await store.put([a_bar(0, close="99")])
    assert await store.last(BTC, Timeframe.M1, 2) == [a_bar(0, close="99"), a_bar(1)]


async def test_of_two_bars_with_one_close_the_later_counts(store):
    await store.put([a_bar(0, close="98"), a_bar(1), a_bar(0, close="99")])
    assert await store.last(BTC, Timeframe.M1, 2) == [a_bar(0, close="99"), a_bar(1)]


async def test_symbols_and_timeframes_are_kept_apart(store):
    others = [a_bar(0, symbol=ETH), a_bar(0, timeframe=Timeframe.H1)]
    await store.put([a_bar(0), *others])
    assert await store.last(BTC, Timeframe.M1, 9) == [a_bar(0)]
    assert await store.last(ETH, Timeframe.M1, 9) == [others[0]]
    assert await store.last(BTC, Timeframe.H1, 9) == [others[1]]
    assert await store.last(ETH, Timeframe.H1, 9) == []


@pytest.mark.parametrize("number", ["0.000000000000000001", "123456789012345678.90", "1E+3"])
async def test_numbers_are_exact(store, number):
    bar = a_bar(0, close=number, volume=number)
    await store.put([bar])
    assert await store.last(BTC, Timeframe.M1, 1) == [bar]


async def test_times_are_utc(store):
    await store.put([a_bar(0)])
    (bar,) = await store.last(BTC, Timeframe.M1, 1)
    assert bar.closed_at.utcoffset() == timedelta(0)


async def test_nothing_put_is_nothing_kept(store):
    await store.put([])
    assert await store.last(BTC, Timeframe.M1, 1) == []


async def test_exchanges_are_kept_apart(pool):
    await PostgresBarStore(pool, exchange="kraken").put([a_bar(0)])
    assert await PostgresBarStore(pool, exchange="binance").last(BTC, Timeframe.M1, 1) == []


async def test_a_store_that_is_away_says_so_and_comes_back(server_folder):
    server = EmbeddedPostgres(server_folder)
    async with server as dsn, await connect(dsn) as pool:
        await migrate(pool)
        store = PostgresBarStore(pool, exchange="kraken")
        await store.put([a_bar(0)])
        await server.stop()
        with pytest.raises(StoreUnavailable):
            await store.put([a_bar(1)])
        with pytest.raises(StoreUnavailable):
            await store.last(BTC, Timeframe.M1, 1)
        await server.start()
        await store.put([a_bar(1)])
        assert await store.last(BTC, Timeframe.M1, 9) == [a_bar(0), a_bar(1)]
