"""The paper venue: orders filled from bars, on books that outlive the daemon."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Self

from data.bar import Bar
from data.clock import Clock
from data.faults import Corrupt
from data.instrument import Instrument, Symbol
from execution.fill import Fill
from execution.journal import OrderJournal
from execution.matching import Matching
from execution.order import Order
from execution.paper_terms import PaperTerms
from execution.venue import OrderChanged, OrderRefused, VenueEvent, VenueOrder
from execution.venue_state import Placed, StopTriggered, VenueFact
from risk.approval import ApprovedOrder

_MOST_EVENTS = 10_000


class PaperVenue:
    """An adapter of `execution.venue.Venue` over `execution.matching`; nothing leaves the process.

    Its journal is its own: nothing is answered or told before it is durable there, and `open`
    restores the books from it. At most 10,000 events wait to be drained; while that many do, what
    would add to them waits too, so none is lost.
    """

    attaches_stops = True

    def __init__(
        self,
        *,
        name: str,
        instruments: Mapping[Symbol, Instrument],
        terms: PaperTerms,
        balances: Mapping[str, Decimal],
        journal: OrderJournal,
        clock: Clock,
    ) -> None:
        self._name = name
        self._journal = journal
        self._clock = clock
        self._matching = Matching(
            venue=name, instruments=instruments, terms=terms, balances=balances
        )
        self._undurable: deque[VenueEvent] = deque()  # written, not known to be flushed
        self._written = self._told = 0  # events, ever
        self._events: deque[VenueEvent] = deque()
        self._has_events = asyncio.Event()
        self._was_drained = asyncio.Event()

    @classmethod
    async def open(
        cls,
        *,
        name: str,
        instruments: Mapping[Symbol, Instrument],
        terms: PaperTerms,
        balances: Mapping[str, Decimal],
        journal: OrderJournal,
        clock: Clock,
    ) -> Self:
        """The venue as its journal left it; `balances` are those at its first opening.

        What it told before and nobody drained is not told again: ask for orders and fills.

        Raises:
            Corrupt: the journal holds what no paper venue wrote.
        """
        venue = cls(
            name=name,
            instruments=instruments,
            terms=terms,
            balances=balances,
            journal=journal,
            clock=clock,
        )
        async for fact in journal.facts():
            if not isinstance(fact, Placed | StopTriggered | Fill | OrderChanged):
                raise Corrupt(f"the journal of {name} holds {fact!r}, which is not the venue's")
            venue._matching.apply(fact)
        return venue

    @property
    def name(self) -> str:
        return self._name

    @property
    def pending(self) -> bool:
        """Whether there is something to drain."""
        return bool(self._events)

    async def observe(self, bar: Bar) -> None:
        """Let a closed bar fill what it can."""
        if len(self._events) >= _MOST_EVENTS:
            await self._have_room()
        facts = self._matching.observe(bar)
        if facts:
            await self._record(facts)

    async def submit(self, order: ApprovedOrder) -> None:
        await self._have_room()
        asked = Order.of(order)
        if self._matching.order(asked.client_order_id) is not None:
            await self._settle()
            return
        if (reason := self._matching.refusal(asked)) is not None:
            raise OrderRefused(f"{self._name}: {asked.client_order_id}: {reason}")
        await self._record(self._matching.place(asked, self._clock.now()))

    async def cancel(self, client_order_id: str) -> None:
        await self._have_room()
        await self._record(self._matching.cancel(client_order_id, self._clock.now()))

    async def order(self, client_order_id: str) -> VenueOrder | None:
        await self._settle()
        return self._matching.order(client_order_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        await self._settle()
        return self._matching.open_orders

    async def fills(self, *, after: int = 0) -> Sequence[Fill]:
        await self._settle()
        return self._matching.fills(after=after)

    async def balances(self) -> Mapping[str, Decimal]:
        await self._settle()
        return self._matching.balances

    def drain(self) -> Sequence[VenueEvent]:
        if not self._events:
            return ()
        events = tuple(self._events)
        self._events.clear()
        self._has_events.clear()
        self._was_drained.set()
        return events

    async def wait(self) -> None:
        await self._has_events.wait()

    async def _have_room(self) -> None:
        while len(self._events) >= _MOST_EVENTS:
            self._was_drained.clear()
            await self._was_drained.wait()

    async def _record(self, facts: Sequence[VenueFact]) -> None:
        for fact in facts:
            self._journal.write(fact)
            if isinstance(fact, Fill | OrderChanged):
                self._undurable.append(fact)
                self._written += 1
        await self._settle()

    async def _settle(self) -> None:
        """Make what is written durable, then tell it, in order.

        A caller who is cancelled while it is flushed leaves his events to the next one.
        """
        written = self._written
        if self._told == written:
            return
        await self._journal.flush()
        while self._told < written:
            self._events.append(self._undurable.popleft())
            self._told += 1
        self._has_events.set()
