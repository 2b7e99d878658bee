"""The report of a run: a table for the terminal, and files beside each other in one folder."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from sextant.evaluation.counterfactual import MANY
from sextant.evaluation.figures import (
    KINDS,
    busiest,
    counted,
    figures,
    filled_by,
    in_r,
    mode,
    percent,
    ratio,
    stand_in_notice,
)
from sextant.evaluation.page import page
from sextant.evaluation.scorecard import Scorecard
from sextant.evaluation.summary import GateSummary, SeatSummary, Summary
from sextant.evaluation.tables import write_tables


def write_report(folder: Path, summary: Summary, card: Scorecard) -> tuple[Path, Path]:
    """Write report.json, report.html and three CSV files into `folder`.

    Returns the paths of the first two.
    """
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_page = folder / "report.json", folder / "report.html"
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    as_json.write_bytes(orjson.dumps(_flat(summary), default=str, option=options))
    as_page.write_text(page(summary, card), encoding="utf-8")
    write_tables(folder, card)
    return as_json, as_page


def _flat(summary: Summary) -> dict[str, object]:
    """Every figure by its own name, on one level; no two parts have a name in common."""
    parts = (summary, summary.gate, summary.trading, summary.returns)
    named = {field.name: getattr(part, field.name) for part in parts for field in fields(part)}
    return {name: value for name, value in named.items() if value not in parts}


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
    if summary.gate.desks:
        parts.append(_desks(summary.gate))
    if summary.gate.rules:
        parts.append(_rules(summary.gate))
    if any(day.vetoes for day in summary.gate.days):
        parts.append(_busiest(summary.gate))
    if notice := stand_in_notice(summary.seats):
        parts.append(Text(notice, style="magenta"))
    return Group(*parts)


def _plain(title: str, *columns: Column, numbers: Sequence[str]) -> Table:
    """A table without lines: `columns`, and then one of figures for each name in `numbers`."""
    return Table(
        *columns,
        *(Column(name, justify="right", no_wrap=True) for name in numbers),
        title=title,
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _seats(summary: Summary) -> Table:
    """Shares of each seat's ballots, and how its scored votes did."""
    seats = _plain(
        "Votes, as shares of each seat's ballots",
        Column("seat", no_wrap=True),
        Column("filled by", overflow="fold"),
        numbers=("long", "short", "close", "hold", "abst.", "right", "Brier"),
    )
    for seat in summary.seats:
        seats.add_row(*_seat_row(seat))
    return seats


def _desks(gate: GateSummary) -> Table:
    """What each desk decided, and what became of it."""
    desks = _plain(
        "Decisions by desk",
        Column("desk", overflow="fold"),
        numbers=("decisions", "skipped", "intents", "approved", "vetoed", "sent back", "referred"),
    )
    for desk in gate.desks:
        came = (desk.approved, desk.vetoed, desk.sent_back, desk.referred)
        counts = (desk.decisions, desk.skipped, desk.intents, *came)
        desks.add_row(desk.strategy_id, *(f"{count:,}" for count in counts))
    return desks


def _rules(gate: GateSummary) -> Table:
    """What the entries that rules objected to would have come to, or came to."""
    rules = _plain(
        "The worth of each rule: entries it objected to, in R after fees",
        Column("rule", overflow="fold"),
        Column("", no_wrap=True),
        numbers=("vetoes", "alone", "tracked", "won", "mean R", "sum R", f"days>{MANY}"),
    )
    for rule in gate.rules:
        rules.add_row(
            rule.rule,
            mode(rule),
            f"{rule.vetoes:,}",
            f"{rule.alone:,}",
            f"{rule.trades:,}",
            percent(rule.won, 0) if rule.won is not None else "",
            in_r(rule.mean_r),
            in_r(rule.total_r, 1),
            f"{rule.busy_days:,}",
        )
    rules.caption = "Below zero is loss spared. In shadow they went through all the same."
    rules.caption_justify = "left"
    return rules


def _busiest(gate: GateSummary) -> Table:
    """The days with the most vetoes, and how they went."""
    days = _plain(
        "The days with the most vetoes",
        Column("day", no_wrap=True),
        numbers=("vetoes", "intents", "return"),
    )
    days.add_column("objections", overflow="fold")
    for day in busiest(gate):
        days.add_row(
            day.date.isoformat(),
            f"{day.vetoes:,}",
            f"{day.intents:,}",
            percent(day.change) if day.change is not None else "",
            ", ".join(f"{rule} {count:,}" for rule, count in day.rejections.items()),
        )
    return days


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
