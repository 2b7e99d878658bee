"""What every `TradeStore` does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.instrument import Price, Quantity, Side, Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.pool import connect
from data.postgres.trades import PostgresTradeStore
from data.store_memory import MemoryTradeStore
from data.trade import Trade
from data.trade_bars import TradeBars

BTC = Symbol("BTC/USD")
ETH = Symbol("ETH/USD")
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_trade(number, *, seconds=None, symbol=BTC, price="100.10", **given):
    return Trade(
        symbol=symbol,
        trade_id=number,
        traded_at=NOON + timedelta(seconds=number if seconds is None else seconds),
        side=Side.SELL if number % 2 else Side.BUY,
        price=Price(Decimal(price)),
        quantity=Quantity(Decimal("0.00000001")),
        **given,
    )


@pytest.fixture
def store(kept_in):
    return MemoryTradeStore() if kept_in is None else PostgresTradeStore(kept_in, exchange="kraken")


async def all_of(store, symbol=BTC, *, since=NOON, until=NOON + HOUR):
    return [trade async for trade in store.between(symbol, since, until)]


async def test_trades_come_by_time_then_id(store):
    trades = [a_trade(9, seconds=5), a_trade(3, seconds=7), a_trade(4, seconds=5), a_trade(1)]
    await store.put(trades)
    assert await all_of(store) == [trades[3], trades[2], trades[0], trades[1]]


async def test_the_end_of_the_range_is_not_in_it(store):
    await store.put([a_trade(number) for number in range(4)])
    found = await all_of(
        store, since=NOON + timedelta(seconds=1), until=NOON + timedelta(seconds=3)
    )
    assert [trade.trade_id for trade in found] == [1, 2]


@pytest.mark.parametrize("put", ["put", "put_many"])
async def test_a_trade_put_again_is_replaced_and_the_later_counts(store, put):
    await getattr(store, put)([a_trade(1), a_trade(2), a_trade(2, price="98")])
    await getattr(store, put)([a_trade(1, price="99"), a_trade(2, price="98")])
    assert await all_of(store) == [a_trade(1, price="99"), a_trade(2, price="98")]


async def test_symbols_are_kept_apart(store):
    await store.put([a_trade(1), a_trade(1, symbol=ETH)])
    assert await all_of(store, ETH) == [a_trade(1, symbol=ETH)]
    assert await store.newest(BTC) == a_trade(1)


async def test_the_newest_is_the_last_by_time_then_id(store):
    assert await store.newest(BTC) is None
    await store.put([a_trade(2, seconds=5), a_trade(7, seconds=5), a_trade(9, seconds=1)])
    assert await store.newest(BTC) == a_trade(7, seconds=5)


async def test_addresses_and_decimals_are_exact(store):
    trade = a_trade(2**62, seconds=1, price="0.000000000000000001", buyer="0xab", seller="0xcd")
    await store.put([trade])
    assert await all_of(store) == [trade]


async def test_many_come_back_page_by_page(store):
    """More than one page, and at the edge of a page many of the same moment."""
    trades = [a_trade(number, seconds=number // 3000) for number in range(10_001)]
    assert await store.put_many(iter(trades)) == len(trades)
    assert await all_of(store) == trades


@pytest.mark.parametrize(
    ("ids", "missing"),
    [
        pytest.param([], [], id="nothing kept"),
        pytest.param([5], [], id="one"),
        pytest.param([5, 6, 7], [], id="all there"),
        pytest.param([9, 5, 6, 12], [(7, 8), (10, 11)], id="ranges, whatever the order of time"),
        pytest.param([5, 99], [(6, 98)], id="one long range"),
    ],
)
async def test_missing_ids_stand_between_kept_ones(store, ids, missing):
    await store.put([a_trade(number, seconds=place) for place, number in enumerate(ids)])
    await store.put([a_trade(7, symbol=ETH), a_trade(1, seconds=3600), a_trade(50, seconds=-1)])
    assert await store.missing_ids(BTC, NOON, NOON + HOUR) == missing


async def test_an_id_that_stands_twice_misses_nothing(store):
    await store.put([a_trade(1), a_trade(1, seconds=9), a_trade(2)])
    assert await store.missing_ids(BTC, NOON, NOON + HOUR) == []


async def test_volumes_are_told_by_the_minute(store):
    trades = [a_trade(1), a_trade(2, seconds=59), a_trade(3, seconds=60), a_trade(4, seconds=300)]
    await store.put(
        [*trades, a_trade(5, seconds=-1), a_trade(6, seconds=3600), a_trade(7, symbol=ETH)]
    )
    one = trades[0].quantity
    assert await store.volumes(BTC, NOON, NOON + HOUR) == {
        NOON: 2 * one,
        NOON + HOUR / 60: one,
        NOON + HOUR / 12: one,
    }
    assert await store.volumes(BTC, NOON + HOUR / 30, NOON + HOUR / 15) == {}


async def test_nothing_put_is_nothing_kept(store):
    await store.put([])
    assert await store.put_many([]) == 0
    assert await all_of(store) == []


async def test_exchanges_are_kept_apart(any_pool):
    await PostgresTradeStore(any_pool, exchange="kraken").put([a_trade(1)])
    assert await PostgresTradeStore(any_pool, exchange="binance").newest(BTC) is None


async def test_trades_then_bars_go_in_over_one_connection(postgres):
    """asyncpg remembers a copy's columns by its statement, as long as the connection lives."""
    async with await connect(postgres, size=1) as pool:
        trades = PostgresTradeStore(pool, exchange="kraken")
        bars = PostgresBarStore(pool, exchange="kraken")
        made = TradeBars(BTC, Timeframe.M1, since=NOON)
        many = [a_trade(number) for number in range(120)]
        minutes = [bar for trade in many for bar in made.add(trade)]
        for _ in range(2):
            assert await trades.put_many(many) == len(many)
            assert await bars.put_many(minutes) == len(minutes)
        assert await all_of(trades) == many
        assert await bars.last(BTC, Timeframe.M1, 10) == minutes
