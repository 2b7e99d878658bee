from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from agents.llm.factory import MissingKey, build_model
from agents.llm.settings import AnthropicSeat, OllamaSeat, OpenAISeat, SeatSettings
from data.clock import SystemClock
from tests.builders_models import KEY, anthropic_seat, ollama_seat, openai_seat

SEATS = TypeAdapter(SeatSettings)
LOCAL = "http://127.0.0.1:1"
TABLE = {
    "voter": "gpt",
    "vendor": "openai",
    "model": "gpt-test",
    "base_url": "https://api.openai.com/v1",
    "api_key_env": "OPENAI_API_KEY",
    "prompt": "voters/trend",
    "stand_in": "ema_cross",
    "price_in": "1.25",
    "price_out": "10",
    "max_tokens": 2048,
}


@pytest.mark.parametrize(
    ("seat", "kind"),
    [
        pytest.param(TABLE, OpenAISeat, id="openai"),
        pytest.param({**TABLE, "vendor": "anthropic"}, AnthropicSeat, id="anthropic"),
        pytest.param(
            {**TABLE, "vendor": "ollama", "host_env": "OLLAMA_HOST", "context_tokens": 8192},
            OllamaSeat,
            id="ollama",
        ),
    ],
)
def test_a_seat_is_of_its_vendor(seat, kind):
    assert isinstance(SEATS.validate_python(seat), kind)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        pytest.param({"vendor": "acme"}, "acme", id="an unknown vendor"),
        pytest.param({"modle": "x"}, "modle", id="a misspelt key"),
        pytest.param({"context_tokens": 1}, "context_tokens", id="a key of another vendor"),
        pytest.param({"vendor": "anthropic", "temperature": 0.1}, "temperature", id="not Claude's"),
        pytest.param({"vendor": "ollama"}, "context_tokens", id="a local model without its room"),
        pytest.param({"price_in": "-1"}, "price_in", id="a price below zero"),
        pytest.param({"price_out": "nan"}, "price_out", id="a price that is no number"),
        pytest.param({"max_tokens": 0}, "max_tokens", id="no room for an answer"),
        pytest.param({"base_url": "api.openai.com"}, "base_url", id="an address without scheme"),
        pytest.param({"voter": "GPT 5"}, "voter", id="a voter with a space"),
        pytest.param({"prompt": ""}, "prompt", id="no prompt"),
    ],
)
def test_a_seat_that_cannot_be_meant_is_refused(changes, key):
    with pytest.raises(ValidationError, match=key):
        SEATS.validate_python({**TABLE, **changes})


@pytest.mark.parametrize("absent", ["price_in", "price_out"])
def test_half_a_price_is_none(absent):
    seat = SEATS.validate_python({k: v for k, v in TABLE.items() if k != absent})
    assert seat.price is None


def test_a_price_of_zero_is_a_price():
    seat = SEATS.validate_python({**TABLE, "price_in": "0", "price_out": "0"})
    assert seat.price is not None
    assert seat.price.output == Decimal(0)


@pytest.mark.req("S2-14", "S2-15", "S0-45")
@pytest.mark.parametrize(
    ("seat", "key", "name"),
    [
        pytest.param(openai_seat(LOCAL), KEY, "gpt-test", id="openai"),
        pytest.param(openai_seat(LOCAL, model="grok-test"), SecretStr(KEY), "grok-test", id="grok"),
        pytest.param(anthropic_seat(LOCAL), SecretStr(KEY), "claude-test", id="anthropic"),
        pytest.param(ollama_seat(LOCAL), None, "qwen-test", id="ollama, without a key"),
        pytest.param(ollama_seat(LOCAL), KEY, "qwen-test", id="ollama, with one"),
    ],
)
async def test_a_model_is_built_from_its_seat(seat, key, name):
    model = build_model(seat, key, clock=SystemClock(), timeout=timedelta(seconds=1))
    assert model.name == name
    assert KEY not in repr(model)
    await model.aclose()


@pytest.mark.parametrize("key", [None, "", SecretStr("")], ids=["none", "empty", "empty secret"])
@pytest.mark.parametrize(
    "seat", [openai_seat(LOCAL), anthropic_seat(LOCAL)], ids=lambda s: s.vendor
)
def test_a_remote_seat_without_a_key_names_what_is_missing(seat, key):
    with pytest.raises(MissingKey, match="seat-1: TEST_KEY is not set"):
        build_model(seat, key, clock=SystemClock(), timeout=timedelta(seconds=1))
