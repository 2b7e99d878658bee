"""A model that gives again the answers it gave before."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from agents.llm.model import Answer, ModelRefused, Question
from agents.vote import VoterId


class Occasion(NamedTuple):
    """When a voter was asked, and about what."""

    voter: VoterId
    subject: str
    as_of: datetime


class NotRecorded(ModelRefused):
    """Nothing is on record for this occasion; asking again will not help."""


class RecordedModel:
    """Plays back one voter's answers. It asks nobody and costs what is on record."""

    def __init__(self, name: str, voter: VoterId, recording: Mapping[Occasion, Answer]) -> None:
        self._name = name
        self._voter = voter
        self._recording = recording

    @property
    def name(self) -> str:
        return self._name

    async def ask(self, question: Question) -> Answer:
        occasion = Occasion(self._voter, question.subject, question.as_of)
        try:
            return self._recording[occasion]
        except KeyError:
            at = question.as_of.isoformat()
            raise NotRecorded(
                f"no answer of {self._voter} about {question.subject} at {at} is on record"
            ) from None

    async def aclose(self) -> None:
        """There is nothing to let go of."""
