"""Questions, answers, and vendors on loopback that speak the wire formats of the real ones."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web

from agents.llm.factory import build_model
from agents.llm.model import Answer, Question
from agents.llm.settings import AnthropicSeat, OllamaSeat, OpenAISeat
from data.clock import SystemClock

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEY = "sk-proj-Zq8vW3xYtR6uN1mK"
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
BILL = {"input_tokens": 700, "output_tokens": 60}


def a_question(**changes) -> Question:
    fields = {
        "subject": "BTC/USDT",
        "as_of": NOON,
        "system": "Answer in JSON.",
        "user": "Which way?",
        "schema": SCHEMA,
        "max_tokens": 500,
    }
    return Question(**{**fields, **changes})


def an_answer(text: str = "{}", **changes) -> Answer:
    fields = {"text": text, "model": "scripted", "latency": timedelta(seconds=1), **BILL}
    return Answer(**{**fields, **changes})


Reply = Callable[[str], dict]
"""What a vendor sends for a text that its model has written."""


def openai_reply(text: str, **changes) -> dict:
    choice = {
        "index": 0,
        "finish_reason": changes.get("finish_reason", "stop"),
        "message": {"role": "assistant", "content": text, "refusal": changes.get("refusal")},
    }
    usage = {"prompt_tokens": 700, "completion_tokens": 60, "total_tokens": 760}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1767614400,
        "model": "gpt-test-2026-01-01",
        "choices": [choice],
        "usage": {**usage, **changes.get("usage", {})},
    }


def anthropic_reply(text: str, **changes) -> dict:
    thinking = {"type": "thinking", "thinking": "", "signature": "c2ln"}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1",
        "content": [thinking, {"type": "text", "text": text}],
        "stop_reason": changes.get("stop_reason", "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": 500, "cache_read_input_tokens": 200, "output_tokens": 60},
    }


def ollama_reply(text: str, **changes) -> dict:
    reply = {
        "model": "qwen-test",
        "created_at": "2026-01-05T12:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 700,
        "eval_count": 60,
    }
    return {**reply, **changes}


@dataclass
class VendorOnLoopback:
    """An HTTP server that does with every request what `respond` says, and keeps the bodies."""

    respond: Callable
    bodies: list[dict] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        return await self.respond(request)


@asynccontextmanager
async def serving(respond):
    """The vendor and its base URL."""
    vendor = VendorOnLoopback(respond)
    app = web.Application()
    app.router.add_post("/{path:.*}", vendor.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield vendor, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def sends(body: dict, status: int = 200):
    async def respond(request):
        return web.json_response(body, status=status)

    return respond


def sends_html(status: int = 200):
    async def respond(request):
        return web.Response(
            text="<html>Bad gateway</html>", status=status, content_type="text/html"
        )

    return respond


async def hangs_up(request):
    request.transport.close()
    return web.Response()


async def breaks_off(request):
    """Promise a long body, and close after a part of it."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    response.content_length = 10_000
    await response.prepare(request)
    await response.write(b'{"id": ')
    request.transport.close()
    return response


async def keeps_waiting(request):
    await asyncio.Event().wait()


_SEAT = {
    "voter": "seat-1",
    "prompt": "voters/trend",
    "stand_in": "hold",
    "price_in": "1",
    "price_out": "5",
    "max_tokens": 500,
}


def openai_seat(base_url: str, **changes) -> OpenAISeat:
    own = {"vendor": "openai", "model": "gpt-test", "api_key_env": "TEST_KEY"}
    return OpenAISeat.model_validate({**_SEAT, **own, "base_url": f"{base_url}/v1", **changes})


def anthropic_seat(base_url: str, **changes) -> AnthropicSeat:
    own = {"vendor": "anthropic", "model": "claude-test", "api_key_env": "TEST_KEY"}
    return AnthropicSeat.model_validate({**_SEAT, **own, "base_url": base_url, **changes})


def ollama_seat(base_url: str, **changes) -> OllamaSeat:
    own = {
        "vendor": "ollama",
        "model": "qwen-test",
        "host_env": "OLLAMA_HOST",
        "context_tokens": 8192,
    }
    return OllamaSeat.model_validate({**_SEAT, **own, "base_url": base_url, **changes})


@dataclass(frozen=True)
class Vendor:
    """How one vendor is seated, and what it sends."""

    seat: Callable
    reply: Reply
    declines: dict | None  # what it sends where its model will not answer

    @asynccontextmanager
    async def model(self, respond, *, patience: timedelta = timedelta(seconds=5), **changes):
        """A model whose vendor does what `respond` says."""
        async with serving(respond) as (server, base_url):
            seat = self.seat(base_url, **changes)
            model = build_model(seat, KEY, clock=SystemClock(), timeout=patience)
            try:
                yield model, server
            finally:
                await model.aclose()


VENDORS = {
    "openai": Vendor(openai_seat, openai_reply, openai_reply("", refusal="I cannot")),
    "anthropic": Vendor(
        anthropic_seat, anthropic_reply, anthropic_reply("", stop_reason="refusal")
    ),
    "ollama": Vendor(ollama_seat, ollama_reply, None),
}


def a_vote_text(**changes) -> str:
    """An answer as a model should give it."""
    vote = {
        "symbol": "BTC/USDT",
        "cited": [],
        "rationale": "the trend is up",
        "direction": "long",
        "confidence": 0.7,
    }
    return json.dumps({**vote, **changes})
