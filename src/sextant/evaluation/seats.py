"""What each seat's votes were worth: accuracy and calibration against what came."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.vote import Abstention, Ballot, Vote, VoterId
from data.bar import Bar
from data.instrument import Symbol
from risk.intent import Direction


@dataclass(slots=True)
class SeatScore:
    """The running record of one seat; `scored` votes have reached their horizon."""

    voter: VoterId
    model: str
    stand_in: bool
    votes: Counter[Direction] = field(default_factory=Counter)
    abstentions: Counter[str] = field(default_factory=Counter)
    scored: int = 0
    right: int = 0
    squared_error: float = 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of the scored votes that proved right."""
        return self.right / self.scored if self.scored else None

    @property
    def brier(self) -> float | None:
        """Mean squared distance of confidence from outcome: 0 is best, 0.25 is a coin's.

        Source: G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability",
        Monthly Weather Review 78(1), 1950.
        """
        return self.squared_error / self.scored if self.scored else None

    def add(self, vote: Vote, *, right: bool) -> None:
        self.scored += 1
        self.right += right
        self.squared_error += (vote.confidence - right) ** 2


class SeatScores:
    """Counts every ballot, and scores each vote once its horizon has come.

    LONG is right if the close is higher after `horizon` bars, SHORT if it is lower, HOLD if it
    has moved by less than `hold_band` (a fraction). CLOSE says where not to be, not where the
    price goes: it is counted, and not scored.
    """

    def __init__(self, *, horizon: int, hold_band: float) -> None:
        self._horizon = horizon
        self._hold_band = hold_band
        self._bars: Counter[Symbol] = Counter()
        self._waiting: dict[Symbol, deque[tuple[int, float, tuple[Vote, ...]]]] = {}
        self.by_voter: dict[VoterId, SeatScore] = {}

    def see(self, bar: Bar) -> None:
        """Let one bar pass, and score the votes that were waiting for it."""
        self._bars[bar.symbol] += 1
        waiting = self._waiting.get(bar.symbol)
        while waiting and waiting[0][0] <= self._bars[bar.symbol]:
            _, price, votes = waiting.popleft()
            self._score(votes, float(bar.close) / price - 1.0)

    def count(self, symbol: Symbol, price: float, ballots: Sequence[Ballot]) -> None:
        """Take the ballots of one decision, made at `price` on the newest bar seen."""
        for ballot in ballots:
            score = self._of(ballot)
            if isinstance(ballot, Abstention):
                score.abstentions[ballot.reason] += 1
            else:
                score.votes[ballot.direction] += 1
        votes = tuple(
            b for b in ballots if isinstance(b, Vote) and b.direction is not Direction.CLOSE
        )
        if votes:
            due = self._bars[symbol] + self._horizon
            self._waiting.setdefault(symbol, deque()).append((due, price, votes))

    def _of(self, ballot: Ballot) -> SeatScore:
        score = self.by_voter.get(ballot.voter)
        if score is None:
            score = SeatScore(ballot.voter, ballot.model, ballot.stand_in)
            self.by_voter[ballot.voter] = score
        return score

    def _score(self, votes: tuple[Vote, ...], move: float) -> None:
        for vote in votes:
            self._of(vote).add(vote, right=self._proved_right(vote.direction, move))

    def _proved_right(self, direction: Direction, move: float) -> bool:
        if direction is Direction.HOLD:
            return abs(move) < self._hold_band
        return move * direction.sign > 0
