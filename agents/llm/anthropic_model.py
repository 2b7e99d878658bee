"""Claude through Anthropic's messages API.

Importing this module imports the SDK; `agents.llm.factory` does so only where a seat needs it.
"""

from datetime import timedelta
from typing import Literal, TypeAlias

import anthropic
from anthropic.types import OutputConfigParam
from pydantic import BaseModel, NonNegativeInt, ValidationError

from agents.llm.model import (
    Answer,
    AnswerLost,
    AnswerWithheld,
    ModelRefused,
    ModelUnavailable,
    Question,
)
from agents.llm.vendor_fault import connection_fault, status_fault
from data.clock import Clock

Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]


class _Block(BaseModel):
    type: str
    text: str = ""


class _Usage(BaseModel):
    input_tokens: NonNegativeInt
    output_tokens: NonNegativeInt
    cache_creation_input_tokens: NonNegativeInt | None = None
    cache_read_input_tokens: NonNegativeInt | None = None

    @property
    def all_input_tokens(self) -> int:
        cached = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return self.input_tokens + cached


class _Message(BaseModel):
    """What we read of a message."""

    model: str
    content: tuple[_Block, ...]
    stop_reason: str | None
    usage: _Usage


class AnthropicModel:
    """One Claude model, over one connection pool; it takes no temperature."""

    def __init__(
        self,
        name: str,
        *,
        key: str,
        base_url: str,
        timeout: timedelta,
        clock: Clock,
        effort: Effort | None = None,
    ) -> None:
        self._name = name
        self._key = key
        self._clock = clock
        self._effort = effort
        self._client = anthropic.AsyncAnthropic(
            api_key=key, base_url=base_url, timeout=timeout.total_seconds(), max_retries=0
        )

    @property
    def name(self) -> str:
        return self._name

    async def ask(self, question: Question) -> Answer:
        asked_at = self._clock.now()
        fault: ModelUnavailable | ModelRefused
        try:
            reply = await self._send(question)
        except anthropic.APIStatusError as error:
            fault = status_fault(self._name, error.status_code, str(error), self._key)
        except anthropic.APIConnectionError as error:
            fault = connection_fault(self._name, error)
        else:
            return self._answer(reply, self._clock.now() - asked_at)
        raise fault

    async def aclose(self) -> None:
        await self._client.close()

    async def _send(self, question: Question) -> bytes:
        response = await self._client.messages.with_raw_response.create(
            model=self._name,
            max_tokens=question.max_tokens,
            system=question.system,
            messages=[{"role": "user", "content": question.user}],
            output_config=self._output_config(question),
        )
        return await response.read()

    def _output_config(self, question: Question) -> OutputConfigParam:
        config: OutputConfigParam = {
            "format": {"type": "json_schema", "schema": dict(question.schema)}
        }
        if self._effort is not None:
            config["effort"] = self._effort
        return config

    def _answer(self, reply: bytes, latency: timedelta) -> Answer:
        try:
            message = _Message.model_validate_json(reply)
        except ValidationError:
            raise AnswerLost(f"{self._name}: the reply is no message") from None
        if message.stop_reason == "refusal":
            raise AnswerWithheld(f"{self._name}: the model declined to answer")
        return Answer(
            text="".join(block.text for block in message.content if block.type == "text"),
            model=message.model,
            input_tokens=message.usage.all_input_tokens,
            output_tokens=message.usage.output_tokens,
            latency=latency,
        )
