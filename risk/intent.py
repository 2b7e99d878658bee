"""The form that whoever wants an order fills in; there is no other way to a venue."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from data.instrument import Price, Quantity, Symbol
from data.utc import require_utc

_NAMESPACE = uuid.UUID("6f6d3f3c-5e2b-5f0e-9d6a-5e87a9a1c0de")


class Direction(StrEnum):
    """What is wished of a position."""

    LONG = "long"
    SHORT = "short"
    HOLD = "hold"  # change nothing
    CLOSE = "close"

    @property
    def sign(self) -> int:
        """+1 for LONG, -1 for SHORT, 0 for what opens nothing."""
        if self is Direction.LONG:
            return 1
        return -1 if self is Direction.SHORT else 0


class Purpose(StrEnum):
    """Why an order is wanted."""

    ENTRY = "entry"
    EXIT = "exit"
    PROTECTION = "protection"  # a stop, where the venue does not hold the one that should stand
    TAKE_PROFIT = "take_profit"  # at the entry's target: waits for it, with a trigger
    MAX_AGE = "max_age"  # the position has been open for too long
    FALSIFIED = "falsified"  # the price has shown the entry's thesis to be wrong
    FLATTEN = "flatten"  # an operator's or a breaker's
    ALLOCATION = "allocation"  # an exchange of one holding for another
    HODL = "hodl"  # a purchase for a bag that is never sold

    @property
    def exchanges(self) -> bool:
        """Whether it moves what is held for its own sake: no position comes of it, and no stop
        belongs to it. LONG gives quote for base, SHORT base for quote."""
        return self is Purpose.ALLOCATION or self is Purpose.HODL


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """Who asks for what, and why; a wish, until `judge` has seen it.

    `quantity` is signed, in base currency: the most that is wished, or None for as much as the
    rules give. `confidence` is the probability in [0, 1] that `direction` proves right.
    """

    intent_id: str
    strategy_id: str
    symbol: Symbol
    purpose: Purpose
    direction: Direction
    decided_at: datetime
    confidence: float
    quantity: Quantity | None = None
    stop: Price | None = None  # attached to an entry, one with it
    target: Price | None = None
    trigger: Price | None = None  # makes it a stop order: at market once the price is there
    limit: Price | None = None  # makes it a limit order
    reduce_only: bool = False
    post_only: bool = False  # rests at its limit, or does not work at all: it never takes
    alpha: float = 1.0  # strength of the signal in [0, 1]; the size of an entry is scaled by it
    attempt: int = 0  # 1 for what was asked again after a revision
    replaces: str | None = None  # id of the stop order whose place this one, a stop too, takes
    amends: str | None = None  # id of the stop order that is to become this one, in place
    thesis: str = ""  # why an entry should win
    falsified_at: Price | None = None  # where the market shows that it is wrong, before the stop
    atr: float | None = None  # average true range when it was decided, quote currency a unit
    completes: str | None = None  # id of the post-only order whose rest it takes at market

    def __post_init__(self) -> None:
        require_utc(self.decided_at)
        price = self.falsified_at
        if price is not None and not (price.is_finite() and price > 0):
            raise ValueError(f"{self.intent_id}: nothing is falsified at {price}")
        if self.moves and self.purpose is not Purpose.PROTECTION:
            raise ValueError(f"{self.intent_id}: only a stop takes the place of a stop")
        if self.amends is not None and (self.replaces is not None or self.trigger is None):
            raise ValueError(f"{self.intent_id}: a stop is changed in place, or replaced")
        if self.post_only and (self.limit is None or self.trigger is not None):
            raise ValueError(f"{self.intent_id}: only a limit order can be post-only")

    @property
    def reduces(self) -> bool:
        """Whether it may only make a position smaller; the rest is judged as an entry, or as an
        exchange."""
        asked = self.reduce_only or self.direction is Direction.CLOSE
        return asked and not self.purpose.exchanges

    @property
    def moves(self) -> bool:
        """Whether it is a stop that stands already, and is to stand elsewhere or to be larger."""
        return self.replaces is not None or self.amends is not None

    @property
    def exchange_fault(self) -> str:
        """What keeps it from being the form of an exchange; empty if nothing does."""
        if self.quantity is None or self.limit is None:
            return "no quantity or no limit"
        if self.stop is not None or self.target is not None or self.trigger is not None:
            return "a stop, a target or a trigger"
        if self.reduce_only or not self.direction.sign:
            return "a reduction"
        if self.purpose is Purpose.HODL and self.direction is Direction.SHORT:
            return "a sale from a bag"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What may be asked for instead of an intent of which nothing but stop or target was wrong.

    Every intent inside would pass, if it is the same but for stop, target and quantity.

    For a short the farthest stop is the highest, and the target lies below.
    """

    nearest_stop: Price
    farthest_stop: Price
    nearest_target: Price | None  # None: no target need be given
    max_quantity: Quantity  # unsigned, in base currency


def intent_id(strategy_id: str, symbol: Symbol, decided_at: datetime, purpose: Purpose) -> str:
    """The same decision always has the same id: a UUID (version 5), fit for any venue."""
    parts = (strategy_id, symbol, decided_at.isoformat(), purpose, "0")
    return str(uuid.uuid5(_NAMESPACE, "|".join(parts)))


def completion_id(first: str) -> str:
    """The id of the one order that takes the rest of the order `first`."""
    return str(uuid.uuid5(_NAMESPACE, f"{first}|rest"))


def attempt_id(first: str, attempt: int) -> str:
    """The id of what is asked again, after the intent `first`."""
    return str(uuid.uuid5(_NAMESPACE, f"{first}|{attempt}"))
