"""What goes into the journal, and under which topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from data.bar import Bar, Timeframe
from data.defect import Defect
from data.feed import FeedInterrupted
from data.funding import FundingRate
from data.instrument import Symbol
from data.news import NewsItem
from data.order_book import OrderBook
from data.quality import Flaw
from execution.charge import Charge
from execution.dead_man import GuardChanged
from execution.difference import Reconciliation
from execution.dust import DustLeft
from execution.fill import Fill
from execution.holdings import SetAside
from execution.order import Amended, Amending, Cancelling, Submitted, Submitting
from execution.protection import NakedSeen
from execution.relisted import Relisted
from execution.venue import OrderChanged
from execution.venue_state import CancelSent, Placed, StopTriggered
from risk.approval import Rejection, Revision
from risk.breaker import Flatten, Halt, Resume, RiskState
from risk.referral import Referral
from sextant.alerts import Alert
from sextant.allocator import Allocated, AllocationState
from sextant.book import OrderNotTaken
from sextant.command import Command
from sextant.cycle import Decision, Regeneration
from sextant.journal.codec import Codec
from sextant.referrals import ReferralEnded
from sextant.rehearsal.account import AccountChanged
from sextant.rests import RestGivenUp
from sextant.stages import Cleared
from sextant.subaccount import DeskRiskState


@dataclass(frozen=True, slots=True, kw_only=True)
class PastKnown:
    """Closed bars of one symbol and size that were known when the next run began, oldest first.

    They are on record because the store's may be filled, corrected or dropped after that.
    """

    bars: tuple[Bar, ...]  # never none


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run began: with this code, these settings and this warm-up, it can be made again."""

    at: datetime
    version: str
    mode: str
    market: str  # says so where it is synthetic
    venue: str
    attaches_stops: bool  # whether the venue brings an entry's stop along
    settings: Mapping[str, Any]
    settings_digest: str
    prompts: Mapping[str, str]  # name to content hash
    stand_ins: Mapping[str, str]  # seat to the baseline that fills it
    warmed_up_to: Mapping[Symbol, datetime]  # by symbol: close of the newest bar known before
    past: Mapping[Symbol, Mapping[Timeframe, int]]  # how many bars of `PastKnown` the desks learnt
    resumed: bool
    holds_targets: tuple[Symbol, ...] = ()  # where stop and target may rest side by side
    amends: bool = False  # whether the venue changes a stop in place

    @property
    def warm_up_bars(self) -> int:
        """How many bars were known before, in all; 0 in a run without a past."""
        return sum(count for sizes in self.past.values() for count in sizes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped:
    """A run ended in order; one that was killed has no such record."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSeen:
    """A closed bar, and when we learned it."""

    at: datetime
    bar: Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSeen:
    """The order book that the rules were shown, and when."""

    at: datetime
    book: OrderBook


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsSeen:
    """A headline, and when we learned it."""

    at: datetime
    item: NewsItem


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingSeen:
    """The funding rate that the desks were shown, and from when on."""

    at: datetime
    rate: FundingRate


@dataclass(frozen=True, slots=True, kw_only=True)
class GapSeen:
    """A hole in the feed, and when we learned it."""

    at: datetime
    gap: FeedInterrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class FlawsSeen:
    """A bar that fails a quality check: it is kept, and no desk decides on it."""

    at: datetime
    symbol: Symbol
    flaws: tuple[Flaw, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectsSeen:
    """What was wrong with a symbol's data from then on; empty: nothing any more."""

    at: datetime
    symbol: Symbol
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded:
    """A running daemon obeys a person."""

    at: datetime
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Between two bars, a position had not its stop, or was due for care: the book was guarded."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingWithdrawn:
    """The daemon stops, and has what rests before it takes cancelled; exits then take at once."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCosts:
    """What the models have cost since 00:00 UTC, calls without an answer included."""

    at: datetime  # in real time, as the money is real, whatever time the market has
    spent_today_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSkipped:
    """A bar on which a desk did not decide, because it was still busy with an earlier one."""

    at: datetime
    strategy_id: str
    symbol: str
    bar_closed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFailed:
    """An exception inside one decision: it ended with no order, and the desk went on."""

    at: datetime
    strategy_id: str
    symbol: str
    bar_closed_at: datetime
    error: str


TOPICS: Mapping[str, type] = {
    "clearance": Cleared,
    "past": PastKnown,
    "repro": RunStarted,
    "stop": RunStopped,
    "bar": BarSeen,
    "book": BookSeen,
    "news": NewsSeen,
    "funding": FundingSeen,
    "gap": GapSeen,
    "flaw": FlawsSeen,
    "defect": DefectsSeen,
    "signals": Decision,
    "regeneration": Regeneration,
    "costs": ModelCosts,
    "watch": Watched,
    "withdrawal": RestingWithdrawn,
    "given_up": RestGivenUp,
    "skip": DecisionSkipped,
    "error": DecisionFailed,
    "alert": Alert,
    "rejection": Rejection,
    "revision": Revision,
    "referral": Referral,
    "referral_end": ReferralEnded,
    "command": Commanded,
    "risk_state": RiskState,
    "desk_risk_state": DeskRiskState,
    "resume": Resume,
    "halt": Halt,
    "flatten": Flatten,
    "order_intent": Submitting,
    "not_taken": OrderNotTaken,
    "execution": Submitted,
    "cancel": Cancelling,
    "amend": Amending,
    "amended": Amended,
    "order": OrderChanged,
    "fill": Fill,
    "charge": Charge,
    "allocation": Allocated,
    "allocation_state": AllocationState,
    "set_aside": SetAside,
    "reconciliation": Reconciliation,
    "dust": DustLeft,
    "naked": NakedSeen,
    "guard": GuardChanged,
    "relisted": Relisted,
}
"""What our journal holds, by topic (S1-141)."""

VENUE_TOPICS: Mapping[str, type] = {
    "placed": Placed,
    "triggered": StopTriggered,
    "cancel_sent": CancelSent,
    "order": OrderChanged,
    "fill": Fill,
    "charge": Charge,
}
"""What the books of a paper venue hold."""

REHEARSAL_TOPICS: Mapping[str, type] = {"account": AccountChanged}
"""What the books of a rehearsal exchange hold."""


def codec() -> Codec:
    """How our journal is written."""
    return Codec(TOPICS)


def venue_codec() -> Codec:
    """How a paper venue's books are written."""
    return Codec(VENUE_TOPICS)


def rehearsal_codec() -> Codec:
    """How a rehearsal exchange's books are written."""
    return Codec(REHEARSAL_TOPICS)
