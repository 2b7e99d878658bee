"""The real daemon stops while an exit rests: it takes what it has not got before we go."""

from decimal import Decimal

import pytest

from data.instrument import Price, Side
from data.postgres.pool import connect
from execution.difference import Reconciliation
from execution.engine import Engine
from execution.order import Cancelling, Submitting
from execution.passive import wished_side
from risk.intent import Purpose
from sextant import wiring
from sextant.audit import audit
from sextant.daemon import Daemon
from sextant.facts import RestingWithdrawn, RunStopped
from sextant.house import open_house
from sextant.rehearsal.faults import Accident
from sextant.rehearsal.server import Control
from sextant.session import Session
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, a_config, ran, what_is_left
from tests.builders_rehearsal_left import a_rehearsal
from tests.builders_rests import Once
from tests.builders_safety import calls_noted

pytestmark = pytest.mark.xdist_group("daemon")

PATIENT_EXITS = (
    EAGER
    + """
    [passive]
    exits = true
    cross_after = "PT6H"
"""
)
MINUTES, SYMBOLS = 12, 3


PATIENT_ENTRIES = (
    PATIENT_EXITS.replace("exits", "entries")
    + """
    [venue]
    entries_rest = "PT9H"
    [venue.dead_man]
    deadline = "PT8H"
"""
)


def far_off(session, intent):
    """A best price on our side that no market comes to."""
    factor = "0.99" if wished_side(intent) is Side.BUY else "1.05"
    return Price(session.book.ledger.last_mark(intent.symbol).price * Decimal(factor))


@pytest.fixture
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


@pytest.mark.req("S0-19", "S0-33")
@pytest.mark.parametrize(
    "configured",
    [
        pytest.param(lambda folder: a_config(folder, PATIENT_EXITS, speed=600.0), id="on paper"),
        pytest.param(
            lambda folder: a_rehearsal(folder, PATIENT_EXITS, speed=40.0), id="at the exchange"
        ),
    ],
)
async def test_an_exit_that_rests_takes_before_the_daemon_is_gone(
    tmp_path, monkeypatch, dsn, configured
):
    monkeypatch.setattr(
        wiring,
        "strategy",
        lambda desk, seats: Once(desk, enters_at=3, leaves_at=MINUTES, quantity="0.01"),
    )
    monkeypatch.setattr(Session, "_touch", far_off)
    config = configured(tmp_path)
    await ran(config, MINUTES * SYMBOLS)
    left = await what_is_left(config)
    orders = [fact.order for fact in left.of(Submitting) if fact.order.purpose is Purpose.EXIT]
    first, rest = orders
    assert (first.post_only, rest.completes) == (True, first.client_order_id)
    assert (rest.limit, rest.quantity, rest.reduce_only) == (None, first.quantity, True)
    assert len(left.of(RestingWithdrawn)) == 1
    assert isinstance(left.facts[-1], RunStopped)
    async with await connect(dsn) as pool:
        assert (await audit(load_settings(config), pool)).is_sound


@pytest.mark.req("S0-33")
async def test_an_entry_that_rests_is_withdrawn_though_its_cancellation_is_lost(
    tmp_path, monkeypatch, dsn
):
    monkeypatch.setattr(
        wiring, "strategy", lambda desk, seats: Once(desk, enters_at=3, quantity="0.01")
    )
    monkeypatch.setattr(Session, "_touch", far_off)
    config = a_rehearsal(tmp_path, PATIENT_ENTRIES, speed=40.0)
    async with open_house(load_settings(config)) as house:
        Control(house.market._exchange.server).next("CancelOrder", Accident.DROP_REQUEST)
        with calls_noted() as called:
            await Daemon(house, max_bars=MINUTES * SYMBOLS).run(view=False)
        exchange = house.market._exchange.server.exchange
    assert Engine.is_overdue.__code__ in called
    left = await what_is_left(config)
    (entry,) = [fact.order for fact in left.of(Submitting)]
    assert [fact.client_order_id for fact in left.of(Cancelling)] == [entry.client_order_id]
    assert exchange.orders and not exchange.open_orders()
    assert left.of(Reconciliation)[-1].reconciled
    async with await connect(dsn) as pool:
        assert (await audit(load_settings(config), pool)).is_sound
