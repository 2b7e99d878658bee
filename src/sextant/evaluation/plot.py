"""Plots as SVG text, for a page that needs nothing from anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

WIDTH, HEIGHT = 960, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 12, 10, 26
_TICKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A point of interest on a line: `up` points upwards (a buy), else downwards (a sell)."""

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

    def x(self, at: float) -> float:
        return _LEFT + (at - self.start) / (self.end - self.start) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - _TOP - _BOTTOM)


def line_plot(
    times: Sequence[datetime],
    values: Sequence[float],
    *,
    label: str,
    number: str = ",.2f",
    markers: Sequence[Marker] = (),
    filled: bool = False,
) -> str:
    """A line over time with axes; `number` is the format of the value axis.

    Fewer than two points draw a sentence that says so.
    """
    if len(times) < 2:
        return f'<p class="empty">{escape(label)}: fewer than two points</p>'
    scale = _scale(times, values)
    points = " ".join(
        f"{scale.x(t.timestamp()):.1f},{scale.y(v):.1f}" for t, v in zip(times, values, strict=True)
    )
    shapes = [_value_axis(scale, number), _time_axis(scale, times)]
    if filled:
        left, right, base = scale.x(scale.start), scale.x(scale.end), scale.y(scale.low)
        outline = f"{left:.1f},{base:.1f} {points} {right:.1f},{base:.1f}"
        shapes.append(f'<polygon class="area" points="{outline}"/>')
    shapes.append(f'<polyline class="line" points="{points}"/>')
    shapes.extend(_marker(scale, marker) for marker in markers)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(shapes)}</svg>"
    )


def _scale(times: Sequence[datetime], values: Sequence[float]) -> _Scale:
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.01 or 1.0
    return _Scale(times[0].timestamp(), times[-1].timestamp(), low - margin, high + margin)


def _value_axis(scale: _Scale, number: str) -> str:
    step = (scale.high - scale.low) / _TICKS
    rows = [scale.low + step * i for i in range(_TICKS + 1)]
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{scale.y(v):.1f}" '
        f'y2="{scale.y(v):.1f}"/><text x="{_LEFT - 6}" y="{scale.y(v) + 4:.1f}" '
        f'text-anchor="end">{v:{number}}</text>'
        for v in rows
    )


def _time_axis(scale: _Scale, times: Sequence[datetime]) -> str:
    span = times[-1] - times[0]
    pattern = "%Y-%m-%d" if span.days >= 5 else "%m-%d %H:%M"
    moments = [times[0] + span * i / _TICKS for i in range(_TICKS + 1)]
    anchors = ["start", *["middle"] * (_TICKS - 1), "end"]
    return "".join(
        f'<text x="{scale.x(t.timestamp()):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">'
        f"{t:{pattern}}</text>"
        for t, anchor in zip(moments, anchors, strict=True)
    )


def _marker(scale: _Scale, marker: Marker) -> str:
    x, y = scale.x(marker.at.timestamp()), scale.y(marker.value)
    tip = 5 if marker.up else -5
    kind = "buy" if marker.up else "sell"
    return (
        f'<path class="{kind}" d="M{x:.1f},{y - tip:.1f} l-4,{2 * tip} h8 z">'
        f"<title>{escape(marker.label)}</title></path>"
    )


def share_bar(shares: Sequence[tuple[str, int]]) -> str:
    """One horizontal bar cut into labelled counts; `shares` are (css class, count) in order."""
    total = sum(count for _, count in shares)
    if not total:
        return '<p class="empty">no ballot</p>'
    pieces, left = [], 0.0
    for kind, count in shares:
        width = count / total * 400
        pieces.append(
            f'<rect class="{escape(kind)}" x="{left:.1f}" width="{width:.1f}" height="14">'
            f"<title>{escape(kind)}: {count}</title></rect>"
        )
        left += width
    return f'<svg class="share" viewBox="0 0 400 14">{"".join(pieces)}</svg>'
