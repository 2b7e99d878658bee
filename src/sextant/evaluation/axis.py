"""Axes: where the ticks stand, and what they say."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

ValueFormat: TypeAlias = Callable[[float, float], str]
"""The text of a value, given the step between ticks."""

_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_TIME_STEPS = (
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 91, 182, 364)),
)


def nice_step(span: float, most: int) -> float:
    """The least of 1, 2 or 5 times a power of ten that cuts `span` into at most `most` pieces."""
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(n * power for n in (1.0, 2.0, 5.0, 10.0) if n * power >= rough * (1.0 - 1e-9))


def value_ticks(low: float, high: float, most: int = 5) -> tuple[list[float], float]:
    """The multiples of a nice step in [low, high], and the step; `low` lies below `high`."""
    step = nice_step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)], step


def plain(value: float, step: float) -> str:
    """As many decimals as the step needs, thousands separated."""
    text = f"{value:,.{_decimals(step)}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text


def percent(value: float, step: float) -> str:
    """A fraction in percent."""
    return f"{plain(100.0 * value, 100.0 * step)} %"


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def time_ticks(start: datetime, end: datetime, most: int = 7) -> list[tuple[datetime, str]]:
    """Round times in [start, end] with what they say: days by their date, hours by the clock."""
    wanted = (end - start) / most
    step = next((s for s in _TIME_STEPS if s >= wanted), _TIME_STEPS[-1])
    at = start + (_MONDAY - start) % step
    found = []
    while at <= end:
        found.append((at, _name(at, step)))
        at += step
    return found


def _name(at: datetime, step: timedelta) -> str:
    if step >= 91 * _DAY:
        return f"{at:%Y-%m-%d}"
    midnight = not (at.hour or at.minute)
    return f"{at:%b} {at.day}" if step >= _DAY or midnight else f"{at:%H:%M}"
