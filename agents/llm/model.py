"""The port to a language model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from data.faults import Refused, Transient


class ModelUnavailable(Transient):
    """No answer, and nothing to pay: the vendor is out of reach, overloaded, or limits our rate."""


class AnswerLost(ModelUnavailable):
    """The question was sent and no readable reply came back; it may be on the bill."""


class ModelRefused(Refused):
    """The vendor said no to the key or the request; nothing to pay."""


class AnswerWithheld(ModelRefused):
    """The model read the question and declined to answer; it is on the bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question with the JSON schema its answer must have.

    `subject` and `as_of` say what it is about; a recording is looked up by them. No vendor sees
    them.
    """

    subject: str
    as_of: datetime
    system: str
    user: str
    schema: Mapping[str, Any]  # JSON schema of the answer, as `answer_schema` makes it
    max_tokens: int  # of the answer, thinking included


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The raw text of an answer, unread, and what it cost."""

    text: str
    model: str  # as the vendor names what answered
    input_tokens: int
    output_tokens: int  # thinking included
    latency: timedelta


class LanguageModel(Protocol):
    """Answers questions; `tests/contract/test_language_model.py` holds for every one."""

    @property
    def name(self) -> str: ...

    async def ask(self, question: Question) -> Answer:
        """Ask once, without retrying; the caller guards the time.

        An answer that was cut off at `max_tokens` is an answer: whoever reads it will notice.

        Raises:
            ModelUnavailable: no answer; asking again may help.
            ModelRefused: asking again will not help.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections; nothing is asked afterwards."""
        ...
