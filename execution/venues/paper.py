"""The paper venue: orders filled from a live market or from bars, on books that outlive the daemon.

Over a live exchange its order books and trades fill (`execution.live_matching`). Where there are
none, in a replay or on a made-up market, closed bars do: the fallback, and `source` says so.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self

from data.bar import Bar
from data.clock import Clock
from data.faults import Corrupt
from data.funding import FundingRate
from data.instrument import Instrument, Price, Quantity, Side, Symbol
from data.order_book import OrderBook
from data.trade import Trade
from execution.charge import Charge
from execution.fill import Fill
from execution.journal import OrderJournal
from execution.liquidation import LIQUIDATION
from execution.live_matching import BookTerms, LiveMatching
from execution.matching import Matching
from execution.order import Order
from execution.paper_charges import NO_MARGIN_FEES, PaperCharges
from execution.paper_costs import MarginRates
from execution.paper_margin import Liquidation, MarginWatch
from execution.paper_terms import PaperTerms
from execution.rounding import KEEPS_ALL, Rounding
from execution.venue import OrderChanged, OrderRefused, VenueEvent, VenueOrder
from execution.venue_books import VenueBooks
from execution.venue_state import CancelSent, Placed, StopTriggered, VenueFact
from risk.approval import ApprovedOrder
from risk.intent import Purpose

_MOST_EVENTS = 10_000


class PaperVenue:
    """An adapter of `execution.venue.Venue` over a matching core; nothing leaves the process.

    With `book_terms` order books and trades fill: `hear` takes them, and `run` has to run.

    Its journal is its own: nothing is answered or told before it is durable there, and `open`
    restores the books from it. At most 10,000 events wait to be drained; while that many do, what
    would add to them waits too, so none is lost.
    """

    attaches_stops = True
    amends = False  # orders and their ends travel here, and amendments would have to as well

    def __init__(
        self,
        *,
        name: str,
        instruments: Mapping[Symbol, Instrument],
        terms: PaperTerms,
        balances: Mapping[str, Decimal],
        journal: OrderJournal,
        clock: Clock,
        margin: MarginRates = NO_MARGIN_FEES,
        book_terms: BookTerms | None = None,
    ) -> None:
        self._name = name
        self._journal = journal
        self._clock = clock
        self._books = VenueBooks(balances)
        self._live: LiveMatching | None = None
        self._matching = Matching(
            venue=name, instruments=instruments, terms=terms, balances={}, books=self._books
        )
        if book_terms is not None:
            self._matching = self._live = LiveMatching(
                venue=name,
                instruments=instruments,
                terms=terms,
                book_terms=book_terms,
                balances={},
                books=self._books,
            )
        self._has_sent = asyncio.Event()
        self._charges = PaperCharges(instruments, margin)
        self._margin = MarginWatch(
            instruments,
            self._charges.positions,
            self._books,
            lends=bool(margin.opening or margin.rollover),
        )
        self._owed: tuple[Charge, ...] = ()  # for fills that a crash has left on record alone
        self._undurable: deque[VenueEvent | Charge] = deque()  # written, not known to be flushed
        self._written = self._told = 0  # events, ever
        self._events: deque[VenueEvent | Charge] = deque()
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
        margin: MarginRates = NO_MARGIN_FEES,
        book_terms: BookTerms | None = None,
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
            margin=margin,
            book_terms=book_terms,
        )
        owed: dict[str, Charge] = {}
        async for fact in journal.facts():
            match fact:
                case Charge():
                    owed.pop(fact.charge_id, None)
                    venue._take_charge(fact)
                case Placed() | StopTriggered() | CancelSent() | Fill() | OrderChanged():
                    if isinstance(fact, Placed):
                        venue._announce(fact.order)
                    venue._matching.apply(fact)
                    owed |= venue._opening(fact)
                case _:
                    raise Corrupt(f"the journal of {name} holds {fact!r}, which is not the venue's")
        venue._owed = tuple(owed.values())
        return venue

    @property
    def name(self) -> str:
        return self._name

    def holds_targets(self, symbol: Symbol) -> bool:
        return True

    @property
    def source(self) -> str:
        """What fills its orders."""
        return "closed bars" if self._live is None else "order books and trades"

    @property
    def pending(self) -> bool:
        """Whether there is something to drain."""
        return bool(self._events)

    async def observe(self, bar: Bar) -> None:
        """Let a closed bar fill what it can."""
        if len(self._events) >= _MOST_EVENTS:
            await self._have_room()
        due = self._charges.due(bar)
        if due or self._owed:
            owed, self._owed = self._owed, ()
            await self._record(self._charged((*owed, *due)))
        if self._live is not None:
            await self._keep(self._live.pass_time(self._clock.now()))
        facts = self._matching.observe(bar)
        if facts:
            await self._keep(facts)
        if self._charges.positions:
            liquidation = self._margin.due(bar, self._matching.last_prices)
            if liquidation is not None:
                await self._liquidate(liquidation)

    async def hear(self, told: OrderBook | Trade) -> None:
        """Let a book or a trade of the live market fill what it can; on bars alone nothing does."""
        if self._live is None:
            return
        await self._have_room()
        now = self._clock.now()
        if isinstance(told, OrderBook):
            await self._keep(self._live.show(told, now))
        else:
            await self._keep(self._live.hear(told, now))

    async def run(self) -> None:
        """Let what is on its way to a live market arrive in time, until cancelled."""
        while self._live is not None:
            due = self._live.next_due
            if due is None:
                self._has_sent.clear()
                await self._has_sent.wait()
                continue
            await self._clock.sleep_until(due)
            await self._have_room()
            await self._keep(self._live.pass_time(self._clock.now()))

    def note(self, rate: FundingRate) -> None:
        """Let positions in the symbol pay, or receive, `rate` when its time has come."""
        self._charges.note(rate)

    async def submit(self, order: ApprovedOrder) -> None:
        await self._have_room()
        asked = Order.of(order)
        if self._matching.order(asked.client_order_id) is not None:
            await self._settle()
            return
        self._announce(asked)
        if (reason := self._matching.refusal(asked)) is not None:
            raise OrderRefused(f"{self._name}: {asked.client_order_id}: {reason}")
        await self._record(self._matching.place(asked, self._clock.now()))
        self._has_sent.set()

    async def cancel(self, client_order_id: str) -> None:
        await self._have_room()
        await self._record(self._matching.cancel(client_order_id, self._clock.now()))
        self._has_sent.set()

    async def amend(self, client_order_id: str, *, trigger: Price, quantity: Quantity) -> None:
        raise OrderRefused(f"{self._name}: {client_order_id}: nothing is amended here")

    async def order(self, client_order_id: str) -> VenueOrder | None:
        await self._settle()
        return self._matching.order(client_order_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        await self._settle()
        return self._matching.open_orders

    async def fills(self, *, after: int = 0) -> Sequence[Fill]:
        await self._settle()
        return self._matching.fills(after=after)

    async def charges(self, *, since: datetime | None = None) -> Sequence[Charge]:
        await self._settle()
        charges = self._charges.charges
        found = (charge for charge in charges if since is None or charge.charged_at >= since)
        return sorted(found, key=lambda charge: charge.charged_at)

    async def balances(self) -> Mapping[str, Decimal]:
        await self._settle()
        return self._matching.balances

    def rounding(self, asset: str) -> Rounding:
        return KEEPS_ALL

    def drain(self) -> Sequence[VenueEvent | Charge]:
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

    def _announce(self, order: Order) -> None:
        if order.purpose.exchanges:
            self._books.exchange(order.client_order_id)

    async def _liquidate(self, due: Liquidation) -> None:
        """Have the venue end a position at market, once: an order of its own, not of ours."""
        name = uuid.uuid5(uuid.NAMESPACE_OID, f"{due.symbol} {due.opened_at.isoformat()}")
        now = self._clock.now()
        order = Order(
            client_order_id=str(name),
            strategy_id=LIQUIDATION,
            symbol=due.symbol,
            side=Side.of(-due.quantity),
            quantity=Quantity(abs(due.quantity)),
            purpose=Purpose.EXIT,
            trigger=None,
            limit=None,
            stop=None,
            reduce_only=True,
            approved_at=now,
            thesis=due.reason,
        )
        await self._keep(self._matching.place(order, now))
        self._has_sent.set()

    async def _keep(self, facts: Sequence[VenueFact]) -> None:
        """Record what happened, and what opening costs of what was opened."""
        if facts:
            self._margin.forget()
            await self._record([*facts, *self._openings(facts)])

    def _openings(self, facts: Sequence[VenueFact]) -> list[Charge]:
        """What opening costs, of what was opened just now."""
        owed: dict[str, Charge] = {}
        for fact in facts:
            owed |= self._opening(fact)
        return self._charged(owed.values())

    def _opening(self, fact: VenueFact) -> dict[str, Charge]:
        """What opening costs, by its id; empty where nothing was opened."""
        if not isinstance(fact, Fill) or self._books.is_exchange(fact.client_order_id):
            return {}
        charge = self._charges.take(fact)
        return {} if charge is None else {charge.charge_id: charge}

    def _charged(self, charges: Iterable[Charge]) -> list[Charge]:
        made = list(charges)
        for charge in made:
            self._take_charge(charge)
        return made

    def _take_charge(self, charge: Charge) -> None:
        self._charges.apply(charge)
        self._margin.forget()
        self._books.charge(charge)

    async def _record(self, facts: Sequence[VenueFact | Charge]) -> None:
        told = self._written
        for fact in facts:
            self._journal.write(fact)
            if isinstance(fact, Fill | OrderChanged | Charge):
                self._undurable.append(fact)
                self._written += 1
        if facts and self._written == told:  # nobody is told, and it is durable all the same
            await self._journal.flush()
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
