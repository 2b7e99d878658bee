"""What all adapters over ccxt share: its clients made honest, its errors in our words.

ccxt does the wire (sessions, sockets, pings, markets, request forms, error codes). What it does
with the answers is passed by, as all of it loses something: numbers become floats, trades go into
a cache that drops bursts, a broken socket is dialled again without a word, a page of HTML reads as
an empty list. `TappedExchange` mends that in the exchange class, `CcxtSource` in the calls.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import aiohttp
import ccxt.pro  # type: ignore[import-untyped]
from ccxt.async_support.base.ws.client import Client  # type: ignore[import-untyped]

from data.clock import Clock
from data.faults import Fault, Malformed
from data.feeds.rate_budget import Allowance
from data.feeds.source import RateLimited, SourceRefused, SourceUnavailable, Traits
from data.instrument import Symbol

T = TypeVar("T")
Json = dict[str, Any]
_MOST_UNFETCHED: Final = 100_000  # messages of one subscription; a full one fails, and is repaired
_POLITENESS: Final = 1.0  # seconds that a peer gets to answer our goodbye
_TLS_LINGER: Final = 250  # ms that ccxt waits for TLS sessions to end
_THROTTLED: Final = frozenset({418, 429})
_LOCKOUT: Final = timedelta(seconds=10)  # where no term is named; who goes on asking is banned
_LEGALLY_BARRED: Final = 451
_LISTING_TRUSTED: Final = timedelta(minutes=1)  # to refuse by: a halt ends, a listing is kept
_QUOTED: Final = 200  # characters of an answer that an error repeats
_UNREADABLE: Final = (ArithmeticError, LookupError, TypeError, ValueError, Malformed)


class _TurnedAway(ccxt.RateLimitExceeded):  # type: ignore[misc]
    """An answer with status 418 or 429, and the patience that it asked for."""

    def __init__(self, text: str, retry_after: timedelta | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


def exact(text: str | bytes) -> Any:
    """JSON with fractions left as the text that they came as; whole numbers are ints.

    Raises:
        ValueError: it is no JSON.
    """
    return json.loads(text, parse_float=str)


def at_seconds(text: str | int) -> datetime:
    """The time of seconds since 1970, exact to the microsecond below.

    Raises:
        ValueError: it is no decimal number.
    """
    whole, _, fraction = str(text).partition(".")
    return datetime.fromtimestamp(int(whole), UTC) + timedelta(
        microseconds=int(f"{fraction}000000"[:6])
    )


def at_milliseconds(number: str | int) -> datetime:
    """The time of whole milliseconds since 1970."""
    seconds, rest = divmod(int(number), 1_000)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=rest)


def as_rows(answer: Any) -> list[Any]:
    """The rows of an answer that is a list; one that says something else is no empty list.

    Raises:
        TypeError: it is no list.
    """
    if not isinstance(answer, list):
        raise TypeError(f"rows were asked for, not {type(answer).__name__}")
    return answer


def fault_of(error: BaseException, asked: str) -> Fault:
    """What an error of ccxt or the network means to a caller who asked for `asked`.

    An answer that ccxt does not know (a bare `ExchangeError`) and an answer that was cut short are
    worth asking again; a refusal is only what is known to be one.
    """
    text = f"{asked}: {type(error).__name__}: {str(error)[:_QUOTED]}"
    match error:
        case Fault():
            return error
        case ccxt.RateLimitExceeded() | ccxt.DDoSProtection():
            return RateLimited(text, retry_after=getattr(error, "retry_after", None))
        case ccxt.NetworkError() if (handshake := _handshake(error)) is not None:
            patience = _patience(handshake.headers or {})
            return RateLimited(text, retry_after=patience)
        case ccxt.OperationFailed():
            return SourceUnavailable(text)
        case ccxt.ExchangeError() if type(error) is not ccxt.ExchangeError:
            return SourceRefused(text)
        case _:
            return SourceUnavailable(text)


@contextmanager
def reading(asked: str) -> Iterator[None]:
    """Turn what a surprising answer does to its reader into `SourceUnavailable`."""
    try:
        yield
    except _UNREADABLE as error:
        raise SourceUnavailable(
            f"{asked}: unreadable: {type(error).__name__}: {str(error)[:_QUOTED]}"
        ) from error


class Inbox(Generic[T]):
    """What one subscription has received and nobody has fetched yet, in order.

    It ends with the fault that ends the subscription, told after all that came before. A full one
    fails: losing the subscription is noticed and repaired, losing one message is not.
    """

    def __init__(self, name: str, *, capacity: int = _MOST_UNFETCHED) -> None:
        self.name = name
        self.client: object = None  # the connection that it hangs on
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._fault: Fault | None = None
        self._changed = asyncio.Event()

    def put(self, item: T) -> None:
        if self._fault is not None:
            return
        if len(self._items) >= self._capacity:
            self.fail(SourceUnavailable(f"{self.name}: {self._capacity} messages unfetched"))
            return
        self._items.append(item)
        self._changed.set()

    def fail(self, fault: Fault) -> None:
        """End the subscription; the first reason counts."""
        if self._fault is None:
            self._fault = fault
            self._changed.set()

    async def get(self) -> T:
        """The oldest message, when there is one.

        Raises:
            Fault: there are none left, and none will come.
        """
        while not self._items:
            if self._fault is not None:
                raise self._fault
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()


class _TappedClient(Client):  # type: ignore[misc]
    """A socket that reads numbers as they are written, and whose end is always told.

    Every end of a connection comes to `reject` without a hash; some come to nothing else.
    """

    owner: "TappedExchange"

    def handle_text_or_binary_message(self, data: str | bytes) -> None:
        try:
            self.on_message_callback(self, exact(data))
        except (*_UNREADABLE, AttributeError, ccxt.BaseError) as error:
            self.on_error(SourceUnavailable(f"{self.url}: {str(data)[:_QUOTED]}: {error}"))

    def reject(self, result: Any, message_hash: str | None = None) -> Any:
        if message_hash is None:
            self.owner.lost(self, result)
        return super().reject(result, message_hash)


class TappedExchange:
    """Goes before a ccxt.pro exchange class: `class _Kraken(TappedExchange, ccxt.pro.kraken)`.

    The class overrides ccxt's handlers (`handle_trades`, `handle_order_book`, ...) so that they
    `deliver(key, message)` what came, and opens subscriptions with `subscription`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.inboxes: dict[str, Inbox[Any]] = {}
        super().__init__(config)  # type: ignore[call-arg]

    def on_json_response(self, response_body: str) -> Any:
        return exact(response_body)

    def handle_errors(self, code: int, *answer: Any) -> Any:
        """Name what ccxt lets pass: impatience with its term, a legal bar, what is not JSON."""
        reason, url, _, headers, body, response = answer[:6]
        if code in _THROTTLED:
            raise _TurnedAway(f"{url}: {code} {body[:_QUOTED]}", _patience(headers))
        if code == _LEGALLY_BARRED:
            raise ccxt.PermissionDenied(f"{url}: {code} {body[:_QUOTED]}")
        result = super().handle_errors(code, *answer)  # type: ignore[misc]
        if response is None and code < 400:
            raise ccxt.BadResponse(f"{url}: {code} {reason}, no JSON: {body[:_QUOTED]!r}")
        return result

    def client(self, url: str) -> Any:
        client = super().client(url)  # type: ignore[misc]
        if type(client) is Client:  # ccxt names its class itself
            client.__class__ = _TappedClient
            client.owner = self
        return client

    def ws_dial_delay(self, url: str) -> float:
        return 0.0  # waiting is the live feed's, on its clock

    def on_error(self, client: Any, error: Any) -> None:
        self.lost(client, error)

    def on_close(self, client: Any, error: Any) -> None:
        self.lost(client, SourceUnavailable(f"{client.url}: closed ({error})"))

    def lost(self, client: Any, error: BaseException) -> None:
        """Forget a connection, and end the subscriptions that hang on it.

        ccxt forgets whatever has the same URL, also if that is the next connection already.
        """
        url = client.url
        if self.clients.get(url) is client:
            del self.clients[url]
        if client.ping_looper is not None:
            client.ping_looper.cancel()
        for inbox in self.inboxes.values():
            if inbox.client is client:
                inbox.fail(fault_of(error, inbox.name))

    def deliver(self, key: str, message: Any) -> None:
        """Put `message` into the inbox of `key`; one that nobody subscribed to any more is lost."""
        inbox = self.inboxes.get(key)
        if inbox is not None:
            inbox.put(message)

    @asynccontextmanager
    async def subscription(
        self, url: str, key: str, subscribe: Json | None, unsubscribe: Json | None
    ) -> AsyncIterator[Inbox[Any]]:
        """The inbox of `key`, which `subscribe`, sent to `url`, makes the venue fill.

        Without the two, the venue fills it because of the URL alone.

        Raises:
            ValueError: somebody listens to `key` already.
        """
        if key in self.inboxes:
            raise ValueError(f"{key}: subscribed to already")
        inbox: Inbox[Any] = Inbox(key)
        self.inboxes[key] = inbox
        try:
            client = inbox.client = self.client(url)
            first = self.watch_multiple(url, [key], subscribe, [key])  # type: ignore[attr-defined]
            first.add_done_callback(_retrieve)
            yield inbox
        finally:
            del self.inboxes[key]
            await _unsubscribe(client, key, unsubscribe)

    async def drop_connections(self) -> None:
        """Close every socket; its subscriptions end."""
        for client in list(self.clients.values()):
            self.lost(client, SourceUnavailable(f"{client.url}: dropped by us"))
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLITENESS):
                    await client.close()

    clients: dict[str, Any]


class CcxtSource(ABC):
    """Asks one exchange through ccxt within a budget; the adapters are subclasses.

    ccxt's own throttle is off: it counts by the machine's clock, for one client only, and would
    hide from us that we wait. The budget here counts by ours and is shared with the collectors.
    """

    traits: Traits

    def __init__(self, exchange: Any, *, clock: Clock, budget: Allowance) -> None:
        self._exchange = exchange
        self._clock = clock
        self._budget = budget
        self._loading = asyncio.Lock()
        self._listed_at: datetime | None = None  # None: the markets are to be asked for

    async def reconnect(self) -> None:
        await self._exchange.drop_connections()

    async def close(self) -> None:
        await self._exchange.drop_connections()
        await self._exchange.close()

    def forget_markets(self) -> None:
        """Ask for the markets anew before the next call: ticks and lots may have changed."""
        self._listed_at = None

    async def _ask(self, call: Callable[..., Awaitable[Any]], *args: Any, weight: float) -> Any:
        """The answer of a REST call, as `exact` reads it.

        Raises:
            SourceUnavailable, RateLimited: ask again, later.
            SourceRefused: the venue says no.
        """
        await self._budget.spend(weight)
        try:
            return await call(*args)
        except (ccxt.BaseError, aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = fault_of(error, self.traits.exchange)  # ccxt names the address
            if isinstance(fault, RateLimited):
                term = fault.retry_after
                self._budget.rest(_LOCKOUT if term is None else term)
            raise fault from error

    async def _market(self, name: str, symbol: Symbol, *, weight: float) -> Json:
        """ccxt's market of the unified `name`, loaded once; what refuses it is never old.

        Raises:
            SourceUnavailable: the markets cannot be had now.
            SourceRefused: there is no such market, or it is not traded now.
        """
        async with self._loading:  # who waits inside ccxt and is cancelled, cancels the others
            if self._is_to_be_listed(name):
                await self._ask(self._exchange.load_markets, True, weight=weight)
                self._listed_at = self._clock.now()
        objection = self._objection_to(name)
        if objection is not None:
            raise SourceRefused(f"{self.traits.exchange}: {symbol} {objection}")
        market: Json = self._exchange.markets[name]
        return market

    def _is_to_be_listed(self, name: str) -> bool:
        listed_at = self._listed_at
        if listed_at is None or self._objection_to(name) is None:
            return listed_at is None
        age = self._clock.now() - listed_at
        return not timedelta(0) <= age < _LISTING_TRUSTED

    def _objection_to(self, name: str) -> str | None:
        market: Json | None = self._exchange.markets.get(name)
        return "is not listed" if market is None else self._untraded(market["info"])

    @abstractmethod
    def _untraded(self, listing: Json) -> str | None:
        """Why what the venue lists so is not traded now, such as "is halted"; None if it is."""


def config(urls: Mapping[str, Any] | None, *, timeout: timedelta) -> Json:
    """ccxt's settings for a client of public data.

    Args:
        urls: What goes in place of ccxt's `urls["api"]`, key by key; for servers on loopback.
        timeout: Of one REST call, in the machine's time.
    """
    settings: Json = {
        "enableRateLimit": False,
        "timeout": int(timeout.total_seconds() * 1_000),
        "timeout_on_exit": _TLS_LINGER,
    }
    if urls is not None:
        settings["urls"] = {"api": dict(urls)}  # ccxt merges deeply
        settings["timeout_on_exit"] = 1
    return settings


async def _unsubscribe(client: Any, key: str, message: Json | None) -> None:
    """Tell the venue, if it still listens; a connection that is gone needs no goodbye."""
    client.subscriptions.pop(key, None)
    client.futures.pop(key, None)
    if message is None or client.closed():
        return
    with suppress(ConnectionError, TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_POLITENESS):
            await client.send(message)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Look at a future that nobody waits for: the inbox tells what became of it."""
    if not future.cancelled():
        future.exception()


def _patience(headers: Mapping[str, str]) -> timedelta | None:
    """What `Retry-After` asks for, where it does in seconds."""
    text = headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if text.isdecimal() else None


def _handshake(error: BaseException) -> aiohttp.WSServerHandshakeError | None:
    """The refused handshake inside an error of ccxt, if the venue asks for patience in it."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, aiohttp.WSServerHandshakeError) and cause.status in _THROTTLED:
        return cause
    return None
