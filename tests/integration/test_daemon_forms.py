"""The real daemon and its order forms: targets beside stops, and orders that rest before they take.

On paper and at the rehearsal exchange, through the adapter that it would trade at Kraken with.
"""

import pytest
from rich.console import Console

from execution.dust import DustLeft
from execution.fill import Fill, Liquidity
from execution.order import OrderStatus, Submitting
from execution.venue import OrderChanged
from risk.intent import Purpose
from sextant.audit import run_audit
from sextant.daemon import Daemon
from sextant.facts import RunStarted
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import a_config, flaws, ran, what_is_left
from tests.builders_forms import AIMS, RESTS, THIN, TRAILS
from tests.builders_rehearsal_left import a_rehearsal, record_flaws

pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    return postgres


async def sound(config):
    return await run_audit(load_settings(config), export=None, console=Console())


def targets(left):
    """The take-profit orders on record, by their ids."""
    orders = (fact.order for fact in left.of(Submitting))
    return {order.client_order_id: order for order in orders if order.takes_profit}


def ended(left):
    """How each order ended that has."""
    changes = (fact.order for fact in left.of(OrderChanged))
    return {order.client_order_id: order.status for order in changes if order.status.is_final}


@pytest.mark.req("S2-46", "S3-36", "S0-26")
@pytest.mark.parametrize("text", [AIMS, THIN + AIMS], ids=["whole", "in parts"])
async def test_a_target_is_placed_and_fills_and_its_stop_goes(tmp_path, text):
    config = a_config(tmp_path, text)
    await ran(config, 400)
    left = await what_is_left(config)
    assert flaws(left) == []
    known, end = targets(left), ended(left)
    taken = {fill.client_order_id for fill in left.of(Fill)} & known.keys()
    assert taken
    assert {end.get(name) for name in known.keys() - taken} <= {OrderStatus.CANCELLED, None}
    assert OrderStatus.CANCELLED in end.values()  # a stop, or a target whose stop has filled
    (started,) = left.of(RunStarted)
    assert len(started.holds_targets) == 3
    assert await sound(config)


async def test_orders_rest_before_they_take_and_never_get_more(tmp_path):
    config = a_config(tmp_path, THIN + AIMS + RESTS)
    await ran(config, 300)
    left = await what_is_left(config)
    assert flaws(left) == []
    orders = {fact.order.client_order_id: fact.order for fact in left.of(Submitting)}
    firsts = [order for order in orders.values() if order.post_only]
    rests = [order for order in orders.values() if order.completes is not None]
    assert {order.purpose for order in firsts} == {Purpose.ENTRY, Purpose.EXIT}
    assert rests
    fills = left.of(Fill)
    makers = [f for f in fills if orders.get(f.client_order_id) in firsts]
    assert makers
    assert {fill.liquidity for fill in makers} == {Liquidity.MAKER}
    for rest in rests:
        together = (rest.client_order_id, rest.completes)
        bought = sum(f.quantity for f in fills if f.client_order_id in together)
        assert bought <= orders[rest.completes].quantity
    assert await sound(config)


@pytest.mark.req("S0-26")
async def test_stops_trail_by_the_true_range_and_dust_is_on_record(tmp_path):
    config = a_config(tmp_path, THIN + TRAILS)
    await ran(config, 300)
    left = await what_is_left(config)
    assert flaws(left) == []
    orders = [fact.order for fact in left.of(Submitting)]
    assert all(order.atr for order in orders if order.purpose is Purpose.ENTRY)
    assert [order for order in orders if order.replaces is not None]
    assert all(dust.symbol in left.settings.instruments for dust in left.of(DustLeft))
    assert await sound(config)


@pytest.mark.req("S0-33", "S2-46")
async def test_at_the_exchange_stop_and_target_rest_side_by_side(tmp_path):
    """Where the stops are reduce-only orders of our own; entries rest there first."""
    config = a_rehearsal(tmp_path, AIMS + RESTS + "\n[venue]\nattach_stops = false\n")
    for _ in range(4):
        async with open_house(load_settings(config)) as house:
            await Daemon(house, max_bars=90).run(view=False)
            orders = house.market._exchange.server.exchange.orders.values()
        if any(order.ticket.kind.takes_profit and order.filled for order in orders):
            break
    assert {"stop-loss", "take-profit"} <= {order.ticket.kind for order in orders}
    assert [order for order in orders if order.ticket.post_only]
    left = await what_is_left(config)
    assert record_flaws(left) == []  # the last position may be too young for its stop
    assert targets(left)
    assert await sound(config)
