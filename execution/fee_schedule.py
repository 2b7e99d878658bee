"""Fees by tier: what an account pays by how much it has traded lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from execution.exact import EXACT
from execution.fill import Fill

SPAN: Final = timedelta(days=30)
"""Source: Kraken Support, "How is my 30-day trading volume calculated?"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeStep:
    """What is paid from a volume of 30 days on: shares of notional."""

    volume: Decimal  # in `FeeSchedule.currency`
    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule:
    """Steps above what an account without volume pays, by rising volume."""

    currency: str
    steps: tuple[FeeStep, ...]

    def __post_init__(self) -> None:
        volumes = [step.volume for step in self.steps]
        if sorted(set(volumes)) != volumes or any(volume <= 0 for volume in volumes):
            raise ValueError(f"volumes of fee tiers rise from above 0: {volumes}")

    def step(self, volume: Decimal) -> FeeStep | None:
        """The step that `volume` has reached; None below the first."""
        return next((step for step in reversed(self.steps) if step.volume <= volume), None)


class TradedVolume:
    """The value of the fills of the last 30 days, of a list that grows at its end.

    Those that are not quoted in `currency` count nothing: no tier is reached on a guessed price.
    """

    def __init__(self, fills: Sequence[Fill], currency: str) -> None:
        self._fills = fills
        self._currency = currency
        self._begin = self._end = 0  # of the fills that are counted
        self._volume = Decimal(0)

    def until(self, at: datetime) -> Decimal:
        """The volume at `at`, which does not go back."""
        while self._end < len(self._fills):
            self._volume = EXACT.add(self._volume, self._value(self._fills[self._end]))
            self._end += 1
        while self._begin < self._end and self._fills[self._begin].filled_at <= at - SPAN:
            self._volume = EXACT.subtract(self._volume, self._value(self._fills[self._begin]))
            self._begin += 1
        return self._volume

    def _value(self, fill: Fill) -> Decimal:
        if fill.symbol.quote != self._currency:
            return Decimal(0)
        return EXACT.multiply(fill.quantity, fill.price)
