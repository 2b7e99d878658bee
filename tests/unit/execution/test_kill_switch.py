"""What the kill switch does with orders, and when the venue's answer means that nothing is left."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.account import AccountState, Position
from execution.blotter import FillBooked, OrderDone
from execution.difference import Difference, DifferenceKind, Reconciliation
from execution.kill_switch import KillSwitch, closing, doubts, still_open, within
from execution.order import OrderStatus, Submitting
from execution.tracking import TrackedOrder
from tests.builders_engine import an_entry, an_exit
from tests.builders_venue import BTC, NOON, XRP, a_fill, an_id

SECOND = timedelta(seconds=1)


def tracked(approved, **changes):
    order = TrackedOrder.of(Submitting.of(approved, at=NOON))
    return replace(order, **({"status": OrderStatus.OPEN} | changes))


ENTRY = tracked(an_entry("entry", "1", limit="80", stop="70"))
TARGET = tracked(an_exit("target", limit="120"))
EXIT = tracked(an_exit("exit"))
STOP = tracked(an_exit("stop", trigger="90"))
ATTACHED = replace(ENTRY.child(), status=OrderStatus.OPEN, size=Decimal(1))
EXITS = (an_exit("next").intent,)


def refused(order=EXIT):
    """A switch that has heard that the venue will not have this order."""
    switch = KillSwitch()
    switch.hear(OrderDone(order=order, refused=True))
    return switch


def a_fill_of(order):
    return FillBooked(fill=a_fill(1, "-1", "100"), order=order.order, closed=None)


@pytest.mark.parametrize(
    ("order", "goes"),
    [
        pytest.param(ENTRY, True, id="an entry"),
        pytest.param(replace(ENTRY, status=OrderStatus.UNKNOWN), True, id="one without an answer"),
        pytest.param(
            replace(ENTRY, cancelling_since=NOON), False, id="one being cancelled already"
        ),
        pytest.param(TARGET, True, id="a target"),
        pytest.param(EXIT, False, id="an exit at market"),
        pytest.param(STOP, False, id="a stop"),
        pytest.param(ATTACHED, False, id="a stop that the venue attached"),
    ],
)
def test_what_is_cancelled_at_once(order, goes):
    switch = KillSwitch()
    assert switch.in_the_way([order], EXITS) == ((order.client_order_id,) if goes else ())
    assert switch.in_the_way([order], EXITS, symbols={XRP}) == ()


@pytest.mark.parametrize(
    ("switch", "exits", "goes"),
    [
        pytest.param(refused(), EXITS, True, id="with the exit after one that was refused"),
        pytest.param(refused(), (), False, id="not before there is an exit"),
        pytest.param(
            refused(), (replace(EXITS[0], symbol=XRP),), False, id="not for an exit elsewhere"
        ),
        pytest.param(refused(ENTRY), EXITS, False, id="not for an entry that was refused"),
        pytest.param(refused(STOP), EXITS, False, id="nor for a stop"),
        pytest.param(KillSwitch(), EXITS, False, id="nor for nothing"),
    ],
)
def test_when_a_stop_is_given_up(switch, exits, goes):
    assert switch.in_the_way([STOP], exits) == ((an_id("stop"),) if goes else ())


def test_an_exit_that_ended_otherwise_costs_no_stop_and_one_that_fills_forgives():
    switch = KillSwitch()
    switch.hear(OrderDone(order=EXIT, refused=False))
    assert switch.in_the_way([STOP], EXITS) == ()
    switch = refused()
    switch.hear(a_fill_of(STOP))
    assert switch.in_the_way([STOP], EXITS)
    switch.hear(a_fill_of(EXIT))
    assert switch.in_the_way([STOP], EXITS) == ()


@pytest.mark.parametrize(
    ("orders", "seconds", "rests"),
    [
        pytest.param([], 0, {BTC}, id="asked for now"),
        pytest.param([], 4.999, {BTC}, id="a moment ago"),
        pytest.param([], 5, set(), id="five seconds ago, and nothing works"),
        pytest.param([EXIT], 5, {BTC}, id="it works"),
        pytest.param([STOP, TARGET, ENTRY], 5, set(), id="what works closes nothing now"),
    ],
)
def test_when_no_exit_is_asked_for(orders, seconds, rests):
    switch = KillSwitch()
    switch.ask(EXITS, NOON)
    assert switch.resting(orders, NOON + seconds * SECOND) == rests


def test_only_an_order_at_market_is_closing_now():
    assert closing([ENTRY, TARGET, STOP, ATTACHED]) == frozenset()
    assert closing([EXIT]) == {BTC}


def test_orders_within_some_symbols():
    other = tracked(an_entry("other", "100", symbol=XRP))
    assert within([ENTRY, other], None) == [ENTRY, other]
    assert within([ENTRY, other], {XRP}) == [other]


def test_what_is_open_in_words():
    held = Position(
        symbol=BTC,
        quantity=Decimal("-0.5"),
        entry_price=Decimal(100),
        mark=Decimal(100),
        notional=Decimal(50),
        opened_at=NOON,
    )
    account = AccountState(
        as_of=NOON,
        currency="USDT",
        equity=Decimal(1000),
        cash=Decimal(1000),
        positions={BTC: held},
    )
    assert still_open(account, [ENTRY, EXIT, STOP]) == (
        "BTC/USDT -0.5",
        f"entry {an_id('entry')[:8]}: buy 1 BTC/USDT, open",
        f"exit {an_id('exit')[:8]}: sell 1 BTC/USDT, open",
        f"stop {an_id('stop')[:8]}: sell 1 BTC/USDT, open",
    )
    assert still_open(replace(account, positions={}), []) == ()


@pytest.mark.parametrize(
    ("kind", "subject", "doubtful"),
    [
        pytest.param(DifferenceKind.BALANCE, "BTC", True, id="a position beyond our books"),
        pytest.param(DifferenceKind.BALANCE, "USDT", False, id="cash is no position"),
        pytest.param(DifferenceKind.UNRESOLVED, "an order", True, id="an order without an answer"),
        pytest.param(DifferenceKind.RISEN, "an order", True, id="an order that has risen"),
        pytest.param(DifferenceKind.FOREIGN_ORDER, "an order", False, id="an order not ours"),
        pytest.param(DifferenceKind.FOREIGN_FILL, "a fill", False, id="a fill not ours"),
        pytest.param(DifferenceKind.MISSED_FILL, "a fill", False, id="a fill booked now"),
        pytest.param(DifferenceKind.VANISHED, "an order", False, id="an order that is gone"),
    ],
)
def test_what_the_venues_answer_leaves_in_doubt(kind, subject, doubtful):
    difference = Difference(kind=kind, subject=subject, ours="1", theirs="2")
    found = Reconciliation(at=NOON, differences=(difference,), fills_seen=0)
    said = f"{kind} {subject}: 1 here, 2 at the venue"
    assert doubts(found, {"BTC", "XRP"}) == ((said,) if doubtful else ())
