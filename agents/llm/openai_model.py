"""Models behind an OpenAI-compatible API: GPT, Grok and DeepSeek differ by base URL and dialect.

Importing this module imports the SDK; `agents.llm.factory` does so only where a seat needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

import openai
from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat.completion_create_params import ResponseFormat
from openai.types.shared_params import ReasoningEffort
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from agents.llm.model import Answer, AnswerLost, AnswerWithheld, Question
from agents.llm.vendor_fault import connection_fault, status_fault
from data.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Where vendors of the same API differ."""

    json_mode: Literal["json_schema", "json_object"] = "json_schema"
    length_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    temperature: float | None = None  # None is the vendor's own; some models take no other
    effort: ReasoningEffort = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    total_tokens: NonNegativeInt = 0

    @property
    def output_tokens(self) -> int:
        """xAI counts thinking in the total only: docs.x.ai, "reasoning"."""
        return max(self.completion_tokens, self.total_tokens - self.prompt_tokens)


class _Completion(BaseModel):
    """What we read of a chat completion; the rest of it differs between vendors."""

    model: str
    choices: Annotated[tuple[_Choice, ...], Field(min_length=1)]
    usage: _Usage


class OpenAIModel:
    """One model of one vendor, over one connection pool."""

    def __init__(
        self,
        name: str,
        *,
        key: str,
        base_url: str,
        timeout: timedelta,
        clock: Clock,
        dialect: Dialect,
    ) -> None:
        self._name = name
        self._key = key
        self._clock = clock
        self._dialect = dialect
        self._client = openai.AsyncOpenAI(
            api_key=key, base_url=base_url, timeout=timeout.total_seconds(), max_retries=0
        )

    @property
    def name(self) -> str:
        return self._name

    async def ask(self, question: Question) -> Answer:
        asked_at = self._clock.now()
        try:
            reply = await self._send(question)
        except openai.APIStatusError as error:
            fault = status_fault(self._name, error.status_code, str(error), self._key)
        except openai.APIConnectionError as error:
            fault = connection_fault(self._name, error)
        else:
            return self._answer(reply, self._clock.now() - asked_at)
        raise fault

    async def aclose(self) -> None:
        await self._client.close()

    async def _send(self, question: Question) -> bytes:
        dialect = self._dialect
        limit = question.max_tokens
        completes = dialect.length_field == "max_completion_tokens"
        response = await self._client.chat.completions.with_raw_response.create(
            model=self._name,
            messages=_messages(question),
            response_format=_response_format(question, dialect),
            max_completion_tokens=limit if completes else openai.omit,
            max_tokens=openai.omit if completes else limit,
            temperature=openai.omit if dialect.temperature is None else dialect.temperature,
            reasoning_effort=openai.omit if dialect.effort is None else dialect.effort,
            extra_body=dialect.extra_body,
        )
        return response.content

    def _answer(self, reply: bytes, latency: timedelta) -> Answer:
        try:
            completion = _Completion.model_validate_json(reply)
        except ValidationError:
            raise AnswerLost(f"{self._name}: the reply is no chat completion") from None
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise AnswerWithheld(f"{self._name}: the model declined to answer")
        return Answer(
            text=choice.message.content or "",
            model=completion.model,
            input_tokens=completion.usage.prompt_tokens,
            output_tokens=completion.usage.output_tokens,
            latency=latency,
        )


def _messages(question: Question) -> list[ChatCompletionMessageParam]:
    return [
        {"role": "system", "content": question.system},
        {"role": "user", "content": question.user},
    ]


def _response_format(question: Question, dialect: Dialect) -> ResponseFormat:
    if dialect.json_mode == "json_object":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": dict(question.schema)},
    }
