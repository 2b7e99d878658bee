"""kill -9 at any moment, and start again: nothing is lost, nothing is done twice."""

import random
import signal

import pytest

from execution.order import Cancelling, Submitting
from risk.intent import Purpose
from sextant.facts import RunStarted, RunStopped
from tests.builders_daemon import CARE, EAGER, Rehearsal, a_config, flaws, servers, what_is_left
from tests.builders_postgres import server_folder  # noqa: F401 - a fixture

pytestmark = pytest.mark.xdist_group("daemon")

KILLS = 10
LATEST = 6000  # callbacks of the event loop; start-up takes some 400, a bar some 20

# A market so thin that an order takes several bars.
THIN = "[paper_venue]\nparticipation = 0.0004\n"

# Between two steps that a crash must not tear apart: what has been done, and what has not.
WINDOWS = [
    pytest.param("sextant.house:migrate", 1, "after", id="schema made, nothing else"),
    pytest.param("data.postgres.bars:PostgresBarStore.put", 2, "after", id="half the history"),
    pytest.param("data.postgres.bars:PostgresBarStore.put", 33, "after", id="bar kept, not seen"),
    pytest.param("execution.engine:Engine.accept", 3, "after", id="order accepted, not durable"),
    pytest.param("execution.venues.paper:PaperVenue.submit", 3, "before", id="durable, not sent"),
    pytest.param("execution.venues.paper:PaperVenue.submit", 3, "after", id="sent, unanswered"),
    pytest.param("execution.venues.paper:PaperVenue._record", 6, "after", id="filled, not told"),
    pytest.param("sextant.session:Session.decide", 9, "before", id="seen, not decided on"),
    pytest.param("sextant.journal.postgres:PostgresJournal._commit", 20, "after", id="committed"),
    pytest.param("sextant.house:reconcile", 1, "before", id="recovered, not reconciled"),
    pytest.param("sextant.house:reconcile", 1, "after", id="reconciled, not begun"),
    pytest.param("execution.engine:Engine.drain", 1, "before", id="asked to stop, not drained"),
]


async def left_after_an_orderly_stop(rehearsal, folder):
    """A run that settles what the kills left open, one that is stopped by Ctrl-C; what is left."""
    assert rehearsal.run(bars=60).code == 0
    stopped = rehearsal.signalled("sextant.session:Session.take", 90, "before", signal.SIGINT)
    assert stopped.code == 0, stopped.said
    assert not servers(folder)
    return await what_is_left(rehearsal.config)


@pytest.mark.req("S1-76", "S1-153")
@pytest.mark.parametrize(
    "seed", [11, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(12, 24))]
)
async def test_ten_kills_at_random_lose_and_repeat_nothing(server_folder, seed):  # noqa: F811
    config = a_config(server_folder, CARE + (EAGER if seed % 2 else THIN + EAGER))
    rehearsal, rng = Rehearsal(config), random.Random(seed)
    for _ in range(KILLS):
        died = rehearsal.killed_after(rng.randrange(50, LATEST))
        assert died.code == -signal.SIGKILL, died.said
    left = await left_after_an_orderly_stop(rehearsal, server_folder)
    assert flaws(left) == []
    assert len(left.of(RunStarted)) > KILLS / 2
    assert len(left.of(Submitting)) > 10
    audited = rehearsal.audited()
    assert audited.code == 0, audited.said


async def test_a_bar_that_the_venue_has_dealt_with_is_not_used_again(server_folder):  # noqa: F811
    """Killed after the venue filled a part of an order, and before we saw the bar."""
    rehearsal = Rehearsal(a_config(server_folder, THIN + EAGER))
    for nth in (4, 5, 6, 7):
        died = rehearsal.signalled("execution.venues.paper:PaperVenue._record", nth, "after")
        assert died.code == -signal.SIGKILL, died.said
    left = await left_after_an_orderly_stop(rehearsal, server_folder)
    assert flaws(left) == []


async def test_a_cancellation_on_record_is_sent_after_a_kill(server_folder):  # noqa: F811
    rehearsal = Rehearsal(a_config(server_folder, THIN + EAGER))
    died = rehearsal.signalled("execution.venues.paper:PaperVenue.cancel", 1, "before")
    assert died.code == -signal.SIGKILL, died.said
    left = await left_after_an_orderly_stop(rehearsal, server_folder)
    assert flaws(left) == []
    cancelled = {fact.client_order_id for fact in left.of(Cancelling)}
    assert cancelled
    assert all(left.books.orders[i].is_final for i in cancelled)
    audited = rehearsal.audited()
    assert audited.code == 0, audited.said


@pytest.mark.req("S0-26")
async def test_a_kill_while_a_stop_moves_leaves_one_stop(server_folder):  # noqa: F811
    slow = a_config(server_folder, CARE + EAGER, speed=600)  # or positions are too old at once
    rehearsal = Rehearsal(slow)
    for place in ("Engine.accept", "PaperVenue.submit", "PaperVenue._record"):
        module = "execution.engine" if "Engine" in place else "execution.venues.paper"
        died = rehearsal.signalled(f"{module}:{place}", 25, "after")
        assert died.code == -signal.SIGKILL, died.said
    left = await left_after_an_orderly_stop(rehearsal, server_folder)
    assert flaws(left) == []
    asked = [fact.order for fact in left.of(Submitting)]
    assert [order for order in asked if order.replaces is not None]
    assert {Purpose.TAKE_PROFIT, Purpose.MAX_AGE} & {order.purpose for order in asked}
    audited = rehearsal.audited()
    assert audited.code == 0, audited.said


async def test_a_kill_between_any_two_steps_loses_and_repeats_nothing(server_folder):  # noqa: F811
    rehearsal = Rehearsal(a_config(server_folder))
    for place, nth, when in (window.values for window in WINDOWS):
        limit = 30 if "drain" in place else None
        died = rehearsal.signalled(place, nth, when, bars=limit)
        assert died.code == -signal.SIGKILL, (place, died.said)
    left = await left_after_an_orderly_stop(rehearsal, server_folder)
    assert flaws(left) == []
    assert len(left.of(RunStopped)) == 2
