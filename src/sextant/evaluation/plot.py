"""Plots as SVG text, for a page that needs nothing from anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from sextant.evaluation.axis import ValueFormat, plain, time_ticks, value_ticks

WIDTH = 960
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 14, 10, 24
_SHARE_WIDTH = 400

Span = tuple[datetime, datetime]
"""From when to when a plot reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A point of interest: `up` points upwards (a buy), else downwards (a sell)."""

    at: datetime
    value: float
    up: bool
    label: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps times and values to the drawing."""

    start: float
    end: float
    low: float
    high: float
    height: int

    def x(self, at: datetime) -> float:
        return _LEFT + (at.timestamp() - self.start) / (self.end - self.start) * (
            WIDTH - _LEFT - _RIGHT
        )

    def y(self, value: float) -> float:
        return _TOP + (self.high - value) / (self.high - self.low) * (self.height - _TOP - _BOTTOM)


def line_plot(
    times: Sequence[datetime],
    values: Sequence[float],
    *,
    label: str,
    number: ValueFormat = plain,
    markers: Sequence[Marker] = (),
    base: float | None = None,
    span: Span | None = None,
    height: int = 240,
) -> str:
    """A line over time with axes.

    Args:
        times: In order, as many as `values`; fewer than two draw a sentence that says so.
        values: One a time.
        label: What it shows, for who cannot see it.
        number: How values are written.
        markers: Drawn over the line.
        base: The area between the line and this value is filled; it is drawn, too.
        span: The plot's beginning and end; None for the line's own.
        height: Of the drawing; the width is 960, and the page scales both.
    """
    if len(times) < 2 or times[0] == times[-1]:
        return _nothing(f"{label}: fewer than two points")
    span = span or (times[0], times[-1])
    shown = [*values, *(marker.value for marker in markers)]
    scale = _scale(span, shown if base is None else [*shown, base], height)
    points = " ".join(
        f"{scale.x(t):.1f},{scale.y(v):.1f}" for t, v in zip(times, values, strict=True)
    )
    shapes = [_value_axis(scale, number), _time_axis(scale, span)]
    if base is not None:
        shapes.append(_area(scale, (times[0], times[-1]), base, points))
    shapes.append(f'<polyline class="line" points="{points}"/>')
    shapes.extend(_marker(scale, marker) for marker in markers)
    return _svg(label, height, shapes)


def bar_plot(
    times: Sequence[datetime],
    values: Sequence[float],
    *,
    label: str,
    span: Span,
    number: ValueFormat = plain,
    height: int = 150,
) -> str:
    """One bar a value from zero up or down; what lies outside `span` stands at its edge."""
    if not times or span[0] >= span[1]:
        return _nothing(f"{label}: nothing to show")
    scale = _scale(span, [*values, 0.0], height)
    width = max((WIDTH - _LEFT - _RIGHT) / len(times) * 0.7, 1.0)
    shapes = [_value_axis(scale, number), _time_axis(scale, span)]
    for at, value in zip(times, values, strict=True):
        middle = scale.x(min(max(at, span[0]), span[1]))
        left = max(middle - width / 2, _LEFT)
        right = min(middle + width / 2, WIDTH - _RIGHT)
        top, bottom = scale.y(max(value, 0.0)), scale.y(min(value, 0.0))
        kind = "gain" if value > 0 else "fall" if value < 0 else "grid"
        shapes.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{max(bottom - top, 0.5):.1f}">'
            f"<title>{at:%Y-%m-%d}: {number(value, 0.0001)}</title></rect>"
        )
    return _svg(label, height, shapes)


def share_bar(shares: Sequence[tuple[str, int]]) -> str:
    """One horizontal bar cut into labelled counts; `shares` are (css class, count) in order."""
    total = sum(count for _, count in shares)
    if not total:
        return _nothing("no ballot")
    pieces, left = [], 0.0
    for kind, count in shares:
        width = count / total * _SHARE_WIDTH
        pieces.append(
            f'<rect class="{escape(kind)}" x="{left:.1f}" width="{width:.1f}" height="14">'
            f"<title>{escape(kind)}: {count:,} of {total:,}</title></rect>"
        )
        left += width
    return (
        f'<svg class="share" viewBox="0 0 {_SHARE_WIDTH} 14" preserveAspectRatio="none">'
        f"{''.join(pieces)}</svg>"
    )


def _nothing(why: str) -> str:
    return f'<p class="empty">{escape(why)}</p>'


def _svg(label: str, height: int, shapes: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(shapes)}</svg>"
    )


def _scale(span: Span, values: Sequence[float], height: int) -> _Scale:
    """Five percent of air above and below, but none beyond a zero that everything keeps to."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.01 or 1.0
    bottom = 0.0 if low == 0.0 < high else low - margin
    top = 0.0 if low < high == 0.0 else high + margin
    return _Scale(span[0].timestamp(), span[1].timestamp(), bottom, top, height)


def _value_axis(scale: _Scale, number: ValueFormat) -> str:
    ticks, step = value_ticks(scale.low, scale.high)
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{scale.y(v):.1f}" '
        f'y2="{scale.y(v):.1f}"/><text x="{_LEFT - 8}" y="{scale.y(v) + 4:.1f}" '
        f'text-anchor="end">{number(v, step)}</text>'
        for v in ticks
    )


def _time_axis(scale: _Scale, span: Span) -> str:
    return "".join(
        f'<line class="tick" x1="{scale.x(at):.1f}" x2="{scale.x(at):.1f}" y1="{_TOP}" '
        f'y2="{scale.height - _BOTTOM}"/><text x="{scale.x(at):.1f}" y="{scale.height - 8}" '
        f'text-anchor="middle">{name}</text>'
        for at, name in time_ticks(*span)
    )


def _area(scale: _Scale, ends: Span, base: float, points: str) -> str:
    left, right, y = scale.x(ends[0]), scale.x(ends[1]), scale.y(base)
    return (
        f'<polygon class="area" points="{left:.1f},{y:.1f} {points} {right:.1f},{y:.1f}"/>'
        f'<line class="base" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    )


def _marker(scale: _Scale, marker: Marker) -> str:
    """A triangle whose tip touches the price: from below for a buy, from above for a sell."""
    x, y = scale.x(marker.at), scale.y(marker.value)
    drop = 9 if marker.up else -9
    return (
        f'<path class="{"buy" if marker.up else "sell"}" d="M{x:.1f},{y:.1f} l-5,{drop} h10 z">'
        f"<title>{escape(marker.label)}</title></path>"
    )
