"""A limit order in its queue: what is ahead, what reaches it, and when it may fill at all."""

from dataclasses import replace
from decimal import Decimal

import pytest

from data.instrument import Side
from execution.queue_position import QueuedOrder, QueuePlace, standing_at, walk
from tests.builders_fidelity import (
    MILLISECOND,
    a_book,
    a_print,
    after,
    levels,
    queue_terms,
)

BIDS, ASKS = "100 5, 99 3, 98 4", "101 2, 102 6"


def played(story, *, standing="10", terms):
    """The place after each `(what, quantity, at)`, and all that reached us."""
    place, reached = QueuePlace.behind(Decimal(standing)), Decimal(0)
    for what, quantity, at in story:
        if what == "level":
            place = place.after_level(Decimal(quantity), after(at), terms)
        else:
            place, reaching = place.after_trade(Decimal(quantity), after(at), terms)
            reached += reaching
    return place, reached


@pytest.mark.parametrize(
    ("story", "ahead", "reached"),
    [
        pytest.param([], "10", "0", id="nothing happened"),
        pytest.param([("trade", "4", 0)], "6", "0", id="a trade takes from those ahead"),
        pytest.param([("trade", "12", 0)], "0", "2", id="what they cannot give reaches us"),
        pytest.param(
            [("trade", "10", 0), ("trade", "3", 1)], "0", "3", id="first in the queue, all of it"
        ),
        pytest.param([("level", "15", 0)], "10", "0", id="who comes stands behind us"),
        pytest.param([("level", "6", 0)], "6", "0", id="nobody behind us, so all left before us"),
        pytest.param(
            [("level", "20", 0), ("level", "16", 1)], "8", "0", id="pro rata: half of it was ahead"
        ),
        pytest.param(
            [("level", "20", 0), ("level", "3", 1)], "1.5", "0", id="pro rata of nearly all"
        ),
        pytest.param([("level", "0", 0)], "0", "0", id="an empty level has nobody ahead"),
    ],
)
def test_trades_and_cancellations_move_the_queue(story, ahead, reached):
    place, got = played(story, terms=queue_terms())
    assert (place.ahead, got) == (Decimal(ahead), Decimal(reached))


@pytest.mark.parametrize(
    ("believed", "ahead"),
    [
        pytest.param("0", "10", id="none was ahead"),
        pytest.param("0.5", "9", id="half of our share"),
        pytest.param("1", "8", id="our share"),
    ],
)
def test_of_cancellations_only_the_believed_part_was_ahead(believed, ahead):
    story = [("level", "20", 0), ("level", "16", 1)]
    place, _ = played(story, terms=queue_terms(cancelled_ahead=believed))
    assert place.ahead == Decimal(ahead)


def test_no_more_is_ahead_than_the_level_holds():
    place, _ = played([("level", "4", 0)], terms=queue_terms(cancelled_ahead="0"))
    assert place.ahead == 4


def test_a_share_that_no_decimal_holds_is_rounded_against_us():
    place, _ = played([("level", "30", 0), ("level", "29", 1)], terms=queue_terms())
    assert place.ahead == Decimal("9.666666666667")


@pytest.mark.parametrize(
    ("story", "ahead"),
    [
        pytest.param([("trade", "4", 0), ("level", "6", 50)], "6", id="the trade is told first"),
        pytest.param([("level", "6", 0), ("trade", "4", 50)], "6", id="the level is told first"),
        pytest.param(
            [("trade", "4", 0), ("level", "10", 10), ("level", "6", 50)],
            "6",
            id="a book from before the trade comes in between",
        ),
        pytest.param(
            [("level", "6", 0), ("trade", "4", 500)], "2", id="too late to be the same: two things"
        ),
        pytest.param(
            [("trade", "4", 0), ("level", "5", 50)], "5", id="one of them was cancelled besides"
        ),
    ],
)
def test_what_both_streams_tell_of_counts_once(story, ahead):
    place, reached = played(story, terms=queue_terms(settling=100))
    assert (place.ahead, reached) == (Decimal(ahead), 0)


def test_a_level_out_of_sight_is_endless_until_it_is_seen():
    terms = queue_terms()
    place, reaching = QueuePlace.behind(None).after_trade(Decimal(5), after(0), terms)
    assert reaching == 0
    assert place.after_level(Decimal(7), after(1), terms) == QueuePlace.behind(Decimal(7))


def an_order(side="buy", limit="100", quantity="2", *, terms):
    return QueuedOrder.sent(Side(side), Decimal(limit), Decimal(quantity), after(0), terms)


def filled_by(order, events, *, terms):
    """What each event filled, as prices and quantities."""
    fills = []
    for event in events:
        if hasattr(event, "bids"):
            order, taken = order.after_book(event, event.at, terms)
            fills.extend((f"{level.price:f}", f"{level.quantity.normalize():f}") for level in taken)
        else:
            order, filled = order.after_trade(event, event.traded_at, terms)
            if filled:
                fills.append((f"{order.limit:f}", f"{filled.normalize():f}"))
    return fills


@pytest.mark.parametrize(
    ("order", "trades", "fills"),
    [
        pytest.param("buy 100 2", ["sell 100 5"], [], id="those ahead are filled first"),
        pytest.param(
            "buy 100 2", ["sell 100 6"], [("100", "1")], id="then we are, by what is left"
        ),
        pytest.param(
            "buy 100 2",
            ["sell 100 5.5", "sell 100 0.5", "sell 100 9"],
            [("100", "0.5"), ("100", "0.5"), ("100", "1")],
            id="in parts, and no more than we asked for",
        ),
        pytest.param("buy 100 2", ["buy 101 9"], [], id="a buyer takes no bid"),
        pytest.param("buy 100 2", ["sell 101 9"], [], id="nor a seller above it"),
        pytest.param(
            "buy 99 2", ["sell 98 0.5"], [("99", "0.5")], id="who sells lower has met us before"
        ),
        pytest.param(
            "buy 99 2",
            ["sell 98 0.5", "sell 99 0.3"],
            [("99", "0.5"), ("99", "0.3")],
            id="and those ahead have gone with that",
        ),
        pytest.param("sell 102 1", ["buy 102 7"], [("102", "1")], id="asks queue the same way"),
        pytest.param(
            "sell 101 1", ["buy 102 0.4"], [("101", "0.4")], id="and are met by who buys higher"
        ),
        pytest.param(
            "buy 97 1", ["sell 97 99"], [], id="behind an unseen level nothing reaches us"
        ),
        pytest.param("buy 97 1", ["sell 96 1"], [("97", "1")], id="until it is traded through"),
    ],
)
def test_only_trades_fill_what_rests(order, trades, fills):
    terms = queue_terms()
    side, limit, quantity = order.split()
    prints = [a_print(*trade.split(), at=n + 1) for n, trade in enumerate(trades)]
    events = [a_book(BIDS, ASKS), *prints]
    assert filled_by(an_order(side, limit, quantity, terms=terms), events, terms=terms) == fills


def test_a_limit_that_takes_on_arrival_takes_its_levels_and_rests_with_the_remainder():
    terms = queue_terms()
    events = [a_book(BIDS, ASKS), a_print("sell", "101", "3", at=1)]
    order = an_order("buy", "101", "4", terms=terms)
    assert filled_by(order, events, terms=terms) == [("101", "2"), ("101", "2")]


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
    terms = queue_terms(arrival=100, cancel=100)
    order = an_order(quantity="1", terms=terms).cancelled(after(1_000), terms)
    events = [a_book(BIDS, ASKS, at=book_at), a_print("sell", "99", "9", at=trade_at)]
    assert len(filled_by(order, events, terms=terms)) == fills


def test_a_second_cancellation_changes_nothing():
    terms = queue_terms(cancel=100)
    order = an_order(terms=terms).cancelled(after(0), terms)
    assert order.cancelled(after(50), terms) == order


def test_a_level_that_leaves_sight_keeps_our_place():
    terms = queue_terms()
    order, _ = an_order(limit="98", terms=terms).after_book(a_book(BIDS, ASKS), after(0), terms)
    moved, _ = order.after_book(a_book("105 1, 104 1", "106 1", at=1), after(1), terms)
    assert moved.place == order.place


@pytest.mark.parametrize(
    ("side", "limit", "quantity", "taken"),
    [
        pytest.param("buy", None, "1", "101 1", id="a part of the best level"),
        pytest.param("buy", None, "5", "101 2, 102 3", id="the next one, too"),
        pytest.param("buy", None, "99", "101 2, 102 6", id="all there is"),
        pytest.param("buy", "101", "5", "101 2", id="no further than the limit"),
        pytest.param("buy", "100", "5", "", id="nothing within the limit"),
        pytest.param("sell", "99", "9", "100 5, 99 3", id="bids downwards"),
    ],
)
def test_a_walk_takes_the_best_levels_first(side, limit, quantity, taken):
    wanted = Decimal(limit) if limit else None
    book = a_book(BIDS, ASKS)
    found = walk(book.taken_by(Side(side)), Side(side), Decimal(quantity), wanted)
    assert found == levels(taken)


@pytest.mark.parametrize(
    ("side", "price", "standing"),
    [
        pytest.param("buy", "99", "3", id="at a level"),
        pytest.param("buy", "99.5", "0", id="between two"),
        pytest.param("buy", "100.5", "0", id="inside the spread"),
        pytest.param("buy", "97", None, id="below all that is told"),
        pytest.param("sell", "101.5", "0", id="between two asks"),
        pytest.param("sell", "103", None, id="above all that is told"),
    ],
)
def test_what_stands_at_a_price_may_be_unknown(side, price, standing):
    found = standing_at(a_book(BIDS, ASKS), Side(side), Decimal(price))
    assert found == (Decimal(standing) if standing else None)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"cancelled_ahead": Decimal("1.1")}, id="more than our share"),
        pytest.param({"cancelled_ahead": Decimal("-0.1")}, id="less than none"),
        pytest.param({"arrival": -MILLISECOND}, id="arriving before it is sent"),
    ],
)
def test_impossible_terms_are_refused(change):
    with pytest.raises(ValueError, match=r"share|before"):
        replace(queue_terms(), **change)
