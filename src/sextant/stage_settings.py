"""The stages before real money, and what lets each in: `[live]` of config/*.toml."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sextant.section import EnvironmentName, Positive, Section


class Mode(StrEnum):
    """How much is real; ordered, and no stage can be skipped."""

    REHEARSAL = "rehearsal"  # a made-up or recorded market, a paper venue, stand-ins allowed
    PAPER = "paper"  # the live market, a paper venue or a testnet
    MICRO = "micro"  # real money, and little of it
    LIVE = "live"  # real money

    @property
    def is_real(self) -> bool:
        """Whether real money is at stake."""
        return self in (Mode.MICRO, Mode.LIVE)

    @property
    def before(self) -> "Mode":
        """The stage whose record lets this one begin; the first has none, and is its own."""
        stages = list(Mode)
        return stages[max(0, stages.index(self) - 1)]


class RecordSettings(Section):
    """`[live.record]`: where the account of the stage before is kept, as its `[storage]` says."""

    dsn_env: EnvironmentName
    folder: Path


class ExitTestSettings(Section):
    """`[live.exit_test]`: what that record must show."""

    min_span: Annotated[timedelta, Field(gt=timedelta(0))]
    """From the first bar to the newest."""
    min_trades: Annotated[int, Field(ge=1)]
    """Positions that were closed."""
    sharpe_above: float
    """Of daily returns, annualised over 365 days."""
    drawdown_below: Annotated[float, Field(gt=0, le=1)]
    """Largest fall from a running peak, as a fraction of the peak."""
    wins_above: Annotated[float, Field(ge=0, lt=1)]
    """Share of the closed trades that made money after fees."""
    uptime_above: Annotated[float, Field(ge=0, lt=1)]
    """Share of the bars due that were dealt with in time."""
    errors_below: Annotated[float, Field(gt=0, le=1)]
    """Share of the decisions that failed."""


class LiveSettings(Section):
    """`[live]`: on what conditions real money is traded."""

    micro_capital: Positive
    """The most that all desks may have together in mode "micro", in the account's currency."""
    record: RecordSettings
    exit_test: ExitTestSettings
