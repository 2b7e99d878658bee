"""What can be asked of the market and of the account: a form in, the `result` of REST out."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sextant.rehearsal.booked import Booked, OwnTrade
from sextant.rehearsal.exchange import Exchange
from sextant.rehearsal.keys import Keyring
from sextant.rehearsal.listing import Listing, asset, asset_row, pair_row, short_asset
from sextant.rehearsal.order_form import Declined, Form, bad, is_true
from sextant.rehearsal.rest_forms import (
    Json,
    candle_row,
    depth_row,
    entry_row,
    money,
    order_row,
    position_row,
    public_trade_row,
    seconds,
    standing_row,
    ticker_row,
    trade_row,
)
from sextant.rehearsal.wallet import ledger_id

_PAGE: Final = 50
_MOST_TRADES: Final = 1_000
_MOST_CANDLES: Final = 720
_MINUTES: Final = frozenset({1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600})
_Row = TypeVar("_Row")


class PublicQueries:
    """The market, to whoever asks.

    Raises:
        Declined: there is no such pair, or an argument is none.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def methods(self) -> dict[str, Callable[[Form], Any]]:
        return {
            "Time": self.time,
            "SystemStatus": self.system_status,
            "Assets": self.assets,
            "AssetPairs": self.asset_pairs,
            "Ticker": self.ticker,
            "OHLC": self.ohlc,
            "Trades": self.trades,
            "Depth": self.depth,
        }

    def time(self, _: Form) -> Json:
        now = self._exchange.now
        return {
            "unixtime": int(now.timestamp()),
            "rfc1123": now.strftime("%a, %d %b %y %H:%M:%S +0000"),
        }

    def system_status(self, _: Form) -> Json:
        return {
            "status": "online",
            "timestamp": self._exchange.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def assets(self, _: Form) -> Json:
        return {asset(code): asset_row(code) for code in self._exchange.register.assets}

    def asset_pairs(self, form: Form) -> Json:
        fees = self._exchange.fees
        return {each.pair: pair_row(each, fees) for each in self._listings(form)}

    def ticker(self, form: Form) -> Json:
        now, markets = self._exchange.now, self._exchange.markets
        return {each.pair: ticker_row(markets[each.symbol], now) for each in self._listings(form)}

    def ohlc(self, form: Form) -> Json:
        """Bars that open after `since`, the newest 720 at most; the last is not closed yet."""
        listing, minutes = self._listing(form), _integer(form, "interval", 1)
        if minutes not in _MINUTES:
            raise bad("interval")
        candles = self._exchange.markets[listing.symbol].candles(
            minutes, self._exchange.now, most=_MOST_CANDLES + 1
        )
        rows = [candle_row(candle, listing) for candle in candles]
        last_closed = rows[-2][0] if len(rows) > 1 else 0
        since = _integer(form, "since", 0)
        found = [row for row in rows if row[0] > since][-_MOST_CANDLES:]
        return {listing.pair: found, "last": last_closed}

    def trades(self, form: Form) -> Json:
        """Trades after `since`, in nanoseconds or in seconds, the oldest first."""
        listing, since = self._listing(form), _nanoseconds(form)
        count = min(_integer(form, "count", _MOST_TRADES), _MOST_TRADES)
        prints = self._exchange.markets[listing.symbol].prints
        found = [made for made in prints if made.nanoseconds > since][:count]
        rows = [public_trade_row(made, listing) for made in found]
        return {listing.pair: rows, "last": str(found[-1].nanoseconds if found else since)}

    def depth(self, form: Form) -> Json:
        listing, count = self._listing(form), _integer(form, "count", 100)
        book = self._exchange.markets[listing.symbol].book
        sides = {"asks": book.asks, "bids": book.bids}
        return {
            listing.pair: {
                name: depth_row(levels[:count], book.at, listing) for name, levels in sides.items()
            }
        }

    def _listings(self, form: Form) -> Iterable[Listing]:
        if not form.get("pair"):
            return self._exchange.register.listings
        return [self._listing({"pair": name}) for name in form["pair"].split(",")]

    def _listing(self, form: Form) -> Listing:
        found = self._exchange.register.find(form.get("pair", ""))
        if found is None:
            raise Declined("EQuery:Unknown asset pair")
        return found


class AccountQueries:
    """The account, to the holder of its key.

    Raises:
        Declined: there is no such order, trade or argument.
    """

    def __init__(self, exchange: Exchange, keyring: Keyring) -> None:
        self._exchange = exchange
        self._keyring = keyring

    @property
    def methods(self) -> dict[str, Callable[[Form], Any]]:
        return {
            "Balance": self.balance,
            "BalanceEx": self.balance_ex,
            "TradeBalance": self.trade_balance,
            "OpenOrders": self.open_orders,
            "ClosedOrders": self.closed_orders,
            "QueryOrders": self.query_orders,
            "TradesHistory": self.trades_history,
            "QueryTrades": self.query_trades,
            "OpenPositions": self.open_positions,
            "Ledgers": self.ledgers,
            "TradeVolume": self.trade_volume,
            "GetApiKeyInfo": self.api_key_info,
            "GetWebSocketsToken": self.websockets_token,
        }

    def balance(self, _: Form) -> Json:
        return {asset(code): money(left) for code, left in self._exchange.wallet.balances.items()}

    def balance_ex(self, _: Form) -> Json:
        wallet = self._exchange.wallet
        return {
            asset(code): {"balance": money(left), "hold_trade": money(wallet.held(code))}
            for code, left in wallet.balances.items()
        }

    def trade_balance(self, form: Form) -> Json:
        wanted = form.get("asset", "USDT")
        codes = self._exchange.register.assets
        code = next((c for c in codes if wanted in (c, asset(c), short_asset(c))), None)
        if code is None:
            raise Declined("EQuery:Unknown asset")
        return standing_row(self._exchange.wallet.standing(code, self._exchange.prices))

    def open_orders(self, form: Form) -> Json:
        rows = self._orders(form, self._exchange.open_orders())
        return {"open": rows}

    def closed_orders(self, form: Form) -> Json:
        """Those that are over, the newest first, 50 from `ofs` on."""
        over = [order for order in self._exchange.orders.values() if not order.is_open]
        over.sort(key=lambda order: seconds(order.closed_at), reverse=True)
        found = self._orders(form, _between(form, over, lambda o: o.closed_at or o.opened_at))
        return {"closed": _page(form, found), "count": len(found)}

    def query_orders(self, form: Form) -> Json:
        """Orders by their ids; one that is not known is an error, as all are then."""
        if not form.get("txid"):
            if not (form.get("cl_ord_id") or form.get("userref")):
                raise bad("txid")
            return self._orders(form, self._exchange.orders.values())
        orders = [self._exchange.orders.get(txid) for txid in form["txid"].split(",")]
        found = [order for order in orders if order is not None]
        if len(found) < len(orders):
            raise Declined("EOrder:Unknown order")
        return self._orders(form, found)

    def trades_history(self, form: Form) -> Json:
        newest = list(reversed(self._exchange.trades.values()))
        found = list(_between(form, newest, lambda trade: trade.fill.filled_at))
        rows = {trade.txid: self._trade_row(trade) for trade in found}
        return {"trades": _page(form, rows), "count": len(found)}

    def query_trades(self, form: Form) -> Json:
        trades = [self._exchange.trades.get(txid) for txid in form.get("txid", "").split(",")]
        found = [trade for trade in trades if trade is not None]
        if len(found) < len(trades):
            raise Declined("EQuery:Unknown trade")
        return {trade.txid: self._trade_row(trade) for trade in found}

    def open_positions(self, _: Form) -> Json:
        exchange = self._exchange
        by_fill = {trade.fill.fill_id: trade for trade in exchange.trades.values()}
        rows: Json = {}
        for symbol, lots in exchange.wallet.lots.items():
            listing = exchange.register.find(symbol)
            for lot in lots:
                trade = by_fill[lot.opened_by.fill_id]
                if listing is not None:
                    order = exchange.orders[trade.order]
                    rows[trade.txid] = position_row(lot, order, listing, exchange.prices)
        return rows

    def ledgers(self, form: Form) -> Json:
        """Changes of balances, the newest first, 50 from `ofs` on."""
        exchange = self._exchange
        refers_to = {trade.fill.fill_id: trade.txid for trade in exchange.trades.values()}
        numbered = list(enumerate(exchange.wallet.entries, start=1))
        newest = list(_between(form, reversed(numbered), lambda each: each[1].at))
        rows = {
            ledger_id(number): entry_row(entry, refers_to.get(entry.refers_to, "OPENING"))
            for number, entry in newest
        }
        return {"ledger": _page(form, rows), "count": len(rows)}

    def trade_volume(self, form: Form) -> Json:
        fees = self._exchange.fees
        pairs = [self._exchange.register.find(name) for name in form.get("pair", "").split(",")]
        listed = [listing.pair for listing in pairs if listing is not None]
        return {
            "currency": "ZUSD",
            "volume": "0.0000",
            "fees": {pair: {"fee": f"{fees.taker * 100:.4f}"} for pair in listed},
            "fees_maker": {pair: {"fee": f"{fees.maker * 100:.4f}"} for pair in listed},
        }

    def api_key_info(self, _: Form) -> Json:
        """What the key may do: trade and look, and never withdraw."""
        return {
            "api_key_name": "rehearsal",
            "permissions": list(self._keyring.permissions),
            "nonce_window": "0",
        }

    def websockets_token(self, _: Form) -> Json:
        token, expires = self._keyring.new_token(self._exchange.now)
        return {"token": token, "expires": expires}

    def _orders(self, form: Form, orders: Iterable[Booked]) -> Json:
        """Rows by id, of one client id or user reference where the form names it."""
        cl_ord_id, userref = form.get("cl_ord_id"), form.get("userref")
        if userref is not None and not userref.lstrip("-").isdigit():
            raise bad("userref")
        return {
            order.txid: order_row(order, trades=is_true(form, "trades"))
            for order in orders
            if cl_ord_id in (None, order.ticket.cl_ord_id)
            and userref in (None, str(order.ticket.userref))
        }

    def _trade_row(self, trade: OwnTrade) -> Json:
        return trade_row(trade, self._exchange.orders[trade.order])


def _page(form: Form, rows: Mapping[str, Any]) -> Json:
    offset = _integer(form, "ofs", 0)
    return dict(list(rows.items())[offset : offset + _PAGE])


def _between(form: Form, rows: Iterable[_Row], at: Callable[[_Row], datetime]) -> Iterable[_Row]:
    """Those after `start` and up to `end`, in seconds; ids in their place are not known here."""
    start, end = _time(form, "start"), _time(form, "end")
    return [
        row
        for row in rows
        if (start is None or at(row) > start) and (end is None or at(row) <= end)
    ]


def _time(form: Form, name: str) -> datetime | None:
    text = form.get(name)
    if not text:
        return None
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        raise bad(name) from None


def _integer(form: Form, name: str, default: int) -> int:
    text = form.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise bad(name)
    return int(text)


def _nanoseconds(form: Form) -> int:
    """`since` of Trades: nanoseconds, or seconds where it is small."""
    since = _integer(form, "since", 0)
    return since if since > 10**12 else since * 10**9
