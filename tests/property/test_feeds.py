"""Whatever a file holds, and wherever a market is cut, the bars come out the same and in order."""

import itertools
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Bar, Timeframe
from data.feeds.recorded import Tolerance, merge, read_bars
from data.feeds.synthetic import SyntheticMarket
from tests.builders_feeds import BTC, HEADER, MINUTE, OPENING, TRIANGLE, row

BARS = SyntheticMarket(seed=1, instruments=TRIANGLE[:1]).history(BTC, OPENING, 21)
lines = st.one_of(
    st.integers(0, 30).map(row),
    st.builds(row, st.integers(0, 30), st.just("10,12,9,NaN")),
    st.text(alphabet="0123456789,.-eN ", max_size=40),
)


@given(rows=st.lists(lines, max_size=60))
@settings(max_examples=100, deadline=None)
def test_every_row_is_a_bar_in_order_or_refused_and_every_gap_is_told(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.csv"
        path.write_text("\n".join([HEADER, row(-1), *rows]) + "\n")
        reading = read_bars(path, BTC, Timeframe.M1, tolerance=Tolerance(rows=100))
        events = list(reading)
    report = reading.report
    assert report.bars + sum(report.refused.values()) == 1 + len(rows)
    known = OPENING - MINUTE
    missing = 0
    for event in events:
        if isinstance(event, Bar):
            assert event.closed_at == known + MINUTE
            known = event.closed_at
        else:
            assert event.since == known
            known = event.until - MINUTE
            missing += (event.until - event.since) // MINUTE - 1
    assert report.missing == missing


@given(
    streams=st.lists(st.lists(st.integers(0, 20), unique=True).map(sorted), min_size=1, max_size=4)
)
@settings(max_examples=60, deadline=None)
def test_merging_sorts_by_time_and_keeps_each_stream(streams):
    chosen = [[BARS[n] for n in stream] for stream in streams]
    merged = list(merge(chosen))
    assert merged == sorted(itertools.chain(*chosen), key=lambda bar: bar.closed_at)


@given(minute=st.integers(0, 2000), seed=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_a_synthetic_market_cut_anywhere_is_the_same_market(minute, seed):
    def after(at, count):
        market = SyntheticMarket(seed=seed, instruments=TRIANGLE)
        return list(itertools.islice(market.bars_after(at), count))

    whole = after(OPENING, 3 * (minute + 10))
    assert after(OPENING + timedelta(minutes=minute), 30) == whole[3 * minute :]
