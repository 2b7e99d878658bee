"""Asking the model seats of a panel: the same facts, side by side, one deadline, one budget."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from agents.briefing import Briefing
from agents.council.ballot_form import VOTE_SCHEMA, read_ballot
from agents.llm.budget import Budget, OverBudget, Purse, Reservation, TokenPrice
from agents.llm.model import (
    Answer,
    AnswerLost,
    AnswerWithheld,
    LanguageModel,
    ModelRefused,
    ModelUnavailable,
    Question,
)
from agents.llm.outside_text import plain
from agents.prompts import PromptLibrary
from agents.vote import Abstention, AbstentionReason, Ballot, RecordedAnswer, VoterId
from data.snapshot import Snapshot

_SYSTEM = "voters/system"
_SYSTEM_VARIABLES = ("schema",)
SEAT_VARIABLES = ("facts", "symbol", "timeframe")
_DETAIL = 300  # characters

Heard: TypeAlias = tuple[Ballot, RecordedAnswer | None]
"""What a seat comes to, and what its model said, if it said anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSeat:
    """Filled by a language model; without a price it is never asked."""

    voter: VoterId
    model: LanguageModel
    prompt: str  # name in the library of prompts
    price: TokenPrice | None
    max_tokens: int  # of an answer, thinking included


class Interview:
    """How models are asked. `deadline` is for all seats together, in real time: it guards I/O."""

    def __init__(self, *, prompts: PromptLibrary, budget: Budget, deadline: timedelta) -> None:
        self._prompts = prompts
        self._budget = budget
        self._deadline = deadline
        prompts.require(_SYSTEM, _SYSTEM_VARIABLES)
        self._system = prompts.render(_SYSTEM, schema=json.dumps(VOTE_SCHEMA))

    def require(self, seats: Iterable[ModelSeat]) -> None:
        """Make sure, at start-up, that every one of `seats` can be asked.

        Raises:
            BadPrompt: a seat's prompt is missing, or wants what no seat is given.
        """
        for seat in seats:
            self._prompts.require(seat.prompt, SEAT_VARIABLES)

    async def ask(
        self, seats: Sequence[ModelSeat], snapshot: Snapshot, briefing: Briefing
    ) -> Mapping[VoterId, Heard]:
        """Ask all of `seats` at once; what a model raises beyond its port surfaces in a group."""
        purse = self._budget.purse()
        until = asyncio.get_running_loop().time() + self._deadline.total_seconds()
        async with asyncio.TaskGroup() as tasks:
            asked = {
                seat.voter: tasks.create_task(
                    self._hear(seat, snapshot, briefing, purse, until), name=f"ask-{seat.voter}"
                )
                for seat in seats
            }
        return {voter: task.result() for voter, task in asked.items()}

    async def _hear(
        self, seat: ModelSeat, snapshot: Snapshot, briefing: Briefing, purse: Purse, until: float
    ) -> Heard:
        question = self._question(seat, snapshot, briefing)
        if seat.price is None:
            detail = f"{seat.model.name} has no price"
            return _abstention(seat, AbstentionReason.OVER_BUDGET, detail), None
        reserved = purse.reserve(seat.price.worst_case(question))
        if isinstance(reserved, OverBudget):
            return _abstention(seat, AbstentionReason.OVER_BUDGET, reserved.detail), None
        with reserved:
            answer = await self._answer(seat, question, reserved, until)
            if isinstance(answer, Abstention):
                return answer, None
            cost = seat.price.of_answer(answer)
            reserved.settle(cost)
        return self._read(seat, snapshot, briefing, answer), self._record(
            seat, question, answer, cost
        )

    async def _answer(
        self, seat: ModelSeat, question: Question, reserved: Reservation, until: float
    ) -> Answer | Abstention:
        """Ask; a fault that surely costs nothing frees what was reserved."""
        guard = asyncio.timeout_at(until)
        try:
            async with guard:
                return await seat.model.ask(question)
        except TimeoutError:
            if not guard.expired():
                raise
            detail = f"no answer within {self._deadline.total_seconds():g} s"
            return _abstention(seat, AbstentionReason.LATE, detail)
        except (AnswerLost, AnswerWithheld) as fault:
            return _abstention(seat, _reason(fault), str(fault))
        except (ModelUnavailable, ModelRefused) as fault:
            reserved.settle(Decimal(0))
            return _abstention(seat, _reason(fault), str(fault))

    def _question(self, seat: ModelSeat, snapshot: Snapshot, briefing: Briefing) -> Question:
        """The facts come first and the role last, so that seats share what a vendor caches."""
        symbol, bar = snapshot.instrument.symbol, snapshot.bar
        user = self._prompts.render(
            seat.prompt, facts=briefing.text, symbol=symbol, timeframe=bar.timeframe.value
        )
        return Question(
            subject=symbol,
            as_of=bar.closed_at,
            system=self._system,
            user=user,
            schema=VOTE_SCHEMA,
            max_tokens=seat.max_tokens,
        )

    def _read(
        self, seat: ModelSeat, snapshot: Snapshot, briefing: Briefing, answer: Answer
    ) -> Ballot:
        return read_ballot(
            answer.text,
            voter=seat.voter,
            model=seat.model.name,
            symbol=snapshot.instrument.symbol,
            numbers=briefing.numbers,
        )

    def _record(
        self, seat: ModelSeat, question: Question, answer: Answer, cost: Decimal
    ) -> RecordedAnswer:
        return RecordedAnswer(
            voter=seat.voter,
            subject=question.subject,
            as_of=question.as_of,
            prompt=seat.prompt,
            prompt_version=self._prompts.version(_SYSTEM, seat.prompt),
            cost_usd=cost,
            answer=answer,
        )


def _reason(fault: ModelUnavailable | ModelRefused) -> AbstentionReason:
    match fault:
        case ModelUnavailable():
            return AbstentionReason.UNREACHABLE
        case ModelRefused():
            return AbstentionReason.REFUSED


def _abstention(seat: ModelSeat, reason: AbstentionReason, detail: str) -> Abstention:
    return Abstention(
        voter=seat.voter,
        model=seat.model.name,
        stand_in=False,
        reason=reason,
        detail=plain(detail, _DETAIL),
    )
