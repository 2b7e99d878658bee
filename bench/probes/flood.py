"""A Kraken that tells COUNT trades at once: `python -m bench.probes.flood COUNT`.

One a frame, as Kraken does, to whoever subscribes; it prints its addresses.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from data.clock import ManualClock
from data.instrument import Symbol
from tests.wire.kraken import KrakenServer
from tests.wire.kraken_market import stamp
from tests.wire.loopback import Peer

BTC = Symbol("BTC/USD")
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
A_MINUTE = 200  # trades: 3 a second, as on a busy day


class _Flood(KrakenServer):
    """Tells all trades at once, as text that was made before."""

    def __init__(self, count: int) -> None:
        super().__init__(ManualClock(START))
        self._frames = [_frame(number) for number in range(count)]

    async def obey(self, peer: Peer, command: dict[str, Any]) -> None:
        await super().obey(peer, command)
        if command["method"] == "subscribe":
            for frame in self._frames:
                await peer.socket.send_str(frame)


def _frame(number: int) -> str:
    at = START + timedelta(minutes=1) / A_MINUTE * number
    row = {
        "symbol": BTC,
        "side": "sell" if number % 3 else "buy",
        "price": 85_600 + number % 997 / 10,
        "qty": (number % 9_973 + 1) / 10**6,
        "ord_type": "market",
        "trade_id": number + 1,
        "timestamp": stamp(at),
    }
    return orjson.dumps({"channel": "trade", "type": "update", "data": [row]}).decode()


async def _serve(count: int) -> None:
    async with _Flood(count) as server:
        print(json.dumps(server.urls), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
