"""The signed line to Kraken: keys, requests one after the other, and the private stream.

ccxt signs, carries and numbers the requests. Kraken takes a key's requests in the order of their
numbers only, so that two on their way at once may overtake each other and be refused: here one
waits for the answer to the one before.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, Self

import ccxt.pro  # type: ignore[import-untyped]

from data.faults import Fault
from data.feeds.ccxt_source import Inbox, Json, TappedExchange, config
from data.feeds.source import SourceRefused, SourceUnavailable
from data.kraken_db.window import KEY_NAMES
from execution.venues.answers import FAILURES, KeyRefused, reading
from execution.venues.kraken_answers import (
    Said,
    asking_fault,
    errors_of,
    is_over_limit,
)
from execution.venues.kraken_limits import KrakenLimits
from execution.venues.kraken_wire import Form

_KEY, _SECRET = KEY_NAMES
_STREAM: Final = "executions"
_BALANCES: Final = "balances"
_HIDDEN: Final = "***"
_SERVER_FAILED: Final = 500

_SILENT: Final = logging.getLogger("sextant.kraken.unsaid")
_SILENT.disabled = True  # ccxt logs keys and signatures with every request, at DEBUG


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A key of the API with its secret; neither is ever shown."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self:
        """The keys in KRAKEN_API_KEY and KRAKEN_API_SECRET.

        Raises:
            KeyRefused: one is missing, or the secret is not what Kraken gives out.
        """
        missing = [name for name in (_KEY, _SECRET) if not environment.get(name)]
        if missing:
            raise KeyRefused(
                f"{' and '.join(missing)} not set in the environment; .env.example has all names"
            )
        try:
            base64.b64decode(environment[_SECRET], validate=True)
        except binascii.Error:
            raise KeyRefused(f"{_SECRET} is not base64, as Kraken's secrets are") from None
        return cls(key=environment[_KEY], secret=environment[_SECRET])


class KrakenLine:
    """Requests to one account, within its limits.

    Args:
        urls: In place of the real ones: `public`, `private`, and `ws` with `private` (whose
            address ccxt keeps the token by) and `privateV2`.
        timeout: Of one request.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        limits: KrakenLimits,
        urls: Mapping[str, Any] | None = None,
        timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        self._exchange = _Kraken(keys, config(urls, timeout=timeout))
        self._limits = limits
        self._turn = asyncio.Lock()  # of whatever is sent
        self._asking = asyncio.Lock()  # of questions, which wait for their budget
        self._pairs: Mapping[str, Json] = {}

    async def close(self) -> None:
        await self._exchange.drop_connections()
        await self._exchange.close()

    async def ask(
        self, method: str, query: Mapping[str, str | dict[str, str]] | None = None
    ) -> Any:
        """The result of a private question.

        Raises:
            VenueUnavailable: ask again, later.
            KeyRefused: the key is wrong, or may not.
        """
        async with self._asking:  # what is paid for goes out at once, or counts too early
            await self._limits.ask(method)
            try:
                return await self.send(method, lambda: dict(query or {}))
            except FAILURES as error:
                if is_over_limit(error):
                    self._limits.rest()
                raise asking_fault(error, f"kraken {method}") from error

    async def ask_at_leisure(
        self, method: str, query: Mapping[str, str | dict[str, str]] | None = None
    ) -> Any:
        """The same for a collector, which leaves the dead man's switch and orders their questions.

        Raises:
            VenueUnavailable, KeyRefused: as `ask` does.
        """
        await self._limits.room_for(method)
        return await self.ask(method, query)

    async def send(self, method: str, form: Callable[[], Form]) -> Any:
        """The result of a private request, whose form is made when its turn has come.

        Raises:
            Said: Kraken has answered with errors.
            BaseError, ClientError, OSError, TimeoutError: ccxt's and the network's own, unjudged.
        """
        async with self._turn:
            call = getattr(self._exchange, f"privatePost{method}")
            answer = await call(form())
        if not isinstance(answer, dict) or "result" not in answer:
            raise ccxt.BadResponse(f"kraken {method}: no result")
        return answer["result"]

    async def pairs(self, *, anew: bool = False) -> Mapping[str, Json]:
        """AssetPairs as Kraken wrote them when last asked, by our symbols.

        Raises:
            VenueUnavailable: ask again, later.
        """
        if anew or not self._pairs:
            try:
                await self._exchange.load_markets(True)
            except FAILURES as error:
                raise asking_fault(error, "kraken AssetPairs") from error
            self._pairs = {
                symbol: {**market["info"], "id": market["id"]}
                for symbol, market in self._exchange.markets.items()
            }
        return self._pairs

    async def last_price(self, pair_id: str) -> Decimal:
        """What a pair was last traded at.

        Raises:
            VenueUnavailable: ask again, later.
        """
        try:
            told = await self._exchange.publicGetTicker({"pair": pair_id})
        except FAILURES as error:
            raise asking_fault(error, "kraken Ticker") from error
        with reading("kraken Ticker"):
            (row,) = told["result"].values()
            return Decimal(row["c"][0])

    def symbol_of(self, pair: str) -> str | None:
        """Our symbol for any of Kraken's names of a pair, if it is listed."""
        market = self._exchange.find_market_by_altname_or_id(pair)
        return None if market is None else market["symbol"]

    def asset_of(self, name: str) -> str:
        """Our name of an asset."""
        return str(self._exchange.safe_currency_code(name))

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Inbox[Json]]:
        """The private channels `executions`, with the open orders first, and `balances`.

        What ends one ends the stream; heartbeats are in it too.

        Raises:
            VenueUnavailable: it cannot be opened now.
            KeyRefused: the key may not open it.
        """
        token = (await self.ask("GetWebSocketsToken"))["token"]
        async with self._exchange.executions(token) as inbox:
            yield inbox

    async def hang_up(self) -> None:
        """Close the stream's socket, if there is one."""
        await self._exchange.drop_connections()


class _Kraken(TappedExchange, ccxt.pro.kraken):  # type: ignore[misc]
    """ccxt's client: errors named by Kraken's own words, and nothing secret in what it says."""

    def __init__(self, keys: Keys, settings: Mapping[str, Any]) -> None:
        super().__init__({**settings, "apiKey": keys.key, "secret": keys.secret})
        self.logger = _SILENT
        self._number = self._balances_number = 0  # of the requests that opened the stream

    def handle_errors(self, code: int, *answer: Any) -> Any:
        """Errors of Kraken's as `Said`, unless the server failed; a warning is no error.

        ccxt would take an order that was placed with a warning for one that was refused.
        """
        response = answer[5]
        if isinstance(response, dict) and code < _SERVER_FAILED:
            if errors := errors_of(response):
                raise Said(errors)
            response["error"] = []
        body = str(answer[4]).replace(self.apiKey, _HIDDEN).replace(self.secret, _HIDDEN)
        return super().handle_errors(code, *answer[:4], body, *answer[5:])

    @asynccontextmanager
    async def executions(self, token: str) -> AsyncIterator[Inbox[Json]]:
        self._number = self.request_id()
        wanted = {"channel": _STREAM, "token": token, "snap_orders": True, "snap_trades": False}
        subscribe = {"method": "subscribe", "params": wanted, "req_id": self._number}
        leave = {"channel": _STREAM, "token": token}
        unsubscribe = {"method": "unsubscribe", "params": leave}
        url = self.urls["api"]["ws"]["privateV2"]
        async with (
            self.subscription(url, _STREAM, subscribe, unsubscribe) as inbox,
            self._balances(url, token),
        ):
            yield inbox

    def _balances(self, url: str, token: str) -> AbstractAsyncContextManager[Inbox[Json]]:
        """The other channel, which goes into the inbox of the first."""
        self._balances_number = self.request_id()
        which = {"channel": _BALANCES, "token": token}
        subscribe = {"method": "subscribe", "params": which, "req_id": self._balances_number}
        unsubscribe = {"method": "unsubscribe", "params": which}
        return self.subscription(url, _BALANCES, subscribe, unsubscribe)

    def handle_balance(self, client: object, message: Json, *_: object) -> None:
        self.deliver(_STREAM, message)

    def handle_message(self, client: Any, message: Any) -> None:
        """Heartbeats too are news of the stream: it is there."""
        if isinstance(message, dict) and message.get("channel") == "heartbeat":
            self.deliver(_STREAM, message)
        super().handle_message(client, message)

    def handle_my_trades(self, client: object, message: Json, *_: object) -> None:
        self.deliver(_STREAM, message)

    def handle_orders(self, client: object, message: Json, *_: object) -> None:
        self.deliver(_STREAM, message)

    def handle_error_message(self, client: object, message: Json) -> bool:
        """End the stream that Kraken has refused; ccxt tells nobody."""
        text = message.get("error")
        if text is None:
            return True
        inbox = self.inboxes.get(_STREAM)
        if inbox is not None and message.get("req_id") in (self._number, self._balances_number):
            inbox.fail(_refusal(str(text)))
        return False


def _refusal(text: str) -> Fault:
    """What a refused subscription means; a token that has expired on its way is asked for anew."""
    kind = SourceRefused if "Permission" in text else SourceUnavailable
    return kind(f"kraken {_STREAM}: {text}")
