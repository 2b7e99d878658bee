"""What no sequence of orders and bars may make the matching core do."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from data.instrument import Side
from execution.fill import Fill
from execution.ledger import Ledger
from execution.matching import Matching
from execution.venue import OrderChanged
from execution.venue_state import StopTriggered
from tests.builders_venue import BTC, MINUTE, NOON, a_bar, an_id, an_order, instruments, terms

BALANCES = {"USDT": Decimal(5000)}
MOST = Decimal("0.05")

prices = st.integers(90, 110)
bars = st.tuples(prices, prices, prices, prices).map(lambda p: f"{p[0]} {max(p)} {min(p)} {p[1]}")
orders = st.tuples(
    st.sampled_from(["market", "stop", "limit", "reduce", "reducing limit", "cancel"]),
    st.integers(-40, 40).filter(bool),
    prices,
    st.sampled_from([None, 88, 95, 105, 112]),
)
steps = st.lists(st.tuples(st.lists(orders, max_size=2), bars), min_size=1, max_size=20)


def a_matching():
    return Matching(
        venue="paper",
        instruments=instruments("3"),
        terms=terms(
            taker_fee=Decimal("0.0026"),
            maker_fee=Decimal("0.0016"),
            spread_bps=Decimal(2),
            slippage_bps=Decimal(5),
            latency=timedelta(seconds=15),
            participation=MOST,
        ),
        balances=BALANCES,
    )


def an_order_of(name, kind, tenths, at_price, stop):
    return an_order(
        name,
        Decimal(tenths) / 10,
        trigger=at_price if kind == "stop" else None,
        limit=at_price if "limit" in kind else None,
        stop=stop if "reduc" not in kind else None,
        reduce_only="reduc" in kind,
    )


def playing(matching, story):
    """Every fact, with the bar that it came from or None."""
    placed = 0
    for minute, (wishes, bar_text) in enumerate(story):
        at = NOON + minute * MINUTE
        for wish in wishes:
            if wish[0] == "cancel":
                facts = matching.cancel(an_id(f"order {placed - 1}"), at)
            else:
                order = an_order_of(f"order {placed}", *wish)
                placed += 1
                facts = matching.place(order, at) if matching.refusal(order) is None else ()
            yield from ((None, fact) for fact in facts)
        bar = a_bar(bar_text, number=minute, volume="20")
        yield from ((bar, fact) for fact in matching.observe(bar))


@given(story=steps)
@settings(max_examples=100, deadline=None)
def test_fills_keep_to_their_bar_its_volume_and_the_grid(story):
    matching, used, seen_at = a_matching(), defaultdict(Decimal), NOON
    for bar, fact in playing(matching, story):
        if isinstance(fact, OrderChanged):
            assert fact.order.filled <= fact.order.quantity
        if isinstance(fact, Fill):
            used[bar.closed_at] += fact.quantity
            assert used[bar.closed_at] <= bar.volume * MOST
            assert not fact.quantity % instruments()[BTC].lot
            assert bar.opened_at <= fact.filled_at < bar.closed_at
            assert seen_at <= fact.filled_at
            seen_at = fact.filled_at


@given(story=steps)
@settings(max_examples=100, deadline=None)
def test_reduce_only_reduces_and_limits_hold(story):
    matching, position = a_matching(), Decimal(0)
    for _, fact in playing(matching, story):
        if not isinstance(fact, Fill):
            continue
        order = matching.order(fact.client_order_id)
        after = position + fact.side.sign * fact.quantity
        if order.reduce_only:
            assert abs(after) == abs(position) - fact.quantity
        if order.limit is not None:
            assert (order.limit - fact.price) * fact.side.sign >= 0
        position = after
    assert position == matching.balances.get("BTC", 0)


@given(story=steps)
@settings(max_examples=100, deadline=None)
def test_stops_go_off_only_where_the_price_was_and_fill_no_better(story):
    matching, went_off = a_matching(), {}
    for bar, fact in playing(matching, story):
        if isinstance(fact, StopTriggered):
            order = matching.order(fact.client_order_id)
            reached = bar.high if order.side is Side.BUY else bar.low
            assert (reached - order.trigger) * order.side.sign >= 0
            went_off[fact.client_order_id] = bar
        if isinstance(fact, Fill):
            trigger = matching.order(fact.client_order_id).trigger
            if trigger is not None and went_off[fact.client_order_id] is bar:
                assert (fact.price - trigger) * fact.side.sign >= 0


protected = st.tuples(
    st.sampled_from(["market", "stop", "limit", "cancel"]),
    st.integers(1, 15),
    prices,
    st.sampled_from([88, 95, 105]),
)


@given(story=st.lists(st.tuples(st.lists(protected, max_size=2), bars), max_size=20))
@settings(max_examples=100, deadline=None)
def test_what_entries_hold_is_covered_by_their_stops_to_the_last_lot(story):
    matching = a_matching()
    for _ in playing(matching, story):
        pass
    covered = sum(o.quantity - o.filled for o in matching.open_orders if o.reduce_only)
    assert covered == matching.balances.get("BTC", 0)


@given(story=steps)
@settings(max_examples=100, deadline=None)
def test_the_venue_and_our_ledger_agree_after_every_fill(story):
    matching, ledger = a_matching(), Ledger("USDT", BALANCES, instruments("3"))
    for _, fact in playing(matching, story):
        if isinstance(fact, Fill):
            ledger.book(fact)
    venue, ours = matching.balances, ledger.balances
    for asset in venue.keys() | ours.keys():
        assert venue.get(asset, 0) == ours.get(asset, 0)


@given(story=steps, cut=st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_any_prefix_of_the_facts_restores_a_venue_that_works(story, cut):
    """A crash may lose the end of a batch of facts; what is left is a state like any other."""
    facts = [fact for _, fact in playing(a_matching(), story)]
    kept = facts[: cut % (len(facts) + 1)]
    once, again = a_matching(), a_matching()
    for fact in kept:
        once.apply(fact)
        again.apply(fact)
    assert once.fills() == tuple(fact for fact in kept if isinstance(fact, Fill))
    for order in once.open_orders:
        assert order.filled < order.quantity
    bar = a_bar("100 111 89 100", number=500, volume="1000")
    assert once.observe(bar) == again.observe(bar)
