"""Funding is kept whole, as far as the venue can tell."""

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from data.clock import ManualClock
from data.collect.patience import Patience
from data.collect.payments import (
    FundingFailed,
    FundingFill,
    FundingGap,
    collect_funding,
    fill_funding,
    funding_gaps,
)
from data.feeds.source import SourceRefused, SourceUnavailable
from data.funding import FundingRate
from data.instrument import Symbol
from data.store_memory import MemoryFundingStore
from tests.fakes_source import OutageStore, ScriptedSource

BTC = Symbol("BTC/USDC")
START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_rate(at, rate="0.0001", interval=HOUR):
    """`at` is a time, or hours after the start."""
    at = at if isinstance(at, datetime) else START + at * HOUR
    return FundingRate(symbol=BTC, at=at, seen_at=at, rate=Decimal(rate), interval=interval)


def rates(*hours):
    return [a_rate(hour) for hour in hours]


class FundingSource(ScriptedSource):
    """A venue that tells what it paid, `page` rates at a time, except what it `lost`."""

    def __init__(self, paid, *, page=500, faults=()):
        super().__init__(faults=faults)
        self.paid = list(paid)
        self.lost = set()
        self.page = page
        self.asked = []

    async def past_funding(self, symbol, since):
        self._ask()
        self.asked.append(since)
        told = [rate for rate in self.paid if rate.at >= since and rate.at not in self.lost]
        return told[: self.page]


async def filled(source, store, *, until, since=START, given_up=()):
    clock = RacingClock(until)
    return await fill_funding(
        source, store, BTC, since=since, until=until, patience=Patience(clock=clock),
        given_up=given_up,
    )  # fmt: skip


class RacingClock(ManualClock):
    """Whoever waits has waited."""

    async def sleep(self, delay):
        self.move_to(self.now() + delay)


async def kept(store):
    return await store.last(BTC, 10_000)


@pytest.mark.parametrize(
    ("hours", "missing"),
    [
        pytest.param((), [], id="nothing is kept"),
        pytest.param((0,), [], id="one"),
        pytest.param((0, 1, 2, 3), [], id="whole"),
        pytest.param((0, 1, 3, 4), [(1, 3, 1)], id="one is missing"),
        pytest.param((0, 1, 2, 9, 10, 11), [(2, 9, 6)], id="six are missing"),
        pytest.param((0, 1, 2, 4, 6, 7, 8), [(2, 4, 1), (4, 6, 1)], id="two, one after the other"),
        pytest.param((0, 8, 16, 24, 25, 26, 27), [], id="the interval becomes shorter"),
        pytest.param((0, 1, 2, 3, 11, 19, 27), [], id="the interval becomes longer"),
        pytest.param((0, 8, 24, 32, 33, 34, 36, 37), [(8, 24, 1), (34, 36, 1)], id="in both"),
        pytest.param((0, 1.004, 2, 3.001, 4), [], id="dated some seconds late"),
    ],
)
def test_gaps_are_told_by_the_payments_around_them(hours, missing):
    found = funding_gaps(rates(*hours), START)
    assert found == [
        FundingGap(since=START + since * HOUR, until=START + until * HOUR, payments=count)
        for since, until, count in missing
    ]


@pytest.mark.parametrize(
    ("since", "missing"),
    [
        pytest.param(0, 3, id="three are missing before the first"),
        pytest.param(2.0, None, id="the first came within an interval"),
        pytest.param(1.9, 1, id="just not"),
        pytest.param(3, None, id="at it"),
    ],
)
def test_a_gap_before_the_first(since, missing):
    found = funding_gaps(rates(3, 4, 5), START + since * HOUR)
    assert [gap.payments for gap in found] == ([] if missing is None else [missing])


@pytest.mark.parametrize(
    "known",
    [
        pytest.param((), id="from nothing"),
        pytest.param(range(20), id="the end"),
        pytest.param(range(20, 48), id="the beginning"),
        pytest.param((*range(10), *range(15, 20), *range(21, 48)), id="inside"),
        pytest.param(range(48), id="nothing is missing"),
    ],
)
@pytest.mark.parametrize("page", [2, 7, 500])
async def test_what_is_missing_is_filled(known, page):
    paid = rates(*range(48))
    source, store = FundingSource(paid, page=page), MemoryFundingStore()
    await store.put([rate for hour, rate in enumerate(paid) if hour in known])
    fill = await filled(source, store, until=START + 47 * HOUR)
    assert await kept(store) == paid
    assert (fill.added, fill.kept, fill.left) == (48 - len(known), 48, ())
    again = await filled(source, store, until=START + 47 * HOUR)
    assert (again.added, again.found) == (0, ())


async def test_what_the_venue_lost_is_left_and_asked_for_once():
    source, store = FundingSource(rates(*range(10))), MemoryFundingStore()
    source.lost = {START + 4 * HOUR}
    first = await filled(source, store, until=START + 9 * HOUR)
    assert [(gap.since, gap.payments) for gap in first.left] == [(START + 3 * HOUR, 1)]
    source.asked.clear()
    await filled(source, store, until=START + 9 * HOUR, given_up=first.left)
    assert START + 3 * HOUR not in source.asked
    source.lost.clear()
    third = await filled(source, store, until=START + 9 * HOUR)
    assert (third.added, third.left) == (1, ())


async def test_the_rate_behind_a_gap_is_told_anew():
    """Without its predecessor the adapter took the hole for its interval."""
    store = MemoryFundingStore()
    await store.put([a_rate(0), a_rate(1), a_rate(3, interval=2 * HOUR), a_rate(4)])
    await filled(FundingSource(rates(*range(5))), store, until=START + 4 * HOUR)
    assert {rate.interval for rate in await kept(store)} == {HOUR}


async def test_a_run_that_was_killed_goes_on_where_it_stopped():
    paid = rates(*range(30))
    store = MemoryFundingStore()
    for broken_after in range(1, 6):
        source = FundingSource(paid, page=5, faults=[None] * broken_after + [SourceRefused("no")])
        with pytest.raises(SourceRefused):
            await filled(source, store, until=START + 29 * HOUR)
        source = FundingSource(paid, page=5)
        await filled(source, store, until=START + 29 * HOUR)
        assert await kept(store) == paid
        store = MemoryFundingStore()


async def test_an_outage_is_waited_out():
    faults = [SourceUnavailable("busy"), None, SourceUnavailable("busy")]
    source = FundingSource(rates(*range(10)), faults=faults)
    store = OutageStore(MemoryFundingStore(), failures=2)
    assert (await filled(source, store, until=START + 9 * HOUR)).added == 10


def recorded(shared_data):
    """1,038 payments of BTC, every eight hours at first, then every hour, dated a little late."""
    with (shared_data / "hyperliquid_info" / "btc_funding_1h.csv").open() as file:
        return [
            a_rate(datetime.fromtimestamp(int(row["ts_ms"]) / 1000, UTC), row["rate"])
            for row in csv.DictReader(file)
        ]


def test_the_one_hole_of_the_recorded_history_is_found(shared_data):
    history = recorded(shared_data)
    (gap,) = funding_gaps(history, history[0].at)
    assert len(history) == 1_038
    assert (f"{gap.since:%F %H}", f"{gap.until:%F %H}", gap.payments) == (
        "2023-07-02 19",
        "2023-07-02 21",
        1,
    )


async def test_the_recorded_history_is_filled_in_pages(shared_data):
    history = recorded(shared_data)
    store = MemoryFundingStore()
    await store.put(history[100:300] + history[500:510])
    source = FundingSource(history)
    fill = await filled(source, store, since=history[0].at, until=history[-1].at)
    assert await kept(store) == history
    assert (fill.added, sum(gap.payments for gap in fill.left)) == (1_038 - 210, 1)


async def test_the_recorded_answer_agrees_with_the_recorded_history(shared_data):
    text = (shared_data / "hyperliquid_info" / "fundingHistory_BTC_window.json").read_text()
    answer = json.loads(text)["response"]
    window = [
        a_rate(datetime.fromtimestamp(row["time"] / 1000, UTC), row["fundingRate"])
        for row in answer
    ]
    assert window == recorded(shared_data)[:34]
    assert funding_gaps(window, window[0].at) == []


class Collecting:
    def __init__(self, source, store, clock):
        self.clock = clock
        self._reports = asyncio.Queue()
        self.coroutine = collect_funding(
            source,
            store,
            [BTC],
            clock,
            since=START,
            every=HOUR / 4,
            report=self._reports.put_nowait,
        )

    async def after(self, delay):
        self.clock.move_to(self.clock.now() + delay)
        return await asyncio.wait_for(self._reports.get(), 60)


async def test_the_task_keeps_up_with_what_is_paid():
    source, store = FundingSource(rates(0, 1, 2, 3, 5)), MemoryFundingStore()
    collecting = Collecting(source, store, ManualClock(START + 5 * HOUR))
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(collecting.coroutine)
        first = await collecting.after(timedelta(0))
        source.paid += rates(6)
        source.asked.clear()
        second = await collecting.after(HOUR)
        work.cancel()
    assert isinstance(first, FundingFill)
    assert (first.added, second.added, second.kept) == (5, 1, 6)
    assert START + 3 * HOUR not in source.asked, "the hole that the venue has too"


async def test_the_task_outlives_a_refusal():
    source = FundingSource(rates(0, 1), faults=[SourceRefused("maintenance")])
    collecting = Collecting(source, MemoryFundingStore(), ManualClock(START + HOUR))
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(collecting.coroutine)
        first = await collecting.after(timedelta(0))
        second = await collecting.after(HOUR / 4)
        work.cancel()
    assert first == FundingFailed(symbol=BTC, at=START + HOUR, reason="maintenance")
    assert second.added == 2
