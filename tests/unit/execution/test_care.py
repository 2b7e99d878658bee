"""A position that stands: closed at its target or its age, its stop moved as its gain earns it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.account import AccountState, Position
from data.instrument import Side
from execution.care import PositionCare
from execution.order import OrderStatus, Submitting
from execution.planned_stop import PlannedStop, after_fill
from execution.protection import CancelOrder, ProtectionSettings
from execution.tracking import TrackedOrder
from risk.intent import Purpose
from tests.builders_engine import an_entry, an_exit, sealed
from tests.builders_venue import BTC, NOON, an_id, instruments

MINUTE = timedelta(minutes=1)
FIT = ProtectionSettings(
    patience=timedelta(seconds=2),
    deadline=2 * MINUTE,
    take_profit=True,
    break_even_from=Decimal("0.01"),
    break_even_buffer=Decimal("0.001"),
    trail_from=Decimal("0.01"),
    trail_distance=Decimal("0.015"),
    min_move=Decimal("0.001"),
    move_every=MINUTE,
    max_age=timedelta(hours=48),
)
OPEN, SENDING = OrderStatus.OPEN, OrderStatus.SUBMITTING


def account(mark, *, held="1", at=1.0):
    """One that holds BTC since noon, bought at 100, so many minutes after it."""
    quantity = Decimal(held)
    position = Position(
        symbol=BTC,
        quantity=quantity,
        entry_price=Decimal(100),
        mark=Decimal(mark),
        notional=abs(quantity) * Decimal(mark),
        opened_at=NOON,
    )
    return AccountState(
        as_of=NOON + at * MINUTE,
        currency="USDT",
        equity=Decimal(1000),
        cash=Decimal(1000),
        positions={BTC: position} if quantity else {},
    )


def tracked(approved, status=OPEN, **changes):
    order = TrackedOrder.of(Submitting.of(approved, at=NOON))
    return replace(order, status=status, **changes)


def a_stop(name="S", quantity="-1", *, trigger="95", decided_at=NOON, **changes):
    return tracked(an_exit(name, quantity, trigger=trigger, decided_at=decided_at), **changes)


def plans(stop="95", target="110", side=Side.BUY, *, falsified_at=None):
    return {
        BTC: PlannedStop(
            symbol=BTC,
            strategy_id="desk",
            side=side,
            price=Decimal(stop),
            target=Decimal(target) if target else None,
            falsified_at=Decimal(falsified_at) if falsified_at else None,
        )
    }


def asked(account, orders, planned=None, *, care=None, settings=FIT):
    """What is asked for, as short text: what, how much, at which trigger, in whose place."""
    care = care or PositionCare(instruments(), settings)
    return [
        f"cancel {action.client_order_id}"
        if isinstance(action, CancelOrder)
        else f"{action.purpose} {action.quantity:+} {action.trigger} for {action.replaces}"
        for action in care.review(account, orders, planned or plans())
    ]


FOR_S = f"for {an_id('S')}"
MOVED = [f"protection -1 100.10 {FOR_S}"]


@pytest.mark.req("S0-26")
@pytest.mark.parametrize(
    ("mark", "orders", "planned", "expected"),
    [
        pytest.param("100", [a_stop()], plans(), [], id="nothing is due"),
        pytest.param("101", [a_stop()], plans(), MOVED, id="break-even"),
        pytest.param("108", [a_stop()], plans(), [f"protection -1 106.38 {FOR_S}"], id="trailing"),
        pytest.param("101", [a_stop(status=SENDING)], plans(), [], id="its stop is on its way"),
        pytest.param("101", [a_stop(cancelling_since=NOON)], plans(), [], id="its stop is going"),
        pytest.param(
            "101", [a_stop(filled=Decimal("0.5"))], plans(), [], id="its stop has begun to fill"
        ),
        pytest.param("101", [a_stop(quantity="-0.5")], plans(), [], id="not covered whole"),
        pytest.param("101", [a_stop(quantity="-2")], plans(), [], id="its stop is too large"),
        pytest.param("101", [], plans(), [], id="no stop: protection sees to it first"),
        pytest.param(
            "101", [a_stop(), tracked(an_entry("E"))], plans(), [], id="its entry still fills"
        ),
        pytest.param(
            "101", [a_stop(), tracked(an_exit("X"))], plans(), [], id="it is being closed"
        ),
        pytest.param(
            "101",
            [a_stop("T", "-0.5", trigger="97"), a_stop("S", "-0.5")],
            plans(),
            MOVED,
            id="of two stops the looser gives way",
        ),
        pytest.param(
            "101",
            [a_stop()],
            plans("100.5"),
            [f"protection -1 100.5 {FOR_S}"],
            id="a tighter stop was planned, and never got there",
        ),
        pytest.param(
            "100.4",
            [a_stop()],
            plans("100.5"),
            ["flatten -1 None for None"],
            id="the mark is beyond what was planned",
        ),
        pytest.param("94", [a_stop()], plans(), [], id="beyond its stop: that is the venue's"),
        pytest.param(
            "110", [a_stop()], plans(), ["take_profit -1 None for None"], id="at its target"
        ),
        pytest.param("110", [a_stop()], plans(target=None), None, id="no target, so it trails"),
        pytest.param(
            "110",
            [a_stop(), tracked(an_entry("E", "2"), filled=Decimal(1))],
            plans(),
            [f"cancel {an_id('E')}", "take_profit -1 None for None"],
            id="at its target, and the entry still fills",
        ),
        pytest.param(
            "110", [a_stop(), tracked(an_exit("X"))], plans(), [], id="at its target, closing"
        ),
        pytest.param("97.01", [a_stop()], plans(falsified_at="97"), [], id="not yet proven wrong"),
        pytest.param(
            "97",
            [a_stop()],
            plans(falsified_at="97"),
            ["falsified -1 None for None"],
            id="proven wrong",
        ),
        pytest.param(
            "97",
            [tracked(an_entry("E", "2"), filled=Decimal(1))],
            plans(falsified_at="97"),
            [f"cancel {an_id('E')}", "falsified -1 None for None"],
            id="proven wrong while its entry fills and before its stop is there",
        ),
        pytest.param(
            "110",
            [a_stop(), tracked(an_exit("X", "-0.4"))],
            plans(),
            ["take_profit -0.6 None for None"],
            id="at its target, and partly closing",
        ),
    ],
)
def test_what_is_asked_for(mark, orders, planned, expected):
    expected = [f"protection -1 108.35 {FOR_S}"] if expected is None else expected
    said = asked(account(mark), orders, planned)
    assert said == expected


def test_a_short_position_is_cared_for_the_other_way_round():
    short = plans("105", "90", Side.SELL)
    orders = [a_stop(quantity="1", trigger="105")]
    assert asked(account("98", held="-1"), orders, short) == [f"protection +1 99.47 {FOR_S}"]
    assert asked(account("90", held="-1"), orders, short) == ["take_profit +1 None for None"]
    wrong = plans("105", "90", Side.SELL, falsified_at="103")
    assert asked(account("103", held="-1"), orders, wrong) == ["falsified +1 None for None"]


@pytest.mark.req("S0-26")
def test_a_position_that_is_too_old_is_closed_whatever_it_is_worth():
    assert asked(account("100", at=48 * 60 - 1), [a_stop()]) == []
    assert asked(account("100", at=48 * 60), [a_stop()]) == ["max_age -1 None for None"]


def test_a_stop_is_moved_once_in_a_minute():
    care = PositionCare(instruments(), FIT)
    first = [a_stop()]
    assert asked(account("101", at=0.9), first, care=care) == []
    assert len(asked(account("101", at=1), first, care=care)) == 1
    assert asked(account("102", at=1.9), first, care=care) == []
    assert len(asked(account("102", at=2), first, care=care)) == 1


def test_a_restart_knows_from_the_order_when_the_stop_was_moved():
    stop = [a_stop(trigger="100.1", decided_at=NOON + 5 * MINUTE)]
    assert asked(account("105", at=5.9), stop) == []
    assert len(asked(account("105", at=6), stop)) == 1


def test_an_exit_that_did_not_come_about_is_asked_for_again_after_the_deadline():
    care = PositionCare(instruments(), FIT)
    said = [asked(account("110", at=at), [a_stop()], care=care) for at in (1, 2, 3)]
    assert said == [["take_profit -1 None for None"], [], ["take_profit -1 None for None"]]


def test_what_waits_for_one_position_does_not_hold_up_the_next():
    care = PositionCare(instruments(), FIT)
    asked(account("110"), [a_stop()], care=care)
    asked(account("110", held="0"), [], care=care)
    assert asked(account("110", at=1.5), [a_stop()], care=care) == ["take_profit -1 None for None"]


def test_to_say_what_is_due_takes_nothing_as_done():
    care = PositionCare(instruments(), FIT)
    due = care.due(account("110"), [a_stop()], plans())
    assert care.review(account("110"), [a_stop()], plans()) == due != ()


def test_switched_off_nothing_is_due():
    off = ProtectionSettings(patience=FIT.patience, deadline=FIT.deadline)
    assert asked(account("110", at=10_000), [a_stop()], settings=off) == []


def test_what_is_proven_wrong_is_closed_whatever_is_switched_off():
    off = ProtectionSettings(patience=FIT.patience, deadline=FIT.deadline)
    said = asked(account("96"), [a_stop()], plans(falsified_at="97"), settings=off)
    assert said == ["falsified -1 None for None"]


def test_the_plan_knows_what_the_entry_was_for():
    carried = {"target": Decimal(110), "thesis": "it rises", "falsified_at": Decimal(97)}
    entry = sealed(replace(an_entry("E", stop="95").intent, **carried))
    plan = after_fill(None, Submitting.of(entry, at=NOON).order, Decimal(1))
    assert plan.price == Decimal(95)
    assert {name: getattr(plan, name) for name in carried} == carried


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
def test_nothing_is_falsified_at_what_is_no_price(price):
    with pytest.raises(ValueError, match="nothing is falsified"):
        replace(an_entry("E").intent, falsified_at=Decimal(price))


def test_only_a_stop_takes_the_place_of_a_stop():
    intent = an_exit("S", trigger="95").intent
    assert replace(intent, replaces=an_id("T")).purpose is Purpose.PROTECTION
    with pytest.raises(ValueError, match="takes the place"):
        replace(an_exit("X").intent, replaces=an_id("T"))
