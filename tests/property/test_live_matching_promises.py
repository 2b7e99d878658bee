"""What no sequence of books, trades, bars and orders may make paper over a live market do."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution.depth import walk
from execution.fill import Fill, Liquidity
from execution.queue_position import QueuePlace
from execution.venue import OrderChanged
from tests.builders_fidelity import a_book, book_terms, levels
from tests.builders_live_book import LiveBook
from tests.builders_venue import an_order

prices = st.integers(95, 105)
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=3)
books = st.tuples(st.just("book"), prices, sizes, st.integers(1, 3))
trades = st.tuples(st.just("trade"), st.sampled_from(["buy", "sell"]), prices, st.integers(1, 60))
orders = st.tuples(
    st.sampled_from(["market", "stop", "limit", "reduce"]),
    st.integers(-40, 40).filter(bool),
    prices,
    st.sampled_from([None, 90, 97, 103, 110]),
)
cancels = st.tuples(st.just("cancel"))
stories = st.lists(st.one_of(books, trades, orders, cancels), min_size=1, max_size=30)
terms_drawn = st.builds(
    book_terms,
    cancelled_ahead=st.sampled_from(["0", "0.5", "1"]),
    settling=st.sampled_from([0, 25]),
    max_age=st.sampled_from([40, 60_000]),
)
latencies = st.sampled_from([0, 15])
STEP = 10  # milliseconds between two events


def sides(best, tenths, spread):
    """A book by its best bid, its sizes in tenths, and its spread, as text."""
    bids = ", ".join(f"{best - n} {Decimal(size) / 10}" for n, size in enumerate(tenths))
    asks = ", ".join(f"{best + spread + n} {Decimal(size) / 10}" for n, size in enumerate(tenths))
    return bids, asks


def an_order_of(name, kind, tenths, price, stop):
    return an_order(
        name,
        Decimal(tenths) / 10,
        trigger=price if kind == "stop" else None,
        limit=price if kind == "limit" else None,
        stop=stop if kind != "reduce" else None,
        reduce_only=kind == "reduce",
    )


def playing(live, story):
    """Each event with the facts that it led to; what arrives before it is an event too."""
    placed = 0
    for number, event in enumerate([("book", 100, [20, 20], 1), *story]):
        before, at = len(live.facts), STEP * number
        live.pass_time(at)
        yield ("arrivals",), live.facts[before:]
        before = len(live.facts)
        match event:
            case ("book", best, tenths, spread):
                live.book(*sides(best, tenths, spread), at=at)
            case ("trade", side, price, tenths):
                live.trade(f"{side} {price} {Decimal(tenths) / 10}", at=at)
            case ("cancel",):
                live.cancel(f"order {placed - 1}", at=at)
            case wish:
                order = an_order_of(f"order {placed}", *wish)
                placed += 1
                if live.matching.refusal(order) is None:
                    live.place(order, at=at)
        yield event, live.facts[before:]


@settings(max_examples=150, deadline=None)
@given(story=stories, terms=terms_drawn, latency=latencies)
def test_no_taker_gets_a_better_price_or_more_than_the_book_had(story, terms, latency):
    """By the books that were told, each level of each side for as long as it stands there."""
    live = LiveBook(latency=latency, books=terms)
    told = {side: {} for side in Side}  # what orders on that side were offered, by the newest book
    had = {side: defaultdict(Decimal) for side in Side}  # of it by us
    for event, facts in playing(live, story):
        if event[0] == "book":
            for side, text in zip((Side.SELL, Side.BUY), sides(*event[1:]), strict=True):
                told[side] = dict(levels(text))
                left = {p: min(q, told[side][p]) for p, q in had[side].items() if p in told[side]}
                had[side] = defaultdict(Decimal, left)
        for fill in takers(facts):
            had[fill.side][fill.price] += fill.quantity
            assert had[fill.side][fill.price] <= told[fill.side].get(fill.price, 0)


def takers(facts):
    return [f for f in facts if isinstance(f, Fill) and f.liquidity is Liquidity.TAKER]


@settings(max_examples=150, deadline=None)
@given(story=stories, terms=terms_drawn, latency=latencies)
def test_makers_get_their_limit_and_no_more_than_was_traded(story, terms, latency):
    live = LiveBook(latency=latency, books=terms)
    for event, facts in playing(live, story):
        made = [f for f in facts if isinstance(f, Fill) and f.liquidity is Liquidity.MAKER]
        if not made:
            continue
        kind, side, price, tenths = event
        assert kind == "trade"
        assert sum(fill.quantity for fill in made) <= Decimal(tenths) / 10
        for fill in made:
            assert fill.side is Side(side).opposite
            assert fill.price == live.matching.order(fill.client_order_id).limit
            assert (price - fill.price) * fill.side.sign <= 0


@settings(max_examples=150, deadline=None)
@given(story=stories, terms=terms_drawn, latency=latencies)
def test_fills_never_pass_the_order_its_limit_or_the_position(story, terms, latency):
    live = LiveBook(latency=latency, books=terms)
    filled, position = defaultdict(Decimal), Decimal(0)
    for _, facts in playing(live, story):
        for fact in facts:
            if isinstance(fact, OrderChanged):
                assert fact.order.filled == filled[fact.order.client_order_id]
            if not isinstance(fact, Fill):
                continue
            order = live.matching.order(fact.client_order_id)
            filled[fact.client_order_id] += fact.quantity
            assert filled[fact.client_order_id] <= order.quantity
            if order.limit is not None:
                assert (order.limit - fact.price) * fact.side.sign >= 0
            before, position = position, position + fact.side.sign * fact.quantity
            if order.reduce_only:
                assert abs(position) < abs(before)
                assert position * before >= 0


@settings(max_examples=100, deadline=None)
@given(story=stories, terms=terms_drawn, latency=latencies)
def test_its_facts_make_it_again(story, terms, latency):
    live = LiveBook(latency=latency, books=terms)
    for _ in playing(live, story):
        pass
    again = LiveBook(latency=latency, books=terms, facts=live.facts)
    assert again.matching.open_orders == live.matching.open_orders
    assert again.matching.balances == live.matching.balances
    assert again.matching.fills() == live.matching.fills()


@settings(max_examples=150, deadline=None)
@given(story=stories, terms=terms_drawn)
def test_while_an_order_rests_its_place_never_goes_back(story, terms):
    live, ahead = LiveBook(books=terms), {}
    for _ in playing(live, story):
        for name, place in live.matching._places.items():
            assert isinstance(place, QueuePlace)
            assert place.ahead <= ahead.get(name, place.ahead)
            if place.ahead.is_finite():  # of a level that was in sight
                ahead[name] = place.ahead


@settings(max_examples=60, deadline=None)
@given(
    tenths=sizes,
    wanted=st.integers(1, 60),
    side=st.sampled_from(list(Side)),
    waits=st.tuples(st.integers(0, 500), st.integers(0, 500)),
)
def test_in_a_book_that_stands_still_waiting_longer_is_never_better(tenths, wanted, side, waits):
    book = sides(100, tenths, 1)
    shorter, longer = (average(book, side, wanted, wait) for wait in sorted(waits))
    assert (longer - shorter) * side.sign >= 0


def average(book, side, tenths, wait):
    """What was paid for an order that was so long on its way, per unit; the book is told again."""
    live = LiveBook(latency=wait)
    live.book(*book, at=0)
    live.place(an_order("order", side.sign * Decimal(tenths) / 10), at=10)
    for at in (200, 400, 600):
        live.book(*book, at=at)
    fills = live.matching.fills()
    paid = sum(fill.price * fill.quantity for fill in fills)
    offered = a_book(*book).taken_by(side)
    assert sum(f.quantity for f in fills) == sum(
        level.quantity for level in walk(offered, side, Decimal(tenths) / 10)
    )
    return paid / sum(fill.quantity for fill in fills)
