"""Paper over a live market: books are walked, queues are stood in, messages travel."""

from datetime import timedelta
from decimal import Decimal

import pytest

from execution.live_matching import BY_BAR, BookTerms
from execution.order import OrderStatus
from execution.venue import stop_id
from execution.venue_state import CancelSent, StopTriggered
from tests.builders_fidelity import book_terms, queue_terms
from tests.builders_live_book import LiveBook
from tests.builders_venue import an_id, an_order

SECOND, MINUTE = 1_000, 60_000


@pytest.mark.parametrize(
    ("quantity", "fills"),
    [
        pytest.param("1", ["buy 1 at 101 taker"], id="of the best offer"),
        pytest.param("3", ["buy 2 at 101 taker", "buy 1 at 102 taker"], id="through two levels"),
        pytest.param("-6", ["sell 5 at 100 taker", "sell 1 at 99 taker"], id="bids downwards"),
    ],
)
def test_a_market_order_walks_the_book(quantity, fills):
    live = LiveBook()
    live.book(at=0)
    live.place(an_order("order", quantity), at=10)
    assert live.pass_time(10) == fills


def test_what_the_book_has_not_waits_for_the_next_and_takes_nothing_twice():
    live = LiveBook()
    live.book(at=0)
    live.place(an_order("order", "10"), at=10)
    assert live.pass_time(10) == ["buy 2 at 101 taker", "buy 6 at 102 taker"]
    assert live.status("order") is OrderStatus.PARTIALLY_FILLED
    assert live.book(at=20) == []
    assert live.book(asks="101 2, 102 6.5, 103 9", at=30) == [
        "buy 0.5 at 102 taker",
        "buy 1.5 at 103 taker",
    ]
    assert live.status("order") is OrderStatus.FILLED


def test_two_orders_share_what_is_offered():
    live = LiveBook()
    live.book(at=0)
    live.place(an_order("one", "2"), at=10)
    live.place(an_order("two", "2"), at=10)
    assert live.pass_time(10) == ["buy 2 at 101 taker", "buy 2 at 102 taker"]


@pytest.mark.parametrize(
    ("book_at", "price"),
    [
        pytest.param(109, "105", id="the book moved while it travelled"),
        pytest.param(111, "101", id="it moved too late"),
    ],
)
def test_an_order_meets_the_book_of_its_arrival(book_at, price):
    live = LiveBook(latency=100)
    live.book(at=0)
    live.place(an_order("order", "1"), at=10)
    assert live.matching.next_due == live.matching._state.orders[an_id("order")].effective_at
    first = live.book(asks="105 9", at=book_at)
    assert first + live.pass_time(200) == [f"buy 1 at {price} taker"]


def test_a_book_that_is_too_old_is_not_walked():
    live = LiveBook(books=book_terms(max_age=SECOND))
    live.book(at=0)
    live.place(an_order("order", "1"), at=SECOND + 1)
    assert live.pass_time(SECOND + 1) == []
    assert live.book(asks="105 9", at=2 * SECOND) == ["buy 1 at 105 taker"]


def test_a_crossed_book_is_not_believed():
    live = LiveBook(books=book_terms(max_age=SECOND))
    live.book("103 1", "101 1", at=0)
    live.place(an_order("order", "1"), at=1)
    assert live.pass_time(1) == []
    assert live.book(at=2) == ["buy 1 at 101 taker"]


def test_a_trade_leaves_nothing_better_behind_it():
    """The book that was told before the trade still shows what the trade has taken."""
    live = LiveBook()
    live.book(at=0)
    live.trade("sell 98 1", at=5)
    live.place(an_order("order", "-1"), at=10)
    assert live.pass_time(10) == ["sell 1 at 98 taker"]


@pytest.mark.parametrize(
    ("order", "trades", "fills"),
    [
        pytest.param("2 100", ["sell 100 5"], [], id="those ahead are filled first"),
        pytest.param(
            "2 100", ["sell 100 6"], ["buy 1 at 100 maker"], id="then we are, by what is left"
        ),
        pytest.param(
            "2 100",
            ["sell 100 5.5", "sell 100 0.5", "sell 100 9"],
            ["buy 0.5 at 100 maker", "buy 0.5 at 100 maker", "buy 1 at 100 maker"],
            id="in parts, and no more than we asked for",
        ),
        pytest.param("2 100", ["buy 101 9"], [], id="a buyer takes no bid"),
        pytest.param("2 100", ["sell 101 9"], [], id="nor a seller above it"),
        pytest.param(
            "2 99", ["sell 98 0.5"], ["buy 0.5 at 99 maker"], id="who sells lower has met us before"
        ),
        pytest.param(
            "2 99",
            ["sell 98 0.5", "sell 99 0.3"],
            ["buy 0.5 at 99 maker", "buy 0.3 at 99 maker"],
            id="and those ahead have gone with that",
        ),
        pytest.param(
            "-1 102", ["buy 102 7"], ["sell 1 at 102 maker"], id="asks queue the same way"
        ),
        pytest.param(
            "-1 101",
            ["buy 102 0.4"],
            ["sell 0.4 at 101 maker"],
            id="and are met by who buys higher",
        ),
        pytest.param("1 97", ["sell 97 99"], [], id="behind an unseen level nothing reaches us"),
        pytest.param("1 97", ["sell 96 1"], ["buy 1 at 97 maker"], id="until it is traded through"),
    ],
)
def test_only_trades_fill_what_rests(order, trades, fills):
    live = LiveBook()
    quantity, limit = order.split()
    live.book(at=0)
    live.place(an_order("order", quantity, limit=limit), at=1)
    live.book(at=2)
    got = [fill for n, trade in enumerate(trades) for fill in live.trade(trade, at=3 + n)]
    assert got == fills


def test_a_limit_that_takes_on_arrival_rests_with_the_remainder():
    live = LiveBook()
    live.book(at=0)
    live.place(an_order("order", "4", limit="101"), at=1)
    assert live.pass_time(1) == ["buy 2 at 101 taker"]
    live.book("101 0.5, 100 5", "102 6", at=2)
    assert live.trade("sell 101 3", at=3) == ["buy 2 at 101 maker"]


def test_two_of_our_orders_share_a_trade():
    live = LiveBook()
    live.book(at=0)
    live.place(an_order("one", "2", limit="99"), at=1)
    live.place(an_order("two", "2", limit="99"), at=1)
    live.book(at=2)
    assert live.trade("sell 98 3", at=3) == ["buy 2 at 99 maker", "buy 1 at 99 maker"]


def test_a_level_that_leaves_sight_keeps_our_place():
    live = LiveBook()
    live.book(at=0)
    live.place(an_order("order", "1", limit="98"), at=1)
    live.book(at=2)
    live.trade("sell 98 3", at=3)
    live.book("105 1, 104 1", "106 1", at=4)
    assert live.trade("sell 98 1", at=5) == []
    assert live.trade("sell 98 1", at=6) == ["buy 1 at 98 maker"]


@pytest.mark.parametrize(
    ("book_at", "trade_at", "fills"),
    [
        pytest.param(50, 60, 0, id="on its way"),
        pytest.param(50, 150, 0, id="arrived, but no book is told since"),
        pytest.param(100, 150, 1, id="in the queue"),
        pytest.param(100, 1_099, 1, id="while its cancellation is on the way"),
        pytest.param(100, 1_100, 0, id="gone"),
    ],
)
def test_messages_travel(book_at, trade_at, fills):
    live = LiveBook(latency=100)
    live.book(at=-1)
    live.place(an_order("order", "1", limit="100"), at=0)
    live.cancel("order", at=1_000)
    live.cancel("order", at=1_050)
    live.book(at=book_at)
    assert len(live.trade("sell 99 9", at=trade_at)) == fills
    live.pass_time(1_100)
    assert live.status("order") is (OrderStatus.FILLED if fills else OrderStatus.CANCELLED)
    assert [fact.at for fact in live.facts if isinstance(fact, CancelSent)][1:] == []


def held(live, quantity="1", stop="95"):
    """A position with its stop."""
    live.book(at=0)
    live.place(an_order("entry", quantity, stop=stop), at=1)
    live.pass_time(1)


def test_a_stop_is_set_off_by_a_trade_and_walks_the_book_behind_it():
    live = LiveBook()
    held(live)
    assert live.trade("sell 96 1", at=10) == []
    live.book("96 2, 94.5 0.4, 93 5", "97 1", at=20)
    assert live.trade("sell 95 2", at=30) == [
        "sell 0.4 at 94.5 taker",
        "sell 0.6 at 93 taker",
    ]
    assert sum(isinstance(fact, StopTriggered) for fact in live.facts) == 1


def test_a_touch_of_the_book_alone_sets_no_stop_off():
    live = LiveBook()
    held(live)
    assert live.book("90 5", "91 5", at=10) == []


def test_a_stop_that_arrives_behind_its_price_goes_off_at_once():
    live = LiveBook()
    held(live, stop=None)
    live.trade("sell 94 1", at=5)
    live.book("94 5", "95 5", at=6)
    live.place(an_order("stop", "-1", trigger="95", reduce_only=True), at=10)
    assert live.pass_time(10) == ["sell 1 at 94 taker"]


def test_the_stop_goes_with_the_position():
    live = LiveBook()
    held(live)
    live.place(an_order("exit", "-1", reduce_only=True), at=10)
    assert live.pass_time(10) == ["sell 1 at 100 taker"]
    assert live.status("entry") is OrderStatus.FILLED
    assert not live.matching.open_orders
    assert live.matching.order(stop_id(an_id("entry"))).status is OrderStatus.CANCELLED


def test_minimums_and_rejects_are_the_venues():
    live = LiveBook(leverage="1", balances={"USDT": Decimal(500)})
    live.book(at=0)
    live.trade("buy 101 1", at=1)
    refusal = live.matching.refusal
    assert "not a multiple" in refusal(an_order("small", "0.00001"))
    assert "below" in refusal(an_order("cheap", "0.0001", limit="100"))
    assert "needs" in refusal(an_order("dear", "5"))
    assert "no position" in refusal(an_order("flat", "-1", reduce_only=True))
    live.place(an_order("walks too far", "4.92"), at=2)
    assert live.pass_time(2) == ["buy 1 at 101 taker"]
    assert "needs" in live.reasons[-1]
    assert live.status("walks too far") is OrderStatus.CANCELLED


# -- where the book was not followed


def test_a_bar_fills_nothing_where_the_book_was_followed():
    live = LiveBook()
    live.book(at=-1)
    live.place(an_order("order", "1", limit="95"), at=0)
    for second in range(0, 60, 20):
        live.book(at=second * SECOND)
    assert live.bar("100 100 90 95") == []


@pytest.mark.parametrize(
    "books",
    [
        pytest.param([], id="never"),
        pytest.param([59_000], id="only at its end"),
    ],
)
def test_a_bar_fills_what_waited_without_a_book_and_says_so(books):
    live = LiveBook(spread_bps=Decimal(2))
    live.place(an_order("order", "1", limit="95"), at=0)
    for at in books:
        live.book(at=at)
    assert live.bar("100 100 90 95") == ["buy 1 at 95 maker"]
    assert live.reasons[-1] == BY_BAR


def test_a_bar_is_no_concern_of_what_came_after_the_book():
    live = LiveBook()
    live.book(at=30 * SECOND)
    live.place(an_order("order", "1", limit="95"), at=40 * SECOND)
    live.book(at=50 * SECOND)
    assert live.bar("100 100 90 95") == []


def test_a_book_that_is_away_hands_over_to_bars_and_comes_back():
    live = LiveBook(books=book_terms(max_age=30 * SECOND))
    live.book(at=-1)
    live.place(an_order("stop", "1", trigger="105"), at=0)
    live.book(at=20 * SECOND)
    assert live.bar("100 106 100 104") == ["buy 1 at 105 taker"]
    live.book(at=61 * SECOND)
    live.place(an_order("next", "1"), at=62 * SECOND)
    assert live.pass_time(62 * SECOND) == ["buy 1 at 101 taker"]
    assert live.reasons[-1] == ""


def test_trades_from_before_the_book_was_followed_are_the_bars():
    live = LiveBook()
    live.place(an_order("stop", "-1", trigger="95"), at=-MINUTE)
    live.book(at=0)
    live.trade("sell 90 1", at=10, made=-30 * SECOND)
    assert not any(isinstance(fact, StopTriggered) for fact in live.facts)
    assert live.bar("100 100 94 96", number=-1) == ["sell 1 at 95 taker"]


# -- a restart


def test_it_goes_on_from_its_facts_and_queues_anew():
    live = LiveBook(latency=100)
    live.book(at=0)
    live.place(an_order("rests", "2", limit="100"), at=1)
    live.place(an_order("entry", "1", stop="95"), at=2)
    live.book(at=150)
    live.trade("sell 100 6", at=160)
    live.cancel("rests", at=200)
    again = LiveBook(latency=100, facts=live.facts)
    assert again.matching.fills() == live.matching.fills()
    assert again.matching.open_orders == live.matching.open_orders
    again.book(at=250)
    assert again.trade("sell 100 5", at=260) == []
    assert again.trade("sell 100 0.5", at=270) == ["buy 0.5 at 100 maker"]
    again.pass_time(300)
    assert again.status("rests") is OrderStatus.CANCELLED
    assert again.trade("sell 95 1", at=310) == []
    assert again.book("94 0.6, 93 9", "95 9", at=320) == [
        "sell 0.6 at 94 taker",
        "sell 0.4 at 93 taker",
    ]


def test_a_symbol_that_is_not_traded_here_is_passed_over():
    live = LiveBook()
    live.book(at=0)
    assert "not traded" in live.matching.refusal(an_order("order", "1", symbol="ETH/USDT"))


@pytest.mark.parametrize("age", [timedelta(0), timedelta(seconds=-1)])
def test_a_book_is_believed_for_some_time(age):
    with pytest.raises(ValueError, match="believed"):
        BookTerms(queue=queue_terms(), max_age=age)
