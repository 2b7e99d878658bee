"""Kraken spot on loopback: public REST under /0/public, WebSocket v2 at /v2.

Frames have the shape of `kraken_ws_v2/frames.jsonl`, answers that of `rest_fixtures/kraken.json`.
The test makes the market and its accidents; REST tells what happened, whatever the socket told.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from data.clock import Clock
from tests.wire.kraken_market import Market, Print, changed, levels, number, stamp
from tests.wire.loopback import Answer, LoopbackServer, Peer, json_response

_MOST_TRADES = 1_000
_MOST_CANDLES = 720
_DEPTHS = {10, 25, 100, 500, 1_000}
_CHANNELS = {"trade", "book", "ticker", "ohlc", "instrument"}
_CHECKED = 10


class KrakenServer(LoopbackServer):
    """The venue. `tell=False` is what is lost on the way.

    Accidents: `silent` (all channels, sockets live), `mute` (these topics), `hold_frames` and
    `release_frames` (delay), `close_sockets`, `reset_sockets`, `repeat_trades`, `repeat_book`,
    `corrupt_next_book`, `without_checksum`, `change_decimals`, `instead` (the next answers of
    REST), `rest_fails` (every answer), `refuse_sockets`.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.markets = {
            market.symbol: market
            for market in (
                Market(
                    symbol="BTC/USD", pair="XXBTZUSD", base="XXBT", quote="ZUSD", price_decimals=1
                ),
                Market(
                    symbol="XRP/USD", pair="XXRPZUSD", base="XXRP", quote="ZUSD", price_decimals=5
                ),
            )
        }
        self.mute: set[str] = set()
        self.rest_fails: Answer | None = None
        self.corrupt_next_book = False
        self.without_checksum = False
        self._held: list[tuple[str, Any]] | None = None
        self._depths: dict[tuple[Peer, str], int] = {}

    @property
    def urls(self) -> dict[str, Any]:
        """What replaces the venue's addresses in the client."""
        http = f"http://127.0.0.1:{self.port}"
        return {
            "public": http,
            "private": http,
            "ws": {"publicV2": f"ws://127.0.0.1:{self.port}/v2"},
        }

    def routes(self) -> list[web.RouteDef]:
        answers: dict[str, Callable[[dict[str, str]], Any]] = {
            "Time": self._time,
            "SystemStatus": self._system_status,
            "Assets": self._assets,
            "AssetPairs": self._asset_pairs,
            "OHLC": self._ohlc,
            "Trades": self._trades,
            "Ticker": self._ticker,
        }
        rest = [web.get(f"/0/public/{name}", self._rest(told)) for name, told in answers.items()]
        return [*rest, web.get("/v2", self._serve_v2)]

    # The market

    async def trade(
        self,
        symbol: str,
        price: str,
        quantity: str,
        side: str = "buy",
        *,
        at: datetime | None = None,
        tell: bool = True,
    ) -> Print:
        """Trade, remember it for REST and, unless it is lost on the way, tell it."""
        made = self.markets[symbol].trade(at or self.clock.now(), price, quantity, side)
        if tell:
            await self.tell_trades(symbol, [made])
        return made

    async def tell_trades(self, symbol: str, prints: list[Print]) -> None:
        rows = [made.frame(symbol) for made in prints]
        await self.push(f"trade@{symbol}", {"channel": "trade", "type": "update", "data": rows})

    async def repeat_trades(self, symbol: str, count: int) -> None:
        """Tell the newest trades again, as a subscription with a snapshot would."""
        rows = [made.frame(symbol) for made in self.markets[symbol].prints[-count:]]
        await self.push(f"trade@{symbol}", {"channel": "trade", "type": "snapshot", "data": rows})

    async def change_book(
        self, symbol: str, *, bids: dict[str, str] | None = None, asks: dict[str, str] | None = None
    ) -> None:
        """Set levels (a quantity of 0 takes one away) and tell each peer what changed for it."""
        market = self.markets[symbol]
        before = {depth: market.best(depth) for depth in _DEPTHS}
        for side, wanted in ((market.bids, bids or {}), (market.asks, asks or {})):
            for price, size in wanted.items():
                if Decimal(size):
                    side[Decimal(price)] = size
                else:
                    side.pop(Decimal(price), None)
        for depth in _DEPTHS:
            await self._tell_change(market, depth, before[depth])

    async def repeat_book(self, symbol: str) -> None:
        """Send the snapshot again, unasked."""
        for depth in _DEPTHS:
            await self.push(f"book@{symbol}@{depth}", self._snapshot(self.markets[symbol], depth))

    async def change_decimals(self, symbol: str, price_decimals: int) -> None:
        """Trade the pair in other ticks from now on; checksums are of the new digits at once."""
        self.markets[symbol].price_decimals = price_decimals

    async def heartbeat(self) -> None:
        for peer in list(self.peers):
            await peer.send({"channel": "heartbeat"})

    # The accidents

    def hold_frames(self) -> None:
        self._held = []

    async def release_frames(self) -> None:
        held, self._held = self._held or [], None
        for topic, message in held:
            await self.push(topic, message)

    async def push(self, topic: str, message: Any) -> None:
        if topic in self.mute or topic.rpartition("@")[0] in self.mute:
            return
        if self._held is not None:
            self._held.append((topic, message))
            return
        await super().push(topic, message)

    # The socket

    async def _serve_v2(self, request: web.Request) -> web.StreamResponse:
        return await self.serve_socket(request)

    async def obey(self, peer: Peer, command: dict[str, Any]) -> None:
        if self.silent:
            return
        match command.get("method"):
            case "ping":
                await peer.send({"method": "pong", **self._times(command)})
            case "subscribe" | "unsubscribe" as method:
                for symbol in command["params"].get("symbol", [""]):
                    await self._change_topic(peer, method, symbol, command)
            case method:
                await peer.send({"error": "Malformed request", "method": method, "success": False})

    async def _change_topic(
        self, peer: Peer, method: str, symbol: str, command: dict[str, Any]
    ) -> None:
        wanted = command["params"]
        channel, depth = wanted["channel"], wanted.get("depth", 10)
        topic = f"{channel}@{symbol}" + (f"@{depth}" if channel == "book" else "")
        refusal = self._refusal(peer, method, channel, symbol, depth, topic)
        answer: dict[str, Any] = {"method": method, **self._times(command)}
        if refusal is not None:
            await peer.send(answer | {"error": refusal, "success": False, "symbol": symbol})
            return
        result = {"channel": channel, "symbol": symbol}
        result |= {"depth": depth, "snapshot": True} if channel == "book" else {}
        peer.topics.symmetric_difference_update({topic})
        await peer.send(answer | {"result": result, "success": True})
        if method == "subscribe" and (first := self._first(channel, symbol, wanted)) is not None:
            await peer.send(first)

    def _refusal(
        self, peer: Peer, method: str, channel: str, symbol: str, depth: int, topic: str
    ) -> str | None:
        if channel not in _CHANNELS:
            return f"Unknown channel {channel}"
        if symbol and symbol not in self.markets:
            return f"Currency pair not supported {symbol}"
        if depth not in _DEPTHS:
            return "Subscription depth not supported"
        if (method == "subscribe") == (topic in peer.topics):
            return "Already subscribed" if method == "subscribe" else "Subscription Not Found"
        return None

    def _first(self, channel: str, symbol: str, wanted: dict[str, Any]) -> dict[str, Any] | None:
        """What a new subscription is told at once."""
        market = self.markets.get(symbol)
        if channel == "book" and market is not None:
            return self._snapshot(market, wanted.get("depth", 10))
        if channel == "trade" and market is not None and wanted.get("snapshot"):
            rows = [made.frame(symbol) for made in market.prints[-50:]]
            return {"channel": "trade", "type": "snapshot", "data": rows}
        if channel == "instrument":
            pairs = [
                {
                    "symbol": each.symbol,
                    "price_precision": each.price_decimals,
                    "status": each.status,
                }
                for each in self.markets.values()
            ]
            return {"channel": "instrument", "type": "snapshot", "data": {"pairs": pairs}}
        return None

    def _times(self, command: dict[str, Any]) -> dict[str, Any]:
        now = stamp(self.clock.now())
        times: dict[str, Any] = {"time_in": now, "time_out": now}
        return times | ({"req_id": command["req_id"]} if "req_id" in command else {})

    def _snapshot(self, market: Market, depth: int) -> dict[str, Any]:
        bids, asks = market.best(depth)
        row = {"symbol": market.symbol, "bids": levels(bids), "asks": levels(asks)}
        return {"channel": "book", "type": "snapshot", "data": [self._checked(market, row)]}

    def _checked(self, market: Market, row: dict[str, Any]) -> dict[str, Any]:
        thin = any(len(side) < _CHECKED for side in market.best(_CHECKED))
        if not (self.without_checksum or thin):
            row["checksum"] = market.checksum
        return row | {"timestamp": stamp(self.clock.now())}

    async def _tell_change(
        self, market: Market, depth: int, before: tuple[dict[Decimal, str], dict[Decimal, str]]
    ) -> None:
        topic = f"book@{market.symbol}@{depth}"
        if not self.listeners(topic):
            return
        bids, asks = market.best(depth)
        told = [
            levels(changed(before[0], bids, market.bids)),
            levels(changed(before[1], asks, market.asks)),
        ]
        if self.corrupt_next_book:
            self.corrupt_next_book = False
            next(filter(None, told))[0]["qty"] = number("0.12345678")
        row = {"symbol": market.symbol, "bids": told[0], "asks": told[1]}
        data = [self._checked(market, row)]
        await self.push(topic, {"channel": "book", "type": "update", "data": data})

    # REST

    def _rest(self, told: Callable[[dict[str, str]], Any]) -> Any:
        async def answer(request: web.Request) -> web.Response:
            if self.rest_fails is not None:
                failure = self.rest_fails
                return web.Response(
                    status=failure.status,
                    text=failure.body,
                    content_type=failure.content_type,
                    headers=failure.headers,
                )
            try:
                return json_response({"error": [], "result": told(dict(request.query))})
            except KeyError:
                return json_response({"error": ["EQuery:Unknown asset pair"]})

        return answer

    def _time(self, _: dict[str, str]) -> Any:
        now = self.clock.now()
        return {"unixtime": int(now.timestamp()), "rfc1123": now.strftime("%a, %d %b %y %T +0000")}

    def _system_status(self, _: dict[str, str]) -> Any:
        return {"status": "online", "timestamp": self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _assets(self, _: dict[str, str]) -> Any:
        names = {market.base for market in self.markets.values()}
        names |= {market.quote for market in self.markets.values()}
        return {
            name: {"aclass": "currency", "altname": name[1:], "decimals": 10, "status": "enabled"}
            for name in sorted(names)
        }

    def _asset_pairs(self, _: dict[str, str]) -> Any:
        return {market.pair: market.listing for market in self.markets.values()}

    def _ohlc(self, query: dict[str, str]) -> Any:
        market, minutes = self._named(query), int(query.get("interval", 1))
        rows = market.candles(minutes, self.clock.now())
        last = rows[-2][0] if len(rows) > 1 else 0
        rows = [row for row in rows if row[0] > int(query.get("since", 0))]
        return {market.pair: rows[-_MOST_CANDLES:], "last": last}

    def _trades(self, query: dict[str, str]) -> Any:
        market, since = self._named(query), int(query.get("since", 0))
        count = min(int(query.get("count", _MOST_TRADES)), _MOST_TRADES)
        found = [made for made in market.prints if made.nanoseconds > since][:count]
        last = found[-1].nanoseconds if found else since
        return {market.pair: [made.row for made in found], "last": str(last)}

    def _ticker(self, query: dict[str, str]) -> Any:
        market = self._named(query)
        last = market.prints[-1]
        return {market.pair: {"c": [last.price, last.quantity], "o": market.prints[0].price}}

    def _named(self, query: dict[str, str]) -> Market:
        return next(each for each in self.markets.values() if each.pair == query["pair"])
