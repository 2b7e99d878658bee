"""Kraken's REST over HTTP: requests checked and counted, answers in its envelope, accidents."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from data.clock import Clock
from sextant.rehearsal.exchange import Exchange
from sextant.rehearsal.faults import ANSWERED_BADLY, UNPROCESSED, Accident, Mischief
from sextant.rehearsal.keys import Keyring
from sextant.rehearsal.order_form import Declined, Form
from sextant.rehearsal.queries import AccountQueries, PublicQueries
from sextant.rehearsal.rates import Limits
from sextant.rehearsal.trading import Trading

_STATUS: Final = {Accident.REFUSE_503: 503, Accident.REFUSE_429: 429, Accident.FAIL_AFTER: 502}
_LOST: Final = frozenset({Accident.DROP_REQUEST, Accident.DROP_ANSWER})
_AT_ONCE: Final = timedelta(0)
_TOKENS: Final = "GetWebSocketsToken"
_Method = Callable[[Form], Any]
_Answer = Callable[[web.Request, str, timedelta], Awaitable[Any]]


class Rest:
    """The routes under /0/public and /0/private; the account is kept before it is spoken of."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        trading: Trading,
        keyring: Keyring,
        limits: Limits,
        mischief: Mischief,
        clock: Clock,
        catch_up: Callable[[], None],
        keep: Callable[[], Awaitable[None]],
    ) -> None:
        self._exchange = exchange
        self._public = PublicQueries(exchange).methods
        self._private: dict[str, _Method] = {
            **AccountQueries(exchange, keyring).methods,
            **trading.methods,
        }
        self._keyring = keyring
        self._limits = limits
        self._mischief = mischief
        self._clock = clock
        self._catch_up = catch_up
        self._keep = keep
        self.go_on = asyncio.Event()  # what hangs waits for this
        self.go_on.set()

    def routes(self) -> list[web.RouteDef]:
        public = self._handler(self._answer_public)
        return [
            web.get("/0/public/{method}", public),
            web.post("/0/public/{method}", public),
            web.post("/0/private/{method}", self._handler(self._answer_private)),
        ]

    def _handler(self, answer: _Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            accident = self._mischief.strike(request.match_info["method"])
            if accident in UNPROCESSED:
                return self._befall(request, accident)
            body = await self._body(answer, request, self._lateness(accident))
            if accident is Accident.HANG:
                self.go_on.clear()
                await self.go_on.wait()
            elif accident in ANSWERED_BADLY:
                return self._befall(request, accident)
            await self._clock.sleep(self._mischief.delay(self._mischief.faults.answer_delay))
            return _json(body)

        return handle

    def _lateness(self, accident: Accident) -> timedelta:
        faults = self._mischief.faults
        if accident is not Accident.LATE:
            return _AT_ONCE
        return self._mischief.delay(faults.lateness_delay)

    async def _body(self, answer: _Answer, request: web.Request, lateness: timedelta) -> Any:
        method = request.match_info["method"]
        try:
            return {"error": [], "result": await answer(request, method, lateness)}
        except Declined as refusal:
            return {"error": [str(refusal)]}

    def _befall(self, request: web.Request, accident: Accident) -> web.Response:
        if accident in _LOST:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if accident is Accident.BUSY:
            return _json({"error": ["EService:Busy"]})
        return web.Response(
            status=_STATUS[accident], text="<html>gateway</html>", content_type="text/html"
        )

    async def _answer_public(self, request: web.Request, method: str, lateness: timedelta) -> Any:
        form = dict(request.query) | _flat(await request.text(), request.content_type)
        await self._clock.sleep(lateness)
        self._catch_up()
        return _known(self._public, method)(form)

    async def _answer_private(self, request: web.Request, method: str, lateness: timedelta) -> Any:
        """What is late is let in at once, as of its number, and waits behind the door."""
        form = self._signed(request, await request.text())
        await self._clock.sleep(lateness)
        self._catch_up()
        try:
            result = self._do(method, form)
        finally:
            await self._keep()
        if method == _TOKENS and self._mischief.happens(self._mischief.faults.tokens_expired):
            self._keyring.expire_tokens()
        return result

    def _signed(self, request: web.Request, body: str) -> Form:
        form = _flat(body, request.content_type)
        self._keyring.require_signed(
            path=request.path,
            key=request.headers.get("API-Key", ""),
            sign=request.headers.get("API-Sign", ""),
            nonce=form.get("nonce", ""),
            body=body,
        )
        return form

    def _do(self, method: str, form: Form) -> Any:
        ask = _known(self._private, method)
        self._limits.ask(method, self._exchange.now)
        return ask(form)


def _known(methods: dict[str, _Method], name: str) -> _Method:
    found = methods.get(name)
    if found is None:
        raise Declined("EGeneral:Unknown method")
    return found


def _flat(body: str, content_type: str) -> dict[str, str]:
    """A form or a JSON object as flat text: `close[price]` is `price` within `close`."""
    if content_type != "application/json":
        return dict(parse_qsl(body, keep_blank_values=True))
    try:
        fields = orjson.loads(body or "{}")
    except orjson.JSONDecodeError:
        raise Declined("EGeneral:Invalid arguments") from None
    flat: dict[str, str] = {}
    for name, value in fields.items():
        inner = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}[{key}]": str(each) for key, each in inner}
        if not isinstance(value, dict):
            flat[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value, default=list), content_type="application/json")
