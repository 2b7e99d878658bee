"""Local models through an Ollama server.

Importing this module imports the SDK; `agents.llm.factory` does so only where a seat needs it.
"""

from datetime import timedelta

import httpx
import ollama

from agents.llm.model import Answer, AnswerLost, ModelRefused, ModelUnavailable, Question
from agents.llm.vendor_fault import status_fault
from data.clock import Clock

_NOTHING_SENT = (httpx.ConnectTimeout, httpx.PoolTimeout)
_UNREADABLE = (ValueError, TypeError, AttributeError)  # what the SDK makes of a foreign reply


class OllamaModel:
    """One model of one server. `context_tokens` bounds question and answer together: left to
    itself the server cuts a long question off without a word."""

    def __init__(
        self,
        name: str,
        *,
        key: str | None,
        base_url: str,
        timeout: timedelta,
        clock: Clock,
        context_tokens: int,
        temperature: float | None = None,
    ) -> None:
        self._name = name
        self._key = key or ""
        self._clock = clock
        self._options: dict[str, float | int] = {"num_ctx": context_tokens}
        if temperature is not None:
            self._options["temperature"] = temperature
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = ollama.AsyncClient(
            host=base_url, timeout=timeout.total_seconds(), headers=headers
        )

    @property
    def name(self) -> str:
        return self._name

    async def ask(self, question: Question) -> Answer:
        asked_at = self._clock.now()
        fault: ModelUnavailable | ModelRefused
        try:
            response = await self._send(question)
        except ollama.ResponseError as error:
            fault = status_fault(self._name, error.status_code, str(error.error), self._key)
        except (ConnectionError, *_NOTHING_SENT) as error:
            fault = ModelUnavailable(f"{self._name}: {type(error).__name__}")
        except (httpx.HTTPError, *_UNREADABLE) as error:
            fault = AnswerLost(f"{self._name}: {type(error).__name__}")
        else:
            return self._answer(response, self._clock.now() - asked_at)
        raise fault

    async def aclose(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _send(self, question: Question) -> ollama.ChatResponse:
        return await self._client.chat(
            model=self._name,
            messages=[
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
            format=dict(question.schema),
            options={**self._options, "num_predict": question.max_tokens},
            think=False,
        )

    def _answer(self, response: ollama.ChatResponse, latency: timedelta) -> Answer:
        if response.eval_count is None:
            raise AnswerLost(f"{self._name}: the reply does not say how long the answer was")
        return Answer(
            text=response.message.content or "",
            model=response.model or self._name,
            input_tokens=response.prompt_eval_count or 0,  # left out where all of it was cached
            output_tokens=response.eval_count,
            latency=latency,
        )
