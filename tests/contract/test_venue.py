"""One suite for every adapter of `execution.venue.Venue`.

An arena holds a venue and can move its market; a new adapter adds its own to `EXCHANGES`.
"""

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.funding import FundingRate
from data.instrument import Side
from data.order_book import Level, OrderBook
from data.trade import Trade
from execution.fill import Fill, Liquidity
from execution.order import OrderStatus
from execution.venue import (
    OrderChanged,
    OrderRefused,
    OutcomeUnknown,
    Venue,
    VenueUnavailable,
    stop_id,
)
from execution.venues.paper import PaperVenue
from risk.intent import Purpose
from tests.builders_arenas import EXCHANGES, a_stop
from tests.builders_fidelity import book_terms
from tests.builders_venue import (
    BTC,
    NOON,
    KeptFacts,
    a_bar,
    an_id,
    approved,
    instruments,
    terms,
)
from tests.fakes_venue import FlakyVenue


class PaperArena:
    """The paper venue in a market that a test moves, bar by bar, from 100."""

    liquidates = True

    def __init__(self):
        self.clock = ManualClock(NOON)
        self.venue = PaperVenue(
            name="paper",
            instruments=instruments("5"),
            terms=terms(taker_fee=Decimal("0.0026"), participation=Decimal("0.1")),
            balances={"USDT": Decimal(10_000)},
            journal=KeptFacts(),
            clock=self.clock,
        )
        self._bars = 0

    async def __aenter__(self):
        await self.move("100 100 100 100")
        return self

    async def __aexit__(self, *_):
        pass

    async def move(self, prices, *, volume="1000"):
        bar = a_bar(prices, number=self._bars, volume=volume)
        self._bars += 1
        self.clock.move_to(bar.closed_at)
        await self.venue.observe(bar)

    async def levy(self, amount):
        """Have so much funding paid for the position, at the beginning of the next bar."""
        position = (await self.venue.balances())["BTC"]
        now = self.clock.now()
        rate = FundingRate(
            symbol=BTC,
            at=now,
            seen_at=now,
            rate=amount / position / 100,
            interval=timedelta(hours=1),
            mark_price=Decimal(100),
        )
        self.venue.note(rate)
        await self.move("100 100 100 100")


class LivePaperArena(PaperArena):
    """The same over a live market: a bar is told as its trades, with a book before and behind."""

    def __init__(self):
        super().__init__()
        self.venue = PaperVenue(
            name="paper",
            instruments=instruments("5"),
            terms=terms(taker_fee=Decimal("0.0026"), latency=timedelta(milliseconds=100)),
            balances={"USDT": Decimal(10_000)},
            journal=KeptFacts(),
            clock=self.clock,
            book_terms=book_terms(max_age=180_000),
        )

    async def move(self, prices, *, volume="1000"):
        """Each price trades a tenth of the volume; there is plenty on both sides, a tick away."""
        bar = a_bar(prices, number=self._bars, volume=volume)
        self.clock.move_to(bar.closed_at - timedelta(seconds=1))
        await self._quote(bar.open)
        for price, side in ((bar.low, Side.SELL), (bar.high, Side.BUY)):
            await self.venue.hear(self._trade(price, side, bar.volume / 10))
        await self._quote(bar.close)
        await super().move(prices, volume=volume)

    def _trade(self, price, side, quantity):
        return Trade(
            symbol=BTC,
            trade_id=1,
            traded_at=self.clock.now(),
            side=side,
            price=price,
            quantity=quantity,
        )

    async def _quote(self, mid):
        plenty, tick = Decimal(1_000), Decimal("0.01")
        book = OrderBook(
            symbol=BTC,
            at=self.clock.now(),
            bids=(Level(mid - tick, plenty),),
            asks=(Level(mid + tick, plenty),),
        )
        await self.venue.hear(book)


ARENAS = {"paper": PaperArena, "live-paper": LivePaperArena, **EXCHANGES}


@pytest.fixture(params=ARENAS)
async def arena(request):
    async with ARENAS[request.param]() as arena:
        yield arena


@pytest.fixture
def venue(arena) -> Venue:
    return arena.venue


async def settled_quantity(venue):
    return sum(fill.side.sign * fill.quantity for fill in await venue.fills())


async def test_it_has_a_name_and_says_whether_it_attaches_stops(venue):
    assert venue.name
    assert isinstance(venue.attaches_stops, bool)


@pytest.mark.req("S1-132")
async def test_an_order_fills_and_moves_the_balances(arena, venue):
    before = await venue.balances()
    await venue.submit(approved("order", "2"))
    await arena.move("100 101 99 100")
    (fill,) = await venue.fills()
    after = await venue.balances()
    assert (fill.client_order_id, fill.symbol, fill.quantity) == (an_id("order"), BTC, 2)
    assert after["BTC"] - before.get("BTC", 0) == 2
    assert before["USDT"] - after["USDT"] == 2 * fill.price + fill.fee


LIQUID = "100000"  # in a bar


async def test_what_it_ends_by_force_is_told_as_such_once(arena, venue):
    """A position of twice and a half what the account has falls by two fifths."""
    if not arena.liquidates:
        pytest.skip("nothing is liquidated here: how it is told is in the adapter's tests")
    await venue.submit(approved("order", "250"))
    for prices in ("100 100 100 100", "100 100 60 60", "60 60 60 60"):
        await arena.move(prices, volume=LIQUID)
    fills = await venue.fills()
    taken = [fill for fill in fills if fill.client_order_id != an_id("order")]
    assert [fill for fill in fills if fill.forced] == taken
    assert sum(fill.quantity for fill in taken) == 250
    assert {fill.side for fill in taken} == {Side.SELL}
    told = [event for event in venue.drain() if isinstance(event, Fill) and event.forced]
    assert told == taken
    assert (await venue.balances()).get("BTC", 0) == 0


async def test_submitting_twice_trades_once(arena, venue):
    await venue.submit(approved("order", "1"))
    await venue.submit(approved("order", "1"))
    await arena.move("100 100 100 100")
    await venue.submit(approved("order", "1"))
    await arena.move("100 100 100 100")
    assert await settled_quantity(venue) == 1


async def test_submitting_at_the_same_time_trades_once(arena, venue):
    await asyncio.gather(*(venue.submit(approved("order", "1")) for _ in range(5)))
    await arena.move("100 100 100 100")
    assert await settled_quantity(venue) == 1


async def test_an_order_taken_on_is_known_at_once(venue):
    await venue.submit(approved("order", "1", limit="90"))
    order = await venue.order(an_id("order"))
    assert (order.status, order.quantity, order.filled) == (OrderStatus.OPEN, 1, 0)
    assert list(await venue.open_orders()) == [order]


async def test_an_order_that_never_got_there_is_not_known(venue):
    assert await venue.order(str(uuid.uuid4())) is None


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(approved("refused", "0.00005"), id="too small"),
        pytest.param(approved("refused", "100000"), id="beyond all means"),
        pytest.param(approved("refused", "-1", reduce_only=True), id="nothing to reduce"),
    ],
)
async def test_a_refused_order_leaves_nothing_behind(arena, venue, order):
    with pytest.raises(OrderRefused, match=an_id("refused")):
        await venue.submit(order)
    await arena.move("100 100 100 100")
    known = await venue.order(an_id("refused"))
    assert known is None or known.status is OrderStatus.REJECTED
    assert not await venue.open_orders()
    assert not await venue.fills()


async def test_a_cancelled_order_fills_no_more(arena, venue):
    await venue.submit(approved("order", "1", limit="90"))
    await venue.cancel(an_id("order"))
    await arena.move("80 80 80 80")
    assert (await venue.order(an_id("order"))).status is OrderStatus.CANCELLED
    assert not await venue.open_orders()
    assert not await venue.fills()


async def test_cancelling_what_is_final_or_unknown_is_no_error(arena, venue):
    await venue.submit(approved("order", "1"))
    await arena.move("100 100 100 100")
    for _ in range(2):
        await venue.cancel(an_id("order"))
        await venue.cancel(str(uuid.uuid4()))
    assert (await venue.order(an_id("order"))).status is OrderStatus.FILLED


async def test_fills_come_in_order_and_can_be_resumed(arena, venue):
    for n in range(3):
        await venue.submit(approved(f"order {n}", f"{n + 1}"))
        await arena.move("100 100 100 100")
    fills = await venue.fills()
    assert [fill.quantity for fill in fills] == [1, 2, 3]
    assert len({fill.fill_id for fill in fills}) == 3
    assert list(await venue.fills(after=2)) == list(fills[2:])
    assert not await venue.fills(after=3)


async def test_charges_are_told_in_order_and_are_gone_from_the_balances(arena, venue):
    assert not await venue.charges()
    await venue.submit(approved("order", "2"))
    await arena.move("100 100 100 100")
    before = (await venue.balances())["USDT"]
    for amount in ("1.5", "0.25"):
        await arena.levy(Decimal(amount))
    charges = await venue.charges()
    assert [(c.asset, c.amount, c.symbol) for c in charges] == [
        ("USDT", Decimal("1.5"), BTC),
        ("USDT", Decimal("0.25"), BTC),
    ]
    assert before - (await venue.balances())["USDT"] == Decimal("1.75")


async def test_charges_can_be_asked_for_again_from_any_time_on(arena, venue):
    await venue.submit(approved("order", "2"))
    await arena.move("100 100 100 100")
    for amount in ("1.5", "0.25"):
        await arena.levy(Decimal(amount))
    first, second = await venue.charges()
    assert first.charge_id != second.charge_id
    assert list(await venue.charges(since=first.charged_at)) == [first, second]
    assert second in await venue.charges(since=second.charged_at)
    assert not await venue.charges(since=second.charged_at + timedelta(hours=1))


async def test_a_partial_fill_leaves_the_rest_working(arena, venue):
    await venue.submit(approved("order", "2", limit="99.5"))
    await arena.move("100 100 99 100", volume="5")
    part = await venue.order(an_id("order"))
    assert (part.status, part.filled) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.5"))
    await arena.move("100 100 99 100")
    whole = await venue.order(an_id("order"))
    assert (whole.status, whole.filled) == (OrderStatus.FILLED, 2)


async def test_everything_is_told_once_fills_before_what_they_change(arena, venue):
    venue.drain()
    await venue.submit(approved("order", "2", limit="99.5"))
    await arena.move("100 100 99 100", volume="5")
    await arena.move("100 100 99 100")
    told = venue.drain()
    assert [fill for fill in told if isinstance(fill, Fill)] == list(await venue.fills())
    filled = Decimal(0)
    for event in told:
        if isinstance(event, Fill):
            filled += event.quantity
        elif isinstance(event, OrderChanged):
            assert event.order.filled == filled
    assert told[-1].order.status is OrderStatus.FILLED
    assert not venue.drain()


async def test_waiting_ends_when_there_is_something_to_drain(arena, venue):
    venue.drain()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await venue.wait()
    await venue.submit(approved("order", "1", limit="90"))
    async with asyncio.timeout(60):
        await venue.wait()
    venue.drain()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await venue.wait()


async def test_an_attached_stop_is_there_with_the_fill_and_closes_the_position(arena, venue):
    if not venue.attaches_stops:
        pytest.skip("this venue attaches no stops; protection places them")
    await venue.submit(approved("entry", "1", limit="99.5", stop="95"))
    assert await venue.order(stop_id(an_id("entry"))) is None
    await arena.move("100 101 99 100")
    child = await venue.order(stop_id(an_id("entry")))
    assert (child.quantity, child.trigger, child.parent) == (1, 95, an_id("entry"))
    await arena.move("96 97 90 91")
    assert await settled_quantity(venue) == 0
    assert not await venue.open_orders()


@pytest.fixture
async def amending(arena, venue):
    """A venue that amends, with a position of 2 and a stop for 1 of it at 95."""
    if not venue.amends:
        with pytest.raises(OrderRefused):
            await venue.amend(an_id("stop"), trigger=Decimal(97), quantity=Decimal(1))
        pytest.skip("this venue amends nothing; one stop takes the place of another")
    await venue.submit(approved("entry", "2"))
    await arena.move("100 100 100 100")
    await venue.submit(a_stop("stop", "95"))
    return venue


def terms_of(order):
    return order.client_order_id, order.trigger, order.quantity, order.status


@pytest.mark.req("S0-26")
@pytest.mark.parametrize("quantity", ["0.5", "1", "2"])
async def test_a_stop_is_amended_in_place(arena, amending, quantity):
    for trigger in ("96", "97", "97"):
        await amending.amend(an_id("stop"), trigger=Decimal(trigger), quantity=Decimal(quantity))
        expected = an_id("stop"), Decimal(trigger), Decimal(quantity), OrderStatus.OPEN
        assert terms_of(await amending.order(an_id("stop"))) == expected
        assert [terms_of(order) for order in await amending.open_orders()] == [expected]
    await arena.move("98 98 98 98")
    assert await settled_quantity(amending) == 2
    await arena.move("97 97 97 97")
    assert await settled_quantity(amending) == 2 - Decimal(quantity)


async def test_an_amendment_is_told_as_a_change_of_the_same_order(arena, amending):
    await arena.move("100 100 100 100")
    amending.drain()
    await amending.amend(an_id("stop"), trigger=Decimal(97), quantity=Decimal(2))
    async with asyncio.timeout(60):
        await amending.wait()
    told = [terms_of(event.order) for event in amending.drain()]
    assert told == [(an_id("stop"), 97, 2, OrderStatus.OPEN)]


async def test_what_has_filled_or_never_was_is_not_amended(arena, amending):
    await arena.move("95 95 95 95")
    for name in ("stop", "entry", "never there"):
        with pytest.raises(OrderRefused):
            await amending.amend(an_id(name), trigger=Decimal(97), quantity=Decimal(2))
    assert await settled_quantity(amending) == 1
    assert not await amending.open_orders()


async def test_an_amendment_that_cannot_be_leaves_the_stop_as_it_was(amending):
    before = await amending.order(an_id("stop"))
    with pytest.raises(OrderRefused):
        await amending.amend(an_id("stop"), trigger=Decimal(97), quantity=Decimal("0.00005"))
    assert await amending.order(an_id("stop")) == before


async def test_an_amendment_that_races_with_a_fill_loses_or_wins_whole(arena, amending):
    """Either the stop has filled as it was, or the market meets it as amended."""
    await amending.amend(an_id("stop"), trigger=Decimal(97), quantity=Decimal(2))
    moved, amended = await asyncio.gather(
        arena.move("97 97 97 97"),
        amending.amend(an_id("stop"), trigger=Decimal(98), quantity=Decimal(1)),
        return_exceptions=True,
    )
    assert moved is None
    was_refused = isinstance(amended, OrderRefused)
    assert was_refused or amended is None
    assert (await amending.order(an_id("stop"))).status is OrderStatus.FILLED
    assert await settled_quantity(amending) == (0 if was_refused else 1)


@pytest.mark.req("S0-26")
async def test_an_order_takes_the_place_of_another(arena, venue):
    await venue.submit(approved("entry", "1"))
    await arena.move("100 100 100 100")
    await venue.submit(a_stop("first", "95"))
    await arena.move("100 100 100 100")
    venue.drain()
    second = a_stop("second", "97", replaces="first")
    await venue.submit(second)
    await venue.submit(second)
    await arena.move("100 100 100 100")
    told = [(event.order.client_order_id, event.order.status) for event in venue.drain()]
    assert told == [
        (an_id("second"), OrderStatus.OPEN),
        (an_id("first"), OrderStatus.CANCELLED),
    ]
    (working,) = await venue.open_orders()
    assert (working.client_order_id, working.trigger) == (an_id("second"), 97)
    await arena.move("96 97 90 91")
    assert await settled_quantity(venue) == 0


async def test_an_order_that_is_declined_takes_no_place(arena, venue):
    await venue.submit(approved("entry", "1"))
    await arena.move("100 100 100 100")
    await venue.submit(a_stop("first", "95"))
    with pytest.raises(OrderRefused):
        await venue.submit(a_stop("second", "97", quantity="-0.0000001", replaces="first"))
    (working,) = await venue.open_orders()
    assert working.client_order_id == an_id("first")


async def test_a_place_that_is_free_already_is_taken_all_the_same(arena, venue):
    await venue.submit(approved("entry", "1"))
    await arena.move("100 100 100 100")
    await venue.submit(a_stop("first", "95"))
    await venue.cancel(an_id("first"))
    await venue.submit(a_stop("second", "97", replaces="first"))
    await venue.submit(a_stop("third", "98", replaces="never there"))
    assert {order.trigger for order in await venue.open_orders()} == {97, 98}


async def test_a_reduce_only_order_never_turns_the_position(arena, venue):
    await venue.submit(approved("entry", "1"))
    await arena.move("100 100 100 100")
    await venue.submit(approved("exit", "-5", reduce_only=True))
    await arena.move("100 100 100 100")
    assert await settled_quantity(venue) == 0
    assert (await venue.order(an_id("exit"))).status.is_final


def a_target(name, trigger, *, quantity="-1", limit=None):
    """A take-profit order for a position that was bought."""
    return approved(
        name,
        quantity,
        trigger=trigger,
        limit=limit,
        reduce_only=True,
        purpose=Purpose.TAKE_PROFIT,
    )


@pytest.mark.req("S2-46", "S3-36")
@pytest.mark.parametrize(
    ("prices", "filled", "price"),
    [
        pytest.param("100 104 96 100", None, None, id="neither is reached"),
        pytest.param("104 106 104 106", "target", 105, id="the target"),
        pytest.param("96 96 94 94", "stop", 95, id="the stop"),
    ],
)
async def test_a_stop_and_a_target_rest_side_by_side_and_one_of_them_fills(
    arena, venue, prices, filled, price
):
    await venue.submit(approved("entry", "1"))
    await arena.move("100 100 100 100")
    await venue.submit(a_stop("stop", "95"))
    await venue.submit(a_target("target", "105"))
    resting = {order.client_order_id: order for order in await venue.open_orders()}
    assert resting[an_id("stop")].trigger == 95
    assert resting[an_id("target")].trigger == 105
    await arena.move(prices)
    fills = (await venue.fills())[1:]
    assert [fill.client_order_id for fill in fills] == ([an_id(filled)] if filled else [])
    if not filled:
        return
    assert abs(fills[0].price - price) <= 2
    for name in ("stop", "target"):  # what the venue has not ended is ended by whoever is flat
        await venue.cancel(an_id(name))
    await arena.move("90 110 90 110")
    assert await settled_quantity(venue) == 0
    assert not await venue.open_orders()


@pytest.mark.parametrize(
    ("prices", "quantity"),
    [
        pytest.param("100 104 100 104", 0, id="not set off"),
        pytest.param("104 106 104 106", -1, id="set off, within its limit"),
    ],
)
async def test_a_target_may_have_a_limit(arena, venue, prices, quantity):
    await venue.submit(approved("entry", "1"))
    await arena.move("100 100 100 100")
    await venue.submit(a_target("target", "105", limit="104.5"))
    known = await venue.order(an_id("target"))
    assert (known.trigger, known.limit, known.status) == (105, Decimal("104.5"), OrderStatus.OPEN)
    await arena.move(prices)
    assert await settled_quantity(venue) == 1 + quantity


async def test_a_stop_may_have_a_limit(arena, venue):
    await venue.submit(approved("entry", "1"))
    await arena.move("100 100 100 100")
    stop = approved("stop", "-1", trigger="95", limit="94", reduce_only=True)
    await venue.submit(stop)
    known = await venue.order(an_id("stop"))
    assert (known.trigger, known.limit) == (95, 94)
    await arena.move("95 95 95 95")
    assert await settled_quantity(venue) == 0


async def test_a_post_only_order_rests_and_is_filled_there(arena, venue):
    await venue.submit(approved("order", "1", limit="99", post_only=True))
    assert (await venue.order(an_id("order"))).status is OrderStatus.OPEN
    await arena.move("100 100 98 98")
    (fill,) = await venue.fills()
    assert (fill.price, fill.liquidity) == (99, Liquidity.MAKER)


async def test_a_post_only_order_that_would_take_never_trades(arena, venue):
    with contextlib.suppress(OrderRefused):
        await venue.submit(approved("order", "1", limit="101", post_only=True))
    await arena.move("100 100 100 100")
    known = await venue.order(an_id("order"))
    assert known is None or known.status in (OrderStatus.REJECTED, OrderStatus.EXPIRED)
    assert not await venue.open_orders()
    assert not await venue.fills()


async def test_it_says_whether_it_holds_a_stop_and_a_target_together(venue):
    assert isinstance(venue.holds_targets(BTC), bool)


@pytest.mark.parametrize("seed", range(10))
async def test_a_bad_line_makes_no_order_twice_and_loses_no_event(arena, venue, seed):
    """Retried until somebody can say that each order got there, as the port allows."""
    flaky = FlakyVenue(venue, random.Random(seed), faults=0.6)
    for n in range(8):
        await submitted(flaky, approved(f"order {n}", "1"))
    told = Counter()
    for _ in range(3):
        await arena.move("100 100 100 100")
        told.update(e.fill_id for e in flaky.drain() if isinstance(e, Fill))
    flaky.heal()
    told.update(e.fill_id for e in flaky.drain() if isinstance(e, Fill))
    assert await settled_quantity(venue) == 8
    assert set(told) == {fill.fill_id for fill in await venue.fills()}
    assert not flaky.pending


async def submitted(venue, order):
    """Submit as an engine must: after silence, ask before sending again."""
    while True:
        try:
            return await venue.submit(order)
        except (VenueUnavailable, OrderRefused):
            continue
        except OutcomeUnknown:
            if await asked(venue, order.intent.intent_id) is not None:
                return None


async def asked(venue, client_order_id):
    while True:
        try:
            return await venue.order(client_order_id)
        except VenueUnavailable:
            continue
