"""What the analysts report."""

from dataclasses import dataclass

from data.regime import Regime


@dataclass(frozen=True, slots=True, kw_only=True)
class TechnicalReport:
    """The trend and momentum of a symbol, computed by code."""

    analyst: str
    trend: float  # [-1, 1], the sign is the direction
    momentum: float  # [-1, 1]
    alignment: float  # [-1, 1]: agreement of the trends over all timeframes seen
    rationale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeReport:
    """The regime in force after hysteresis, and the newest reading."""

    analyst: str
    regime: Regime
    reading: Regime
    confidence: float  # of the reading, [0, 1]
    rationale: str


Report = TechnicalReport | RegimeReport
