"""A model that says what it was told to, for tests and rehearsals of faults."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeAlias

from agents.llm.model import Answer, Question
from data.clock import Clock
from data.faults import Fault

Line: TypeAlias = str | Answer | Fault
"""What is said: a text, a whole answer with its cost, or a fault to raise."""

_CHARACTERS_PER_TOKEN = 4


class ScriptExhausted(Exception):
    """More was asked than the script has lines for."""


class ScriptedModel:
    """Says the lines of a script one after another, or what a function makes of the question."""

    def __init__(
        self,
        name: str,
        script: Iterable[Line] | Callable[[Question], Line],
        *,
        clock: Clock,
        delay: timedelta = timedelta(0),
    ) -> None:
        self._name = name
        self._next = script if callable(script) else _in_order(name, script)
        self._clock = clock
        self._delay = delay

    @property
    def name(self) -> str:
        return self._name

    async def ask(self, question: Question) -> Answer:
        asked_at = self._clock.now()
        line = self._next(question)
        await self._clock.sleep(self._delay)
        match line:
            case Fault():
                raise line
            case Answer():
                return line
            case str():
                return Answer(
                    text=line,
                    model=self._name,
                    input_tokens=len(question.system + question.user) // _CHARACTERS_PER_TOKEN,
                    output_tokens=len(line) // _CHARACTERS_PER_TOKEN,
                    latency=self._clock.now() - asked_at,
                )

    async def aclose(self) -> None:
        """There is nothing to let go of."""


def _in_order(name: str, script: Iterable[Line]) -> Callable[[Question], Line]:
    lines = iter(script)

    def line(question: Question) -> Line:
        try:
            return next(lines)
        except StopIteration:
            raise ScriptExhausted(f"{name}: no line left for {question.subject}") from None

    return line
