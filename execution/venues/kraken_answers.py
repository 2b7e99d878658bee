"""What Kraken's refusals and the network's failures mean to whoever placed an order, or asked.

Of a failed request there is one question: can the order be at the venue? `VenueUnavailable` says
that it surely is not, `OutcomeUnknown` that nobody knows. What is not known to be harmless is not.
"""

from collections.abc import Sequence
from typing import Final

import ccxt  # type: ignore[import-untyped]

from data.faults import Fault
from data.instrument import Symbol
from execution.venue import NoFunds, OffGrid, OrderRefused, OutcomeUnknown, VenueUnavailable
from execution.venues.answers import KeyRefused, asking_fault_unsaid, in_short, placing_fault_unsaid


class Said(ccxt.ExchangeError):  # type: ignore[misc]
    """Kraken has answered with errors, each `E<category>:<text>`."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


_TURNED_AWAY: Final = (  # before the order was looked at, or because its deadline had passed
    "EAPI:Rate limit exceeded",
    "EAPI:Invalid nonce",
    "EOrder:Rate limit exceeded",
    "EGeneral:Too many requests",
    "EGeneral:Temporary lockout",
    "EService:Market in",
    "EService:Deadline elapsed",
)
_NOT_SAID: Final = (  # the engine may have it all the same
    "EService:",
    "EGeneral:Internal error",
    "EGeneral:Unknown error",
    "EDatabase:",
)
_NO_RIGHT: Final = (
    "EAPI:Invalid key",
    "EAPI:Invalid signature",
    "EGeneral:Permission denied",
    "ESession:",
)
_DECLINED: Final = ("EOrder:", "EGeneral:", "EQuery:", "EAPI:", "ETrade:", "EAccount:", "EFunding:")
_OFF_GRID: Final = ("minimum", "tick size", "precision", "decimals", "volume")
_NO_FUNDS: Final = "insufficient"
_REMEDIES: Final = (
    ("permission denied", "give the key the right to create and modify orders"),
    ("invalid key", "check KRAKEN_API_KEY and KRAKEN_API_SECRET"),
    ("invalid signature", "check KRAKEN_API_KEY and KRAKEN_API_SECRET"),
    ("margin", "have margin enabled for the account, or take {symbol} out of venue.leverage"),
    ("leverage", "take {symbol} out of venue.leverage, or lower it there"),
    ("trading agreement", "accept the agreement at Kraken that it asks for"),
)
"""By what Kraken's words contain, the first that fits. Source: docs.kraken.com, "Error codes"."""
_UNKNOWN_ORDER: Final = "EOrder:Unknown order"
_OVER_LIMIT: Final = ("Rate limit", "Too many requests", "Temporary lockout")


def errors_of(answer: object) -> tuple[str, ...]:
    """The errors in a body of Kraken's; what begins with W warns, and the request stands."""
    said = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(said, str):
        said = [said]
    return tuple(str(text) for text in said or () if not str(text).startswith("W"))


def placing_fault(error: BaseException, asked: str) -> Fault:
    """What `error` means to an order that was being placed."""
    text = f"{asked}: {in_short(error)}"
    match error:
        case Said(errors=errors):
            return _placing_refusal(errors, text)
        case ccxt.OnMaintenance():
            return VenueUnavailable(text)
        case _:
            return placing_fault_unsaid(error, text)


def asking_fault(error: BaseException, asked: str) -> Fault:
    """What `error` means to a question, or to a cancellation, both of which may be repeated."""
    text = f"{asked}: {in_short(error)}"
    if isinstance(error, Said) and any(said.startswith(_NO_RIGHT) for said in error.errors):
        return KeyRefused(text)
    return asking_fault_unsaid(error, text)


def is_over_limit(error: BaseException) -> bool:
    """Whether we have asked too much, so that patience is due."""
    if isinstance(error, Said):
        return any(text in said for said in error.errors for text in _OVER_LIMIT)
    return isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection)


def is_unknown_order(error: BaseException) -> bool:
    """Whether Kraken knows no such open order."""
    return isinstance(error, Said) and any(said.startswith(_UNKNOWN_ORDER) for said in error.errors)


def may_be_duplicate(error: BaseException) -> bool:
    """Whether Kraken may mean that it has an order of this id; its words for it are no promise.

    Source: docs.kraken.com, "Client Order Identifiers": ids are unique among open orders.
    """
    if not isinstance(error, Said):
        return False
    words = " ".join(error.errors).lower()
    return "cl_ord_id" in words or "duplicate" in words


def remedy(words: str, symbol: Symbol) -> str:
    """What a person can do about a refused trial order in `symbol`."""
    said = words.lower()
    found = (text for word, text in _REMEDIES if word in said)
    return next(found, "take {symbol} out of the configuration").format(symbol=symbol)


def _placing_refusal(errors: Sequence[str], text: str) -> Fault:
    """Of several errors the one that leaves most open decides."""
    if all(said.startswith(_TURNED_AWAY) for said in errors):
        return VenueUnavailable(text)
    others = [said for said in errors if not said.startswith(_TURNED_AWAY)]
    if any(said.startswith(_NOT_SAID) or not _is_declined(said) for said in others):
        return OutcomeUnknown(text)
    words = " ".join(others).lower()
    if _NO_FUNDS in words:
        return NoFunds(text)
    return (OffGrid if any(word in words for word in _OFF_GRID) else OrderRefused)(text)


def _is_declined(said: str) -> bool:
    return said.startswith((*_DECLINED, *_NO_RIGHT))
