"""What every `BookStore`, `FundingStore` and `NewsStore` does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.funding import FundingRate
from data.instrument import Price, Quantity, Symbol
from data.news import NewsItem, NewsStream
from data.order_book import Level, OrderBook
from data.postgres.books import PostgresBookStore
from data.postgres.funding import PostgresFundingStore
from data.postgres.news import PostgresNewsStore
from data.store_memory import MemoryBookStore, MemoryFundingStore, MemoryNewsStore

BTC = Symbol("BTC/USD")
ETH = Symbol("ETH/USD")
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def levels(*pairs):
    return tuple(Level(Price(Decimal(p)), Quantity(Decimal(q))) for p, q in pairs)


def a_book(minute, *, symbol=BTC, best="100.1"):
    return OrderBook(
        symbol=symbol,
        at=NOON + minute * MINUTE,
        bids=levels((best, "0.00000001"), ("99.50", "3")),
        asks=levels(("101", "7"), ("102.25", "1E+3"), ("103", "2")),
    )


def a_rate(minute, *, symbol=BTC, rate="0.0001", mark=None):
    return FundingRate(
        symbol=symbol,
        at=NOON + minute * MINUTE,
        seen_at=NOON + minute * MINUTE,
        rate=Decimal(rate),
        interval=timedelta(hours=8),
        mark_price=mark,
    )


STORES = {
    "books": (MemoryBookStore, PostgresBookStore, a_book, {"best": "99.75"}),
    "funding": (MemoryFundingStore, PostgresFundingStore, a_rate, {"rate": "-1E-12"}),
}


@pytest.fixture(params=STORES.values(), ids=STORES)
def kind(request):
    """Store in memory, store in PostgreSQL, an item by its minute, and what makes it another."""
    return request.param


@pytest.fixture
def store(kept_in, kind):
    memory, postgres, *_ = kind
    return memory() if kept_in is None else postgres(kept_in, exchange="kraken")


@pytest.fixture
def item(kind):
    return kind[2]


@pytest.mark.parametrize(
    ("until", "minutes"),
    [
        pytest.param(NOON + MINUTE, [0, 1], id="of that moment, too"),
        pytest.param(NOON + MINUTE / 2, [0], id="none later"),
        pytest.param(NOON - MINUTE, [], id="before the first"),
        pytest.param(None, [1, 2], id="without a bound"),
    ],
)
async def test_the_newest_come_oldest_first(store, item, until, minutes):
    await store.put([item(2), item(0), item(1), item(1, symbol=ETH)])
    assert await store.last(BTC, 2, until=until) == [item(minute) for minute in minutes]


async def test_put_again_is_replaced_and_the_later_counts(store, item, kind):
    other = item(0, **kind[3])
    await store.put([item(0), item(1)])
    await store.put([item(0), other])
    assert await store.last(BTC, 9) == [other, item(1)]


async def test_nothing_put_is_nothing_kept(store):
    await store.put([])
    assert await store.last(BTC, 9) == []


async def test_exchanges_are_kept_apart(any_pool, kind, item):
    await kind[1](any_pool, exchange="kraken").put([item(0)])
    assert await kind[1](any_pool, exchange="binance").last(BTC, 9) == []


async def test_a_side_of_a_book_may_be_empty(kept_in):
    store = MemoryBookStore() if kept_in is None else PostgresBookStore(kept_in, exchange="kraken")
    book = OrderBook(symbol=BTC, at=NOON, bids=(), asks=levels(("1", "2")))
    await store.put([book])
    assert await store.last(BTC, 1) == [book]


async def test_a_mark_price_is_kept(kept_in):
    store = (
        MemoryFundingStore()
        if kept_in is None
        else PostgresFundingStore(kept_in, exchange="kraken")
    )
    rate = a_rate(0, mark=Price(Decimal("100.123456789")))
    await store.put([rate])
    assert await store.last(BTC, 1) == [rate]


@pytest.fixture
def news(kept_in):
    return MemoryNewsStore() if kept_in is None else PostgresNewsStore(kept_in)


def an_item(*, title="Up", source="wire", url="u", published=0, seen=0, stream=NewsStream.MICRO):
    return NewsItem(
        source=source,
        stream=stream,
        title=title,
        url=url,
        published_at=NOON + published * MINUTE,
        first_seen_at=NOON + seen * MINUTE,
    )


async def test_news_come_by_the_time_they_became_known(news):
    items = [
        an_item(title="seen late", published=-9, seen=3),
        an_item(title="dated ahead", published=2, seen=0, stream=NewsStream.MACRO),
        an_item(title="é of the same moment", published=2, seen=2),
        an_item(title="later", seen=4),
    ]
    await news.put(items)
    known = await news.known(since=NOON, until=NOON + 3 * MINUTE)
    assert known == [items[1], items[2], items[0]]


async def test_the_range_has_both_ends(news):
    items = [an_item(title=str(minute), seen=minute) for minute in range(4)]
    await news.put(items)
    assert await news.known(since=NOON + MINUTE, until=NOON + 2 * MINUTE) == items[1:3]


async def test_what_was_seen_before_stays_what_it_was(news):
    first = an_item(published=-1, seen=1)
    await news.put([first, an_item(published=-5, seen=2)])
    await news.put([an_item(published=-9, seen=0)])
    assert await news.known(since=NOON - 9 * MINUTE, until=NOON + 9 * MINUTE) == [first]


async def test_source_url_and_title_tell_items_apart(news):
    long = "https://example.test/" + "a" * 5_000
    items = [an_item(url=""), an_item(url=long), an_item(source="x"), an_item(title="Down")]
    await news.put(items)
    await news.put(items)
    known = await news.known(since=NOON, until=NOON)
    assert sorted(item.key for item in known) == sorted(item.key for item in items)


async def test_no_news(news):
    await news.put([])
    assert await news.known(since=NOON, until=NOON) == []
