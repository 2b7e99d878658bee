"""Downloaded history becomes bars, once, whatever it is packed in and wherever it was killed."""

import gzip
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Timeframe
from data.clock import ManualClock
from data.faults import Malformed
from data.feeds.recorded import Defect, Tolerance
from data.feeds.text_file import fingerprint
from data.instrument import Symbol
from data.kraken_db import csv_importer
from data.kraken_db.archives import Layout, find_series, series_of
from data.kraken_db.csv_importer import import_series
from data.store_memory import MemoryBarStore
from tests.builders_trades import kraken_trades
from tests.fakes_source import MINUTE, OPENING, a_trade, bars_of

START = int(OPENING.timestamp())
OHLCVT = (
    f"{START},10,12,9,11,1.5,3\n"
    f"{START + 60},11,13,10,12,0.25,1\n"
    f"{START + 300},12,12,12,12,0.00000001,1\n"
)
TRADES = f"{START},100.5,1\n{START}.5,101,0.5\n{START + 61}.1234,99,2\n{START + 200},98,1\n"
HEADED = f"ts,open,high,low,close,volume\n{START},10,12,9,11,1.5\n{START + 120},11,13,10,12,2\n"


class Killed(Exception):
    """The process ends here."""


class MemoryProgress:
    cursor = None

    async def save(self, symbol, cursor, *, now):
        self.cursor = cursor

    async def load(self, symbol):
        return self.cursor


class FusedBars(MemoryBarStore):
    """Killed before or after the put that the fuse says."""

    fuse = 0

    async def put_many(self, bars):
        self._burn()
        count = await super().put_many(bars)
        self._burn()
        return count

    def _burn(self):
        self.fuse -= 1
        if self.fuse == 0:
            raise Killed


def written(path, text):
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif path.parent.suffix == ".zip":
        with zipfile.ZipFile(path.parent, "a") as archive:
            archive.writestr(path.name, text)
    else:
        path.write_text(text)
    return path


async def imported(path, store=None, progress=None, **options):
    """What came of the file, and the bars that are in the store then."""
    store = store if store is not None else MemoryBarStore()
    series = series_of(path)
    done = await import_series(
        series, store, progress or MemoryProgress(), clock=ManualClock(OPENING), **options
    )
    return done, await store.last(series.symbol, series.timeframe, 1_000_000)


def closes(bars):
    return [(bar.closed_at - OPENING) // MINUTE for bar in bars]


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe", "layout"),
    [
        ("XBTUSDT_1.csv", "BTC/USDT", "1m", Layout.OHLCVT),
        ("XRPXBT_60.csv", "XRP/BTC", "1h", Layout.OHLCVT),
        ("XDGUSD_1440.csv.gz", "DOGE/USD", "1d", Layout.OHLCVT),
        ("XBTUSD.csv", "BTC/USD", "1m", Layout.TRADES),
        ("ETHXBT.csv", "ETH/BTC", "1m", Layout.TRADES),
        ("binance_spot_BTCUSDT_1m_20210420.csv.gz", "BTC/USDT", "1m", Layout.HEADED),
    ],
)
def test_names_tell_what_files_hold(tmp_path, name, symbol, timeframe, layout):
    series = series_of(tmp_path / name)
    assert (series.symbol, series.timeframe.value, series.layout) == (symbol, timeframe, layout)


@pytest.mark.parametrize("name", ["XBTUSDT_7.csv", "notes.csv", "BTCUSDT.txt"])
def test_a_name_that_does_not_tell_is_named(tmp_path, name):
    with pytest.raises(Malformed, match=name):
        series_of(tmp_path / name)


PACKED = ["XBTUSDT_1.csv", "XBTUSDT_1.csv.gz", "all.zip/XBTUSDT_1.csv"]


@pytest.mark.parametrize("name", PACKED)
async def test_krakens_bars_with_their_quiet_minutes(tmp_path, name):
    done, bars = await imported(written(tmp_path / name, OHLCVT))
    assert closes(bars) == [1, 2, 3, 4, 5, 6]
    assert [bar.trades for bar in bars] == [3, 1, 0, 0, 0, 1]
    assert [bar.volume for bar in bars][:3] == [Decimal("1.5"), Decimal("0.25"), 0]
    assert {bar.close for bar in bars[1:]} == {12}
    assert (done.bars, done.report.bars) == (6, 3)


@pytest.mark.parametrize("name", ["XBTUSDT.csv", "XBTUSDT.csv.gz", "all.zip/XBTUSDT.csv"])
async def test_krakens_trades_become_exact_bars(tmp_path, name):
    _, bars = await imported(written(tmp_path / name, TRADES))
    assert closes(bars) == [1, 2, 3, 4]
    first, second, quiet, last = bars
    assert (first.open, first.close, first.volume, first.trades) == (
        Decimal("100.5"), 101, Decimal("1.5"), 2,
    )  # fmt: skip
    assert first.turnover == Decimal("100.5") + Decimal(101) * Decimal("0.5")
    assert (second.close, second.trades) == (99, 1)
    assert (quiet.close, quiet.trades, quiet.volume) == (99, 0, 0)
    assert last.close == 98


async def test_a_header_leaves_gaps_as_they_are(tmp_path):
    done, bars = await imported(written(tmp_path / "BTCUSDT_1m.csv", HEADED))
    assert closes(bars) == [1, 3]
    assert done.report.missing == 1


def test_an_archive_gives_what_is_wanted_of_it(tmp_path):
    for name in ("XBTUSDT_1.csv", "XBTUSDT_60.csv", "XRPUSDT_1.csv", "readme.txt", "ODD_3.csv"):
        written(tmp_path / "all.zip" / name, OHLCVT)
    minutes = [Timeframe.M1]
    found = find_series([tmp_path / "all.zip"], [], minutes)
    assert [series.path.name for series in found] == ["XBTUSDT_1.csv", "XRPUSDT_1.csv"]
    found = find_series([tmp_path / "all.zip"], ["BTC/USDT"], [*minutes, Timeframe.H1])
    assert [series.path.name for series in found] == ["XBTUSDT_1.csv", "XBTUSDT_60.csv"]


def test_a_folder_gives_what_is_in_it(tmp_path):
    written(tmp_path / "XBTUSDT_1.csv.gz", OHLCVT)
    assert len(find_series([tmp_path], [], [Timeframe.M1])) == 1


@pytest.mark.parametrize(
    ("name", "rows", "defect", "line"),
    [
        pytest.param("XBTUSDT_1.csv", "what,is,this\n", Defect.MALFORMED, 4, id="no bar"),
        pytest.param(
            "XBTUSDT_1.csv", f"{START + 300},1,1,1,1,1,1\n", Defect.DUPLICATE, 4, id="twice"
        ),
        pytest.param(
            "XBTUSDT_1.csv", f"{START + 60},1,1,1,1,1,1\n", Defect.OUT_OF_ORDER, 4, id="late bar"
        ),
        pytest.param("XBTUSDT.csv", "1,2\n", Defect.MALFORMED, 5, id="no trade"),
        pytest.param("XBTUSDT.csv", f"{START + 201},0,1\n", Defect.MALFORMED, 5, id="no price"),
        pytest.param("XBTUSDT.csv", f"{START},1,1\n", Defect.OUT_OF_ORDER, 5, id="late trade"),
    ],
)
async def test_a_row_that_is_none_is_told_with_its_line(tmp_path, name, rows, defect, line):
    text = OHLCVT if "_1" in name else TRADES
    _, bars = await imported(written(tmp_path / name, text))
    done, same = await imported(written(tmp_path / name, text + rows))
    assert same == bars
    assert dict(done.report.refused) == {defect: 1}
    assert (done.report.examples[0].line, done.report.examples[0].defect) == (line, defect)


@pytest.mark.parametrize("name", ["XBTUSDT_1.csv", "XBTUSDT.csv"])
async def test_too_many_bad_rows_stop_the_file(tmp_path, name):
    text = (OHLCVT if "_1" in name else TRADES) + "nonsense\n"
    with pytest.raises(Malformed, match="nonsense"):
        await imported(written(tmp_path / name, text), tolerance=Tolerance(rows=0, share=0))


@pytest.mark.parametrize("name", ["XBTUSDT_1.csv", "XBTUSDT.csv"])
async def test_an_empty_file_is_told(tmp_path, name):
    with pytest.raises(Malformed, match=name):
        await imported(written(tmp_path / name, ""))


async def test_a_second_run_changes_nothing_and_reads_nothing(tmp_path):
    path = written(tmp_path / "XBTUSDT_1.csv", OHLCVT)
    store, progress = MemoryBarStore(), MemoryProgress()
    _, bars = await imported(path, store, progress)
    done, same = await imported(path, store, progress)
    assert (done.bars, done.report, same) == (0, None, bars)
    done, same = await imported(path, store, progress, again=True)
    assert done.report is not None and same == bars


def test_a_file_is_known_by_its_content(tmp_path):
    first = written(tmp_path / "XBTUSDT_1.csv", OHLCVT)
    before = fingerprint(first)
    assert fingerprint(written(tmp_path / "XBTUSDT_60.csv", OHLCVT)) == before
    assert fingerprint(written(first, OHLCVT + "\n")) != before
    one = written(tmp_path / "one.zip/XBTUSDT_1.csv", OHLCVT)
    other = written(tmp_path / "two.zip/XBTUSDT_1.csv", OHLCVT)
    assert fingerprint(one) == fingerprint(other)


async def test_a_bar_made_of_trades_is_not_replaced_by_one_that_knows_less(tmp_path):
    store = MemoryBarStore()
    exact = bars_of([a_trade(1, 0, "10", "1.5"), a_trade(2, 61, "11", "0.2")], OPENING + 2 * MINUTE)
    await store.put(exact)
    _, bars = await imported(written(tmp_path / "XBTUSDT_1.csv", OHLCVT), store)
    assert bars[0] == exact[0]
    assert bars[1].volume == Decimal("0.25")  # the archive knows of more than we had seen


@settings(max_examples=40, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 60), min_size=1, unique=True).map(sorted),
    kills=st.lists(st.integers(1, 12), max_size=4),
    batch=st.integers(1, 9),
    trades=st.booleans(),
)
@pytest.mark.req("S0-28")
async def test_killed_anywhere_it_ends_as_if_it_had_not_been(
    tmp_path_factory, minutes, kills, batch, trades
):
    rows = ["{},10,1" if trades else "{},10,12,9,11,1.5,3"] * len(minutes)
    text = "".join(f"{row.format(START + 60 * m)}\n" for row, m in zip(rows, minutes, strict=True))
    name = "XBTUSDT.csv" if trades else "XBTUSDT_1.csv"
    path = written(tmp_path_factory.mktemp("import") / name, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_importer, "_BATCH", batch)
        _, whole = await imported(path)
        store, progress = FusedBars(), MemoryProgress()
        for kill in [*kills, 0]:
            store.fuse = kill
            try:
                _, bars = await imported(path, store, progress)
            except Killed:
                continue
    assert bars == whole
    assert closes(whole) == list(range(minutes[0] + 1, minutes[-1] + 2))


async def test_a_real_trade_archive_is_what_its_trades_make(shared_data, tmp_path):
    """Kraken's format, written from real trades of the same venue."""
    trades = kraken_trades(shared_data)
    lines = [f"{_seconds(t.traded_at)},{t.price},{t.quantity}\n" for t in trades]
    done, bars = await imported(written(tmp_path / "XBTUSDT.csv.gz", "".join(lines)))
    until = Timeframe.M1.close_after(trades[-1].traded_at)
    assert bars == bars_of(trades, until)
    assert not done.report.refused
    assert sum(bar.trades for bar in bars) == len(trades) == 12_623


def _seconds(at):
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{since // timedelta(seconds=1)}.{at.microsecond:06d}"


async def test_a_dirty_file_keeps_its_gaps_and_tells_its_duplicates(shared_data):
    path = shared_data / "ohlcv_1m_dirty/binance_spot_XRPBTC_1m_20191027_20191126_raw.csv.gz"
    done, bars = await imported(path)
    assert done.series.symbol == Symbol("XRP/BTC")
    assert (done.report.refused[Defect.DUPLICATE], done.report.missing) == (263, 263)
    assert len(bars) == 44_398 - 263
