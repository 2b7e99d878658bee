"""What takes resting entries back if we die: how it is chosen, and how it is kept."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.instrument import Price, Quantity, Side
from execution.dead_man import (
    UNTOLD,
    DeadMan,
    DeadManSettings,
    Guard,
    GuardChanged,
    Means,
    chosen,
    unguarded,
)
from execution.order import Cancelling, Order, OrderStatus, Outcome, Submitted
from execution.tracking import TrackedOrder
from execution.venue import OrderChanged, SwitchRefused, VenueOrder, VenueUnavailable
from sextant.facts import codec
from sextant.journal.memory import MemoryJournal
from tests.builders_engine import a_paper_venue, an_engine, an_entry, an_exit
from tests.builders_venue import BTC, NOON, XRP, an_id

MINUTE = timedelta(minutes=1)
SETTINGS = DeadManSettings(deadline=MINUTE, renew_every=timedelta(seconds=20))
MEANS = Means(has_switch=True, expires=True, attaches_stops=False, foreign=())


def tracked(approved, status=OrderStatus.OPEN, **changes):
    order = TrackedOrder(
        order=Order.of(approved),
        decided_at=NOON,
        recorded_at=NOON,
        size=abs(approved.quantity),
        status=status,
    )
    return replace(order, **changes)


RESTING = tracked(an_entry("resting", limit="80"))
ENTRY = tracked(an_entry("market"))
STOP = tracked(an_exit("stop", trigger="70"))
TARGET = tracked(an_exit("target", limit="120"))
EXIT = tracked(an_exit("exit"))
OVER = tracked(an_exit("over", trigger="70"), OrderStatus.CANCELLED)
WAITING = tracked(an_entry("waiting", limit="80"), OrderStatus.SUBMITTING)


@pytest.mark.parametrize(
    ("before", "orders", "means", "guard"),
    [
        pytest.param(Guard.IDLE, [], {}, Guard.IDLE, id="nothing"),
        pytest.param(Guard.IDLE, [STOP], {}, Guard.IDLE, id="a stop alone"),
        pytest.param(Guard.IDLE, [ENTRY], {}, Guard.IDLE, id="an entry at market"),
        pytest.param(Guard.IDLE, [RESTING], {}, Guard.SWITCH, id="an entry that rests"),
        pytest.param(Guard.IDLE, [WAITING], {}, Guard.SWITCH, id="one that is about to"),
        pytest.param(Guard.IDLE, [RESTING, EXIT], {}, Guard.SWITCH, id="an exit at market"),
        pytest.param(Guard.IDLE, [RESTING, OVER], {}, Guard.SWITCH, id="a stop that is over"),
        pytest.param(Guard.IDLE, [RESTING, STOP], {}, Guard.EXPIRY, id="a stop would be hit"),
        pytest.param(Guard.IDLE, [RESTING, TARGET], {}, Guard.EXPIRY, id="an exit would be hit"),
        pytest.param(
            Guard.IDLE, [RESTING], {"attaches_stops": True}, Guard.EXPIRY, id="its own stop would"
        ),
        pytest.param(
            Guard.IDLE, [RESTING], {"foreign": ("x",)}, Guard.EXPIRY, id="another's would be hit"
        ),
        pytest.param(Guard.IDLE, [RESTING], {"has_switch": False}, Guard.EXPIRY, id="no switch"),
        pytest.param(
            Guard.IDLE, [RESTING, STOP], {"expires": False}, Guard.NONE, id="neither can be"
        ),
        pytest.param(
            Guard.SWITCH, [RESTING, STOP], {"expires": False}, Guard.NONE, id="none any more"
        ),
        pytest.param(Guard.EXPIRY, [RESTING], {}, Guard.EXPIRY, id="it carries its end"),
        pytest.param(Guard.EXPIRY, [STOP], {}, Guard.IDLE, id="it has ended"),
        pytest.param(Guard.SWITCH, [RESTING], {"stopping": True}, Guard.NONE, id="we go"),
        pytest.param(Guard.EXPIRY, [RESTING], {"stopping": True}, Guard.EXPIRY, id="it goes too"),
        pytest.param(UNTOLD, [RESTING], {}, Guard.SWITCH, id="from before the first record"),
    ],
)
def test_the_guard_hits_no_stop_and_no_order_of_others(before, orders, means, guard):
    assert chosen(before, orders, replace(MEANS, **means)) is guard


@pytest.mark.parametrize(
    ("before", "after", "dropped"),
    [
        pytest.param(Guard.SWITCH, Guard.EXPIRY, [RESTING], id="it carries no end"),
        pytest.param(Guard.SWITCH, Guard.NONE, [RESTING], id="nor will it"),
        pytest.param(Guard.SWITCH, Guard.SWITCH, [], id="nothing has changed"),
        pytest.param(Guard.IDLE, Guard.EXPIRY, [], id="nothing rested before"),
        pytest.param(Guard.EXPIRY, Guard.NONE, [], id="each has its end"),
    ],
)
def test_what_the_switch_alone_has_guarded_is_dropped_without_it(before, after, dropped):
    going = replace(
        RESTING, cancelling_since=NOON, order=replace(RESTING.order, client_order_id="g")
    )
    orders = [RESTING, STOP, ENTRY, WAITING, going]
    names = tuple(order.client_order_id for order in dropped)
    assert unguarded(before, after, orders, [WAITING.client_order_id]) == names


def test_a_lost_renewal_does_not_kill():
    with pytest.raises(ValueError, match="more than half"):
        DeadManSettings(deadline=MINUTE, renew_every=timedelta(seconds=31))


class SwitchedVenue:
    """A paper venue with a switch, which says what was asked of it, in order."""

    def __init__(
        self, paper, clock, *, has_switch=True, soonest=timedelta(seconds=5), attaches_stops=False
    ):
        self._paper, self._clock, self._soonest = paper, clock, soonest
        self.attaches_stops = attaches_stops
        self.has_switch = has_switch
        self.entries_expire = None
        self.goes_off_at = None
        self.asked = []
        self.expiring = {}  # by name, what each entry was placed with
        self.foreign = []
        self.is_deaf = False

    def __getattr__(self, name):
        return getattr(self._paper, name)

    def expires(self, within):
        return self._soonest is not None and within > self._soonest

    async def submit(self, approved):
        self.asked.append(("submit", approved.intent.intent_id))
        self.expiring[approved.intent.intent_id] = self.entries_expire
        if approved.intent.trigger is None:  # a stop stands here, position or none
            await self._paper.submit(approved)

    async def cancel(self, client_order_id):
        self.asked.append(("cancel", client_order_id))
        await self._paper.cancel(client_order_id)

    async def open_orders(self):
        self._answer()
        return [*(await self._paper.open_orders()), *self.foreign]

    async def arm(self, within):
        self._answer()
        if not self.has_switch:
            raise SwitchRefused("not traded enough")
        self.asked.append(("arm", within))
        self.goes_off_at = self._clock.now() + within

    async def disarm(self):
        self._answer()
        if not self.has_switch:
            raise SwitchRefused("not traded enough")
        self.asked.append(("disarm", ""))
        self.goes_off_at = None

    def _answer(self):
        if self.is_deaf:
            raise VenueUnavailable("the line is down")


class Scene:
    """An engine at such a venue, guarded."""

    @classmethod
    async def set(cls, *, guard=Guard.IDLE, **options):
        self = cls()
        self.clock = ManualClock(NOON)
        self.journal = MemoryJournal(codec=codec(), clock=self.clock)
        self.venue = SwitchedVenue(await a_paper_venue(self.clock), self.clock, **options)
        self.engine = an_engine(self.venue, self.clock, self.journal)
        self.dead_man = DeadMan(
            self.engine,
            self.venue,
            settings=SETTINGS,
            journal=self.journal,
            clock=self.clock,
            guard=guard,
        )
        return self

    async def send(self, *orders):
        for order in orders:
            self.engine.accept(order)
        await self.work()

    async def work(self):
        await self.engine.work()
        self.engine.settle()

    async def keep(self, after=timedelta(0)):
        """What the task does on its next turn."""
        self.clock.move_to(self.clock.now() + after)
        async with self.engine.outbox.wire:
            await self.dead_man._try_to_keep()

    async def facts(self, kind):
        await self.journal.flush()
        return [fact async for fact in self.journal.facts() if isinstance(fact, kind)]

    async def guards(self):
        return [fact.guard for fact in await self.facts(GuardChanged)]


def resting(name="resting", symbol=BTC):
    size, limit = ("1000", "0.5") if symbol == XRP else ("1", "50")
    return an_entry(name, size, stop=None, limit=limit, symbol=symbol)


def a_stop(name="stop"):
    return an_exit(name, trigger="0.1")


def a_foreign_order():
    return VenueOrder(
        client_order_id="of another",
        symbol=BTC,
        side=Side.BUY,
        quantity=Quantity(Decimal(1)),
        filled=Quantity(Decimal(0)),
        trigger=None,
        limit=Price(Decimal(1)),
        reduce_only=False,
        status=OrderStatus.OPEN,
    )


ARMED, DISARMED = ("arm", MINUTE), ("disarm", "")


def submitted(name):
    return ("submit", an_id(name))


async def test_the_switch_is_armed_before_an_entry_rests():
    scene = await Scene.set()
    await scene.send(resting())
    assert scene.venue.asked == [ARMED, submitted("resting")]
    assert scene.venue.expiring == {an_id("resting"): None}
    assert await scene.guards() == [Guard.SWITCH]


async def test_an_order_at_market_concerns_nobody():
    scene = await Scene.set()
    await scene.send(an_entry("market", stop=None))
    assert scene.venue.asked == [submitted("market")]
    assert await scene.guards() == []


async def test_it_is_taken_back_before_a_stop_is_there_to_be_hit():
    scene = await Scene.set()
    await scene.send(resting(), resting("other", XRP))
    await scene.send(a_stop())
    dropped = (an_id("resting"), an_id("other"))
    assert scene.venue.asked == [
        ARMED,
        submitted("resting"),
        submitted("other"),
        *(("cancel", name) for name in dropped),
        DISARMED,
        submitted("stop"),
    ]
    (_, changed) = await scene.facts(GuardChanged)
    assert (changed.guard, changed.dropped) == (Guard.EXPIRY, dropped)
    assert [fact.client_order_id for fact in await scene.facts(Cancelling)] == list(dropped)


@pytest.mark.parametrize("attaches", [True, False], ids=["brings its stop", "brings none"])
async def test_it_is_taken_back_before_an_entry_brings_its_stop_along(attaches):
    scene = await Scene.set(attaches_stops=attaches)
    await scene.send(resting())
    await scene.send(an_entry("market", symbol=XRP, stop="0.4"))
    sent = scene.venue.asked.index(submitted("market"))
    assert (DISARMED in scene.venue.asked[:sent]) is attaches


async def test_beside_a_stop_an_entry_carries_its_end():
    scene = await Scene.set()
    await scene.send(a_stop(), resting())
    assert scene.venue.asked == [DISARMED, submitted("stop"), submitted("resting")]
    assert scene.venue.expiring[an_id("resting")] == MINUTE
    scene.engine.cancel(an_id("resting"))
    await scene.work()
    await scene.keep()
    assert scene.venue.entries_expire is None
    assert await scene.guards() == [Guard.EXPIRY, Guard.IDLE]


async def test_where_neither_can_be_no_entry_rests():
    scene = await Scene.set(soonest=None)
    await scene.send(resting())
    await scene.send(a_stop(), resting("late", XRP))
    assert ("cancel", an_id("resting")) in scene.venue.asked
    assert submitted("late") not in scene.venue.asked
    *_, refused = await scene.facts(Submitted)
    assert (refused.client_order_id, refused.outcome) == (an_id("late"), Outcome.WITHHELD)
    assert "nothing would take this entry back" in refused.detail


@pytest.mark.parametrize(
    ("soonest", "guard"),
    [
        pytest.param(timedelta(seconds=5), Guard.EXPIRY, id="it can expire"),
        pytest.param(timedelta(minutes=10), Guard.NONE, id="not so soon"),
    ],
)
async def test_an_account_without_a_switch_has_what_is_left(soonest, guard):
    scene = await Scene.set(has_switch=False, soonest=soonest)
    await scene.send(resting())
    assert await scene.guards() == [Guard.SWITCH, guard]
    assert (submitted("resting") in scene.venue.asked) is (guard is Guard.EXPIRY)


async def test_it_is_renewed_in_time():
    scene = await Scene.set()
    await scene.send(resting())
    await scene.keep(after=timedelta(seconds=19))
    assert scene.venue.goes_off_at == NOON + MINUTE
    await scene.keep(after=timedelta(seconds=1))
    assert scene.venue.goes_off_at == NOON + MINUTE + timedelta(seconds=20)


async def test_it_is_taken_back_once_nothing_rests():
    scene = await Scene.set()
    await scene.send(resting())
    scene.engine.cancel(an_id("resting"))
    await scene.work()
    await scene.keep()
    assert scene.venue.goes_off_at is None
    assert await scene.guards() == [Guard.SWITCH, Guard.IDLE]


@pytest.mark.parametrize("is_told", [True, False])
async def test_an_order_of_others_is_left_alone(is_told):
    """Told by the stream it counts at once; else from the next renewal on."""
    scene = await Scene.set()
    await scene.send(resting())
    scene.venue.foreign.append(a_foreign_order())
    if is_told:
        scene.engine.record(OrderChanged(order=a_foreign_order(), at=NOON))
    await scene.keep(after=timedelta(0) if is_told else timedelta(seconds=20))
    assert scene.venue.goes_off_at is None
    assert ("cancel", "of another") not in scene.venue.asked
    changed = (await scene.facts(GuardChanged))[-1]
    assert (changed.guard, changed.dropped) == (Guard.EXPIRY, (an_id("resting"),))
    assert changed.means.foreign == ("of another",)


async def test_an_order_of_others_that_is_over_counts_no_more():
    scene = await Scene.set()
    for status in (OrderStatus.OPEN, OrderStatus.FILLED):
        order = replace(a_foreign_order(), status=status)
        scene.engine.record(OrderChanged(order=order, at=NOON))
    await scene.send(resting())
    assert await scene.guards() == [Guard.SWITCH]


async def test_an_entry_waits_for_the_venues_word_and_a_stop_does_not():
    scene = await Scene.set()
    await scene.send(resting("first", XRP))
    scene.venue.is_deaf = True
    await scene.send(resting("second"))
    assert submitted("second") not in scene.venue.asked
    await scene.send(a_stop())
    assert submitted("stop") in scene.venue.asked
    assert scene.venue.goes_off_at is not None
    assert scene.dead_man.faults == 1
    scene.venue.is_deaf = False
    await scene.keep()
    assert scene.venue.goes_off_at is None


async def test_what_the_life_before_has_armed_is_taken_back():
    scene = await Scene.set(guard=Guard.IDLE)
    scene.venue.goes_off_at = NOON + MINUTE
    await scene.keep()
    assert scene.venue.goes_off_at is None


async def test_going_in_order_leaves_neither_an_entry_nor_the_switch():
    scene = await Scene.set()
    await scene.send(resting())
    await scene.dead_man.end()
    assert scene.venue.asked[-2:] == [("cancel", an_id("resting")), DISARMED]
    assert await scene.guards() == [Guard.SWITCH, Guard.NONE]


async def test_what_could_not_be_dropped_is_left_to_the_switch():
    scene = await Scene.set()
    await scene.send(resting())

    async def cancel(_):
        raise VenueUnavailable("the line is down")

    scene.venue.cancel = cancel
    await scene.dead_man.end()
    assert scene.venue.goes_off_at == NOON + MINUTE


async def test_it_lives_as_long_as_its_task():
    scene = await Scene.set()
    await scene.send(resting())
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(scene.dead_man.run())
        for seconds in (20, 40, 60):
            await turns()
            scene.clock.move_to(NOON + timedelta(seconds=seconds))
        await turns()
        keeping.cancel()
    assert scene.venue.goes_off_at == NOON + 2 * MINUTE
    assert scene.venue.asked.count(ARMED) == 4


async def turns():
    """Let every task come as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)  # noqa: TID251 - no wait
