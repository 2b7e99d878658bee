"""A venue that behaves as badly as a real one may, without ever breaking its word."""

from collections import deque
from dataclasses import replace

from execution.venue import OrderChanged, OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.paper import PaperVenue
from risk.approval import _SEAL


class FlakyVenue:
    """`venue`, behind a bad line: it times out, refuses, and tells late, twice and out of order.

    Each call fails with the chance `faults`; after `heal` none does, and what was held back comes.
    Only events told twice or out of order break the letter of the port, and so must be survived.
    """

    def __init__(self, venue, rng, *, faults=0.3):
        self._venue = venue
        self._rng = rng
        self._faults = faults
        self._held = deque()

    def __getattr__(self, name):
        return getattr(self._venue, name)

    def heal(self):
        self._faults = 0.0

    @property
    def pending(self):
        return bool(self._held) or self._venue.pending

    async def submit(self, order):
        match self._mishap("unavailable", "refused", "lost", "unanswered"):
            case "unavailable":
                raise VenueUnavailable("the line is down")
            case "refused":
                raise OrderRefused("not today")
            case "lost":
                raise OutcomeUnknown("no answer; it never got there")
            case "unanswered":
                await self._venue.submit(order)
                raise OutcomeUnknown("no answer; it got there")
        await self._venue.submit(order)

    async def cancel(self, client_order_id):
        match self._mishap("unavailable", "unanswered"):
            case "unavailable":
                raise VenueUnavailable("the line is down")
            case "unanswered":
                await self._venue.cancel(client_order_id)
                raise OutcomeUnknown("no answer; it got there")
        await self._venue.cancel(client_order_id)

    async def amend(self, client_order_id, **terms):
        match self._mishap("unavailable", "refused", "lost", "unanswered"):
            case "unavailable":
                raise VenueUnavailable("the line is down")
            case "refused":
                raise OrderRefused("not today")
            case "lost":
                raise OutcomeUnknown("no answer; it never got there")
            case "unanswered":
                await self._venue.amend(client_order_id, **terms)
                raise OutcomeUnknown("no answer; it got there")
        await self._venue.amend(client_order_id, **terms)

    async def order(self, client_order_id):
        self._refuse_to_tell()
        return await self._venue.order(client_order_id)

    async def open_orders(self):
        self._refuse_to_tell()
        return await self._venue.open_orders()

    async def fills(self, *, after=0):
        self._refuse_to_tell()
        return await self._venue.fills(after=after)

    async def charges(self, *, since=None):
        self._refuse_to_tell()
        return await self._venue.charges(since=since)

    async def balances(self):
        self._refuse_to_tell()
        return await self._venue.balances()

    def drain(self):
        self._held.extend(self._venue.drain())
        match self._mishap("late", "twice", "shuffled"):
            case "late":
                return ()
            case "twice":
                return tuple(self._held)
            case "shuffled":
                self._rng.shuffle(self._held)
        told = tuple(self._held)
        self._held.clear()
        return told

    async def wait(self):
        if not self._held:
            await self._venue.wait()

    def _mishap(self, *mishaps):
        return self._rng.choice(mishaps) if self._rng.random() < self._faults else None

    def _refuse_to_tell(self):
        if self._mishap("unavailable"):
            raise VenueUnavailable("the line is down")


class AmendingPaper(PaperVenue):
    """The paper venue, but that it attaches no stop, and changes one in place, at once."""

    amends, attaches_stops = True, False

    async def submit(self, order):
        bare = replace(order.intent, stop=None)
        await super().submit(replace(order, intent=bare, seal=_SEAL))

    async def amend(self, client_order_id, *, trigger, quantity):
        working = self._matching._state.orders.get(client_order_id)
        grid = self._matching._instruments[working.view.symbol] if working is not None else None
        if working is None or working.is_final or working.is_triggered:
            raise OrderRefused(f"{client_order_id}: there is no such stop")
        if quantity < grid.min_quantity or quantity % grid.lot or trigger % grid.tick:
            raise OrderRefused(f"{client_order_id}: off the grid")
        changed = replace(working.view, trigger=trigger, quantity=quantity)
        facts = []
        now = self._clock.now()
        self._matching._do(facts, OrderChanged(order=changed, at=now, reason="amended"))
        await self._record(facts)


class ReservingVenue:
    """`venue`, which refuses to sell what a stop may sell, as a spot exchange does; and, whatever
    stands there, the first `refusals` exits, with the first `lost` of the others left unanswered.
    """

    def __init__(self, venue, *, reserves=False, refusals=0, lost=0):
        self._venue = venue
        self._reserves = reserves
        self._refusals = refusals
        self._lost = lost
        self.exits = []  # what was asked for, taken or not

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def submit(self, order):
        if order.intent.reduce_only and order.intent.trigger is None:
            self.exits.append(order.intent.intent_id)
            await self._refuse(order.intent.symbol)
        await self._venue.submit(order)

    async def _refuse(self, symbol):
        if self._refusals:
            self._refusals -= 1
            raise OrderRefused("not today")
        stops = [o for o in await self._venue.open_orders() if o.trigger and o.symbol == symbol]
        if self._reserves and stops:
            raise OrderRefused("insufficient funds")
        if self._lost:
            self._lost -= 1
            raise OutcomeUnknown("no answer; it never got there")
