"""The real daemon moves its stops in place at the exchange, and looks after one that stays."""

from collections import Counter

import pytest
from rich.console import Console

from execution.order import Amended, Amending, Outcome, Submitting
from sextant.audit import run_audit
from sextant.daemon import Daemon
from sextant.facts import RunStarted
from sextant.house import open_house
from sextant.rehearsal.faults import Accident
from sextant.rehearsal.order_form import Declined
from sextant.rehearsal.server import Control
from sextant.rehearsal.trading import Trading
from sextant.settings import load_settings
from tests.builders_daemon import what_is_left
from tests.builders_forms import TRAILS
from tests.builders_rehearsal_left import a_rehearsal, record_flaws

pytestmark = pytest.mark.xdist_group("daemon")

BARS, LIVES = 60, 5
OF_OUR_OWN = "\n[venue]\nattach_stops = false\n"  # Kraken's conditional closes are not amended


@pytest.fixture(autouse=True)
def dsn(monkeypatch, postgres):
    """A database of the test's own is the configured one."""
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)


def stops_in_sight(exchange, crowded):
    """Note each amendment at which the symbol has not exactly one stop, its own."""

    def look(execution):
        if execution.kind != "amended":
            return
        symbol = execution.order.ticket.listing.symbol
        stops = [
            order.txid
            for order in exchange.open_orders()
            if order.waits and not order.ticket.kind.takes_profit
            if order.ticket.listing.symbol == symbol
        ]
        if stops != [execution.order.txid]:
            crowded.append(stops)

    return look


async def lived(config, enough, *, accidents=()):
    """Lives of a daemon until what they leave is `enough`; each begins with these accidents."""
    crowded = []
    for _ in range(LIVES):
        async with open_house(load_settings(config)) as house:
            server = house.market._exchange.server
            server.exchange.listeners.append(stops_in_sight(server.exchange, crowded))
            for accident in accidents:
                Control(server).next("AmendOrder", accident)
            await Daemon(house, max_bars=BARS).run(view=False)
        left = await what_is_left(config)
        if enough(left):
            break
    assert record_flaws(left) == []  # the last position may be too young for its stop
    assert await run_audit(load_settings(config), export=None, console=Console())
    return left, crowded


def outcomes(left):
    return Counter(fact.outcome for fact in left.of(Amended))


@pytest.mark.req("S0-26", "S0-33")
async def test_stops_trail_in_place(tmp_path):
    """No stop takes another's place, and the exchange never holds two of them, or none."""
    config = a_rehearsal(tmp_path, TRAILS + OF_OUR_OWN)
    left, crowded = await lived(config, lambda left: outcomes(left)[Outcome.ACCEPTED] >= 3)
    assert outcomes(left)[Outcome.ACCEPTED] >= 3
    assert crowded == []
    assert all(started.amends for started in left.of(RunStarted))
    amended = {wish.client_order_id for wish in left.of(Amending)}
    orders = {fact.order.client_order_id: fact.order for fact in left.of(Submitting)}
    assert all(orders[name].trigger is not None for name in amended)
    wishes = {}
    for wish in left.of(Amending):  # only tighter
        order = orders[wish.client_order_id]
        before = wishes.setdefault(wish.client_order_id, order.trigger)
        assert (wish.trigger - before) * order.side.sign <= 0
        wishes[wish.client_order_id] = wish.trigger


async def test_a_stop_that_may_not_be_amended_is_replaced_the_next_time(tmp_path, monkeypatch):
    def decline(self, form):
        raise Declined("EOrder:Not amendable")

    monkeypatch.setattr(Trading, "amend", decline)

    def replaced(left):
        refused = {f.client_order_id for f in left.of(Amended) if f.outcome is Outcome.REFUSED}
        return refused & {fact.order.replaces for fact in left.of(Submitting)}

    left, _ = await lived(a_rehearsal(tmp_path, TRAILS + OF_OUR_OWN), replaced)
    assert replaced(left)
    assert set(outcomes(left)) <= {Outcome.REFUSED, Outcome.UNAVAILABLE, Outcome.UNKNOWN}


async def test_an_amendment_without_an_answer_is_asked_after(tmp_path):
    accidents = [Accident.DROP_ANSWER, Accident.DROP_REQUEST]
    left, _ = await lived(
        a_rehearsal(tmp_path, TRAILS + OF_OUR_OWN),
        lambda left: outcomes(left)[Outcome.UNKNOWN] >= 2 and outcomes(left)[Outcome.UNAVAILABLE],
        accidents=accidents,
    )
    found = outcomes(left)
    assert found[Outcome.UNKNOWN] >= 2
    assert found[Outcome.ACCEPTED]
    assert found[Outcome.UNAVAILABLE]
    by_wish = Counter(fact.amendment_id for fact in left.of(Amending))
    assert set(by_wish.values()) == {1}
