"""No secret in a log, however deep it lies and whoever wrote it."""

import io
import json
import logging
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import structlog

from execution.venues.binance_settings import BinanceVenueSettings
from execution.venues.hyperliquid_settings import HyperliquidVenueSettings
from execution.venues.kraken_settings import KrakenVenueSettings
from sextant.telemetry import REDACTED, Redactor, configure_logging, secrets_of

DEAD_MAN = {"deadline": "PT1M", "renew_every": "PT20S"}
KEY = "sk-proj-abcdefghijklmnop1234"
SHORT = "hunter2"
DSN = "postgresql://sextant:s%40lty-word@db:5432/sextant"


@dataclass(frozen=True)
class Client:
    api_key: str
    url: str


@pytest.fixture
def redactor():
    return Redactor([KEY, SHORT, DSN, "s%40lty-word", "s@lty-word", "abc"])


@pytest.mark.req("S1-148", "S1-169", "S1-170")
@pytest.mark.parametrize(
    "name",
    ["key", "apiKey", "api_key", "API-KEY", "secret", "clientSecret", "token", "access_token",
     "password", "passphrase", "Authorization", "X-MBX-APIKEY", "signature", "dsn"],
)  # fmt: skip
def test_a_telling_name_hides_what_stands_under_it(redactor, name):
    nested = {"reply": [{"deep": ({name: {"value": ["anything"]}},)}]}
    assert redactor(nested) == {"reply": [{"deep": [{name: REDACTED}]}]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("input_tokens", 12, id="a count of tokens"),
        pytest.param("api_key_env", "OPENAI_API_KEY", id="the name of a variable"),
        pytest.param("symbol", "BTC/USDT", id="a symbol"),
        pytest.param("price", 1.5, id="a number"),
        pytest.param("done", True, id="a truth"),
        pytest.param("error", None, id="nothing"),
    ],
)
def test_what_is_no_secret_stays(redactor, name, value):
    assert redactor({name: value}) == {name: value}


@pytest.mark.req("S1-149")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(KEY, id="bare"),
        pytest.param(f"Incorrect API key provided: {KEY}.", id="in a sentence"),
        pytest.param({"error": {"message": [f"no such user {KEY}"]}}, id="in an exchange's reply"),
        pytest.param({KEY: 1}, id="as a name"),
        pytest.param(ValueError(f"bad {KEY}"), id="in an exception"),
        pytest.param([RuntimeError({"headers": {"x": KEY}})], id="deep in an exception"),
        pytest.param(f"reply to {KEY}".encode(), id="in bytes"),
        pytest.param(bytearray(b"\xff" + KEY.encode()), id="in bytes that are no text"),
        pytest.param(Client(api_key="other-key-123", url=f"/{KEY}"), id="in an object"),
        pytest.param({"a": {KEY}, "b": frozenset({KEY})}, id="in sets"),
        pytest.param(f"{KEY}{KEY} {SHORT}", id="twice, and another"),
    ],
)
def test_a_known_secret_is_found_anywhere(redactor, value):
    shown = json.dumps(redactor(value))
    assert REDACTED in shown
    for secret in (KEY, KEY[:12], SHORT, "other-key-123"):
        assert secret not in shown


@pytest.mark.req("S1-149")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("sk-proj-abcd", REDACTED, id="the beginning"),
        pytest.param("key sk-proj-***************1234.", f"key {REDACTED}", id="masked"),
        pytest.param("sk-proj-…1234, no", f"{REDACTED}, no", id="shortened"),
        pytest.param("sk-", "sk-", id="too little to tell"),
        pytest.param("hunter", "hunter", id="a part of a short one"),
        pytest.param("abc", "abc", id="a word too short to be a secret"),
        pytest.param("postgresql://elsewhere", "postgresql://elsewhere", id="another address"),
        pytest.param(f"cannot reach {DSN}", f"cannot reach {REDACTED}", id="our address"),
        pytest.param("user s@lty-word", f"user {REDACTED}", id="its password alone"),
    ],
)
def test_parts_of_a_known_secret(redactor, text, shown):
    assert redactor(text) == shown


@pytest.mark.req("S1-149")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param('{"apiKey": "zzz9"}', f'{{"apiKey": "{REDACTED}"}}', id="in JSON"),
        pytest.param("?api_key=zzz9&a=1", f"?api_key={REDACTED}&a=1", id="in a query"),
        pytest.param(
            "Authorization: Bearer zzz9", f"Authorization: Bearer {REDACTED}", id="in a header"
        ),
        pytest.param("signature=zzz9", f"signature={REDACTED}", id="a signature"),
        pytest.param("max_tokens=100", "max_tokens=100", id="a number of tokens"),
        pytest.param("the key is under the mat", "the key is under the mat", id="prose"),
    ],
)
def test_a_secret_said_inside_a_text(text, shown):
    assert Redactor([])(text) == shown


@pytest.fixture
def log():
    """Everything that is logged, as text; logging is put back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(Redactor([KEY]), stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.req("S1-169", "S1-213")
def test_a_line_is_one_json_object_without_secrets(log):
    try:
        raise ConnectionError(f"refused {KEY}")
    except ConnectionError:
        structlog.get_logger("x").warning("down", reply={"apiKey": "zzz9", "at": [KEY]}, exc_info=1)
    logging.getLogger("ccxt").error("GET ?key=%s failed", KEY)
    logging.getLogger("httpx").info("POST /v1")
    ours, theirs = (json.loads(line) for line in log.getvalue().splitlines())
    assert KEY[:9] not in log.getvalue()
    assert (ours["event"], ours["level"], ours["reply"]["apiKey"]) == ("down", "warning", REDACTED)
    assert "ConnectionError" in ours["exception"]
    assert theirs["event"] == f"GET ?key={REDACTED} failed"


def test_the_secrets_of_a_configuration(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.setenv("THE_VENUES", "a-venues-secret")
    monkeypatch.setenv("A_DSN", DSN)
    monkeypatch.delenv("NO_KEY", raising=False)
    settings = SimpleNamespace(
        storage=SimpleNamespace(dsn_env="A_DSN"),
        seat=[SimpleNamespace(api_key_env=name) for name in ("A_KEY", "NO_KEY", None)],
        venue=SimpleNamespace(secret_names=("THE_VENUES", "NO_KEY")),
    )
    expected = {KEY, DSN, "s%40lty-word", "s@lty-word", "a-venues-secret"}
    assert secrets_of(settings) == expected


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        pytest.param(
            KrakenVenueSettings(kind="kraken", order_deadline="PT5S", dead_man=DEAD_MAN),
            ("KRAKEN_API_KEY", "KRAKEN_API_SECRET"),
            id="kraken",
        ),
        pytest.param(
            BinanceVenueSettings(
                kind="binanceusdm_testnet",
                leverage={"BTC/USDT": 1},
                receive_window="PT5S",
                dead_man=DEAD_MAN,
            ),
            ("BINANCE_TESTNET_API_KEY", "BINANCE_TESTNET_API_SECRET"),
            id="binance, testnet",
        ),
        pytest.param(
            HyperliquidVenueSettings(
                kind="hyperliquid",
                leverage={"BTC/USDC": 1},
                slippage="0.01",
                stop_slippage="0.1",
                order_deadline="PT5S",
                dead_man=DEAD_MAN,
            ),
            ("HYPERLIQUID_AGENT_KEY",),
            id="hyperliquid",
        ),
    ],
)
def test_every_venue_says_where_its_secrets_are(settings, names):
    assert settings.secret_names == names
