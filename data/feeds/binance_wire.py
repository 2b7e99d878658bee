"""What Binance's USD-M futures say, in our words: pure, of one frame or one answer each.

Numbers stand as text in nearly all of them; `ccxt_source.exact` keeps the rest as text, too.
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
from data.level_book import Change, DepthEvent
from data.trade import Trade

USUAL_INTERVAL: Final = timedelta(hours=8)  # between payments, of symbols fundingInfo leaves out


def instrument(symbol: Symbol, listing: Json) -> Instrument:
    """An entry of exchangeInfo.

    The real leverage brackets are told to account holders only; the margin that every symbol's
    entry asks for (5 %, so 20) is below the first bracket of nearly all.
    """
    filters = {entry["filterType"]: entry for entry in listing["filters"]}
    size = filters["LOT_SIZE"]
    return Instrument(
        symbol=symbol,
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        lot=Decimal(size["stepSize"]),
        min_quantity=Quantity(Decimal(size["minQty"])),
        min_notional=Notional(Decimal(filters["MIN_NOTIONAL"]["notional"])),
        max_leverage=Decimal(100 // Decimal(listing["requiredMarginPercent"])),
    )


def trade_of(symbol: Symbol, row: Json) -> Trade:
    """An `aggTrade`, of the stream or of REST."""
    return Trade(
        symbol=symbol,
        trade_id=int(row["a"]),
        traded_at=at_milliseconds(row["T"]),
        side=Side.SELL if row["m"] else Side.BUY,  # m: the buyer is the maker
        price=Price(Decimal(row["p"])),
        quantity=Quantity(Decimal(row["q"])),
    )


def depth_event(frame: Json) -> DepthEvent:
    """A `depthUpdate`, dated by the matching engine."""
    return DepthEvent(
        at=at_milliseconds(frame["T"]),
        first=int(frame["U"]),
        last=int(frame["u"]),
        previous=int(frame["pu"]),
        bids=changes(frame["b"]),
        asks=changes(frame["a"]),
    )


def changes(levels: Sequence[Sequence[str]]) -> list[Change]:
    return [(Decimal(price), Decimal(quantity)) for price, quantity in levels]


def bar_of(symbol: Symbol, timeframe: Timeframe, row: Sequence[Any]) -> Bar:
    """A row of klines: opening time, OHLC, volume, closing time, turnover, trades, and more.

    It counts single trades. A bar that is built here counts aggregate ones, so that the two would
    not go together: the count is left out, but for a bar without any.
    """
    opened, open_, high, low, close, volume, _, turnover, trades = row[:9]
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        closed_at=at_milliseconds(opened) + timeframe.delta,
        open=Price(Decimal(open_)),
        high=Price(Decimal(high)),
        low=Price(Decimal(low)),
        close=Price(Decimal(close)),
        volume=Quantity(Decimal(volume)),
        turnover=Notional(Decimal(turnover)),
        trades=None if int(trades) else 0,
    )


def interval_of(market_id: str, answer: Sequence[Json]) -> timedelta:
    """Of one symbol, from fundingInfo, which lists those that differ from the usual."""
    hours = {row["symbol"]: int(row["fundingIntervalHours"]) for row in answer}
    told = hours.get(market_id)
    return USUAL_INTERVAL if told is None else timedelta(hours=told)


def funding_of_frame(symbol: Symbol, frame: Json, interval: timedelta) -> FundingRate:
    """A `markPriceUpdate`: the rate as it stands for the next payment."""
    return FundingRate(
        symbol=symbol,
        at=at_milliseconds(frame["T"]),
        seen_at=at_milliseconds(frame["E"]),
        rate=Decimal(frame["r"]),
        interval=interval,
        mark_price=Price(Decimal(frame["p"])),
    )


def settled_funding(
    symbol: Symbol, rows: Sequence[Mapping[str, Any]], interval: timedelta
) -> list[FundingRate]:
    """The rows of fundingRate, whose times are some milliseconds late; early ones have no mark."""
    paid = [_to_the_minute(at_milliseconds(row["fundingTime"])) for row in rows]
    return [
        FundingRate(
            symbol=symbol,
            at=at,
            seen_at=at,
            rate=Decimal(row["fundingRate"]),
            interval=length,
            mark_price=Price(Decimal(mark)) if (mark := row.get("markPrice")) else None,
        )
        for row, at, length in zip(rows, paid, intervals(paid, interval), strict=True)
    ]


def _to_the_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
