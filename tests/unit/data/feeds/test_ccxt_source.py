"""What ccxt says, in our words, and numbers as they were written."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import aiohttp
import ccxt.pro
import pytest

from data.faults import Fault
from data.feeds.ccxt_source import (
    Inbox,
    TappedExchange,
    at_milliseconds,
    at_seconds,
    config,
    exact,
    fault_of,
    reading,
)
from data.feeds.source import BookBroken, RateLimited, SourceRefused, SourceUnavailable


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(ccxt.RateLimitExceeded("x"), RateLimited, id="429"),
        pytest.param(ccxt.DDoSProtection("x"), RateLimited, id="too many requests, by text"),
        pytest.param(ccxt.ExchangeNotAvailable("x"), SourceUnavailable, id="5xx"),
        pytest.param(ccxt.OnMaintenance("x"), SourceUnavailable, id="maintenance"),
        pytest.param(ccxt.RequestTimeout("x"), SourceUnavailable, id="timeout"),
        pytest.param(ccxt.NetworkError("x"), SourceUnavailable, id="network"),
        pytest.param(ccxt.BadResponse("x"), SourceUnavailable, id="no JSON"),
        pytest.param(ccxt.ExchangeError("x"), SourceUnavailable, id="an answer nobody has mapped"),
        pytest.param(ccxt.BadSymbol("x"), SourceRefused, id="no such symbol"),
        pytest.param(ccxt.BadRequest("x"), SourceRefused, id="a bad request"),
        pytest.param(ccxt.PermissionDenied("x"), SourceRefused, id="barred"),
        pytest.param(ccxt.NotSupported("x"), SourceRefused, id="not offered"),
        pytest.param(aiohttp.ClientPayloadError("x"), SourceUnavailable, id="cut short"),
        pytest.param(ConnectionResetError("x"), SourceUnavailable, id="reset"),
        pytest.param(BookBroken("x"), BookBroken, id="ours already"),
    ],
)
def test_an_error_says_what_to_do_next(error, kind):
    fault = fault_of(error, "kraken Trades")
    assert type(fault) is kind
    assert isinstance(error, Fault) or "kraken Trades" in str(fault)


def test_a_long_answer_is_not_repeated_whole():
    assert len(str(fault_of(ccxt.ExchangeError("x" * 100_000), "kraken"))) < 300


def test_numbers_keep_their_digits():
    read = exact('{"qty":0.00005000,"price":85600.10,"id":17,"rate":1e-7}')
    assert read == {"qty": "0.00005000", "price": "85600.10", "id": 17, "rate": "1e-7"}
    assert Decimal(read["rate"]) == Decimal("0.0000001")


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        pytest.param("1710327959.1733468", 173346, id="seven decimals, cut"),
        pytest.param("1710327959.9999999", 999999, id="not rounded up"),
        pytest.param("1710327959.5", 500000, id="one decimal"),
        pytest.param(1710327959, 0, id="none"),
    ],
)
def test_seconds_become_a_time(text, microsecond):
    assert at_seconds(text) == datetime(2024, 3, 13, 11, 5, 59, microsecond, tzinfo=UTC)


def test_milliseconds_become_a_time():
    assert at_milliseconds("1710327959173") == at_seconds("1710327959.173")


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), TypeError("x"), IndexError()])
def test_a_surprising_answer_is_unavailable(error):
    with pytest.raises(SourceUnavailable, match="kraken OHLC: unreadable"), reading("kraken OHLC"):
        raise error


async def test_an_inbox_ends_with_its_fault_after_all_that_came():
    inbox = Inbox("trade@BTC/USD")
    inbox.put(1)
    inbox.put(2)
    inbox.fail(SourceUnavailable("first"))
    inbox.fail(SourceUnavailable("second"))
    inbox.put(3)
    assert [await inbox.get(), await inbox.get()] == [1, 2]
    with pytest.raises(SourceUnavailable, match="first"):
        await inbox.get()


async def test_a_full_inbox_fails_rather_than_lose_something_unnoticed():
    inbox = Inbox("trade@BTC/USD", capacity=2)
    for item in (1, 2, 3, 4):
        inbox.put(item)
    assert [await inbox.get(), await inbox.get()] == [1, 2]
    with pytest.raises(SourceUnavailable, match="unfetched"):
        await inbox.get()


async def test_whoever_waits_for_an_inbox_is_woken():
    inbox = Inbox("x")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(inbox.get())
        tasks.create_task(_put_later(inbox))
    assert waiting.result() == "late"


async def _put_later(inbox):
    inbox.put("late")


class _Exchange(TappedExchange, ccxt.pro.kraken):
    pass


async def test_any_end_of_a_connection_ends_its_subscriptions_and_no_others():
    exchange = _Exchange(config({}, timeout=timedelta(seconds=1)))
    try:
        url, other = "ws://127.0.0.1:1/a", "ws://127.0.0.1:1/b"
        mine, theirs = Inbox("mine"), Inbox("theirs")
        exchange.inboxes = {"mine": mine, "theirs": theirs}
        mine.client, theirs.client = exchange.client(url), exchange.client(other)
        mine.client.reject(ccxt.NetworkError("the receiving loop broke"))
        theirs.put("still there")
        with pytest.raises(SourceUnavailable, match="the receiving loop broke"):
            await mine.get()
        assert await theirs.get() == "still there"
        assert list(exchange.clients) == [other]
    finally:
        await exchange.close()


async def test_an_old_connection_that_closes_leaves_the_new_one_alone():
    exchange = _Exchange(config({}, timeout=timedelta(seconds=1)))
    try:
        old = exchange.client("ws://127.0.0.1:1/")
        exchange.lost(old, ccxt.NetworkError("x"))
        new = exchange.client("ws://127.0.0.1:1/")
        exchange.on_close(old, 1006)
        assert new is not old
        assert exchange.clients == {"ws://127.0.0.1:1/": new}
    finally:
        await exchange.close()
