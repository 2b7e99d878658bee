"""What bars from trades and order books from changes promise, whatever comes."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bar import Bar, Resampler, Timeframe
from data.feeds.source import BookBroken
from data.level_book import BinanceBook, Decimals, DepthEvent, KrakenBook, kraken_checksum
from data.trade_bars import TradeBars
from tests.builders_trades import BTC, NOON, a_trade, after

M1, M5 = Timeframe.M1, Timeframe.M5
HOUR = 3_600
prices = st.integers(1, 10**9).map(lambda n: Decimal(n).scaleb(-5))
quantities = st.integers(1, 10**12).map(lambda n: Decimal(n).scaleb(-8))


@st.composite
def markets(draw, least=0):
    """Trades of an hour, some within the same second, by id in order of time."""
    seconds = sorted(draw(st.lists(st.integers(0, HOUR - 1), min_size=least, max_size=30)))
    return [
        a_trade(n, second, draw(prices), draw(quantities)) for n, second in enumerate(seconds, 1)
    ]


def naive_bars(trades, timeframe, until, close=None):
    """All bars from noon on, each looked up among all trades."""
    bars, opened = [], NOON
    while opened + timeframe.delta <= until:
        closed_at = opened + timeframe.delta
        inside = sorted(
            (t for t in trades if opened <= t.traded_at < closed_at),
            key=lambda t: (t.traded_at, t.trade_id),
        )
        close = inside[-1].price if inside else close
        if close is not None:
            bars.append(
                Bar(
                    symbol=BTC,
                    timeframe=timeframe,
                    closed_at=closed_at,
                    open=inside[0].price if inside else close,
                    high=max((t.price for t in inside), default=close),
                    low=min((t.price for t in inside), default=close),
                    close=close,
                    volume=sum((t.quantity for t in inside), Decimal(0)),
                    turnover=sum((t.price * t.quantity for t in inside), Decimal(0)),
                    trades=len(inside),
                )
            )
        opened = closed_at
    return bars


def built(builder, trades, until):
    closed = [bar for trade in trades for bar in builder.add(trade)]
    return closed + list(builder.close_until(until))


END = after(HOUR)


@given(trades=markets(), timeframe=st.sampled_from([M1, M5, Timeframe.H1]))
@settings(max_examples=60, deadline=None)
def test_bars_are_those_of_the_naive_reference(trades, timeframe):
    builder = TradeBars(BTC, timeframe, since=NOON)
    assert built(builder, trades, END) == naive_bars(trades, timeframe, END)
    assert (builder.late, builder.duplicates) == (0, 0)


@given(trades=markets(), close=prices, whole=st.booleans())
@settings(max_examples=60, deadline=None)
def test_minutes_put_together_are_the_bars_of_five_minutes(trades, close, whole):
    begun = {"since": NOON, "close_before": close} if whole else {}
    minutes = built(TradeBars(BTC, M1, **begun), trades, END)
    resampler = Resampler(M5)
    folded = [longer for bar in minutes for longer in resampler.add(bar)]
    assert folded == built(TradeBars(BTC, M5, **begun), trades, END)


@given(data=st.data(), trades=markets(least=1))
@settings(max_examples=60, deadline=None)
def test_neither_order_within_the_grace_nor_repetition_changes_a_bar(data, trades):
    """No trade comes behind one that is more than the grace younger."""
    grace = timedelta(seconds=data.draw(st.integers(1, 600)))
    delays = data.draw(
        st.lists(st.floats(0, grace.total_seconds()), min_size=len(trades), max_size=len(trades))
    )
    came = [
        trade
        for _, trade in sorted(
            zip(delays, trades, strict=True),
            key=lambda item: item[1].traded_at + timedelta(seconds=item[0]),
        )
    ]
    again = data.draw(st.lists(st.sampled_from(came), max_size=10))
    builder = TradeBars(BTC, M1, since=NOON, grace=grace)
    told = [bar for trade in came for bar in builder.add(trade)]
    told += [bar for trade in again for bar in builder.add(trade)]
    told += builder.close_until(END)
    assert told == naive_bars(trades, M1, END)
    assert (builder.late, builder.duplicates) == (0, len(again))


@given(data=st.data(), trades=markets(least=1), close=st.none() | prices)
@settings(max_examples=80, deadline=None)
def test_every_bar_that_lacks_a_late_trade_is_told(data, trades, close):
    came = data.draw(st.permutations(trades))
    builder = TradeBars(BTC, M1, since=NOON, close_before=close)
    told, spans = {}, []
    for trade in came:
        told |= {bar.closed_at: bar for bar in builder.add(trade)}
        spans.append(builder.take_spoilt())
    told |= {bar.closed_at: bar for bar in builder.close_until(END)}
    spans = [span for span in spans if span is not None]
    assert len(spans) == builder.late
    right = {bar.closed_at: bar for bar in naive_bars(trades, M1, END, close)}
    for closed_at in right.keys() | told.keys():
        if not any(span.since < closed_at <= span.until for span in spans):
            assert told.get(closed_at) == right.get(closed_at)


# Order books


def a_side(least, most):
    levels = st.tuples(
        st.integers(least, most).map(lambda n: Decimal(n) / 10),
        st.integers(0, 3).map(lambda n: Decimal(n) / 10**8),
    )
    return st.lists(levels, max_size=8)


changes = st.lists(st.tuples(a_side(900, 940), a_side(941, 980)), min_size=1, max_size=12)


class NaiveBook:
    """Levels in a dict; cut and sorted by looking at all of them."""

    def __init__(self, depth):
        self.depth = depth
        self.sides = {}, {}

    def change(self, *both):
        for side, rows, falling in zip(self.sides, both, (True, False), strict=True):
            side |= dict(rows)
            kept = sorted((p for p, q in side.items() if q), reverse=falling)[: self.depth]
            rest = {price: side[price] for price in kept}
            side.clear()
            side |= rest
        return tuple(tuple(side.items()) for side in self.sides)


@given(changes=changes, depth=st.sampled_from([3, 10, 1000]))
@settings(max_examples=60, deadline=None)
def test_a_kraken_book_is_what_its_changes_say(changes, depth):
    decimals = Decimals(price=1, quantity=8)
    naive, book = NaiveBook(depth), KrakenBook(BTC, depth=depth, decimals=decimals)
    book.snapshot(NOON, (), (), 0)
    for bids, asks in changes:
        expected = naive.change(bids, asks)
        book.update(NOON, bids, asks, kraken_checksum(*expected, decimals))
        shown = book.book(depth)
        assert (shown.bids, shown.asks) == expected


@st.composite
def depth_streams(draw):
    """A venue's events, what came of them, and where the snapshot was taken."""
    events, last = [], 100
    for bids, asks in draw(changes):
        first = last + draw(st.integers(1, 3))
        then = first + draw(st.integers(0, 5))
        events.append(
            DepthEvent(at=after(then), first=first, last=then, previous=last, bids=bids, asks=asks)
        )
        last = then
    snapshot_at = draw(st.integers(0, len(events)))
    came = draw(
        st.lists(st.sampled_from([*range(len(events))]), unique=True).map(sorted)
        | st.just([*range(len(events))])
    )
    repeats = draw(st.lists(st.sampled_from(came), max_size=3)) if came else []
    return events, snapshot_at, sorted([*came, *repeats])


@given(stream=depth_streams(), waiting=st.integers(0, 15))
@settings(max_examples=120, deadline=None)
def test_a_binance_book_is_the_venues_or_broken(stream, waiting):
    events, snapshot_at, came = stream
    naive, truths = NaiveBook(10**6), {100: ((), ())}
    for event in events:
        truths[event.last] = naive.change(event.bids, event.asks)
    taken = 100 if snapshot_at == 0 else events[snapshot_at - 1].last
    book, last = BinanceBook(BTC), taken
    try:
        for index in came[:waiting]:
            book.update(events[index])
        if not book.snapshot(after(taken), taken, *truths[taken]):
            return
        for index in came[waiting:]:
            book.update(events[index])
    except BookBroken:
        assert not book.is_synced
        missed = set(range(snapshot_at, max(came) + 1)) - set(came)
        assert missed
        with pytest.raises(BookBroken):
            book.book(1)
        return
    last = max([taken, *(events[index].last for index in came)])
    shown = book.book(10**6)
    assert (shown.bids, shown.asks) == truths[last]
