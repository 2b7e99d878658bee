"""What the collectors' commands share: options, and errors in a sentence."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from data.collect.gaps import Means
from data.faults import Fault
from data.instrument import Symbol, UnknownSymbol


def _symbols(texts: list[str]) -> list[str]:
    """Symbols given one by one, or with commas."""
    found = [part for text in texts for part in text.split(",") if part]
    for text in found:
        try:
            Symbol(text)
        except UnknownSymbol as error:
            raise typer.BadParameter(str(error)) from error
    return found


DbUrl = Annotated[
    str,
    typer.Option(
        envvar="DATABASE_URL", help="The database, as postgresql://user:password@host/name."
    ),
]
Symbols = Annotated[
    list[str],
    typer.Option(help="Such as BTC/USDT,XRP/USDT; all that are kept if none.", callback=_symbols),
]
NamedSymbols = Annotated[
    list[str], typer.Option("--symbols", help="Such as BTC/USDT,XRP/USDT.", callback=_symbols)
]
Since = Annotated[
    datetime | None,
    typer.Option(help="From when on, in UTC; the first minute that is kept if not said."),
]
Until = Annotated[datetime | None, typer.Option(help="Until when, in UTC; now if not said.")]
With = Annotated[
    Means,
    typer.Option("--with", help="Trades, and bars made of them; or the venue's own bars only."),
]


def utc(at: datetime | None) -> datetime | None:
    """A time of the command line, which has no zone, as UTC."""
    return None if at is None else at.replace(tzinfo=UTC)


def run(app: typer.Typer) -> None:
    """Run a command; what the outside world does to it is said in a sentence."""
    try:
        app()
    except Fault as fault:
        _end(fault)
    except ExceptionGroup as group:
        faults, rest = group.split(Fault)
        if rest is not None or faults is None:
            raise
        _end(*_leaves(faults))
    except OSError as error:
        if error.filename is None:
            raise
        _end(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        _end("stopped; what was done is kept, and the next run goes on there")


def _end(*reasons: Fault | str) -> None:
    console = Console(stderr=True, soft_wrap=True)
    for reason in reasons:
        console.print(str(reason), style="red", markup=False, highlight=False)
    sys.exit(1)


def _leaves(group: ExceptionGroup[Fault]) -> list[Fault]:
    flat: list[Fault] = []
    for error in group.exceptions:
        flat.extend(_leaves(error) if isinstance(error, ExceptionGroup) else [error])
    return flat
