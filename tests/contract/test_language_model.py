"""What every language model does alike, and what those on a wire make of a vendor's bad day."""

import asyncio
import traceback
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from agents.llm.factory import build_model
from agents.llm.model import (
    AnswerLost,
    AnswerWithheld,
    ModelRefused,
    ModelUnavailable,
)
from agents.llm.recorded import Occasion, RecordedModel
from agents.llm.scripted import ScriptedModel
from agents.vote import VoterId
from data.clock import ManualClock, SystemClock
from tests.builders_models import (
    KEY,
    NOON,
    SCHEMA,
    VENDORS,
    a_question,
    an_answer,
    breaks_off,
    hangs_up,
    keeps_waiting,
    ollama_reply,
    openai_reply,
    sends,
    sends_html,
)

SEAT = VoterId("seat-1")


@asynccontextmanager
async def scripted(text):
    yield ScriptedModel("scripted", lambda _: an_answer(text), clock=ManualClock(NOON))


@asynccontextmanager
async def scripted_refusal():
    refusal = ModelRefused("scripted: HTTP 401")
    yield ScriptedModel("scripted", lambda _: refusal, clock=ManualClock(NOON))


@asynccontextmanager
async def recorded(text):
    recording = {Occasion(SEAT, "BTC/USDT", NOON): an_answer(text)}
    yield RecordedModel("recorded", SEAT, recording)


@asynccontextmanager
async def recorded_refusal():
    yield RecordedModel("recorded", SEAT, {})


def on_a_wire(vendor):
    @asynccontextmanager
    async def saying(text):
        async with vendor.model(sends(vendor.reply(text))) as (model, _):
            yield model

    @asynccontextmanager
    async def refusing():
        async with vendor.model(sends({"error": {"message": "no"}}, 401)) as (model, _):
            yield model

    return saying, refusing


MODELS = {
    "scripted": (scripted, scripted_refusal),
    "recorded": (recorded, recorded_refusal),
    **{name: on_a_wire(vendor) for name, vendor in VENDORS.items()},
}
every_model = pytest.mark.parametrize("kind", MODELS)
every_vendor = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)


@every_model
@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"direction": "long"}', id="JSON"),
        pytest.param('```json\n{"direction": "long"}\n```', id="fenced, and left so"),
        pytest.param('{"direction": "lo', id="cut off"),
        pytest.param("", id="empty"),
        pytest.param("Größe 大きさ", id="beyond ASCII"),
    ],
)
async def test_an_answer_is_handed_over_unread(kind, text):
    saying, _ = MODELS[kind]
    async with saying(text) as model:
        assert (await model.ask(a_question())).text == text


@every_model
@pytest.mark.req("S0-15")
async def test_an_answer_says_who_gave_it_and_what_it_took(kind):
    saying, _ = MODELS[kind]
    async with saying("{}") as model:
        answer = await model.ask(a_question())
    assert answer.model
    assert (answer.input_tokens, answer.output_tokens) == (700, 60)
    assert answer.latency >= timedelta(0)
    assert model.name


@every_model
@pytest.mark.req("S0-14")
async def test_a_model_answers_questions_side_by_side(kind):
    saying, _ = MODELS[kind]
    async with saying("{}") as model, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(model.ask(a_question())) for _ in range(6)]
    assert [task.result().text for task in asked] == ["{}"] * 6


@every_model
async def test_a_refusal_is_named_as_one(kind):
    _, refusing = MODELS[kind]
    async with refusing() as model:
        with pytest.raises(ModelRefused):
            await model.ask(a_question())


@every_vendor
@pytest.mark.parametrize(
    ("status", "fault"),
    [
        pytest.param(400, ModelRefused, id="bad request"),
        pytest.param(401, ModelRefused, id="wrong key"),
        pytest.param(402, ModelRefused, id="no credit"),
        pytest.param(403, ModelRefused, id="forbidden"),
        pytest.param(404, ModelRefused, id="no such model"),
        pytest.param(408, ModelUnavailable, id="request timeout"),
        pytest.param(422, ModelRefused, id="unprocessable"),
        pytest.param(429, ModelUnavailable, id="rate limit"),
        pytest.param(500, ModelUnavailable, id="server error"),
        pytest.param(503, ModelUnavailable, id="down"),
        pytest.param(529, ModelUnavailable, id="overloaded"),
    ],
)
async def test_a_status_says_whether_to_ask_again(vendor, status, fault):
    error = {"type": "error", "error": {"type": "x", "message": "400 tokens are not enough"}}
    async with vendor.model(sends(error, status)) as (model, server):
        with pytest.raises(fault) as raised:
            await model.ask(a_question())
    assert not isinstance(raised.value, AnswerLost | AnswerWithheld)  # nothing to pay
    assert len(server.bodies) == 1  # asked once: who retries is not the adapter


@every_vendor
@pytest.mark.parametrize(
    "respond",
    [
        pytest.param(hangs_up, id="hangs up"),
        pytest.param(breaks_off, id="breaks off"),
        pytest.param(sends_html(), id="HTML"),
        pytest.param(sends({}), id="an empty object"),
        pytest.param(sends([]), id="a list"),
        pytest.param(keeps_waiting, id="never answers"),
    ],
)
async def test_a_question_without_a_readable_reply_may_be_on_the_bill(vendor, respond):
    patience = timedelta(seconds=1.5 if respond is keeps_waiting else 20)
    async with vendor.model(respond, patience=patience) as (model, server):
        with pytest.raises(AnswerLost):
            await model.ask(a_question())
    assert len(server.bodies) == 1


@every_vendor
@pytest.mark.parametrize("status", [401, 502])
async def test_a_gateway_may_answer_in_html(vendor, status):
    async with vendor.model(sends_html(status)) as (model, _):
        with pytest.raises(ModelRefused if status < 500 else ModelUnavailable):
            await model.ask(a_question())


@every_vendor
async def test_a_vendor_that_cannot_be_reached_costs_nothing(vendor, unused_tcp_port):
    seat = vendor.seat(f"http://127.0.0.1:{unused_tcp_port}")
    model = build_model(seat, KEY, clock=SystemClock(), timeout=timedelta(seconds=5))
    with pytest.raises(ModelUnavailable) as raised:
        await model.ask(a_question())
    await model.aclose()
    assert not isinstance(raised.value, AnswerLost)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_a_model_that_declines_is_on_the_bill(name):
    vendor = VENDORS[name]
    async with vendor.model(sends(vendor.declines)) as (model, _):
        with pytest.raises(AnswerWithheld):
            await model.ask(a_question())


async def test_a_filtered_completion_is_withheld():
    reply = openai_reply("", finish_reason="content_filter")
    async with VENDORS["openai"].model(sends(reply)) as (model, _):
        with pytest.raises(AnswerWithheld):
            await model.ask(a_question())


async def test_thinking_that_stands_only_in_the_total_is_counted():
    reply = openai_reply("{}", usage={"total_tokens": 1_000})
    async with VENDORS["openai"].model(sends(reply)) as (model, _):
        assert (await model.ask(a_question())).output_tokens == 300


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param({"completion_tokens": -60}, id="below zero"),
        pytest.param({"prompt_tokens": None}, id="unknown"),
    ],
)
async def test_a_bill_that_cannot_be_is_no_answer(usage):
    async with VENDORS["openai"].model(sends(openai_reply("{}", usage=usage))) as (model, _):
        with pytest.raises(AnswerLost):
            await model.ask(a_question())


async def test_a_local_server_that_does_not_count_gives_no_answer():
    async with VENDORS["ollama"].model(sends(ollama_reply("{}", eval_count=None))) as (model, _):
        with pytest.raises(AnswerLost):
            await model.ask(a_question())


@every_vendor
@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(KEY, id="whole"),
        pytest.param(f"{KEY[:11]}***", id="its start"),
        pytest.param(f"***{KEY[-4:]}", id="its end"),
        pytest.param(f"{KEY[:7]}...{KEY[-5:]}", id="start and end"),
    ],
)
@pytest.mark.parametrize("status", [401, 500])
async def test_no_part_of_the_key_is_in_an_error(vendor, echo, status):
    said = {"error": {"message": f"Incorrect API key provided: {echo}.", "nested": [{"k": echo}]}}
    async with vendor.model(sends(said, status)) as (model, _):
        with pytest.raises((ModelRefused, ModelUnavailable)) as raised:
            await model.ask(a_question())
    fault = raised.value
    assert fault.__cause__ is None
    assert fault.__context__ is None
    told = "".join(traceback.format_exception(fault)) + repr(fault) + repr(model)
    parts = [KEY[start : start + 4] for start in range(len(KEY) - 3)]
    assert [part for part in parts if part in told] == []
    assert "Incorrect API" in told


async def asked(vendor, **changes):
    """What the vendor gets to read of a question."""
    async with vendor.model(sends(vendor.reply("{}")), **changes) as (model, server):
        await model.ask(a_question())
    return server.bodies[0]


async def test_gpt_is_held_to_the_schema():
    body = await asked(VENDORS["openai"], effort="low")
    assert body["response_format"]["json_schema"] == {
        "name": "answer",
        "strict": True,
        "schema": SCHEMA,
    }
    assert body["max_completion_tokens"] == 500
    assert body["reasoning_effort"] == "low"
    assert not {"max_tokens", "temperature", "top_p"} & body.keys()
    assert [m["role"] for m in body["messages"]] == ["system", "user"]


@pytest.mark.req("S2-13", "S2-14", "S2-15", "S0-45")
async def test_a_vendor_of_the_same_api_has_its_own_dialect():
    body = await asked(
        VENDORS["openai"],
        model="deepseek-test",
        json_mode="json_object",
        length_field="max_tokens",
        temperature=0.1,
        extra_body={"thinking": {"type": "disabled"}},
    )
    assert body["model"] == "deepseek-test"
    assert body["response_format"] == {"type": "json_object"}
    assert body["max_tokens"] == 500
    assert "max_completion_tokens" not in body
    assert body["temperature"] == 0.1
    assert body["thinking"] == {"type": "disabled"}


async def test_claude_is_held_to_the_schema_and_takes_no_temperature():
    body = await asked(VENDORS["anthropic"], effort="low")
    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": SCHEMA},
        "effort": "low",
    }
    assert body["system"] == "Answer in JSON."
    assert body["max_tokens"] == 500
    assert not {"temperature", "top_p", "top_k", "tools"} & body.keys()


async def test_a_local_model_gets_schema_and_room():
    body = await asked(VENDORS["ollama"], temperature=0.3)
    assert body["format"] == SCHEMA
    assert body["options"] == {"num_ctx": 8192, "num_predict": 500, "temperature": 0.3}
    assert body["stream"] is False
    assert body["think"] is False
