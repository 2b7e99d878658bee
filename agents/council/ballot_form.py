"""The form a voter fills in: one model makes the schema, is shown in the prompt, and is the reader.

An answer counts as it stands or not at all: nothing is looked for in its text, and a fence around
the JSON makes it unreadable.
"""

from collections.abc import Mapping
from math import isclose
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agents.llm.answer_schema import answer_schema
from agents.llm.outside_text import plain
from agents.vote import Abstention, AbstentionReason, Ballot, Vote, VoterId
from data.instrument import Symbol
from risk.intent import Direction

_RATIONALE = 300  # characters
_DETAIL = 200  # characters
_LONGEST = 20_000  # characters of an answer that is read at all
_TOLERANCE = 1e-6  # relative, between a cited number and the one shown


class CitedNumber(BaseModel):
    """A number of the facts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(description="path in the facts, such as account.equity")]
    value: Annotated[float, Field(allow_inf_nan=False, description="exactly as shown")]


class VoteForm(BaseModel):
    """One vote."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    symbol: Annotated[str, Field(description="the symbol that was asked about")]
    cited: Annotated[
        tuple[CitedNumber, ...], Field(max_length=8, description="the numbers that decided it")
    ]
    rationale: Annotated[
        str,
        AfterValidator(lambda text: plain(text, _RATIONALE)),
        Field(description=f"why, in at most {_RATIONALE} characters"),
    ]
    direction: Direction
    confidence: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="probability that the direction proves right",
        ),
    ]


VOTE_SCHEMA = answer_schema(VoteForm)


def read_ballot(
    text: str, *, voter: VoterId, model: str, symbol: Symbol, numbers: Mapping[str, float]
) -> Ballot:
    """The vote that `text` is, or why it is none; `numbers` are those that the voter was shown."""

    def abstain(reason: AbstentionReason, detail: str) -> Abstention:
        shown = plain(detail, _DETAIL)
        return Abstention(voter=voter, model=model, stand_in=False, reason=reason, detail=shown)

    if len(text) > _LONGEST:
        return abstain(AbstentionReason.MALFORMED, f"{len(text)} characters, {_LONGEST} allowed")
    try:
        form = VoteForm.model_validate_json(text)
    except ValidationError as error:
        return abstain(AbstentionReason.MALFORMED, _in_words(error))
    objection = _off_topic(form, symbol, numbers)
    if objection is not None:
        return abstain(AbstentionReason.OFF_TOPIC, objection)
    return Vote(
        voter=voter,
        model=model,
        stand_in=False,
        direction=form.direction,
        confidence=form.confidence,
        rationale=form.rationale,
    )


def _in_words(error: ValidationError) -> str:
    """The first problem: where it is, and what."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def _off_topic(form: VoteForm, symbol: Symbol, numbers: Mapping[str, float]) -> str | None:
    if form.symbol != symbol:
        return f"asked about {symbol}, answered about {form.symbol}"
    for cited in form.cited:
        shown = numbers.get(cited.name)
        if shown is None:
            return f"cites {cited.name}, which was not shown"
        if not isclose(cited.value, shown, rel_tol=_TOLERANCE):
            return f"cites {cited.name} as {cited.value:g}, shown was {shown:g}"
    return None
