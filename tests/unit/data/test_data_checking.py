"""Completeness is measured day by day, and everything wrong is said with its remedy."""

from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.collect.checking import check_minutes, findings
from data.quality import QualityLimits
from data.store_memory import MemoryBarStore
from tests.builders_market import BTC, MIDNIGHT, a_bar

LIMITS = QualityLimits(
    max_jump_per_minute=Decimal("0.1"), dead_after=10, max_delay=timedelta(seconds=60)
)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def minutes(count, **changes):
    """Bars of so many minutes from midnight; a change is (minute, field, value)."""
    return [a_bar(MIDNIGHT + (n + 1) * MINUTE, "100", timeframe=Timeframe.M1) for n in range(count)]


async def checked(bars, *, until, now=None, **options):
    store = MemoryBarStore()
    await store.put(bars)
    return await check_minutes(
        store, "kraken", BTC, LIMITS, since=MIDNIGHT, until=until, now=now or until, **options
    )


@pytest.mark.req("S1-27")
async def test_every_day_has_its_share_of_five_minute_bars():
    bars = minutes(2 * 1_440)
    del bars[1_442], bars[3], bars[0]
    result = await checked(bars, until=MIDNIGHT + 2 * DAY)
    first, second = result.days
    assert (first.minutes, first.minutes_due, first.fives, first.fives_due) == (
        1_438,
        1_440,
        287,
        288,
    )
    assert (second.minutes, second.fives) == (1_439, 287)
    assert first.share == 287 / 288
    (finding,) = findings(result)
    assert "3 minutes are missing" in finding.what and "2026-01-05 99.65%" in finding.what
    fill = "run sextant data fill --exchange kraken --symbols BTC/USDT --since 2026-01-05"
    assert finding.remedy == fill


@pytest.mark.req("S1-27")
async def test_a_whole_day_and_the_part_of_today_that_is_over_are_complete():
    result = await checked(minutes(1_440 + 7), until=MIDNIGHT + DAY + 7 * MINUTE)
    assert [day.share for day in result.days] == [1.0, 1.0]
    assert list(findings(result)) == []


@pytest.mark.req("S1-28")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"close": "120"}, "prices jump: 2 times", id="jump"),
        pytest.param({"volume": "0"}, "the market stands still: 21 times", id="dead"),
    ],
)
async def test_bars_that_should_not_be_believed_are_told(change, told):
    bars = minutes(60)
    span = range(20, 50) if "volume" in change else [20]
    for n in span:
        given = {"close": "100"} | change
        bars[n] = a_bar(bars[n].closed_at, given.pop("close"), timeframe=Timeframe.M1, **given)
    result = await checked(bars, until=MIDNIGHT + 60 * MINUTE)
    assert [told in finding.what for finding in findings(result)] == [True]


@pytest.mark.req("S1-28")
async def test_bars_that_overlap_are_told():
    bars = minutes(10)
    bars.append(a_bar(bars[4].closed_at + MINUTE / 2, timeframe=Timeframe.M1))
    result = await checked(bars, until=MIDNIGHT + 10 * MINUTE)
    assert any("overlap" in finding.what for finding in findings(result))


async def test_an_old_newest_bar_is_told():
    result = await checked(minutes(10), until=MIDNIGHT + 10 * MINUTE, now=MIDNIGHT + 13 * MINUTE)
    (finding,) = findings(result)
    assert "too old" in finding.what and "start the daemon" in finding.remedy


async def test_missing_trades_are_told():
    result = await checked(minutes(10), until=MIDNIGHT + 10 * MINUTE, missing_ids=12)
    (finding,) = findings(result)
    assert str(finding).startswith("kraken BTC/USDT: 12 trades are missing")


async def test_bars_that_know_less_than_their_trades_are_told():
    result = await checked(minutes(10), until=MIDNIGHT + 10 * MINUTE, poorer=3)
    (finding,) = findings(result)
    assert str(finding).startswith("kraken BTC/USDT: 3 bars have less volume than the trades")
    assert "sextant data fill" in finding.remedy


async def test_many_broken_days_are_not_all_named():
    result = await checked([], until=MIDNIGHT + 8 * DAY)
    (finding,) = findings(result)
    assert "and 3 days more" in finding.what and f"{8 * 1_440} minutes" in finding.what
