"""The dead man's switch: what takes resting entries back once this process is no more.

A venue's switch cancels every order of the account: stops that guard positions, and orders that
others have placed, too. So it is armed only while neither can be hit; elsewhere each entry that
rests carries its own end at the venue. Where neither can be, no entry may rest.

    guard    is chosen while                                         and an entry that rests
    idle     no entry rests                                          -
    switch   nothing but entries rests, and the venue has a switch   stays; the switch is renewed
    expiry   else, where the venue ends orders in time; stays so     ends within the deadline, and
             until no entry rests                                    is then for its desk to repeat
    none     else                                                    is dropped, or turned away

What was placed under the switch carries no end of its own: it is dropped before the switch is taken
back for a stop's sake.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.clock import Clock
from execution.engine import Engine
from execution.journal import OrderJournal
from execution.order import Order
from execution.tracking import TrackedOrder
from execution.venue import (
    OrderChanged,
    SwitchRefused,
    VenueOrder,
    VenueUnavailable,
    Withheld,
)
from risk.approval import ApprovedOrder


class DeadManSettings(BaseModel):
    """`[venue.dead_man]`: how long an entry may outlive us."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    deadline: Annotated[timedelta, Field(ge=timedelta(seconds=10), le=timedelta(days=1))]
    """So long after we were last heard of, no entry of ours rests at the venue. All switches take
    spans of this range."""
    renew_every: Annotated[timedelta, Field(gt=timedelta(0))]
    """How often the venue is told that we live: at least twice within the deadline."""

    @model_validator(mode="after")
    def _survives_a_lost_renewal(self) -> Self:
        if 2 * self.renew_every > self.deadline:
            raise ValueError("renew_every: more than half of the deadline; one that is lost kills")
        return self


class Guard(StrEnum):
    """What takes resting entries back if we die."""

    IDLE = "idle"
    SWITCH = "switch"
    EXPIRY = "expiry"
    NONE = "none"


UNTOLD = Guard.SWITCH
"""What counts before the first record: whatever rests then may carry no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the choice rests on, beside our own orders."""

    has_switch: bool
    expires: bool  # the venue can end an order within the deadline
    attaches_stops: bool  # an entry's stop is there with its first fill, whether or not we live
    foreign: tuple[str, ...]  # open orders of others, by their ids, sorted
    stopping: bool = False  # we are about to go


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardChanged:
    """From now on resting entries are guarded so; a fact in the journal."""

    at: datetime
    guard: Guard
    dropped: tuple[str, ...]  # entries that would rest unguarded: they are being cancelled
    means: Means


def chosen(before: Guard, orders: Sequence[TrackedOrder], means: Means) -> Guard:
    """What guards the entries among `orders`, those that wait to be sent included."""
    if not any(is_resting_entry(order) for order in orders):
        return Guard.IDLE
    if before is Guard.EXPIRY:
        return Guard.EXPIRY
    if means.stopping:
        return Guard.NONE
    if means.has_switch and not means.foreign and not any(_is_hit(o, means) for o in orders):
        return Guard.SWITCH
    return Guard.EXPIRY if means.expires else Guard.NONE


def unguarded(
    before: Guard, after: Guard, orders: Sequence[TrackedOrder], waiting: Collection[str]
) -> tuple[str, ...]:
    """The entries that were sent under the switch and are without it now, oldest first.

    Args:
        waiting: Orders that have yet to be sent; they go out under `after`.
    """
    if before is not Guard.SWITCH or after in (Guard.SWITCH, Guard.IDLE):
        return ()
    return tuple(
        order.client_order_id
        for order in orders
        if is_resting_entry(order) and not order.cancelling and order.client_order_id not in waiting
    )


def is_resting_entry(order: TrackedOrder) -> bool:
    """Whether it adds exposure, and waits at the venue for its price; or may do so soon."""
    return order.order.rests and not order.order.reduce_only and not order.status.is_final


def _is_hit(order: TrackedOrder, means: Means) -> bool:
    """Whether the switch would take something from a position: its stop, its exit, or the stop
    that its entry brings along."""
    if order.status.is_final:
        return False
    asked = order.order
    brings_stop = means.attaches_stops and asked.stop is not None
    return brings_stop or (asked.reduce_only and asked.rests)


class GuardedVenue(Protocol):
    """What a venue needs beside `execution.venue.Venue` for its entries to be guarded."""

    entries_expire: timedelta | None
    """So long after it is placed, an entry that rests has to end at the venue, or is not sent
    there; None: it may stay, or end when the operator wishes."""

    @property
    def attaches_stops(self) -> bool: ...

    def expires(self, within: timedelta) -> bool:
        """Whether it can end an order by itself so soon."""
        ...

    async def open_orders(self) -> Sequence[VenueOrder]: ...

    async def arm(self, within: timedelta) -> None:
        """Have every order of the account cancelled `within` this, unless armed again or disarmed:
        stops, and what others have placed, too.

        Raises:
            SwitchRefused: it has no switch for us.
            VenueUnavailable: it may or may not be armed; repeat it.
        """
        ...

    async def disarm(self) -> None:
        """Take that back, whether or not it was armed; raises as `arm` does."""
        ...


class DeadMan:
    """Keeps the guard of one account's entries; `run` it beside the engine, whose guardian it is.

    Args:
        guard: The last one on record.
    """

    def __init__(
        self,
        engine: Engine,
        venue: GuardedVenue,
        *,
        settings: DeadManSettings,
        journal: OrderJournal,
        clock: Clock,
        guard: Guard,
    ) -> None:
        self.guard = guard
        self.faults = 0  # times that the venue could not be asked or told
        self.last_fault: VenueUnavailable | None = None
        self._engine = engine
        self._venue = venue
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._has_switch = True
        self._foreign: set[str] = set()
        self._is_stopping = False
        self._may_be_armed = True  # by the life before
        self._renew_at: datetime | None = None  # None: at once
        self._wake = asyncio.Event()
        self._wake.set()
        engine.guardian = self
        self._take_up(guard)

    def heard(self, fact: object) -> None:
        """Take note of what went on record: an order of others, or one of ours that changes all."""
        if isinstance(fact, OrderChanged):
            name = fact.order.client_order_id
            if fact.order.status.is_final:
                self._foreign.discard(name)
            elif self._engine.blotter.find(name) is None:
                self._foreign.add(name)
        self._wake.set()

    async def before(self, approved: ApprovedOrder) -> None:
        """See to the guard before `approved` goes out; the outbox's `wire` is held.

        What reduces never waits for this: where the switch cannot be taken back now, that is tried
        again, and the stop stands until the switch goes off.

        Raises:
            Withheld: an entry would rest, and nothing would take it back.
            VenueUnavailable: an entry would rest, or bring a stop along that the switch would hit,
                and the venue could not be asked or told.
        """
        order = Order.of(approved)
        if not order.rests:
            if order.stop is not None and self._venue.attaches_stops and self._may_be_armed:
                await self._keep()  # the switch would hit the stop that it brings along
            return
        if order.reduce_only:
            await self._try_to_keep()
            return
        if self.guard is not Guard.EXPIRY:
            await self._look()
        await self._keep()
        if self.guard is Guard.NONE:
            raise Withheld(
                f"{order.client_order_id}: nothing would take this entry back if we died: the "
                f"dead man's switch would hit other orders, and the venue ends none in time"
            )

    async def run(self) -> None:
        """Keep the guard until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remind(), name="dead-man-remind")
            tasks.create_task(self._keep_on(), name="dead-man-keep")

    async def end(self) -> None:
        """Drop the entries that only the switch guards, and take it back: we go in order."""
        async with self._engine.outbox.wire:
            self._is_stopping = True
            await self._try_to_keep()

    async def _remind(self) -> None:
        while True:
            await self._clock.sleep(self._settings.renew_every)
            self._wake.set()

    async def _keep_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._journal.flush()  # who keeps no record is not to be taken for alive
            async with self._engine.outbox.wire:
                await self._try_to_keep()

    async def _try_to_keep(self) -> None:
        try:
            if self.guard is Guard.SWITCH and self._is_due:
                await self._look()
            await self._keep()
        except VenueUnavailable as fault:
            self.faults += 1
            self.last_fault = fault

    async def _look(self) -> None:
        """Learn which open orders are not ours."""
        open_there = await self._venue.open_orders()
        self._foreign = {
            order.client_order_id
            for order in open_there
            if self._engine.blotter.find(order.client_order_id) is None
        }

    async def _keep(self) -> None:
        """Choose, and have the venue know; twice, where it says that it has no switch for us."""
        for _ in range(2):
            await self._choose()
            try:
                if self.guard is Guard.SWITCH:
                    await self._renew()
                elif self._may_be_armed and not self._leaves_it_armed:
                    await self._venue.disarm()
                    self._may_be_armed = False
            except SwitchRefused:
                self._has_switch = self._may_be_armed = False
            else:
                break

    async def _choose(self) -> None:
        """Put a guard that changes on record, and drop what it leaves unguarded."""
        engine, before = self._engine, self.guard
        means = self._means()
        guard = chosen(before, engine.orders, means)
        if guard is before:
            return
        dropped = unguarded(before, guard, engine.orders, engine.outbox.waiting)
        now = self._clock.now()
        self._journal.write(GuardChanged(at=now, guard=guard, dropped=dropped, means=means))
        self._take_up(guard)
        if dropped:
            for client_order_id in dropped:
                engine.cancel(client_order_id)
            await engine.outbox.send_cancels()

    def _take_up(self, guard: Guard) -> None:
        self.guard = guard
        self._renew_at = None
        self._venue.entries_expire = self._settings.deadline if guard is Guard.EXPIRY else None

    def _means(self) -> Means:
        return Means(
            has_switch=self._has_switch,
            expires=self._venue.expires(self._settings.deadline),
            attaches_stops=self._venue.attaches_stops,
            foreign=tuple(sorted(self._foreign)),
            stopping=self._is_stopping,
        )

    @property
    def _leaves_it_armed(self) -> bool:
        """Whether the switch is to go off once we are gone: what was dropped may still rest."""
        return self._is_stopping and self._engine.outbox.has_cancels

    @property
    def _is_due(self) -> bool:
        return self._renew_at is None or self._clock.now() >= self._renew_at

    async def _renew(self) -> None:
        """Tell the venue that we live, if that is due."""
        if not self._is_due:
            return
        asked_at = self._clock.now()
        self._may_be_armed = True
        await self._venue.arm(self._settings.deadline)
        self._renew_at = asked_at + self._settings.renew_every
