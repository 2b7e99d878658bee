"""An event loop whose time passes only while nobody has anything to do, and whose wires are memory.

What runs in it waits for nothing real and runs the same again: no kernel, no clock and no load of
the machine decides what comes first. A connection is a pair of ends in this process; everything
else about it (HTTP, WebSocket, timeouts, redialling) is done by the code that does it in earnest.

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner, simulated_time(runner.get_loop()):
        runner.run(everything())
"""

import asyncio
import contextlib
import errno
import importlib
import selectors
import time
from collections import deque
from contextvars import ContextVar
from datetime import datetime, timedelta

LATENCY = 0.005  # seconds that each way over a wire takes
_RESOLUTION = 1e-9
_CCXT = importlib.import_module("ccxt.base.exchange")  # `ccxt.base` is a list of names


class EverybodyWaits(Exception):
    """Nothing is due, ever: whoever waits would wait for good."""


class Host:
    """A machine: whatever runs in its context dials from it, if it is not cut off.

    Its connections break at once when it is cut, and its calls are answered when it is no more.
    """

    current: ContextVar["Host | None"] = ContextVar("host", default=None)

    def __init__(self):
        self.is_up = True  # whether its process lives
        self.ends = set()
        self._has_line = asyncio.Event()
        self._has_line.set()

    async def line(self):
        """Return while it is not cut off."""
        await self._has_line.wait()

    def cut(self):
        self._has_line.clear()
        for end in tuple(self.ends):
            end.abort()

    def mend(self):
        if self.is_up:
            self._has_line.set()

    def go_down(self):
        """Its process ends, as by kill -9."""
        self.is_up = False
        self.cut()


class SimulatedLoop(asyncio.SelectorEventLoop):
    """The loop; its servers can be reached from it alone."""

    def __init__(self):
        self.passed = 0.0
        super().__init__(_Patient(self))
        self._clock_resolution = _RESOLUTION
        self._listening = {}  # by port: what makes a protocol for a caller
        self._dialled = {}  # by the socket that stands for a call
        self._free_port = 20_000

    def time(self):
        return self.passed

    async def create_server(self, protocol_factory, host=None, port=None, **_):
        if port in self._listening:
            raise OSError(errno.EADDRINUSE, "taken")
        if not port:
            port, self._free_port = self._free_port, self._free_port + 1
        self._listening[port] = protocol_factory
        return _Listening(self._listening, (host, port))

    async def sock_connect(self, sock, address):
        await asyncio.sleep(LATENCY)  # noqa: TID251 - the wire's
        host = Host.current.get()
        if host is not None:
            await host.line()
        if address[1] not in self._listening:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
        self._dialled[sock] = address

    async def create_connection(self, protocol_factory, *, sock=None, **_):
        address = self._dialled.pop(sock)
        sock.close()
        host, answer = Host.current.get(), self._listening.get(address[1])
        if answer is None:
            raise ConnectionResetError(errno.ECONNRESET, "gone")
        here = _End(self, host, protocol_factory(), ("127.0.0.1", 1), address)
        there = _End(self, None, answer(), address, ("127.0.0.1", 1))
        here.peer, there.peer = there, here
        for end in (there, here):
            end.protocol.connection_made(end)
        return here, here.protocol


class _Patient(selectors.DefaultSelector):
    """Waits by letting the loop's time pass."""

    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise EverybodyWaits
        self._loop.passed += timeout
        return []


class _Listening(asyncio.AbstractServer):
    """What `create_server` gives: aiohttp asks it for its address."""

    def __init__(self, listening, address):
        self._listening, self._address = listening, address
        self.sockets = [self]

    def getsockname(self):
        return self._address

    def close(self):
        self._listening.pop(self._address[1], None)

    async def wait_closed(self):
        pass


class _End(asyncio.Transport):
    """One end of a connection: what is written arrives at the other, in order, a little later."""

    def __init__(self, loop, host, protocol, own, other):
        super().__init__({"sockname": own, "peername": other})
        self.protocol = protocol
        self.peer = None
        self._loop = loop
        self._host = host
        self._is_closing = self._is_lost = self._is_paused = False
        self._coming = deque()  # on the wire, towards this end
        self._unread = deque()
        if host is not None:
            host.ends.add(self)

    def get_protocol(self):
        return self.protocol

    def set_protocol(self, protocol):
        self.protocol = protocol

    def is_closing(self):
        return self._is_closing

    def write(self, data):
        if data and not self._is_closing:
            self.peer.expect(bytes(data))

    def can_write_eof(self):
        return False

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def is_reading(self):
        return not self._is_paused

    def pause_reading(self):
        self._is_paused = True

    def resume_reading(self):
        self._is_paused = False
        self._loop.call_soon(self._read)

    def close(self):
        self._end(None)

    def abort(self):
        self._end(ConnectionResetError(errno.ECONNRESET, "reset by peer"))

    def expect(self, item):
        """`item`, bytes or the reason of the end, is on its way here; an end is not hurried."""
        self._coming.append(item)
        ways = 1 if isinstance(item, bytes) else 2
        self._loop.call_later(ways * LATENCY, self._arrive)

    def _end(self, reason):
        if self._is_closing:
            return
        self._is_closing = True
        self.peer.expect(reason)
        self._loop.call_soon(self._lose, None)

    def _arrive(self):
        self._unread.append(self._coming.popleft())
        self._read()

    def _read(self):
        while self._unread and not self._is_paused and not self._is_closing:
            item = self._unread.popleft()
            if isinstance(item, bytes):
                self.protocol.data_received(item)
                continue
            if item is None:
                self.protocol.eof_received()
            self._is_closing = True
            self._lose(item)

    def _lose(self, reason):
        if self._is_lost:
            return
        self._is_lost = True
        if self._host is not None:
            self._host.ends.discard(self)
        self.protocol.connection_lost(reason)


class LoopClock:
    """The market's clock: the loop's time, from `began` on."""

    def __init__(self, loop, began):
        self._loop, self._began = loop, began

    def now(self):
        return self._began + timedelta(microseconds=round(self._loop.time() * 1e6))

    async def sleep(self, delay: timedelta):
        await self.sleep_until(self.now() + delay)

    async def sleep_until(self, at: datetime):
        while (left := (at - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - may end early
            await asyncio.sleep(left)  # noqa: TID251 - here, as in data/clock.py


class _LoopTime:
    """The module `time`, as ccxt sees it: nonces and pings go by it."""

    def __init__(self, loop, began: datetime):
        self._loop, self._began = loop, began.timestamp()

    def __getattr__(self, name):
        return getattr(time, name)

    def time_ns(self):
        return round((self._began + self._loop.time()) * 1e9)

    def time(self):
        return self.time_ns() / 1e9


@contextlib.contextmanager
def simulated_time(loop, began):
    """ccxt lives in the loop's time while the block lasts; gives the clock for everybody else."""
    before = _CCXT.time
    _CCXT.time = _LoopTime(loop, began)
    try:
        yield LoopClock(loop, began)
    finally:
        _CCXT.time = before
