"""Bars built from trades: when they close, what they hold, and what late trades do to them."""

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.instrument import Side, Symbol
from data.trade import Trade
from data.trade_bars import Spoilt, TradeBars
from data.utc import NaiveTime
from tests.builders_trades import (
    BTC,
    NOON,
    a_trade,
    after,
    binance_frames,
    kraken_trades,
    of_millis,
)

M1 = Timeframe.M1
FUTURES = "ws_captures_cryptofeed/BINANCE_FUTURES.ws.1.0.gz"


def told(bars):
    """Each bar as (minute it closes, open, high, low, close, volume, turnover, trades)."""
    return [
        (
            (bar.closed_at - NOON) // M1.delta,
            *map(float, (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover)),
            bar.trades,
        )
        for bar in bars
    ]


def empty(minute, close):
    return (minute, close, close, close, close, 0, 0, 0)


NOON_ON = {"since": NOON}
CASES = [
    pytest.param(
        NOON_ON, [a_trade(1, 0, "10", "1"), a_trade(2, 9, "12", "2"), a_trade(3, 50, "9", "1")],
        60, [(1, 10, 12, 9, 9, 4, 43, 3)], id="one interval, closed by time",
    ),
    pytest.param(
        NOON_ON, [a_trade(1, 5, "10")], 59.999, [], id="not closed before its end",
    ),
    pytest.param(
        NOON_ON, [a_trade(1, 5, "10"), a_trade(2, 60, "11")], 60,
        [(1, 10, 10, 10, 10, 1, 10, 1)], id="closed by a trade at its end, which is not in it",
    ),
    pytest.param(
        NOON_ON, [a_trade(1, 5, "10"), a_trade(2, 185, "11")], 185,
        [(1, 10, 10, 10, 10, 1, 10, 1), empty(2, 10), empty(3, 10)],
        id="empty ones in between have the close before them",
    ),
    pytest.param(
        NOON_ON, [a_trade(1, 5, "10")], 180,
        [(1, 10, 10, 10, 10, 1, 10, 1), empty(2, 10), empty(3, 10)], id="empty ones by time",
    ),
    pytest.param(
        NOON_ON, [a_trade(1, 130, "10")], 180, [(3, 10, 10, 10, 10, 1, 10, 1)],
        id="before the first trade nothing",
    ),
    pytest.param(
        NOON_ON | {"close_before": Decimal(8)}, [a_trade(1, 70, "10")], 120,
        [empty(1, 8), (2, 10, 10, 10, 10, 1, 10, 1)], id="unless the close before it is known",
    ),
    pytest.param(
        NOON_ON, [], 300, [], id="no trade at all",
    ),
    pytest.param(
        {}, [a_trade(1, 0, "10"), a_trade(2, 61, "11")], 180,
        [(2, 11, 11, 11, 11, 1, 11, 1), empty(3, 11)], id="joined in the middle: left out",
    ),
    pytest.param(
        {}, [a_trade(1, 30, "10"), a_trade(2, 20, "9")], 120, [empty(2, 10)],
        id="joined in the middle: its newest price is the close before",
    ),
    pytest.param(
        {"since": after(1)}, [a_trade(1, 30, "10"), a_trade(2, 61, "11")], 120,
        [(2, 11, 11, 11, 11, 1, 11, 1)], id="begun a second late: left out",
    ),
    pytest.param(
        {"since": after(30), "close_before": Decimal(8)},
        [a_trade(1, 20, "7"), a_trade(2, 40, "9")], 120, [empty(2, 9)],
        id="a trade since is newer than the close before, an older one is not",
    ),
    pytest.param(
        NOON_ON,
        [a_trade(3, 30, "30"), a_trade(1, 10, "10"), a_trade(4, 50, "40"), a_trade(2, 20, "20")],
        60, [(1, 10, 40, 10, 40, 4, 100, 4)], id="out of order within the interval",
    ),
    pytest.param(
        NOON_ON, [a_trade(2, 10, "20"), a_trade(3, 10, "30"), a_trade(1, 10, "10")], 60,
        [(1, 10, 30, 10, 30, 3, 60, 3)], id="at one time the ids tell the order",
    ),
    pytest.param(
        NOON_ON | {"grace": timedelta(seconds=2)},
        [a_trade(1, 58, "10"), a_trade(3, 61, "12"), a_trade(2, 59, "11"), a_trade(4, 62, "13")],
        62, [(1, 10, 11, 10, 11, 2, 21, 2)], id="grace: the next interval closes it later",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("begun", "trades", "passed", "expected"), CASES)
def test_bars_are_closed_by_time_or_by_the_next_interval(begun, trades, passed, expected):
    bars = TradeBars(BTC, M1, **begun)
    closed = [bar for trade in trades for bar in bars.add(trade)]
    closed += bars.close_until(after(passed))
    assert told(closed) == expected
    assert (bars.late, bars.duplicates, bars.take_spoilt()) == (0, 0, None)
    assert bars.close_until(after(passed)) == ()


def test_a_repeated_trade_is_left_out_and_counted_even_after_its_interval():
    bars = TradeBars(BTC, M1, since=NOON)
    first = a_trade(1, 5, "10")
    closed = [bar for trade in (first, first, a_trade(2, 61), first) for bar in bars.add(trade)]
    assert told(closed) == [(1, 10, 10, 10, 10, 1, 10, 1)]
    assert (bars.duplicates, bars.late, bars.take_spoilt()) == (2, 0, None)


@pytest.mark.parametrize(
    ("late", "since", "next_close"),
    [
        pytest.param([a_trade(9, 4, "7")], 0, 10, id="older than the last trade"),
        pytest.param([a_trade(9, 50, "7")], 0, 7, id="newer: empty bars have its price"),
        pytest.param([a_trade(9, 70, "7")], 60, 7, id="of an interval told as empty"),
        pytest.param([a_trade(9, 70, "7"), a_trade(8, 65, "6")], 60, 7, id="two of one"),
        pytest.param([a_trade(9, 65, "7"), a_trade(8, 4, "6")], 0, 7, id="of two: one span"),
    ],
)
def test_late_trades_tell_which_bars_they_spoil(late, since, next_close):
    bars = TradeBars(BTC, M1, since=NOON)
    bars.add(a_trade(1, 5, "10"))
    bars.close_until(after(180))
    assert [bar for trade in late for bar in bars.add(trade)] == []
    assert bars.late == len(late)
    assert bars.take_spoilt() == Spoilt(since=after(since), until=after(180))
    assert bars.take_spoilt() is None
    assert told(bars.close_until(after(240))) == [empty(4, next_close)]


def test_ids_are_remembered_for_long_but_not_for_ever():
    bars = TradeBars(BTC, M1, since=NOON)
    trades = [a_trade(n, n / 100) for n in range(60_000)]
    for trade in trades:
        bars.add(trade)
    bars.add(trades[-20_000])
    assert (bars.duplicates, bars.late) == (1, 0)
    bars.add(trades[0])
    assert (bars.duplicates, bars.late) == (1, 1)


def test_only_its_own_symbol_and_utc_are_taken():
    bars = TradeBars(BTC, M1, since=NOON)
    with pytest.raises(ValueError, match="XRP/USDT for the bars of BTC/USDT"):
        bars.add(a_trade(1, 0, symbol=Symbol("XRP/USDT")))
    with pytest.raises(NaiveTime):
        bars.close_until(after(0).replace(tzinfo=None))


def test_turnover_is_exact_to_the_last_digit():
    bars = TradeBars(BTC, M1, since=NOON)
    bars.add(a_trade(1, 1, "123456789.123456789", "0.000000000000001"))
    bars.add(a_trade(2, 2, "987654321.987654321", "1000000000000"))
    (bar,) = bars.close_until(after(60))
    assert bar.turnover == Decimal("987654321987654321000.000000123456789123456789")


@pytest.mark.parametrize(
    "timeframes", [pytest.param(pair, id=f"{pair[0]} {pair[1]}") for pair in
                   itertools.pairwise((M1, Timeframe.M5, Timeframe.H1, Timeframe.D1))],
)  # fmt: skip
def test_recorded_trades_are_all_in_the_bars_of_any_size(timeframes, shared_data):
    trades = kraken_trades(shared_data)
    since = trades[0].traded_at.replace(hour=0, minute=0, second=0, microsecond=0)
    sums = []
    for timeframe in timeframes:
        bars = TradeBars(BTC, timeframe, since=since)
        closed = [bar for trade in trades for bar in bars.add(trade)]
        closed += bars.close_until(Timeframe.D1.close_after(trades[-1].traded_at))
        sums.append([sum(getattr(bar, name) for bar in closed) for name in
                     ("trades", "volume", "turnover")])  # fmt: skip
        assert (bars.late, bars.duplicates) == (0, 0)
    assert sums[0] == sums[1]
    assert sums[0][0] == len(trades)


def expanded(aggregate):
    """The trades that a Binance `aggTrade` stands for: all at its price, together its quantity."""
    ids = range(aggregate["f"], aggregate["l"] + 1)
    quantity, one = Decimal(aggregate["q"]), Decimal(1)  # the lot of all recorded symbols
    parts = [one] * (len(ids) - 1) + [quantity - (len(ids) - 1) * one]
    return [
        Trade(
            symbol=BTC, trade_id=trade_id, traded_at=of_millis(aggregate["T"]), side=Side.BUY,
            price=Decimal(aggregate["p"]), quantity=part,
        )
        for trade_id, part in zip(ids, parts, strict=True)
    ]  # fmt: skip


def test_bars_equal_the_venues_own_wherever_the_capture_has_all_their_trades(shared_data):
    """Binance USD-M sends each minute bar as it grows, with the ids of its first and last trade."""
    frames = binance_frames(shared_data / FUTURES)
    trades = {}
    for frame in frames:
        if frame["e"] == "aggTrade":
            trades.setdefault(frame["s"], []).append(frame)
    compared = 0
    for kline in (frame["k"] for frame in frames if frame["e"] == "kline"):
        sent = (a for a in trades[kline["s"]] if kline["f"] <= a["f"] and a["l"] <= kline["L"])
        inside = [trade for aggregate in sent for trade in expanded(aggregate)]
        if [t.trade_id for t in inside] != list(range(kline["f"], kline["L"] + 1)):
            continue  # it began before the capture, or its last trades were not sent yet
        bars = TradeBars(BTC, M1, since=of_millis(kline["t"]))
        for trade in inside:
            assert bars.add(trade) == ()
        (bar,) = bars.close_until(of_millis(kline["t"]) + M1.delta)
        ours = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover, bar.trades)
        assert ours == tuple(Decimal(kline[field]) for field in "ohlcvqn")
        compared += 1
    assert compared == 15
