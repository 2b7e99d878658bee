"""Higher-timeframe trend from closed bars; what is stale or missing is neutral, and says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite, nan
from typing import Final

from data.bar import Timeframe
from data.indicators import Ema, Indicator
from data.snapshot import Frame

INDICATORS: Final[tuple[Indicator, ...]] = (Ema(9), Ema(21))
"""What a frame must carry to be read here (PARAMETERS.md 1.2)."""

_FAST, _SLOW = "ema_9", "ema_21"
_STALE_AFTER: Final = 2  # intervals of the timeframe (REQUIREMENTS.md 6)


class Freshness(StrEnum):
    """Whether a timeframe can be read; only a fresh one has a direction."""

    FRESH = "fresh"
    STALE = "stale"  # its newest bar closed more than two intervals ago
    MISSING = "missing"  # no closed bar, or its averages are warming up


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeframeTrend:
    """One timeframe's say; all zero unless it is fresh."""

    timeframe: Timeframe
    freshness: Freshness
    direction: int  # the sign of EMA 9 less EMA 21
    trend: float  # close over its moving average, less 1: a fraction
    age: timedelta | None  # since its newest bar closed; None without one


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What the timeframes say together.

    `alignment` is the mean direction in [-1, 1]; a neutral timeframe counts as 0, so that what is
    not known never strengthens what is.
    """

    alignment: float
    trends: Mapping[Timeframe, TimeframeTrend]

    @property
    def unreadable(self) -> tuple[Timeframe, ...]:
        """The timeframes that are neutral because they are stale or missing: worth a warning."""
        return tuple(t for t, of in self.trends.items() if of.freshness is not Freshness.FRESH)


def read_overlay(
    frames: Mapping[Timeframe, Frame], timeframes: Iterable[Timeframe], *, now: datetime
) -> Overlay:
    """The state of `timeframes` at `now`, each read from its frame; aligned at 0 without any."""
    trends = {t: timeframe_trend(t, frames.get(t), now=now) for t in timeframes}
    directions = [of.direction for of in trends.values()]
    alignment = sum(directions) / len(directions) if directions else 0.0
    return Overlay(alignment=alignment, trends=trends)


def timeframe_trend(timeframe: Timeframe, frame: Frame | None, *, now: datetime) -> TimeframeTrend:
    """What `frame` says at `now`, or why it says nothing."""
    age = now - frame.closed_at if frame is not None else None
    freshness = _freshness(frame, now)
    if frame is None or freshness is not Freshness.FRESH:
        return TimeframeTrend(
            timeframe=timeframe, freshness=freshness, direction=0, trend=0.0, age=age
        )
    fast, slow = frame.indicators[_FAST], frame.indicators[_SLOW]
    return TimeframeTrend(
        timeframe=timeframe,
        freshness=freshness,
        direction=(fast > slow) - (fast < slow),
        trend=trend(frame),
        age=age,
    )


def trend(frame: Frame) -> float:
    """Close over EMA 21, less 1; 0, which is neutral, while the average is not known."""
    average = frame.indicators.get(_SLOW, nan)
    return float(frame.series.close[-1]) / average - 1.0 if isfinite(average) else 0.0


def is_stale(frame: Frame, *, now: datetime) -> bool:
    """Whether the newest bar closed more than two intervals ago; exactly two is still fresh."""
    return now - frame.closed_at > _STALE_AFTER * frame.timeframe.delta


def _freshness(frame: Frame | None, now: datetime) -> Freshness:
    if frame is None:
        return Freshness.MISSING
    if is_stale(frame, now=now):
        return Freshness.STALE
    averages = (frame.indicators.get(name, nan) for name in (_FAST, _SLOW))
    return Freshness.FRESH if all(map(isfinite, averages)) else Freshness.MISSING
