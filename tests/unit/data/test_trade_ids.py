"""Which ids are missing between trades."""

import pytest

from data.trade import missing_ids
from tests.builders_trades import kraken_trades


@pytest.mark.parametrize(
    ("ids", "missing"),
    [
        pytest.param([], [], id="no trades"),
        pytest.param([7], [], id="one trade"),
        pytest.param([7, 8, 9], [], id="none"),
        pytest.param([7, 9], [(8, 8)], id="one"),
        pytest.param([7, 10, 11, 15], [(8, 9), (12, 14)], id="two ranges"),
        pytest.param([15, 7, 11, 10, 7], [(8, 9), (12, 14)], id="in any order, and repeated"),
    ],
)
def test_ids_between_those_known_are_missing(ids, missing):
    assert missing_ids(ids) == missing


@pytest.mark.req("S1-22")
def test_the_ids_lost_at_page_edges_of_a_real_download_are_found(shared_data):
    missing = missing_ids(trade.trade_id for trade in kraken_trades(shared_data))
    assert missing == [(n, n) for n in range(5505896, 5516897, 1000)]
    assert len(missing) == 12
