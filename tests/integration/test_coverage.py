"""What the store says that it holds, and what it lacks."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.instrument import Price, Quantity, Side, Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.coverage import BarCoverage, Gap, TradeCoverage, bar_coverage, trade_coverage
from data.postgres.trades import PostgresTradeStore
from data.trade import Trade

BTC = Symbol("BTC/USD")
ETH = Symbol("ETH/USD")
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def at(minute):
    return NOON + timedelta(minutes=minute)


def a_bar(minute, *, symbol=BTC, timeframe=Timeframe.M1):
    price = Price(Decimal(100))
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=at(minute),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Quantity(Decimal(1)),
    )


def a_trade(number, *, symbol=BTC):
    return Trade(
        symbol=symbol,
        trade_id=number,
        traded_at=at(number),
        side=Side.BUY,
        price=Price(Decimal(1)),
        quantity=Quantity(Decimal(1)),
    )


async def test_nothing_kept_is_nothing_covered(any_pool):
    assert await bar_coverage(any_pool) == []
    assert await trade_coverage(any_pool) == []


@pytest.mark.req("S1-27")
async def test_gaps_are_ranges_and_longer_bars_say_what_they_lack(any_pool):
    there = [*range(1, 6), 8, *range(12, 31), *range(41, 46)]
    await PostgresBarStore(any_pool, exchange="kraken").put([a_bar(minute) for minute in there])
    found = {coverage.timeframe: coverage for coverage in await bar_coverage(any_pool)}
    assert found[Timeframe.M1] == BarCoverage(
        exchange="kraken",
        symbol=BTC,
        timeframe=Timeframe.M1,
        first=at(1),
        last=at(45),
        rows=30,
        incomplete=0,
        gaps=(
            Gap(first=at(6), last=at(7)),
            Gap(first=at(9), last=at(11)),
            Gap(first=at(31), last=at(40)),
        ),
    )
    assert found[Timeframe.M1].missing == 15
    assert found[Timeframe.M1].age(at(50)) == timedelta(minutes=5)
    five = found[Timeframe.M5]
    assert (five.rows, five.incomplete, five.missing) == (7, 2, 2)
    assert five.gaps == (Gap(first=at(35), last=at(40)),)
    assert set(found) == set(Timeframe)


async def test_exchanges_and_symbols_can_be_named(any_pool):
    await PostgresBarStore(any_pool, exchange="kraken").put([a_bar(1), a_bar(1, symbol=ETH)])
    await PostgresBarStore(any_pool, exchange="binance").put([a_bar(1)])
    minutes = [c for c in await bar_coverage(any_pool) if c.timeframe is Timeframe.M1]
    assert [(c.exchange, c.symbol) for c in minutes] == [
        ("binance", BTC),
        ("kraken", BTC),
        ("kraken", ETH),
    ]
    one = await bar_coverage(any_pool, exchange="kraken", symbol=ETH)
    assert {(c.exchange, c.symbol) for c in one} == {("kraken", ETH)}


async def test_longer_bars_that_were_put_are_covered(any_pool):
    hours = [a_bar(60 * hour, timeframe=Timeframe.H1) for hour in (0, 1, 4)]
    await PostgresBarStore(any_pool, exchange="kraken").put([*hours, a_bar(61), a_bar(60)])
    found = {coverage.timeframe: coverage for coverage in await bar_coverage(any_pool)}
    hour = found[Timeframe.H1]
    assert (hour.rows, hour.incomplete, hour.first, hour.last) == (4, 1, at(0), at(240))
    assert hour.gaps == (Gap(first=at(180), last=at(180)),)


async def test_trades_and_the_ids_that_lack(any_pool):
    numbers = [7, 8, 12, 20]
    store = PostgresTradeStore(any_pool, exchange="kraken")
    await store.put([*map(a_trade, numbers), a_trade(3, symbol=ETH)])
    btc, eth = await trade_coverage(any_pool)
    assert btc == TradeCoverage(
        exchange="kraken", symbol=BTC, first=at(7), last=at(20), rows=4, missing=10
    )
    assert btc.age(at(21)) == timedelta(minutes=1)
    assert (eth.rows, eth.missing) == (1, 0)
    assert await trade_coverage(any_pool, symbol=ETH) == [eth]
