"""Reading recorded bars: what is a bar, what is refused, and when a file is no longer believed."""

import gzip
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest

from data.bar import Bar, Timeframe
from data.faults import Malformed
from data.feed import FeedInterrupted
from data.feeds.playback import known_at
from data.feeds.recorded import Defect, Tolerance, file_digest, merge, read_bars, series_named
from tests.builders_feeds import BTC, HEADER, MINUTE, OPENING, XRP, opens, row, write_csv

ANY_FAULT = Tolerance(rows=10**6)
NO_FAULT = Tolerance(rows=0, share=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bars.csv"


def read(path, timeframe=Timeframe.M1, tolerance=ANY_FAULT):
    reading = read_bars(path, BTC, timeframe, tolerance=tolerance)
    return list(reading), reading.report


def bars_of(events):
    return [event for event in events if isinstance(event, Bar)]


def gaps_of(events):
    return [event for event in events if isinstance(event, FeedInterrupted)]


def test_a_bar_is_its_row_to_the_last_decimal(path):
    write_csv(path, [row(0, "0.00002208,0.00002209,0.00002190,0.000022010", "758892")])
    events, report = read(path)
    assert events == [
        Bar(
            symbol=BTC,
            timeframe=Timeframe.M1,
            closed_at=OPENING + MINUTE,
            open=Decimal("0.00002208"),
            high=Decimal("0.00002209"),
            low=Decimal("0.0000219"),
            close=Decimal("0.00002201"),
            volume=Decimal(758892),
        )
    ]
    assert str(events[0].close) == "0.000022010"
    assert (report.bars, report.refused, report.missing) == (1, {}, 0)
    assert report.since == report.until == OPENING + MINUTE


def pack(path, text):
    path.write_bytes(gzip.compress(text))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda p, text: p.write_bytes(text), id="text"),
        pytest.param(pack, id="gzip, told by its content"),
        pytest.param(lambda p, text: p.write_bytes(b"\xef\xbb\xbf" + text), id="byte order mark"),
        pytest.param(lambda p, t: p.write_bytes(t.replace(b"\n", b"\r\n")), id="DOS line ends"),
        pytest.param(lambda p, t: p.write_bytes(t.rstrip()), id="no last line end"),
    ],
)
def test_forms_of_a_file(path, write):
    write(path, "\n".join([HEADER, row(0), row(1), ""]).encode())
    events, _ = read(path, tolerance=NO_FAULT)
    assert [event.closed_at for event in events] == [OPENING + MINUTE, OPENING + 2 * MINUTE]


def test_times_in_milliseconds(path):
    rows = [f"{1000 * opens(minute)},10,12,9,11,5" for minute in (0, 1, 3)]
    write_csv(path, [*rows, f"{1000 * opens(4) + 1},10,12,9,11,5"], "ts_ms" + HEADER[2:])
    events, report = read(path)
    assert [bar.closed_at for bar in bars_of(events)] == [OPENING + n * MINUTE for n in (1, 2, 4)]
    assert (report.missing, report.refused) == (1, {Defect.MALFORMED: 1})


@pytest.mark.parametrize(
    ("bad", "defect"),
    [
        pytest.param("", Defect.MALFORMED, id="empty line"),
        pytest.param(f"{opens(1)},10,12,9,11", Defect.MALFORMED, id="too few columns"),
        pytest.param(row(1) + ",7", Defect.MALFORMED, id="too many columns"),
        pytest.param(row(1, "10,12,9,eleven"), Defect.MALFORMED, id="word for a number"),
        pytest.param(row(1, "10,12,9,"), Defect.MALFORMED, id="no number"),
        pytest.param(row(1, "10,12,9,\ufffd"), Defect.MALFORMED, id="no text"),
        pytest.param(row(1, "10,12,9,NaN"), Defect.MALFORMED, id="close is NaN"),
        pytest.param(row(1, "10,Infinity,9,11"), Defect.MALFORMED, id="high is infinite"),
        pytest.param(row(1, volume="NaN"), Defect.MALFORMED, id="volume is NaN"),
        pytest.param(row(1, volume="-1"), Defect.MALFORMED, id="volume below zero"),
        pytest.param(row(1, "10,12,-9,11"), Defect.MALFORMED, id="price below zero"),
        pytest.param(row(1, "10,12,0,11"), Defect.MALFORMED, id="price of zero"),
        pytest.param(row(1, "10,9,12,11"), Defect.MALFORMED, id="low above high"),
        pytest.param(row(1, "13,12,9,11"), Defect.MALFORMED, id="open above high"),
        pytest.param(row(1, "10,12,9,8"), Defect.MALFORMED, id="close below low"),
        pytest.param("2024-03-01,10,12,9,11,5", Defect.MALFORMED, id="time as a date"),
        pytest.param(f"{opens(1)}.5,10,12,9,11,5", Defect.MALFORMED, id="time with a fraction"),
        pytest.param(f"{opens(1) + 1},10,12,9,11,5", Defect.MALFORMED, id="time off the minute"),
        pytest.param(f"{10**18},10,12,9,11,5", Defect.MALFORMED, id="time beyond the calendar"),
        pytest.param(row(0), Defect.DUPLICATE, id="the same row twice"),
        pytest.param(row(0, "10,13,9,12"), Defect.DUPLICATE, id="another row of the same minute"),
        pytest.param(row(-1), Defect.OUT_OF_ORDER, id="an earlier minute"),
    ],
)
@pytest.mark.req("S1-22")
def test_a_row_that_is_no_bar_in_order_is_left_out_and_said(path, bad, defect):
    write_csv(path, [row(0), bad, row(1), row(2)])
    events, report = read(path)
    assert [event.closed_at for event in events] == [OPENING + n * MINUTE for n in (1, 2, 3)]
    assert report.refused == {defect: 1}
    [refused] = report.examples
    assert (refused.path, refused.line, refused.defect) == (path, 3, defect)


def test_of_two_rows_of_a_minute_the_first_stands(path):
    write_csv(path, [row(0), row(0, "10,13,9,12"), row(1)])
    events, _ = read(path)
    assert events[0].close == 11


@pytest.mark.req("S1-22", "S1-27")
def test_missing_bars_are_told_before_the_bar_that_shows_them(path):
    write_csv(path, [row(0), row(1), row(4), row(5)])
    events, report = read(path, tolerance=NO_FAULT)
    assert events[2] == FeedInterrupted(
        symbol=BTC,
        timeframe=Timeframe.M1,
        since=OPENING + 2 * MINUTE,
        until=OPENING + 5 * MINUTE,
        reason="bars.csv: bars missing: 2",
    )
    assert known_at(events[2]) == known_at(events[3]) == OPENING + 5 * MINUTE
    assert (report.gaps, report.missing) == (1, 2)


def test_a_refused_row_leaves_a_gap(path):
    write_csv(path, [row(0), row(1, "10,12,9,NaN"), row(2)])
    events, _ = read(path)
    assert [type(event) for event in events] == [Bar, FeedInterrupted, Bar]


@pytest.mark.parametrize(
    ("timeframe", "opening", "is_bar"),
    [
        pytest.param(Timeframe.H1, "2024-03-01T05:00", True, id="hour"),
        pytest.param(Timeframe.H1, "2024-03-01T05:30", False, id="half past"),
        pytest.param(Timeframe.H4, "2024-03-01T08:00", True, id="four hours"),
        pytest.param(Timeframe.D1, "2024-03-01T00:00", True, id="day"),
        pytest.param(Timeframe.W1, "2024-03-04T00:00", True, id="week opens on Monday"),
        pytest.param(Timeframe.W1, "2024-02-29T00:00", False, id="week opens on Thursday"),
    ],
)
def test_bars_open_on_the_grid_of_their_timeframe(path, timeframe, opening, is_bar):
    at = OPENING.fromisoformat(opening + "+00:00")
    usual = OPENING.fromisoformat("2024-01-01T00:00+00:00")  # a Monday
    write_csv(path, [f"{int(t.timestamp())},10,12,9,11,5" for t in (usual, at)])
    events, report = read(path, timeframe)
    assert (bars_of(events)[-1].closed_at == at + timeframe.delta) == is_bar
    assert (report.refused == {}) == is_bar


@pytest.mark.parametrize(
    ("tolerance", "faults", "believed"),
    [
        pytest.param(NO_FAULT, 0, True, id="none allowed, none there"),
        pytest.param(NO_FAULT, 1, False, id="none allowed"),
        pytest.param(Tolerance(rows=3, share=0), 3, True, id="at the count"),
        pytest.param(Tolerance(rows=3, share=0), 4, False, id="past the count"),
        pytest.param(Tolerance(rows=0, share=0.5), 40, True, id="within the share"),
        pytest.param(Tolerance(rows=0, share=0.1), 40, False, id="past the share"),
        pytest.param(Tolerance(), 20, True, id="usual, a few"),
        pytest.param(Tolerance(), 21, False, id="usual, too many for a short file"),
    ],
)
def test_a_file_with_too_many_faults_is_not_believed(path, tolerance, faults, believed):
    rows = [row(minute) for minute in range(60)]
    write_csv(path, rows + [row(59)] * faults + [row(60)])
    if believed:
        events, report = read(path, tolerance=tolerance)
        assert (len(events), sum(report.refused.values())) == (61, faults)
        return
    with pytest.raises(Malformed, match=r"bars\.csv:\d+: .*duplicate.*tolerance"):
        read(path, tolerance=tolerance)


def test_a_report_keeps_only_the_first_refused_rows(path):
    write_csv(path, [row(0)] + [row(0)] * 1000)
    _, report = read(path)
    assert report.refused == {Defect.DUPLICATE: 1000}
    assert [refused.line for refused in report.examples] == list(range(3, 23))


def test_a_report_can_be_asked_for_on_the_way(path):
    write_csv(path, [row(0), row(0), row(1)])
    reading = read_bars(path, BTC, Timeframe.M1)
    assert reading.report.bars == 0
    next(iter(reading))
    assert (reading.report.bars, reading.report.refused) == (1, {})
    list(reading)
    assert (reading.report.bars, reading.report.refused) == (2, {Defect.DUPLICATE: 1})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("a.csv", b"", "empty", id="empty"),
        pytest.param("a.csv", row(0).encode() + b"\n", "unknown header", id="no header"),
        pytest.param("a.csv", b"ts,open,close\n", "should be ts,open", id="unknown columns"),
        pytest.param("a.csv", b"\x00\xff\xfe binary \n", "unknown header", id="binary"),
        pytest.param("a.csv", HEADER.encode() + b"\n", "no bar in it", id="header only"),
        pytest.param("a.csv", HEADER.encode() + b"\nx,y\n", "line 2|:2:", id="no row is a bar"),
        pytest.param("a.csv.gz", HEADER.encode() + b"\n", "not gzip", id="not gzip"),
        pytest.param("a.csv.gz", b"\x1f\x8bnonsense" * 9, "damaged gzip", id="broken gzip"),
        pytest.param("a.csv.gz", gzip.compress(b""), "empty", id="empty gzip"),
        pytest.param(
            "a.csv.gz",
            gzip.compress("\n".join([HEADER, row(0), row(1)]).encode())[:-12],
            "damaged gzip",
            id="gzip cut short",
        ),
    ],
)
def test_a_file_that_holds_no_bars_is_named_with_its_remedy(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Malformed, match=says) as raised:
        read(path)
    assert str(raised.value).startswith(str(path))


def test_a_wrong_header_is_told_before_the_first_bar_is_asked_for(path):
    path.write_text("time,price\n")
    with pytest.raises(Malformed, match="unknown header"):
        read_bars(path, BTC, Timeframe.M1)


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe"),
    [
        ("binance_spot_BTCUSDT_1m_20210420_20210520.csv.gz", "BTC/USDT", "1m"),
        ("binance_spot_XRPBTC_1m_20191027_20191126_raw.csv.gz", "XRP/BTC", "1m"),
        ("kraken_spot_BTCUSD_1h_20131006_20230107.csv.gz", "BTC/USD", "1h"),
        ("binance_perp_XRPUSDT_1d_202005_202312.csv.gz", "XRP/USDT", "1d"),
        ("BTC_USDT-15m.csv", "BTC/USDT", "15m"),
        ("ETHBTC_12h.csv", "ETH/BTC", "12h"),
    ],
)
def test_names_that_tell_what_a_file_holds(name, symbol, timeframe):
    assert series_named(Path("somewhere") / name) == (symbol, timeframe)


@pytest.mark.parametrize(
    "name", ["bars.csv", "BTCUSDT.csv", "BTCUSDT_2m.csv", "btcusdt_1m.csv", "USDT_1m.csv"]
)
def test_names_that_do_not_tell(name):
    with pytest.raises(Malformed, match="name both, or rename the file"):
        series_named(Path(name))


def a_stream(tmp_path, symbol, minutes):
    path = write_csv(tmp_path / f"{symbol.base}.csv", [row(minute) for minute in minutes])
    return read_bars(path, symbol, Timeframe.M1)


def test_streams_merge_by_time_then_in_their_order(tmp_path):
    streams = [a_stream(tmp_path, XRP, [0, 1, 4]), a_stream(tmp_path, BTC, [1, 2, 4])]
    told = [
        ((known_at(event) - OPENING) // MINUTE, event.symbol.base, type(event).__name__)
        for event in merge(streams)
    ]
    assert told == [
        (1, "XRP", "Bar"),
        (2, "XRP", "Bar"),
        (2, "BTC", "Bar"),
        (3, "BTC", "Bar"),
        (5, "XRP", "FeedInterrupted"),
        (5, "XRP", "Bar"),
        (5, "BTC", "FeedInterrupted"),
        (5, "BTC", "Bar"),
    ]


def test_merging_one_stream_or_none(tmp_path):
    assert [event.symbol for event in merge([a_stream(tmp_path, XRP, [0, 1])])] == [XRP, XRP]
    assert list(merge([])) == []


def test_a_digest_names_the_bytes_of_a_file(path):
    path.write_bytes(b"abc")
    assert file_digest(path) == (  # FIPS 180-2, appendix B.1
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize(
    ("file", "bars", "gaps", "missing", "duplicates"),
    [  # the figures of each folder's PROVENANCE.md
        ("ohlcv_1m/binance_spot_BTCUSDT_1m_20210420_20210520.csv.gz", 42_915, 1, 284, 0),
        ("ohlcv_1m/binance_spot_XRPUSDT_1m_20210420_20210520.csv.gz", 42_916, 1, 283, 0),
        ("ohlcv_1m/binance_spot_XRPBTC_1m_20210410_20210520.csv.gz", 57_194, 2, 434, 0),
        ("ohlcv_1m/binance_perp_BTCUSDT_1m_20250504_20250603.csv.gz", 43_199, 0, 0, 0),
        ("ohlcv_1m_dirty/binance_spot_XRPBTC_1m_20191027_20191126_raw.csv.gz", 44_135, 3, 263, 263),
        ("ohlcv_long/binance_spot_BTCUSDT_1h_201708_202312.csv.gz", 55_740, 28, 128, 0),
        ("ohlcv_long/kraken_spot_BTCUSD_1h_20131006_20230107.csv.gz", 70_253, 3_254, 10_856, 0),
        ("ohlcv_long/binance_perp_BTCUSDT_1d_202005_202312.csv.gz", 1_310, 0, 0, 0),
    ],
)
@pytest.mark.req("S1-22", "S1-27")
def test_real_files_hold_what_their_provenance_says(
    shared_data, file, bars, gaps, missing, duplicates
):
    path = shared_data / file
    symbol, timeframe = series_named(path)
    reading = read_bars(path, symbol, timeframe)
    interruptions, last = 0, None
    for event in reading:
        if isinstance(event, FeedInterrupted):
            interruptions += 1
            assert event.since == last
            continue
        assert last is None or event.closed_at > last
        last = event.closed_at
    report = reading.report
    assert (report.bars, report.gaps, report.missing) == (bars, gaps, missing)
    assert report.refused == ({Defect.DUPLICATE: duplicates} if duplicates else {})
    assert interruptions == gaps
    assert report.until - report.since == (bars + missing - 1) * timeframe.delta


def test_the_three_pairs_of_2021_tell_their_maintenance_gap(shared_data):
    paths = sorted((shared_data / "ohlcv_1m").glob("binance_spot_*_1m_2021*.csv.gz"))
    events = merge([read_bars(path, *series_named(path)) for path in paths])
    gaps = {
        (gap.symbol, f"{gap.since:%d %H:%M}", f"{gap.until:%d %H:%M}") for gap in gaps_of(events)
    }
    assert len(paths) == 3
    assert {symbol for symbol, *_ in gaps} == {"BTC/USDT", "XRP/USDT", "XRP/BTC"}
    assert len(gaps) == 4
    assert {since for symbol, since, _ in gaps if symbol == "BTC/USDT"} == {"25 04:01"}


def test_memory_stays_flat(path):
    write_csv(path, [row(minute) for minute in range(15_000)])
    tracemalloc.start()
    try:
        for _ in read_bars(path, BTC, Timeframe.M1):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300_000 < path.stat().st_size
