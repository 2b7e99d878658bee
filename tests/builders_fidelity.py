"""Books, trades and recorded lines for the tests of queues and of `sextant fidelity`."""

import json
from datetime import timedelta
from decimal import Decimal

from data.instrument import Side
from data.order_book import Level, OrderBook
from data.trade import Trade
from execution.live_matching import BookTerms
from execution.paper_terms import PaperTerms
from execution.queue_position import QueueTerms
from tests.builders_venue import BTC, NOON

MILLISECOND = timedelta(milliseconds=1)


def after(milliseconds):
    return NOON + milliseconds * MILLISECOND


def levels(text):
    """`"100 5, 99 3"` is two levels: prices and quantities."""
    return tuple(Level(*map(Decimal, level.split())) for level in text.split(",") if level.strip())


def a_book(bids, asks, *, at=0):
    return OrderBook(symbol=BTC, at=after(at), bids=levels(bids), asks=levels(asks))


def a_print(side, price, quantity, *, at=0, trade_id=0):
    """A trade whose taker was on `side`."""
    return Trade(
        symbol=BTC,
        trade_id=trade_id,
        traded_at=after(at),
        side=Side(side),
        price=Decimal(price),
        quantity=Decimal(quantity),
    )


def queue_terms(*, cancelled_ahead="1", settling=0):
    """Times in milliseconds."""
    return QueueTerms(cancelled_ahead=Decimal(cancelled_ahead), settling=settling * MILLISECOND)


def book_terms(*, max_age=60_000, **queue):
    """Times in milliseconds."""
    return BookTerms(queue=queue_terms(**queue), max_age=max_age * MILLISECOND)


def paper_terms(*, latency=100):
    """Of config/paper.toml, but for a latency in milliseconds."""
    return PaperTerms(
        maker_fee=Decimal("0.0025"),
        taker_fee=Decimal("0.0040"),
        spread_bps=Decimal(2),
        slippage_bps=Decimal(1),
        latency=latency * MILLISECOND,
        participation=Decimal("0.10"),
    )


def recorded_line(frame, *, at):
    """As hftbacktest writes it, `at` milliseconds after noon."""
    return f"{int(after(at).timestamp() * 1000)}000000 {json.dumps(frame)}\n"


def depth_line(first, last, bids, asks, *, at):
    """A change of Binance's spot depth."""
    sides = {
        key: [[str(p), str(q)] for p, q in levels(text)] for key, text in (("b", bids), ("a", asks))
    }
    data = {"e": "depthUpdate", "E": 0, "s": "BTCUSDT", "U": first, "u": last, **sides}
    return recorded_line({"stream": "btcusdt@depth@100ms", "data": data}, at=at)


def snapshot_line(last, bids, asks, *, at):
    """The answer of Binance's REST depth."""
    sides = {
        key: [[str(p), str(q)] for p, q in levels(text)]
        for key, text in (("bids", bids), ("asks", asks))
    }
    return recorded_line({"lastUpdateId": last, **sides}, at=at)


def ticker_line(update, bid, ask, *, at):
    """The best prices: `"100 5"` each."""
    ((b, bq),), ((a, aq),) = levels(bid), levels(ask)
    data = {"u": update, "s": "BTCUSDT", "b": str(b), "B": str(bq), "a": str(a), "A": str(aq)}
    return recorded_line({"stream": "btcusdt@bookTicker", "data": data}, at=at)


def trade_line(trade_id, taker, price, quantity, *, at):
    data = {
        "e": "trade",
        "E": 0,
        "s": "BTCUSDT",
        "t": trade_id,
        "p": price,
        "q": quantity,
        "T": 0,
        "m": taker == "sell",
    }
    return recorded_line({"stream": "btcusdt@trade", "data": data}, at=at)
