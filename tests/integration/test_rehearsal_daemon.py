"""The daemon at the rehearsal exchange, over the adapter that it would trade at Kraken with."""

import asyncio
import contextlib
import os
import signal
from datetime import timedelta

import pytest
from rich.console import Console

from data.instrument import Side
from data.postgres.pool import connect
from execution.difference import Reconciliation
from execution.fill import Fill
from execution.order import Outcome, Submitted
from execution.reconcile import reconcile
from sextant.audit import run_audit
from sextant.daemon import Daemon
from sextant.facts import RunStarted
from sextant.house import open_house
from sextant.rehearsal.faults import Accident
from sextant.rehearsal.server import Control
from sextant.settings import BadSettings, load_settings
from tests.builders_daemon import ROOT, what_is_left
from tests.builders_rehearsal_left import a_rehearsal, rehearsal_flaws
from tests.builders_safety import ONLY_ABROAD, calls_noted, safety_functions

pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


def require_stops(exchange):
    """Whatever is held at the exchange has a stop that waits there, of its size."""
    for symbol in exchange.markets:
        for side in Side:
            stops = (
                order.ticket.quantity - order.filled
                for order in exchange.open_orders()
                if order.waits
                and not order.ticket.kind.takes_profit
                and (order.ticket.listing.symbol, order.ticket.side) == (symbol, side)
            )
            assert exchange.wallet.reducible(symbol, side) <= sum(stops)


@contextlib.asynccontextmanager
async def open_house_noting_calls(config):
    """A house, and the code of all that is called from before it opens until it has closed."""
    with calls_noted() as called:
        async with open_house(load_settings(config)) as house:
            yield house, called


@pytest.mark.req("S0-19", "S0-33")
async def test_it_trades_there_and_the_books_agree(tmp_path):
    config = a_rehearsal(tmp_path)
    async with open_house_noting_calls(config) as (house, called):
        await Daemon(house, max_bars=90).run(view=False)
        exchange = house.market._exchange.server.exchange
        fills = [trade.fill for trade in exchange.trades.values()]
        assert (await reconcile(house.session.book.engine)).reconciled
    names = {name for name, code in safety_functions() if code in called}
    assert ONLY_ABROAD.keys() - names == set()
    left = await what_is_left(config)
    (started,) = left.of(RunStarted)
    assert (started.venue, started.market) == ("kraken", "rehearsal-7")
    booked = {fill.fill_id for fill in left.of(Fill)}
    assert booked and booked <= set(exchange.trades)
    assert {fill.fee_asset for fill in fills} <= {"USDT", "BTC"}
    require_stops(exchange)
    assert await run_audit(load_settings(config), export=None, console=Console())


async def test_a_stop_waits_for_what_became_of_an_order_without_an_answer(tmp_path):
    """It is asked to stop while nobody can say yet whether the order will still arrive."""
    config = a_rehearsal(tmp_path)
    async with open_house(load_settings(config)) as house, asyncio.TaskGroup() as tasks:
        Control(house.market._exchange.server).next("AddOrder", Accident.DROP_REQUEST)
        work = tasks.create_task(Daemon(house).run(view=False))
        while not (lost := house.session.book.engine.outbox.unanswered):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)  # noqa: TID251 - for what the daemon does meanwhile
        os.kill(os.getpid(), signal.SIGINT)
        await work
    left = await what_is_left(config)
    assert left.of(Reconciliation)[-1].reconciled
    outcomes = [fact.outcome for fact in left.of(Submitted) if fact.client_order_id in lost]
    assert outcomes == [Outcome.UNKNOWN, Outcome.UNAVAILABLE]
    assert await run_audit(load_settings(config), export=None, console=Console())


@pytest.mark.req("S0-33")
async def test_what_the_exchange_booked_is_kept_beside(tmp_path, dsn):
    async with open_house(load_settings(a_rehearsal(tmp_path))) as house:
        await Daemon(house, max_bars=90).run(view=False)
        exchange = house.market._exchange.server.exchange
    early = exchange.now - timedelta(minutes=50)  # it looks each quarter, and may be late
    async with await connect(dsn) as pool:
        trades = {row["trade_id"]: row for row in await pool.fetch("SELECT * FROM private_trades")}
        entries = await pool.fetch("SELECT * FROM ledger_entries")
    assert {t.txid for t in exchange.trades.values() if t.fill.filled_at < early} <= trades.keys()
    assert trades and trades.keys() <= exchange.trades.keys()
    assert {row["exchange"] for row in (*trades.values(), *entries)} == {"rehearsal-7"}
    for trade_id, row in trades.items():
        assert row["quantity"] == exchange.trades[trade_id].fill.quantity
    assert {row["refid"] for row in entries} & trades.keys()


@pytest.mark.req("S1-76")
async def test_the_exchange_outlives_the_daemon(tmp_path):
    config = a_rehearsal(tmp_path)
    before = None
    for bars in (40, 25, 25):
        async with open_house(load_settings(config)) as house:
            exchange = house.market._exchange.server.exchange
            if before is not None:
                assert exchange.now >= before.now
                assert exchange.orders.keys() >= before.orders.keys()
                assert list(exchange.trades)[: len(before.trades)] == list(before.trades)
                entries = exchange.wallet.entries[: len(before.wallet.entries)]
                assert entries == before.wallet.entries
                assert house.session.book.engine.reconciled
            await Daemon(house, max_bars=bars).run(view=False)
        require_stops(exchange)
        before = exchange
        assert await run_audit(load_settings(config), export=None, console=Console())
    left = await what_is_left(config)
    assert [started.resumed for started in left.of(RunStarted)] == [False, True, True]
    assert rehearsal_flaws(left) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param('[venue]\nkind = "paper"\n', "takes orders", id="paper at an exchange"),
        pytest.param(
            '[market]\nsource = "synthetic"\ntimeframe = "1m"\nseed = 1\nspeed = 60\n'
            "start = 2026-01-05T00:00:00Z\n",
            'needs market.source "rehearsal"',
            id="real orders on made-up prices",
        ),
        pytest.param('mode = "paper"\n', "sends orders", id="orders in paper mode"),
        pytest.param(
            '[venue]\nleverage = { "ADA/USDT" = 2 }\n', "ADA/USDT", id="leverage for nothing"
        ),
    ],
)
def test_made_up_and_real_are_never_mixed(tmp_path, text, named):
    path = tmp_path / "mixed.toml"
    path.write_text(f'extends = "{ROOT / "config" / "rehearsal.toml"}"\n{text}')
    with pytest.raises(BadSettings, match=named):
        load_settings(path)
