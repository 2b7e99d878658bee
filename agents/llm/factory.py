"""From a seat's settings to its model; an SDK is imported when the first seat needs it."""

from datetime import timedelta

from pydantic import SecretStr

from agents.llm.model import LanguageModel
from agents.llm.settings import AnthropicSeat, OllamaSeat, OpenAISeat, SeatSettings
from data.clock import Clock


class MissingKey(ValueError):
    """A seat whose vendor wants a key has none."""


def build_model(
    seat: SeatSettings,
    key: SecretStr | str | None,
    *,
    clock: Clock,
    timeout: timedelta,
) -> LanguageModel:
    """The model that `seat` describes; `timeout` bounds each of its calls on the wire.

    Raises:
        MissingKey: `key` is None or empty, and the vendor wants one.
    """
    secret = key.get_secret_value() if isinstance(key, SecretStr) else key
    match seat:
        case OpenAISeat():
            return _openai(seat, _required(seat, secret), clock, timeout)
        case AnthropicSeat():
            return _anthropic(seat, _required(seat, secret), clock, timeout)
        case OllamaSeat():
            return _ollama(seat, secret, clock, timeout)


def _required(seat: OpenAISeat | AnthropicSeat, secret: str | None) -> str:
    if not secret:
        raise MissingKey(f"seat {seat.voter}: {seat.api_key_env} is not set")
    return secret


def _openai(seat: OpenAISeat, key: str, clock: Clock, timeout: timedelta) -> LanguageModel:
    from agents.llm.openai_model import Dialect, OpenAIModel

    dialect = Dialect(
        json_mode=seat.json_mode,
        length_field=seat.length_field,
        temperature=seat.temperature,
        effort=seat.effort,
        extra_body=seat.extra_body,
    )
    return OpenAIModel(
        seat.model, key=key, base_url=seat.base_url, timeout=timeout, clock=clock, dialect=dialect
    )


def _anthropic(seat: AnthropicSeat, key: str, clock: Clock, timeout: timedelta) -> LanguageModel:
    from agents.llm.anthropic_model import AnthropicModel

    return AnthropicModel(
        seat.model,
        key=key,
        base_url=seat.base_url,
        timeout=timeout,
        clock=clock,
        effort=seat.effort,
    )


def _ollama(seat: OllamaSeat, key: str | None, clock: Clock, timeout: timedelta) -> LanguageModel:
    from agents.llm.ollama_model import OllamaModel

    return OllamaModel(
        seat.model,
        key=key,
        base_url=seat.base_url,
        timeout=timeout,
        clock=clock,
        context_tokens=seat.context_tokens,
        temperature=seat.temperature,
    )
