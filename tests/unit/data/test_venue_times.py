"""What venues leave unsaid: for how long a rate was, and which bar is still open."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.bar import Bar, Timeframe
from data.feeds.closed_bars import closed
from data.feeds.funding_times import intervals
from data.instrument import Symbol

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def at(hours):
    return NOON + timedelta(hours=hours)


def a_bar(closed_at):
    price = Decimal(100)
    return Bar(
        symbol=Symbol("BTC/USDT"),
        timeframe=Timeframe.M1,
        closed_at=closed_at,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )


@pytest.mark.parametrize(
    ("paid", "lengths"),
    [
        pytest.param([], [], id="none"),
        pytest.param([0], [4], id="the first is as today's"),
        pytest.param([0, 8, 16, 20, 24], [4, 8, 8, 4, 4], id="it was eight hours, and is four"),
        pytest.param([0, 8, 32], [4, 8, 4], id="behind a hole it is as today's"),
        pytest.param([0, 0, 8], [4, 4, 8], id="told twice"),
    ],
)
def test_a_rate_was_for_the_time_since_the_payment_before(paid, lengths):
    told = intervals([at(hours) for hours in paid], timedelta(hours=4))
    assert told == [timedelta(hours=hours) for hours in lengths]


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        pytest.param(-30, 1, id="in its middle"),
        pytest.param(0, 1, id="just closed: a trade may be late, or our clock early"),
        pytest.param(2, 2, id="a little later"),
        pytest.param(-90, 1, id="a clock that is behind: another has opened behind the first"),
    ],
)
def test_the_last_bar_is_closed_a_little_after_its_close(seconds, count):
    bars = [a_bar(NOON - timedelta(minutes=1)), a_bar(NOON)]
    assert len(closed(bars, NOON + timedelta(seconds=seconds))) == count


def test_no_bars_are_none_closed():
    assert closed([], NOON) == []
