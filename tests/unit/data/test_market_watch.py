"""What blocks decisions on a symbol, what cures it, and what real markets show."""

import heapq
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from data.bar import Timeframe
from data.defect import BookLimits, DefectKind, WatchLimits
from data.feed import FeedInterrupted
from data.instrument import Symbol
from data.market_watch import MarketWatch
from data.order_book import Level, OrderBook
from data.quality import QualityLimits
from tests.builders_market import BTC, DIRTY, a_bar, at, recorded_bars

XRP, CROSS = Symbol("XRP/USDT"), Symbol("XRP/BTC")
M1 = Timeframe.M1
QUALITY = QualityLimits(max_jump_per_minute="0.1", dead_after=5, max_delay=timedelta(seconds=60))
BOOKS = BookLimits(max_age=timedelta(seconds=30), min_depth={"USDT": "1000"}, good_books=2)
LIMITS = WatchLimits(
    good_bars=3,
    max_volume_ratio=100,
    max_disagreement="0.01",
    max_skew=timedelta(seconds=2),
    max_reconnects_per_hour=2,
)
START = at("12:00")


def minute(number, seconds=0):
    return START + timedelta(minutes=number, seconds=seconds)


def a_watch(*symbols, **limits):
    return MarketWatch(
        symbols or (BTC,),
        M1,
        quality=QUALITY,
        limits=LIMITS.model_copy(update=limits),
        started_at=START,
    )


def a_minute(number, close="100", *, volume="1", symbol=BTC):
    return a_bar(minute(number), close, volume=volume, timeframe=M1, symbol=symbol)


def a_book(seconds, bid="100", ask="101", quantity="100"):
    return OrderBook(
        symbol=BTC,
        at=minute(0, seconds),
        bids=(Level(Decimal(bid), Decimal(quantity)),),
        asks=(Level(Decimal(ask), Decimal(quantity)),),
    )


def kinds(watch, now, symbol=BTC):
    found = watch.defects(symbol, now)
    assert watch.blocked(symbol, now) == any(d.kind is not DefectKind.RECONNECTS for d in found)
    return [defect.kind.value for defect in found]


def after_each(watch, bars, late=0):
    """What is wrong right after each bar, which comes `late` seconds after its close."""
    told = []
    for bar in bars:
        now = bar.closed_at + timedelta(seconds=late)
        watch.bar(bar, now=now)
        told.append(kinds(watch, now, bar.symbol))
    return told


JUMP, GAP, DEAD = ["jump"], ["interrupted"], ["dead"]


@pytest.mark.parametrize(
    ("bars", "told"),
    [
        pytest.param([(n, "100") for n in range(1, 6)], [[]] * 5, id="a good market"),
        pytest.param(
            [(1, "100"), (2, "120"), (3, "120"), (4, "120"), (5, "120"), (6, "120")],
            [[], JUMP, JUMP, JUMP, [], []], id="a jump, cured by the third good bar",
        ),
        pytest.param(
            [(1, "100"), (2, "120"), (3, "120"), (4, "100"), (5, "100"), (6, "100"), (7, "100")],
            [[], JUMP, JUMP, JUMP, JUMP, JUMP, []], id="another jump, and it begins anew",
        ),
        pytest.param(
            [(1, "100"), (2, "120"), (3, "120"), (3, "120"), (2, "120"), (4, "120"), (5, "120")],
            [[], JUMP, JUMP, JUMP, JUMP, JUMP, []], id="repeated bars cure nothing",
        ),
        pytest.param(
            [(1, "100"), (4, "100"), (5, "100"), (6, "100"), (7, "100")],
            [[], GAP, GAP, GAP, []], id="bars missing",
        ),
        pytest.param(
            [(1, "100"), (4, "180"), (5, "180"), (6, "180"), (7, "180")],
            [[], GAP + JUMP, GAP + JUMP, GAP + JUMP, []], id="two things at once",
        ),
        pytest.param(
            [(n, "100", "0") for n in range(1, 5)] + [(5, "100")], [[]] * 5, id="a quiet while",
        ),
        pytest.param(
            [(n, "100", "0") for n in range(1, 8)] + [(8, "100"), (9, "100"), (10, "100")],
            [[]] * 4 + [DEAD] * 5 + [[]], id="dead, until it has traded for three bars",
        ),
        pytest.param(
            [(n, "100", "0") for n in range(1, 6)]
            + [(n, "100", "0" if n % 3 else "1") for n in range(6, 15)],
            [[]] * 4 + [DEAD] * 10, id="a trade now and then does not revive it",
        ),
    ],
)  # fmt: skip
def test_bars_tell_defects_and_cure_them(bars, told):
    minutes = [a_minute(bar[0], bar[1], volume=(*bar, "1")[2]) for bar in bars]
    assert after_each(a_watch(), minutes) == told


@pytest.mark.req("S1-22")
def test_a_delisted_symbol_that_prints_flat_bars_ends_in_no_trading_and_stays_so():
    watch = a_watch()
    alive = [a_minute(n, str(100 + n % 3)) for n in range(1, 11)]
    flat = [a_minute(n, "101", volume="0") for n in range(11, 2_000)]
    assert after_each(watch, alive) == [[]] * 10
    assert after_each(watch, flat) == [[]] * 4 + [DEAD] * 1_985
    (dead,) = watch.defects(BTC, flat[-1].closed_at)
    assert (dead.since, dead.observed, dead.limit) == (minute(15), 1_989.0, 5.0)
    assert kinds(watch, minute(5_000)) == ["dead", "stale_bars"]


@pytest.mark.parametrize(
    ("age", "told"),
    [
        pytest.param(120, [], id="at 120 s"),
        pytest.param(121, ["stale_bars"], id="past 120 s"),
    ],
)
def test_bars_are_stale_by_time_alone_and_fresh_with_one_on_time(age, told):
    watch = a_watch()
    assert kinds(watch, minute(0, age)) == told  # before the first
    watch.bar(a_minute(1), now=minute(1))
    assert kinds(watch, minute(1, age)) == told
    watch.bar(a_minute(2), now=minute(2, age))
    assert kinds(watch, minute(2, age)) == told
    watch.bar(a_minute(3), now=minute(3, 5))
    assert kinds(watch, minute(3, 5)) == []


def test_a_stale_stream_says_since_when_and_how_old_it_is():
    watch = a_watch()
    watch.bar(a_minute(1), now=minute(1))
    (stale,) = watch.defects(BTC, minute(4))
    assert (stale.since, stale.observed, stale.limit) == (minute(3), 180.0, 120.0)


def test_bars_that_come_late_do_not_cure():
    watch = a_watch()
    watch.interrupted(a_gap(1, None), now=minute(1))
    assert (
        after_each(watch, [a_minute(n) for n in range(1, 6)], late=121)
        == [["interrupted", "stale_bars"]] * 5
    )
    assert after_each(watch, [a_minute(n) for n in range(6, 9)]) == [GAP, GAP, []]


def test_an_unusual_volume_is_told_once_enough_bars_are_known():
    watch = a_watch()
    early = [a_minute(n, volume="1" if n != 30 else "1000") for n in range(1, 61)]
    assert after_each(watch, early) == [[]] * 60
    calm = [a_minute(n) for n in range(61, 400)]
    assert after_each(watch, calm) == [[]] * 339
    loud = a_minute(400, volume="150")
    assert after_each(watch, [loud]) == [["volume"]]
    assert after_each(watch, [a_minute(n) for n in (401, 402, 403)]) == [["volume"]] * 2 + [[]]


# The feed


def a_gap(since, until, symbol=BTC):
    return FeedInterrupted(
        symbol=symbol,
        timeframe=M1,
        since=minute(since),
        until=None if until is None else minute(until),
        reason="the socket was closed",
    )


def test_an_interruption_blocks_until_good_bars_have_come():
    watch = a_watch()
    assert after_each(watch, [a_minute(1), a_minute(2)]) == [[], []]
    watch.interrupted(a_gap(2, None), now=minute(2, 30))
    assert kinds(watch, minute(2, 30)) == GAP
    assert after_each(watch, [a_minute(3), a_minute(4)]) == [GAP, GAP]
    watch.interrupted(a_gap(2, 5), now=minute(5))
    (gap,) = watch.defects(BTC, minute(5))
    assert (gap.since, gap.observed) == (minute(2), 180.0)
    assert after_each(watch, [a_minute(n) for n in (5, 6, 7)]) == [GAP, GAP, []]


def test_many_interruptions_in_an_hour_are_an_alert_and_no_block():
    watch = a_watch()
    for n in (1, 10, 20):
        watch.interrupted(a_gap(n, None), now=minute(n))
        watch.interrupted(a_gap(n, n + 1), now=minute(n + 1))
    for n in range(2, 25):
        watch.bar(a_minute(n), now=minute(n))
    assert kinds(watch, minute(24)) == ["reconnects"]
    assert not watch.blocked(BTC, minute(24))
    (alert,) = watch.defects(BTC, minute(24))
    assert (alert.since, alert.observed, alert.limit) == (minute(20), 3.0, 2.0)
    assert "reconnects" not in kinds(watch, minute(61))


def test_missing_trades_block_until_they_are_made_good():
    watch = a_watch()
    watch.bar(a_minute(1), now=minute(1))
    watch.missing_trades(BTC, 3, now=minute(1))
    watch.missing_trades(BTC, 2, now=minute(1, 30))
    (defect,) = watch.defects(BTC, minute(1, 30))
    assert (defect.kind, defect.since) == (DefectKind.MISSING_TRADES, minute(1))
    assert defect.observed == 2.0
    assert after_each(watch, [a_minute(n) for n in range(2, 9)]) == [["missing_trades"]] * 7
    watch.missing_trades(BTC, 0, now=minute(8))
    assert kinds(watch, minute(8)) == []


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        pytest.param([2.0], [False], id="at the limit"),
        pytest.param([2.1], [True], id="ahead"),
        pytest.param([-2.1], [True], id="behind"),
        pytest.param([2.1, 1.9, 1.1], [True, True, True], id="less, but no cure"),
        pytest.param([2.1, 1.0, 1.9], [True, False, False], id="cured at half the limit"),
        pytest.param([2.1, -2.5, -0.5], [True, True, False], id="from ahead to behind"),
    ],
)
def test_a_skewed_clock_blocks_every_symbol(measured, told):
    watch = a_watch(BTC, XRP)
    for seconds, is_skewed in zip(measured, told, strict=True):
        watch.clock_skew(timedelta(seconds=seconds), now=minute(1))
        for symbol in (BTC, XRP):
            assert kinds(watch, minute(1), symbol) == ["clock_skew"] * is_skewed


# Books


CROSSED = {"bid": "101", "ask": "100"}
THIN = {"quantity": "9"}  # worth 900


@pytest.mark.parametrize(
    ("books", "told"),
    [
        pytest.param([{}, {}], [[], []], id="good ones"),
        pytest.param([CROSSED, {}, {}], [["crossed_book"], ["crossed_book"], []], id="crossed"),
        pytest.param([{"bid": "101"}, {}, {}], [["crossed_book"], ["crossed_book"], []],
                     id="locked is crossed"),
        pytest.param([THIN, {}, {}], [["thin_book"], ["thin_book"], []], id="thin"),
        pytest.param([{"quantity": "10"}], [[]], id="worth the least allowed"),
        pytest.param([CROSSED, {}, THIN, {}, {}],
                     [["crossed_book"]] * 2 + [["crossed_book", "thin_book"]] * 2 + [[]],
                     id="another fault, and it begins anew"),
    ],
)  # fmt: skip
def test_books_tell_defects_and_cure_them(books, told):
    watch = a_watch(book=BOOKS)
    found = []
    for seconds, book in enumerate(books):
        watch.book(a_book(seconds, **book))
        found.append(kinds(watch, minute(0, seconds)))
    assert found == told


def test_an_empty_side_is_thin():
    watch = a_watch(book=BOOKS)
    watch.book(OrderBook(symbol=BTC, at=START, bids=a_book(0).bids, asks=()))
    (thin,) = watch.defects(BTC, START)
    assert (thin.kind, thin.observed, thin.limit) == (DefectKind.THIN_BOOK, 0.0, 1000.0)


def test_a_broken_book_blocks_until_good_ones_have_come():
    watch = a_watch(book=BOOKS)
    watch.book(a_book(0))
    watch.book_broken(BTC, now=minute(0, 1))
    watch.book_broken(BTC, now=minute(0, 2))
    (broken,) = watch.defects(BTC, minute(0, 2))
    assert (broken.kind, broken.since) == (DefectKind.BROKEN_BOOK, minute(0, 1))
    assert broken.observed == 2.0
    watch.book(a_book(3))
    assert kinds(watch, minute(0, 3)) == ["broken_book"]
    watch.book(a_book(4))
    assert kinds(watch, minute(0, 4)) == []


def test_a_book_is_stale_by_time_alone():
    watch = a_watch(book=BOOKS)
    assert kinds(watch, minute(0, 31)) == ["stale_book"]  # none has come
    watch.book(a_book(31))
    assert kinds(watch, minute(1, 1)) == []
    (stale,) = watch.defects(BTC, minute(1, 11))
    assert (stale.since, stale.observed, stale.limit) == (minute(1, 1), 40.0, 30.0)


def test_good_bars_do_not_cure_a_book_nor_good_books_bars():
    watch = a_watch(book=BOOKS)
    watch.book_broken(BTC, now=START)
    watch.interrupted(a_gap(0, None), now=START)
    assert after_each(watch, [a_minute(n) for n in (1, 2, 3)])[-1] == ["broken_book", "stale_book"]
    watch.interrupted(a_gap(3, None), now=minute(3))
    for seconds in (180, 181):
        watch.book(a_book(seconds))
    assert kinds(watch, minute(3, 1)) == GAP


# Three pairs


def a_triangle(number, cross, *, volume="1"):
    return [
        a_minute(number, "50000", symbol=BTC),
        a_minute(number, "0.5", symbol=XRP),
        a_minute(number, cross, symbol=CROSS, volume=volume),
    ]


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        pytest.param(["0.00001009"] * 2, [False] * 2, id="almost one percent"),
        pytest.param(["0.00001011", *["0.00001"] * 3], [True, True, True, False], id="more"),
        pytest.param(["0.00000989", *["0.00001"] * 3], [True, True, True, False], id="less"),
        pytest.param(
            ["0.0000102", "0.00001", "0.00001", "0.0000102", "0.00001", "0.00001", "0.00001"],
            [True] * 6 + [False], id="again, and it begins anew",
        ),
    ],
)  # fmt: skip
def test_pairs_that_disagree_block_all_three_until_they_have_agreed_for_a_while(minutes, told):
    watch = a_watch(CROSS, BTC, XRP)
    for number, (cross, is_broken) in enumerate(zip(minutes, told, strict=True), start=1):
        after_each(watch, a_triangle(number, cross))
        for symbol in (BTC, XRP, CROSS):
            assert kinds(watch, minute(number), symbol) == ["disagreement"] * is_broken


def test_pairs_are_compared_only_at_one_close_and_where_all_have_traded():
    watch = a_watch(BTC, XRP, CROSS)
    after_each(watch, a_triangle(1, "0.00001"))
    after_each(watch, a_triangle(2, "0.0000102", volume="0"))
    assert kinds(watch, minute(2), CROSS) == []
    assert after_each(watch, a_triangle(3, "0.0000102")[::2]) == [[], []]
    after_each(watch, a_triangle(3, "0.0000102")[1:2])
    (defect,) = watch.defects(CROSS, minute(3))
    assert (defect.since, defect.limit) == (minute(3), 0.01)
    assert defect.observed == pytest.approx(0.02)


TRIANGLE_FILES = {
    BTC: "BTCUSDT_1m_20210420",
    XRP: "XRPUSDT_1m_20210420",
    CROSS: "XRPBTC_1m_20210410",
}


def test_the_crash_of_may_2021_is_flagged_between_the_pairs(shared_data):
    """Of 42,914 common minutes twelve are past one percent; the largest opened at 12:51."""
    streams = [
        recorded_bars(shared_data / f"ohlcv_1m/binance_spot_{name}_20210520.csv.gz", symbol)
        for symbol, name in TRIANGLE_FILES.items()
    ]
    watch = MarketWatch(
        TRIANGLE_FILES, M1, quality=QUALITY, limits=LIMITS, started_at=streams[2][0].closed_at
    )
    begun, largest = {}, 0.0
    for bar in heapq.merge(*streams, key=lambda bar: bar.closed_at):
        watch.bar(bar, now=bar.closed_at)
        for defect in watch.defects(CROSS, bar.closed_at):
            begun.setdefault(defect.kind, set()).add(f"{defect.since:%m-%d %H:%M}")
            if defect.kind is DefectKind.DISAGREEMENT:
                largest = max(largest, defect.observed)
    assert begun == {
        DefectKind.DISAGREEMENT: {"05-13 00:04", "05-19 12:52", "05-19 13:10", "05-19 13:22"},
        DefectKind.INTERRUPTED: {"04-20 04:31", "04-25 08:46"},
        DefectKind.STALE_BARS: {"04-25 04:03"},
    }
    assert largest == pytest.approx(0.0478, abs=1e-4)


@pytest.mark.req("S1-22")
def test_a_dirty_download_blocks_only_around_its_holes(shared_data):
    bars = recorded_bars(shared_data / DIRTY, CROSS)
    quality = QUALITY.model_copy(update={"dead_after": 20})
    watch = MarketWatch([CROSS], M1, quality=quality, limits=LIMITS, started_at=bars[0].closed_at)
    repeated = blocked = 0
    missing = {}
    for bar in bars:
        if any(flaw.kind.value == "duplicate" for flaw in watch.bar(bar, now=bar.closed_at)):
            repeated += 1
            continue
        blocked += watch.blocked(CROSS, bar.closed_at)
        for defect in watch.defects(CROSS, bar.closed_at):
            if defect.kind is DefectKind.INTERRUPTED:
                missing[defect.since] = defect.observed / 60
    assert (repeated, sum(missing.values()), len(missing)) == (263, 263, 3)
    assert blocked == 3 * LIMITS.good_bars


# Settings


def test_depth_is_needed_in_every_quote_currency():
    with pytest.raises(ValueError, match="min_depth has no number for BTC"):
        a_watch(BTC, CROSS, book=BOOKS)


@pytest.mark.parametrize("call", [
    pytest.param(lambda watch: watch.bar(a_minute(1, symbol=XRP), now=START), id="bar"),
    pytest.param(lambda watch: watch.blocked(XRP, START), id="question"),
    pytest.param(lambda watch: watch.interrupted(a_gap(0, 1, XRP), now=START), id="gap"),
])  # fmt: skip
def test_what_is_not_watched_is_refused(call):
    with pytest.raises(ValueError, match="XRP/USDT is not watched"):
        call(a_watch(BTC))


def test_a_bar_of_another_timeframe_and_an_unexpected_book_are_refused():
    with pytest.raises(ValueError, match="5m for the inspector of BTC/USDT 1m"):
        a_watch().bar(a_bar(minute(5)), now=minute(5))
    with pytest.raises(ValueError, match="no limits for books"):
        a_watch().book(a_book(0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"good_bars": 0},
        {"max_volume_ratio": 1},
        {"max_disagreement": "0"},
        {"max_skew": 0},
        {"max_reconnects_per_hour": -1},
        {"max_reconects_per_hour": 5},
        {"book": {"max_age": 30, "min_depth": {"USDT": "-1"}, "good_books": 2}},
        {"book": {"max_age": 30, "good_books": 2}},
    ],
    ids=str,
)
def test_limits_that_make_no_sense_or_are_missing_are_refused(wrong):
    sound = {
        "good_bars": 3,
        "max_volume_ratio": 100,
        "max_disagreement": "0.01",
        "max_skew": 2,
        "max_reconnects_per_hour": 5,
    }
    assert WatchLimits(**sound).max_skew == timedelta(seconds=2)
    with pytest.raises(ValidationError):
        WatchLimits(**(sound | wrong))
    for name in sound:
        with pytest.raises(ValidationError):
            WatchLimits(**{key: value for key, value in sound.items() if key != name})
