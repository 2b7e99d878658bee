"""Every position has stops for exactly its size at the venue, or is about to be closed."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.account import AccountState, Position
from data.instrument import Side
from execution.order import OrderStatus, Submitting
from execution.planned_stop import PlannedStop, after_fill, after_stop
from execution.protection import (
    UNPLANNED,
    CancelOrder,
    Protection,
    ProtectionSettings,
    cover,
)
from execution.tracking import TrackedOrder
from risk.intent import OrderIntent, Purpose
from tests.builders_engine import an_entry, an_exit
from tests.builders_venue import BTC, NOON, XRP, an_id, instruments

SECOND = timedelta(seconds=1)
FIT = ProtectionSettings(patience=2 * SECOND, deadline=10 * SECOND)
OPEN, SENDING = OrderStatus.OPEN, OrderStatus.SUBMITTING


def account(held, *, at=0, mark="100", symbol=BTC):
    """An account that holds `held` so many seconds after noon."""
    quantity = Decimal(held)
    position = Position(
        symbol=symbol,
        quantity=quantity,
        entry_price=Decimal(100),
        mark=Decimal(mark),
        notional=abs(quantity) * Decimal(mark),
        opened_at=NOON,
    )
    is_flat = instruments()[symbol].is_dust(quantity, Decimal(mark))
    return AccountState(
        as_of=NOON + at * SECOND,
        currency="USDT",
        equity=Decimal(1000),
        cash=Decimal(1000),
        positions={} if is_flat else {symbol: position},
    )


def a_stop(name, quantity="-1", *, trigger="95", status=OPEN, filled="0", cancelling_since=None):
    """A protective stop order of ours; `quantity` is signed."""
    approved = an_exit(name, quantity, trigger=trigger)
    order = TrackedOrder.of(Submitting.of(approved, at=NOON))
    return replace(order, status=status, filled=Decimal(filled), cancelling_since=cancelling_since)


def an_attached_stop(entry, size="1"):
    return replace(entry.child(), status=OPEN, size=Decimal(size))


def tracked(approved, status=OPEN):
    return replace(TrackedOrder.of(Submitting.of(approved, at=NOON)), status=status)


def a_plan(trigger="95", side=Side.BUY):
    return {BTC: PlannedStop(symbol=BTC, strategy_id="desk", side=side, price=Decimal(trigger))}


def brief(actions):
    """Actions as short text: what, how much, at which trigger."""
    return [
        f"cancel {action.client_order_id}"
        if isinstance(action, CancelOrder)
        else f"{action.purpose} {action.quantity:+} {action.trigger}"
        for action in actions
    ]


def cancelled(name):
    return f"cancel {an_id(name)}"


@pytest.mark.parametrize(
    ("held", "orders", "acknowledged", "missing", "superfluous"),
    [
        pytest.param("1", [], "0", "1", [], id="no stop at all"),
        pytest.param("1", [a_stop("S")], "1", "0", [], id="one that fits"),
        pytest.param(
            "1", [a_stop("S", "-0.6"), a_stop("T", "-0.4")], "1", "0", [], id="two that fit"
        ),
        pytest.param("1", [a_stop("S", "-0.4")], "0.4", "0.6", [], id="one too small"),
        pytest.param("1", [a_stop("S", "-2")], "0", "1", ["S"], id="one too large"),
        pytest.param(
            "1",
            [a_stop("S", trigger="90"), a_stop("T", trigger="97")],
            "1",
            "0",
            ["S"],
            id="two, the tighter stays",
        ),
        pytest.param(
            "-1",
            [a_stop("S", "1", trigger="110"), a_stop("T", "1", trigger="103")],
            "1",
            "0",
            ["S"],
            id="two over a short position, the tighter stays",
        ),
        pytest.param("1", [a_stop("S", status=SENDING)], "0", "0", [], id="one on its way"),
        pytest.param(
            "1", [a_stop("S", status=OrderStatus.UNKNOWN)], "0", "0", [], id="one without answer"
        ),
        pytest.param(
            "1",
            [a_stop("S", trigger="90"), a_stop("T", trigger="97", status=SENDING)],
            "1",
            "0",
            [],
            id="a tighter one on its way replaces none yet",
        ),
        pytest.param(
            "1", [a_stop("S", cancelling_since=NOON)], "0", "1", [], id="one being cancelled"
        ),
        pytest.param("1", [a_stop("S", filled="0.4")], "0.6", "0.4", [], id="one partly filled"),
        pytest.param("1", [a_stop("S", "1")], "0", "1", ["S"], id="one on the wrong side"),
        pytest.param("0", [a_stop("S")], "0", "0", ["S"], id="an orphan"),
        pytest.param(
            "0", [a_stop("S", status=SENDING)], "0", "0", ["S"], id="an orphan on its way"
        ),
        pytest.param(
            "1", [tracked(an_exit("X", "-0.7"))], "0", "0.3", [], id="most of it is being closed"
        ),
        pytest.param(
            "1", [tracked(an_entry("E", "-1"))], "0", "1", [], id="an entry closes nothing"
        ),
        pytest.param(
            "0.3",
            [tracked(an_entry("E")), an_attached_stop(tracked(an_entry("E")), "0.5")],
            "0.3",
            "0",
            [],
            id="attached to an entry that fills faster than we hear",
        ),
        pytest.param(
            "0.3",
            [an_attached_stop(tracked(an_entry("E")), "0.5")],
            "0",
            "0.3",
            ["E's stop"],
            id="attached to an entry that has ended, and too large",
        ),
    ],
)
def test_cover_says_how_the_stops_fit(held, orders, acknowledged, missing, superfluous):
    fit = cover(Decimal(held), orders)
    assert (fit.acknowledged, fit.missing) == (Decimal(acknowledged), Decimal(missing))
    names = {an_id("S"): "S", an_id("T"): "T"}
    said = [names.get(order.client_order_id, "E's stop") for order in fit.superfluous]
    assert said == superfluous


class Watch:
    """A protection that is asked again and again, and what it puts on record."""

    def __init__(self, settings=FIT):
        self.settings = settings
        self.record = []
        self.revision = 0
        self.restart()

    def restart(self):
        self.protection = Protection(
            instruments(), self.settings, write=self.record.append, seen=tuple(self.record)
        )

    @property
    def seen(self):
        """What is on record: whether naked, and from how many seconds after noon on."""
        return [(fact.is_naked, (fact.at - NOON) // SECOND) for fact in self.record]

    def review(self, account, orders=(), plans=None):
        self.revision += 1
        return brief(self.review_again(account, orders, plans))

    def review_again(self, account, orders=(), plans=None):
        plans = a_plan() if plans is None else plans
        return self.protection.review(account, orders, plans, revision=self.revision)


@pytest.mark.req("S0-26")
def test_a_position_without_a_stop_gets_one_once_patience_ends():
    watch = Watch()
    seen = [watch.review(account("1", at=at)) for at in range(4)]
    assert seen == [[], [], ["protection -1 95"], []]


@pytest.mark.req("S0-26")
def test_what_is_asked_for_is_an_intent_of_the_desk_that_only_reduces():
    watch = Watch(ProtectionSettings(patience=timedelta(0), deadline=SECOND))
    short = account("-1.00005", mark="98")
    (intent,) = watch.review_again(short, plans=a_plan("103", Side.SELL))
    assert isinstance(intent, OrderIntent)
    assert intent.reduces
    assert (intent.strategy_id, intent.purpose) == ("desk", Purpose.PROTECTION)
    assert (intent.quantity, intent.trigger) == (Decimal("1.0000"), Decimal(103))
    assert intent.decided_at == short.as_of


def test_the_same_moment_asks_with_the_same_id_and_another_with_another():
    def asked(at):
        watch = Watch(ProtectionSettings(patience=timedelta(0), deadline=10 * SECOND))
        return watch.review_again(account("1", at=at))[0].intent_id

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


@pytest.mark.req("S0-26")
def test_a_position_without_an_acknowledged_stop_is_flattened_at_the_deadline():
    watch = Watch()
    sending = [a_stop("S", status=SENDING)]
    assert watch.review(account("1"), sending) == []
    assert watch.review(account("1", at=9), sending) == []
    assert watch.review(account("1", at=10), sending) == ["flatten -1 None"]
    assert watch.review(account("1", at=19), sending) == []
    assert watch.review(account("1", at=20), sending) == ["flatten -1 None"]


def test_what_is_being_closed_is_not_flattened_too():
    watch = Watch()
    closing = [tracked(an_exit("X", "-1"))]
    assert [watch.review(account("1", at=at), closing) for at in (0, 5, 20)] == [[], [], []]


def test_a_stop_in_time_ends_the_wait():
    watch = Watch()
    watch.review(account("1"))
    watch.review(account("1", at=9), [a_stop("S")])
    assert watch.review(account("1", at=11)) == []
    assert watch.review(account("1", at=20)) == ["protection -1 95"]


@pytest.mark.parametrize(
    ("held", "trigger", "side", "mark"),
    [
        pytest.param("1", "95", Side.BUY, "95", id="long"),
        pytest.param("-1", "105", Side.SELL, "106", id="short"),
    ],
)
def test_a_price_beyond_the_stop_closes_at_once(held, trigger, side, mark):
    watch = Watch()
    plans = a_plan(trigger, side)
    watch.review(account(held, mark=mark), plans=plans)
    (action,) = watch.review(account(held, at=2, mark=mark), plans=plans)
    assert action == f"flatten {-Decimal(held):+} None"


@pytest.mark.req("S1-76")
def test_a_position_that_no_plan_is_known_for_is_flattened_once_patience_ends():
    """As a stop that outlives its position makes one: nothing could ever guard it."""
    watch = Watch()
    assert watch.review(account("1"), plans={}) == []
    assert watch.review(account("1", at=1), plans={}) == []
    watch.revision += 1
    (intent,) = watch.review_again(account("1", at=2), plans={})
    assert (intent.purpose, intent.strategy_id) == (Purpose.FLATTEN, UNPLANNED)


def test_a_stop_that_is_too_large_stays_until_its_successor_takes_its_place():
    watch = Watch()
    orders = [a_stop("S", "-1"), a_stop("T", "-1", trigger="90")]
    watch.review(account("0.6"), orders)
    cancel, stop = watch.review_again(account("0.6", at=2), orders)
    assert brief([cancel, stop]) == [cancelled("T"), "protection -0.6 95"]
    assert stop.replaces == an_id("S")
    waiting = [a_stop("S", "-1"), a_stop("U", "-0.6", status=SENDING)]
    assert watch.review(account("0.6", at=4), waiting) == []
    done = [a_stop("S", "-1"), a_stop("U", "-0.6", trigger="96")]
    assert watch.review(account("0.6", at=5), done) == [cancelled("S")]


def test_a_stop_that_is_too_large_stays_while_the_position_is_closed_at_market():
    watch = Watch()
    closing = replace(tracked(an_exit("X", "-1")), filled=Decimal("0.4"))
    orders = [a_stop("S", "-1"), closing]
    assert [watch.review(account("0.6", at=at), orders) for at in (0, 2, 8)] == [[], [], []]
    (stop,) = watch.review_again(account("0.6", at=9), orders[:1])
    assert (brief([stop]), stop.replaces) == (["protection -0.6 95"], an_id("S"))


def test_the_stop_of_a_flat_position_is_cancelled_at_once():
    watch = Watch()
    assert watch.review(account("0"), [a_stop("S")]) == [cancelled("S")]


def test_dust_is_flat():
    watch = Watch()
    assert watch.review(account("0.0499"), [a_stop("S", "-0.0499")]) == [cancelled("S")]
    assert watch.review(account("0.0499", at=60)) == []


def test_a_missing_rest_that_the_venue_would_not_take_is_left():
    watch = Watch()
    orders = [a_stop("S", "-1")]
    assert [watch.review(account("1.0499", at=at), orders) for at in (0, 60)] == [[], []]


def test_dust_that_the_price_makes_a_position_is_noticed():
    watch = Watch(ProtectionSettings(patience=timedelta(0), deadline=10 * SECOND))
    assert watch.review(account("0.05", mark="99")) == []
    assert brief(watch.review_again(account("0.05", mark="100"))) == ["protection -0.05 95"]


def test_symbols_are_watched_apart():
    watch = Watch()
    watch.review(account("1"))
    assert watch.review(account("100", at=2, symbol=XRP)) == []


def test_nothing_is_looked_at_while_nothing_changes():
    watch = Watch()
    watch.review(account("1"), [a_stop("S")])
    assert watch.review_again(account("1", at=99), orders=()) == ()


@pytest.mark.parametrize(
    ("looks", "seen"),
    [
        pytest.param([("1", [a_stop("S")])], [], id="its stop fits"),
        pytest.param([("1", [])], [(True, 0)], id="none"),
        pytest.param([("1", [])] * 3, [(True, 0)], id="none, and still none"),
        pytest.param([("1", []), ("1", [a_stop("S")])], [(True, 0), (False, 1)], id="one comes"),
        pytest.param([("1", []), ("0", [])], [(True, 0), (False, 1)], id="flat"),
        pytest.param([("1", [a_stop("S"), a_stop("T")])], [], id="one more than it takes"),
        pytest.param([("1", [a_stop("S", "-2")])], [(True, 0)], id="one that is too large"),
        pytest.param(
            [("1", [a_stop("S"), a_stop("T")]), ("1", [])],
            [(True, 1)],
            id="first too much, then nothing",
        ),
        pytest.param([("0.0499", [])], [], id="dust"),
    ],
)
def test_since_when_a_position_is_naked_is_on_record(looks, seen):
    watch = Watch()
    for at, (held, orders) in enumerate(looks):
        watch.review(account(held, at=at), orders)
    assert watch.seen == seen


@pytest.mark.parametrize(
    ("looks", "flattened_at"),
    [
        pytest.param([[]] * 11, 10, id="no stop at all"),
        pytest.param([[a_stop("S", status=SENDING)]] * 11, 10, id="one that is never acknowledged"),
        pytest.param([[a_stop("S")]] * 4 + [[]] * 11, 14, id="one is found gone at a start"),
        pytest.param([[]] * 4 + [[a_stop("S")]] + [[]] * 11, 15, id="one stood meanwhile"),
        pytest.param([[a_stop("S"), a_stop("T")]] * 9 + [[]] * 11, 19, id="too many before"),
    ],
)
def test_who_is_restarted_at_every_look_flattens_at_the_deadline_all_the_same(looks, flattened_at):
    watch = Watch()
    for at, orders in enumerate(looks):
        actions = watch.review(account("1", at=at), orders)
        assert ("flatten -1 None" in actions) == (at >= flattened_at)
        watch.restart()


def test_a_start_puts_what_is_naked_on_record_and_asks_for_nothing():
    watch = Watch()
    watch.protection.begin(account("1"), [a_stop("S", "-0.4")])
    assert watch.seen == [(True, 0)]
    watch.restart()
    watch.protection.begin(account("1", at=9), [])
    assert watch.seen == [(True, 0)]
    assert watch.review(account("1", at=10)) == ["flatten -1 None"]


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([a_stop("S")], id="it fits"),
        pytest.param([a_stop("S"), a_stop("T")], id="too much, which the venue may know better"),
    ],
)
def test_a_start_begins_no_wait_for_what_is_covered(orders):
    watch = Watch()
    watch.protection.begin(account("1"), orders)
    assert watch.seen == []


def entry(stop, quantity="1"):
    return an_entry("E", quantity, stop=stop)


@pytest.mark.parametrize(
    ("plan", "approved", "held", "price"),
    [
        pytest.param(None, entry("95"), "1", "95", id="an entry brings its stop"),
        pytest.param("97", entry("95"), "2", "97", id="a looser stop changes nothing"),
        pytest.param("95", entry("97"), "2", "97", id="a tighter stop binds"),
        pytest.param("95", an_exit("X"), "0.5", "95", id="a reduction leaves it"),
        pytest.param("95", an_exit("X"), "0", None, id="flat, and it is gone"),
        pytest.param("95", an_exit("X"), "-1", None, id="turned by what has no stop"),
        pytest.param("95", entry("105", "-2"), "-1", "105", id="turned by an entry"),
        pytest.param(None, an_entry("E", stop=None), "1", None, id="an entry without one"),
    ],
)
def test_the_plan_follows_the_fills_and_only_tightens(plan, approved, held, price):
    order = Submitting.of(approved, at=NOON).order
    before = a_plan(plan)[BTC] if plan is not None else None
    after = after_fill(before, order, Decimal(held))
    assert (after.price if after is not None else None) == (Decimal(price) if price else None)


@pytest.mark.parametrize(
    ("trigger", "price"),
    [pytest.param("97", "97", id="tighter"), pytest.param("90", "95", id="looser")],
)
def test_a_stop_order_tightens_the_plan_and_never_loosens_it(trigger, price):
    order = Submitting.of(an_exit("S", trigger=trigger), at=NOON).order
    assert after_stop(a_plan("95")[BTC], order).price == Decimal(price)
