"""What the exchange knows, in the words of Kraken's WebSocket v2: pure functions.

Numbers are numbers of JSON with all their digits.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

from data.instrument import Quantity
from data.level_book import Decimals, kraken_checksum
from data.order_book import Level, OrderBook
from execution.fill import Liquidity
from sextant.rehearsal.booked import Booked, Execution, OwnTrade, Status
from sextant.rehearsal.listing import Listing
from sextant.rehearsal.market import Candle, PairMarket, Print
from sextant.rehearsal.order_form import Close
from sextant.rehearsal.rest_forms import Json, money
from sextant.rehearsal.wallet import Entry, ledger_id

_CHECKED: Final = 10  # levels of a side under the checksum
_NOTHING: Final = Quantity(Decimal(0))
_STATUS: Final = {Status.CLOSED: "filled", Status.CANCELED: "canceled", Status.EXPIRED: "expired"}


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def number(text: str) -> Any:
    """A number of JSON with the digits of `text`."""
    return orjson.Fragment(text)


def trade_row(made: Print, listing: Listing) -> Json:
    trade = made.trade
    return {
        "symbol": listing.symbol,
        "side": trade.side,
        "price": number(listing.price(trade.price)),
        "qty": number(listing.quantity(trade.quantity)),
        "ord_type": "market",
        "trade_id": made.number,
        "timestamp": stamp(trade.at),
    }


def candle_row(candle: Candle, listing: Listing, minutes: int) -> Json:
    prices = {
        name: number(listing.price(getattr(candle, name)))
        for name in ("open", "high", "low", "close", "vwap")
    }
    return {
        "symbol": listing.symbol,
        **prices,
        "trades": candle.trades,
        "volume": number(listing.quantity(candle.volume)),
        "interval_begin": candle.opened_at.strftime("%Y-%m-%dT%H:%M:%S.000000000Z"),
        "interval": minutes,
        "timestamp": stamp(candle.opened_at + timedelta(minutes=minutes)),
    }


def ticker_row(market: PairMarket, now: datetime) -> Json:
    listing, day = market.listing, market.day(now)
    bid, ask = market.book.bids[0], market.book.asks[0]
    change = market.last - day.open
    return {
        "symbol": listing.symbol,
        "bid": number(listing.price(bid.price)),
        "bid_qty": number(listing.quantity(bid.quantity)),
        "ask": number(listing.price(ask.price)),
        "ask_qty": number(listing.quantity(ask.quantity)),
        "last": number(listing.price(market.last)),
        "volume": number(listing.quantity(day.volume)),
        "vwap": number(listing.price(day.vwap)),
        "low": number(listing.price(day.low)),
        "high": number(listing.price(day.high)),
        "change": number(listing.price(change)),
        "change_pct": number(f"{100 * change / day.open:.2f}"),
        "trades": day.trades,
        "timestamp": stamp(now),
    }


def book_snapshot(listing: Listing, book: OrderBook, depth: int) -> Json:
    bids, asks = book.bids[:depth], book.asks[:depth]
    return {
        "symbol": listing.symbol,
        "bids": _levels(bids, listing),
        "asks": _levels(asks, listing),
        "checksum": _checksum(listing, book),
        "timestamp": stamp(book.at),
    }


def book_update(listing: Listing, before: OrderBook, now: OrderBook, depth: int) -> Json | None:
    """What changed within `depth`, or None; a level that is gone is told with a quantity of 0."""
    bids = _changes(before.bids[:depth], now.bids[:depth])
    asks = _changes(before.asks[:depth], now.asks[:depth])
    if not (bids or asks):
        return None
    return {
        "symbol": listing.symbol,
        "bids": _levels(bids, listing),
        "asks": _levels(asks, listing),
        "checksum": _checksum(listing, now),
        "timestamp": stamp(now.at),
    }


def instrument_snapshot(listings: Sequence[Listing]) -> Json:
    """The data of the `instrument` channel: assets and pairs."""
    codes = sorted({code for each in listings for code in each.symbol.split("/")})
    assets = [
        {"id": code, "status": "enabled", "precision": 10, "precision_display": 5} for code in codes
    ]
    return {"assets": assets, "pairs": [_pair_row(listing) for listing in listings]}


def order_row(order: Booked) -> Json:
    """All of an order, for snapshots and when it is new."""
    ticket = order.ticket
    listing = ticket.listing
    row = _named(order) | {
        "symbol": listing.symbol,
        "side": ticket.side,
        "order_type": ticket.kind,
        "order_qty": number(listing.quantity(ticket.quantity)),
        "time_in_force": ticket.time_in_force,
        "limit_price_type": "static",
        "margin": ticket.leverage is not None,
        "reduce_only": ticket.reduce_only,
        "post_only": ticket.post_only,
        "fee_ccy_pref": "fciq",
        **_sums(order),
        "timestamp": stamp(order.opened_at),
    }
    if ticket.limit is not None:
        row["limit_price"] = number(listing.price(ticket.limit))
    if ticket.trigger is not None:
        row |= _triggers(order)
    if ticket.close is not None:
        row["contingent"] = _contingent(ticket.close, listing)
    if ticket.expires_at is not None:
        row["expire_time"] = stamp(ticket.expires_at)
    if order.parent is not None:
        row["ord_ref_id"] = order.parent
    return row


def snapshot_row(order: Booked) -> Json:
    """An open order in the snapshot of `executions`."""
    kind = "status" if order.filled else "new"
    return order_row(order) | {"exec_type": kind, "order_status": _order_status(order)}


def execution_row(happened: Execution) -> Json:
    """An event of `executions`.

    A trade that fills an order says `partially_filled`, as Kraken's do; `filled` comes behind it.
    """
    order = happened.order
    row: Json = {"exec_type": happened.kind, "timestamp": stamp(happened.at)}
    match happened.kind:
        case "pending_new":
            return order_row(order) | row | {"order_status": "pending_new"}
        case "amended" | "status":
            return order_row(order) | row | {"order_status": _order_status(order)}
        case "trade" if happened.trade is not None:
            return trade_execution_row(happened.trade, order) | row
        case _:
            reason = {"reason": order.reason} if order.reason else {}
            return (
                _named(order) | _sums(order) | row | reason | {"order_status": _order_status(order)}
            )


def trade_execution_row(trade: OwnTrade, order: Booked) -> Json:
    """A fill in `executions`."""
    fill, listing = trade.fill, order.ticket.listing
    return _named(order) | {
        "exec_type": "trade",
        "exec_id": trade.txid,
        "trade_id": trade.number,
        "symbol": listing.symbol,
        "side": fill.side,
        "order_type": order.ticket.kind,
        "order_qty": number(listing.quantity(order.ticket.quantity)),
        "last_qty": number(listing.quantity(fill.quantity)),
        "last_price": number(listing.price(fill.price)),
        "cost": number(money(fill.quantity * fill.price)),
        "liquidity_ind": "m" if fill.liquidity is Liquidity.MAKER else "t",
        "fees": [{"asset": fill.fee_asset, "qty": number(money(fill.fee))}],
        "order_status": "partially_filled",
        "timestamp": stamp(fill.filled_at),
        **_sums(order),
    }


def balances_snapshot(balances: Mapping[str, Decimal]) -> list[Json]:
    return [
        {
            "asset": code,
            "asset_class": "currency",
            "balance": number(money(left)),
            "wallets": [{"type": "spot", "id": "main", "balance": number(money(left))}],
        }
        for code, left in balances.items()
    ]


def balance_row(entry: Entry, number_of_entry: int) -> Json:
    """A change in the `balances` channel."""
    return {
        "ledger_id": ledger_id(number_of_entry),
        "ref_id": entry.refers_to,
        "timestamp": stamp(entry.at),
        "type": entry.kind,
        "asset": entry.asset,
        "asset_class": "currency",
        "category": entry.kind,
        "wallet_type": "spot",
        "wallet_id": "main",
        "amount": number(money(entry.amount)),
        "fee": number(money(entry.fee)),
        "balance": number(money(entry.balance)),
    }


def _order_status(order: Booked) -> str:
    if order.status in _STATUS:
        return _STATUS[order.status]
    return "partially_filled" if order.filled else "new"


def _named(order: Booked) -> Json:
    ticket = order.ticket
    row: Json = {"order_id": order.txid, "order_userref": ticket.userref or 0}
    row |= {"liquidated": True} if order.liquidates else {}
    return row | ({"cl_ord_id": ticket.cl_ord_id} if ticket.cl_ord_id is not None else {})


def _sums(order: Booked) -> Json:
    listing = order.ticket.listing
    return {
        "cum_qty": number(listing.quantity(order.filled)),
        "cum_cost": number(money(order.cost)),
        "avg_price": number(listing.price(order.average)),
    }


def _triggers(order: Booked) -> Json:
    ticket = order.ticket
    price = ticket.trigger or Decimal(0)
    told = number(ticket.listing.price(price))
    offset = ticket.trail.trigger if ticket.trail is not None else None
    kind = "static" if offset is None else "pct" if offset.is_percent else "quote"
    return {
        "stop_price": told,
        "triggers": {
            "reference": "last",
            "price": told if offset is None else number(f"{offset.amount:f}"),
            "price_type": kind,
            "status": "untriggered" if order.triggered_at is None else "triggered",
        },
    }


def _contingent(close: Close, listing: Listing) -> Json:
    row: Json = {"order_type": close.kind}
    if close.trigger is not None:
        row["trigger_price"] = number(listing.price(close.trigger))
    if close.limit is not None:
        row["limit_price"] = number(listing.price(close.limit))
    return row


def _levels(levels: Iterable[Level], listing: Listing) -> list[Json]:
    return [
        {
            "price": number(listing.price(level.price)),
            "qty": number(listing.quantity(level.quantity)),
        }
        for level in levels
    ]


def _changes(before: Sequence[Level], now: Sequence[Level]) -> list[Level]:
    """Levels that are gone, then those that are new or of another size."""
    was, is_now = dict(before), dict(now)
    gone = [Level(price, _NOTHING) for price, _ in before if price not in is_now]
    return gone + [level for level in now if was.get(level.price) != level.quantity]


def _checksum(listing: Listing, book: OrderBook) -> int:
    decimals = Decimals(price=listing.price_decimals, quantity=listing.lot_decimals)
    return kraken_checksum(book.bids[:_CHECKED], book.asks[:_CHECKED], decimals)


def _pair_row(listing: Listing) -> Json:
    return {
        "symbol": listing.symbol,
        "base": listing.symbol.base,
        "quote": listing.symbol.quote,
        "status": "online",
        "qty_precision": listing.lot_decimals,
        "qty_increment": number(f"{listing.instrument.lot:f}"),
        "price_precision": listing.price_decimals,
        "price_increment": number(f"{listing.tick:f}"),
        "tick_size": number(f"{listing.tick:f}"),
        "cost_precision": 5,
        "cost_min": number(f"{listing.min_cost:f}"),
        "qty_min": number(f"{listing.min_quantity:f}"),
        "marginable": bool(listing.leverages),
        "has_index": True,
    }
