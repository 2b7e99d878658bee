"""kill -9 in the middle of a flatten, again and again: it goes on, and ends flat."""

import signal
from signal import SIGKILL, SIGUSR1

import pytest

from execution.order import Submitting
from risk.breaker import RiskState
from tests.builders_daemon import EAGER, Rehearsal, a_config, flaws, what_is_left
from tests.builders_postgres import postgres, postgres_server  # noqa: F401 - fixtures

pytestmark = pytest.mark.xdist_group("daemon")

# A market so thin that an order takes many bars: when the kill switch is thrown an entry is partly
# filled, however slow we are, so that there is something to cancel, and something to close.
THIN = "[paper_venue]\nparticipation = 0.0003\n"
THROWN = ("execution.ledger:Ledger.book", 2, "after", SIGUSR1)
OBEYED = ("sextant.operator:obey", 1, "after", 0)  # no signal: what follows counts from here

VENUE = "execution.venues.paper:PaperVenue"
CONCLUDED = ("execution.engine:Engine.conclude", 1, "before")
COMMITTED = ("sextant.journal.postgres:PostgresJournal._commit", 1, "after")
FILLED = (f"{VENUE}._record", 1, "after")
BEFORE_EXIT, AFTER_EXIT = (f"{VENUE}.submit", 1, "before"), (f"{VENUE}.submit", 1, "after")
BEFORE_CANCEL, AFTER_CANCEL = (f"{VENUE}.cancel", 1, "before"), (f"{VENUE}.cancel", 1, "after")

# Between which steps it is killed: first in the daemon that was told to flatten, then in those that
# go on with it, if they come so far.
KILLS = [
    pytest.param([BEFORE_CANCEL, CONCLUDED, FILLED], id="not cancelled"),
    pytest.param([AFTER_EXIT, COMMITTED, AFTER_EXIT], id="an exit without an answer"),
    pytest.param([COMMITTED, BEFORE_EXIT, BEFORE_EXIT], id="on record", marks=pytest.mark.soak),
    pytest.param([AFTER_CANCEL, FILLED, FILLED], id="cancelled", marks=pytest.mark.soak),
    pytest.param([BEFORE_EXIT, CONCLUDED, COMMITTED], id="not sent", marks=pytest.mark.soak),
    pytest.param([FILLED, FILLED, CONCLUDED], id="part filled", marks=pytest.mark.soak),
]


@pytest.mark.req("S1-76", "S1-97")
@pytest.mark.parametrize("kills", KILLS)
async def test_it_goes_on_where_it_was_killed(tmp_path, monkeypatch, postgres, kills):  # noqa: F811
    monkeypatch.setenv("SEXTANT_DATABASE_URL", postgres)
    config = a_config(tmp_path, THIN + EAGER, speed=1500)
    rehearsal = Rehearsal(config, SEXTANT_DATABASE_URL=postgres)
    first, *others = kills
    died = rehearsal.signalled_in_turn(THROWN, OBEYED, (*first, SIGKILL), bars=900)
    assert died.code == -SIGKILL, died.said
    for place, nth, when in others:
        ended = rehearsal.signalled(place, nth, when, signal.SIGKILL, bars=30)
        assert ended.code in (-SIGKILL, 0), ended.said
    for bars in (300, 3):  # the last asks the venue at its start
        ended = rehearsal.run(bars=bars)
        assert ended.code == 0, ended.said
    left = await what_is_left(config)
    assert flaws(left) == []
    assert left.of(RiskState)[-1].latch.is_done
    thrown = next(i for i, f in enumerate(left.facts) if isinstance(f, RiskState) and f.latch)
    later = [fact.order for fact in left.facts[thrown:] if isinstance(fact, Submitting)]
    assert later
    assert all(order.reduce_only for order in later)
    assert not any(left.books.resting.values())
    audited = rehearsal.audited()
    assert audited.code == 0, audited.said
