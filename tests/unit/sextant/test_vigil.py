"""Noticing that the process stood still."""

from datetime import timedelta

import pytest

from data.clock import ManualClock
from execution.difference import DifferenceKind, Reconciliation
from sextant.facts import codec
from sextant.journal.memory import MemoryJournal
from sextant.vigil import Vigil
from tests.builders_engine import a_paper_venue, an_engine
from tests.builders_venue import NOON

MINUTE = timedelta(minutes=1)


async def a_scene(most=MINUTE):
    clock = ManualClock(NOON)
    journal = MemoryJournal(codec=codec(), clock=clock)
    engine = an_engine(await a_paper_venue(clock), clock, journal)
    engine.conclude(Reconciliation(at=NOON, differences=(), fills_seen=0))
    return clock, journal, engine, Vigil(engine, clock, most=most)


@pytest.mark.parametrize(
    ("most", "away", "slept"),
    [
        pytest.param(MINUTE, MINUTE, False, id="for as long as it may"),
        pytest.param(MINUTE, MINUTE + timedelta(seconds=1), True, id="for longer"),
        pytest.param(None, timedelta(days=1), False, id="at a venue that stood still too"),
    ],
)
async def test_standing_still_puts_the_books_in_doubt(most, away, slept):
    clock, _, engine, vigil = await a_scene(most)
    vigil.look()
    clock.move_to(NOON + away)
    vigil.look()
    assert engine.reconciled is not slept
    assert vigil.slept_through(NOON + away) is slept
    assert not vigil.slept_through(NOON + away + timedelta(seconds=1))


async def test_what_it_took_to_start_is_no_sleep():
    clock, _, engine, vigil = await a_scene()
    clock.move_to(NOON + timedelta(hours=1))
    vigil.look()
    assert engine.reconciled


async def test_a_doubt_is_no_word_of_the_venue():
    """What was charged since it last had its say is still to be asked for, after a restart too."""
    clock, journal, engine, vigil = await a_scene()
    vigil.look()
    clock.move_to(NOON + timedelta(hours=5))
    vigil.look()
    await journal.flush()
    (_, doubt) = [f async for f in journal.facts() if isinstance(f, Reconciliation)]
    assert not (doubt.was_asked or doubt.reconciled)
    assert [d.kind for d in doubt.differences] == [DifferenceKind.ASLEEP]
    again = an_engine(engine.venue, clock, journal)
    await again.recover(journal.facts())
    assert engine._charges_due.since == again._charges_due.since == NOON - timedelta(hours=1)
