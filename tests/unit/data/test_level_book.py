"""Order books kept from changes: checksums, update ids, and everything that breaks a book."""

import bisect
import gzip
import json
from decimal import Decimal

import pytest

from data.feeds.source import BookBroken
from data.level_book import (
    BinanceBook,
    Decimals,
    DepthEvent,
    KrakenBook,
    LevelBook,
    kraken_checksum,
)
from tests.builders_trades import (
    BTC,
    NOON,
    a_depth_event,
    after,
    binance_frames,
    levels,
)

KRAKEN_V1 = "ws_captures_cryptofeed/KRAKEN.ws.50.0.gz"
KRAKEN_V2 = "kraken_ws_v2/frames.jsonl"
TENTHS = Decimals(price=1, quantity=8)
BIDS = levels(*((100 - n, n + 1) for n in range(12)))
ASKS = levels(*((101 + n, n + 1) for n in range(12)))


def sides(book, depth=5):
    """The best levels of both sides, as numbers."""
    shown = book.book(depth)
    return tuple([tuple(map(float, level)) for level in side] for side in (shown.bids, shown.asks))


def checksum(bids, asks, decimals=TENTHS):
    return kraken_checksum(bids[:10], asks[:10], decimals)


# Levels


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        pytest.param([], [], ([(10, 1), (9, 2)], [(11, 3), (12, 4)]), id="nothing"),
        pytest.param([(9.5, 7)], [], ([(10, 1), (9.5, 7), (9, 2)], [(11, 3), (12, 4)]),
                     id="a new level between"),
        pytest.param([(10, 5)], [(12, 6)], ([(10, 5), (9, 2)], [(11, 3), (12, 6)]),
                     id="other quantities"),
        pytest.param([(10, 0)], [(11, 0)], ([(9, 2)], [(12, 4)]), id="gone"),
        pytest.param([(8, 0)], [(13, 0)], ([(10, 1), (9, 2)], [(11, 3), (12, 4)]),
                     id="the end of a level that was never there"),
        pytest.param([(8, 1), (7, 1)], [(10.5, 1), (13, 1)],
                     ([(10, 1), (9, 2), (8, 1)], [(10.5, 1), (11, 3), (12, 4)]),
                     id="cut to three levels"),
        pytest.param([("10.00", 5)], [], ([(10, 5), (9, 2)], [(11, 3), (12, 4)]),
                     id="a price written otherwise is the same"),
    ],
)  # fmt: skip
def test_changes_make_the_book(bids, asks, expected):
    book = LevelBook(BTC, depth=3)
    book.replace(NOON, levels((9, 2), (10, 1)), levels((12, 4), (11, 3)))
    book.change(after(1), levels(*bids), levels(*asks))
    assert sides(book) == expected
    assert book.book(5).at == after(1)


@pytest.mark.parametrize("level", [(0, 1), (-1, 1), (1, -1), ("NaN", 1), (1, "NaN"), (1, "Inf")])
def test_levels_that_cannot_be_break_the_book(level):
    book = LevelBook(BTC)
    book.replace(NOON, BIDS, ASKS)
    with pytest.raises(BookBroken, match="BTC/USDT"):
        book.change(NOON, levels(level), ())
    with pytest.raises(BookBroken, match="no snapshot"):
        book.book(1)
    with pytest.raises(BookBroken, match="without a snapshot"):
        book.change(NOON, (), ())


def test_a_depth_of_none_shows_none():
    book = LevelBook(BTC)
    book.replace(NOON, BIDS, ASKS)
    assert sides(book, 0) == ([], [])


# Kraken


def test_the_documented_checksum_is_found(shared_data):
    text = (shared_data / "kraken_ws_v2/doc_checksum_example.json").read_text()
    case = json.loads(text)
    bids, asks = levels(*case["bids"]), levels(*case["asks"])
    assert kraken_checksum(bids, asks, None) == case["crc32"]
    assert kraken_checksum(bids, asks, TENTHS) == case["crc32"]


def v1_messages(shared_data):
    """(pair, is a snapshot, bids, asks, checksum) of every book message of the capture."""
    with gzip.open(shared_data / KRAKEN_V1, "rt") as lines:
        frames = [json.loads(line.split(": ", 1)[1]) for line in lines if ": [" in line]
    for _, *parts, _, pair in frames:
        merged = {key: value for part in parts for key, value in part.items()}
        bids, asks = (merged.get(side + "s", merged.get(side, ())) for side in "ba")
        told = int(merged["c"]) if "c" in merged else None
        yield pair, "as" in merged, levels(*bids), levels(*asks), told


def test_all_recorded_checksums_of_version_1_verify(shared_data):
    books, verified = {}, 0
    for pair, is_snapshot, bids, asks, told in v1_messages(shared_data):
        if is_snapshot:
            books[pair] = KrakenBook(BTC, depth=1000, decimals=None)
            books[pair].snapshot(NOON, bids, asks, told)
        else:
            books[pair].update(NOON, bids, asks, told)
            verified += told is not None
    assert (len(books), verified) == (10, 4269)


def v2_cases(shared_data):
    lines = (shared_data / KRAKEN_V2).read_text().splitlines()
    for case in map(json.loads, lines):
        data = [m["data"][0] | {"type": m["type"]} for m in case["messages"]
                if m.get("channel") == "book"]  # fmt: skip
        if data:
            yield Decimals(case["price_decimals"], case["qty_decimals"]), data


def feed_v2(book, data):
    take = book.snapshot if data["type"] == "snapshot" else book.update
    bids, asks = ([(row["price"], row["qty"]) for row in data[side]] for side in ("bids", "asks"))
    take(NOON, levels(*bids), levels(*asks), data["checksum"])


def test_all_recorded_checksums_of_version_2_verify_and_a_snapshot_may_come_unasked(shared_data):
    for decimals, messages in v2_cases(shared_data):
        book = KrakenBook(BTC, depth=10, decimals=decimals)
        for data in messages:
            feed_v2(book, data)
        assert [data["type"] for data in messages].count("snapshot") == 2
        assert len(messages) == 9
        again = KrakenBook(BTC, depth=10, decimals=decimals)
        second = max(n for n, data in enumerate(messages) if data["type"] == "snapshot")
        for data in messages[second:]:
            feed_v2(again, data)
        assert sides(again, 10) == sides(book, 10)


@pytest.mark.parametrize("index", range(20))
def test_a_corrupted_level_is_detected(index, shared_data):
    decimals, (snapshot, *_) = next(v2_cases(shared_data))
    side, row = ("bids", "asks")[index // 10], index % 10
    bad = json.loads(json.dumps(snapshot))
    bad[side][row]["qty"] += 1e-08
    book = KrakenBook(BTC, depth=10, decimals=decimals)
    with pytest.raises(BookBroken, match="checksum"):
        feed_v2(book, bad)
    feed_v2(book, snapshot)
    assert len(book.book(10).bids) == 10


def test_a_skipped_update_is_detected_and_the_next_snapshot_cures_it(shared_data):
    decimals, messages = next(v2_cases(shared_data))
    book = KrakenBook(BTC, depth=10, decimals=decimals)
    feed_v2(book, messages[0])
    with pytest.raises(BookBroken, match="checksum"):
        feed_v2(book, messages[2])
    with pytest.raises(BookBroken, match="snapshot"):
        feed_v2(book, messages[3])
    for data in messages[5:]:
        feed_v2(book, data)


def a_kraken_book(levels_each=12):
    book = KrakenBook(BTC, depth=25, decimals=TENTHS)
    book.snapshot(NOON, BIDS[:levels_each], ASKS[:levels_each], None)
    return book


@pytest.mark.parametrize(
    ("levels_each", "told", "error"),
    [
        pytest.param(10, None, "without a checksum", id="ten levels each, and none told"),
        pytest.param(9, None, None, id="a thin book, and none told"),
        pytest.param(9, checksum(BIDS[:9], ASKS[:9]), None, id="a thin book's is verified"),
        pytest.param(9, 1, "the venue's 1", id="a thin book's is wrong"),
        pytest.param(0, None, None, id="an empty book"),
    ],
)
def test_only_a_thin_book_may_go_without_checksum(levels_each, told, error):
    book = a_kraken_book(levels_each)
    if error is None:
        book.update(after(1), (), (), told)
        assert len(book.book(25).bids) == levels_each
    else:
        with pytest.raises(BookBroken, match=error):
            book.update(after(1), (), (), told)


def test_checksums_follow_a_change_of_decimals():
    book = a_kraken_book()
    finer = Decimals(price=2, quantity=8)
    changed = [(Decimal("100.25"), Decimal(7))]
    told = checksum(changed + BIDS, ASKS, finer)
    book.change_decimals(finer)
    book.update(after(1), changed, (), told)
    assert sides(book, 1)[0] == [(100.25, 7)]
    stubborn = a_kraken_book()
    with pytest.raises(BookBroken, match="checksum"):
        stubborn.update(after(1), changed, (), told)


# Binance


def event(first, last, previous=None, bids=(), asks=()):
    return DepthEvent(
        at=after(last), first=first, last=last, previous=previous, bids=levels(*bids),
        asks=levels(*asks),
    )  # fmt: skip


SNAPSHOT = {"at": NOON, "last_id": 100, "bids": levels((10, 1)), "asks": levels((11, 1))}


def a_binance_book(*waiting):
    book = BinanceBook(BTC)
    for one in waiting:
        book.update(one)
    return book


@pytest.mark.parametrize(
    ("waiting", "later", "bid"),
    [
        pytest.param([], [], 1, id="the snapshot alone"),
        pytest.param([event(90, 99, 89, [(10, 5)])], [], 1, id="older than it: dropped"),
        pytest.param([event(90, 100, 89, [(10, 5)])], [], 1, id="up to it: dropped"),
        pytest.param([event(90, 110, 89, [(10, 5)])], [], 5, id="it straddles"),
        pytest.param([event(90, 99, 89), event(100, 110, 99, [(10, 5)])], [], 5,
                     id="the second straddles"),
        pytest.param([event(104, 110, 100, [(10, 5)])], [], 5, id="USD-M: pu says it follows"),
        pytest.param([event(101, 110, None, [(10, 5)])], [], 5, id="spot: U says it follows"),
        pytest.param([event(95, 110, 94), event(115, 120, 110, [(10, 5)])], [], 5,
                     id="USD-M: two linked by pu"),
        pytest.param([event(95, 110), event(111, 120, None, [(10, 5)])], [], 5,
                     id="spot: two linked by U"),
        pytest.param([], [event(95, 110, 94), event(115, 120, 110, [(10, 5)])], 5,
                     id="events after the snapshot"),
        pytest.param([], [event(95, 110, 94, [(10, 5)]), event(95, 110, 94, [(10, 9)])], 5,
                     id="repeated: left out"),
    ],
)  # fmt: skip
def test_events_are_linked_to_the_snapshot(waiting, later, bid):
    book = a_binance_book(*waiting)
    assert not book.is_synced
    assert book.snapshot(**SNAPSHOT)
    for one in later:
        book.update(one)
    assert book.is_synced
    assert sides(book) == ([(10, bid)], [(11, 1)])


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([event(105, 110, 103)], id="the first does not reach back to the snapshot"),
        pytest.param([event(95, 110, 94), event(115, 120, 112)], id="USD-M: pu is another"),
        pytest.param([event(95, 110), event(112, 120)], id="spot: an id is skipped"),
        pytest.param([event(95, 110), event(108, 120)], id="spot: ids overlap"),
    ],
)
def test_missing_events_break_the_book_until_a_newer_snapshot(events):
    book = a_binance_book()
    book.snapshot(**SNAPSHOT)
    with pytest.raises(BookBroken, match="events are missing"):
        for one in events:
            book.update(one)
    assert not book.is_synced
    with pytest.raises(BookBroken, match="no snapshot"):
        book.book(1)
    assert book.snapshot(**SNAPSHOT | {"last_id": events[-1].first + 1})
    assert book.is_synced


def test_a_snapshot_older_than_what_waits_is_not_taken():
    book = a_binance_book(event(105, 110, 103), event(115, 120, 110, [(10, 5)]))
    assert not book.snapshot(**SNAPSHOT)
    assert not book.is_synced
    assert book.snapshot(**SNAPSHOT | {"last_id": 106})
    assert sides(book)[0] == [(10, 5)]


def test_events_missing_among_those_that_wait_break_the_book_but_a_later_snapshot_is_taken():
    book = a_binance_book(event(95, 110, 94), event(115, 120, 113), event(125, 130, 120))
    with pytest.raises(BookBroken, match="events are missing"):
        book.snapshot(**SNAPSHOT)
    assert book.snapshot(**SNAPSHOT | {"last_id": 116})
    assert (book.is_synced, book.book(1).at) == (True, after(130))


def test_a_snapshot_repeated_unasked_is_taken_only_if_it_is_not_older():
    book = a_binance_book()
    assert book.snapshot(**SNAPSHOT)
    book.update(event(95, 110, 94, [(10, 5)]))
    assert not book.snapshot(**SNAPSHOT)
    assert sides(book)[0] == [(10, 5)]
    assert book.snapshot(**SNAPSHOT | {"last_id": 115})
    book.update(event(111, 117, 110, [(10, 6)]))
    book.update(event(118, 119, 117, [(10, 7)]))
    assert sides(book)[0] == [(10, 7)]


def test_events_do_not_wait_for_ever():
    book = a_binance_book(*(event(n, n) for n in range(10_000)))
    with pytest.raises(BookBroken, match="no snapshot came for 10000 events"):
        book.update(event(10_001, 10_001))


@pytest.mark.parametrize(
    ("bids", "asks", "depth", "worn"),
    [
        pytest.param([], [], 3, False, id="fresh"),
        pytest.param([(95, 1)], [], 3, False, id="a level out there, but deeper than asked"),
        pytest.param([(99, 0), (98, 0), (95, 1)], [], 3, True, id="bids reach past it"),
        pytest.param([], [(101, 0), (105, 1)], 3, True, id="asks reach past it"),
        pytest.param([(99, 0)], [], 3, True, id="bids are used up"),
        pytest.param([(99, 0)], [], 2, False, id="used up less than asked"),
    ],
)
def test_a_book_is_worn_where_only_later_changes_are_known(bids, asks, depth, worn):
    book = BinanceBook(BTC)
    book.snapshot(
        NOON, 100, levels((99, 1), (98, 1), (97, 1)), levels((101, 1), (102, 1), (103, 1))
    )
    book.update(event(101, 102, 100, bids, asks))
    assert book.is_worn(depth) == worn


@pytest.mark.parametrize(
    ("file", "events", "compared"),
    [
        pytest.param("binance_usdm_btcusdt_20240808", 6551, 6545, id="USD-M by pu"),
        pytest.param("binance_spot_btcusdt_20240808", 3451, 3448, id="spot by U"),
    ],
)
def test_a_recorded_stream_is_whole_and_its_top_is_the_venues(file, events, compared, shared_data):
    """`bookTicker` tells the best prices at each update id; the capture has the REST snapshot."""
    frames = binance_frames(shared_data / f"l2_binance_hyperliquid/{file}.jsonl.gz")
    tops = [
        (frame["u"], tuple(Decimal(frame[side]) for side in "bBaA"))
        for frame in frames
        if "b" in frame and "B" in frame
    ]
    book, equal = BinanceBook(BTC), []
    for frame in frames:
        if "lastUpdateId" in frame:
            assert book.snapshot(**a_snapshot(frame))
        elif frame.get("e") == "depthUpdate":
            book.update(a_depth_event(frame))
            known = bisect.bisect(tops, frame["u"], key=lambda top: top[0])
            if book.is_synced and known:
                shown = book.book(1)
                equal.append((*shown.bids[0], *shown.asks[0]) == tops[known - 1][1])
    assert sum(frame.get("e") == "depthUpdate" for frame in frames) == events
    assert (len(equal), all(equal)) == (compared, True)


def test_recorded_streams_of_four_markets_are_linked_to_their_snapshots(shared_data):
    capture = shared_data / "ws_captures_cryptofeed"
    events = {}
    for frame in binance_frames(capture / "BINANCE_FUTURES.ws.1.0.gz"):
        if frame["e"] == "depthUpdate":
            events.setdefault(frame["s"], []).append(a_depth_event(frame))
    with gzip.open(capture / "BINANCE_FUTURES.http.0.0.gz", "rt") as lines:
        answers = dict(line.split("symbol=")[1].split("&", 1) for line in lines if "->" in line)
    assert sorted(answers) == sorted(events)
    for symbol, answer in answers.items():
        book = a_binance_book(*events[symbol])
        assert book.snapshot(**a_snapshot(json.loads(answer.split(": ", 1)[1])))
        assert book.book(20).at == events[symbol][-1].at
        assert not book.book(20).is_crossed
        assert not book.is_worn(20)


def a_snapshot(answer):
    return {
        "at": NOON,
        "last_id": answer["lastUpdateId"],
        "bids": levels(*answer["bids"]),
        "asks": levels(*answer["asks"]),
    }
