"""Six ballots, one direction, counted in integers."""

import pytest

from agents.council.consensus import BadRoster, count
from risk.intent import Direction
from tests.builders_agents import a_vote, an_abstention

LONG, SHORT, HOLD, CLOSE = Direction.LONG, Direction.SHORT, Direction.HOLD, Direction.CLOSE


def ballots(*said):
    """One seat for each; None abstains."""
    return [
        an_abstention(seat) if direction is None else a_vote(seat, direction)
        for seat, direction in enumerate(said)
    ]


@pytest.mark.req("S0-16")
@pytest.mark.parametrize(
    ("said", "direction", "agreeing", "bonus"),
    [
        pytest.param([LONG] * 6, LONG, 6, 0.15, id="unanimous"),
        pytest.param([LONG] * 5 + [HOLD], LONG, 5, 0.10, id="five of six"),
        pytest.param([LONG] * 4 + [SHORT] * 2, LONG, 4, 0.05, id="four of six, though under 0.67"),
        pytest.param([SHORT] * 4 + [None] * 2, SHORT, 4, 0.05, id="four, the others absent"),
        pytest.param([CLOSE] * 4 + [SHORT] * 2, CLOSE, 4, 0.05, id="close is its own direction"),
        pytest.param([HOLD] * 4 + [LONG] * 2, HOLD, 4, 0.05, id="four agree to hold"),
    ],
)
def test_four_seats_of_six_decide(said, direction, agreeing, bonus):
    consensus = count(ballots(*said))
    assert consensus.direction is direction
    assert (consensus.agreeing, consensus.seats) == (agreeing, 6)
    assert consensus.mean_confidence == pytest.approx(0.6)
    assert consensus.bonus == bonus
    assert consensus.confidence == pytest.approx(0.6 + bonus)


@pytest.mark.parametrize(
    ("said", "valid", "reason"),
    [
        pytest.param([LONG] * 3 + [None] * 3, 3, "3 valid ballots, 4 needed", id="no quorum"),
        pytest.param([None] * 6, 0, "0 valid ballots, 4 needed", id="nobody answers"),
        pytest.param([LONG] * 3 + [SHORT] * 3, 6, "3 seats agree, 4 needed", id="tie of two"),
        pytest.param(
            [LONG] * 2 + [SHORT] * 2 + [HOLD] * 2, 6, "2 seats agree, 4 needed", id="tie of three"
        ),
        pytest.param(
            [LONG] * 3 + [None] * 2 + [HOLD], 4, "3 seats agree, 4 needed", id="three of four valid"
        ),
        pytest.param(
            [CLOSE] * 3 + [SHORT] * 3, 6, "3 seats agree, 4 needed", id="close is no short"
        ),
        pytest.param([], 0, "0 valid ballots, 4 needed", id="nobody sits"),
    ],
)
def test_less_than_that_holds_with_confidence_zero(said, valid, reason):
    consensus = count(ballots(*said))
    assert consensus.direction is HOLD
    assert (consensus.confidence, consensus.mean_confidence, consensus.bonus) == (0.0, 0.0, 0.0)
    assert (consensus.valid, consensus.seats) == (valid, len(said))
    assert consensus.reason == reason


@pytest.mark.parametrize(
    ("dead", "direction"),
    [
        pytest.param(1, LONG, id="one model dead"),
        pytest.param(2, LONG, id="two dead"),
        pytest.param(3, HOLD, id="three dead"),
    ],
)
def test_dead_models_count_as_no_vote(dead, direction):
    said = [LONG] * (6 - dead) + [None] * dead
    assert count(ballots(*said)).direction is direction


def test_the_bonus_is_capped_and_both_numbers_stay_visible():
    consensus = count([a_vote(seat, LONG, 0.95) for seat in range(6)])
    assert consensus.mean_confidence == pytest.approx(0.95)
    assert consensus.bonus == 0.15
    assert consensus.confidence == 1.0


def test_only_the_agreeing_count_for_confidence():
    others = [a_vote(4, SHORT, 0.9), a_vote(5, HOLD, 0.1)]
    consensus = count([a_vote(seat, LONG, 0.7) for seat in range(4)] + others)
    assert consensus.mean_confidence == pytest.approx(0.7)


def test_another_roster_says_its_own_quorum_and_majority():
    consensus = count(ballots(LONG, LONG, SHORT), quorum=2, majority=2)
    assert (consensus.direction, consensus.agreeing, consensus.bonus) == (LONG, 2, 0.0)


@pytest.mark.parametrize(
    ("said", "majority"),
    [
        pytest.param([LONG] * 6, 3, id="half is no majority"),
        pytest.param([LONG] * 8, 4, id="the usual four of eight seats"),
    ],
)
def test_two_directions_can_never_both_have_a_majority(said, majority):
    with pytest.raises(BadRoster, match="no majority"):
        count(ballots(*said), majority=majority)


def test_a_seat_votes_once():
    with pytest.raises(BadRoster, match="twice"):
        count([a_vote(0), a_vote(0), a_vote(1), a_vote(2), a_vote(3), a_vote(4)])
