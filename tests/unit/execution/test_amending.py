"""A stop is changed in place: on record first, three answers, and never a position without one."""

from collections import deque
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.account import AccountState, Position
from data.faults import Corrupt
from data.instrument import Side
from execution.care import PositionCare
from execution.engine import StaleIntent
from execution.order import Amended, Amending, OrderStatus, Outcome, Submitting
from execution.planned_stop import PlannedStop
from execution.protection import Protection, ProtectionSettings, cover
from execution.reconcile import reconcile
from execution.tracking import TrackedOrder
from execution.venue import OrderChanged, OrderRefused, OutcomeUnknown, VenueOrder, VenueUnavailable
from risk.intent import Purpose
from tests.builders_engine import a_clock, a_paper_venue, an_engine, an_entry, an_exit, sealed
from tests.builders_venue import BTC, NOON, KeptFacts, a_bar, a_fill, an_id, instruments

SECOND = timedelta(seconds=1)
STOP = an_id("S")


# The order


def a_stop(quantity="-1", *, trigger="95", status=OrderStatus.OPEN):
    order = TrackedOrder.of(Submitting.of(an_exit("S", quantity, trigger=trigger), at=NOON))
    return replace(order, status=status)


def a_wish(trigger="97", quantity="2", name="W"):
    return Amending(
        amendment_id=an_id(name),
        client_order_id=STOP,
        trigger=Decimal(trigger),
        quantity=Decimal(quantity),
        decided_at=NOON,
        reductions=(),
        at=NOON,
    )


def an_answer(outcome, name="W", second=10):
    return Amended(
        amendment_id=an_id(name),
        client_order_id=STOP,
        outcome=outcome,
        detail="",
        at=NOON + second * SECOND,
    )


def said(trigger, quantity, *, filled="0", second=20, status=OrderStatus.OPEN):
    view = VenueOrder(
        client_order_id=STOP,
        symbol=BTC,
        side=a_stop().order.side,
        quantity=Decimal(quantity),
        filled=Decimal(filled),
        trigger=Decimal(trigger),
        limit=None,
        reduce_only=True,
        status=status,
    )
    return OrderChanged(order=view, at=NOON + second * SECOND)


def a_part(number, quantity):
    return replace(a_fill(number, quantity, "95"), client_order_id=STOP)


def after(*events, order=None):
    order = order or a_stop()
    for event in events:
        order = order.after(event)
    return order


def terms(order):
    return order.order.trigger, order.order.quantity, order.size, order.remaining


OLD, NEW = (Decimal(95), 1, 1, 1), (Decimal(97), 2, 2, 2)
ACCEPTED, REFUSED = an_answer(Outcome.ACCEPTED), an_answer(Outcome.REFUSED)
LOST, UNKNOWN = an_answer(Outcome.UNAVAILABLE), an_answer(Outcome.UNKNOWN)


@pytest.mark.parametrize(
    ("events", "expected", "can_change"),
    [
        pytest.param([], OLD, False, id="asked for"),
        pytest.param([UNKNOWN], OLD, False, id="no answer"),
        pytest.param([ACCEPTED], NEW, True, id="accepted"),
        pytest.param([UNKNOWN, ACCEPTED], NEW, True, id="accepted after all"),
        pytest.param([ACCEPTED, REFUSED], NEW, True, id="an answer more is an old one"),
        pytest.param([REFUSED], OLD, False, id="refused, and asked for no more"),
        pytest.param([LOST], OLD, True, id="never sent, and asked for again"),
        pytest.param([LOST, said("97", "2")], NEW, True, id="it was there after all"),
        pytest.param([ACCEPTED, said("95", "1")], OLD, True, id="it was not there after all"),
        pytest.param([ACCEPTED, said("95", "1", second=9)], NEW, True, id="old news"),
        pytest.param([said("97", "2", second=9), ACCEPTED], NEW, True, id="told before the answer"),
    ],
)
def test_a_wish_changes_the_stop_as_the_venue_answers(events, expected, can_change):
    order = after(a_wish(), *events)
    assert (terms(order), order.can_change) == (expected, can_change)
    assert order.client_order_id == STOP
    assert after(*events, order=order) == order  # the same again is nothing new


@pytest.mark.parametrize(
    ("events", "status", "filled"),
    [
        pytest.param([a_part(1, "-1")], OrderStatus.PARTIALLY_FILLED, 1, id="perhaps not all"),
        pytest.param([a_part(1, "-1"), REFUSED], OrderStatus.FILLED, 1, id="it was all"),
        pytest.param([a_part(1, "-1"), ACCEPTED], OrderStatus.PARTIALLY_FILLED, 1, id="half"),
        pytest.param([ACCEPTED, a_part(1, "-2")], OrderStatus.FILLED, 2, id="all of the larger"),
        pytest.param([a_part(1, "-2"), ACCEPTED], OrderStatus.FILLED, 2, id="before the answer"),
        pytest.param(
            [a_part(1, "-1"), said("95", "1", filled="1", status=OrderStatus.FILLED), REFUSED],
            OrderStatus.FILLED,
            1,
            id="the venue says so",
        ),
    ],
)
def test_fills_that_race_with_a_wish_are_all_counted(events, status, filled):
    order = after(a_wish(), *events)
    assert (order.status, order.filled, order.amending is None) == (
        status,
        filled,
        not isinstance(events[-1], type(a_part(1, "-1"))) or ACCEPTED in events,
    )


def test_a_stop_that_was_made_smaller_may_fill_as_it_was():
    order = after(a_wish(quantity="0.4"), ACCEPTED)
    assert order.remaining == Decimal("0.4")
    whole = after(a_part(1, "-1"), order=order)
    assert (whole.status, whole.filled) == (OrderStatus.FILLED, 1)
    with pytest.raises(Corrupt):
        after(a_part(1, "-1.1"), order=order)


def test_what_the_venue_says_of_a_stop_that_nobody_amended_changes_no_trigger():
    assert terms(after(said("96", "0.5"))) == (95, 1, Decimal("0.5"), Decimal("0.5"))


def test_a_stop_being_amended_covers_what_it_does_and_is_not_too_large():
    def brief(held, wished):
        fit = cover(Decimal(held), [after(a_wish(quantity=wished))])
        return fit.acknowledged, fit.missing, len(fit.superfluous)

    assert brief("2", "2") == (1, 0, 0)
    assert brief("3", "2") == (1, 1, 0)
    assert brief("0.4", "0.4") == (0, 0, 0)


# Who asks for it


def a_position(held, *, mark="100", second=10):
    position = Position(
        symbol=BTC,
        quantity=Decimal(held),
        entry_price=Decimal(100),
        mark=Decimal(mark),
        notional=abs(Decimal(held)) * Decimal(mark),
        opened_at=NOON,
    )
    return AccountState(
        as_of=NOON + second * SECOND,
        currency="USDT",
        equity=Decimal(1000),
        cash=Decimal(1000),
        positions={BTC: position},
    )


PLAN = {BTC: PlannedStop(symbol=BTC, strategy_id="desk", side=Side.BUY, price=Decimal(96))}
AT_ONCE = ProtectionSettings(
    patience=timedelta(0),
    deadline=timedelta(minutes=10),
    trail_from=Decimal("0.01"),
    trail_distance=Decimal("0.01"),
)
FIXED = replace(a_stop(), is_fixed=True)


def asked(actions):
    """What is asked for: how much, where, and of or instead of which stop."""
    return [(a.quantity, a.trigger, a.amends, a.replaces) for a in actions]


@pytest.mark.req("S0-26")
@pytest.mark.parametrize(
    ("held", "stops", "expected"),
    [
        pytest.param("1", [a_stop()], [], id="it fits"),
        pytest.param("3", [a_stop()], [(-3, 96, STOP, None)], id="it grows"),
        pytest.param("0.4", [a_stop()], [(Decimal("-0.4"), 96, STOP, None)], id="it shrinks"),
        pytest.param("3", [], [(-3, 96, None, None)], id="there is none"),
        pytest.param("3", [FIXED], [(-2, 96, None, None)], id="it may not grow, so one more"),
        pytest.param(
            "0.4", [FIXED], [(Decimal("-0.4"), 96, None, STOP)], id="it may not shrink, so another"
        ),
        pytest.param("3", [after(a_wish(quantity="3"))], [], id="it is about to grow"),
    ],
)
def test_a_stop_is_fitted_to_its_position_in_place(held, stops, expected):
    protection = Protection(instruments(), AT_ONCE, amends=True, write=[].append)
    assert asked(protection.review(a_position(held), stops, PLAN, revision=1)) == expected
    elsewhere = Protection(instruments(), AT_ONCE, write=[].append)
    actions = elsewhere.review(a_position(held), stops, PLAN, revision=1)
    assert all(amends is None for _, _, amends, _ in asked(actions))


@pytest.mark.req("S0-26")
@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        pytest.param(a_stop(), [(-1, Decimal("108.90"), STOP, None)], id="in place"),
        pytest.param(FIXED, [(-1, Decimal("108.90"), None, STOP)], id="by another"),
        pytest.param(after(a_wish()), [], id="it is about to move"),
        pytest.param(after(a_wish(), LOST), [(-1, Decimal("108.90"), STOP, None)], id="again"),
    ],
)
def test_a_stop_that_has_earned_another_place_moves(stop, expected):
    care = PositionCare(instruments(), AT_ONCE, amends=True)
    assert asked(care.review(a_position("1", mark="110"), [stop], PLAN)) == expected


@pytest.mark.parametrize(("second", "moves"), [(69, 0), (70, 1)])
def test_a_restart_knows_when_the_stop_last_moved(second, moves):
    settings = AT_ONCE.model_copy(update={"move_every": timedelta(minutes=1)})
    care = PositionCare(instruments(), settings, amends=True)
    account = a_position("2", mark="110", second=second)
    assert len(care.review(account, [after(a_wish(), ACCEPTED)], PLAN)) == moves


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"replaces": an_id("T")}, id="and replaces another"),
        pytest.param({"trigger": None}, id="without a trigger"),
        pytest.param({"purpose": Purpose.EXIT}, id="is no stop"),
    ],
)
def test_what_amends_a_stop_is_a_stop(changes):
    with pytest.raises(ValueError, match="stop"):
        replace(an_exit("W", "-1", trigger="95").intent, amends=STOP, **changes)


# The engine


class Line:
    """The way to a venue that amends: something befalls each next amendment, or question."""

    def __init__(self, venue, journal):
        self._venue, self._journal = venue, journal
        self.amendments, self.questions, self.late = deque(), deque(), []
        self.asked = 0

    def __getattr__(self, name):
        return getattr(self._venue, name)

    async def amend(self, client_order_id, **wish):
        assert any(isinstance(fact, Amending) for fact in self._journal.durable)
        self.asked += 1
        match self.amendments.popleft() if self.amendments else None:
            case "lost":
                raise OutcomeUnknown("it never got there")
            case "late":
                self.late.append((client_order_id, wish))
                raise OutcomeUnknown("it is on its way")
            case "unanswered":
                await self._venue.amend(client_order_id, **wish)
                self._venue.drain()
                raise OutcomeUnknown("it got there")
            case None:
                await self._venue.amend(client_order_id, **wish)
            case error:
                raise error

    async def arrive(self):
        for client_order_id, wish in self.late:
            await self._venue.amend(client_order_id, **wish)

    async def order(self, client_order_id):
        if self.questions:
            raise self.questions.popleft()
        return await self._venue.order(client_order_id)


class Stand:
    """A position of 2 with a stop for 1 of it at 95, on record and acknowledged."""

    async def open(self):
        self.clock, self.journal, self.bars = a_clock(), KeptFacts(), 0
        self.line = Line(await a_paper_venue(self.clock, amends=True), self.journal)
        self.engine = an_engine(self.line, self.clock, self.journal)
        self.engine.accept(an_entry("A", "2", stop="90"))
        await self.engine.work()
        await self.bar("100 100 100 100")
        self.engine.accept(an_exit("S", "-1", trigger="95"))
        await self.engine.work()
        self.engine.settle()
        return self

    async def bar(self, prices):
        bar = a_bar(prices, number=self.bars)
        self.bars += 1
        self.clock.move_to(bar.closed_at)
        await self.line.observe(bar)
        self.engine.settle()
        self.engine.ledger.mark(bar.symbol, bar.close, bar.closed_at)

    def wish(self, trigger="97", quantity="-2", name="W"):
        wished = an_exit(name, quantity, trigger=trigger, decided_at=self.clock.now()).intent
        approved = sealed(replace(wished, amends=STOP))
        self.engine.accept(approved)
        return approved

    async def after(self, seconds):
        self.clock.move_to(self.clock.now() + seconds * SECOND)
        await self.engine.work()
        self.engine.settle()

    async def restart(self):
        self.journal._written.clear()
        self.line.drain()
        self.engine = an_engine(self.line, self.clock, self.journal)
        await self.engine.recover(self.journal.facts())

    @property
    def stop(self):
        return self.engine.blotter.find(STOP)

    @property
    def outcomes(self):
        facts = self.journal.durable + self.journal._written
        return [fact.outcome for fact in facts if isinstance(fact, Amended)]

    async def there(self):
        """Every stop that works at the venue."""
        return [(o.client_order_id, o.trigger, o.quantity) for o in await self.line.open_orders()]


@pytest.fixture
async def stand():
    return await Stand().open()


BEFORE, AMENDED = [(STOP, 95, 1)], [(STOP, 97, 2)]


@pytest.mark.req("S0-21", "S1-131")
async def test_a_wish_is_durable_before_it_is_on_the_wire_and_then_holds(stand):
    approved = stand.wish()
    stand.engine.accept(approved)
    assert (stand.line.asked, terms(stand.stop)) == (0, OLD)
    assert stand.engine.plans[BTC].price == 97  # it binds
    await stand.after(0)
    assert (stand.line.asked, stand.outcomes) == (1, [Outcome.ACCEPTED])
    assert terms(stand.stop) == NEW
    assert await stand.there() == AMENDED
    assert (await reconcile(stand.engine)).differences == ()


@pytest.mark.parametrize(
    ("mishaps", "outcomes", "asked", "there"),
    [
        pytest.param([OrderRefused("no")], [Outcome.REFUSED], 1, BEFORE, id="refused"),
        pytest.param([VenueUnavailable("down")], [Outcome.ACCEPTED], 2, AMENDED, id="sent again"),
        pytest.param(
            [VenueUnavailable("down")] * 9, [Outcome.UNAVAILABLE], 4, BEFORE, id="never sent"
        ),
        pytest.param(
            ["unanswered"], [Outcome.UNKNOWN, Outcome.ACCEPTED], 1, AMENDED, id="answer lost"
        ),
        pytest.param(["lost"], [Outcome.UNKNOWN, Outcome.UNAVAILABLE], 1, BEFORE, id="wish lost"),
    ],
)
async def test_every_answer_leaves_one_stop_that_we_know(stand, mishaps, outcomes, asked, there):
    stand.line.amendments.extend(mishaps)
    stand.wish()
    for _ in range(8):
        await stand.after(30)
    assert (stand.outcomes, stand.line.asked) == (outcomes, asked)
    assert await stand.there() == there
    assert [(STOP, stand.stop.order.trigger, stand.stop.size)] == there
    assert not stand.engine.outbox.has_work
    assert (await reconcile(stand.engine)).differences == ()


async def test_a_wish_that_arrives_when_we_have_given_it_up_is_taken_over(stand):
    stand.line.amendments.append("late")
    stand.wish()
    for _ in range(3):
        await stand.after(30)
    assert stand.outcomes == [Outcome.UNKNOWN, Outcome.UNAVAILABLE]
    await stand.line.arrive()
    await stand.after(0)
    assert terms(stand.stop) == NEW
    assert (await reconcile(stand.engine)).differences == ()


async def test_while_a_wish_has_no_answer_nothing_else_of_its_symbol_goes_out(stand):
    stand.line.amendments.append("unanswered")
    stand.line.questions += [VenueUnavailable("down")] * 2
    stand.wish()
    await stand.after(0)
    assert stand.engine.outbox.unanswered == {STOP}
    assert not (await reconcile(stand.engine)).reconciled
    await stand.after(30)
    assert stand.engine.outbox.unanswered == set()
    assert (await reconcile(stand.engine)).reconciled


@pytest.mark.parametrize("mishap", [None, "unanswered", "lost"])
@pytest.mark.parametrize("dies", ["before the wire", "after it"])
async def test_a_restart_asks_what_became_of_a_wish_and_sends_it_no_more(stand, mishap, dies):
    """The answer was not on disk yet."""
    stand.wish()
    await stand.journal.flush()
    if dies == "after it":
        stand.line.amendments.append(mishap)
        await stand.engine.work()
    await stand.restart()
    assert stand.stop.amending is not None
    for _ in range(3):
        await stand.after(30)
    has_arrived = dies == "after it" and mishap != "lost"
    assert await stand.there() == (AMENDED if has_arrived else BEFORE)
    assert terms(stand.stop) == (NEW if has_arrived else OLD)
    assert stand.line.asked == (dies == "after it")
    assert (await reconcile(stand.engine)).reconciled


@pytest.mark.parametrize("mishap", [None, "unanswered", "late"])
async def test_a_stop_that_has_filled_meanwhile_stays_as_it_filled(stand, mishap):
    stand.wish()
    await stand.line.observe(a_bar("95 95 95 95", number=stand.bars))
    if mishap is not None:
        stand.line.amendments.append(mishap if mishap == "late" else "lost")
    for _ in range(3):
        await stand.after(30)
    assert (stand.stop.status, stand.stop.filled) == (OrderStatus.FILLED, 1)
    assert stand.stop.amending is None
    assert stand.engine.ledger.held(BTC) == 1
    assert (await reconcile(stand.engine)).reconciled


async def test_what_is_to_be_cancelled_is_not_amended(stand):
    stand.wish()
    stand.engine.cancel(STOP)
    await stand.after(0)
    assert (stand.line.asked, stand.outcomes) == (0, [Outcome.WITHHELD])
    assert await stand.there() == []


@pytest.mark.parametrize("ended", [True, False])
async def test_what_has_ended_or_is_being_amended_takes_no_wish(stand, ended):
    if ended:
        await stand.bar("95 95 95 95")
    else:
        stand.wish()
    with pytest.raises(StaleIntent):
        stand.wish(name="V")


async def test_a_wish_that_waits_when_we_stop_is_over(stand):
    stand.line.amendments.append(VenueUnavailable("down"))
    stand.wish()
    await stand.engine.drain()
    assert stand.outcomes == [Outcome.WITHHELD]
    assert stand.stop.can_change
