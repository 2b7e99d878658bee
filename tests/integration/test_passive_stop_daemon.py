"""The real daemon stops while an exit rests: it takes what it has not got before we go."""

from decimal import Decimal

import pytest

from data.instrument import Price
from data.postgres.pool import connect
from execution.order import Submitting
from risk.intent import Purpose
from sextant import wiring
from sextant.audit import audit
from sextant.facts import RestingWithdrawn, RunStopped
from sextant.session import Session
from sextant.settings import load_settings
from tests.builders_daemon import EAGER, a_config, ran, what_is_left
from tests.builders_rehearsal_left import a_rehearsal
from tests.builders_rests import Once

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


def far_off(session, intent):
    """A best ask that no market comes to."""
    return Price(session.book.ledger.last_mark(intent.symbol).price * Decimal("1.05"))


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
