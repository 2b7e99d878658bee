"""Keeps the headlines of a file: `python -m data.collect.import_headlines FILE --source NAME`."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console

from data.clock import Clock, SystemClock
from data.collect.command import DbUrl, run
from data.collect.patience import Patience
from data.headline_documents import FieldNames, read_file
from data.headlines import Refusal, Terms, read_drafts
from data.news import NewsStream
from data.postgres.migrate import migrate
from data.postgres.news import PostgresNewsStore
from data.postgres.pool import connect
from data.store import NewsStore

_BATCH = 1_000
_EXAMPLES = 5

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(slots=True, kw_only=True)
class Imported:
    """What came of a file."""

    put: int = 0  # those that the store had before count again
    duplicates: int = 0  # in the file, as far as they stand near each other
    injections: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


async def import_headlines(
    path: Path,
    names: FieldNames,
    terms: Terms,
    store: NewsStore,
    clock: Clock,
    *,
    first_seen: str | None = None,
) -> Imported:
    """Put the headlines of a file; to do it again changes nothing, wherever it stopped.

    Raises:
        DocumentUnreadable: the file breaks somewhere; what stands before that is kept.
        StoreUnavailable: the last of many tries.
        OSError: there is no such file.
    """
    drafts = read_file(path, names, first_seen=first_seen)
    patience, now, done = Patience(clock=clock), clock.now(), Imported()
    while batch := list(islice(drafts, _BATCH)):
        reading = read_drafts(batch, terms, now=now)
        await patience.ask(partial(store.put, reading.items))
        done.put += len(reading.items)
        done.duplicates += reading.duplicates
        done.injections += reading.injections
        done.refused.update(reading.refused)
        done.examples = [*done.examples, *reading.examples][:_EXAMPLES]
    return done


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise typer.BadParameter(f"no time zone {text!r}; such as Europe/London") from error


@app.command()
def main(
    path: Annotated[
        Path, typer.Argument(help="csv, jsonl or json, also .gz.", exists=True, dir_okay=False)
    ],
    source: Annotated[str, typer.Option(help="Under which name its items are kept.")],
    stream: Annotated[NewsStream, typer.Option(help="What they are about.")],
    db_url: DbUrl,
    published: Annotated[str, typer.Option(help="The field with the time of publication.")],
    first_seen: Annotated[
        str | None, typer.Option(help="The field that tells when each was first seen, if any.")
    ] = None,
    title: Annotated[str, typer.Option(help="The field with the headline.")] = "title",
    url: Annotated[str, typer.Option(help="The field with the address.")] = "url",
    zone: Annotated[
        ZoneInfo | None,
        typer.Option(parser=_zone, help="Of times that name none; without it these are refused."),
    ] = None,
    assume_seen_after_hours: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="For backtests: when each would have been seen. Without it, and without"
            " --first-seen, the past knows nothing of them.",
        ),
    ] = None,
) -> None:
    """Keep the dated headlines of a file; those without a date are refused, and counted."""
    lag = None if assume_seen_after_hours is None else timedelta(hours=assume_seen_after_hours)
    terms = Terms(source=source, stream=stream, zone=zone, assumed_lag=lag)
    names = FieldNames(title=title, url=url, published=published)
    done = asyncio.run(_import(path, names, terms, db_url, first_seen))
    console = Console(soft_wrap=True)
    console.print(f"{done.put:,} kept; {done.duplicates:,} more say the same again")
    for refusal, count in done.refused.items():
        console.print(f"{count:,} refused: {refusal}")
    for example in done.examples:
        console.print(f"  {example}", markup=False, highlight=False)


async def _import(
    path: Path, names: FieldNames, terms: Terms, db_url: str, first_seen: str | None
) -> Imported:
    clock = SystemClock()
    async with await connect(db_url) as pool:
        await migrate(pool)
        store = PostgresNewsStore(pool)
        return await import_headlines(path, names, terms, store, clock, first_seen=first_seen)


if __name__ == "__main__":
    run(app)
