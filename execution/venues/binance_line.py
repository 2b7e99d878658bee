"""The signed line to Binance's USD-M futures: keys, requests, and the user data stream.

ccxt signs and carries the requests, each asked for by the name of its endpoint. Its unified calls
are passed by: they give an order without a client id one of ccxt's own, send wallet requests beside
`load_markets` once there is a key, and know no dead man's switch for Binance.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

import ccxt.pro  # type: ignore[import-untyped]

from data.clock import Clock
from data.faults import Fault
from data.feeds.ccxt_source import Inbox, Json, TappedExchange, as_rows, config
from data.feeds.source import SourceUnavailable
from data.instrument import Symbol
from execution.venues.answers import FAILURES, KeyRefused, in_short, reading
from execution.venues.binance_answers import Said, asking_fault, has_no_stream, patience
from execution.venues.binance_limits import BinanceLimits
from execution.venues.binance_rows import milliseconds, perpetuals
from execution.venues.binance_settings import key_names
from execution.venues.binance_wire import Form

_STREAM: Final = "user data"
_KEEP_ALIVE_EVERY: Final = timedelta(minutes=30)  # a stream's key lives for 60
_HIDDEN: Final = "***"
_TELLING: Final = re.compile(r"""((?:listenKey|signature)["']?\s*[=:]\s*["']?)[^&\s"']+""")
_THROTTLED: Final = frozenset({418, 429})

_SILENT: Final = logging.getLogger("sextant.binance.unsaid")
_SILENT.disabled = True  # ccxt logs keys and signatures with every request, at DEBUG


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A key of the API with its secret; neither is ever shown."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str], *, testnet: bool) -> Self:
        """The keys in BINANCE_API_KEY and BINANCE_API_SECRET, or BINANCE_TESTNET_API_...

        Raises:
            KeyRefused: one is missing.
        """
        names = key_names(testnet=testnet)
        if missing := [name for name in names if not environment.get(name)]:
            raise KeyRefused(
                f"{' and '.join(missing)} not set in the environment; .env.example has all names"
            )
        return cls(key=environment[names[0]], secret=environment[names[1]])


class BinanceLine:
    """Requests to one account, within its limits.

    Args:
        receive_window: How old a request may be when it arrives; an older one is turned away.
        testnet: The venue's play-money market, which its demo trading has become.
        urls: In place of the real ones: `fapiPublic`, `fapiPrivate`, `fapiPrivateV3`, `sapi`, and
            `ws` with `linear`.
        timeout: Of one request.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        clock: Clock,
        limits: BinanceLimits,
        receive_window: timedelta,
        testnet: bool = False,
        urls: Mapping[str, Any] | None = None,
        timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        settings = config(urls, timeout=timeout)
        settings["options"] = {"recvWindow": receive_window // timedelta(milliseconds=1)}
        self._exchange = _Binance(keys, settings, clock)
        if testnet:
            self._exchange.enable_demo_trading(True)
            api = self._exchange.urls["api"]
            self._exchange.urls["api"] = self._exchange.deep_extend(api, urls or {})
        self.testnet = testnet
        self.name = "binanceusdm_testnet" if testnet else "binanceusdm"
        self._clock = clock
        self._limits = limits
        self._loading = asyncio.Lock()
        self._listings: dict[Symbol, Json] = {}
        self._symbols: dict[str, Symbol] = {}  # by market id
        self._kept_alive_at: datetime | None = None  # None: there is no stream

    async def close(self) -> None:
        await self._exchange.drop_connections()
        await self._exchange.close()

    async def ask(self, method: str, query: Form | None = None) -> Any:
        """The answer to a question, or to what may be asked again without harm.

        Raises:
            VenueUnavailable: ask again, later.
            KeyRefused: the key is wrong, or may not.
        """
        await self._limits.ask(method)
        try:
            return await self.send(method, query or {})
        except FAILURES as error:
            raise asking_fault(error, f"{self.name} {method}") from error

    async def send(self, method: str, form: Form) -> Any:
        """The answer to a request by ccxt's name of its endpoint; its weight is spent already.

        Raises:
            Said: Binance has answered with an error.
            BaseError, ClientError, OSError, TimeoutError: ccxt's and the network's own, unjudged.
        """
        try:
            return await getattr(self._exchange, method)(dict(form))
        except FAILURES as error:
            if (delay := patience(error)) is not None:
                self._limits.rest(delay)
            raise

    async def listings(self, *, anew: bool = False) -> Mapping[Symbol, Json]:
        """The perpetual contracts of exchangeInfo as Binance wrote them.

        Raises:
            VenueUnavailable: ask again, later.
        """
        async with self._loading:
            if anew or not self._listings:
                told = await self.ask("fapiPublicGetExchangeInfo")
                with reading(f"{self.name} exchangeInfo"):
                    self._listings = {symbol: dict(row) for symbol, row in perpetuals(told).items()}
                    self._symbols = {row["symbol"]: name for name, row in self._listings.items()}
        return self._listings

    async def market_ids(self, symbols: Iterable[Symbol]) -> dict[Symbol, str]:
        """Binance's names of these markets.

        Raises:
            KeyError: it does not list one.
            VenueUnavailable: ask again, later.
        """
        listings = await self.listings()
        return {symbol: str(listings[symbol]["symbol"]) for symbol in symbols}

    async def rows(self, method: str, query: Form | None = None) -> list[Json]:
        """The answer to a question, as `ask` gets it, if it is a list."""
        told = await self.ask(method, query)
        with reading(f"{self.name} {method}"):
            return as_rows(told)

    @property
    def symbols(self) -> Mapping[str, Symbol]:
        """Our symbols by Binance's names of the markets, as far as they are loaded."""
        return self._symbols

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Inbox[Json]]:
        """The user data stream, from now on; keep it alive.

        Raises:
            VenueUnavailable: it cannot be opened now.
            KeyRefused: the key may not open it.
        """
        told = await self.ask("fapiPrivatePostListenKey")
        with reading(f"{self.name} listenKey"):
            listen_key = str(told["listenKey"])
        self._kept_alive_at = self._clock.now()
        try:
            async with self._exchange.user_data(listen_key) as inbox:
                yield inbox
        finally:
            self._kept_alive_at = None

    def hang_up(self) -> None:
        """End the stream, if it is open."""
        self._exchange.end_stream("given up by us")

    async def keep_alive(self) -> None:
        """Have an open stream live on, if half of its hour is over; one that is dead ends.

        Raises:
            VenueUnavailable, KeyRefused: as `ask` does.
        """
        now = self._clock.now()
        if self._kept_alive_at is None or now - self._kept_alive_at < _KEEP_ALIVE_EVERY:
            return
        await self._limits.ask("fapiPrivatePutListenKey")
        try:
            await self.send("fapiPrivatePutListenKey", {})
        except FAILURES as error:
            if not has_no_stream(error):
                raise asking_fault(error, f"{self.name} listenKey") from error
            self._exchange.end_stream("its key has expired")
        else:
            self._kept_alive_at = now


class _Binance(TappedExchange, ccxt.pro.binanceusdm):  # type: ignore[misc]
    """ccxt's client: on our clock, errors by Binance's codes, nothing secret in what it says."""

    def __init__(self, keys: Keys, settings: Mapping[str, Any], clock: Clock) -> None:
        super().__init__({**settings, "apiKey": keys.key, "secret": keys.secret})
        self.logger = _SILENT
        self._our_clock = clock

    def nonce(self) -> int:
        """The timestamp of a request, by which Binance reckons its age."""
        return milliseconds(self._our_clock.now())

    async def fetch(self, *request: Any, **options: Any) -> Any:
        try:
            return await super().fetch(*request, **options)
        except ccxt.BaseError as error:
            error.args = tuple(self._veiled(str(word)) for word in error.args)
            raise

    def handle_errors(self, code: int, *answer: Any) -> Any:
        """Errors of Binance's as `Said`, but for pleas for patience, which have a term."""
        response = answer[5]
        if code not in _THROTTLED and isinstance(response, dict):
            told = str(response.get("code", ""))
            if told.startswith("-") and told[1:].isdecimal():
                raise Said(int(told), self._veiled(str(response.get("msg"))), status=code)
        return super().handle_errors(code, *answer)

    @asynccontextmanager
    async def user_data(self, listen_key: str) -> AsyncIterator[Inbox[Json]]:
        """What comes over the socket of that key, which needs no subscription."""
        url = self.get_private_ws_url("linear", listen_key)
        try:
            async with self.subscription(url, _STREAM, None, None) as inbox:
                yield inbox
        finally:
            await self.drop_connections()

    def end_stream(self, reason: str) -> None:
        inbox = self.inboxes.get(_STREAM)
        if inbox is not None:
            inbox.fail(SourceUnavailable(f"binance {_STREAM}: {reason}"))

    def lost(self, client: Any, error: BaseException) -> None:
        """End the stream; the address of its socket is a secret, and in all that ccxt says."""
        text = self._veiled(in_short(error))
        fault: Fault = SourceUnavailable(f"binance {_STREAM}: {text}")
        super().lost(client, fault)

    def handle_message(self, client: Any, message: Any) -> None:
        match message:
            case {"e": "listenKeyExpired"}:
                self.end_stream("its key has expired")
            case {"e": str()}:
                self.deliver(_STREAM, message)
            case _:
                pass  # nothing that was asked for

    def _veiled(self, text: str) -> str:
        shown = text.replace(self.apiKey, _HIDDEN).replace(self.secret, _HIDDEN)
        return _TELLING.sub(rf"\1{_HIDDEN}", shown)
