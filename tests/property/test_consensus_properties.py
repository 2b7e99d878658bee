"""What no count of ballots may ever do."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.council.consensus import count
from agents.vote import Vote
from risk.intent import Direction
from tests.builders_agents import a_vote, an_abstention


def ballot(seat):
    votes = st.builds(
        a_vote, st.just(seat), st.sampled_from(Direction), st.floats(min_value=0, max_value=1)
    )
    return st.one_of(votes, st.just(an_abstention(seat)))


seats = st.integers(min_value=0, max_value=5)
rosters = st.tuples(*(ballot(seat) for seat in range(6)))


@given(ballots=rosters, order=st.permutations(range(6)))
def test_the_order_of_the_ballots_changes_nothing(ballots, order):
    assert count([ballots[seat] for seat in order]) == count(ballots)


@given(ballots=rosters)
def test_a_direction_has_four_seats_or_confidence_zero(ballots):
    consensus = count(ballots)
    camp = [b for b in ballots if isinstance(b, Vote) and b.direction is consensus.direction]
    if consensus.confidence > 0:
        assert consensus.agreeing == len(camp) >= 4
    if consensus.direction is not Direction.HOLD:
        assert consensus.agreeing == len(camp) >= 4
    assert 0.0 <= consensus.mean_confidence <= 1.0
    assert consensus.confidence == min(consensus.mean_confidence + consensus.bonus, 1.0)


@given(ballots=rosters, seat=seats)
def test_an_abstention_never_makes_a_majority(ballots, seat):
    silenced = [*ballots[:seat], an_abstention(seat), *ballots[seat + 1 :]]
    before, after = count(ballots), count(silenced)
    assert after.direction in (before.direction, Direction.HOLD)
    assert after.agreeing <= before.agreeing


@settings(max_examples=200)
@given(ballots=rosters, seat=seats, data=st.data())
def test_one_seat_never_turns_one_direction_into_another(ballots, seat, data):
    changed = [*ballots[:seat], data.draw(ballot(seat)), *ballots[seat + 1 :]]
    before, after = count(ballots), count(changed)
    directions = {before.direction, after.direction} - {Direction.HOLD}
    assert len(directions) <= 1


@given(ballots=rosters)
def test_two_camps_of_the_same_size_hold(ballots):
    votes = [b.direction for b in ballots if isinstance(b, Vote)]
    sizes = sorted((votes.count(d) for d in Direction), reverse=True)
    if sizes[0] == sizes[1]:
        assert count(ballots).direction is Direction.HOLD


@given(
    confidences=st.lists(st.floats(min_value=0, max_value=1), min_size=6, max_size=6),
    seat=seats,
    raised=st.floats(min_value=0, max_value=1),
)
def test_a_surer_seat_never_lowers_the_confidence(confidences, seat, raised):
    votes = [a_vote(i, Direction.LONG, c) for i, c in enumerate(confidences)]
    surer = a_vote(seat, Direction.LONG, max(raised, confidences[seat]))
    changed = count([*votes[:seat], surer, *votes[seat + 1 :]])
    assert changed.confidence >= count(votes).confidence
