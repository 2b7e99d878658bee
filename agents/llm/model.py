"""The port to a language model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from data.faults import Refused, Transient


class ModelUnavailable(Transient):
    """No answer: the vendor is out of reach, overloaded, or limits our rate."""


class ModelRefused(Refused):
    """The vendor said no: the key, the request, or the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question with the JSON schema its answer must have."""

    system: str
    user: str
    schema: Mapping[str, Any]  # JSON schema of the answer
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The raw text of an answer, unread, and what it cost."""

    text: str
    model: str  # as the vendor names what answered
    input_tokens: int
    output_tokens: int
    latency: timedelta


class LanguageModel(Protocol):
    """Answers questions; `tests/contract/test_language_model.py` holds for every one."""

    @property
    def name(self) -> str: ...

    async def ask(self, question: Question) -> Answer:
        """Ask once, without retrying; the caller guards the time.

        Raises:
            ModelUnavailable: no answer; asking again may help.
            ModelRefused: asking again will not help.
        """
        ...
