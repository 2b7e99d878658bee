"""The daemon with all six seats asked over the wire, and the audit that makes their votes again."""

from decimal import Decimal

import pytest
from aiohttp import web

from agents.vote import Abstention, AbstentionReason, Vote
from data.postgres.embedded import database
from data.postgres.pool import connect
from sextant.audit import audit
from sextant.daemon import Daemon
from sextant.house import open_house
from sextant.settings import load_settings
from tests.builders_daemon import a_config
from tests.builders_models import (
    KEY,
    a_vote_text,
    anthropic_reply,
    ollama_reply,
    openai_reply,
    serving,
)

SEATS = """
    [[seat]]
    voter = "gpt"
    vendor = "openai"
    model = "gpt-test"
    base_url = "{url}/v1"
    api_key_env = "TEST_KEY"
    prompt = "voters/trend"
    stand_in = "ema_cross"
    price_in = 1
    price_out = 5
    max_tokens = 500

    [[seat]]
    voter = "grok"
    vendor = "openai"
    model = "grok-test"
    base_url = "{url}/v1"
    api_key_env = "TEST_KEY"
    prompt = "voters/trend"
    stand_in = "breakout"
    price_in = 1
    price_out = 5
    max_tokens = 500

    [[seat]]
    voter = "deepseek"
    vendor = "openai"
    model = "deepseek-test"
    base_url = "{url}/v1"
    api_key_env = "TEST_KEY"
    prompt = "voters/trend"
    stand_in = "momentum"
    price_in = 1
    price_out = 5
    max_tokens = 500

    [[seat]]
    voter = "claude-sonnet"
    vendor = "anthropic"
    model = "claude-sonnet-test"
    base_url = "{url}"
    api_key_env = "TEST_KEY"
    prompt = "voters/trend"
    stand_in = "volatility_scaled_trend"
    price_in = 1
    price_out = 5
    max_tokens = 500

    [[seat]]
    voter = "claude-opus"
    vendor = "anthropic"
    model = "claude-opus-test"
    base_url = "{url}"
    api_key_env = "ANOTHER_KEY"
    prompt = "voters/trend"
    stand_in = "hold"
    price_in = 1
    price_out = 5
    max_tokens = 500

    [[seat]]
    voter = "qwen"
    vendor = "ollama"
    model = "qwen-test"
    base_url = "{url}"
    host_env = "TEST_HOST"
    prompt = "voters/trend"
    stand_in = "seeded_random"
    price_in = 0
    price_out = 0
    max_tokens = 500
    context_tokens = 8192

    [panel]
    daily_budget_usd = 1000
    decision_budget_usd = 10
"""


async def vendors(request):
    """Every vendor at one address; DeepSeek is out of order, and Qwen fences its JSON."""
    body = await request.json()
    facts = str(body["messages"][-1]["content"])
    symbol = next(s for s in ("XRP/BTC", "XRP/USDT", "BTC/USDT") if f'"symbol":"{s}"' in facts)
    text = a_vote_text(symbol=symbol, direction="long", confidence=0.8)
    if body["model"] == "deepseek-test":
        return web.json_response({"error": "overloaded"}, status=503)
    if request.path.endswith("/messages"):
        return web.json_response(anthropic_reply(text))
    if request.path.endswith("/api/chat"):
        return web.json_response(ollama_reply(f"```json\n{text}\n```"))
    return web.json_response(openai_reply(text))


@pytest.mark.req("S0-14", "S0-15", "S0-45")
async def test_what_six_seats_said_over_the_wire_decides_the_same_again(server_folder, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    async with serving(vendors) as (vendor, url):
        monkeypatch.setenv("TEST_HOST", url)
        settings = load_settings(a_config(server_folder, SEATS.format(url=url), speed=120))
        async with open_house(settings) as house:
            await Daemon(house, max_bars=18).run(view=False)
            decision = next(iter(house.session.decisions.values()))
            spent = house.seats.budget.spent
        ballots = {ballot.voter: ballot for ballot in decision.ballots}
        assert all(isinstance(ballots[v], Vote) for v in ("gpt", "grok", "claude-sonnet"))
        assert _why_not(ballots["deepseek"]) is AbstentionReason.UNREACHABLE
        assert _why_not(ballots["qwen"]) is AbstentionReason.MALFORMED
        assert ballots["claude-opus"].stand_in
        assert not ballots["gpt"].stand_in
        assert {answer.voter for answer in decision.answers} >= {"gpt", "grok", "claude-sonnet"}
        assert spent > Decimal(0)
        assert vendor.bodies

    async with (
        database(None, settings.state_folder / "postgres") as dsn,
        await connect(dsn) as pool,
    ):
        findings = await audit(settings, pool)
    assert findings.is_sound, findings
    assert findings.compared["signals"] > 0
    assert KEY not in str(findings)


def _why_not(ballot):
    assert isinstance(ballot, Abstention)
    return ballot.reason
