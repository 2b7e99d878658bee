"""What is missing is found inside the range and at its ends, and made good exactly."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from data.bar import Timeframe
from data.clock import SystemClock
from data.collect.gaps import Means, fill_gaps
from data.collect.missing import Span, missing_minutes
from data.collect.patience import Patience
from data.feeds.source import RateLimited, SourceRefused, SourceUnavailable
from data.store import StoreUnavailable
from data.store_memory import MemoryBarStore, MemoryTradeStore
from tests.builders_trades import kraken_trades
from tests.fakes_source import (
    BTC,
    MINUTE,
    OPENING,
    OutageStore,
    ScriptedSource,
    a_trade,
    bars_of,
    kept_trades,
    traits,
)

HOUR = OPENING + timedelta(hours=1)
TRADES = [a_trade(n, 20 * n + n % 3, f"{100 + n % 7}", f"0.{1 + n % 9}") for n in range(1, 240)]
QUIET = [t for t in TRADES if not OPENING + 20 * MINUTE <= t.traded_at < OPENING + 24 * MINUTE]
"""Four minutes without a trade; ids close up behind them."""
QUIET = [a_trade(n, t.traded_at, t.price, t.quantity) for n, t in enumerate(QUIET, start=1)]
BEFORE = a_trade(0, -5, "99")
NO_IDS = traits(exchange="hyperliquid", consecutive_ids=False)


class StillClock(SystemClock):
    """Shows one time, and remembers for how long it was asked to wait."""

    def __init__(self, now=OPENING + timedelta(hours=2)):
        self.shown = now
        self.waits = []

    def now(self):
        return self.shown

    async def sleep(self, delay):
        self.waits.append(delay)


class Site:
    """Stores with a market in it, less what is taken out, and the venue that knows it all."""

    def __init__(self, trades=TRADES, *, past=(BEFORE,), **source):
        self.truth = list(trades)
        self.clock = StillClock()
        self.trades = MemoryTradeStore()
        self.bars = MemoryBarStore()
        self.source = ScriptedSource([*past, *trades], now=self.clock.now, **source)
        self.whole = {b.closed_at: b for b in bars_of(self.truth, HOUR)}

    async def keep(self, *, without_trades=(), without_minutes=(), spoil=True):
        """Keep all but these; a kept bar of a minute that lacks a trade lacks it, too."""
        kept = [t for t in self.truth if t.trade_id not in without_trades]
        await self.trades.put(kept)
        made = bars_of(kept, HOUR) if spoil else self.whole.values()
        gone = [OPENING + (minute + 1) * MINUTE for minute in without_minutes]
        await self.bars.put([bar for bar in made if bar.closed_at not in gone])
        return self

    async def fill(self, since=OPENING, until=HOUR, **options):
        return await fill_gaps(
            self.source, self.trades, self.bars, BTC,
            since=since, until=until, clock=self.clock, **options,
        )  # fmt: skip

    async def kept_bars(self):
        bars = await self.bars.last(BTC, Timeframe.M1, 10_000)
        return {bar.closed_at: bar for bar in bars}

    async def kept_trades(self):
        return await kept_trades(self.trades)


def test_the_market_of_these_tests_is_an_hour_and_some():
    assert len(Site().whole) == 60
    assert sum(bar.trades == 0 for bar in Site(QUIET).whole.values()) == 4


@pytest.mark.req("S0-31")
@pytest.mark.parametrize("trades", [TRADES, QUIET], ids=["busy", "with quiet minutes"])
@pytest.mark.parametrize("page", [7, 50, 1_000])
@pytest.mark.parametrize("overlap", [1, 5])
@pytest.mark.parametrize("who", ["consecutive ids", "by id", "any ids"])
@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param(range(60), id="nothing there"),
        pytest.param([30, 31], id="inside"),
        pytest.param(range(5), id="at the head"),
        pytest.param(range(50, 60), id="at the tail"),
        pytest.param([0, 10, 19, 22, 59], id="single minutes"),
    ],
)
async def test_missing_minutes_are_made_of_trades(trades, page, overlap, who, minutes):
    kind = traits(
        page=page, consecutive_ids=who != "any ids", trades_by_id=who == "by id", bars_kept=0
    )
    site = Site(trades, traits=kind, overlap=overlap)
    lost = [t.trade_id for t in site.truth if (t.traded_at - OPENING) // MINUTE in minutes]
    await site.keep(without_trades=lost, without_minutes=minutes, spoil=False)
    report = await site.fill()
    assert await site.kept_bars() == site.whole
    assert await site.kept_trades() == site.truth
    assert report.left == () and report.minutes == len(minutes)
    assert report.trades == len(lost)


@pytest.mark.req("S0-31")
@pytest.mark.parametrize("swallowed", [(), (61, 120)], ids=["", "venue loses ids at page edges"])
@pytest.mark.parametrize(
    "lost",
    [
        pytest.param({100}, id="one"),
        pytest.param({100, 102}, id="two in a minute"),
        pytest.param({30, 100, 160}, id="three apart"),
        pytest.param(set(range(40, 110)), id="many"),
        pytest.param({58, 59, 60, 61}, id="around quiet minutes"),
    ],
)
async def test_holes_in_ids_are_filled_and_their_bars_made_anew(lost, swallowed):
    site = Site(QUIET, traits=traits(page=60), swallowed=swallowed)
    await site.keep(without_trades=lost)
    assert await site.kept_bars() != site.whole
    report = await site.fill()
    assert await site.kept_bars() == site.whole
    assert await site.kept_trades() == site.truth
    assert (report.ids, report.ids_left, report.trades) == (len(lost), 0, len(lost))


@pytest.mark.parametrize(
    ("late", "minutes"),
    [
        pytest.param({100}, 1, id="one"),
        pytest.param({30, 100, 101, 160}, 3, id="in three minutes"),
        pytest.param({59}, 5, id="before four quiet minutes, which have its price"),
        pytest.param(set(range(1, 176, 2)), 60, id="everywhere"),
    ],
)
async def test_bars_that_know_less_than_the_trades_that_are_kept_are_made_anew(late, minutes):
    """As after a kill between a late trade and the correction of its bar."""
    site = await Site(QUIET).keep(without_trades=late)
    await site.trades.put(site.truth)
    assert await site.kept_bars() != site.whole
    report = await site.fill()
    assert await site.kept_bars() == site.whole
    assert (report.poorer, report.trades, site.source.questions) == (minutes, 0, 0)
    again = await site.fill()
    assert not again.changed and again.poorer == 0


async def test_ids_that_the_venue_swallows_at_page_edges_are_found_in_the_same_run():
    site = Site(traits=traits(page=50), swallowed=(50, 99, 148))
    report = await site.fill()
    assert await site.kept_trades() == [t for t in site.truth if t.traded_at < HOUR]
    assert await site.kept_bars() == site.whole
    assert report.ids_left == 0


@pytest.mark.req("S0-31")
@pytest.mark.parametrize("lost", [set(range(90, 110)), set()], ids=["with holes", "minutes only"])
async def test_a_second_run_changes_nothing_and_asks_nothing(lost):
    site = await Site().keep(without_trades=lost, without_minutes=[3, 4, 50])
    assert (await site.fill()).changed
    bars, trades, asked = await site.kept_bars(), await site.kept_trades(), site.source.questions
    again = await site.fill()
    assert not again.changed and (again.gaps, again.holes) == (0, 0)
    assert (await site.kept_bars(), await site.kept_trades()) == (bars, trades)
    assert site.source.questions == asked


async def test_what_the_venue_never_had_is_told_and_changes_nothing():
    trades = [t for t in TRADES if t.trade_id not in (100, 101)]
    site = await Site(trades).keep()
    for _ in range(2):
        report = await site.fill()
        assert (report.ids, report.ids_left, report.changed) == (2, 2, False)
    assert await site.kept_bars() == site.whole


async def test_a_venue_without_past_trades_gives_its_own_bars():
    site = await Site(traits=NO_IDS, trades_from=None).keep(without_minutes=[10, 11, 40])
    report = await site.fill()
    assert await site.kept_bars() == site.whole
    assert (report.bars_from_trades, report.bars_from_venue, report.left) == (0, 3, ())


async def test_bars_are_the_venues_own_where_the_operator_wants_that():
    site = await Site().keep(without_trades={31, 32, 33}, without_minutes=[10], spoil=False)
    report = await site.fill(means=Means.BARS)
    assert await site.kept_bars() == site.whole
    assert (report.bars_from_trades, report.bars_from_venue, report.trades) == (0, 1, 0)


async def test_a_venue_that_goes_back_to_the_middle_tells_the_rest_only():
    """The minute in which its trades begin is not known either: it may have had more."""
    begins = OPENING + 30 * MINUTE + timedelta(seconds=30)
    site = Site(traits=traits(bars_kept=0), trades_from=begins)
    report = await site.fill()
    assert report.left == (Span(since=OPENING, until=OPENING + 31 * MINUTE),)
    known = {at: bar for at, bar in site.whole.items() if bar.opened_at > begins}
    assert await site.kept_bars() == known


async def test_older_bars_than_trades_fill_what_trades_cannot():
    begins = OPENING + 30 * MINUTE + timedelta(seconds=30)
    site = Site(trades_from=begins)
    report = await site.fill()
    assert await site.kept_bars() == site.whole
    assert (report.bars_from_venue, report.bars_from_trades, report.left) == (31, 29, ())


async def test_a_lost_trade_that_only_the_venues_bars_remember_is_in_the_bar_again():
    begins = OPENING + 50 * MINUTE
    site = await Site(trades_from=begins).keep(without_trades={100})
    report = await site.fill()
    assert await site.kept_bars() == site.whole
    assert (report.bars_from_venue, report.ids_left) == (1, 1)
    assert not (await site.fill()).changed


async def test_minutes_before_the_first_trade_are_nobodys():
    site = Site(past=(), traits=traits(bars_kept=0))
    first = TRADES[0].traded_at
    report = await site.fill(since=OPENING - timedelta(hours=1))
    assert report.left == (Span(since=OPENING - 60 * MINUTE, until=OPENING + MINUTE),)
    assert min(await site.kept_bars()) == first.replace(second=0) + 2 * MINUTE


async def test_a_minute_that_is_not_over_is_not_asked_for():
    site = Site()
    site.clock.shown = OPENING + 30 * MINUTE + timedelta(seconds=5)
    report = await site.fill()
    assert report.until == OPENING + 29 * MINUTE
    assert max(await site.kept_bars()) == report.until


@pytest.mark.req("S1-24")
async def test_the_venue_is_given_the_time_it_asks_for():
    patience = timedelta(seconds=90)
    site = Site(faults=[RateLimited("429", retry_after=patience), SourceUnavailable("502")])
    report = await site.fill()
    assert site.clock.waits[0] == patience
    assert timedelta(seconds=1) <= site.clock.waits[1] <= timedelta(seconds=2)
    assert await site.kept_bars() == site.whole
    assert report.questions == site.source.questions


async def test_a_venue_that_stays_away_is_told():
    site = Site(faults=[SourceUnavailable("down")] * 10)
    with pytest.raises(SourceUnavailable, match="down"):
        await site.fill()
    assert len(site.clock.waits) == 9


async def test_waits_double_up_to_the_longest():
    pauses = [Patience(clock=StillClock()).pause(StoreUnavailable("away"), n) for n in range(1, 12)]
    for n, pause in enumerate(pauses):
        whole = timedelta(seconds=min(2.0**n, 60))
        assert whole / 2 <= pause <= whole


async def test_a_symbol_that_the_venue_does_not_know_is_refused():
    site = Site(trades_from=None, faults=[None, SourceRefused("no market BTC/USDT")])
    with pytest.raises(SourceRefused, match="no market"):
        await site.fill()


async def test_a_store_that_is_away_for_a_moment_is_waited_for():
    site = Site()
    site.trades, site.bars = OutageStore(site.trades, 3), OutageStore(site.bars, 2)
    await site.fill()
    assert await site.kept_bars() == site.whole


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"without_minutes": [3, 10, 11]}, id="minutes"),
        pytest.param({"without_trades": set(range(60, 150))}, id="ids"),
    ],
)
async def test_how_far_it_has_come_is_told_page_by_page(damage):
    class Told:
        def __init__(self):
            self.expected, self.steps = 0, []

        def expect(self, symbol, minutes):
            self.expected += minutes

        def advance(self, minutes):
            self.steps.append(minutes)

    site, told = await Site(traits=traits(page=20)).keep(**damage), Told()
    await site.fill(progress=told)
    assert sum(told.steps) == told.expected >= 3
    assert len([step for step in told.steps if step]) >= 2


@pytest.mark.parametrize("bars", [0, 1, 25_000], ids=["none", "one", "several pages"])
async def test_missing_minutes_across_pages(bars):
    store = MemoryBarStore()
    template = bars_of(TRADES, HOUR)[0]
    minutes = [OPENING + n * MINUTE for n in range(1, bars + 1)]
    gone = {OPENING + n * MINUTE for n in (1, 10_000, 10_001, 20_001)}
    await store.put([replace(template, closed_at=at) for at in minutes if at not in gone])
    until = OPENING + (bars + 2) * MINUTE
    found = await missing_minutes(store, BTC, OPENING, until)
    kept = set(minutes) - gone
    absent = [at for n in range(1, bars + 3) if (at := OPENING + n * MINUTE) not in kept]
    told = [span.since + n * MINUTE for span in found for n in range(1, span.minutes + 1)]
    assert told == absent
    assert sorted(found) == found


@pytest.mark.req("S0-31")
async def test_the_twelve_ids_that_a_real_download_lost_are_found_and_filled(shared_data):
    """The ids stand at page edges; the venue here knows them, the file does not."""
    known = kraken_trades(shared_data)
    ids = {trade.trade_id for trade in known}
    lost = sorted(set(range(min(ids), max(ids) + 1)) - ids)
    assert (len(known), len(lost)) == (12_623, 12)
    by_id = {trade.trade_id: trade for trade in known}
    truth = known + [a_trade(n, by_id[n - 1].traded_at, "36000", "0.5") for n in lost]
    since, until = datetime(2023, 11, 17, 0, 1, tzinfo=UTC), datetime(2023, 11, 20, tzinfo=UTC)
    clock = StillClock(until + MINUTE)
    source = ScriptedSource(truth, now=clock.now, trades_from=since - timedelta(days=1))
    trades, bars = MemoryTradeStore(), MemoryBarStore()
    await trades.put(known)
    await bars.put(bars_of(known, until))
    report = await fill_gaps(source, trades, bars, BTC, since=since, until=until, clock=clock)
    assert (report.holes, report.ids, report.trades, report.ids_left) == (12, 12, 12, 0)
    assert {trade.trade_id for trade in await kept_trades(trades)} == ids | set(lost)
    assert await bars.last(BTC, Timeframe.M1, 10_000) == bars_of(truth, until)
    again = await fill_gaps(source, trades, bars, BTC, since=since, until=until, clock=clock)
    assert not again.changed
