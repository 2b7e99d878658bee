"""A real exchange behind the port: sent at most once, and told once, whatever the line does.

What differs from exchange to exchange is behind `Exchange`; Kraken's is `kraken_exchange`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from data.clock import Clock
from data.faults import Refused
from data.instrument import Price, Quantity, Symbol
from execution.charge import Charge
from execution.fill import Fill
from execution.order import Order
from execution.rounding import Rounding
from execution.venue import (
    OffGrid,
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    VenueEvent,
    VenueOrder,
    VenueUnavailable,
)
from execution.venues.heard import BalanceTold, Heard, StillThere
from execution.venues.telling import Telling
from risk.approval import ApprovedOrder

_MOST_EVENTS: Final = 10_000
_REMEMBERED: Final = 16_384  # orders that we have sent
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class CcxtVenueSettings(BaseModel):
    """How a real venue is watched: the `[venue]` section of config/*.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    look_every: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=30)
    """How often orders and fills are asked for beside the stream, which may miss some."""
    first_redial: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=1)
    """Wait before a lost stream is opened again; each failure in a row doubles it."""
    stream_quiet: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=30)
    """A stream that keeps silent for so long, though it should say that it is there, is lost; and
    one that by then has not said what questions have told us."""
    relist_every: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=6)
    """How often grids, minimums and fees are read again, beside what a refusal asks for."""
    last_redial: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=60)
    """The longest of these waits."""


class Exchange(Protocol):
    """One exchange in its own words; questions raise `VenueUnavailable`, and may be repeated."""

    @property
    def name(self) -> str: ...

    @property
    def attaches_stops(self) -> bool: ...

    def holds_targets(self, symbol: Symbol) -> bool: ...

    @property
    def soonest_expiry(self) -> timedelta | None:
        """The shortest time after which it ends an order by itself; None: it never does."""
        ...

    async def place(self, order: Order, *, expires_within: timedelta | None = None) -> None:
        """Send `order`, now, whether or not it was sent before.

        Args:
            expires_within: An entry that rests has to end there by then, or is not sent; the end
                that the operator wishes (`entries_rest`) is set where the exchange can do it.

        Raises:
            VenueUnavailable, OrderRefused, OutcomeUnknown: as `Venue.submit` does.
            Withheld: it would rest, and cannot end there.
        """
        ...

    def arrives_until(self) -> datetime:
        """When an order that was sent by now, and not answered, is there or never will be."""
        ...

    async def cancel(self, client_order_id: str) -> None: ...

    async def arm(self, within: timedelta) -> None:
        """Have every order cancelled `within` this, unless armed again or disarmed.

        Raises:
            SwitchRefused: it has no switch for this account.
        """
        ...

    async def disarm(self) -> None: ...

    async def order(self, client_order_id: str) -> OrderChanged | None:
        """The order and when it last changed; None if the exchange does not know it."""
        ...

    async def open_orders(self) -> Sequence[OrderChanged]:
        """All open orders, foreign ones too, each with when it last changed."""
        ...

    async def fills(self, *, after: int) -> Sequence[Fill]:
        """The account's fills in order, foreign ones too, without the first `after` of them."""
        ...

    async def latest_fills(self, known: Callable[[str], bool]) -> Sequence[Fill]:
        """The latest fills, oldest first, page by page back to one whose id is `known`."""
        ...

    async def charges(self, *, since: datetime | None) -> Sequence[Charge]:
        """What the account was charged from `since` on, or since its books began, oldest first."""
        ...

    async def balances(self) -> Mapping[str, Decimal]: ...

    def rounding(self, asset: str) -> Rounding: ...

    @property
    def beats(self) -> bool:
        """Whether the private stream says `StillThere` when it has nothing else to say."""
        ...

    def listen(self) -> AsyncGenerator[Heard, None]:
        """What the private stream says, from now until it breaks with `VenueUnavailable`."""
        ...

    async def hang_up(self) -> None:
        """Break the private stream, if it is open."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class AmendingExchange(Protocol):
    """What an exchange may be able to do beside `Exchange`."""

    async def amend(self, client_order_id: str, *, trigger: Price, quantity: Quantity) -> None:
        """As `Venue.amend` does, whether or not it was asked before."""
        ...


class CcxtVenue:
    """An adapter of `execution.venue.Venue`; `open` it, let `run` run beside the engine, close it.

    What happened before `open` is not told: ask for orders and fills. At most 10,000 events wait to
    be drained; while that many do, nothing more is listened to or asked for.
    """

    def __init__(self, exchange: Exchange, *, clock: Clock, settings: CcxtVenueSettings) -> None:
        self._exchange = exchange
        self._amending = exchange if isinstance(exchange, AmendingExchange) else None
        self._clock = clock
        self._settings = settings
        self._telling = Telling()
        self._placing = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._sent: OrderedDict[str, datetime | None] = OrderedDict()  # None: accepted
        self._has_events = asyncio.Event()
        self._was_drained = asyncio.Event()
        self._should_look = asyncio.Event()
        self._stream_since: datetime | None = None  # None: it is not open, or has said nothing
        self._heard_at: datetime | None = None
        self._given_up: VenueUnavailable | None = None  # why we break the stream ourselves
        self.moved = asyncio.Event()  # set where a balance changes, but not by trading
        self.off_grid = asyncio.Event()  # set by a refusal for size or price
        self.entries_expire: timedelta | None = None  # set by whoever guards them
        self.faults = 0  # of the stream, of looking and of replacing, so far
        self.last_fault: VenueUnavailable | OutcomeUnknown | None = None

    @property
    def name(self) -> str:
        return self._exchange.name

    @property
    def attaches_stops(self) -> bool:
        return self._exchange.attaches_stops

    def holds_targets(self, symbol: Symbol) -> bool:
        return self._exchange.holds_targets(symbol)

    async def open(self) -> None:
        """Learn what there is already.

        Raises:
            VenueUnavailable: try again.
            KeyRefused: the key is wrong.
        """
        for change in await self._exchange.open_orders():
            self._telling.know_order(change.order)
        for fill in await self._exchange.latest_fills(lambda _: True):
            self._telling.know_fill(fill)

    async def close(self) -> None:
        await self._exchange.close()

    async def submit(self, order: ApprovedOrder) -> None:
        asked = Order.of(order)
        async with self._placing:
            if await self._is_there(asked.client_order_id):
                return
            if asked.replaces is None:
                await self._place(asked)
            else:
                await self._place_instead(asked, asked.replaces)

    async def cancel(self, client_order_id: str) -> None:
        await self._exchange.cancel(client_order_id)

    @property
    def amends(self) -> bool:
        return self._amending is not None

    async def amend(self, client_order_id: str, *, trigger: Price, quantity: Quantity) -> None:
        if self._amending is None:
            raise OrderRefused(f"{self.name}: {client_order_id}: nothing is amended here")
        try:
            await self._amending.amend(client_order_id, trigger=trigger, quantity=quantity)
        except OffGrid:
            self.off_grid.set()
            raise
        except (OutcomeUnknown, asyncio.CancelledError):
            self._should_look.set()
            raise

    def expires(self, within: timedelta) -> bool:
        """Whether the exchange can end an entry by itself so soon."""
        soonest = self._exchange.soonest_expiry
        return soonest is not None and within > soonest

    async def arm(self, within: timedelta) -> None:
        """Have the exchange cancel every order of the account then, if it hears no more of us."""
        await self._exchange.arm(within)

    async def disarm(self) -> None:
        """Take that back."""
        await self._exchange.disarm()

    async def order(self, client_order_id: str) -> VenueOrder | None:
        change = await self._exchange.order(client_order_id)
        return None if change is None else change.order

    async def open_orders(self) -> Sequence[VenueOrder]:
        return [change.order for change in await self._exchange.open_orders()]

    async def fills(self, *, after: int = 0) -> Sequence[Fill]:
        return [self._telling.as_told(fill) for fill in await self._exchange.fills(after=after)]

    async def charges(self, *, since: datetime | None = None) -> Sequence[Charge]:
        return await self._exchange.charges(since=since)

    async def balances(self) -> Mapping[str, Decimal]:
        return await self._exchange.balances()

    def rounding(self, asset: str) -> Rounding:
        return self._exchange.rounding(asset)

    @property
    def pending(self) -> bool:
        return bool(self._telling.size)

    def drain(self) -> Sequence[VenueEvent]:
        if not self._telling.size:
            return ()
        self._has_events.clear()
        self._was_drained.set()
        return self._telling.drain()

    async def wait(self) -> None:
        await self._has_events.wait()

    async def run(self) -> None:
        """Listen and look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name=f"{self.name}-listen")
            tasks.create_task(self._keep_looking(), name=f"{self.name}-look")
            tasks.create_task(self._remind(), name=f"{self.name}-remind")
            tasks.create_task(self._keep_fresh(), name=f"{self.name}-fresh")

    async def look(self) -> None:
        """Ask for what the stream may not have told, and hear the answers.

        Raises:
            VenueUnavailable: some of it could not be had; what was is heard.
        """
        async with self._looking:
            await self._have_room()
            before, working = self._telling.size, self._telling.working
            changes = {c.order.client_order_id: c for c in await self._exchange.open_orders()}
            await self._hear_latest_fills()
            for change in changes.values():
                await self._hear_answer(change)
            for client_order_id in working:
                if client_order_id not in changes:
                    await self._ask_after(client_order_id)
            if self._is_deaf(self._telling.since(before)):
                await self._redial("the stream has not told what questions have")

    async def _is_there(self, client_order_id: str) -> bool:
        """Whether an order was accepted; one that may yet arrive is neither there nor not."""
        if client_order_id not in self._sent:
            return False
        until = self._sent[client_order_id]
        if until is None:
            return True
        may_arrive = self._clock.now() < until  # before it is asked: it may arrive meanwhile
        if await self._exchange.order(client_order_id) is not None:
            self._sent[client_order_id] = None
            return True
        if may_arrive:
            raise VenueUnavailable(f"{self.name}: {client_order_id} may still arrive")
        return False

    async def _place(self, asked: Order) -> None:
        """Send it; from before that until it has an answer, it counts as perhaps sent."""
        client_order_id = asked.client_order_id
        self._remember(client_order_id, _NEVER)
        try:
            await self._exchange.place(asked, expires_within=self.entries_expire)
        except (VenueUnavailable, Refused) as fault:
            del self._sent[client_order_id]
            if isinstance(fault, OffGrid):
                self.off_grid.set()
            raise
        except (OutcomeUnknown, asyncio.CancelledError):
            self._remember(client_order_id, self._exchange.arrives_until())
            self._telling.expect_order(client_order_id)
            self._should_look.set()
            raise
        self._remember(client_order_id, None)
        self._telling.expect_order(client_order_id)

    async def _place_instead(self, asked: Order, replaced: str) -> None:
        """Place a stop, then cancel the one before it; one that has begun to fill stays.

        Where the cancellation fails, both stand: the looser is superfluous, so that protection
        cancels it.
        """
        before = await self._exchange.order(replaced)
        if before is not None and before.order.filled and not before.order.status.is_final:
            raise OrderRefused(
                f"{self.name}: {asked.client_order_id}: {replaced}, which it replaces, "
                f"has been triggered"
            )
        await self._place(asked)
        try:
            await self._exchange.cancel(replaced)
        except (VenueUnavailable, OutcomeUnknown) as fault:
            self._note(fault)

    def _remember(self, client_order_id: str, until: datetime | None) -> None:
        self._sent[client_order_id] = until
        self._sent.move_to_end(client_order_id)
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    async def _listen(self) -> None:
        delay = self._settings.first_redial
        while True:
            try:
                async with aclosing(self._exchange.listen()) as events:
                    async for event in events:
                        await self._have_room()
                        self._take(event)
                        delay = self._settings.first_redial
            except VenueUnavailable as fault:
                self._note(self._given_up or fault)
            self._stream_since = self._heard_at = self._given_up = None
            self._should_look.set()
            await self._clock.sleep(delay)
            delay = min(delay * 2, self._settings.last_redial)

    def _take(self, heard: Heard) -> None:
        """Take in what the stream says."""
        now = self._clock.now()
        self._heard_at, self._stream_since = now, self._stream_since or now
        match heard:
            case StillThere():
                pass
            case BalanceTold():
                if not heard.by_trading:
                    self.moved.set()
            case _:
                self._hear(heard)

    async def _keep_fresh(self) -> None:
        """Give up a stream that is open and says nothing any more."""
        while True:
            await self._clock.sleep(self._settings.stream_quiet / 2)
            heard_at = self._heard_at
            if not self._exchange.beats or heard_at is None:
                continue
            quiet = self._clock.now() - heard_at
            if quiet > self._settings.stream_quiet:
                await self._redial(f"the stream has been silent for {quiet}")

    def _is_deaf(self, news: Sequence[VenueEvent]) -> bool:
        """Whether there is something in what questions have told that the stream, which was open
        then, should have said long ago."""
        since, latest = self._stream_since, self._clock.now() - self._settings.stream_quiet
        return since is not None and any(since < _happened_at(event) < latest for event in news)

    async def _redial(self, why: str) -> None:
        self._given_up = VenueUnavailable(f"{self.name}: {why}")
        self._stream_since = self._heard_at = None
        await self._exchange.hang_up()

    async def _keep_looking(self) -> None:
        while True:
            await self._should_look.wait()
            self._should_look.clear()
            try:
                await self.look()
            except VenueUnavailable as fault:
                self._note(fault)

    async def _remind(self) -> None:
        while True:
            await self._clock.sleep(self._settings.look_every)
            self._should_look.set()

    async def _hear_latest_fills(self) -> None:
        for fill in await self._exchange.latest_fills(self._telling.has_fill):
            self._hear(fill)

    async def _ask_after(self, client_order_id: str) -> None:
        change = await self._exchange.order(client_order_id)
        if change is not None:
            await self._hear_answer(change)
        elif not self._may_arrive(client_order_id):
            self._telling.forget_order(client_order_id)

    async def _hear_answer(self, change: OrderChanged) -> None:
        """Hear what was asked for; an order of another life may have filled before ours began."""
        if self._telling.awaits_fills(change.order):
            await self._hear_latest_fills()
            self._telling.know_past(change.order)
        self._hear(change)

    def _may_arrive(self, client_order_id: str) -> bool:
        """Whether an order that the exchange does not know is there all the same, or will be."""
        if client_order_id not in self._sent:
            return False
        until = self._sent[client_order_id]
        return until is None or self._clock.now() < until

    def _note(self, fault: VenueUnavailable | OutcomeUnknown) -> None:
        self.faults += 1
        self.last_fault = fault

    def _hear(self, event: VenueEvent) -> None:
        self._telling.hear(event)
        if self._telling.size:
            self._has_events.set()

    async def _have_room(self) -> None:
        while self._telling.size >= _MOST_EVENTS:
            self._was_drained.clear()
            await self._was_drained.wait()


def _happened_at(event: VenueEvent) -> datetime:
    return event.filled_at if isinstance(event, Fill) else event.at
