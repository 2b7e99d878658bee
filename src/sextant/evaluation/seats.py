"""What each seat's votes were worth: accuracy and calibration against what came."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.vote import Abstention, Ballot, Vote, VoterId
from data.bar import Bar
from data.instrument import Symbol
from risk.intent import Direction
from sextant.evaluation.deciles import Deciles


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

        Of LONG and SHORT it is the same as that of "the price rises" (S1-195).

        Source: G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability",
        Monthly Weather Review 78(1), 1950.
        """
        return self.squared_error / self.scored if self.scored else None

    def add(self, confidence: float, *, right: bool) -> None:
        """Take the outcome of one vote."""
        self.scored += 1
        self.right += right
        self.squared_error += (confidence - right) ** 2


@dataclass(slots=True)
class _Pending:
    """The votes on one symbol that wait for their horizon, and the bars since the first vote."""

    bars: int = 0
    votes: deque[tuple[int, float, tuple[Vote, ...]]] = field(default_factory=deque)


class SeatScores:
    """Counts every ballot, and scores each vote once its horizon has come.

    LONG is right if the close is higher after `horizon` bars, SHORT if it is lower, HOLD if it
    has moved by less than `hold_band` (a fraction). CLOSE says where not to be, not where the
    price goes: it is counted, and not scored.
    """

    def __init__(self, *, horizon: int, hold_band: float) -> None:
        self._horizon = horizon
        self._hold_band = hold_band
        self._pending: dict[Symbol, _Pending] = {}
        self.by_voter: dict[VoterId, SeatScore] = {}
        self.deciles = Deciles()

    def see(self, bar: Bar) -> None:
        """Let one bar pass, and score the votes that were waiting for it."""
        pending = self._pending.get(bar.symbol)
        if pending is None:
            return
        pending.bars += 1
        votes = pending.votes
        while votes and votes[0][0] <= pending.bars:
            _, price, waiting = votes.popleft()
            self._score(waiting, float(bar.close) / price - 1.0)

    def count(self, symbol: Symbol, price: float, ballots: Sequence[Ballot]) -> None:
        """Take the ballots of one decision, made at `price` on the newest bar seen."""
        waiting = []
        for ballot in ballots:
            score = self._of(ballot)
            if isinstance(ballot, Abstention):
                score.abstentions[ballot.reason] += 1
                continue
            score.votes[ballot.direction] += 1
            if ballot.direction is not Direction.CLOSE:
                waiting.append(ballot)
        pending = self._pending.get(symbol)
        if pending is None:
            pending = self._pending.setdefault(symbol, _Pending())
        if waiting:
            pending.votes.append((pending.bars + self._horizon, price, tuple(waiting)))

    def _of(self, ballot: Ballot) -> SeatScore:
        score = self.by_voter.get(ballot.voter)
        if score is None:
            score = SeatScore(ballot.voter, ballot.model, ballot.stand_in)
            self.by_voter[ballot.voter] = score
        return score

    def _score(self, votes: tuple[Vote, ...], move: float) -> None:
        earned = {Direction.LONG: move, Direction.SHORT: -move}
        held = abs(move) < self._hold_band
        for vote in votes:
            gain = earned.get(vote.direction)
            if gain is not None:
                self.deciles.add(vote.confidence, gain)
            right = held if gain is None else gain > 0.0
            self.by_voter[vote.voter].add(vote.confidence, right=right)
