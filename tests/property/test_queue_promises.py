"""What no sequence of books and trades may make a queued order do."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution.book_matching import crosses
from execution.queue_position import QueuePlace, standing_at
from sextant.fidelity.outcome import Outcome
from sextant.fidelity.probes import Plan, Probe
from sextant.fidelity.reality import limit_reality
from sextant.fidelity.rules import BookRule
from sextant.fidelity.tape import Tape
from tests.builders_fidelity import (
    a_book,
    a_print,
    after,
    book_terms,
    paper_terms,
    queue_terms,
)
from tests.builders_venue import BTC

tenths = st.integers(0, 400).map(lambda n: Decimal(n) / 10)
some = tenths.filter(bool)
steps = st.lists(
    st.tuples(st.sampled_from(["level", "trade"]), tenths, st.integers(0, 60)), max_size=25
)
terms_drawn = st.builds(
    queue_terms,
    cancelled_ahead=st.sampled_from(["0", "0.3", "1"]),
    settling=st.sampled_from([0, 50, 10_000]),
)


def told(place, story, terms):
    """Each place with what has reached us until then."""
    reached, at = Decimal(0), 0
    for what, quantity, wait in story:
        at += wait
        if what == "level":
            place = place.after_level(quantity, after(at), terms)
        elif quantity:
            place, reaching = place.after_trade(quantity, after(at), terms)
            reached += reaching
        yield place, reached


@settings(max_examples=150, deadline=None)
@given(standing=tenths, story=steps, terms=terms_drawn)
def test_nothing_reaches_us_before_those_ahead_are_gone(standing, story, terms):
    before = Decimal(0)
    for place, reached in told(QueuePlace.behind(standing), story, terms):
        assert 0 <= place.ahead <= max(place.standing, standing)
        assert reached == before or place.ahead == 0
        before = reached


@settings(max_examples=150, deadline=None)
@given(standing=tenths, story=steps, terms=terms_drawn)
def test_no_more_reaches_us_than_was_traded(standing, story, terms):
    traded = sum(quantity for what, quantity, _ in story if what == "trade")
    for _, reached in told(QueuePlace.behind(standing), story, terms):
        assert reached <= traded


@settings(max_examples=150, deadline=None)
@given(standing=tenths, trades=st.lists(some, max_size=10), grown=st.lists(tenths, max_size=10))
def test_where_nobody_cancels_it_is_what_was_traded_beyond_the_queue(standing, trades, grown):
    level, story = standing, []
    for number, quantity in enumerate(trades):
        level = max(level - quantity, Decimal(0)) + (grown[number] if number < len(grown) else 0)
        story += [("trade", quantity, 1), ("level", level, 1)]
    reached = [r for _, r in told(QueuePlace.behind(standing), story, queue_terms(settling=100))]
    assert reached[-1:] in ([], [max(sum(trades) - standing, Decimal(0))])


@settings(max_examples=200, deadline=None)
@given(aheads=st.tuples(tenths, tenths), behind=tenths, story=steps, terms=terms_drawn)
def test_who_stands_nearer_the_front_never_gets_less(aheads, behind, story, terms):
    near, far = sorted(aheads)
    standing = far + behind
    places = [QueuePlace(ahead=ahead, standing=standing) for ahead in (near, far)]
    nearer, farther = (told(place, story, terms) for place in places)
    for (first, got), (second, less) in zip(nearer, farther, strict=True):
        assert first.ahead <= second.ahead
        assert got >= less


LATENCY = timedelta(milliseconds=15)
prices = st.integers(97, 103)
quantities = st.integers(1, 30).map(lambda n: Decimal(n) / 10)
books = st.tuples(prices, st.lists(quantities, min_size=3, max_size=3), st.integers(1, 2))
prints = st.tuples(st.sampled_from(list(Side)), prices, quantities)


def a_tape(events):
    """A book or a trade each ten milliseconds; paper is told of all."""
    made = []
    for number, event in enumerate(events):
        if isinstance(event[0], Side):
            made.append(a_print(*event, at=10 * number, trade_id=number))
            continue
        best, sizes, spread = event
        bids = ", ".join(f"{best - n} {size}" for n, size in enumerate(sizes))
        asks = ", ".join(f"{best + spread + n} {size}" for n, size in enumerate(sizes))
        made.append(a_book(bids, asks, at=10 * number))
    made.append(a_print(Side.BUY, 100, Decimal("0.1"), at=60_000))  # so that this is the lot
    return Tape(venue="test", symbol=BTC, truth=made, feed=made)


@settings(max_examples=200, deadline=None)
@given(
    events=st.lists(st.one_of(books, prints), min_size=2, max_size=30),
    side=st.sampled_from(list(Side)),
    limit=prices,
    quantity=quantities,
    terms=st.builds(
        book_terms,
        cancelled_ahead=st.sampled_from(["0", "0.5", "1"]),
        settling=st.sampled_from([0, 25]),
    ),
)
def test_on_the_same_news_the_queue_lies_between_the_bounds(events, side, limit, quantity, terms):
    """Of passive orders whose level the next book tells: what is unseen is endless."""
    tape, arrival = a_tape([(100, [Decimal(1)] * 3, 1), *events]), after(0) + LATENCY
    assume(not crosses(tape.feed.book_at(arrival), side, Decimal(limit)))
    met = tape.feed.book_after(arrival)
    assume(met is None or standing_at(met, side, Decimal(limit)) is not None)
    lifetime = timedelta(milliseconds=200)
    probe = Probe(
        group="",
        at=after(0),
        side=side,
        quantity=quantity,
        limit=Decimal(limit),
        latency=LATENCY,
        mid=Decimal(100),
    )
    plan = Plan(
        seed=0,
        each=1,
        sizes=(Decimal(1),),
        share=Decimal(1),
        latency=LATENCY,
        latency_spread=1.0,
        lifetime=lifetime,
        warm_up=timedelta(0),
    )
    rule = BookRule(tape=tape, terms=paper_terms(latency=15), book_terms=terms, lifetime=lifetime)
    said, truth = rule.limit(probe, probe.limit), limit_reality(tape, probe, plan)
    assert isinstance(said, Outcome)
    assert truth.least.quantity <= said.quantity <= truth.most.quantity
