"""What a vendor's HTTP status, or a broken connection, means for the caller.

An SDK's error holds the request with its key, so it never becomes the cause of ours: a fault is
made inside the `except`, and raised outside of it.
"""

import httpx2

from agents.llm.model import AnswerLost, ModelRefused, ModelUnavailable
from agents.llm.outside_text import plain, without_secret

_PASSING = frozenset({408, 409, 425, 429})  # RFC 9110 section 15.5, RFC 8470, RFC 6585
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_QUOTED = 240  # characters of what the vendor said


def status_fault(
    model: str, status: int, said: str, secret: str
) -> ModelUnavailable | ModelRefused:
    """The fault that an HTTP `status` outside 2xx stands for; it quotes the vendor, not the key."""
    quoted = plain(without_secret(plain(said, 4 * _QUOTED), secret), _QUOTED)
    text = f"{model}: HTTP {status}: {quoted}"
    if status in _PASSING or status >= 500:
        return ModelUnavailable(text)
    return ModelRefused(text)


def connection_fault(model: str, error: Exception) -> ModelUnavailable:
    """The fault that an SDK's connection error stands for, by what httpx2 says is its cause."""
    cause = error.__cause__
    text = f"{model}: {type(cause or error).__name__}"
    return ModelUnavailable(text) if isinstance(cause, _NOTHING_SENT) else AnswerLost(text)
