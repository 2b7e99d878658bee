"""What every `BarStore` does."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Bar, Resampler, Timeframe
from data.instrument import Notional, Price, Quantity, Symbol
from data.postgres.bars import PostgresBarStore
from data.postgres.embedded import EmbeddedPostgres
from data.postgres.migrate import migrate
from data.postgres.pool import connect
from data.postgres.upkeep import Retention, upkeep
from data.store import StoreUnavailable
from data.store_memory import MemoryBarStore

BTC = Symbol("BTC/USD")
ETH = Symbol("ETH/USD")
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
LONGER = [timeframe for timeframe in Timeframe if timeframe is not Timeframe.M1]


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


def a_walk(minutes, *, seed=7):
    """Bars of these minutes after noon; some without turnover, or without a count of trades."""
    luck = random.Random(seed)
    bars, close = [], Decimal(100)
    for minute in minutes:
        first, close = close, close + Decimal(luck.randint(-50, 50)) / 100
        high = max(first, close) + Decimal(luck.randint(0, 9)) / 1000
        low = min(first, close) - Decimal(luck.randint(0, 9)) / 1000
        volume = Quantity(Decimal(luck.randint(0, 10**9)).scaleb(-8))
        bars.append(
            Bar(
                symbol=BTC,
                timeframe=Timeframe.M1,
                closed_at=NOON + timedelta(minutes=minute),
                open=Price(first),
                high=Price(high),
                low=Price(low),
                close=Price(close),
                volume=volume,
                turnover=None if luck.random() < 0.001 else Notional(volume * close),
                trades=None if luck.random() < 0.001 else luck.randint(0, 9),
            )
        )
    return bars


def resampled(bars, timeframe):
    resampler = Resampler(timeframe)
    return [longer for bar in bars for longer in resampler.add(bar)]


async def put_in_parts(store, bars):
    await store.put_many(bars[:1000])
    for start in range(1000, len(bars), 500):
        await store.put(bars[start : start + 500])


@pytest.fixture
def store(kept_in):
    return MemoryBarStore() if kept_in is None else PostgresBarStore(kept_in, exchange="kraken")


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


async def test_turnover_and_trades_are_kept(store):
    bars = a_walk(range(9))
    await store.put(bars)
    assert await store.last(BTC, Timeframe.M1, 9) == bars


MINUTES = {
    "from the middle of every size on": range(7, 1500),
    "with holes at the ends of hours": [m for m in range(-720, 1500) if m % 60 not in (0, 1, 58)],
    "five thin weeks": sorted(random.Random(3).sample(range(5 * 7 * 24 * 60), 2500)),
    "with days missing": [m for m in range(0, 20_000, 7) if not 3_000 < m < 12_000],
}


@pytest.mark.parametrize("minutes", MINUTES.values(), ids=MINUTES)
async def test_longer_bars_are_those_that_a_resampler_makes(store, minutes):
    bars = a_walk(minutes)
    await put_in_parts(store, bars)
    for timeframe in LONGER:
        wanted = resampled(bars, timeframe)
        assert await store.last(BTC, timeframe, 10_000) == wanted
        assert await store.last(BTC, timeframe, 3) == wanted[-3:]
        until = NOON + timedelta(hours=11)
        early = [bar for bar in wanted if bar.closed_at <= until]
        assert await store.last(BTC, timeframe, 2, until=until) == early[-2:]


async def test_minutes_without_a_trade_give_a_longer_bar_no_price(store):
    luck = random.Random(11)
    bars = a_walk(m for m in range(3, 9_000) if not 700 < m < 760)
    close = Price(Decimal(100))
    for place, bar in enumerate(bars):
        if luck.random() < 0.9 or 2_000 < place < 4_000:
            bars[place] = replace(
                bar, open=close, high=close, low=close, close=close,
                volume=Quantity(Decimal(0)), turnover=Notional(Decimal(0)), trades=0,
            )  # fmt: skip
        close = bars[place].close
    await put_in_parts(store, bars)
    for timeframe in LONGER:
        assert await store.last(BTC, timeframe, 10_000) == resampled(bars, timeframe)


async def test_longer_bars_follow_what_is_put_late_and_what_is_put_again(store):
    bars = a_walk(range(-720, 3000))
    late = set(random.Random(5).sample(range(len(bars)), 300))
    await put_in_parts(store, [bar for place, bar in enumerate(bars) if place not in late])
    await store.put([bars[place] for place in sorted(late, reverse=True)])
    changed = a_walk(range(-720, 3000), seed=8)[1000:1100]
    bars[1000:1100] = changed
    await store.put(changed)
    for timeframe in LONGER:
        assert await store.last(BTC, timeframe, 10_000) == resampled(bars, timeframe)


async def test_a_longer_bar_is_not_told_before_it_is_over(store):
    await store.put(a_walk(range(1, 65)))
    (hour,) = await store.last(BTC, Timeframe.H1, 9)
    assert hour.closed_at == NOON + timedelta(hours=1)
    await store.put(a_walk(range(65, 121)))
    assert len(await store.last(BTC, Timeframe.H1, 9)) == 2


async def test_a_longer_bar_that_was_put_counts_before_the_one_that_is_made(store):
    given = a_bar(1, timeframe=Timeframe.H1, close="7")
    bars = a_walk(range(1, 121))
    await store.put([*bars, given])
    made = resampled(bars, Timeframe.H1)
    assert await store.last(BTC, Timeframe.H1, 9) == [given, made[1]]
    assert await store.last(BTC, Timeframe.H1, 1) == [made[1]]


async def test_many_at_once_are_kept_like_few(store):
    bars = [*a_walk(range(1, 400)), a_bar(0, timeframe=Timeframe.H4), a_bar(3, symbol=ETH)]
    again = a_bar(9, close="99")
    assert await store.put_many(iter([*bars, again])) == 402
    assert await store.last(ETH, Timeframe.M1, 9) == [a_bar(3, symbol=ETH)]
    early = await store.last(BTC, Timeframe.H4, 1, until=NOON)
    assert early == [a_bar(0, timeframe=Timeframe.H4)]
    bars[8] = again
    assert await store.last(BTC, Timeframe.M1, 999) == bars[:399]
    assert await store.last(BTC, Timeframe.M15, 99) == resampled(bars[:399], Timeframe.M15)


async def test_exchanges_are_kept_apart(any_pool):
    await PostgresBarStore(any_pool, exchange="kraken").put(a_walk(range(1, 61)))
    elsewhere = PostgresBarStore(any_pool, exchange="binance")
    for timeframe in Timeframe:
        assert await elsewhere.last(BTC, timeframe, 1) == []


async def test_writers_of_one_hour_lose_nothing_of_each_other(pool):
    """Each minute by itself, all at once: whoever makes the hour last has seen all of them."""
    store = PostgresBarStore(pool, exchange="kraken")
    bars = a_walk(range(1, 61))
    await asyncio.gather(*(store.put([bar]) for bar in bars))
    for timeframe in (Timeframe.M5, Timeframe.H1):
        assert await store.last(BTC, timeframe, 99) == resampled(bars, timeframe)


@pytest.mark.parametrize("keep", [1, 400], ids=["the oldest dropped", "nothing dropped"])
async def test_upkeep_changes_no_longer_bar(any_pool, keep):
    store = PostgresBarStore(any_pool, exchange="kraken")
    bars = a_walk(range(-720, 4 * 7 * 24 * 60, 13))
    await put_in_parts(store, bars[:-60])
    now = NOON + timedelta(weeks=4)
    for _ in range(2):
        await upkeep(any_pool, Retention(minutes=timedelta(weeks=keep)), now=now)
        for timeframe in LONGER:
            assert await store.last(BTC, timeframe, 10_000) == resampled(bars[:-60], timeframe)
    await store.put(bars[-60:])
    for timeframe in LONGER:
        assert await store.last(BTC, timeframe, 10_000) == resampled(bars, timeframe)


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
