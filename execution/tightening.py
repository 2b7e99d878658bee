"""The stop that a position has earned, and when it has been open for too long; pure.

    break-even  from a gain of `break_even_from` on: entry + `break_even_buffer`
    trailing    from a gain of `trail_from` on: `trail_distance` behind the mark

Shares of the entry price, but for the distance, which is one of the mark; for a short the other way
round. Source: PARAMETERS.md 1.6, "Position care".

No highest price has to be remembered: a stop only tightens, so the one that stands holds what the
best mark so far has earned, and the stop orders on record say where it stands.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.account import Position
from data.instrument import Instrument, Price, Side
from execution.planned_stop import tighter

Share = Annotated[Decimal, Field(ge=0, lt=1)]
Span = Annotated[timedelta, Field(ge=timedelta(0))]


class CareSettings(BaseModel):
    """What becomes of a position that does well, or does nothing; zero is off, the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    take_profit: bool = False
    """Whether a position is closed at market once its mark has come to its entry's target."""
    break_even_from: Share = Decimal(0)
    """Gain, as a share of the entry price, from which on the stop stands at break-even."""
    break_even_buffer: Share = Decimal(0)
    """How far beyond the entry price that is; for fees, as a share of it."""
    trail_from: Share = Decimal(0)
    """Gain from which on the stop follows the mark."""
    trail_distance: Share = Decimal(0)
    """How far behind the mark it follows, as a share of it; zero is no trailing."""
    min_move: Share = Decimal(0)
    """The least move of a stop that is worth an order, as a share of the mark."""
    move_every: Span = timedelta(0)
    """The least time between two moves of a stop."""
    max_age: Span = timedelta(0)
    """After so long a position is closed, whatever it is worth; zero is never."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.break_even_from and self.break_even_buffer >= self.break_even_from:
            raise ValueError(
                "break_even_buffer must be less than break_even_from: the stop lies "
                "between the entry and the mark"
            )
        return self

    @property
    def tightens(self) -> bool:
        """Whether any stop is ever moved."""
        return bool(self.break_even_from or self.trail_distance)


def stop_due(
    standing: Price, position: Position, instrument: Instrument, settings: CareSettings
) -> Price:
    """The stop that should hold now: `standing`, or a tighter one that the gain has earned.

    A tighter one lies on the tick grid, rounded towards the market, and short of the mark; it is
    at least `min_move` of the mark away from `standing`.
    """
    side, mark = Side.of(position.quantity), position.mark
    due = standing
    for wished in _earned(position, settings):
        stop = instrument.stop_price(wished, side)
        if (mark - stop) * side.sign > 0:
            due = tighter(side, due, stop)
    return due if abs(due - standing) >= settings.min_move * mark else standing


def is_too_old(position: Position, now: datetime, settings: CareSettings) -> bool:
    """Whether the position has been open for `max_age` or longer."""
    return bool(settings.max_age) and now - position.opened_at >= settings.max_age


def _earned(position: Position, settings: CareSettings) -> list[Decimal]:
    """Where break-even and trailing want the stop; nothing before the gain is there."""
    sign = Side.of(position.quantity).sign
    entry, mark = position.entry_price, position.mark
    gain = (mark - entry) * sign
    wished = []
    if settings.break_even_from and gain >= settings.break_even_from * entry:
        wished.append(entry * (1 + sign * settings.break_even_buffer))
    if settings.trail_distance and gain >= settings.trail_from * entry:
        wished.append(mark * (1 - sign * settings.trail_distance))
    return wished
