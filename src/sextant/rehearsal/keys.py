"""Who may speak for the account: API key, signature, nonce, and the tokens of the socket.

Source: docs.kraken.com, "Spot REST authentication" and "GetWebSocketsToken".
"""

import base64
import hashlib
import hmac
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from sextant.rehearsal.order_form import Declined

DEMO_KEY: Final = "REHEARSAL/demo/key/of/no/exchange/at/all/but/loopback000"
DEMO_SECRET: Final = base64.b64encode(
    b"a made-up secret that opens nothing but a rehearsal on loopback!"
).decode()
PERMISSIONS: Final = (
    "query-funds",
    "query-open-trades",
    "query-closed-trades",
    "modify-trades",
    "close-trades",
    "query-ledger",
    "create-websockets-token",
)
_TOKEN_LASTS: Final = timedelta(minutes=15)


def signature(path: str, nonce: str, body: str, secret: str) -> str:
    """What API-Sign has to be."""
    digest = hashlib.sha256(f"{nonce}{body}".encode()).digest()
    mac = hmac.new(base64.b64decode(secret), path.encode() + digest, hashlib.sha512)
    return base64.b64encode(mac.digest()).decode()


def is_loopback(host: str) -> bool:
    """Whether a request that names `host` means this machine; a name that only leads here is none.

    A page in a browser can make any name of its own lead to 127.0.0.1.
    """
    name = host.rsplit(":", 1)[0]
    return name in ("127.0.0.1", "localhost")


class Keyring:
    """The account's keys; the nonces of each have to rise from request to request."""

    def __init__(self) -> None:
        self.key, self.secret = DEMO_KEY, DEMO_SECRET
        self.permissions = PERMISSIONS
        self._secrets = {DEMO_KEY: DEMO_SECRET}
        self._nonces: defaultdict[str, int] = defaultdict(int)  # the last of each key
        self._tokens: dict[str, datetime] = {}  # until when each opens a subscription
        self._given_out = 0  # tokens

    def another(self) -> tuple[str, str]:
        """A key more, with its secret: every client needs its own, for its nonces' sake."""
        key = f"{DEMO_KEY}/{len(self._secrets)}"
        self._secrets[key] = base64.b64encode(hashlib.sha512(key.encode()).digest()).decode()
        return key, self._secrets[key]

    def require_signed(self, *, path: str, key: str, sign: str, nonce: str, body: str) -> None:
        """Raise unless the request is ours, and newer than the key's last.

        Raises:
            Declined: it is not.
        """
        secret = self._secrets.get(key)
        if secret is None:
            raise Declined("EAPI:Invalid key")
        if not nonce.isdigit():
            raise Declined("EAPI:Invalid nonce")
        if not hmac.compare_digest(signature(path, nonce, body, secret), sign):
            raise Declined("EAPI:Invalid signature")
        if int(nonce) <= self._nonces[key]:
            raise Declined("EAPI:Invalid nonce")
        self._nonces[key] = int(nonce)

    def new_token(self, now: datetime) -> tuple[str, int]:
        """A token for the private socket, and for how many seconds it can be used."""
        self._tokens = {token: until for token, until in self._tokens.items() if until > now}
        self._given_out += 1
        text = f"{self.secret}{self._given_out}"
        token = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        self._tokens[token] = now + _TOKEN_LASTS
        return token, int(_TOKEN_LASTS.total_seconds())

    def expire_tokens(self) -> None:
        """Those given out so far open no subscription any more; what is open stays so."""
        self._tokens.clear()

    def require_token(self, token: object, now: datetime) -> None:
        """Raise unless `token` is one of ours that still can be used.

        Raises:
            Declined: it is not.
        """
        until = self._tokens.get(token) if isinstance(token, str) else None
        if until is None or until <= now:
            raise Declined("ESession:Invalid session")
