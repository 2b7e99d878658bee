"""The report of a run: a table for the terminal, and files beside each other in one folder."""

from pathlib import Path

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from sextant.evaluation.figures import (
    KINDS,
    counted,
    figures,
    filled_by,
    percent,
    ratio,
    stand_in_notice,
)
from sextant.evaluation.page import page
from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.summary import SeatSummary, Summary
from sextant.evaluation.tables import write_tables


def write_report(folder: Path, summary: Summary, card: Scorecard) -> tuple[Path, Path]:
    """Write report.json, report.html and three CSV files into `folder`.

    Returns the paths of the first two.
    """
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_page = folder / "report.json", folder / "report.html"
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    as_json.write_bytes(orjson.dumps(summary, default=str, option=options))
    as_page.write_text(page(summary, card), encoding="utf-8")
    write_tables(folder, card)
    return as_json, as_page


def table(summary: Summary) -> RenderableType:
    """The report for a terminal, 80 columns wide or more; nothing in it is cut."""
    numbers = Table(
        Column("figure", no_wrap=True),
        Column("value", overflow="fold"),
        title=summary.title,
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name, value in figures(summary):
        numbers.add_row(name, Text(value))
    parts: list[RenderableType] = [numbers]
    if summary.seats:
        parts.append(_seats(summary))
    if summary.rules:
        parts.append(_rules(summary))
    if notice := stand_in_notice(summary.seats):
        parts.append(Text(notice, style="magenta"))
    return Group(*parts)


def _seats(summary: Summary) -> Table:
    """Shares of each seat's ballots, and how its scored votes did."""
    names = ("long", "short", "close", "hold", "abst.", "right", "Brier")
    seats = Table(
        Column("seat", no_wrap=True),
        Column("filled by", overflow="fold"),
        *(Column(name, justify="right", no_wrap=True) for name in names),
        title="Votes, as shares of each seat's ballots",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for seat in summary.seats:
        seats.add_row(*_seat_row(seat))
    return seats


def _rules(summary: Summary) -> Table:
    """What the vetoed entries would have come to, rule by rule."""
    names = ("vetoes", "tracked", "won", "mean R", "sum R")
    rules = Table(
        Column("rule", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in names),
        title="Vetoed entries as if taken, in R after fees; below zero was spared",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for rule in summary.rules:
        rules.add_row(
            rule.rule,
            f"{rule.vetoes:,}",
            f"{rule.trades:,}",
            percent(rule.won, 0) if rule.won is not None else "",
            f"{rule.mean_r:+.2f}" if rule.mean_r is not None else "",
            f"{rule.total_r:+.1f}",
        )
    return rules


def _seat_row(seat: SeatSummary) -> tuple[str | Text, ...]:
    ballots = counted(seat)
    total = sum(ballots.values())
    return (
        seat.voter,
        Text(filled_by(seat), style="magenta" if seat.stand_in else ""),
        *(_whole_percent(ballots[kind], total) for kind in KINDS),
        percent(seat.accuracy, 0) if seat.scored else "",
        ratio(seat.brier, 3) if seat.scored else "",
    )


def _whole_percent(count: int, total: int) -> str:
    """A few of many are not none."""
    if 0 < count < 0.005 * total:
        return "<1%"
    return f"{count / total:.0%}" if total else ""
