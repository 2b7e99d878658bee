"""The full roster about one snapshot: every seat comes to a vote, or says why it has none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from agents.briefing import Briefing, brief
from agents.council.ballot_form import read_ballot
from agents.interview import Heard, Interview, ModelSeat
from agents.report import Report
from agents.vote import Abstention, AbstentionReason, Ballot, RecordedAnswer, Vote, VoterId
from data.faults import Corrupt
from data.instrument import Symbol
from data.snapshot import Snapshot
from risk.intent import Direction

Rule: TypeAlias = Callable[[Snapshot], tuple[Direction, float, str]]
"""Direction, confidence in [0, 1] and rationale, out of a snapshot alone."""


class BadPanel(ValueError):
    """Seats that cannot sit together, or that nobody can ask."""


class NotOnRecord(Corrupt):
    """A replay came to a decision for which a seat has neither answer nor abstention on record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSeat:
    """Filled by a named rule; `stand_in` where a model should sit there."""

    voter: VoterId
    rule: Rule
    name: str
    stand_in: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSeat:
    """Filled by what it said before: an answer is read again, an abstention stands as it was.

    `said` has the occasions of one desk, by symbol and by the close of the bar decided on.
    """

    voter: VoterId
    model: str
    said: Mapping[tuple[Symbol, datetime], RecordedAnswer | Abstention]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptySeat:
    """Filled by nobody: it counts in the roster, and abstains."""

    voter: VoterId
    model: str  # what should sit there
    detail: str


Seat = ModelSeat | RuleSeat | RecordedSeat | EmptySeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballots:
    """One ballot a seat, in the order of the roster, and what models said on the way."""

    ballots: tuple[Ballot, ...]
    answers: tuple[RecordedAnswer, ...]


class Panel:
    """The seats, in the order of the roster.

    With rules alone nothing is written down, awaited or started: that is the road of a backtest.

    Raises:
        BadPanel: two seats share a name, or there is a model seat and no interview.
        BadPrompt: a seat's prompt is missing, or wants what no seat is given.
    """

    def __init__(self, seats: Sequence[Seat], interview: Interview | None = None) -> None:
        if len({seat.voter for seat in seats}) < len(seats):
            raise BadPanel("two seats of a panel share a name")
        self._seats = tuple(seats)
        self._models = tuple(seat for seat in seats if isinstance(seat, ModelSeat))
        self._interview = interview
        self._local = {
            seat.voter: _speaker(seat) for seat in seats if isinstance(seat, RuleSeat | EmptySeat)
        }
        self._speakers = tuple(self._local.values())
        if self._models:
            if interview is None:
                raise BadPanel(
                    f"{self._models[0].voter} is a model, and nothing says how to ask it"
                )
            interview.require(self._models)

    async def ask(self, snapshot: Snapshot, reports: tuple[Report, ...]) -> Ballots:
        """One ballot of every seat; what a rule raises surfaces.

        Raises:
            NotOnRecord: a recorded seat has nothing to say about this bar.
            ExceptionGroup: a model raised what its port does not name.
        """
        if len(self._speakers) == len(self._seats):
            return Ballots(ballots=tuple([speak(snapshot) for speak in self._speakers]), answers=())
        briefing = brief(snapshot, reports)
        models = await self._ask_models(snapshot, briefing)
        heard = [self._heard(seat, snapshot, briefing, models) for seat in self._seats]
        return Ballots(
            ballots=tuple(ballot for ballot, _ in heard),
            answers=tuple(answer for _, answer in heard if answer is not None),
        )

    async def _ask_models(self, snapshot: Snapshot, briefing: Briefing) -> Mapping[VoterId, Heard]:
        if self._interview is None or not self._models:
            return {}
        return await self._interview.ask(self._models, snapshot, briefing)

    def _heard(
        self,
        seat: Seat,
        snapshot: Snapshot,
        briefing: Briefing,
        models: Mapping[VoterId, Heard],
    ) -> Heard:
        match seat:
            case ModelSeat():
                return models[seat.voter]
            case RecordedSeat():
                return _replayed(seat, snapshot, briefing)
            case RuleSeat() | EmptySeat():
                return self._local[seat.voter](snapshot), None


def _speaker(seat: RuleSeat | EmptySeat) -> Callable[[Snapshot], Ballot]:
    match seat:
        case RuleSeat():
            return _rule_speaker(seat)
        case EmptySeat():
            abstention = Abstention(
                voter=seat.voter,
                model=seat.model,
                stand_in=False,
                reason=AbstentionReason.EMPTY_SEAT,
                detail=seat.detail,
            )
            return lambda _: abstention


def _rule_speaker(seat: RuleSeat) -> Callable[[Snapshot], Vote]:
    voter, rule, stand_in, model = seat.voter, seat.rule, seat.stand_in, f"baseline:{seat.name}"

    def speak(snapshot: Snapshot) -> Vote:
        direction, confidence, rationale = rule(snapshot)
        return Vote(
            voter=voter,
            model=model,
            stand_in=stand_in,
            direction=direction,
            confidence=confidence,
            rationale=rationale,
        )

    return speak


def _replayed(seat: RecordedSeat, snapshot: Snapshot, briefing: Briefing) -> Heard:
    symbol, at = snapshot.instrument.symbol, snapshot.bar.closed_at
    match seat.said.get((symbol, at)):
        case None:
            raise NotOnRecord(f"{seat.voter} about {symbol} at {at.isoformat()}")
        case Abstention() as abstention:
            return abstention, None
        case RecordedAnswer() as recorded:
            ballot = read_ballot(
                recorded.answer.text,
                voter=seat.voter,
                model=seat.model,
                symbol=symbol,
                numbers=briefing.numbers,
            )
            return ballot, recorded
