"""What is wrong with a stream of bars: gaps, repeats, jumps, silence, lateness. Pure checks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import chain
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from data.bar import Bar, Timeframe
from data.instrument import Symbol

_MINUTE: Final = timedelta(minutes=1)


class FlawKind(StrEnum):
    """Everything that can be wrong; `observed` and `limit` of a flaw are in the unit said here."""

    GAP = "gap"  # bars missing before this one; none is allowed
    DUPLICATE = "duplicate"  # seconds since the newest bar, 0; a bar's length is due
    OUT_OF_ORDER = "out_of_order"  # the same, where the bar lies before the newest or overlaps it
    JUMP = "jump"  # change from close to close a minute, as a fraction
    DEAD = "dead"  # consecutive bars without a move or a trade
    STALE = "stale"  # seconds since the newest bar closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing wrong with the bar that closed at `closed_at`: what was seen, what is allowed."""

    kind: FlawKind
    symbol: Symbol
    timeframe: Timeframe
    closed_at: datetime
    observed: float
    limit: float


class QualityLimits(BaseModel):
    """Where a stream of bars stops being believed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_jump_per_minute: Annotated[Decimal, Field(gt=0)]
    """Largest change from close to close, as a fraction a minute; 0.1 in PARAMETERS.md 1.9."""

    dead_after: Annotated[int, Field(ge=1)]
    """So many consecutive bars without a move or a trade are a dead feed, or a dead market."""

    max_delay: Annotated[timedelta, Field(ge=timedelta(0))]
    """How late the next bar may be. 60 s allow a one-minute bar an age of 120 s, as in 1.9."""


class BarInspector:
    """Inspects the bars of one symbol and timeframe as they come, each against those before it.

    A bar that is not newer than the newest is told and otherwise forgotten; any other is what the
    next one is compared with, so that a price which stays where it jumped to is told once.
    """

    def __init__(self, symbol: Symbol, timeframe: Timeframe, limits: QualityLimits) -> None:
        self._symbol = symbol
        self._timeframe = timeframe
        self._step = timeframe.delta
        self._limits = limits
        self._newest: Bar | None = None
        self._due: datetime | None = None
        self._silent = 0  # bars without a move or a trade up to now
        reach = limits.max_jump_per_minute * Decimal(self._step // _MINUTE)
        self._rise, self._fall = 1 + reach, 1 - reach
        self._lowest = self._highest = Decimal(0)  # where the next close is no jump

    def inspect(self, bar: Bar) -> tuple[Flaw, ...]:
        """Everything wrong with `bar`; empty for a good one.

        Raises:
            ValueError: `bar` is of another symbol or timeframe.
        """
        if (
            bar.closed_at == self._due
            and bar.timeframe is self._timeframe
            and bar.symbol == self._symbol
            and self._lowest <= bar.close <= self._highest
            and bar.volume
        ):
            self._accept(bar)
            self._silent = 0
            return ()
        return self._inspect_closely(bar)

    def stale(self, now: datetime) -> Flaw | None:
        """The flaw of a stream whose next bar is overdue at `now`; none before its first bar."""
        return staleness(self._newest, self._limits, now=now) if self._newest is not None else None

    def _inspect_closely(self, bar: Bar) -> tuple[Flaw, ...]:
        if bar.symbol != self._symbol or bar.timeframe is not self._timeframe:
            raise ValueError(
                f"{bar.symbol} {bar.timeframe} for the inspector of"
                f" {self._symbol} {self._timeframe}"
            )
        newest = self._newest
        if newest is not None and (late := _out_of_order(bar, newest)) is not None:
            return (late,)
        self._accept(bar)
        self._silent = self._silent + 1 if _is_silent(bar) else 0
        flaws = [_dead(bar, self._silent, self._limits)]
        if newest is not None:
            flaws += [_gap(bar, newest), _jump(bar, newest, self._limits)]
        return tuple(flaw for flaw in flaws if flaw is not None)

    def _accept(self, bar: Bar) -> None:
        self._newest = bar
        self._due = bar.closed_at + self._step
        self._lowest, self._highest = bar.close * self._fall, bar.close * self._rise


def inspect(bars: Iterable[Bar], limits: QualityLimits) -> tuple[Flaw, ...]:
    """Everything wrong with `bars`, all of one symbol and timeframe, in the order they stand.

    Raises:
        ValueError: they are not all of one symbol and timeframe.
    """
    stream = iter(bars)
    first = next(stream, None)
    if first is None:
        return ()
    inspector = BarInspector(first.symbol, first.timeframe, limits)
    return tuple(flaw for bar in chain((first,), stream) for flaw in inspector.inspect(bar))


def staleness(newest: Bar, limits: QualityLimits, *, now: datetime) -> Flaw | None:
    """The flaw of a stream that ends with `newest`, if the next bar is overdue at `now`."""
    age, allowed = now - newest.closed_at, newest.timeframe.delta + limits.max_delay
    if age <= allowed:
        return None
    return _flaw(FlawKind.STALE, newest, age.total_seconds(), allowed.total_seconds())


def _out_of_order(bar: Bar, newest: Bar) -> Flaw | None:
    since, due = bar.closed_at - newest.closed_at, bar.timeframe.delta
    if since >= due:
        return None
    kind = FlawKind.OUT_OF_ORDER if since else FlawKind.DUPLICATE
    return _flaw(kind, bar, since.total_seconds(), due.total_seconds())


def _gap(bar: Bar, newest: Bar) -> Flaw | None:
    missing = (bar.closed_at - newest.closed_at) / bar.timeframe.delta - 1.0
    return _flaw(FlawKind.GAP, bar, missing, 0.0) if missing else None


def _jump(bar: Bar, newest: Bar, limits: QualityLimits) -> Flaw | None:
    minutes = Decimal((bar.closed_at - newest.closed_at) / _MINUTE)
    change = abs(bar.close / newest.close - 1) / minutes
    limit = limits.max_jump_per_minute
    return _flaw(FlawKind.JUMP, bar, float(change), float(limit)) if change > limit else None


def _dead(bar: Bar, silent: int, limits: QualityLimits) -> Flaw | None:
    if silent < limits.dead_after:
        return None
    return _flaw(FlawKind.DEAD, bar, float(silent), float(limits.dead_after))


def _is_silent(bar: Bar) -> bool:
    return bar.volume == 0 and bar.high == bar.low


def _flaw(kind: FlawKind, bar: Bar, observed: float, limit: float) -> Flaw:
    return Flaw(
        kind=kind,
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        closed_at=bar.closed_at,
        observed=observed,
        limit=limit,
    )
