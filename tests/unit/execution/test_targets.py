"""The order at a position's target: how it fits, when it is asked for, and that its stop stands."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.account import AccountState, Position
from data.instrument import Side
from execution.blotter import OrderDone
from execution.care import PositionCare
from execution.order import OrderStatus, Submitting
from execution.planned_stop import PlannedStop
from execution.protection import CancelOrder, ProtectionSettings
from execution.targets import TargetPrices, target_cover, target_prices
from execution.tracking import TrackedOrder
from risk.intent import Purpose
from tests.builders_engine import an_entry, an_exit, sealed
from tests.builders_venue import BTC, NOON, an_id, instruments

MINUTE = timedelta(minutes=1)
AIMS = ProtectionSettings(patience=timedelta(seconds=2), deadline=2 * MINUTE, take_profit=True)
WANTED = TargetPrices(trigger=Decimal(110), limit=None)
OPEN, SENDING, GONE = OrderStatus.OPEN, OrderStatus.SUBMITTING, OrderStatus.CANCELLED


def position(quantity="1", mark="100"):
    size = Decimal(quantity)
    return Position(
        symbol=BTC,
        quantity=size,
        entry_price=Decimal(100),
        mark=Decimal(mark),
        notional=abs(size) * Decimal(mark),
        opened_at=NOON,
    )


def account(quantity="1", mark="100", *, at=1.0):
    held = Decimal(quantity)
    return AccountState(
        as_of=NOON + at * MINUTE,
        currency="USDT",
        equity=Decimal(1000),
        cash=Decimal(1000),
        positions={BTC: position(quantity, mark)} if held else {},
    )


def tracked(approved, status=OPEN, **changes):
    return replace(
        TrackedOrder.of(Submitting.of(approved, at=NOON)), **{"status": status} | changes
    )


def a_target(name="T", quantity="-1", *, trigger="110", limit=None, **changes):
    intent = an_exit(name, quantity, trigger=trigger, limit=limit).intent
    return tracked(sealed(replace(intent, purpose=Purpose.TAKE_PROFIT)), **changes)


def a_stop(quantity="-1", **changes):
    return tracked(an_exit("S", quantity, trigger="95"), **changes)


def plan(target="110", side=Side.BUY):
    return PlannedStop(
        symbol=BTC,
        strategy_id="desk",
        side=side,
        price=Decimal(95),
        target=Decimal(target) if target else None,
    )


@pytest.mark.parametrize(
    ("held", "orders", "missing", "superfluous"),
    [
        pytest.param("1", [], "1", [], id="none yet"),
        pytest.param("1", [a_target()], "0", [], id="it fits"),
        pytest.param("1", [a_target(status=SENDING)], "0", [], id="it is on its way"),
        pytest.param("3", [a_target()], "2", [], id="the position has grown"),
        pytest.param("3", [a_target(status=SENDING)], "0", [], id="grown, and one is on its way"),
        pytest.param("0.4", [a_target()], "0", ["T"], id="the position has shrunk"),
        pytest.param("0.4", [a_target(filled=Decimal("0.6"))], "0", [], id="filled in part"),
        pytest.param(
            "1", [a_target(cancelling_since=NOON)], "0", [], id="it is going, and may fill"
        ),
        pytest.param("1", [a_target(status=GONE)], "1", [], id="it is gone"),
        pytest.param("1", [a_target(trigger="120")], "0", ["T"], id="elsewhere"),
        pytest.param("1", [a_target(limit="109")], "0", ["T"], id="with a limit"),
        pytest.param("-1", [a_target()], "0", ["T"], id="of a position the other way"),
        pytest.param(
            "2", [a_target(), a_target("U"), a_target("V", "-0.5")], "0", ["V"], id="one too many"
        ),
        pytest.param("1", [a_stop(), tracked(an_entry("E"))], "1", [], id="others are no targets"),
    ],
)
def test_how_targets_fit_their_position(held, orders, missing, superfluous):
    fit = target_cover(position(held), orders, WANTED)
    assert fit.missing == Decimal(missing)
    assert [o.client_order_id for o in fit.superfluous] == [an_id(name) for name in superfluous]


def test_without_a_target_all_are_superfluous():
    fit = target_cover(position(), [a_target()], None)
    assert (fit.missing, len(fit.superfluous)) == (0, 1)


@pytest.mark.parametrize(
    ("target", "side", "give", "trigger", "limit"),
    [
        pytest.param("110.005", Side.BUY, "0", "110", None, id="long, nearer to the market"),
        pytest.param("90.005", Side.SELL, "0", "90.01", None, id="short, nearer to the market"),
        pytest.param("110", Side.BUY, "0.01", "110", "108.9", id="long, with a limit"),
        pytest.param("90", Side.SELL, "0.01", "90", "90.9", id="short, with a limit"),
    ],
)
def test_where_a_target_is(target, side, give, trigger, limit):
    found = target_prices(plan(target, side), instruments()[BTC], Decimal(give))
    assert found == TargetPrices(
        trigger=Decimal(trigger), limit=None if limit is None else Decimal(limit)
    )


def asked(care, account, orders, planned=None, **options):
    """What is asked for, as short text."""
    return [
        f"cancel {action.client_order_id}"
        if isinstance(action, CancelOrder)
        else f"{action.purpose} {action.quantity:+} {action.trigger}"
        for action in care.review(account, orders, {BTC: planned or plan()}, **options)
    ]


def a_care(settings=AIMS, targets_in=(BTC,)):
    return PositionCare(instruments(), settings, targets_in=targets_in)


AIMED = ["take_profit -1 110"]


@pytest.mark.req("S2-46", "S3-36")
@pytest.mark.parametrize(
    ("held", "mark", "orders", "expected"),
    [
        pytest.param("1", "100", [a_stop()], AIMED, id="its stop stands"),
        pytest.param("1", "100", [], [], id="the stop comes first"),
        pytest.param("1", "100", [a_stop(status=SENDING)], [], id="the stop is on its way"),
        pytest.param("1", "100", [a_stop("-0.5")], [], id="the stop covers a part"),
        pytest.param("1", "100", [a_stop(), tracked(an_exit("X"))], [], id="it is being closed"),
        pytest.param(
            "1", "100", [a_stop(), tracked(an_entry("E"))], AIMED, id="while its entry still fills"
        ),
        pytest.param(
            "3", "100", [a_stop("-3"), a_target()], ["take_profit -2 110"], id="it has grown"
        ),
        pytest.param(
            "1", "100", [a_stop(), a_target(trigger="111")], [f"cancel {an_id('T')}"], id="it moved"
        ),
        pytest.param("0", "100", [a_target()], [f"cancel {an_id('T')}"], id="flat: it goes"),
        pytest.param("0", "100", [a_target(cancelling_since=NOON)], [], id="flat: it is going"),
        pytest.param("1.00001", "100", [a_stop(), a_target()], [], id="all but dust has one"),
    ],
)
def test_a_target_is_asked_for_beside_a_stop_that_stands(held, mark, orders, expected):
    assert asked(a_care(), account(held, mark), orders) == expected


@pytest.mark.parametrize(
    ("care", "options"),
    [
        pytest.param(a_care(targets_in=()), {}, id="the venue holds no two"),
        pytest.param(a_care(AIMS.model_copy(update={"take_profit": False})), {}, id="off"),
        pytest.param(a_care(), {"ending": [BTC]}, id="a kill switch ends all"),
    ],
)
def test_where_none_is_sent(care, options):
    assert asked(care, account(), [a_stop()], **options) == []


def test_it_is_asked_for_again_after_patience_and_after_a_refusal_later():
    care, refused = a_care(), a_target(status=OrderStatus.REJECTED)
    said = [asked(care, account(at=at / 60), [a_stop()]) for at in (60, 61, 62)]
    assert said == [AIMED, [], AIMED]
    care.hear(OrderDone(order=refused, refused=True))
    said = [asked(care, account(at=at / 60), [a_stop()]) for at in (64, 181, 182)]
    assert said == [[], [], AIMED]


def test_a_target_that_does_not_fill_in_time_is_taken_by_us():
    care, orders = a_care(), [a_stop(), a_target()]
    said = [asked(care, account(mark="110", at=at), orders) for at in (1.0, 2.9, 3.0)]
    ours = [f"cancel {an_id('T')}", "take_profit -1 None"]
    assert said == [[], [], ours]


def test_a_target_that_is_not_there_when_it_is_reached_is_taken_by_us_at_once():
    assert asked(a_care(), account(mark="110"), [a_stop()]) == ["take_profit -1 None"]


def test_a_mark_that_comes_back_begins_the_wait_anew():
    care, orders = a_care(), [a_stop(), a_target()]
    marks = [("110", 1.0), ("109", 2.0), ("110", 2.5), ("110", 4.0), ("110", 4.5)]
    said = [bool(asked(care, account(mark=mark, at=at), orders)) for mark, at in marks]
    assert said == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("targets_in", "second"),
    [
        pytest.param(
            (), [f"cancel {an_id('S')}", "take_profit -1 None"], id="the venue may hold it back"
        ),
        pytest.param((BTC,), [], id="they rest side by side, so that is not why"),
    ],
)
def test_an_exit_that_was_refused_beside_the_stop_replaces_it(targets_in, second):
    care = a_care(targets_in=targets_in)
    at_target = account(mark="110")
    assert asked(care, at_target, [a_stop()]) == ["take_profit -1 None"]
    exit_order = tracked(an_exit("X"), status=OrderStatus.REJECTED)
    care.hear(OrderDone(order=exit_order, refused=True))
    assert asked(care, account(mark="110", at=1.1), [a_stop()]) == second
    assert asked(care, account(mark="110", at=1.2), [a_stop(cancelling_since=NOON)]) == []


def test_a_position_that_ends_for_another_reason_gives_its_target_up():
    old = a_care(AIMS.model_copy(update={"max_age": MINUTE}))
    orders = [a_stop(), a_target()]
    assert asked(old, account(), orders) == [f"cancel {an_id('T')}", "max_age -1 None"]
