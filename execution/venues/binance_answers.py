"""What Binance's refusals and the network's failures mean to whoever placed an order, or asked.

Of a failed request there is one question: can the order be at the venue? `VenueUnavailable` says
that it surely is not, `OutcomeUnknown` that nobody knows. What is not known to be harmless is not.
"""

from datetime import timedelta
from typing import Final

import ccxt  # type: ignore[import-untyped]

from data.faults import Fault, Refused
from execution.venue import OffGrid, OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused, asking_fault_unsaid, in_short, placing_fault_unsaid

_PATIENCE: Final = timedelta(seconds=60)  # where Binance does not say how much
_SERVER_FAILED: Final = 500


class AccountRefused(Refused):
    """The account is not set up as our terms need it, and Binance does not let us change it."""


class Said(ccxt.ExchangeError):  # type: ignore[misc]
    """Binance has answered with an error: a code below zero, and words."""

    def __init__(self, code: int, words: str, *, status: int) -> None:
        super().__init__(f"{code} {words} (HTTP {status})")
        self.code = code
        self.words = words
        self.status = status


_TURNED_AWAY: Final = frozenset(  # before the order was looked at
    {
        -1003,  # too much weight
        -1008,  # overloaded: "100 % failure", as the documentation has it
        -1015,  # too many orders
        -1021,  # sent too long ago, or in the future: outside recvWindow
        -5028,  # the same, at the matching engine
    }
)
_NO_RIGHT: Final = frozenset({-1002, -1022, -2014, -2015})
_DECLINED: Final = (
    range(-1199, -1099),  # the request
    range(-2099, -2009),  # the order: -2010 rejected, -2019 margin, -2021 would trigger, -2022 flat
    range(-4999, -3999),  # filters, and what the account may
    range(-20199, -20099),  # conditional orders
)
_DECLINED_TOO: Final = frozenset({-1013, -1014, -1016, -1020, -1023, -5021, -5022})
_OFF_GRID: Final = frozenset(  # "Error Codes": precision, filters, tick, step, minimums
    {-1013, -1111, -4001, -4002, -4003, -4004, -4005, -4013, -4014, -4023, -4024, -4164}
)
_UNKNOWN_ORDER: Final = frozenset({-2011, -2013, -20124})
_DUPLICATE: Final = frozenset({-4116, -20132})
_NOTHING_TO_CHANGE: Final = -4046
_NO_STREAM: Final = -1125


def placing_fault(error: BaseException, asked: str) -> Fault:
    """What `error` means to an order that was being placed."""
    text = f"{asked}: {in_short(error)}"
    if isinstance(error, Said):
        return _placing_refusal(error, text)
    return placing_fault_unsaid(error, text)


def asking_fault(error: BaseException, asked: str) -> Fault:
    """What `error` means to a question, or to a cancellation, both of which may be repeated."""
    text = f"{asked}: {in_short(error)}"
    if isinstance(error, Said) and error.code in _NO_RIGHT:
        return KeyRefused(text)
    return asking_fault_unsaid(error, text)


def patience(error: BaseException) -> timedelta | None:
    """How long Binance wants us to be silent, if it does."""
    if isinstance(error, Said) and error.code not in (-1003, -1015):
        return None
    if not isinstance(error, Said | ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        return None
    asked: timedelta | None = getattr(error, "retry_after", None)
    return _PATIENCE if asked is None else asked


def is_unknown_order(error: BaseException | None) -> bool:
    """Whether Binance knows no such order, or none that is open."""
    return isinstance(error, Said) and error.code in _UNKNOWN_ORDER


def may_be_duplicate(error: BaseException) -> bool:
    """Whether Binance means that it has an open order of this id."""
    if not isinstance(error, Said):
        return False
    return error.code in _DUPLICATE or "duplicate" in error.words.lower()


def is_set_already(error: BaseException) -> bool:
    """Whether what we ask to be changed is so."""
    return isinstance(error, Said) and error.code == _NOTHING_TO_CHANGE


def has_no_stream(error: BaseException) -> bool:
    """Whether the stream's key has expired."""
    return isinstance(error, Said) and error.code == _NO_STREAM


def _placing_refusal(said: Said, text: str) -> Fault:
    """A server that fails (5xx) may have passed the order on, whatever it says but one thing."""
    if said.code in _TURNED_AWAY:
        return VenueUnavailable(text)
    if said.status >= _SERVER_FAILED or not _is_declined(said.code):
        return OutcomeUnknown(text)
    return (OffGrid if said.code in _OFF_GRID else OrderRefused)(text)


def _is_declined(code: int) -> bool:
    listed = code in _NO_RIGHT or code in _DECLINED_TOO
    return listed or any(code in codes for codes in _DECLINED)
