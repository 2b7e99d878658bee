"""The report as one HTML page of its own: no script, and nothing from anywhere."""

from collections.abc import Sequence
from datetime import UTC, datetime, time

from jinja2 import Environment, PackageLoader, StrictUndefined

from data.bar import Bar
from data.instrument import Side, Symbol
from execution.fill import Fill
from sextant.evaluation import axis
from sextant.evaluation.counterfactual import MANY
from sextant.evaluation.figures import (
    KINDS,
    busiest,
    counted,
    equity_end,
    figures,
    in_r,
    mode,
    of_intents,
    percent,
    period,
    ratio,
    stand_in_notice,
)
from sextant.evaluation.plot import Marker, Span, bar_plot, line_plot, share_bar
from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.summary import Summary

_MOST_MARKERS = 1_000  # a plot; more of them hide the price


def page(summary: Summary, card: Scorecard) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("sextant.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "ratio": ratio, "mode": mode, "in_r": in_r}
    span = (summary.first_bar, summary.last_bar)
    return environment.get_template("report.html.j2").render(
        summary=summary,
        period=period(summary),
        equity_end=equity_end(summary),
        notice=stand_in_notice(summary.seats),
        figures=figures(summary),
        plots=_plots(card, (span[0], span[1])) if span[0] and span[1] else [],
        kinds=KINDS,
        seats=[(seat, share_bar(list(counted(seat).items()))) for seat in summary.seats],
        most_vetoes=max(summary.gate.rejections.values(), default=1),
        of_intents=of_intents,
        busiest=busiest(summary.gate),
        many=MANY,
    )


def _plots(card: Scorecard, span: Span) -> list[tuple[str, str]]:
    """Titles and drawings, all over the same time."""
    curve = card.equity.drawn
    times = [point.at for point in curve]
    return [
        (
            "Equity",
            line_plot(
                times,
                [p.equity for p in curve],
                label="equity",
                base=card.equity.first,
                span=span,
            ),
        ),
        (
            "Drawdown from the peak",
            line_plot(
                times,
                [-p.drawdown for p in curve],
                label="drawdown",
                number=axis.percent,
                base=0.0,
                span=span,
                height=160,
            ),
        ),
        ("Return by day", _daily(card, span)),
        *(_price_plot(card, symbol, span) for symbol in sorted(card.prices)),
    ]


def _daily(card: Scorecard, span: Span) -> str:
    days = [day for day in card.equity.days if day.change is not None]
    noons = [datetime.combine(day.date, time(12), UTC) for day in days]
    return bar_plot(
        noons,
        [day.change or 0.0 for day in days],
        label="return by day",
        span=span,
        number=axis.percent,
    )


def _price_plot(card: Scorecard, symbol: Symbol, span: Span) -> tuple[str, str]:
    bars: Sequence[Bar] = card.prices[symbol].items
    fills = [fill for fill in card.fills if fill.symbol == symbol]
    drawn = fills[:: len(fills) // _MOST_MARKERS + 1]
    told = f"{len(fills):,} fills" if len(drawn) == len(fills) else f"{len(drawn):,} of the fills"
    plot = line_plot(
        [bar.closed_at for bar in bars],
        [float(bar.close) for bar in bars],
        label=f"{symbol} with our fills",
        markers=[_marker(fill) for fill in drawn],
        span=span,
    )
    return f"{symbol}, {told}", plot


def _marker(fill: Fill) -> Marker:
    return Marker(
        at=fill.filled_at,
        value=float(fill.price),
        up=fill.side is Side.BUY,
        label=f"{fill.side} {fill.quantity:f} at {fill.price:f}, {fill.filled_at:%Y-%m-%d %H:%M}",
    )
