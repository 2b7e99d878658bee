"""Upkeep: raw rows go when they are old, and nothing that was made of them does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from data.bar import Bar, Resampler, Timeframe
from data.instrument import Notional, Price, Quantity, Side, Symbol
from data.order_book import OrderBook
from data.postgres.bars import PostgresBarStore
from data.postgres.books import PostgresBookStore
from data.postgres.bulk import importing
from data.postgres.trades import PostgresTradeStore
from data.postgres.upkeep import Retention, upkeep
from data.trade import Trade

BTC = Symbol("BTC/USD")
ETH = Symbol("ETH/USD")
MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
WEEK = timedelta(weeks=1)
KEEP = Retention(minutes=2 * WEEK)
NOW = MONDAY + 6 * WEEK + timedelta(days=3)
LONGER = [timeframe for timeframe in Timeframe if timeframe is not Timeframe.M1]


def minutes(symbol, first, last, *, step=61, price=100):
    """Every so many minutes a bar in (first, last], both in weeks after that Monday."""
    since, until = int(first * 10_080), int(last * 10_080)
    return [
        Bar(
            symbol=symbol,
            timeframe=Timeframe.M1,
            closed_at=MONDAY + timedelta(minutes=minute),
            open=Price(Decimal(price + minute % 7)),
            high=Price(Decimal(price + 9)),
            low=Price(Decimal(price - minute % 5)),
            close=Price(Decimal(price + minute % 3)),
            volume=Quantity(Decimal(minute % 89)),
            turnover=Notional(Decimal(minute % 83 * price)),
            trades=minute % 11,
        )
        for minute in range(since + 1, until + 1, step)
    ]


def resampled(bars, timeframe):
    resampler = Resampler(timeframe)
    return [longer for bar in bars for longer in resampler.add(bar)]


async def assert_told(store, symbol, bars):
    for timeframe in LONGER:
        assert await store.last(symbol, timeframe, 99_999) == resampled(bars, timeframe), timeframe


@pytest.fixture
def store(any_pool):
    return PostgresBarStore(any_pool, exchange="kraken")


async def test_old_minutes_go_by_whole_weeks(store, any_pool):
    bars = minutes(BTC, 0, 6)
    await store.put(bars)
    cut = await upkeep(any_pool, KEEP, now=NOW)
    assert cut == MONDAY + 4 * WEEK
    left = await store.last(BTC, Timeframe.M1, 99_999)
    assert left == [bar for bar in bars if bar.closed_at >= left[0].closed_at]
    # TimescaleDB drops chunks, which are weeks that begin on Thursdays.
    assert cut - timedelta(days=4) < left[0].closed_at <= cut + timedelta(minutes=61)
    await assert_told(store, BTC, bars)


async def test_an_old_import_is_kept_in_longer_bars_and_takes_nobody_elses(store, any_pool):
    """The minutes of one symbol are gone when another's of the same weeks are imported."""
    known = minutes(BTC, 0, 6)
    await store.put(known)
    await upkeep(any_pool, KEEP, now=NOW)
    imported = minutes(ETH, -3, 5, step=47)
    await store.put_many(imported)
    await assert_told(store, ETH, imported)
    for _ in range(2):
        await assert_told(store, BTC, known)
        await upkeep(any_pool, KEEP, now=NOW)
        await assert_told(store, ETH, imported)


async def test_a_few_minutes_put_again_do_not_shrink_what_was_made_of_all(store, any_pool):
    bars = minutes(BTC, 0, 6, step=1)[: 3 * 10_080]
    await store.put_many(bars)
    await upkeep(any_pool, KEEP, now=NOW)
    await store.put(bars[100:102])
    await upkeep(any_pool, KEEP, now=NOW)
    await assert_told(store, BTC, bars)


async def test_what_comes_late_is_in_longer_bars_at_once(store, any_pool):
    bars = minutes(BTC, 0, 6)
    late = bars[5::9]
    await store.put([bar for bar in bars if bar not in late])
    await upkeep(any_pool, Retention(), now=NOW)
    await store.put(late)
    await assert_told(store, BTC, bars)
    other = minutes(BTC, 0, 6, price=200)
    await store.put(other[50:70])
    await assert_told(store, BTC, bars[:50] + other[50:70] + bars[70:])


async def test_during_an_import_no_minute_goes(pool):
    store = PostgresBarStore(pool, exchange="kraken")
    bars = minutes(BTC, 0, 6)
    await store.put(bars)
    async with importing(pool):
        assert await upkeep(pool, KEEP, now=NOW) is None
    assert await store.last(BTC, Timeframe.M1, 99_999) == bars
    assert await upkeep(pool, KEEP, now=NOW) is not None


async def test_old_trades_and_books_go(pool):
    trades = PostgresTradeStore(pool, exchange="kraken")
    books = PostgresBookStore(pool, exchange="kraken")
    days = [NOW - timedelta(days=days) for days in (1, 29, 31, 89, 91)]
    await trades.put(
        [
            Trade(
                symbol=BTC,
                trade_id=number,
                traded_at=at,
                side=Side.BUY,
                price=Price(Decimal(1)),
                quantity=Quantity(Decimal(1)),
            )
            for number, at in enumerate(days)
        ]
    )
    await books.put([OrderBook(symbol=BTC, at=at, bids=(), asks=()) for at in days])
    await upkeep(pool, Retention(), now=NOW)
    assert [t.trade_id async for t in trades.between(BTC, days[-1], NOW)] == [3, 2, 1, 0]
    assert [book.at for book in await books.last(BTC, 9)] == [days[1], days[0]]


@pytest.mark.timescale
@pytest.mark.xdist_group("timescale")
async def test_policies_keep_to_the_settings(timescale_pool):
    async def kept():
        rows = await timescale_pool.fetch(
            """
            SELECT hypertable_name, (config->>'drop_after')::interval AS keep
            FROM timescaledb_information.jobs
            WHERE proc_name = 'policy_retention' AND hypertable_schema = current_schema()
            """
        )
        return {row["hypertable_name"]: row["keep"] for row in rows}

    await upkeep(timescale_pool, Retention(), now=NOW)
    assert await kept() == {"trades": timedelta(days=90), "books": timedelta(days=30)}
    await upkeep(timescale_pool, Retention(trades=timedelta(days=7)), now=NOW)
    assert await kept() == {"trades": timedelta(days=7), "books": timedelta(days=30)}


@pytest.mark.timescale
@pytest.mark.xdist_group("timescale")
async def test_every_policy_runs(timescale_pool):
    """Refreshing, compressing and dropping by the server itself change no longer bar."""
    store = PostgresBarStore(timescale_pool, exchange="kraken")
    bars = minutes(BTC, 0, 6)
    await store.put(bars)
    await upkeep(timescale_pool, Retention(), now=NOW)
    jobs = await timescale_pool.fetch(
        """
        SELECT job_id FROM timescaledb_information.jobs
        WHERE proc_name LIKE 'policy%' AND job_id >= 1000
          AND (hypertable_schema = current_schema() OR hypertable_name LIKE '_materialized%')
        """
    )
    assert len(jobs) >= 13  # 8 refresh, 3 compress, 2 drop
    for job in jobs:
        await timescale_pool.execute("CALL run_job($1)", job["job_id"])
    compressed = await timescale_pool.fetchval(
        """
        SELECT count(*) FROM timescaledb_information.chunks
        WHERE hypertable_name = 'bars' AND hypertable_schema = current_schema() AND is_compressed
        """
    )
    assert compressed == 7
    await assert_told(store, BTC, bars)
    other = minutes(BTC, 0, 6, price=200)
    await store.put(other[:20])
    await assert_told(store, BTC, other[:20] + bars[20:])


def test_nothing_is_kept_for_no_time_at_all():
    with pytest.raises(ValidationError):
        Retention(trades=timedelta(0))
