"""What the exchange knows, in the words of Kraken's REST: pure functions."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from data.instrument import Price, Symbol
from data.order_book import Level
from execution.fill import Liquidity
from sextant.rehearsal.booked import Booked, OwnTrade, Status
from sextant.rehearsal.listing import Listing, asset
from sextant.rehearsal.market import Candle, PairMarket, Print
from sextant.rehearsal.order_form import Close, OrderType, Ticket, Trail
from sextant.rehearsal.wallet import Entry, Lot, Standing

Json = dict[str, Any]
_LEAST_DIGITS: Final = 5  # behind the point, where an amount of money is told
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPOKEN: Final = {
    OrderType.STOP_LOSS: "stop loss",
    OrderType.STOP_LOSS_LIMIT: "stop loss",
    OrderType.TAKE_PROFIT: "take profit",
    OrderType.TAKE_PROFIT_LIMIT: "take profit",
    OrderType.TRAILING_STOP: "trailing stop",
    OrderType.TRAILING_STOP_LIMIT: "trailing stop",
}


def money(value: Decimal) -> str:
    """All digits, and at least five of them behind the point."""
    exponent = value.normalize().as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) else 0
    return f"{value:.{max(_LEAST_DIGITS, digits)}f}"


def seconds(at: datetime | None) -> float:
    """Since 1970; 0 where there is none."""
    return 0 if at is None else (at - _EPOCH).total_seconds()


def order_text(ticket: Ticket) -> str:
    """`buy 1.00000000 XBTUSDT @ stop loss 90.0 -> limit 89.0 with 3:1 leverage`."""
    listing = ticket.listing
    text = f"{ticket.side} {listing.quantity(ticket.quantity)} {listing.altname} @ "
    if ticket.trail is not None:
        text += _trail_text(ticket.kind, ticket.trail)
    else:
        text += _price_text(listing, ticket.kind, ticket.trigger, ticket.limit)
    return text if ticket.leverage is None else f"{text} with {ticket.leverage}:1 leverage"


def close_text(listing: Listing, close: Close | None) -> str:
    if close is None:
        return ""
    return "close position @ " + _price_text(listing, close.kind, close.trigger, close.limit)


def order_row(order: Booked, *, trades: bool) -> Json:
    """An order in OpenOrders, ClosedOrders and QueryOrders."""
    ticket = order.ticket
    listing = ticket.listing
    row: Json = {
        "refid": order.parent,
        "userref": ticket.userref,
        "status": order.status,
        "opentm": seconds(order.opened_at),
        "starttm": 0,
        "expiretm": seconds(ticket.expires_at),
        "descr": _description(ticket),
        "vol": listing.quantity(ticket.quantity),
        "vol_exec": listing.quantity(order.filled),
        "cost": money(order.cost),
        "fee": money(order.fee),
        "price": listing.price(order.average) if order.filled else "0.00000",
        "stopprice": listing.price(ticket.trigger) if ticket.trigger else "0.00000",
        "limitprice": listing.price(ticket.limit)
        if ticket.kind.waits and ticket.limit
        else "0.00000",
        "misc": order.misc,
        "oflags": "fciq,post" if ticket.post_only else "fciq",
        "reduce_only": ticket.reduce_only,
        "margin": ticket.leverage is not None,
        "time_in_force": ticket.time_in_force,
    }
    if ticket.cl_ord_id is not None:
        row["cl_ord_id"] = ticket.cl_ord_id
    if ticket.kind.waits:
        row["trigger"] = "last"
    if order.status is not Status.OPEN:
        row |= {"closetm": seconds(order.closed_at), "reason": order.reason or None}
    return row | ({"trades": list(order.trades)} if trades else {})


def trade_row(trade: OwnTrade, order: Booked) -> Json:
    """A fill in TradesHistory and QueryTrades."""
    fill, listing = trade.fill, order.ticket.listing
    cost = fill.quantity * fill.price
    return {
        "ordertxid": trade.order,
        "postxid": trade.txid,
        "pair": listing.pair,
        "time": seconds(fill.filled_at),
        "type": fill.side,
        "ordertype": order.ticket.kind,
        "price": listing.price(fill.price),
        "cost": money(cost),
        "fee": money(fill.fee),
        "vol": listing.quantity(fill.quantity),
        "margin": money(cost / trade.leverage if trade.leverage else Decimal(0)),
        "leverage": str(trade.leverage or 0),
        "misc": order.misc,
        "trade_id": trade.number,
        "maker": fill.liquidity is Liquidity.MAKER,
        **({"cl_ord_id": order.ticket.cl_ord_id} if order.ticket.cl_ord_id else {}),
    }


def entry_row(entry: Entry, refers_to: str) -> Json:
    """A change of a balance in Ledgers."""
    return {
        "refid": refers_to,
        "time": seconds(entry.at),
        "type": entry.kind,
        "subtype": "",
        "aclass": "currency",
        "asset": asset(entry.asset),
        "amount": money(entry.amount),
        "fee": money(entry.fee),
        "balance": money(entry.balance),
    }


def position_row(lot: Lot, order: Booked, listing: Listing, prices: Mapping[Symbol, Price]) -> Json:
    """A lot in OpenPositions."""
    fill = lot.opened_by
    last = prices.get(fill.symbol, fill.price)
    return {
        "ordertxid": order.txid,
        "posstatus": "open",
        "pair": listing.pair,
        "time": seconds(fill.filled_at),
        "type": fill.side,
        "ordertype": order.ticket.kind,
        "cost": money(fill.quantity * fill.price),
        "fee": money(fill.fee),
        "vol": listing.quantity(fill.quantity),
        "vol_closed": listing.quantity(lot.closed),
        "margin": f"{lot.margin:.5f}",
        "value": money(lot.open * last),
        "net": f"{lot.profit(lot.open, last):+.5f}",
        "terms": "0.0200% per 4 hours",
        "rollovertm": str(int(seconds(lot.rolls_at))),
        "leverage": str(lot.leverage),
        "misc": "",
        "oflags": "",
    }


def standing_row(now: Standing) -> Json:
    """TradeBalance: the margin level `ml` is in percent, and missing where nothing is open."""
    row = {
        "eb": f"{now.trade_balance:.4f}",
        "tb": f"{now.trade_balance:.4f}",
        "m": f"{now.margin:.4f}",
        "uv": "0.0000",
        "n": f"{now.profit:.4f}",
        "c": f"{now.cost:.4f}",
        "v": f"{now.cost + now.profit:.4f}",
        "e": f"{now.equity:.4f}",
        "mf": f"{now.equity - now.margin:.4f}",
    }
    return row | ({"ml": f"{100 * now.equity / now.margin:.2f}"} if now.margin else {})


def public_trade_row(made: Print, listing: Listing) -> list[Any]:
    """A trade in Trades; its time has nine decimals."""
    time = orjson.Fragment(f"{made.nanoseconds // 10**9}.{made.nanoseconds % 10**9:09}")
    trade = made.trade
    price, quantity = listing.price(trade.price), listing.quantity(trade.quantity)
    return [price, quantity, time, trade.side[0], "m", "", made.number]


def candle_row(candle: Candle, listing: Listing) -> list[Any]:
    """A bar in OHLC."""
    prices = (candle.open, candle.high, candle.low, candle.close, candle.vwap)
    volume = listing.quantity(candle.volume)
    return [int(seconds(candle.opened_at)), *map(listing.price, prices), volume, candle.trades]


def ticker_row(market: PairMarket, now: datetime) -> Json:
    day, listing = market.day(now), market.listing
    ask, bid = market.book.asks[0], market.book.bids[0]
    last = market.prints[-1].trade if market.prints else None
    return {
        "a": _best(ask, listing),
        "b": _best(bid, listing),
        "c": [listing.price(market.last), listing.quantity(last.quantity if last else Decimal(0))],
        "v": [listing.quantity(day.volume)] * 2,
        "p": [listing.price(day.vwap)] * 2,
        "t": [day.trades] * 2,
        "l": [listing.price(day.low)] * 2,
        "h": [listing.price(day.high)] * 2,
        "o": listing.price(day.open),
    }


def depth_row(levels: Iterable[Level], at: datetime, listing: Listing) -> list[list[Any]]:
    """One side in Depth."""
    return [
        [listing.price(level.price), f"{level.quantity:.3f}", int(seconds(at))] for level in levels
    ]


def _best(level: Level, listing: Listing) -> list[str]:
    return [listing.price(level.price), f"{level.quantity:.0f}", f"{level.quantity:.3f}"]


def _description(ticket: Ticket) -> Json:
    listing = ticket.listing
    return {
        "pair": listing.altname,
        "type": ticket.side,
        "ordertype": ticket.kind,
        **_described_prices(ticket),
        "leverage": f"{ticket.leverage}:1" if ticket.leverage else "none",
        "order": order_text(ticket),
        "close": close_text(listing, ticket.close),
    }


def _described_prices(ticket: Ticket) -> Json:
    """Relative prices are described as such, and nowhere else."""
    if ticket.trail is not None:
        limit = ticket.trail.limit
        return {"price": ticket.trail.trigger.text, "price2": limit.text if limit else "0"}
    listing = ticket.listing
    first = ticket.trigger if ticket.kind.waits else ticket.limit
    second = ticket.limit if ticket.kind.waits else None
    return {
        "price": listing.price(first) if first else "0",
        "price2": listing.price(second) if second else "0",
    }


def _trail_text(kind: OrderType, trail: Trail) -> str:
    text = f"{_SPOKEN[kind]} {trail.trigger.text}"
    return text if trail.limit is None else f"{text} -> limit {trail.limit.text}"


def _price_text(
    listing: Listing, kind: OrderType, trigger: Price | None, limit: Price | None
) -> str:
    parts = []
    if trigger is not None:
        parts.append(f"{_SPOKEN[kind]} {listing.price(trigger)}")
    if limit is not None:
        parts.append(f"limit {listing.price(limit)}")
    return " -> ".join(parts) or "market"
