"""Kraken's private histories on loopback: checks signatures and nonces, and pages as it does."""

import base64
import hashlib
import hmac
from collections import deque
from urllib.parse import parse_qs

from aiohttp import web

KEY = "key-of-the-tests"
SECRET = base64.b64encode(b"secret of the tests, long enough").decode()
_PAGE = 50


class KrakenPrivate:
    """`trades` and `ledger` are rows by id, in any order; faults go out first, one each."""

    def __init__(self, trades=(), ledger=()):
        self.trades = dict(trades)
        self.ledger = dict(ledger)
        self.faults = deque()  # Kraken's error texts, or HTTP statuses
        self.asked = []  # (history, offset)
        self.port = 0
        self._nonce = 0

    @property
    def urls(self):
        return {"private": f"http://127.0.0.1:{self.port}"}

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/0/private/TradesHistory", self._trades_history)
        app.router.add_post("/0/private/Ledgers", self._ledgers)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _trades_history(self, request):
        return await self._answer(request, "trades", self.trades)

    async def _ledgers(self, request):
        return await self._answer(request, "ledger", self.ledger)

    async def _answer(self, request, name, rows):
        body = await request.text()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        self.asked.append((name, int(form["ofs"])))
        if error := self._refusal(request, body, form):
            return web.json_response({"error": [error]})
        if self.faults:
            fault = self.faults.popleft()
            if isinstance(fault, int):
                return web.Response(status=fault, text="<html>gateway</html>")
            return web.json_response({"error": [fault]})
        since, until = int(form["start"]), int(form["end"])
        known = {k: row for k, row in rows.items() if since < float(row["time"]) <= until}
        newest = sorted(known, key=lambda key: (-float(known[key]["time"]), key))
        page = newest[int(form["ofs"]) :][:_PAGE]
        result = {name: {key: known[key] for key in page}, "count": len(known)}
        return web.json_response({"error": [], "result": result})

    def _refusal(self, request, body, form):
        """Kraken's error, if this is not signed as docs.kraken.com, "Authentication", says."""
        nonce = int(form["nonce"])
        digest = hashlib.sha256(f"{nonce}{body}".encode()).digest()
        message = request.path.encode() + digest
        signature = hmac.new(base64.b64decode(SECRET), message, hashlib.sha512).digest()
        if request.headers.get("API-Key") != KEY:
            return "EAPI:Invalid key"
        if request.headers.get("API-Sign") != base64.b64encode(signature).decode():
            return "EAPI:Invalid signature"
        if nonce <= self._nonce:
            return "EAPI:Invalid nonce"
        self._nonce = nonce
        return None
