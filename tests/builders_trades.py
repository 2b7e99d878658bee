"""Trades, order-book frames and recorded captures for the tests of live data."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from data.instrument import Side, Symbol
from data.level_book import DepthEvent
from data.trade import Trade

BTC = Symbol("BTC/USDT")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KRAKEN_TRADES = "kraken_trades/kraken_spot_BTCUSDT_trades_20231117_20231119.csv.gz"


def after(seconds):
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


def of_millis(stamp):
    return EPOCH + timedelta(milliseconds=int(stamp))


def a_trade(trade_id, seconds, price="100", quantity="1", *, symbol=BTC):
    return Trade(
        symbol=symbol,
        trade_id=trade_id,
        traded_at=after(seconds),
        side=Side.BUY,
        price=Decimal(price),
        quantity=Decimal(quantity),
    )


def levels(*rows):
    """Changes out of (price, quantity, ...) as text or as numbers whose shortest text is meant."""
    return [(Decimal(str(price)), Decimal(str(quantity))) for price, quantity, *_ in rows]


def kraken_trades(shared_data):
    with gzip.open(shared_data / KRAKEN_TRADES, "rt") as lines:
        next(lines)
        rows = [line.strip().split(",") for line in lines]
    return [
        Trade(
            symbol=BTC,
            trade_id=int(trade_id),
            traded_at=of_millis(stamp),
            side=Side(side),
            price=Decimal(price),
            quantity=Decimal(quantity),
        )
        for stamp, trade_id, side, _, price, quantity in rows
    ]


def binance_frames(path):
    """What came over the socket, in order: the inner message of each frame, and REST answers."""
    with gzip.open(path, "rt") as lines:
        bodies = (line.split(" ", 1)[1] for line in lines if line[:1].isdigit())
        return [body.get("data", body) for body in map(json.loads, bodies)]


def a_depth_event(message):
    return DepthEvent(
        at=of_millis(message["E"]),
        first=message["U"],
        last=message["u"],
        previous=message.get("pu"),
        bids=levels(*message["b"]),
        asks=levels(*message["a"]),
    )
