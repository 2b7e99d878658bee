"""Hyperliquid on loopback for one account: /info, /exchange and /ws.

What is signed is checked as the venue does: by the address that the signature recovers to, by its
nonce and by its term. `wrongs` lists what no client of ours may ever send; actions other than
those that trade are among it.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ccxt
import coincurve
import orjson
from aiohttp import web
from ccxt.static_dependencies import keccak, msgpack

from sextant.rehearsal.faults import (
    ANSWERED_BADLY,
    NO_FAULTS,
    UNPROCESSED,
    Accident,
    Mischief,
    Shuffle,
)
from tests.fakes_hyperliquid_account import COINS, LEVERAGE, HyperliquidAccount
from tests.wire.loopback import LoopbackServer, Peer, json_response

AGENT_KEY = "11" * 32
MASTER_KEY = "22" * 32
DAY_MS = 86_400_000
PAGE = 2_000
TRANSFERS = "userNonFundingLedgerUpdates"
CHANNELS = ("orderUpdates", "userFills", TRANSFERS)
STATUS = {Accident.REFUSE_503: 503, Accident.REFUSE_429: 429, Accident.FAIL_AFTER: 502}
LOST = (Accident.DROP_REQUEST, Accident.DROP_ANSWER)
ORDER_FIELDS = [["a", "b", "p", "s", "r", "t", "c"], ["a", "b", "p", "s", "r", "t"]]
CLOID = re.compile(r"0x[0-9a-f]{32}")
NUMBER = re.compile(r"(0|[1-9]\d*)(\.\d*[1-9])?")


def address_of(private_key: str) -> str:
    return ccxt.Exchange.eth_get_address_from_private_key(f"0x{private_key}").lower()


def hashed(data: bytes) -> bytes:
    return bytes(keccak.SHA3(data))


def signer_of(request: dict[str, Any], *, source: str) -> str:
    """The address whose key has signed an action: EIP-712, of an agent over the action's hash."""
    data = msgpack.packb(request["action"]) + request["nonce"].to_bytes(8, "big") + b"\x00"
    if "expiresAfter" in request:
        data += b"\x00" + request["expiresAfter"].to_bytes(8, "big")
    domain = hashed(
        hashed(
            b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        )
        + hashed(b"Exchange")
        + hashed(b"1")
        + (1337).to_bytes(32, "big")
        + bytes(32)
    )
    agent = hashed(b"Agent(string source,bytes32 connectionId)") + hashed(source.encode())
    digest = hashed(b"\x19\x01" + domain + hashed(agent + hashed(data)))
    signature = request["signature"]
    r, s = (int(signature[part], 16).to_bytes(32, "big") for part in "rs")
    recoverable = r + s + bytes([signature["v"] - 27])
    key = coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    return f"0x{hashed(key.format(compressed=False)[1:])[-20:].hex()}"


class HyperliquidVenueServer(LoopbackServer):
    """The venue, with one account that has approved one agent."""

    def __init__(self, clock: Any, *, usdc: str = "10000", source: str = "a") -> None:
        super().__init__()
        self.clock = clock
        self.source = source
        self.agent, self.master = address_of(AGENT_KEY), address_of(MASTER_KEY)
        self.roles = {
            self.agent: {"role": "agent", "data": {"user": self.master}},
            self.master: {"role": "user"},
        }
        self.abstraction = "default"
        self.account = HyperliquidAccount(clock, Decimal(usdc), self._tell)
        self.actions: list[dict[str, Any]] = []  # whose signature was good
        self.signers: list[str] = []
        self.wrongs: list[Any] = []
        self.most_actions = 10_000
        self.may_switch = True
        self.refuses_duplicates = False
        self.answers_instead: list[Any] = []  # to orders that are processed all the same
        self.old_middles: dict[str, str] = {}  # told in place of the present ones
        self.hides_orders = 0  # so many questions after orders are answered as if there were none
        self.info_weight = 0
        self.mischief = Mischief(NO_FAULTS)
        self.page = PAGE
        self._nonces: list[int] = []
        self._shuffles: dict[Peer, Shuffle] = {}
        self._outboxes: dict[Peer, asyncio.Queue[tuple[timedelta, Any] | None]] = {}
        self._go_on = asyncio.Event()
        self._go_on.set()

    @property
    def urls(self) -> dict[str, Any]:
        http = f"http://127.0.0.1:{self.port}"
        return {
            "public": http,
            "private": http,
            "ws": {"public": f"ws://127.0.0.1:{self.port}/ws"},
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/info", self._info),
            web.post("/exchange", self._exchange),
            web.get("/ws", self.serve_socket),
        ]

    # What a test can do

    @property
    def is_heard(self) -> bool:
        return all(self.listeners(f"{channel}:{self.master}") for channel in CHANNELS)

    async def trade(self, coin: str, price: str, quantity: str = "0") -> None:
        self.account.trade(coin, Decimal(price), Decimal(quantity))

    async def pass_time(self, now_ms: int) -> None:
        self.account.pass_time(now_ms)

    async def place(self, wire: dict[str, Any]) -> dict[str, Any]:
        """An order of the account that somebody else has placed."""
        return self.account.place(wire)

    def next(self, *accidents: Accident) -> None:
        """What becomes of the next actions."""
        self.mischief.order("exchange", *accidents)

    def next_info(self, *accidents: Accident) -> None:
        self.mischief.order("info", *accidents)

    @property
    def placed(self) -> list[str]:
        """The cloids of the orders that were taken, oldest first."""
        return [
            order.wire.get("c")
            for order in self.account.orders.values()
            if not order.status.lower().endswith("rejected")
        ]

    def let_go(self) -> None:
        """Answer what hangs."""
        self._go_on.set()

    @property
    def hangs(self) -> bool:
        return not self._go_on.is_set()

    async def deafen(self) -> None:
        self.let_go()
        await super().deafen()

    def hang_up(self) -> None:
        """Close every socket, after what is to be said over it."""
        for outbox in self._outboxes.values():
            outbox.put_nowait(None)

    # Sockets

    @asynccontextmanager
    async def beside(self, peer: Peer) -> AsyncIterator[None]:
        self._outboxes[peer] = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(self._tell_all(peer))
                yield
                telling.cancel()
        finally:
            del self._outboxes[peer]
            self._shuffles.pop(peer, None)

    async def _tell_all(self, peer: Peer) -> None:
        while (letter := await self._outboxes[peer].get()) is not None:
            delay, message = letter
            await self.clock.sleep(delay)
            await peer.send(message)
        await peer.socket.close()

    async def obey(self, peer: Peer, command: dict[str, Any]) -> None:
        if self.silent:
            return
        if command["method"] == "ping":
            await peer.send({"channel": "pong"})
            return
        wish = command["subscription"]
        if wish["type"] not in CHANNELS or wish["user"] != self.master:
            self.wrongs.append(command)
        topic = f"{wish['type']}:{wish['user']}"
        await peer.send({"channel": "subscriptionResponse", "data": command})
        if command["method"] == "unsubscribe":
            peer.topics.discard(topic)
            return
        self._shuffles.setdefault(peer, Shuffle(self.mischief, self._sender(peer)))
        if wish["type"] == "userFills":
            fills = sorted(self.account.history(), key=lambda row: -row["time"])[:PAGE]
            data = {"isSnapshot": True, "user": self.master, "fills": fills}
            await peer.send({"channel": "userFills", "data": data})
        if wish["type"] == TRANSFERS:
            data = {"isSnapshot": True, "user": self.master, "nonFundingLedgerUpdates": []}
            await peer.send({"channel": TRANSFERS, "data": data})
        peer.topics.add(topic)

    def _sender(self, peer: Peer) -> Callable[[Any], None]:
        def send(message: Any) -> None:
            faults, outbox = self.mischief.faults, self._outboxes[peer]
            outbox.put_nowait((self.mischief.delay(faults.event_delay), message))
            if self.mischief.happens(faults.sockets_closed):
                outbox.put_nowait(None)

        return send

    async def deposit(self, usdc: str) -> None:
        """Money comes from elsewhere."""
        self.account.books._balances["USDC"] += Decimal(usdc)
        row = {
            "time": self.account.now_ms,
            "hash": "0x0",
            "delta": {"type": "deposit", "usdc": usdc},
        }
        data = {"user": self.master, "nonFundingLedgerUpdates": [row]}
        for peer in self.peers:
            if f"{TRANSFERS}:{self.master}" in peer.topics:
                await peer.send({"channel": TRANSFERS, "data": data})

    def _tell(self, channel: str, row: dict[str, Any]) -> None:
        fills = {"user": self.master, "fills": [row]}
        message = {"channel": channel, "data": fills if channel == "userFills" else [row]}
        for peer in () if self.silent else self.peers:
            if f"{channel}:{self.master}" in peer.topics:
                self._shuffles[peer].tell(orjson.dumps(message).decode())

    # Requests

    async def _exchange(self, request: web.Request) -> web.Response:
        body = await request.json()
        return await self._processed(request, "exchange", lambda: self._act(body))

    async def _info(self, request: web.Request) -> web.Response:
        query = await request.json()
        return await self._processed(request, "info", lambda: self._answer(query))

    async def _processed(
        self, request: web.Request, method: str, work: Callable[[], Any]
    ) -> web.Response:
        accident = self.mischief.strike(method)
        if accident in UNPROCESSED:
            return _befallen(request, accident)
        if accident is Accident.LATE:
            await self.clock.sleep(self.mischief.delay(self.mischief.faults.lateness_delay))
        self.account.pass_time(self.account.now_ms)
        answer = work()
        if accident is Accident.HANG:
            self._go_on.clear()
            await self._go_on.wait()
        elif accident in ANSWERED_BADLY:
            return _befallen(request, accident)
        await self.clock.sleep(self.mischief.delay(self.mischief.faults.answer_delay))
        return answer if isinstance(answer, web.Response) else json_response(answer)

    def _act(self, request: dict[str, Any]) -> Any:
        action = request["action"]
        signer = signer_of(request, source=self.source)
        self.signers.append(signer)
        if signer != self.agent:
            return _err(f"User or API Wallet {signer} does not exist.")
        if (flaw := self._stale(request)) is not None:
            return _err(flaw)
        self._nonces = sorted([*self._nonces, request["nonce"]])[-100:]
        self.actions.append(action)
        known = {
            "order": self._order,
            "cancel": self._cancel,
            "cancelByCloid": self._cancel,
            "scheduleCancel": self._schedule,
            "updateLeverage": self._leverage,
        }
        if action["type"] not in known or request.keys() - {
            "action", "nonce", "signature", "expiresAfter"
        }:  # fmt: skip
            self.wrongs.append(request)
            return _err("Invalid action")
        if len(self.actions) > self.most_actions:
            counts = f"({len(self.actions)} > {self.most_actions})"
            return _err(f"Too many cumulative requests sent {counts} for cumulative volume $0.0.")
        return known[action["type"]](action)

    def _stale(self, request: dict[str, Any]) -> str | None:
        nonce, now = request["nonce"], self.account.now_ms
        if nonce in self._nonces:
            return "Invalid nonce: duplicate nonce"
        if len(self._nonces) == 100 and nonce < self._nonces[0]:
            return "Invalid nonce: below the smallest of the last 100"
        if not now - 2 * DAY_MS < nonce < now + DAY_MS:
            return "Invalid nonce: too far from now"
        if request.get("expiresAfter", now) < now:
            return "Action expired"
        return None

    def _order(self, action: dict[str, Any]) -> Any:
        (wire,) = action["orders"]
        if list(action) != ["type", "orders", "grouping"] or not _is_order(wire):
            self.wrongs.append(action)
            return web.Response(status=422, text="Failed to deserialize the JSON body")
        known = self.account.find(wire["c"])
        if self.refuses_duplicates and known is not None:
            status: Any = {"error": "Order has a cloid that is in use"}
        else:
            status = self.account.place(wire)
        if self.answers_instead:
            return self.answers_instead.pop(0)
        return _ok("order", {"statuses": [status]})

    def _cancel(self, action: dict[str, Any]) -> Any:
        handles = [row.get("cloid") or row.get("o") for row in action["cancels"]]
        return _ok("cancel", {"statuses": [self.account.cancel(handle) for handle in handles]})

    def _schedule(self, action: dict[str, Any]) -> Any:
        if not self.may_switch:
            return _err(
                "Cannot set scheduled cancel time until enough volume traded."
                " Required: $1000000. Traded: $373.47205."
            )
        at = action.get("time")
        if at is not None and at < self.account.now_ms + 5_000:
            return _err("Scheduled cancel time too early")
        self.account.cancels_all_at = at
        return {"status": "ok", "response": {"type": "default"}}

    def _leverage(self, action: dict[str, Any]) -> Any:
        if action["leverage"] > LEVERAGE:
            return _err("Invalid leverage value")
        return {"status": "ok", "response": {"type": "default"}}

    def _answer(self, query: dict[str, Any]) -> Any:
        answers = {
            "metaAndAssetCtxs": lambda _: _universe(self.account.last),
            "allMids": lambda _: self._middles(),
            "userRole": lambda query: self.roles.get(query["user"], {"role": "missing"}),
        }
        of_account = {
            "orderStatus": self._order_status,
            "frontendOpenOrders": lambda _: self._open_orders(),
            "userFillsByTime": self._fills_by_time,
            "userFunding": self._funding,
            "clearinghouseState": lambda _: self._state(),
            "userAbstraction": lambda _: self.abstraction,
            "userRateLimit": lambda _: {
                "cumVlm": "0.0",
                "nRequestsUsed": len(self.actions),
                "nRequestsCap": self.most_actions,
            },
            "userFees": lambda _: {"userCrossRate": "0.00045", "userAddRate": "0.00015"},
        }
        kind = query["type"]
        if kind in of_account and query["user"] != self.master:
            self.wrongs.append(query)
        self.info_weight += 2 if kind in ("orderStatus", "clearinghouseState", "allMids") else 20
        return (answers | of_account)[kind](query)

    def _funding(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        rows = [row for row in self.account.funding if row["time"] >= query["startTime"]]
        return rows[:500]

    def _middles(self) -> dict[str, str]:
        return {coin: str(price) for coin, price in self.account.last.items()} | self.old_middles

    def _open_orders(self) -> list[dict[str, Any]]:
        account = self.account
        return [order.whole() for order in account.open if account.is_told(order)]

    def _order_status(self, query: dict[str, Any]) -> Any:
        kept = self.account.find(query["oid"])
        if kept is None or self.hides_orders or not self.account.is_told(kept):
            self.hides_orders = max(self.hides_orders - 1, 0)
            return {"status": "unknownOid"}
        return {"status": "order", "order": kept.told(kept.whole())}

    def _fills_by_time(self, query: dict[str, Any]) -> Any:
        rows = [row for row in self.account.history() if row["time"] >= query["startTime"]]
        return rows[: self.page]

    def _state(self) -> Any:
        positions = {coin: size for coin, size in self.account.positions().items() if size}
        return {
            "assetPositions": [
                {"type": "oneWay", "position": {"coin": coin, "szi": str(size)}}
                for coin, size in positions.items()
            ],
            "marginSummary": {"totalRawUsd": str(self.account.books.balances["USDC"])},
        }


def _befallen(request: web.Request, accident: Accident) -> web.Response:
    if accident in LOST:
        request.transport.abort()
        return web.Response()
    status = STATUS.get(accident, 200)
    return web.Response(status=status, text="<html>gateway</html>", content_type="text/html")


def _is_order(wire: dict[str, Any]) -> bool:
    """Whether an order has the fields that are signed, in their order, and canonical numbers."""
    numbers = [wire["p"], wire["s"], wire["t"].get("trigger", {}).get("triggerPx", "1")]
    return (
        list(wire) in ORDER_FIELDS
        and CLOID.fullmatch(wire.get("c", "0x" + "0" * 32)) is not None
        and all(NUMBER.fullmatch(number) for number in numbers)
    )


def _universe(last: dict[str, Decimal]) -> list[Any]:
    universe = [
        {"name": coin, "szDecimals": decimals, "maxLeverage": LEVERAGE}
        for coin, (decimals, _) in COINS.items()
    ]
    contexts = [{"markPx": str(price), "midPx": str(price)} for price in last.values()]
    return [{"universe": universe}, contexts]


def _ok(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"status": "ok", "response": {"type": kind, "data": data}}


def _err(words: str) -> dict[str, Any]:
    return {"status": "err", "response": words}


def actions_of(server: HyperliquidVenueServer) -> dict[str, list[dict[str, Any]]]:
    """What was signed, by its type."""
    found = defaultdict(list)
    for action in server.actions:
        found[action["type"]].append(action)
    return found
