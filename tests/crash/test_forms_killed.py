"""kill -9 between the legs of an order: a target and its stop, a resting order and its rest."""

import signal
from collections import Counter

import pytest

from execution.fill import Fill
from execution.order import Submitting
from tests.builders_daemon import Rehearsal, a_config, flaws, servers, what_is_left
from tests.builders_forms import AIMS, RESTS, THIN
from tests.builders_postgres import server_folder  # noqa: F401 - a fixture

pytestmark = pytest.mark.xdist_group("daemon")

ACCEPT = "execution.engine:Engine.accept"
SUBMIT = "execution.venues.paper:PaperVenue.submit"
RECORD = "execution.venues.paper:PaperVenue._record"
CANCEL = "execution.venues.paper:PaperVenue.cancel"
AIM = "execution.care:_at_target"
TARGET_WINDOWS = [
    pytest.param(AIM, None, "after", id="asked for, not on record"),
    pytest.param(AIM, ACCEPT, "after", id="accepted, not durable"),
    pytest.param(AIM, SUBMIT, "before", id="durable, not sent"),
    pytest.param(AIM, SUBMIT, "after", id="sent, unanswered"),
    pytest.param("execution.matching:Matching._trigger", None, "after", id="filled, not durable"),
    pytest.param("execution.matching:Matching._trigger", RECORD, "after", id="filled, not told"),
]
CROSS = "execution.passive:PassiveOrders.crosses"
REST = "execution.passive:rest_of"
REST_WINDOWS = [
    pytest.param(CROSS, None, "after", id="overdue, not cancelled"),
    pytest.param(CROSS, CANCEL, "before", id="to be cancelled, not sent"),
    pytest.param(CROSS, CANCEL, "after", id="cancelled, not told"),
    pytest.param(REST, None, "after", id="over, its rest not asked for"),
    pytest.param(REST, ACCEPT, "after", id="rest accepted, not durable"),
    pytest.param(REST, SUBMIT, "before", id="rest durable, not sent"),
    pytest.param(REST, SUBMIT, "after", id="rest sent, unanswered"),
]


def killed(rehearsal, first, then, when):
    """Dies at the second place after it has come to the first, or there."""
    if then is None:
        died = rehearsal.signalled(first, 1, when)
    else:
        began = (first, 1, "after", signal.SIGCONT)  # which does nothing
        died = rehearsal.signalled_in_turn(began, (then, 1, when, signal.SIGKILL))
    assert died.code == -signal.SIGKILL, (first, then, died.said)


async def left_after_an_orderly_stop(rehearsal, folder):
    stopped = rehearsal.signalled("sextant.session:Session.take", 150, "before", signal.SIGINT)
    assert stopped.code == 0, stopped.said
    audited = rehearsal.audited()
    assert audited.code == 0, audited.said
    assert not servers(folder)
    return await what_is_left(rehearsal.config)


@pytest.mark.req("S1-76", "S2-46")
async def test_a_kill_between_a_stop_and_its_target_leaves_both_or_neither(
    server_folder,  # noqa: F811
):
    rehearsal = Rehearsal(a_config(server_folder, AIMS, speed=2000))
    for window in TARGET_WINDOWS:
        killed(rehearsal, *window.values)
    left = await left_after_an_orderly_stop(rehearsal, server_folder)
    assert flaws(left) == []
    assert [fact for fact in left.of(Submitting) if fact.order.takes_profit]


@pytest.mark.req("S1-76", "S0-21")
async def test_a_kill_between_a_resting_order_and_its_rest_buys_nothing_twice(
    server_folder,  # noqa: F811
):
    rehearsal = Rehearsal(a_config(server_folder, THIN + AIMS + RESTS, speed=2000))
    for window in REST_WINDOWS:
        killed(rehearsal, *window.values)
    left = await left_after_an_orderly_stop(rehearsal, server_folder)
    assert flaws(left) == []
    orders = {fact.order.client_order_id: fact.order for fact in left.of(Submitting)}
    bought: Counter[str] = Counter()
    for fill in left.of(Fill):
        order = orders.get(fill.client_order_id)
        if order is not None:
            bought[order.completes or order.client_order_id] += fill.quantity
    assert [order for order in orders.values() if order.completes is not None]
    assert all(bought[name] <= orders[name].quantity for name in bought)
