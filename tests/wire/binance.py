"""Binance USD-M futures on loopback: REST under /fapi/v1, sockets at /<kind>/ws/<n>.

Frames and answers have the shape of `ws_captures_cryptofeed/BINANCE_FUTURES*` and of
`l2_binance_hyperliquid/binance_usdm_btcusdt_20240808`; weights are those of the venue's
documentation, and are told in the header that the venue tells them in.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from data.bar import Timeframe
from data.clock import Clock
from tests.wire.candles import Candle, candles
from tests.wire.loopback import LoopbackServer, Peer, json_response

_KINDS = {
    "depth": "public",
    "trade": "public",
    "bookTicker": "public",
    "aggTrade": "market",
    "markPrice": "market",
    "kline_1m": "market",
}
_MOST_TRADES = 1000
_HOUR_MS = 3_600_000


@dataclass(slots=True, kw_only=True)
class Market:
    """One symbol as the venue remembers it; what is here is what REST tells."""

    symbol: str
    base: str
    quote: str
    trades: list[dict[str, Any]] = field(default_factory=list)  # as REST tells them
    next_trade: int = 1_000
    update_id: int = 5_000
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    klines: dict[str, list[list[Any]]] = field(default_factory=dict)  # in place of the trades'
    funding: list[dict[str, Any]] = field(default_factory=list)
    status: str = "TRADING"
    tick: str = "0.10"
    lot: str = "0.001"


class BinanceServer(LoopbackServer):
    """The venue. The test makes the market; `tell=False` is what is lost on the way."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.markets = {
            market.symbol: market
            for market in (
                Market(symbol="BTCUSDT", base="BTC", quote="USDT"),
                Market(symbol="ETHUSDT", base="ETH", quote="USDT", tick="0.01"),
            )
        }
        self.funding_hours = {"ETHUSDT": 4}
        self.used_weight = 0
        self.lose_next_change = False  # of a book, on its way
        self.snapshots: dict[str, asyncio.Event] = {}  # held back until set, by symbol
        self.errors: dict[str, dict[str, Any]] = {}  # what a subscription gets instead, by stream

    @property
    def now_ms(self) -> int:
        return milliseconds(self.clock.now())

    @property
    def urls(self) -> dict[str, Any]:
        """What replaces the venue's addresses in the client."""
        return {
            "fapiPublic": f"http://127.0.0.1:{self.port}/fapi/v1",
            "ws": {"linear": f"ws://127.0.0.1:{self.port}/ws"},
        }

    def routes(self) -> list[web.RouteDef]:
        answers = {
            "exchangeInfo": self._exchange_info,
            "time": self._time,
            "depth": self._depth,
            "klines": self._klines,
            "aggTrades": self._agg_trades,
            "fundingRate": self._funding_rate,
            "fundingInfo": self._funding_info,
        }
        rest = [web.get(f"/fapi/v1/{name}", answer) for name, answer in answers.items()]
        return [*rest, web.get("/{kind}/ws/{n}", self.serve_socket)]

    async def obey(self, peer: Peer, command: dict[str, Any]) -> None:
        kind = peer.path.split("/")[1]
        topics = set(command["params"])
        for stream in topics:
            error = self.errors.get(stream)
            if _KINDS.get(stream.split("@")[1]) != kind:
                error = {"code": 2, "msg": "Invalid request: invalid stream"}
            if error is not None:
                await peer.send({"error": error, "id": command["id"]})
                return
        if command["method"] == "SUBSCRIBE":
            peer.topics |= topics
        else:
            peer.topics -= topics
        if not self.silent:
            await peer.send({"result": None, "id": command["id"]})

    async def trade(
        self,
        symbol: str,
        price: str,
        quantity: str,
        *,
        maker_buys: bool = False,
        at_ms: int | None = None,
        tell: bool = True,
    ) -> dict[str, Any]:
        """Trade, remember it for REST and, unless it is lost on the way, tell it."""
        market = self.markets[symbol]
        number, at = market.next_trade, self.now_ms if at_ms is None else at_ms
        market.next_trade += 1
        row = {"a": number, "p": price, "q": quantity, "f": number * 2, "l": number * 2 + 1}
        row |= {"T": at, "m": maker_buys}
        market.trades.append(row)
        if tell:
            await self.tell_trade(symbol, row)
        return row

    async def repeat_trades(self, symbol: str, count: int) -> None:
        """Tell the newest trades again."""
        for row in self.markets[symbol].trades[-count:]:
            await self.tell_trade(symbol, row)

    async def tell_trade(self, symbol: str, row: dict[str, Any]) -> None:
        frame = {"e": "aggTrade", "E": row["T"] + 2, "s": symbol, **row}
        await self.push(f"{symbol.lower()}@aggTrade", frame)

    async def change_book(
        self,
        symbol: str,
        *,
        bids: dict[str, str] | None = None,
        asks: dict[str, str] | None = None,
        tell: bool = True,
    ) -> dict[str, Any]:
        """Set levels (a quantity of 0 takes one away) and tell the difference with its ids."""
        market = self.markets[symbol]
        frame = {
            "e": "depthUpdate",
            "E": self.now_ms,
            "T": self.now_ms,
            "s": symbol,
            "U": market.update_id + 1,
            "u": market.update_id + 3,
            "pu": market.update_id,
            "b": [[price, size] for price, size in (bids or {}).items()],
            "a": [[price, size] for price, size in (asks or {}).items()],
        }
        market.update_id += 3
        for side, changes in ((market.bids, bids), (market.asks, asks)):
            side.update(changes or {})
            for price in [price for price, size in side.items() if float(size) == 0]:
                del side[price]
        if tell and not self.lose_next_change:
            await self.push(f"{symbol.lower()}@depth@100ms", frame)
        self.lose_next_change = False
        return frame

    async def tell_funding(
        self, symbol: str, *, rate: str, mark: str, next_ms: int, at_ms: int | None = None
    ) -> None:
        at = self.now_ms if at_ms is None else at_ms
        frame = {"e": "markPriceUpdate", "E": at, "s": symbol, "p": mark, "ap": mark}
        frame |= {"P": mark, "i": mark, "r": rate, "T": next_ms}
        await self.push(f"{symbol.lower()}@markPrice@1s", frame)

    def _answer(self, value: Any, *, weight: int) -> web.Response:
        self.used_weight += weight
        response = json_response(value)
        response.headers["X-MBX-USED-WEIGHT-1M"] = str(self.used_weight)
        return response

    def _market(self, request: web.Request) -> Market:
        market = self.markets.get(request.query["symbol"])
        if market is None:
            raise web.HTTPBadRequest(
                text='{"code":-1121,"msg":"Invalid symbol."}', content_type="application/json"
            )
        return market

    async def _time(self, _: web.Request) -> web.Response:
        return self._answer({"serverTime": self.now_ms}, weight=1)

    async def _exchange_info(self, _: web.Request) -> web.Response:
        symbols = [_listing(market) for market in self.markets.values()]
        return self._answer({"timezone": "UTC", "symbols": symbols}, weight=1)

    async def _depth(self, request: web.Request) -> web.Response:
        market, limit = self._market(request), int(request.query.get("limit", 500))
        assert limit in {5, 10, 20, 50, 100, 500, 1000}
        bids = sorted(market.bids.items(), key=lambda level: -float(level[0]))[:limit]
        asks = sorted(market.asks.items(), key=lambda level: float(level[0]))[:limit]
        snapshot = {
            "lastUpdateId": market.update_id,
            "E": self.now_ms,
            "T": self.now_ms,
            "bids": [list(level) for level in bids],
            "asks": [list(level) for level in asks],
        }
        if (gate := self.snapshots.get(market.symbol)) is not None:
            await gate.wait()  # taken, and long on the way
        weight = 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
        return self._answer(snapshot, weight=weight)

    async def _agg_trades(self, request: web.Request) -> web.Response:
        market, query = self._market(request), request.query
        limit = int(query.get("limit", 500))
        assert limit <= _MOST_TRADES
        rows = market.trades
        if "fromId" in query:
            assert "startTime" not in query
            rows = [row for row in rows if row["a"] >= int(query["fromId"])][:limit]
        elif "startTime" in query:
            since, until = int(query["startTime"]), int(query["endTime"])
            assert until - since <= _HOUR_MS
            rows = [row for row in rows if since <= row["T"] <= until][:limit]
        else:
            rows = rows[-limit:]
        return self._answer(rows, weight=20)

    async def _klines(self, request: web.Request) -> web.Response:
        market, query = self._market(request), request.query
        limit, since = int(query["limit"]), int(query.get("startTime", 0))
        size = query["interval"]
        rows = market.klines.get(size) or _klines(market, Timeframe(size), self.now_ms)
        rows = [row for row in rows if row[0] >= since]
        weight = 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
        return self._answer(rows[:limit], weight=weight)

    async def _funding_rate(self, request: web.Request) -> web.Response:
        market, query = self._market(request), request.query
        since, limit = int(query.get("startTime", 0)), int(query.get("limit", 100))
        rows = [row for row in market.funding if row["fundingTime"] >= since]
        return self._answer(rows[:limit], weight=1)

    async def _funding_info(self, _: web.Request) -> web.Response:
        rows = [
            {"symbol": symbol, "fundingIntervalHours": hours}
            for symbol, hours in self.funding_hours.items()
        ]
        return self._answer(rows, weight=1)


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000)


def _klines(market: Market, size: Timeframe, now_ms: int) -> list[list[Any]]:
    trades = [(row["T"], row["p"], row["q"]) for row in market.trades]
    length_ms = int(size.delta.total_seconds()) * 1_000
    return [_kline(candle, length_ms) for candle in candles(trades, length_ms, now_ms)]


def _kline(candle: Candle, length_ms: int) -> list[Any]:
    """A row of klines, which counts the two single trades that each aggregate here is of."""
    prices = [candle.open, candle.high, candle.low, candle.close]
    until_ms = candle.opened_ms + length_ms - 1
    sums = [candle.volume, until_ms, candle.turnover, candle.trades * 2]
    return [candle.opened_ms, *prices, *sums, "0", "0", "0"]


def _listing(market: Market) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "pair": market.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": market.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": market.base,
        "quoteAsset": market.quote,
        "marginAsset": market.quote,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": market.tick,
                "maxPrice": "1000000",
                "tickSize": market.tick,
            },
            {
                "filterType": "LOT_SIZE",
                "stepSize": market.lot,
                "maxQty": "1000",
                "minQty": market.lot,
            },
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }
