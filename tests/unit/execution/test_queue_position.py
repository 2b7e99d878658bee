"""A place in a queue: what is ahead, and what reaches it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from data.instrument import Side
from execution.queue_position import QueuePlace, standing_at
from tests.builders_fidelity import (
    MILLISECOND,
    a_book,
    a_print,
    after,
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


@pytest.mark.parametrize(
    ("taker", "price", "quantity", "ahead", "reaching"),
    [
        pytest.param("sell", "100", "4", "6", "0", id="at our price, to those ahead"),
        pytest.param("sell", "100", "12", "0", "2", id="past them, to us"),
        pytest.param("sell", "99", "3", "0", "3", id="below it: all ahead went before"),
        pytest.param("sell", "101", "99", "10", "0", id="above it: others paid more"),
    ],
)
def test_a_trade_reaches_our_bid(taker, price, quantity, ahead, reaching):
    trade = a_print(taker, price, quantity)
    place, got = QueuePlace.behind(Decimal(10)).after(trade, Decimal(100), after(0), queue_terms())
    assert (place.ahead, got) == (Decimal(ahead), Decimal(reaching))


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
        pytest.param({"settling": -MILLISECOND}, id="settling before it began"),
    ],
)
def test_impossible_terms_are_refused(change):
    with pytest.raises(ValueError, match=r"share|settling"):
        replace(queue_terms(), **change)
