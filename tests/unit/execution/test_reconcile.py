"""Recovery and reconciliation: what the venue did, what never arrived, and what is not ours."""

from datetime import timedelta
from decimal import Decimal

import pytest

from execution.blotter import FillBooked
from execution.difference import DifferenceKind, Reconciliation
from execution.engine import EngineSettings
from execution.order import OrderStatus, Submitting
from execution.reconcile import compare_balances, reconcile
from execution.venue import VenueUnavailable, stop_id
from tests.builders_engine import a_clock, a_paper_venue, an_engine, an_entry, an_exit
from tests.builders_venue import BTC, NOON, KeptFacts, a_bar, an_id, instruments

MINUTE = timedelta(minutes=1)
LOST_AFTER = EngineSettings().lost_after


class Account:
    """One account at a paper venue, and the engine that lost or found its books."""

    def __init__(self, clock, venue):
        self.clock = clock
        self.venue = venue
        self.journal = KeptFacts()
        self.engine = an_engine(venue, clock, self.journal)

    async def restart(self):
        """A new process: what was not flushed is gone, and so is what nobody drained."""
        self.journal._written.clear()
        self.venue.drain()
        self.engine = an_engine(self.venue, self.clock, self.journal)
        await self.engine.recover(self.journal.facts())

    async def bar(self, prices="100 101 99 100", **details):
        bar = a_bar(prices, **details)
        self.clock.move_to(bar.closed_at)
        await self.venue.observe(bar)
        self.engine.ledger.mark(bar.symbol, bar.close, bar.closed_at)

    async def enter(self, name="A", **details):
        self.engine.accept(an_entry(name, **details))
        await self.engine.work()


@pytest.fixture
async def account():
    clock = a_clock()
    return Account(clock, await a_paper_venue(clock, taker_fee=Decimal("0.001")))


def kinds(reconciliation):
    return [difference.kind for difference in reconciliation.differences]


async def test_a_fresh_account_agrees_and_may_trade(account):
    assert not account.engine.account(NOON).reconciled
    result = await reconcile(account.engine)
    assert (result.reconciled, result.differences) == (True, ())
    assert account.engine.account(NOON).reconciled
    assert account.journal._written[-1] == result


async def test_a_restart_comes_to_the_same_books(account):
    await account.enter()
    await account.bar()
    account.engine.settle()
    await account.journal.flush()
    before = account.engine
    await account.restart()
    assert account.engine.orders == before.orders
    assert account.engine.plans == before.plans
    assert account.engine.ledger.balances == before.ledger.balances
    assert (await reconcile(account.engine)).differences == ()


async def test_what_filled_while_we_were_away_is_booked_and_protected(account):
    await account.enter()
    await account.journal.flush()
    await account.bar()
    await account.restart()
    told = []
    account.engine.listener = told.append
    result = await reconcile(account.engine)
    assert result.reconciled
    assert kinds(result) == [DifferenceKind.MISSED_FILL, DifferenceKind.MISSED_CHANGE]
    assert [type(news) for news in told][:1] == [FillBooked]
    assert account.engine.account(account.clock.now()).held(BTC) == 1
    assert [o.client_order_id for o in account.engine.orders] == [stop_id(an_id("A"))]
    assert account.engine.plans[BTC].price == 90


async def test_what_ended_while_we_were_away_has_ended(account):
    await account.enter()
    await account.bar()
    account.engine.settle()
    await account.journal.flush()
    await account.bar("95 96 89 91", number=1)
    await account.restart()
    assert (await reconcile(account.engine)).reconciled
    assert account.engine.orders == ()
    assert account.engine.account(account.clock.now()).held(BTC) == 0


@pytest.mark.parametrize("arrived", [True, False])
async def test_an_order_without_an_outcome_is_asked_after_and_not_sent_again(account, arrived):
    account.engine.accept(an_entry("A"))
    await account.journal.flush()
    if arrived:
        await account.venue.submit(an_entry("A"))
    await account.restart()
    first = await reconcile(account.engine)
    account.clock.move_to(NOON + MINUTE)
    second = await reconcile(account.engine)
    there = await account.venue.order(an_id("A"))
    status = account.engine.blotter.find(an_id("A")).status
    if arrived:
        assert kinds(first) == [DifferenceKind.MISSED_CHANGE]
        assert first.reconciled
        assert status is there.status is OrderStatus.OPEN
    else:
        assert kinds(first) == [DifferenceKind.UNRESOLVED]
        assert not first.reconciled
        assert kinds(second) == [DifferenceKind.NEVER_ARRIVED]
        assert second.reconciled
        assert status is OrderStatus.REJECTED
        assert there is None


async def test_a_restart_again_and_again_does_not_wait_for_an_answer_anew(account):
    account.engine.accept(an_entry("A"))
    await account.journal.flush()
    found = []
    for seconds in (0, 4, 8, 12):
        account.clock.move_to(NOON + timedelta(seconds=seconds))
        await account.restart()
        found.append(kinds(await reconcile(account.engine)))
        await account.journal.flush()
    assert found == [[DifferenceKind.UNRESOLVED]] * 3 + [[DifferenceKind.NEVER_ARRIVED]]


async def test_what_only_reduces_goes_out_between_two_questions(account, monkeypatch):
    """A venue's limits may have each of them wait; an entry waits until the answers are in."""
    await account.enter()
    await account.bar()
    account.engine.settle()
    asked = account.venue.charges

    async def charges(*, since=None):
        account.engine.accept(an_entry("B", stop="80"))
        account.engine.accept(an_exit("X", "-1"))
        return await asked(since=since)

    monkeypatch.setattr(account.venue, "charges", charges)
    balances, looks = account.venue.balances, iter(range(9))

    async def moved():
        return {**await balances(), "elsewhere": Decimal(next(looks))}  # so that we look again

    monkeypatch.setattr(account.venue, "balances", moved)
    await reconcile(account.engine)
    assert await account.venue.order(an_id("X")) is not None
    assert await account.venue.order(an_id("B")) is None
    assert list(account.engine.outbox.waiting) == [an_id("B")]


async def test_an_unresolved_order_stops_entries_until_it_is_resolved(account):
    account.engine.accept(an_entry("A"))
    await account.journal.flush()
    await account.restart()
    await reconcile(account.engine)
    assert not account.engine.account(NOON).reconciled
    account.clock.move_to(NOON + MINUTE)
    await reconcile(account.engine)
    assert account.engine.account(NOON).reconciled


async def test_what_is_being_left_in_peace_is_asked_after_all_the_same(account):
    """The venue could not tell for so long that its symbol rests for longer than it may arrive."""
    account.engine.accept(an_entry("A"))
    await account.journal.flush()
    await account.restart()
    tell, account.venue.order = account.venue.order, no_answer
    for _ in range(4):
        await account.engine.work()
        account.clock.move_to(account.clock.now() + timedelta(seconds=39))
    account.venue.order = tell
    assert account.engine.outbox._pauses.holds(BTC, account.clock.now())
    result = await reconcile(account.engine)
    assert kinds(result) == [DifferenceKind.NEVER_ARRIVED]
    assert result.reconciled


async def no_answer(client_order_id):
    raise VenueUnavailable(f"no answer about {client_order_id}")


async def test_a_cancellation_that_the_crash_cut_short_is_carried_out(account):
    await account.enter(limit="80", stop="70")
    account.engine.cancel(an_id("A"))
    await account.journal.flush()
    await account.restart()
    await account.engine.work()
    account.engine.settle()
    assert (await account.venue.order(an_id("A"))).status is OrderStatus.CANCELLED
    assert account.engine.orders == ()


async def test_orders_that_are_not_ours_are_reported_and_left_alone(account):
    await account.venue.submit(an_entry("foreign", limit="80", stop="70"))
    result = await reconcile(account.engine)
    await account.engine.work()
    assert kinds(result) == [DifferenceKind.FOREIGN_ORDER]
    assert result.differences[0].subject == an_id("foreign")
    assert result.reconciled
    assert [o.status for o in await account.venue.open_orders()] == [OrderStatus.OPEN]


async def test_somebody_elses_trade_on_our_account_stops_entries(account):
    await account.venue.submit(an_entry("foreign", stop=None))
    await account.bar()
    account.engine.settle()
    result = await reconcile(account.engine)
    assert kinds(result) == [DifferenceKind.FOREIGN_FILL, *[DifferenceKind.BALANCE] * 2]
    assert [d.subject for d in result.differences[1:]] == ["BTC", "USDT"]
    assert not result.reconciled
    assert not account.engine.account(NOON).reconciled


async def test_an_order_that_ended_here_and_works_there_is_cancelled_there(account):
    account.engine.accept(an_entry("A", limit="80", stop="70"))
    account.engine.cancel(an_id("A"))
    await account.engine.work()
    await account.venue.submit(an_entry("A", limit="80", stop="70"))
    account.venue.drain()
    result = await reconcile(account.engine)
    assert kinds(result) == [DifferenceKind.RISEN]
    await account.engine.work()
    assert await account.venue.open_orders() == ()


async def test_an_order_that_does_not_end_when_asked_to_is_an_open_question(account, monkeypatch):
    async def unheard(name):
        pass

    await account.enter(limit="80", stop="70")
    with monkeypatch.context() as deaf:
        deaf.setattr(account.venue, "cancel", unheard)
        account.engine.cancel(an_id("A"))
        await account.engine.work()
        assert (await reconcile(account.engine)).reconciled  # the end may be on its way
        await account.engine.work()
        account.clock.move_to(NOON + LOST_AFTER)
        found = await reconcile(account.engine)
        assert kinds(found) == [DifferenceKind.UNRESOLVED]
        assert not account.engine.account(NOON).reconciled
    await account.engine.work()  # it is asked for again
    assert (await reconcile(account.engine)).reconciled
    assert account.engine.orders == ()


async def test_an_order_that_the_venue_knows_no_more_is_over(account):
    await account.enter(limit="80", stop="70")
    account.engine.settle()
    account.engine.venue = await a_paper_venue(account.clock)
    account.clock.move_to(NOON + LOST_AFTER - timedelta(microseconds=1))
    result = await reconcile(account.engine)
    assert kinds(result) == [DifferenceKind.UNRESOLVED]  # its answers may lag behind its orders
    account.clock.move_to(NOON + LOST_AFTER)
    result = await reconcile(account.engine)
    assert kinds(result) == [DifferenceKind.VANISHED]
    assert account.engine.orders == ()


async def test_fills_that_were_looked_at_are_not_looked_at_again(account):
    await account.enter()
    await account.bar()
    account.engine.settle()
    assert (await reconcile(account.engine)).fills_seen == 1
    await account.journal.flush()
    await account.restart()
    assert account.engine.fills_seen == 1
    assert (await reconcile(account.engine)).fills_seen == 1


async def test_a_fill_that_was_told_late_is_found_by_the_next_process(account, monkeypatch):
    """It goes before one that was counted while the books did not agree."""
    for name in "AB":
        await account.enter(name)
    await account.bar()
    account.venue.drain()
    everything = account.venue.fills

    async def without_the_first(*, after=0):
        return (await everything())[1 + after :]

    with monkeypatch.context() as patched:
        patched.setattr(account.venue, "fills", without_the_first)
        assert not (await reconcile(account.engine)).reconciled
        await account.journal.flush()
    await account.restart()
    assert (await reconcile(account.engine)).reconciled
    assert account.engine.account(account.clock.now()).held(BTC) == 2


async def test_an_order_that_waits_to_be_sent_is_no_difference(account):
    account.engine.accept(an_entry("A"))
    assert (await reconcile(account.engine)).differences == ()
    await account.engine.work()
    assert account.engine.blotter.find(an_id("A")).status is OrderStatus.OPEN


async def test_a_venue_that_cannot_be_asked_concludes_nothing(account):
    async def down():
        raise VenueUnavailable("down")

    await reconcile(account.engine)
    account.venue.open_orders = down
    with pytest.raises(VenueUnavailable):
        await reconcile(account.engine)
    assert account.engine.reconciled
    assert sum(isinstance(fact, Reconciliation) for fact in account.journal._written) == 1


async def test_a_fill_that_comes_while_we_look_makes_us_look_again(account):
    await account.enter()
    account.engine.settle()
    balances, calls = account.venue.balances, iter(range(9))

    async def busy():
        if next(calls) == 1:
            await account.bar()
            account.venue.drain()
        return await balances()

    account.venue.balances = busy
    result = await reconcile(account.engine)
    assert result.reconciled
    assert account.engine.ledger.balances["BTC"] == 1


async def test_a_cancellation_that_the_venue_lost_is_repeated(account):
    async def lose(client_order_id):
        pass

    await account.enter(limit="80", stop="70")
    account.engine.settle()
    cancel, account.venue.cancel = account.venue.cancel, lose
    account.engine.cancel(an_id("A"))
    await account.engine.work()
    account.venue.cancel = cancel
    assert (await reconcile(account.engine)).differences == ()
    await account.engine.work()
    assert await account.venue.open_orders() == ()


async def test_a_journal_of_other_things_too_is_read(account):
    account.journal.write("a decision")
    await account.enter()
    await account.journal.flush()
    await account.restart()
    assert [order.client_order_id for order in account.engine.orders] == [an_id("A")]


async def test_no_restart_lets_an_order_out_twice(account):
    await account.enter()
    await account.bar()
    account.engine.settle()
    account.engine.accept(an_exit("X"))
    await account.engine.work()
    await account.journal.flush()
    for _ in range(3):
        await account.restart()
        await reconcile(account.engine)
        for approved in (an_entry("A"), an_exit("X")):
            account.engine.accept(approved)
        await account.engine.work()
        await account.bar(number=2)
    submitting = [
        f.order.client_order_id for f in account.journal.durable if isinstance(f, Submitting)
    ]
    assert submitting == [an_id("A"), an_id("X")]
    assert [fill.quantity for fill in await account.venue.fills()] == [1, 1]


@pytest.mark.parametrize(
    ("ours", "theirs", "differ"),
    [
        pytest.param({"USDT": "5"}, {"USDT": "5"}, [], id="equal"),
        pytest.param({"USDT": "5"}, {"USDT": "5.00000001"}, [], id="rounded by the venue"),
        pytest.param({"USDT": "5"}, {"USDT": "5.00000002"}, ["USDT"], id="more than rounding"),
        pytest.param({"BTC": "1"}, {"BTC": "1.00009"}, [], id="less than a lot"),
        pytest.param({"BTC": "1"}, {"BTC": "1.0001"}, ["BTC"], id="a lot"),
        pytest.param({}, {"BTC": "1"}, ["BTC"], id="only theirs"),
        pytest.param({"USDT": "5"}, {}, ["USDT"], id="only ours"),
        pytest.param({"ETH": "0"}, {}, [], id="nothing either way"),
        pytest.param({}, {"XRP": "0.5"}, [], id="less than a lot, of which we have none"),
    ],
)
def test_balances_differ_by_a_lot_or_by_more_than_rounding(ours, theirs, differ):
    mine, other = ({a: Decimal(b) for a, b in side.items()} for side in (ours, theirs))
    found = compare_balances(mine, other, instruments(), lambda _: Decimal("1e-8"))
    assert [difference.subject for difference in found] == differ
    assert all(difference.kind is DifferenceKind.BALANCE for difference in found)


def test_an_asset_that_is_not_traded_here_is_left_alone():
    """A deposit of another coin, or what another trades, keeps nobody from trading."""
    found = compare_balances({}, {"ETH": Decimal(3)}, instruments(), lambda _: Decimal(0))
    assert [(d.kind, d.subject, d.theirs) for d in found] == [
        (DifferenceKind.FOREIGN_ASSET, "ETH", "3")
    ]
    assert not found[0].kind.forbids_entries


def test_only_questions_balances_and_a_sleep_forbid_entries():
    forbidding = {kind for kind in DifferenceKind if kind.forbids_entries}
    assert forbidding == {
        DifferenceKind.UNRESOLVED,
        DifferenceKind.BALANCE,
        DifferenceKind.ASLEEP,
    }
