"""What a seat of the panel says: a vote, or that it has none."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from agents.llm.model import Answer
from risk.intent import Direction

VoterId = NewType("VoterId", str)  # the seat, such as "claude-opus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One seat's answer.

    `model` names what answered: a model's id, or "baseline:NAME" where `stand_in` is true.
    """

    voter: VoterId
    model: str
    stand_in: bool
    direction: Direction
    confidence: float  # probability in [0, 1] that `direction` proves right by the horizon
    rationale: str

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:  # also false for NaN
            raise ValueError(f"{self.voter}: confidence {self.confidence} is outside [0, 1]")


class AbstentionReason(StrEnum):
    """Why a seat has no vote."""

    LATE = "late"  # no answer within the deadline
    UNREACHABLE = "unreachable"  # no connection, or the vendor's fault
    REFUSED = "refused"  # the vendor or the model said no
    MALFORMED = "malformed"  # the answer fails its schema
    OFF_TOPIC = "off_topic"  # it names another symbol, or a number that is not in its snapshot
    OVER_BUDGET = "over_budget"  # asking would pass the budget, or its price is unknown
    EMPTY_SEAT = "empty_seat"  # no key, and no stand-in is allowed in this mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """A seat without a vote, and why; counted and shown, never taken for a HOLD."""

    voter: VoterId
    model: str
    stand_in: bool
    reason: AbstentionReason
    detail: str


Ballot = Vote | Abstention


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """What a seat's model answered, word for word, and to which question."""

    voter: VoterId
    subject: str  # of the question, as is `as_of`
    as_of: datetime
    prompt: str  # name of the prompt
    prompt_version: str  # content hash of the prompts that the question was made of
    cost_usd: Decimal
    answer: Answer
