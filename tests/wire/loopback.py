"""A server on loopback that answers HTTP and WebSocket, and fails in the ways it is told to."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import WSMsgType, web

_TEXT_FRAME_OF_256_BYTES = b"\x81\x7e\x01\x00"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an HTTP request gets instead of the truth."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


HTML = Answer(body="<html><body>Just a moment...</body></html>", content_type="text/html")
UNREADABLE = Answer(body='{"half": ')


class Peer:
    """One client's socket, and what it has subscribed to."""

    def __init__(self, socket_: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket_
        self.path = request.path
        self.topics: set[str] = set()
        self._transport = request.transport

    async def send(self, message: Any) -> None:
        with contextlib.suppress(ConnectionError):
            await self.socket.send_bytes_or_text(message)

    def reset_mid_frame(self) -> None:
        """Promise a frame of 256 bytes, send eight of them, and reset the connection."""
        transport = self._transport
        transport.write(_TEXT_FRAME_OF_256_BYTES + b'{"half":')
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


class _Socket(web.WebSocketResponse):
    async def send_bytes_or_text(self, message: Any) -> None:
        text = message if isinstance(message, str) else orjson.dumps(message).decode()
        await self.send_str(text)


class LoopbackServer:
    """What all venues' servers share: peers, a record of requests, and faults.

    `silent` keeps sockets alive and says nothing over them, `mute` does so for some topics;
    `hold_frames` and `release_frames` delay what is said; `hold` makes HTTP answers wait; answers
    put in `instead` go out, one each, in place of the next ones, `rest_fails` in place of all.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.commands: list[dict[str, Any]] = []  # everything that came over sockets
        self.connections = 0  # sockets ever opened
        self.peers: list[Peer] = []
        self.silent = False
        self.mute: set[str] = set()
        self.refuse_sockets: Answer | None = None
        self.instead: deque[Answer] = deque()
        self.rest_fails: Answer | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self._runner: web.AppRunner | None = None
        self.port = 0
        self._happened = asyncio.Event()
        self._delayed: list[tuple[str, Any]] | None = None

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    async def obey(self, peer: Peer, command: dict[str, Any]) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.deafen()

    async def listen(self) -> None:
        """Take clients; on the same port as before."""
        app = web.Application(middlewares=[self._fail_or_answer])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def deafen(self) -> None:
        """Close every socket, and take no client any more."""
        self.hold.set()
        await self.close_sockets()
        assert self._runner is not None
        await self._runner.cleanup()

    @asynccontextmanager
    async def beside(self, peer: Peer) -> AsyncIterator[None]:
        """What is done for a socket while it is open, beside obeying it: here, nothing."""
        yield

    async def push(self, topic: str, message: Any) -> None:
        """Send `message` to whoever has subscribed to `topic`."""
        if self.silent or topic in self.mute:
            return
        if self._delayed is not None:
            self._delayed.append((topic, message))
            return
        for peer in [peer for peer in self.peers if topic in peer.topics]:
            await peer.send(message)

    def hold_frames(self) -> None:
        self._delayed = []

    async def release_frames(self) -> None:
        delayed, self._delayed = self._delayed or [], None
        for topic, message in delayed:
            await self.push(topic, message)

    async def close_sockets(self) -> None:
        for peer in list(self.peers):
            await peer.socket.close()

    def reset_sockets(self) -> None:
        for peer in list(self.peers):
            peer.reset_mid_frame()

    def listeners(self, topic: str) -> int:
        """How many sockets have subscribed to `topic`."""
        return sum(topic in peer.topics for peer in self.peers)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is looked at whenever a client has done something."""
        async with asyncio.timeout(60):
            while not condition():
                self._happened.clear()
                await self._happened.wait()

    async def subscribed(self, *topics: str) -> None:
        await self.until(lambda: all(self.listeners(topic) for topic in topics))

    async def serve_socket(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_sockets is not None:
            return _response(self.refuse_sockets)
        socket_ = _Socket(compress=False)
        await socket_.prepare(request)
        peer = Peer(socket_, request)
        self.peers.append(peer)
        self.connections += 1
        self._happened.set()
        try:
            async with self.beside(peer):
                await self._read(peer)
        finally:
            self.peers.remove(peer)
            self._happened.set()
        return socket_

    async def _read(self, peer: Peer) -> None:
        async for message in peer.socket:
            if message.type is WSMsgType.TEXT:
                command = orjson.loads(message.data)
                self.commands.append(command)
                await self.obey(peer, command)
                self._happened.set()

    @web.middleware
    async def _fail_or_answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await handler(request)
        body = orjson.loads(await request.read() or b"{}")
        self.requests.append((request.path, dict(request.query) | body))
        self._happened.set()
        await self.hold.wait()
        if self.instead:
            return _response(self.instead.popleft())
        if self.rest_fails is not None:
            return _response(self.rest_fails)
        return await handler(request)


def _response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status,
        text=answer.body,
        content_type=answer.content_type,
        headers=answer.headers,
    )


def json_response(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
