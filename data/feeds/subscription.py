"""One subscription, kept alive: watched for silence, opened anew, at last with a new socket."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar, cast

from data.clock import Clock
from data.collect.patience import Patience
from data.faults import Fault, Refused, Transient
from data.feeds.source import BookBroken, Channel, MarketSource, SourceUnavailable
from data.instrument import Symbol

T = TypeVar("T")
_REFUSED_AGAIN: Final = timedelta(minutes=1)  # a market is halted for minutes, or for good


class Silent(SourceUnavailable):
    """A subscription has said nothing for too long, though its socket may live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionHealth:
    """How one subscription does; `age` is how long ago it said something, None if it never did."""

    symbol: Symbol
    channel: Channel
    messages: int
    resubscriptions: int
    age: timedelta | None
    refused: str | None  # why the venue does not offer it now; it is asked for again


class Connection:
    """The sockets of one source, which all subscriptions share: dropped once for all of them."""

    def __init__(self, source: MarketSource) -> None:
        self._source = source
        self.drops = 0

    async def drop(self, seen: int) -> None:
        """Drop all sockets, unless somebody did since there were `seen` drops."""
        if seen == self.drops:
            self.drops += 1
            await self._source.reconnect()


class Subscription(Generic[T]):
    """Reads one stream for good; silence, errors and refusals end no more than one listening.

    Silent for `limit`, it is opened anew at once; silent again, the sockets are dropped, and from
    then on each time after a longer wait. An error waits, too, before the stream is opened anew;
    a broken book, which only needs its next snapshot, does not the first time. What is refused is
    asked for again each minute: a venue halts a market, and goes on with it.

    `proven_quiet` may vouch for a market in which nothing happens; it may ask the venue.
    """

    def __init__(
        self,
        symbol: Symbol,
        channel: Channel,
        stream: Callable[[], AsyncIterator[T]],
        take: Callable[[T], Awaitable[None]],
        *,
        interrupted: Callable[[Fault], Awaitable[None]],
        limit: timedelta,
        clock: Clock,
        patience: Patience,
        connection: Connection,
        proven_quiet: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._symbol = symbol
        self._channel = channel
        self._stream = stream
        self._take = take
        self._interrupted = interrupted
        self._limit = limit
        self._clock = clock
        self._patience = patience
        self._connection = connection
        self._proven_quiet = proven_quiet
        self._messages = 0
        self._resubscriptions = 0
        self._heard_at: datetime | None = None
        self._listens_since = clock.now()
        self._is_busy = False
        self._refused: str | None = None

    def health(self) -> SubscriptionHealth:
        heard_at = self._heard_at
        return SubscriptionHealth(
            symbol=self._symbol,
            channel=self._channel,
            messages=self._messages,
            resubscriptions=self._resubscriptions,
            age=None if heard_at is None else self._clock.now() - heard_at,
            refused=self._refused,
        )

    async def run(self) -> None:
        """Listen until cancelled."""
        failed = 0  # listenings in a row that heard nothing
        while True:
            heard, drops = self._messages, self._connection.drops
            ending = await self._listen()
            failed = 1 if self._messages > heard else failed + 1
            await self._interrupted(ending)
            await self._recover(ending, failed, drops)
            self._resubscriptions += 1

    async def _recover(self, ending: Transient | Refused, failed: int, drops: int) -> None:
        self._refused = str(ending) if isinstance(ending, Refused) else None
        if isinstance(ending, Refused):
            await self._clock.sleep(_REFUSED_AGAIN)
            return
        if failed == 1 and isinstance(ending, Silent | BookBroken):
            return
        await self._patience.rest(ending, failed)
        if isinstance(ending, Silent):
            await self._connection.drop(drops)

    async def _listen(self) -> Transient | Refused:
        """Read one stream to its end; why it ended."""
        self._listens_since = self._clock.now()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(), name=f"read-{self._channel}-{self._symbol}")
            guard = tasks.create_task(self._wait_for_silence(), name=f"guard-{self._symbol}")
            await asyncio.wait((reader, guard), return_when=asyncio.FIRST_COMPLETED)
            reader.cancel()
            guard.cancel()
        if not reader.cancelled():
            return reader.result()
        return Silent(f"{self._channel} of {self._symbol}: silent for {self._limit}")

    async def _read(self) -> Transient | Refused:
        try:
            async with aclosing(cast("AsyncGenerator[T, None]", self._stream())) as stream:
                async for item in stream:
                    self._messages += 1
                    self._heard_at = self._clock.now()
                    self._refused = None
                    self._is_busy = True
                    await self._take(item)
                    self._is_busy = False
        except (Transient, Refused) as fault:
            return fault
        finally:
            self._is_busy = False
        return SourceUnavailable(f"{self._channel} of {self._symbol}: the stream has ended")

    async def _wait_for_silence(self) -> None:
        """Return once nothing was heard for the limit, unless it was us who did not listen."""
        while True:
            began = self._listens_since
            heard_at = began if self._heard_at is None else max(self._heard_at, began)
            left = heard_at + self._limit - self._clock.now()
            if left > timedelta(0):
                await self._clock.sleep(left)
            elif self._is_busy or (self._proven_quiet is not None and await self._proven_quiet()):
                self._listens_since = self._clock.now()
            else:
                return
