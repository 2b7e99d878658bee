"""Does more confidence mean more right? Outcomes by the decile of the confidence voted with."""

import math
from dataclasses import dataclass

DECILES = 10


@dataclass(slots=True)
class Decile:
    """Scored votes for LONG or SHORT with a confidence in [`low`, `low` + 0.1).

    A return is the price's move in the direction voted, a fraction, costs left out.
    """

    low: float
    count: int = 0
    right: int = 0
    total_return: float = 0.0
    squared_returns: float = 0.0

    @property
    def hit_rate(self) -> float | None:
        """Share that proved right; None where there is no vote."""
        return self.right / self.count if self.count else None

    @property
    def mean_return(self) -> float | None:
        return self.total_return / self.count if self.count else None

    @property
    def sharpe(self) -> float | None:
        """Mean return a vote per unit of deviation, not annualised: votes overlap in time.

        None where it is undefined: fewer than two votes, or no variance.
        """
        if self.count < 2:
            return None
        mean = self.total_return / self.count
        scatter = self.squared_returns - self.count * mean * mean
        if scatter <= self.squared_returns * _NOISE:
            return None
        return mean / math.sqrt(scatter / (self.count - 1))


class Deciles:
    """The ten of them, over all seats."""

    def __init__(self) -> None:
        self.cells = tuple(Decile(low=index / DECILES) for index in range(DECILES))

    def add(self, confidence: float, earned: float) -> None:
        """Take one outcome; `earned` is the move in the direction voted. 1.0 is of the last."""
        cell = self.cells[min(int(confidence * DECILES), DECILES - 1)]
        cell.count += 1
        cell.right += earned > 0.0
        cell.total_return += earned
        cell.squared_returns += earned * earned


_NOISE = 1e-12  # a share of the squares below which a variance is what is left of rounding
