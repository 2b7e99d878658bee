"""The report of a run: a table for the terminal, a JSON file, and a page of its own."""

from pathlib import Path

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Group, RenderableType
from rich.table import Table

from data.instrument import Side, Symbol
from sextant.evaluation.plot import Marker, line_plot, share_bar
from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.summary import SeatSummary, Summary


def write_report(folder: Path, summary: Summary, card: Scorecard) -> tuple[Path, Path]:
    """Write report.json and report.html into `folder`, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, page = folder / "report.json", folder / "report.html"
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    as_json.write_bytes(orjson.dumps(summary, default=str, option=options))
    page.write_text(_page(summary, card), encoding="utf-8")
    return as_json, page


def _page(summary: Summary, card: Scorecard) -> str:
    environment = Environment(
        loader=PackageLoader("sextant.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    curve = card.equity.drawn
    times = [point.at for point in curve]
    return environment.get_template("report.html.j2").render(
        summary=summary,
        figures=figures(summary),
        equity=line_plot(times, [p.equity for p in curve], label="equity"),
        drawdown=line_plot(
            times, [-p.drawdown for p in curve], label="drawdown", number=".2%", filled=True
        ),
        prices={symbol: _price_plot(card, symbol) for symbol in card.prices},
        seats=[(seat, share_bar(_shares(seat))) for seat in summary.seats],
    )


def _price_plot(card: Scorecard, symbol: Symbol) -> str:
    points = card.prices[symbol].items
    fills = card.fills[symbol].items if symbol in card.fills else []
    markers = [
        Marker(
            at=fill.filled_at,
            value=float(fill.price),
            up=fill.side is Side.BUY,
            label=f"{fill.side} {fill.quantity} at {fill.price}, {fill.filled_at:%Y-%m-%d %H:%M}",
        )
        for fill in fills
    ]
    values = [float(point.price) for point in points]
    return line_plot(
        [p.at for p in points], values, label=f"{symbol} with fills", number=".6g", markers=markers
    )


def _shares(seat: SeatSummary) -> list[tuple[str, int]]:
    votes = [(kind, seat.votes.get(kind, 0)) for kind in ("long", "short", "close", "hold")]
    return [*votes, ("abstained", sum(seat.abstentions.values()))]


def figures(summary: Summary) -> list[tuple[str, str]]:
    """The headline numbers in words, in the order in which an owner asks for them."""
    money = summary.currency
    span = (
        f"{summary.first_bar:%Y-%m-%d %H:%M} to {summary.last_bar:%Y-%m-%d %H:%M} UTC"
        if summary.first_bar and summary.last_bar
        else "no bar"
    )
    vetoes = ", ".join(f"{rule} {count}" for rule, count in sorted(summary.rejections.items()))
    return [
        ("market", summary.market),
        ("period", f"{span}, {summary.bars:,} bars, {summary.interruptions} interruptions"),
        ("equity", f"{_number(summary.equity_start)} to {summary.equity_end} {money}"),
        ("return", _percent(summary.total_return)),
        ("largest drawdown", _percent(summary.max_drawdown)),
        ("Sharpe, Sortino (daily, 365)", f"{_ratio(summary.sharpe)}, {_ratio(summary.sortino)}"),
        ("fills", f"{summary.buys} buys, {summary.sells} sells"),
        ("closed trades", f"{summary.trades}, {_percent(summary.hit_rate)} won"),
        ("profit factor", _ratio(summary.profit_factor)),
        ("fees", f"{summary.fees:,.2f} {money}"),
        ("turnover", f"{summary.turnover:,.2f} times the starting equity"),
        ("model costs", f"{summary.model_costs_usd:.4f} USD"),
        (
            "decisions",
            f"{summary.decisions:,}, {summary.intents} intents, {summary.failures} failed",
        ),
        ("vetoes by rule", vetoes or "none"),
    ]


def table(summary: Summary) -> RenderableType:
    """The report for the terminal."""
    numbers = Table("figure", "value", title=summary.title)
    for name, value in figures(summary):
        numbers.add_row(name, value)
    if not summary.seats:
        return numbers
    seats = Table(
        "seat", "filled by", "long", "short", "close", "hold", "abstained", "right", "Brier"
    )
    for seat in summary.seats:
        counts = [str(count) for _, count in _shares(seat)]
        filled_by = f"{seat.model} (stand-in)" if seat.stand_in else seat.model
        seats.add_row(seat.voter, filled_by, *counts, _percent(seat.accuracy), _ratio(seat.brier))
    return Group(numbers, seats)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{share:.2%}"


def _ratio(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
