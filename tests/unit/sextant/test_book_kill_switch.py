"""The kill switch over a book and a venue: what it ends, how it keeps at it, and who ends it."""

from decimal import Decimal

import pytest

from execution.order import Cancelling, OrderStatus, Submitting
from risk.approval import Rejection
from risk.breaker import Resume, RiskState, TradingState
from risk.breaker_orders import OPERATOR
from risk.intent import Direction, OrderIntent, Purpose
from tests.builders_book import a_book_house, enter
from tests.builders_engine import a_clock, a_paper_venue, an_entry, an_exit
from tests.builders_venue import BTC, XRP, approved
from tests.fakes_venue import ReservingVenue

FLAT_PRICE = "100 100 100 100"


async def holding(venue=None, clock=None, **terms):
    """A house that holds one BTC with its stop, and has an entry and a target resting."""
    clock = clock or a_clock()
    house = await a_book_house(venue or await a_paper_venue(clock, **terms), clock=clock)
    await enter(house, "A", "1", stop="90")
    await house.bar(FLAT_PRICE, 0, volume="1000000")
    await enter(house, "B", "2", stop="70", limit="80")
    await enter(house, "X", "100", symbol=XRP, stop="0.7", limit="0.8")
    return house


async def until_flat(house, *, bars=range(1, 30)):
    for number in bars:
        if not house.book.latches.is_ending(house.clock.now()):
            return
        await house.bar(FLAT_PRICE, number)
    raise AssertionError(house.left)


def resume(house):
    house.book.risks.lift(Resume(by="Ada", why="over", at=house.clock.now()))


@pytest.mark.req("S1-97")
async def test_entries_are_cancelled_positions_closed_and_the_stop_stands_until_then():
    house = await holding()
    await house.flatten()
    stops = [o for o in await house.venue.open_orders() if o.trigger]
    assert [(o.symbol, o.quantity) for o in stops] == [(BTC, 1)]
    asked = house.asked_for(OPERATOR)
    assert [(o.purpose, o.side, o.quantity, o.reduce_only) for o in asked] == [
        (Purpose.FLATTEN, "sell", 1, True)
    ]
    assert [o.symbol for o in await house.venue.open_orders()] == [BTC, BTC]
    await house.bar(FLAT_PRICE, 1)
    assert house.held(BTC) == 0
    assert await house.venue.open_orders() == ()
    assert house.asked_for(OPERATOR) == asked


async def test_it_is_on_record_before_the_first_cancellation():
    house = await holding()
    await house.flatten()
    facts = house.facts
    latched = next(i for i, f in enumerate(facts) if isinstance(f, RiskState) and f.latch)
    ended = [i for i, f in enumerate(facts) if isinstance(f, Cancelling)]
    asked = [i for i, f in enumerate(facts) if isinstance(f, Submitting) and f.order.reduce_only]
    assert latched < min(ended + asked)


async def test_an_entry_that_waits_to_be_sent_is_never_sent():
    house = await holding()
    house.book.engine.accept(an_entry("late", "1", decided_at=house.clock.now()))
    await house.flatten()
    sent = {o.client_order_id for o in await house.venue.open_orders()}
    late = house.book.engine.blotter.find(an_entry("late").intent.intent_id)
    assert late.status is OrderStatus.REJECTED
    assert late.client_order_id not in sent


async def test_nothing_is_entered_while_it_is_on_done_or_not():
    house = await holding()
    await house.flatten()
    await until_flat(house)
    for _ in range(2):
        intent = OrderIntent(
            intent_id="an-entry",
            strategy_id="desk",
            symbol=BTC,
            purpose=Purpose.ENTRY,
            direction=Direction.LONG,
            decided_at=house.clock.now(),
            confidence=0.9,
            quantity=Decimal(1),
            stop=Decimal(90),
        )
        market = house.book._bare_market(BTC)
        verdict = house.book.judge(intent, market, now=house.clock.now())
        assert isinstance(verdict, Rejection)
        assert "trading_state" in {o.rule for o in verdict.objections}
        await house.ask_the_venue()


async def test_only_the_venues_word_ends_it_and_only_then_a_person_may_lift_it():
    house = await holding()
    await house.flatten()
    await until_flat(house)
    assert house.left == ("the venue has yet to say that nothing is left",)
    resume(house)
    assert house.state.latch is not None
    await house.ask_the_venue()
    assert (house.left, house.state.trading) == ((), TradingState.HALTED)
    resume(house)
    assert (house.state.latch, house.state.trading) == (None, TradingState.ACTIVE)


async def test_what_is_still_open_is_said():
    house = await holding(participation=Decimal("0.0001"))
    await house.flatten()
    said = house.left
    assert said[0] == "BTC/USDT +1"
    assert {line.split()[0] for line in said[1:]} >= {"stop", "exit"}


async def test_a_part_filled_exit_is_followed_to_its_end():
    house = await holding(participation=Decimal("0.0003"))
    await house.flatten()
    await until_flat(house)
    assert len(house.asked_for(OPERATOR)) == 1
    await house.ask_the_venue()
    assert house.left == ()


async def test_an_exit_that_somebody_cancels_half_filled_is_asked_for_again():
    house = await holding(participation=Decimal("0.0003"))
    await house.flatten()
    await house.bar(FLAT_PRICE, 1)
    (first,) = house.asked_for(OPERATOR)
    await house.venue.cancel(first.client_order_id)
    await until_flat(house, bars=range(2, 30))
    assert len(house.asked_for(OPERATOR)) == 2
    assert sum(o.quantity for o in house.asked_for(OPERATOR)) == Decimal("1.7")  # then the rest


@pytest.mark.parametrize(
    ("fault", "exits"),
    [
        pytest.param({"refusals": 3}, 4, id="refused three times"),
        pytest.param({"lost": 2}, 3, id="unanswered twice, and never there"),
        pytest.param({"reserves": True}, 2, id="refused as long as its stop stands"),
        pytest.param({"reserves": True, "refusals": 1, "lost": 1}, 3, id="all of it"),
    ],
)
async def test_an_exit_that_comes_to_nothing_is_followed_up(fault, exits):
    clock = a_clock()
    venue = ReservingVenue(await a_paper_venue(clock), **fault)
    house = await holding(venue, clock)
    await house.flatten()
    await until_flat(house)
    assert len(venue.exits) == exits
    await house.ask_the_venue()
    assert house.left == ()


async def test_a_refusal_is_not_hammered_and_costs_the_stop_only_with_the_next_exit():
    clock = a_clock()
    venue = ReservingVenue(await a_paper_venue(clock), reserves=True)
    house = await holding(venue, clock)
    await house.flatten()
    for _ in range(4):
        await house.after(1)
    assert len(venue.exits) == 1
    assert [o.trigger for o in await venue.open_orders()] == [90]
    await house.after(1)
    assert len(venue.exits) == 2
    assert [o.trigger for o in await venue.open_orders()] == [None]


async def test_a_target_makes_way_for_the_exit():
    house = await holding()
    target = an_exit("T", "-1", limit="120", decided_at=house.clock.now())
    house.book.engine.accept(target)
    await house.book.engine.work()
    await house.flatten()
    await until_flat(house)
    assert house.book.engine.blotter.find(target.intent.intent_id).status is OrderStatus.CANCELLED


async def test_a_foreign_order_is_left_alone_and_does_not_keep_it_on():
    house = await holding()
    foreign = approved("somebody else's", "1", limit="50")
    await house.venue.submit(foreign)
    await house.flatten()
    await until_flat(house)
    await house.ask_the_venue()
    (left,) = await house.venue.open_orders()
    assert (left.client_order_id, left.status) == (foreign.intent.intent_id, OrderStatus.OPEN)
    assert house.left == ()


async def test_what_the_venue_holds_of_a_base_beyond_our_books_keeps_it_on():
    house = await holding()
    foreign = approved("somebody else's", "1")
    await house.venue.submit(foreign)
    await house.flatten()
    await until_flat(house)
    await house.ask_the_venue()
    (left,) = house.left
    assert left.startswith("balance BTC: 0")
    resume(house)
    assert house.state.latch is not None


async def test_what_turns_up_after_the_venues_word_is_ended_too():
    clock = a_clock()
    house = await holding(clock=clock)
    await house.flatten()
    await until_flat(house)
    await house.ask_the_venue()
    assert house.state.latch.is_done
    await enter(house, "late", "1", stop="90")  # as an order does that was given up for lost
    await house.ask_the_venue()
    assert not house.state.latch.is_done
    await house.look_after()
    await until_flat(house, bars=range(40, 60))
    await house.ask_the_venue()
    assert house.state.latch.is_done


async def test_it_goes_on_after_a_restart():
    house = await holding(participation=Decimal("0.0003"))
    await house.flatten()
    await house.bar(FLAT_PRICE, 1)
    await house.restart()
    assert house.state.latch is not None
    await house.ask_the_venue()
    await until_flat(house, bars=range(2, 30))
    await house.ask_the_venue()
    assert house.left == ()
    assert len(house.asked_for(OPERATOR)) == 1


async def test_twice_is_once():
    house = await holding()
    await house.flatten()
    state = house.state
    await house.flatten()
    assert house.state == state
    assert len(house.asked_for(OPERATOR)) == 1
