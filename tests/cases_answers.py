"""What a request through ccxt can come to without a word of the exchange, whatever the exchange."""

from types import SimpleNamespace

import aiohttp
import ccxt
import pytest

from data.feeds.source import RateLimited, SourceRefused, SourceUnavailable
from execution.venue import OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused


def caused(error, cause):
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def no_connection():
    key = SimpleNamespace(host="h", port=1, ssl=None)
    return aiohttp.ClientConnectorError(key, OSError("refused"))


PLACING = [
    pytest.param(ccxt.RateLimitExceeded("429"), VenueUnavailable, id="429"),
    pytest.param(ccxt.DDoSProtection("418"), VenueUnavailable, id="418"),
    pytest.param(ccxt.PermissionDenied("451"), OrderRefused, id="451"),
    pytest.param(ccxt.ExchangeNotAvailable("502"), OutcomeUnknown, id="502"),
    pytest.param(ccxt.ExchangeNotAvailable("403"), OutcomeUnknown, id="403, a page"),
    pytest.param(ccxt.RequestTimeout("timeout"), OutcomeUnknown, id="no answer in time"),
    pytest.param(ccxt.BadResponse("html"), OutcomeUnknown, id="a page of HTML"),
    pytest.param(ccxt.ExchangeError("?"), OutcomeUnknown, id="ccxt's own words"),
    pytest.param(TimeoutError(), OutcomeUnknown, id="a timeout"),
    pytest.param(
        caused(ccxt.ExchangeNotAvailable("no"), no_connection()),
        VenueUnavailable,
        id="no connection",
    ),
    pytest.param(
        caused(ccxt.RequestTimeout("no"), aiohttp.ConnectionTimeoutError()),
        VenueUnavailable,
        id="no connection in time",
    ),
    pytest.param(
        caused(ccxt.ExchangeNotAvailable("no"), aiohttp.ServerDisconnectedError()),
        OutcomeUnknown,
        id="cut off",
    ),
    pytest.param(OutcomeUnknown("as is"), OutcomeUnknown, id="judged already"),
]
"""What became of an order that was being placed."""

ASKING = [
    pytest.param(ccxt.ExchangeNotAvailable("502"), VenueUnavailable, id="502"),
    pytest.param(ccxt.PermissionDenied("451"), KeyRefused, id="451"),
    pytest.param(RateLimited("wait"), VenueUnavailable, id="the stream has to wait"),
    pytest.param(SourceUnavailable("gone"), VenueUnavailable, id="the stream is gone"),
    pytest.param(SourceRefused("no"), KeyRefused, id="the stream is refused"),
    pytest.param(TimeoutError(), VenueUnavailable, id="a timeout"),
]
"""What a question came to."""
