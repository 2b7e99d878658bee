"""What goes wrong at the rehearsal exchange, as it is asked for and as it is drawn."""

from datetime import timedelta

import pytest

from data.faults import Malformed
from sextant.rehearsal.faults import NO_FAULTS, Accident, Faults, Mischief, faults_of


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        pytest.param([], Faults(seed=3), id="none"),
        pytest.param(
            ["refused=0.1", "answer_delay=2.5"],
            Faults(seed=3, refused=0.1, answer_delay=timedelta(seconds=2.5)),
            id="a share and a delay",
        ),
        pytest.param(["dropped=1"], Faults(seed=3, dropped=1.0), id="always"),
    ],
)
def test_faults_are_asked_for_by_name(words, faults):
    assert faults_of(words, seed=3) == faults


@pytest.mark.parametrize(
    ("word", "said"),
    [
        pytest.param("fire=1", "there are refused", id="no such fault"),
        pytest.param("seed=1", "there are refused", id="no fault"),
        pytest.param("lost=often", "'often' is no number", id="no number"),
        pytest.param("lost", "'' is no number", id="nothing"),
        pytest.param("lost=1.5", "from 0 to 1", id="more than all"),
        pytest.param("lost=nan", "from 0 to 1", id="not a number"),
        pytest.param("event_delay=61", "60 seconds", id="too long"),
    ],
)
def test_what_cannot_be_asked_for_is_said(word, said):
    with pytest.raises(Malformed, match=said):
        faults_of([word], seed=3)


def strikes(faults, count=200):
    mischief = Mischief(faults)
    return [mischief.strike("AddOrder") for _ in range(count)]


def test_the_same_seed_draws_the_same_accidents():
    faults = Faults(seed=5, refused=0.2, lost=0.2, unanswered=0.2)
    assert strikes(faults) == strikes(faults)
    assert strikes(faults) != strikes(Faults(seed=6, refused=0.2, lost=0.2, unanswered=0.2))
    assert len(set(strikes(faults))) == 7  # all but HANG, which is only ordered, and LATE


def test_what_is_late_is_so_by_a_share_of_the_longest_delay():
    mischief = Mischief(Faults(late=1.0, lateness_delay=timedelta(seconds=9)))
    assert mischief.strike("AddOrder") is Accident.LATE
    assert timedelta(0) <= mischief.delay(mischief.faults.lateness_delay) <= timedelta(seconds=9)


def test_only_the_methods_that_are_named_are_struck():
    mischief = Mischief(Faults(lost=1.0))
    assert mischief.strike("Balance") is Accident.NONE
    assert mischief.strike("AddOrder") is Accident.DROP_REQUEST
    mischief.change(NO_FAULTS)
    assert mischief.strike("AddOrder") is Accident.NONE
