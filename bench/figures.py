"""How figures are written: a median, and the range where there was more than one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured, and where its files are kept."""

    bars: int  # of the replay; the other sections say what they make of it
    runs: int
    full: bool  # five years in the store
    cache: Path


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The median, with the least and the largest behind it."""
    middle = f"{median(values):{form}}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):{form}}-{max(values):{form}})"


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Run by run, so that a busy machine slows both sides of a pair."""
    return [a / b for a, b in zip(over, under, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not pass, by nearest rank; of at least one value."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
