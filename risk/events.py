"""What happens to an account that its risk state must remember."""

from dataclasses import dataclass
from datetime import datetime

from data.account import ClosedTrade
from data.instrument import Notional, Symbol
from data.value import quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The book was valued; an `equity` of None, or not a number, is unknown."""

    equity: Notional | None
    at: datetime
    whole: Notional | None = None  # equity with what is kept beside it; None: nothing, or unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """So much of the trading book's equity went into a hodl bag: no loss, though it is gone."""

    amount: Notional  # above zero
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """An approved order is on its way."""

    symbol: Symbol
    at: datetime


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSeen:
    """How wild a market is; what is None, or not a number, is unknown and changes nothing."""

    symbol: Symbol
    atr: float | None
    mean_atr: float | None  # of the last 20 bars
    move: float | None  # of the last five minutes, a signed share
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalanced:
    """The holdings were brought back to their shares by trading `symbol`."""

    symbol: Symbol
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailed:
    """A desk came to no decision because its models, or what it runs on, failed."""

    strategy_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswered:
    """A desk came to a decision, whichever."""

    strategy_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerActed:
    """The reducing orders that `reason` asks for have been asked for."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Somebody, or a watchdog, stops all entries."""

    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidated:
    """The venue has ended or cut a position by force: what bounds our losses has failed."""

    symbol: Symbol
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """Somebody throws the kill switch: all that is ours is to be ended, and nothing entered."""

    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatSeen:
    """The venue was asked what it has of ours; flat: no position and no order."""

    is_flat: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A person has looked, and lifts a halt or a kill switch that has done its work.

    It shortens no halt that ends by itself.
    """

    by: str
    why: str
    at: datetime


RiskEvent = (
    Marked
    | ClosedTrade
    | Withdrawn
    | OrderPlaced
    | MarketSeen
    | Rebalanced
    | ModelFailed
    | ModelAnswered
    | BreakerActed
    | Halt
    | Liquidated
    | Flatten
    | FlatSeen
    | Resume
)
