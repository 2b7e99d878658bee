"""What a book still offers once we have taken of it, and others have."""

from decimal import Decimal

import pytest

from data.instrument import Side
from execution.depth import Depth, walk
from tests.builders_fidelity import a_book, levels

BIDS, ASKS = "100 5, 99 3, 98 4", "101 2, 102 6"


@pytest.mark.parametrize(
    ("told_next", "offered"),
    [
        pytest.param("101 2, 102 6", "102 5", id="a book that stands still offers it once"),
        pytest.param("101 2.5, 102 6", "101 0.5, 102 5", id="what comes on top is new"),
        pytest.param("101 1, 102 0.5", "", id="what goes was the rest"),
        pytest.param("102 6, 103 1", "102 5, 103 1", id="a level that is gone is forgotten"),
    ],
)
def test_what_we_took_stays_taken_while_others_are_told_to_stand_there(told_next, offered):
    depth = Depth(levels(ASKS))
    depth.take(Decimal(101), Decimal(2))
    depth.take(Decimal(102), Decimal(1))
    depth.tell(levels(told_next))
    assert depth.offered == levels(offered)


def test_a_level_that_comes_back_is_a_new_one():
    depth = Depth(levels(ASKS))
    depth.take(Decimal(101), Decimal(2))
    depth.tell(levels("102 6"))
    depth.tell(levels(ASKS))
    assert depth.offered == levels(ASKS)


@pytest.mark.parametrize(
    ("taker", "told", "price", "quantity", "offered"),
    [
        pytest.param("buy", ASKS, "101", "0.5", "101 1.5, 102 6", id="a part of the best"),
        pytest.param("buy", ASKS, "102", "1", "102 5", id="all that was better is gone"),
        pytest.param("buy", ASKS, "103", "1", "", id="beyond what is told"),
        pytest.param("sell", BIDS, "99", "3", "98 4", id="bids downwards"),
        pytest.param("sell", BIDS, "101", "9", BIDS, id="inside the spread, of nobody told"),
    ],
)
def test_who_trades_takes_what_is_better_first(taker, told, price, quantity, offered):
    depth = Depth(levels(told))
    depth.give_way(Side(taker), Decimal(price), Decimal(quantity))
    assert depth.offered == levels(offered)


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
