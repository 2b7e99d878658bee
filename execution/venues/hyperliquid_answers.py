"""What Hyperliquid's refusals mean to whoever placed an order, or asked.

An action is turned down as a whole (`Said`), or each order in it by itself (`Declined`). As with
every venue there is one question: can the order be there? What is not known to be harmless is not.
"""

from typing import Final

import ccxt  # type: ignore[import-untyped]

from data.faults import Fault
from execution.venue import (
    OffGrid,
    OrderRefused,
    OutcomeUnknown,
    SwitchRefused,
    VenueUnavailable,
)
from execution.venues.answers import KeyRefused, asking_fault_unsaid, in_short, placing_fault_unsaid


class Said(ccxt.ExchangeError):  # type: ignore[misc]
    """Hyperliquid has turned a whole action down, in these words."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words.lower()


class Declined(Said):
    """Hyperliquid has looked at one order, or at what was to be cancelled, and declined it."""


_TURNED_AWAY: Final = ("too many", "rate limit", "expire", "invalid nonce")
_PERHAPS_OURS: Final = "duplicate nonce"  # who has used it, if not what we sent?
_NO_RIGHT: Final = ("api wallet", "must deposit")
_DECLINED: Final = (
    "insufficient",
    "invalid",
    "minimum value",
    "no liquidity",
    "order has",
    "order price",
    "post only",
    "reduce only",
    "tick size",
)
_OFF_GRID: Final = ("minimum value", "tick size", "invalid size", "invalid price")
_ENDED: Final = "never placed, already canceled, or filled"
_NOT_TRADED_ENOUGH: Final = "scheduled cancel time until enough volume"


def placing_fault(error: BaseException, asked: str) -> Fault:
    """What `error` means to an order that was being placed."""
    text = f"{asked}: {in_short(error)}"
    match error:
        case Declined(words=words):
            return (OffGrid if _has(words, _OFF_GRID) else OrderRefused)(text)
        case Said(words=words):
            return _placing_refusal(words, text)
        case ccxt.OnMaintenance():
            return VenueUnavailable(text)
        case _:
            return placing_fault_unsaid(error, text)


def asking_fault(error: BaseException, asked: str) -> Fault:
    """What `error` means to a question, or to an action that may be repeated."""
    text = f"{asked}: {in_short(error)}"
    match error:
        case Said(words=words) if _NOT_TRADED_ENOUGH in words:
            return SwitchRefused(text)
        case Said(words=words) if _has(words, _NO_RIGHT):
            return KeyRefused(text)
        case _:
            return asking_fault_unsaid(error, text)


def is_over_limit(error: BaseException) -> bool:
    """Whether we have asked too much, so that patience is due."""
    if isinstance(error, Said):
        return _has(error.words, ("too many", "rate limit"))
    return isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection)


def has_ended(error: BaseException) -> bool:
    """Whether what was to be cancelled is not open any more, or never was."""
    return isinstance(error, Said) and _ENDED in error.words


def may_be_duplicate(error: BaseException) -> bool:
    """Whether Hyperliquid may mean that it has an order of this id: no words are documented."""
    return isinstance(error, Said) and _has(error.words, ("cloid", "client order id"))


def _placing_refusal(words: str, text: str) -> Fault:
    if _PERHAPS_OURS in words:
        return OutcomeUnknown(text)
    if _has(words, _TURNED_AWAY):
        return VenueUnavailable(text)
    known = _has(words, _DECLINED) or _has(words, _NO_RIGHT)
    return (OrderRefused if known else OutcomeUnknown)(text)


def _has(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)
