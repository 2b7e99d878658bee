"""One seat of the panel as the operator describes it: a `[[seat]]` table of config/*.toml."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt

from agents.llm.budget import TokenPrice
from agents.vote import VoterId

_Name = Annotated[str, Field(min_length=1)]
_Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
_Temperature = Annotated[float, Field(ge=0, le=2)]


class _Seat(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    voter: Annotated[VoterId, Field(pattern=r"^[a-z0-9][a-z0-9\-]{0,39}$")]
    model: _Name
    """The model's id, as its vendor spells it."""
    base_url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    prompt: _Name
    """The prompt's name: its path below the folder of prompts, without `.md`."""
    stand_in: _Name
    """The baseline that votes where this seat has no key, in modes that allow one."""
    price_in: _Usd | None = None
    """USD per million tokens of a question; a seat without prices is never asked."""
    price_out: _Usd | None = None
    """USD per million tokens of an answer, thinking included."""
    max_tokens: PositiveInt
    """The most tokens of an answer, thinking included."""

    @property
    def price(self) -> TokenPrice | None:
        """None where one of the two prices is unknown."""
        if self.price_in is None or self.price_out is None:
            return None
        return TokenPrice(input=self.price_in, output=self.price_out)


class _KeyedSeat(_Seat):
    api_key_env: _Name
    """Environment variable that holds the key."""

    @property
    def needs(self) -> str:
        """The environment variable without which nobody can be asked."""
        return self.api_key_env


class OpenAISeat(_KeyedSeat):
    """A seat behind an OpenAI-compatible API: GPT, Grok, DeepSeek."""

    vendor: Literal["openai"]
    json_mode: Literal["json_schema", "json_object"] = "json_schema"
    """`json_object` for a vendor that enforces no schema."""
    length_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """How the vendor calls the bound on an answer."""
    temperature: _Temperature | None = None
    """Unset is the vendor's own; thinking models take no other."""
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    extra_body: Mapping[str, JsonValue] = {}
    """Fields of the request that only this vendor has."""


class AnthropicSeat(_KeyedSeat):
    """A Claude seat; these models take no temperature."""

    vendor: Literal["anthropic"]
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class OllamaSeat(_Seat):
    """A local model behind an Ollama server."""

    vendor: Literal["ollama"]
    host_env: _Name
    """Environment variable with the server's address, in place of `base_url`; unset, the seat is
    empty: nobody can tell whether a server is there until a decision waits for it."""
    api_key_env: _Name | None = None
    """Environment variable that holds the key, for a server that wants one."""
    context_tokens: PositiveInt
    """Room for question and answer together."""
    temperature: _Temperature | None = None

    @property
    def needs(self) -> str:
        """The environment variable without which nobody can be asked."""
        return self.host_env


SeatSettings = Annotated[OpenAISeat | AnthropicSeat | OllamaSeat, Field(discriminator="vendor")]
