"""Kraken's WebSocket v2: subscriptions, public and private channels, and commands."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import WSMsgType, web

from data.clock import Clock
from data.instrument import Symbol
from data.order_book import OrderBook
from sextant.rehearsal import stream_forms as forms
from sextant.rehearsal.booked import Execution
from sextant.rehearsal.exchange import Exchange
from sextant.rehearsal.faults import UNPROCESSED, Accident, Mischief, Shuffle
from sextant.rehearsal.keys import Keyring
from sextant.rehearsal.market import PairMarket, Print
from sextant.rehearsal.order_form import Declined, form_of_command
from sextant.rehearsal.rest_forms import Json
from sextant.rehearsal.trading import Trading
from sextant.rehearsal.wallet import Entry

_MOST_WAITING: Final = 10_000  # messages; a client that is slower is disconnected
_DEPTHS: Final = frozenset({10, 25, 100, 500, 1_000})
_INTERVALS: Final = frozenset({1, 5, 15, 30, 60, 240, 1_440})
_SNAPSHOT_TRADES: Final = 50
_SNAPSHOT_CANDLES: Final = 10
_BY_SYMBOL: Final = frozenset({"trade", "book", "ticker", "ohlc"})
_STEPS: Final = frozenset({"pending_new", "amended", "status"})  # between an order's new and end
_COMMANDS: Final = frozenset(
    {"add_order", "amend_order", "cancel_order", "cancel_all", "cancel_all_orders_after"}
)
_PRIVATE: Final = frozenset({"executions", "balances"})


class Letter(NamedTuple):
    """A message on its way out."""

    text: bytes
    delay: timedelta
    is_public: bool  # it says nothing of the account


class Peer:
    """One client's socket; `topics` by what names them."""

    def __init__(self, socket: web.WebSocketResponse, mischief: Mischief) -> None:
        self.socket = socket
        self.topics: dict[str, Json] = {}
        self.outbox: asyncio.Queue[Letter | None] = asyncio.Queue(_MOST_WAITING)
        self._mischief = mischief
        self._shuffle = Shuffle(mischief, self._send_late)
        self._sequences: dict[str, int] = {}

    def send(
        self, message: Json, *, delay: timedelta = timedelta(0), is_public: bool = False
    ) -> None:
        """Say it, in turn; a client that does not listen is disconnected."""
        try:
            self.outbox.put_nowait(Letter(orjson.dumps(message), delay, is_public))
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        """End the connection, without what still waits."""
        while not self.outbox.empty():
            self.outbox.get_nowait()
        self.outbox.put_nowait(None)

    def numbered(self, channel: str, message: Json) -> Json:
        """A private message with the next number of its channel."""
        self._sequences[channel] = self._sequences.get(channel, 0) + 1
        return message | {"sequence": self._sequences[channel]}

    def tell_private(self, channel: str, message: Json) -> None:
        """Say it by way of what may befall an event."""
        self._shuffle.tell(self.numbered(channel, message))
        if self._mischief.happens(self._mischief.faults.sockets_closed):
            self.close()

    def _send_late(self, message: Json) -> None:
        self.send(message, delay=self._mischief.delay(self._mischief.faults.event_delay))


class Sockets:
    """Every socket, public and private: the two differ in nothing but what clients ask of them.

    Of the account nothing is said before it is kept. While `silent`, sockets stay open and nothing
    is said over them, not even a pong.
    """

    def __init__(
        self,
        *,
        exchange: Exchange,
        trading: Trading,
        keyring: Keyring,
        mischief: Mischief,
        clock: Clock,
        catch_up: Callable[[], None],
        keep: Callable[[], Awaitable[None]],
    ) -> None:
        self.silent = False
        self.peers: set[Peer] = set()
        self._exchange = exchange
        self._commands = trading.methods
        self._keyring = keyring
        self._mischief = mischief
        self._clock = clock
        self._catch_up = catch_up
        self._keep = keep
        self._connection_ids = itertools.count(1)
        self._entries = len(exchange.wallet.entries)
        exchange.listeners.append(self._tell_execution)
        exchange.balance_listeners.append(self._tell_balances)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        peer = Peer(socket, self._mischief)
        self.peers.add(peer)
        self._send(peer, _status(next(self._connection_ids)))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(peer), name="rehearsal-socket-writer")
                await self._read(peer)
        finally:
            self.peers.discard(peer)
        return socket

    async def _read(self, peer: Peer) -> None:
        async for message in peer.socket:
            if message.type is WSMsgType.TEXT and not self.silent:
                self._obey(peer, message.data)
        peer.close()

    async def _write(self, peer: Peer) -> None:
        while (letter := await peer.outbox.get()) is not None:
            await self._clock.sleep(letter.delay)
            if not letter.is_public:
                await self._keep()
            try:
                await peer.socket.send_str(letter.text.decode())
            except ConnectionError:
                break
        await peer.socket.close()

    def close_all(self) -> None:
        for peer in list(self.peers):
            peer.close()

    def heartbeat(self) -> None:
        for peer in self.peers:
            if peer.topics:
                self._send(peer, {"channel": "heartbeat"}, is_public=True)

    def tell_market(self, made: Print, market: PairMarket, before: OrderBook) -> None:
        """Tell a trade of others, and what it changed."""
        for peer in list(self.peers):
            for topic in list(peer.topics.values()):
                if topic.get("symbol") == market.listing.symbol:
                    message = self._update(topic, made, market, before)
                    if message is not None:
                        self._send(peer, message, is_public=True)

    def _update(
        self, topic: Json, made: Print, market: PairMarket, before: OrderBook
    ) -> Json | None:
        listing = market.listing
        match topic["channel"]:
            case "trade":
                return _update("trade", [forms.trade_row(made, listing)])
            case "ticker":
                return _update("ticker", [forms.ticker_row(market, made.trade.at)])
            case "ohlc":
                candle = market.candles(topic["interval"], made.trade.at, most=1)[-1]
                row = forms.candle_row(candle, listing, topic["interval"])
                return _update("ohlc", [row]) | {"timestamp": forms.stamp(made.trade.at)}
            case "book":
                change = forms.book_update(listing, before, market.book, topic["depth"])
                return _update("book", [change]) if change is not None else None
        return None

    # Private channels

    def _tell_execution(self, happened: Execution) -> None:
        row = forms.execution_row(happened)
        for peer in list(self.peers):
            topic = peer.topics.get("executions")
            if topic is None or self.silent:
                continue
            if topic["order_status"] or happened.kind not in _STEPS:
                peer.tell_private("executions", _update("executions", [row]))

    def _tell_balances(self, entries: Sequence[Entry]) -> None:
        first, self._entries = self._entries + 1, self._entries + len(entries)
        rows = [forms.balance_row(entry, n) for n, entry in enumerate(entries, start=first)]
        for peer in list(self.peers):
            if "balances" in peer.topics and not self.silent:
                peer.tell_private("balances", _update("balances", rows))

    # Commands

    def _obey(self, peer: Peer, text: str) -> None:
        self._catch_up()
        try:
            command = orjson.loads(text)
            method = command.get("method")
        except (orjson.JSONDecodeError, AttributeError):
            self._send(peer, {"error": "Malformed request", "success": False})
            return
        match method:
            case "ping":
                self._send(peer, {"method": "pong", **self._times(command)})
            case "subscribe" | "unsubscribe":
                self._change_topics(peer, method, command)
            case str() if method in _COMMANDS:
                self._trade(peer, command)
            case _:
                self._refuse(peer, command, "Event(s) not found")

    def _trade(self, peer: Peer, command: Json) -> None:
        """Do what a command asks; each order of a cancel is answered by itself."""
        method, params = command["method"], command.get("params") or {}
        for name, form in _forms_of_command(method, params):
            accident = self._mischief.strike(name)
            if accident in UNPROCESSED:
                if accident is not Accident.DROP_REQUEST:
                    self._refuse(peer, command, "EService:Unavailable")
                continue
            try:
                self._keyring.require_token(params.get("token"), self._exchange.now)
                result = self._commands[name](form)
            except Declined as refusal:
                self._refuse(peer, command, str(refusal))
                continue
            if accident in (Accident.NONE, Accident.LATE):  # only REST is late
                done = {"result": _result(method, form, result), "success": True}
                self._send(peer, {"method": method, **done, **self._times(command)})

    def _change_topics(self, peer: Peer, method: str, command: Json) -> None:
        params = command.get("params") or {}
        channel = params.get("channel")
        symbols = params.get("symbol") or [None] if channel in _BY_SYMBOL else [None]
        for symbol in symbols:
            try:
                topic = self._topic(channel, symbol, params)
            except Declined as refusal:
                self._refuse(peer, command, str(refusal), symbol)
                continue
            self._change_topic(peer, method, topic, command)

    def _topic(self, channel: object, symbol: object, params: Json) -> Json:
        """What a subscription is to.

        Raises:
            Declined: there is no such channel, pair, depth or interval; or the token is none.
        """
        if channel in _PRIVATE:
            self._keyring.require_token(params.get("token"), self._exchange.now)
            told = {"order_status": params.get("order_status", True)}
            return {"channel": channel} | (told if channel == "executions" else {})
        if channel == "instrument":
            return {"channel": channel}
        if channel not in _BY_SYMBOL:
            raise Declined("Subscription name invalid")
        if not isinstance(symbol, str) or symbol not in self._exchange.markets:
            raise Declined(f"Currency pair not supported {symbol}")
        topic: Json = {"channel": channel, "symbol": symbol}
        if channel == "book":
            topic["depth"] = _one_of(params.get("depth", 10), _DEPTHS, "Subscription depth")
        if channel == "ohlc":
            topic["interval"] = _one_of(
                params.get("interval", 1), _INTERVALS, "Subscription ohlc interval"
            )
        return topic

    def _change_topic(self, peer: Peer, method: str, topic: Json, command: Json) -> None:
        name = _topic_name(topic)
        if (method == "subscribe") == (name in peer.topics):
            text = "Already subscribed" if method == "subscribe" else "Subscription Not Found"
            self._refuse(peer, command, text, topic.get("symbol"))
            return
        params = command["params"]
        result = topic | {"snapshot": params.get("snapshot", True)}
        self._send(
            peer, {"method": method, "result": result, "success": True, **self._times(command)}
        )
        if method == "unsubscribe":
            del peer.topics[name]
            return
        peer.topics[name] = topic
        for message in self._snapshots(topic, params):
            channel = topic["channel"]
            self._send(peer, peer.numbered(channel, message) if channel in _PRIVATE else message)

    def _snapshots(self, topic: Json, params: Json) -> list[Json]:
        match topic["channel"]:
            case "executions":
                return self._executions_snapshots(params)
            case "balances":
                rows = forms.balances_snapshot(self._exchange.wallet.balances)
                return [_snapshot("balances", rows)]
            case "instrument":
                listings = self._exchange.register.listings
                return [_snapshot("instrument", forms.instrument_snapshot(listings))]
            case channel if params.get("snapshot", channel != "trade"):
                return [self._market_snapshot(topic)]
        return []

    def _executions_snapshots(self, params: Json) -> list[Json]:
        """The newest fills, and the open orders, each in a message of its own."""
        exchange, told = self._exchange, []
        if params.get("snap_trades", False):
            newest = list(exchange.trades.values())[-_SNAPSHOT_TRADES:]
            rows = [forms.trade_execution_row(t, exchange.orders[t.order]) for t in newest]
            told.append(_snapshot("executions", rows))
        if params.get("snap_orders", True):
            orders = exchange.open_orders()
            told.append(_snapshot("executions", [forms.snapshot_row(each) for each in orders]))
        return told

    def _market_snapshot(self, topic: Json) -> Json:
        market, now = self._exchange.markets[Symbol(topic["symbol"])], self._exchange.now
        listing = market.listing
        match topic["channel"]:
            case "trade":
                newest = list(market.prints)[-_SNAPSHOT_TRADES:]
                return _snapshot("trade", [forms.trade_row(made, listing) for made in newest])
            case "ohlc":
                minutes = topic["interval"]
                candles = market.candles(minutes, now, most=_SNAPSHOT_CANDLES)
                rows = [forms.candle_row(candle, listing, minutes) for candle in candles]
                return _snapshot("ohlc", rows) | {"timestamp": forms.stamp(now)}
            case "book":
                row = forms.book_snapshot(listing, market.book, topic["depth"])
                return _snapshot("book", [row])
        return _snapshot("ticker", [forms.ticker_row(market, now)])

    def _refuse(self, peer: Peer, command: Json, text: str, symbol: object = None) -> None:
        answer = {"error": text, "method": command.get("method"), "success": False}
        about = {"symbol": symbol} if symbol is not None else {}
        self._send(peer, answer | about | self._times(command))

    def _times(self, command: Json) -> Json:
        now = forms.stamp(self._exchange.now)
        times: Json = {"time_in": now, "time_out": now}
        return times | ({"req_id": command["req_id"]} if "req_id" in command else {})

    def _send(self, peer: Peer, message: Json, *, is_public: bool = False) -> None:
        if not self.silent:
            peer.send(message, is_public=is_public)


def _status(connection_id: int) -> Json:
    row = {
        "version": "2.0.10",
        "system": "online",
        "api_version": "v2",
        "connection_id": connection_id,
    }
    return _update("status", [row])


def _update(channel: str, rows: Sequence[Json]) -> Json:
    return {"channel": channel, "type": "update", "data": rows}


def _snapshot(channel: str, data: Any) -> Json:
    return {"channel": channel, "type": "snapshot", "data": data}


def _topic_name(topic: Json) -> str:
    return "@".join(str(part) for part in topic.values()) if "symbol" in topic else topic["channel"]


def _one_of(value: object, known: frozenset[int], name: str) -> int:
    if not isinstance(value, int) or value not in known:
        raise Declined(f"{name} not supported")
    return value


def _forms_of_command(method: str, params: Json) -> list[tuple[str, dict[str, str]]]:
    """The requests of REST that a command comes to; a cancel can name many orders."""
    match method:
        case "add_order":
            return [("AddOrder", form_of_command(params))]
        case "amend_order":
            return [("AmendOrder", _amendment(params))]
        case "cancel_order":
            ids = [{"txid": txid} for txid in params.get("order_id") or ()]
            ids += [{"cl_ord_id": name} for name in params.get("cl_ord_id") or ()]
            return [("CancelOrder", form) for form in ids]
        case "cancel_all":
            return [("CancelAll", {})]
    return [("CancelAllOrdersAfter", {"timeout": str(params.get("timeout", ""))})]


def _amendment(params: Json) -> dict[str, str]:
    named = {"order_id": "txid", "order_qty": "order_qty", "cl_ord_id": "cl_ord_id"}
    named |= {name: name for name in ("limit_price", "trigger_price", "post_only", "deadline")}
    given = {ours: params[theirs] for theirs, ours in named.items() if theirs in params}
    return {
        name: str(value).lower() if isinstance(value, bool) else f"{value}"
        for name, value in given.items()
    }


def _result(method: str, form: Mapping[str, str], result: Json) -> Json:
    named = {"cl_ord_id": form["cl_ord_id"]} if "cl_ord_id" in form else {}
    match method:
        case "add_order":
            return named | ({"order_id": result["txid"][0]} if "txid" in result else {})
        case "amend_order" | "cancel_order":
            amended = {name: result[name] for name in ("amend_id",) if name in result}
            return named | amended | ({"order_id": form["txid"]} if "txid" in form else {})
    return dict(result)
