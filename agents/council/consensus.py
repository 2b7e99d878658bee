"""One direction out of many ballots, counted in integers against the full roster."""

from dataclasses import dataclass

from risk.intent import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """What the panel as a whole says.

    `agreeing` of `seats` voted for `direction`; `valid` of them gave a vote at all.
    `mean_confidence` is the mean over the agreeing, `confidence` adds the bonus and is capped at 1.
    """

    direction: Direction
    confidence: float
    mean_confidence: float
    bonus: float
    agreeing: int
    valid: int
    seats: int
    reason: str
