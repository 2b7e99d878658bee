"""Own trades and ledger entries over the wire, through the real client, killed and run again."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.collect.patience import Patience
from data.feeds.source import SourceRefused, SourceUnavailable
from data.instrument import Side
from data.kraken_db.account import KeyedClient, KrakenAccount
from data.kraken_db.private_trades import (
    PAUSE,
    NoKey,
    open_client,
    read_account,
)
from data.kraken_db.window import Window
from data.postgres.account_history import PostgresAccountHistory
from data.postgres.progress import PostgresProgress
from tests.wire.kraken_private import KEY, SECRET, KrakenPrivate

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Killed(Exception):
    """The process ends here."""


class QuickClock(ManualClock):
    """Waits by moving itself on, and remembers for how long."""

    def __init__(self, start):
        super().__init__(start)
        self.waits = []

    async def sleep(self, delay):
        self.waits.append(delay)
        self.move_to(self.now() + delay)


class MemoryHistory:
    """An account's history as long as the process lives; killed at the `fuse`-th put."""

    def __init__(self, fuse=0):
        self.trades, self.entries, self.fuse = {}, {}, fuse

    async def put_trades(self, trades):
        self._burn()
        self.trades |= {trade.trade_id: trade for trade in trades}

    async def put_entries(self, entries):
        self._burn()
        self.entries |= {entry.ledger_id: entry for entry in entries}

    def _burn(self):
        self.fuse -= 1
        if self.fuse == 0:
            raise Killed


class MemoryProgress:
    def __init__(self):
        self.cursor = None

    async def save(self, symbol, cursor, *, now):
        self.cursor = cursor

    async def load(self, symbol):
        return self.cursor


def a_trade_row(number, **changes):
    return {
        "ordertxid": f"O{number}", "pair": "XBTUSDT", "time": 1_767_600_000.1234 + 60 * number,
        "type": "buy", "ordertype": "limit", "price": "90000.10000", "cost": "90.00010",
        "fee": "0.14400", "vol": "0.00100000", "margin": "0.00000", "leverage": "0", "misc": "",
        "trade_id": 7_000 + number, "maker": True,
    } | changes  # fmt: skip


def an_entry_row(number):
    return {
        "refid": f"T{number}", "time": 1_767_600_000.5 + 60 * number, "type": "trade",
        "subtype": "tradespot", "aclass": "currency", "asset": "XXBT", "amount": "0.0010000000",
        "fee": "0.0000000000", "balance": "0.5000000000",
    }  # fmt: skip


TRADES = {f"T{number}": a_trade_row(number) for number in range(120)}
LEDGER = {f"L{number}": an_entry_row(number) for number in range(51)}


class Site:
    def __init__(self, server, store=None, key=KEY):
        self.client = KeyedClient(key, SECRET, urls=server.urls)
        self.account = KrakenAccount(self.client.ask)
        self.store = store or MemoryHistory()
        self.clock = QuickClock(NOW)
        self.progress = MemoryProgress(), MemoryProgress()

    async def read(self):
        return await read_account(
            self.account,
            self.store,
            trades_progress=self.progress[0],
            ledger_progress=self.progress[1],
            clock=self.clock,
            patience=Patience(clock=self.clock, tries=3),
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.client.close()


@pytest.mark.req("S0-33", "S1-24")
async def test_everything_is_read_page_by_page_and_signed():
    async with KrakenPrivate(TRADES, LEDGER) as server, Site(server) as site:
        read = await site.read()
        assert (read.trades, read.entries) == (120, 51)
        assert (set(site.store.trades), set(site.store.entries)) == (set(TRADES), set(LEDGER))
        assert server.asked == [
            ("trades", 0), ("trades", 50), ("trades", 100), ("ledger", 0), ("ledger", 50),
        ]  # fmt: skip
        assert site.clock.waits == [PAUSE] * 3


async def test_numbers_are_what_kraken_wrote():
    sale = a_trade_row(1, type="sell")
    async with KrakenPrivate({"TX": sale}, LEDGER) as server, Site(server) as site:
        await site.read()
        trade, entry = site.store.trades["TX"], site.store.entries["L1"]
    assert (trade.side, trade.order_id, trade.pair) == (Side.SELL, "O1", "XBTUSDT")
    assert (trade.price, trade.quantity) == (Decimal("90000.10000"), Decimal("0.00100000"))
    assert (trade.cost, trade.fee) == (Decimal("90.00010"), Decimal("0.14400"))
    assert trade.traded_at == datetime(2026, 1, 5, 8, 1, 0, 123400, tzinfo=UTC)
    assert (entry.asset, entry.amount) == ("XXBT", Decimal("0.0010000000"))


async def test_a_second_run_changes_nothing_and_reads_the_last_hour():
    async with KrakenPrivate(TRADES, LEDGER) as server, Site(server) as site:
        await site.read()
        before = dict(site.store.trades), dict(site.store.entries)
        server.asked.clear()
        await site.read()
        assert (site.store.trades, site.store.entries) == before
        assert server.asked == [("trades", 0), ("ledger", 0)]


async def test_what_kraken_books_late_is_seen():
    async with KrakenPrivate(TRADES) as server, Site(server) as site:
        await site.read()
        late = (NOW - timedelta(minutes=30)).timestamp()
        server.trades["LATE"] = a_trade_row(0, time=late)
        await site.read()
        assert "LATE" in site.store.trades


@pytest.mark.req("S0-33")
@pytest.mark.parametrize("fuse", range(1, 6))
async def test_killed_at_any_page_it_goes_on_there(fuse):
    """Trades that come between the two lives shift no page."""
    store = MemoryHistory(fuse)
    async with KrakenPrivate(TRADES, LEDGER) as server, Site(server, store) as site:
        with pytest.raises(Killed):
            await site.read()
        interrupted_at = server.asked[-1]
        server.asked.clear()
        later = (NOW + timedelta(minutes=1)).timestamp()
        server.trades["NEW"] = a_trade_row(0, time=later)
        site.clock.move_to(NOW + timedelta(minutes=2))
        await site.read()
        assert interrupted_at in server.asked
        assert set(TRADES) <= set(store.trades)
        assert set(store.entries) == set(LEDGER)
        await site.read()
        assert "NEW" in store.trades


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("EAPI:Rate limit exceeded", id="rate limit"),
        pytest.param("EAPI:Invalid nonce", id="nonce"),
        pytest.param("EService:Unavailable", id="away"),
        pytest.param(502, id="502"),
        pytest.param(429, id="429"),
    ],
)
async def test_a_passing_fault_is_asked_again(fault):
    async with KrakenPrivate(TRADES, LEDGER) as server, Site(server) as site:
        server.faults.extend([fault, fault])
        await site.read()
        assert set(site.store.trades) == set(TRADES)


async def test_a_lasting_fault_is_told():
    async with KrakenPrivate(TRADES) as server, Site(server) as site:
        server.faults.extend(["EService:Unavailable"] * 3)
        with pytest.raises(SourceUnavailable):
            await site.read()


@pytest.mark.parametrize("fault", ["EGeneral:Permission denied", "EAPI:Invalid key"])
async def test_a_refusal_names_the_rights_and_no_secret(fault):
    async with KrakenPrivate(TRADES) as server, Site(server) as site:
        server.faults.append(fault)
        with pytest.raises(SourceRefused, match="Query ledger entries") as refusal:
            await site.read()
    assert KEY not in str(refusal.value) and SECRET not in str(refusal.value)


async def test_a_wrong_key_is_refused():
    async with KrakenPrivate(TRADES) as server, Site(server, key="another") as site:
        with pytest.raises(SourceRefused, match="Invalid key"):
            await site.read()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        pytest.param({}, "KRAKEN_API_KEY and KRAKEN_API_SECRET", id="neither"),
        pytest.param({"KRAKEN_API_KEY": "k"}, "KRAKEN_API_SECRET not set", id="no secret"),
        pytest.param({"KRAKEN_API_SECRET": "s"}, "KRAKEN_API_KEY not set", id="no key"),
    ],
)
def test_without_keys_the_error_names_the_variables(monkeypatch, given, named):
    for name in ("KRAKEN_API_KEY", "KRAKEN_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NoKey, match=named):
        open_client()


def test_a_window_is_what_was_written_of_it():
    window = Window(since=NOW - timedelta(days=1), until=NOW, kept=50)
    assert Window.of(window.text) == window


@pytest.mark.req("S0-33")
async def test_postgres_keeps_each_once(pool):
    store = PostgresAccountHistory(pool, exchange="kraken")
    async with KrakenPrivate(TRADES, LEDGER) as server, Site(server, store) as site:
        site.progress = tuple(
            PostgresProgress(pool, collector=name, exchange="kraken") for name in ("t", "l")
        )
        await site.read()
        await site.read()
    row = await pool.fetchrow("SELECT * FROM private_trades WHERE trade_id = 'T7'")
    assert (row["price"], row["side"]) == (Decimal("90000.1"), "buy")
    assert await pool.fetchval("SELECT count(*) FROM private_trades") == 120
    assert await pool.fetchval("SELECT count(*) FROM ledger_entries") == 51
