"""kill -9 of a daemon takes the rehearsal exchange along; both come back, and agree."""

import random
import signal

import pytest

from execution.order import Submitting
from sextant.facts import RunStarted
from tests.builders_daemon import Rehearsal, what_is_left
from tests.builders_postgres import server_folder  # noqa: F401 - a fixture
from tests.builders_rehearsal_left import a_rehearsal, account_of, rehearsal_flaws

pytestmark = pytest.mark.xdist_group("daemon")

LATEST = 12_000  # callbacks of the event loop; a start takes some thousands

KEEP = "sextant.rehearsal.record:AccountRecord.keep"
PLACE = "execution.venues.kraken_exchange:KrakenExchange.place"
WINDOWS = [
    pytest.param(KEEP, 1, "before", id="asked for the first time, nothing kept"),
    pytest.param("sextant.rehearsal.trading:Trading.add", 3, "after", id="done, not kept"),
    pytest.param("sextant.rehearsal.record:AccountRecord._settle", 6, "after", id="not flushed"),
    pytest.param(KEEP, 60, "after", id="kept, not answered"),
    pytest.param(PLACE, 3, "after", id="answered, not on record here"),
    pytest.param("sextant.house:reconcile", 1, "before", id="back, not reconciled"),
]


async def left_after_an_orderly_stop(rehearsal):
    stopped = rehearsal.signalled("sextant.session:Session.take", 40, "before", signal.SIGTERM)
    assert stopped.code == 0, stopped.said
    audited = rehearsal.audited()
    assert audited.code == 0, audited.said
    return await what_is_left(rehearsal.config)


@pytest.mark.req("S1-76", "S1-153")
async def test_an_exchange_killed_between_two_steps_is_whole(server_folder):  # noqa: F811
    rehearsal = Rehearsal(a_rehearsal(server_folder))
    for place, nth, when in (window.values for window in WINDOWS):
        died = rehearsal.signalled(place, nth, when)
        assert died.code == -signal.SIGKILL, (place, died.said)
    left = await left_after_an_orderly_stop(rehearsal)
    assert rehearsal_flaws(left) == []
    assert len(left.of(Submitting)) > 5
    assert account_of(left).trades


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in (2, 3))])
async def test_kills_at_random_lose_and_repeat_nothing(server_folder, seed):  # noqa: F811
    rehearsal, rng = Rehearsal(a_rehearsal(server_folder)), random.Random(seed)
    for _ in range(3):
        died = rehearsal.killed_after(rng.randrange(LATEST // 4, LATEST))
        assert died.code == -signal.SIGKILL, died.said
    left = await left_after_an_orderly_stop(rehearsal)
    assert rehearsal_flaws(left) == []
    assert len(left.of(RunStarted)) > 1
