"""The stop that a position has earned, and when it has been open for too long; pure.

    break-even  from a gain of `break_even_from` on: entry + `break_even_buffer`
    trailing    from a gain of `trail_from` on: `trail_atr` average true ranges behind the mark, or
                `trail_distance`

Shares of the entry price, but for the distance, which is one of the mark; for a short the other way
round. Source: PARAMETERS.md 1.6, "Position care": distance 1.5 % or 1.5 ATR.

The average true range is the one at entry. It stands on record with the order, so that the distance
is the same after a restart and in an audit, and a market that grows wild does not carry the stop
away from the mark.

No highest price has to be remembered: a stop only tightens, so the one that stands holds what the
best mark so far has earned, and the stop orders on record say where it stands.
"""

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.account import Position
from data.instrument import Instrument, Price, Side, Toward
from execution.planned_stop import tighter

Share = Annotated[Decimal, Field(ge=0, lt=1)]
Span = Annotated[timedelta, Field(ge=timedelta(0))]


class CareSettings(BaseModel):
    """What becomes of a position that does well, or does nothing; zero is off, the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    take_profit: bool = False
    """Whether a position ends at its entry's target: by an order that rests beside its stop where
    the venue holds both, else at market once the mark is there."""
    take_profit_limit: Share = Decimal(0)
    """How much worse than the target such an order may fill, as a share of it; zero: at market."""
    break_even_from: Share = Decimal(0)
    """Gain, as a share of the entry price, from which on the stop stands at break-even."""
    break_even_buffer: Share = Decimal(0)
    """How far beyond the entry price that is; for fees, as a share of it."""
    trail_from: Share = Decimal(0)
    """Gain from which on the stop follows the mark."""
    trail_distance: Share = Decimal(0)
    """How far behind the mark it follows, as a share of it; zero is no trailing."""
    trail_atr: Annotated[float, Field(ge=0, le=100)] = 0.0
    """The same in average true ranges at entry, instead, where that was known; zero is off."""
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
        return bool(self.break_even_from or self.trail_distance or self.trail_atr)


def stop_due(
    standing: Price,
    position: Position,
    instrument: Instrument,
    settings: CareSettings,
    *,
    atr: float | None = None,
) -> Price:
    """The stop that should hold now: `standing`, or a tighter one that the gain has earned.

    A tighter one lies on the tick grid, rounded towards the market, and short of the mark; it is
    at least `min_move` of the mark away from `standing`.

    Args:
        atr: Average true range at entry, in quote currency; None where nobody knows it.
    """
    side, mark = Side.of(position.quantity), position.mark
    due = standing
    for wished in _earned(position, instrument, settings, atr):
        stop = instrument.stop_price(wished, side)
        if (mark - stop) * side.sign > 0:
            due = tighter(side, due, stop)
    return due if abs(due - standing) >= settings.min_move * mark else standing


def is_too_old(position: Position, now: datetime, settings: CareSettings) -> bool:
    """Whether the position has been open for `max_age` or longer."""
    return bool(settings.max_age) and now - position.opened_at >= settings.max_age


def _earned(
    position: Position, instrument: Instrument, settings: CareSettings, atr: float | None
) -> list[Decimal]:
    """Where break-even and trailing want the stop; nothing before the gain is there."""
    sign = Side.of(position.quantity).sign
    entry, mark = position.entry_price, position.mark
    gain = (mark - entry) * sign
    wished = []
    if settings.break_even_from and gain >= settings.break_even_from * entry:
        wished.append(entry * (1 + sign * settings.break_even_buffer))
    distance = _distance(mark, instrument, settings, atr)
    if distance and gain >= settings.trail_from * entry:
        wished.append(mark - sign * distance)
    return wished


def _distance(
    mark: Price, instrument: Instrument, settings: CareSettings, atr: float | None
) -> Decimal:
    """How far behind the mark a stop trails; zero: it does not."""
    wide = settings.trail_atr * atr if atr is not None else 0.0
    if 0 < wide < math.inf:
        return max(instrument.price(wide, Toward.LOWER), instrument.tick)
    return mark * settings.trail_distance
