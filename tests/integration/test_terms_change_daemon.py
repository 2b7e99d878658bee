"""A venue that changes while the daemon lives: its minimums, and the money that lies there."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from execution.difference import DifferenceKind, Reconciliation
from execution.order import Outcome, Submitted, Submitting
from execution.relisted import Relisted
from sextant import wiring
from sextant.audit import run_audit
from sextant.daemon import Daemon
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import what_is_left
from tests.builders_dead_man import PATIENT, SPEED, strategies
from tests.builders_rehearsal import until
from tests.builders_rehearsal_left import a_rehearsal
from tests.builders_safety import ONLY_RELISTED, calls_noted, safety_functions
from tests.builders_venue import BTC

RISEN = Decimal(5)
pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)


@asynccontextmanager
async def at_work(config):
    """The exchange and the journal of a daemon that runs, and is asked to stop in the end."""
    async with open_house(load_settings(config)) as house, asyncio.TaskGroup() as tasks:
        work = tasks.create_task(Daemon(house).run(view=False))
        yield house.market._exchange.server.exchange, house
        os.kill(os.getpid(), signal.SIGINT)
        await work


async def test_a_minimum_that_has_risen_is_learnt_from_the_refusal(tmp_path, monkeypatch):
    monkeypatch.setattr(wiring, "strategy", strategies(30))
    config = a_rehearsal(tmp_path, PATIENT, speed=SPEED)
    with calls_noted() as called:
        await _raise_a_minimum(config)
    left = await what_is_left(config)
    ((listed,), submitted) = left.of(Relisted), left.of(Submitted)
    assert [(i.symbol, i.min_quantity) for i in listed.instruments] == [(BTC, RISEN)]
    refused = [s for s in submitted if s.outcome is Outcome.REFUSED]
    assert refused
    assert all("minimum" in each.detail for each in refused)
    learnt = left.facts.index(listed)
    later = [f.order for f in left.facts[learnt:] if isinstance(f, Submitting)]
    assert not [order for order in later if order.symbol == BTC]
    assert await run_audit(load_settings(config), export=None, console=Console())
    silent = {name for name, code in safety_functions() if code not in called}
    assert not silent & ONLY_RELISTED.keys()


async def _raise_a_minimum(config):
    """While a daemon works that trades less; return once it has learnt of it, and gone on."""
    async with at_work(config) as (exchange, house):
        listings = [
            replace(each, min_quantity=RISEN) if each.symbol == BTC else each
            for each in exchange.register.listings
        ]
        exchange.register.__init__(listings)
        await until(lambda: house.session.book.instruments[BTC].min_quantity == RISEN)
        bars = house.session.scorecard.bars
        await until(lambda: house.session.scorecard.bars > bars + 9)


async def test_money_that_comes_from_elsewhere_is_seen_at_once(tmp_path, monkeypatch):
    """The books are held against the venue's long before it would be their turn."""
    monkeypatch.setattr(wiring, "strategy", strategies(24 * 60))
    config = a_rehearsal(tmp_path, PATIENT, speed=SPEED)
    async with at_work(config) as (exchange, house):
        await until(lambda: house.venue.venue._stream_since)
        amount = Decimal(250)
        exchange.wallet._enter("deposit", "x", "USDT", amount, Decimal(0), exchange.now)
        exchange._tell_balances()
        await until(lambda: not house.session.book.engine.reconciled)
    found = [d for r in (await what_is_left(config)).of(Reconciliation) for d in r.differences]
    assert (DifferenceKind.BALANCE, "USDT") in {(d.kind, d.subject) for d in found}
