"""What the commands show: a progress bar on stderr, a table at the end on stdout."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from data.collect.gaps import FillReport
from data.instrument import Symbol

_GAPS_SHOWN = 3


class ProgressBar:
    """A bar for each symbol."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._current: TaskID | None = None

    def expect(self, symbol: Symbol | str, count: int) -> None:
        """So much more is to be done for `symbol`, which is worked on from now on."""
        if symbol not in self._tasks:
            self._tasks[symbol] = self._progress.add_task(symbol, total=0)
        self._current = self._tasks[symbol]
        total = self._progress.tasks[self._current].total or 0
        self._progress.update(self._current, total=total + count)

    def advance(self, count: int) -> None:
        if self._current is not None:
            self._progress.advance(self._current, count)


@contextmanager
def progress_bar(unit: str) -> Iterator[ProgressBar]:
    """A progress bar on stderr, counted in `unit`, while the block lasts."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield ProgressBar(progress)


def minute(at: datetime) -> str:
    """A time as tables show it."""
    return f"{at:%Y-%m-%d %H:%M}"


def fill_table(reports: Iterable[FillReport]) -> Table:
    """What was missing of each symbol, what came of it, and what is left."""
    table = Table(title="gaps filled; times are UTC")
    for heading in ("symbol", "from", "until"):
        table.add_column(heading)
    for heading in (
        "minutes",
        "in gaps",
        "ids",
        "in holes",
        "poorer",
        "trades",
        "bars made",
        "bars given",
    ):
        table.add_column(heading, justify="right")
    table.add_column("left")
    for report in reports:
        numbers = (
            report.minutes,
            report.gaps,
            report.ids,
            report.holes,
            report.poorer,
            report.trades,
            report.bars_from_trades,
            report.bars_from_venue,
        )
        table.add_row(
            report.symbol,
            minute(report.since),
            minute(report.until),
            *(f"{number:,}" for number in numbers),
            _left(report),
        )
    return table


def _left(report: FillReport) -> str:
    parts = [
        f"{span.minutes:,} min from {minute(span.since)}" for span in report.left[:_GAPS_SHOWN]
    ]
    if (more := len(report.left) - _GAPS_SHOWN) > 0:
        parts.append(f"and {more:,} stretches more")
    if report.ids_left:
        parts.append(f"{report.ids_left:,} ids")
    return "; ".join(parts) or "nothing"
