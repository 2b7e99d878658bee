"""A run that begins with what the store has knows what one knows that saw every minute."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from data.store_memory import MemoryBarStore
from sextant.history import linked, read_past
from tests.builders_history import (
    HIGHER,
    M1,
    a_history,
    bars_of,
    markets,
    seen_by,
    trade_counts,
    with_trades,
)
from tests.builders_market import BTC

NEEDS = linked({M1: 1, **dict.fromkeys(HIGHER, 500)})
A_MORNING = [(25, 100, 1, 1)] * 8  # of which every size has a bar


@settings(max_examples=200)
@given(
    began=st.sampled_from([[], A_MORNING]),
    steps=markets,
    counts=trade_counts,
    last=st.integers(min_value=0, max_value=40),
)
def test_a_past_that_was_read_is_as_good_as_one_that_was_seen(began, steps, counts, last):
    bars = with_trades(bars_of([*began, *steps]), counts)
    cut = max(1, len(bars) - last)
    known = bars[:cut]
    store = MemoryBarStore()
    asyncio.run(store.put(bars))  # some of it later than what was dealt with
    until = {BTC: known[-1].closed_at}
    past = asyncio.run(read_past(store, M1, {BTC: NEEDS}, until=until))
    begun, fed = a_history(), a_history()
    begun.begin(past.bars[BTC])
    for bar in known:
        fed.add(bar)
    assert seen_by(begun) == seen_by(fed)
    for bar in bars[cut:]:
        begun.add(bar)
        fed.add(bar)
        assert seen_by(begun) == seen_by(fed)
