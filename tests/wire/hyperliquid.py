"""Hyperliquid on loopback: REST at /info, sockets at /ws, and /exchange, which nobody may call.

Answers have the shape of `hyperliquid_info`, frames that of `hyperliquid_btc_20250126`; weights
are those of the venue's documentation.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from data.bar import Timeframe
from data.clock import Clock
from tests.wire.binance import milliseconds
from tests.wire.candles import Candle, candles
from tests.wire.loopback import LoopbackServer, Peer, json_response

_RECENT = 10  # trades in an answer to recentTrades, and at the start of a subscription
_MOST_FUNDINGS = 500
_CANDLES_KEPT = 5000
_LIGHT = {"l2Book", "allMids", "exchangeStatus"}


@dataclass(slots=True, kw_only=True)
class Coin:
    """One perpetual as the venue remembers it; what is here is what REST tells."""

    name: str
    decimals: int
    max_leverage: int = 50
    mark: str = "0"
    trades: list[dict[str, Any]] = field(default_factory=list)
    bids: list[dict[str, Any]] = field(default_factory=list)
    asks: list[dict[str, Any]] = field(default_factory=list)
    book_ms: int = 0
    candles: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # for the trades'
    funding: list[dict[str, Any]] = field(default_factory=list)
    rate: str = "0.0000125"
    delisted: bool = False


class HyperliquidServer(LoopbackServer):
    """The venue. The test makes the market; `tell=False` is what is lost on the way."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        coins = (
            Coin(name="BTC", decimals=5, mark="105055.0"),
            Coin(name="ETH", decimals=4, mark="3301.5", max_leverage=25),
            Coin(name="kPEPE", decimals=0, mark="0.0169875", max_leverage=10),
        )
        self.coins = {coin.name: coin for coin in coins}
        self.used_weight = 0
        self.recent_on_subscribing = True
        self._tid = 222_563_506_900_999

    @property
    def now_ms(self) -> int:
        return milliseconds(self.clock.now())

    @property
    def urls(self) -> dict[str, Any]:
        """What replaces the venue's addresses in the client."""
        http = f"http://127.0.0.1:{self.port}"
        socket = f"ws://127.0.0.1:{self.port}/ws"
        return {"public": http, "private": http, "ws": {"public": socket}}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/info", self._info),
            web.post("/exchange", self._exchange),
            web.get("/ws", self.serve_socket),
        ]

    async def obey(self, peer: Peer, command: dict[str, Any]) -> None:
        if self.silent:
            return
        if command["method"] == "ping":
            await peer.send({"channel": "pong"})
            return
        wish = command["subscription"]
        topic = f"{wish['type']}:{wish['coin']}"
        if (command["method"] == "subscribe") == (topic in peer.topics):
            done = "subscribed" if topic in peer.topics else "unsubscribed"
            text = f"Already {done}: {orjson.dumps(wish).decode()}"
            await peer.send({"channel": "error", "data": text})
            return
        await peer.send({"channel": "subscriptionResponse", "data": command})
        if command["method"] == "unsubscribe":
            peer.topics.remove(topic)
            return
        peer.topics.add(topic)
        if (first := self._first_frame(wish["type"], self.coins[wish["coin"]])) is not None:
            await peer.send(first)

    async def trade(
        self,
        coin: str,
        price: str,
        size: str,
        *,
        side: str = "B",
        at_ms: int | None = None,
        users: tuple[str, str] = ("0xb0b", "0xa11ce"),
        tell: bool = True,
    ) -> dict[str, Any]:
        """Trade, remember it for REST and, unless it is lost on the way, tell it.

        `side` is the taker's, B or A; `users` are buyer and seller. Ids hop: on this venue they
        are hashes.
        """
        self._tid = self._tid * 6364136223846793005 % 2**50
        row = {
            "coin": coin,
            "side": side,
            "px": price,
            "sz": size,
            "time": self.now_ms if at_ms is None else at_ms,
            "hash": "0x0ff19342ba596ab37537041c922bf501dd00477928f649b966f4bd0d5a0a8d2e",
            "tid": self._tid,
            "users": list(users),
        }
        self.coins[coin].trades.append(row)
        if tell:
            await self.tell_trades(coin, [row])
        return row

    async def repeat_trades(self, coin: str, count: int) -> None:
        """Tell the newest trades again."""
        await self.tell_trades(coin, self.coins[coin].trades[-count:])

    async def tell_trades(self, coin: str, rows: list[dict[str, Any]]) -> None:
        await self.push(f"trades:{coin}", {"channel": "trades", "data": rows})

    async def change_book(
        self, coin: str, *, bids: dict[str, str] | None = None, asks: dict[str, str] | None = None
    ) -> None:
        """Set levels (a quantity of 0 takes one away) and tell the whole book."""
        market = self.coins[coin]
        sides = []
        for side, wanted, sign in ((market.bids, bids, -1), (market.asks, asks, 1)):
            known = {level["px"]: level["sz"] for level in side} | (wanted or {})
            left = [(price, size) for price, size in known.items() if float(size)]
            sides.append(sorted(left, key=lambda level: sign * float(level[0])))
        await self.set_book(coin, *sides)

    async def set_book(
        self,
        coin: str,
        bids: list[tuple[str, str]],
        asks: list[tuple[str, str]],
        *,
        at_ms: int | None = None,
    ) -> None:
        """The whole book anew, best first, as this venue tells every change."""
        market = self.coins[coin]
        market.book_ms = self.now_ms if at_ms is None else at_ms
        market.bids = [{"px": price, "sz": size, "n": 1} for price, size in bids]
        market.asks = [{"px": price, "sz": size, "n": 1} for price, size in asks]
        await self.push(f"l2Book:{coin}", self._book_frame(market))

    async def tell_funding(self, coin: str, *, rate: str, mark: str) -> None:
        market = self.coins[coin]
        market.rate, market.mark = rate, mark
        await self.push(f"activeAssetCtx:{coin}", _context_frame(market))

    def _first_frame(self, kind: str, coin: Coin) -> dict[str, Any] | None:
        if kind == "trades":
            recent = coin.trades[-_RECENT:] if self.recent_on_subscribing else []
            return {"channel": "trades", "data": recent} if recent else None
        if kind == "l2Book":
            return self._book_frame(coin) if coin.bids or coin.asks else None
        return _context_frame(coin) if kind == "activeAssetCtx" else None

    def _book_frame(self, coin: Coin) -> dict[str, Any]:
        return {"channel": "l2Book", "data": self._book(coin)}

    def _book(self, coin: Coin) -> dict[str, Any]:
        return {"coin": coin.name, "time": coin.book_ms, "levels": [coin.bids, coin.asks]}

    async def _exchange(self, _: web.Request) -> web.Response:
        return json_response({"status": "err", "response": "nobody here may call this"})

    async def _info(self, request: web.Request) -> web.Response:
        query = orjson.loads(await request.read())
        kind = query["type"]
        answers = {
            "meta": self._meta,
            "metaAndAssetCtxs": lambda _: [self._meta(_), [_context(c) for c in self._listed()]],
            "spotMeta": lambda _: {"tokens": [], "universe": []},
            "exchangeStatus": lambda _: {"specialStatuses": None, "time": self.now_ms},
            "l2Book": lambda query: self._book(self.coins[query["coin"]]),
            "recentTrades": self._recent_trades,
            "candleSnapshot": self._candles,
            "fundingHistory": self._funding_history,
        }
        if kind not in answers or query.get("coin", "BTC") not in self.coins:
            return json_response(None, status=500)  # what the venue says to what it does not know
        answer = answers[kind](query)
        self.used_weight += _weight(kind, answer)
        return json_response(answer)

    def _listed(self) -> list[Coin]:
        return list(self.coins.values())

    def _meta(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"universe": [_listing(coin) for coin in self._listed()]}

    def _recent_trades(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        return self.coins[query["coin"]].trades[-_RECENT:][::-1]  # newest first

    def _candles(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        wish = query["req"]
        coin, size = self.coins[wish["coin"]], wish["interval"]
        rows = coin.candles.get(size) or _candles_of(coin, Timeframe(size), self.now_ms)
        rows = rows[-_CANDLES_KEPT:]
        return [row for row in rows if wish["startTime"] <= row["t"] <= wish["endTime"]]

    def _funding_history(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        rows = self.coins[query["coin"]].funding
        until = query.get("endTime", self.now_ms)
        return [r for r in rows if query["startTime"] <= r["time"] <= until][:_MOST_FUNDINGS]


def _candles_of(coin: Coin, size: Timeframe, now_ms: int) -> list[dict[str, Any]]:
    trades = [(row["time"], row["px"], row["sz"]) for row in coin.trades]
    length_ms = int(size.delta.total_seconds()) * 1_000
    made = candles(trades, length_ms, now_ms)
    return [_candle(coin.name, size, candle, length_ms) for candle in made]


def _candle(coin: str, size: Timeframe, candle: Candle, length_ms: int) -> dict[str, Any]:
    row = {"t": candle.opened_ms, "T": candle.opened_ms + length_ms - 1, "s": coin}
    row |= {"i": size.value, "o": candle.open, "h": candle.high, "l": candle.low}
    return row | {"c": candle.close, "v": candle.volume, "n": candle.trades}


def _weight(kind: str, answer: Any) -> int:
    if kind in _LIGHT:
        return 2
    extra = {"recentTrades": 20, "fundingHistory": 20, "candleSnapshot": 60}.get(kind)
    return 20 + (len(answer) // extra if extra else 0)


def _listing(coin: Coin) -> dict[str, Any]:
    listing = {"name": coin.name, "szDecimals": coin.decimals, "maxLeverage": coin.max_leverage}
    return listing | ({"isDelisted": True} if coin.delisted else {})


def _context(coin: Coin) -> dict[str, Any]:
    return {
        "dayNtlVlm": "1169046.29406",
        "prevDayPx": coin.mark,
        "markPx": coin.mark,
        "midPx": coin.mark,
        "oraclePx": coin.mark,
        "funding": coin.rate,
        "openInterest": "688.11",
        "premium": "0.00031774",
        "impactPxs": [coin.mark, coin.mark],
    }


def _context_frame(coin: Coin) -> dict[str, Any]:
    return {"channel": "activeAssetCtx", "data": {"coin": coin.name, "ctx": _context(coin)}}
