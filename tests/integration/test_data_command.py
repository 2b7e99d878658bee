"""What is kept is shown and checked, and gaps are filled, in a real database."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from data.bar import Timeframe
from data.clock import ManualClock
from data.collect.filling import NothingToFill, fill_store
from data.collect.gaps import fill_gaps
from data.collect.shown import fill_table
from data.collect.venues import Exchange
from data.feeds.recorded import read_bars
from data.instrument import Symbol
from data.kraken_db.archives import series_of
from data.kraken_db.csv_importer import import_series, import_table
from data.postgres.bars import PostgresBarStore
from data.postgres.progress import PostgresProgress
from data.postgres.trades import PostgresTradeStore
from sextant.data_command import (
    check_store,
    check_table,
    read_status,
    run_check,
    run_status,
    status_json,
    status_tables,
)
from sextant.settings import PROJECT, load_settings
from tests.builders_trades import kraken_trades
from tests.fakes_source import BTC, MINUTE, OPENING, ScriptedSource, a_trade, bars_of, kept_trades

DAY = timedelta(days=1)
END = OPENING + timedelta(hours=3)
TRADES = [a_trade(n, 10 * n, f"{100 + n % 3}", "0.5") for n in range(1, 1_081)]
BEFORE = a_trade(0, -10)
NOW = END + timedelta(seconds=20)
FILL = "run sextant data fill --exchange kraken --symbols BTC/USDT --since 2024-03-01"


def shown(*tables, width=240):
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        for table in tables:
            console.print(table)
    return captured.get()


@pytest.fixture
def settings():
    return load_settings(Path(PROJECT) / "config" / "paper.toml")


class Kraken:
    """Kraken's stores in a database, and the venue behind them."""

    def __init__(self, pool):
        self.pool = pool
        self.trades = PostgresTradeStore(pool, exchange="kraken")
        self.bars = PostgresBarStore(pool, exchange="kraken")
        self.source = ScriptedSource([BEFORE, *TRADES], now=lambda: NOW)

    async def keep(self, *, without=(), minutes=(), late=()):
        """All but these; the bars know nothing of trades that were `late`."""
        kept = [t for t in TRADES if t.trade_id not in without]
        await self.trades.put(kept)
        kept = [t for t in kept if t.trade_id not in late]
        gone = {OPENING + (n + 1) * MINUTE for n in minutes}
        await self.bars.put([bar for bar in bars_of(kept, END) if bar.closed_at not in gone])

    async def fill(self, symbols=(BTC,), since=OPENING):
        return await fill_store(
            self.pool, self.source, Exchange.KRAKEN, symbols,
            since=since, until=END, clock=ManualClock(NOW),
        )  # fmt: skip


@pytest.fixture
def kraken(pool):
    return Kraken(pool)


@pytest.mark.req("S0-31")
async def test_gaps_in_a_real_store_are_filled_once_and_rolled_up(kraken):
    """Acceptance 32: an inner gap is repaired, and a second run changes nothing."""
    await kraken.keep(without={*range(30, 40), 500}, minutes=[60, 61, 62, 179])
    (report,) = await kraken.fill()
    assert (report.gaps, report.minutes, report.holes, report.ids) == (2, 4, 2, 11)
    whole = bars_of(TRADES, END)
    assert await kraken.bars.last(BTC, Timeframe.M1, 1_000) == whole
    assert await kept_trades(kraken.trades) == TRADES
    hours = await kraken.bars.last(BTC, Timeframe.H1, 10)
    assert [hour.trades for hour in hours] == [
        sum(bar.trades for bar in whole[start : start + 60]) for start in (0, 60, 120)
    ]
    (again,) = await kraken.fill()
    assert not again.changed
    assert "nothing" in shown(fill_table([report]))


async def test_without_a_beginning_the_store_tells_it(kraken):
    await kraken.keep(minutes=[10])
    (report,) = await kraken.fill(symbols=(), since=None)
    assert (report.symbol, report.since, report.minutes) == (BTC, OPENING, 1)


@pytest.mark.parametrize("symbols", [(), (BTC,)], ids=["all", "one"])
async def test_nothing_to_begin_with_is_said_with_its_remedy(kraken, symbols):
    with pytest.raises(NothingToFill, match="--since"):
        await kraken.fill(symbols=symbols, since=None)


async def test_twelve_lost_ids_in_a_real_store(pool, shared_data):
    known = kraken_trades(shared_data)
    ids = {trade.trade_id: trade for trade in known}
    lost = sorted(set(range(min(ids), max(ids) + 1)) - set(ids))
    truth = known + [replace(ids[n - 1], trade_id=n) for n in lost]
    since = known[0].traded_at.replace(second=0, microsecond=0)
    until = Timeframe.M1.close_after(known[-1].traded_at)
    trades = PostgresTradeStore(pool, exchange="kraken")
    bars = PostgresBarStore(pool, exchange="kraken")
    await trades.put(known)
    await bars.put_many(bars_of(known, until))
    source = ScriptedSource([replace(known[0], trade_id=0, traded_at=since - MINUTE), *truth])
    report = await fill_gaps(
        source, trades, bars, BTC, since=since, until=until, clock=ManualClock(until + DAY)
    )
    assert (report.ids, report.ids_left, report.trades) == (12, 0, 12)
    assert await bars.last(BTC, Timeframe.M1, 10_000) == bars_of(truth, until)


@pytest.mark.req("S0-27", "S0-29")
async def test_status_shows_coverage_gaps_and_age_of_every_size(kraken):
    await kraken.keep(without={500}, minutes=[60, 61])
    status = await read_status(kraken.pool, now=NOW)
    told = json.loads(status_json(status))
    minutes, fives = told["bars"][0], told["bars"][1]
    assert (minutes["exchange"], minutes["symbol"], minutes["timeframe"]) == (
        "kraken", "BTC/USDT", "1m",
    )  # fmt: skip
    assert (minutes["rows"], minutes["missing"], len(minutes["gaps"])) == (178, 2, 1)
    assert minutes["age"] == 20
    assert (fives["timeframe"], fives["rows"], fives["incomplete"]) == ("5m", 36, 1)
    assert told["trades"][0]["missing"] == 1
    text = shown(*status_tables(status), width=80)
    assert all(word in text for word in ("kraken", "BTC/USDT", "1m", "1w", "178", "trades"))
    assert "…" not in text


@pytest.mark.req("S1-27", "S1-28")
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param({"minutes": [60]}, "1 minutes are missing", id="gap"),
        pytest.param({"without": {500, 501}}, "2 trades are missing", id="ids"),
        pytest.param({"late": [77, 500]}, "2 bars have less volume than the trades", id="late"),
    ],
)
async def test_what_is_wrong_is_said_with_what_to_do(kraken, settings, damage, told):
    await kraken.keep(**damage)
    checked, wrong = await check_store(kraken.pool, settings, days=7, now=NOW)
    texts = [str(finding) for finding in wrong if finding.symbol == BTC]
    assert any(told in text and FILL in text for text in texts)
    assert "kraken" in shown(check_table(checked))
    await kraken.fill()
    _, wrong = await check_store(kraken.pool, settings, days=7, now=NOW)
    assert [finding for finding in wrong if finding.symbol == BTC] == []


async def test_a_live_symbol_of_which_nothing_is_kept_is_a_finding(kraken, settings):
    await kraken.keep()
    _, wrong = await check_store(kraken.pool, settings, days=7, now=NOW)
    absent = {finding.symbol for finding in wrong if "no bar is kept" in finding.what}
    assert absent == set(settings.traded) - {BTC}


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        pytest.param([], [], id="whole"),
        pytest.param([60, 61], ["2 minutes are missing", "import it again"], id="gap"),
    ],
)
@pytest.mark.parametrize("name", ["synthetic:7", "binance"])
async def test_what_no_venue_goes_on_with_ends_with_its_last_bar(pool, settings, name, gone, told):
    """A made-up market has a clock of its own, and nobody can be asked for what it lacks."""
    absent = {OPENING + n * MINUTE for n in gone}
    bars = [bar for bar in bars_of(TRADES, END) if bar.closed_at not in absent]
    await PostgresBarStore(pool, exchange=name).put(bars)
    later = NOW + 300 * DAY
    checked, wrong = await check_store(pool, settings, days=7, now=later)
    assert [(each.exchange, each.until) for each in checked] == [(name, END)]
    text = "".join(str(finding) for finding in wrong if finding.exchange == name)
    assert all(words in text for words in told)
    assert bool(text) == bool(told)
    assert "300 d" not in shown(*status_tables(await read_status(pool, now=later)))


async def test_no_database_is_looked_at_without_making_one(settings, tmp_path, monkeypatch):
    monkeypatch.delenv(settings.storage.dsn_env, raising=False)
    nowhere = settings.model_copy(
        update={"storage": settings.storage.model_copy(update={"folder": tmp_path / "none"})}
    )
    console = Console(width=200, record=True)
    await run_status(nowhere, as_json=False, console=console)
    assert not await run_check(nowhere, days=7, console=console)
    assert "nothing is kept yet" in console.export_text()
    await run_status(nowhere, as_json=True, console=console)
    assert orjson.loads(console.export_text())["bars"] == []
    assert not (tmp_path / "none").exists()


async def test_an_import_is_in_the_store_once(pool, shared_data):
    path = shared_data / "ohlcv_1m_dirty/binance_spot_XRPBTC_1m_20191027_20191126_raw.csv.gz"
    store = PostgresBarStore(pool, exchange="binance")
    progress = PostgresProgress(pool, collector="csv of this test", exchange="binance")
    series, clock = series_of(path), ManualClock(OPENING)
    done = await import_series(series, store, progress, clock=clock)
    again = await import_series(series, store, progress, clock=clock)
    assert (done.bars, again.bars) == (44_135, 0)
    file = [
        event for event in read_bars(path, series.symbol, Timeframe.M1) if hasattr(event, "open")
    ]
    assert await store.last(Symbol("XRP/BTC"), Timeframe.M1, 100_000) == file
    assert "44,135" in shown(import_table([done]))
    assert "in the store already" in shown(import_table([again]))
