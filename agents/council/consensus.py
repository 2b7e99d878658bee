"""One direction out of many ballots, counted in integers against the full roster."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from agents.vote import Ballot, Vote
from risk.intent import Direction

SEATS = 6  # the roster for which the bonus is defined
_BONUS = {4: 0.05, 5: 0.10, 6: 0.15}  # PARAMETERS.md 1.5, by agreeing seats of six
_DIRECTIONS = tuple(Direction)


class BadRoster(ValueError):
    """Ballots, quorum and majority that do not fit one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """What the panel as a whole says.

    `agreeing` of `seats` voted for `direction`; `valid` of them gave a vote at all, where `quorum`
    were needed.
    `mean_confidence` is the mean over the agreeing, `confidence` adds the bonus and is capped at 1.
    Without a quorum or a majority it is HOLD with confidence 0, and `agreeing` counts the seats
    of the largest camp, which was not enough.
    """

    direction: Direction
    confidence: float
    mean_confidence: float
    bonus: float
    agreeing: int
    valid: int
    seats: int
    quorum: int
    reason: str

    @property
    def is_quorate(self) -> bool:
        """Whether enough seats gave a vote for their silence to mean something."""
        return self.valid >= self.quorum


def count(ballots: Sequence[Ballot], *, quorum: int = 4, majority: int = 4) -> Consensus:
    """Count one ballot from every seat; the order of the ballots changes nothing.

    A direction needs `quorum` valid ballots and `majority` seats of its own, both out of the full
    roster: an abstention is no vote and shrinks no denominator. CLOSE is a direction like the
    others. The bonus for agreement is defined for six seats; another roster has none.

    Raises:
        BadRoster: a seat voted twice, or `majority` is not more than half of the seats, so that
            two directions could have one.
    """
    _require_roster(ballots, majority)
    votes = [ballot for ballot in ballots if isinstance(ballot, Vote)]
    if len(votes) < quorum:
        return _hold(votes, len(ballots), quorum, f"{len(votes)} valid ballots, {quorum} needed")
    direction, agreeing = _largest_camp(votes)
    if agreeing < majority:
        return _hold(votes, len(ballots), quorum, f"{agreeing} seats agree, {majority} needed")
    mean = fsum(v.confidence for v in votes if v.direction is direction) / agreeing
    bonus = _BONUS.get(agreeing, 0.0) if len(ballots) == SEATS else 0.0
    return Consensus(
        direction=direction,
        confidence=min(mean + bonus, 1.0),
        mean_confidence=mean,
        bonus=bonus,
        agreeing=agreeing,
        valid=len(votes),
        seats=len(ballots),
        quorum=quorum,
        reason=f"{agreeing} of {len(ballots)} seats for {direction}",
    )


def _hold(votes: Sequence[Vote], seats: int, quorum: int, reason: str) -> Consensus:
    return Consensus(
        direction=Direction.HOLD,
        confidence=0.0,
        mean_confidence=0.0,
        bonus=0.0,
        agreeing=_largest_camp(votes)[1],
        valid=len(votes),
        seats=seats,
        quorum=quorum,
        reason=reason,
    )


def _largest_camp(votes: Sequence[Vote]) -> tuple[Direction, int]:
    """The direction with the most seats, and how many they are."""
    directions = [vote.direction for vote in votes]
    largest = max(_DIRECTIONS, key=directions.count)
    return largest, directions.count(largest)


def _require_roster(ballots: Sequence[Ballot], majority: int) -> None:
    if 2 * majority <= len(ballots):
        raise BadRoster(f"{majority} of {len(ballots)} seats are no majority")
    if len({ballot.voter for ballot in ballots}) != len(ballots):
        raise BadRoster("a seat voted twice")
