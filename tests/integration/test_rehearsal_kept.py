"""The rehearsal exchange says nothing of the account before it is kept, and comes back from it."""

import asyncio
import contextlib
import sys
import uuid
from datetime import timedelta

import ccxt.pro
import pytest

from data.clock import ManualClock
from sextant.facts import rehearsal_codec
from sextant.journal.memory import MemoryJournal
from sextant.rehearsal.account import NotListed, recall
from sextant.rehearsal.faults import Accident
from sextant.rehearsal.keys import DEMO_KEY, DEMO_SECRET
from sextant.rehearsal.record import AccountRecord
from sextant.rehearsal.scenes import listings_of
from sextant.rehearsal.server import RehearsalServer, Terms
from tests.builders_rehearsal import NOON, PRICES, a_client, rehearsal_exchange, until

BTC, XRP = "BTC/USDT", "XRP/USDT"


class SlowJournal(MemoryJournal):
    """Durable only once it is let."""

    def __init__(self, clock):
        super().__init__(codec=rehearsal_codec(), clock=clock)
        self.may = asyncio.Event()
        self.may.set()

    async def flush(self):
        await self.may.wait()
        await super().flush()


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
def journal(clock):
    return SlowJournal(clock)


@contextlib.asynccontextmanager
async def reopened(journal, clock, **terms):
    """The exchange as its journal leaves it, and a client."""
    record = await AccountRecord.open(journal)
    async with (
        rehearsal_exchange(clock, record=record, **terms) as venue,
        a_client(venue) as kraken,
    ):
        yield venue, kraken


async def test_an_order_is_answered_and_told_once_it_is_kept(journal, clock):
    async with reopened(journal, clock) as (venue, kraken):
        await kraken.load_markets()
        async with asyncio.TaskGroup() as tasks:
            told = tasks.create_task(kraken.watch_orders())
            await until(lambda: venue.control.listeners == 1)
            journal.may.clear()
            asked = tasks.create_task(kraken.create_order(BTC, "limit", "buy", 0.1, 39_000))
            await until(venue.control.exchange.open_orders)
            ticker = await kraken.fetch_ticker(BTC)  # the market is nobody's secret
            assert not asked.done()
            assert not told.done()
            assert not (await recall(journal.facts())).orders
            journal.may.set()
    (order,) = told.result()
    assert asked.result()["id"] == order["id"]
    assert ticker["last"] == 40_000
    assert list((await recall(journal.facts())).orders) == [order["id"]]


async def test_what_is_done_and_not_answered_is_there_when_it_comes_back(journal, clock):
    name = str(uuid.uuid4())
    async with reopened(journal, clock) as (venue, kraken):
        await kraken.load_markets()
        venue.control.next("AddOrder", Accident.DROP_ANSWER)
        with pytest.raises(ccxt.NetworkError):
            await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, {"clientOrderId": name})
        before = venue.control.exchange
    async with reopened(journal, clock) as (_, kraken):
        (order,) = await kraken.fetch_open_orders()
        assert order["clientOrderId"] == name
        assert (await kraken.fetch_balance())["USDT"]["used"] == pytest.approx(3_900 * 1.0025)
        with pytest.raises(ccxt.ExchangeError, match="Duplicate order"):
            await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000, {"clientOrderId": name})
        await kraken.cancel_order(order["id"])
    assert list(before.orders) == [order["id"]]


async def test_the_switch_fires_after_it_has_come_back(journal, clock):
    async with reopened(journal, clock) as (_, kraken):
        await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
        await kraken.cancel_all_orders_after(60_000)
    clock.move_to(NOON + timedelta(seconds=30))
    async with reopened(journal, clock) as (_, kraken):
        assert len(await kraken.fetch_open_orders()) == 1
        clock.move_to(NOON + timedelta(seconds=61))
        assert await kraken.fetch_open_orders() == []


async def test_an_account_of_other_pairs_is_refused(journal, clock):
    async with reopened(journal, clock) as (_, kraken):
        await kraken.create_order(BTC, "limit", "buy", 0.1, 39_000)
    terms, record = (
        Terms(balances={}, listings=listings_of([XRP])),
        await AccountRecord.open(journal),
    )
    with pytest.raises(NotListed, match=BTC):
        RehearsalServer(terms, prices=PRICES, clock=clock, tape=iter(()), record=record)


@contextlib.asynccontextmanager
async def command(folder, *more):
    """`sextant rehearse` with its state in `folder`, and ccxt's client before it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sextant", "rehearse", "--port", "0", "--speed", "60",
        "--state", str(folder / "account.jsonl"), *more,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(6)]
    client = ccxt.pro.kraken({"apiKey": DEMO_KEY, "secret": DEMO_SECRET})
    rest = lines[1].split()[1]
    client.urls["api"] |= {"public": rest, "private": rest}
    try:
        yield process, client
    finally:
        await client.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_command_goes_on_from_its_file(tmp_path):
    async with command(tmp_path) as (process, client):
        bought = await client.create_order(BTC, "market", "buy", 0.01)
        resting = await client.create_order(BTC, "limit", "buy", 0.01, 30_000)
        before = (await client.private_post_balance())["result"]
        process.kill()
        await process.wait()
    async with command(tmp_path) as (process, client):
        assert (await client.private_post_balance())["result"] == before
        assert [order["id"] for order in await client.fetch_open_orders()] == [resting["id"]]
        assert (await client.fetch_order(bought["id"]))["status"] == "closed"
        process.terminate()
        assert await process.wait() == 0
