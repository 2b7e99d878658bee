"""What Hyperliquid says, in our words: pure, of one frame or one answer each.

Numbers stand as text; coins go by their own names (BTC, kPEPE), which the adapter knows.
Whoever calls turns the errors of a surprising shape into a fault of the source.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from data.bar import Bar, Timeframe
from data.feeds.ccxt_source import Json, at_milliseconds
from data.feeds.funding_times import intervals
from data.funding import FundingRate
from data.instrument import Instrument, Notional, Price, Quantity, Side, Symbol
from data.order_book import Level, OrderBook
from data.trade import Trade

HOUR: Final = timedelta(hours=1)  # between two payments
_FIGURES: Final = 5  # significant figures of a price
_DECIMALS: Final = 6  # of a price and a size together
_LEAST_NOTIONAL: Final = Notional(Decimal(10))
_SIDES: Final = {"B": Side.BUY, "A": Side.SELL}  # the taker's


def instrument(symbol: Symbol, listing: Json) -> Instrument:
    """A perpetual of the universe, with its context.

    The tick grows with the price; this is the one at today's mark price.

    Source:
        Hyperliquid, API, "Error responses" for the least notional.
    """
    mark, decimals = Decimal(listing["markPx"]), int(listing["szDecimals"])
    lot = Decimal(1).scaleb(-decimals)
    return Instrument(
        symbol=symbol,
        tick=tick_at(mark, decimals),
        lot=lot,
        min_quantity=Quantity(lot),
        min_notional=_LEAST_NOTIONAL,
        max_leverage=Decimal(listing["maxLeverage"]),
    )


def tick_at(price: Decimal, size_decimals: int) -> Decimal:
    """The step of prices about `price`: five significant figures, and `6 - szDecimals` decimals.

    Whole numbers are always allowed.

    Source:
        Hyperliquid, API, "Tick and lot size".
    """
    by_figures = price.adjusted() + 1 - _FIGURES  # power of ten of the fifth figure
    return Decimal(1).scaleb(min(max(by_figures, size_decimals - _DECIMALS), 0))


def trade_of(symbol: Symbol, row: Json) -> Trade:
    """A trade, of the stream or of recentTrades; `users` are the buyer and the seller."""
    buyer, seller = row["users"]
    return Trade(
        symbol=symbol,
        trade_id=int(row["tid"]),
        traded_at=at_milliseconds(row["time"]),
        side=_SIDES[row["side"]],
        price=Price(Decimal(row["px"])),
        quantity=Quantity(Decimal(row["sz"])),
        buyer=buyer,
        seller=seller,
    )


def oldest_first(trades: Sequence[Trade]) -> list[Trade]:
    """By time, and of the same time in the order they came, seen from the oldest."""
    if trades and trades[0].traded_at > trades[-1].traded_at:
        trades = trades[::-1]
    return sorted(trades, key=lambda trade: trade.traded_at)


def book_of(symbol: Symbol, snapshot: Json, depth: int) -> OrderBook:
    """An `l2Book`: always the whole book, of 20 levels a side."""
    bids, asks = (tuple(_level(row) for row in side[:depth]) for side in snapshot["levels"])
    return OrderBook(symbol=symbol, at=at_milliseconds(snapshot["time"]), bids=bids, asks=asks)


def bar_of(symbol: Symbol, timeframe: Timeframe, row: Json) -> Bar:
    """A candle; its turnover is not told, and is known only where nothing was traded."""
    trades = int(row["n"])
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=at_milliseconds(row["t"]) + timeframe.delta,
        open=Price(Decimal(row["o"])),
        high=Price(Decimal(row["h"])),
        low=Price(Decimal(row["l"])),
        close=Price(Decimal(row["c"])),
        volume=Quantity(Decimal(row["v"])),
        turnover=None if trades else Notional(Decimal(0)),
        trades=trades,
    )


def funding_of_context(symbol: Symbol, context: Json, now: datetime) -> FundingRate:
    """An `activeAssetCtx`, which has no time: the rate that stands `now` for the next full hour."""
    return FundingRate(
        symbol=symbol,
        at=to_the_hour(now) + HOUR,
        seen_at=now,
        rate=Decimal(context["funding"]),
        interval=HOUR,
        mark_price=Price(Decimal(context["markPx"])),
    )


def settled_funding(symbol: Symbol, rows: Sequence[Mapping[str, Any]]) -> list[FundingRate]:
    """The rows of fundingHistory, whose times are some milliseconds late.

    Payments came each eight hours until May 2023, each hour since.
    """
    paid = [to_the_hour(at_milliseconds(row["time"])) for row in rows]
    return [
        FundingRate(
            symbol=symbol,
            at=at,
            seen_at=at,
            rate=Decimal(row["fundingRate"]),
            interval=interval,
        )
        for row, at, interval in zip(rows, paid, intervals(paid, HOUR), strict=True)
    ]


def to_the_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _level(row: Json) -> Level:
    return Level(Price(Decimal(row["px"])), Quantity(Decimal(row["sz"])))
