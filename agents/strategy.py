"""The port behind which every strategy stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agents.council.consensus import Consensus
from agents.report import Report
from agents.vote import Ballot, RecordedAnswer
from data.bar import Timeframe
from data.indicators import Indicator
from data.regime import Regime
from data.snapshot import Snapshot
from risk.intent import Envelope, OrderIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a strategy must see: indicators by timeframe, and how many bars of each."""

    frames: Mapping[Timeframe, tuple[Indicator, ...]]
    bars: int
    warm_up: int  # closed bars of the deciding timeframe before the first decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliberation:
    """Everything that led to an intent, or to none."""

    reports: tuple[Report, ...]
    ballots: tuple[Ballot, ...]
    answers: tuple[RecordedAnswer, ...]  # what models said, word for word; a replay asks nobody
    consensus: Consensus | None  # None for a strategy that takes no vote
    regime: Regime  # as code reads it
    intent: OrderIntent | None  # None: nothing is to change
    rationale: str


class Strategy(Protocol):
    """Turns a snapshot into a wish; `tests/contract/test_strategy.py` holds for every one."""

    @property
    def requirements(self) -> Requirements: ...

    async def decide(self, snapshot: Snapshot) -> Deliberation:
        """Deliberate on `snapshot`; awaits only where a seat must be asked over a wire."""
        ...

    async def revise(
        self, snapshot: Snapshot, intent: OrderIntent, envelope: Envelope
    ) -> OrderIntent | None:
        """What to ask for instead of `intent`, of which only stop or target was wrong; None:
        nothing any more. Asked once for a snapshot; awaits as `decide` does."""
        ...
