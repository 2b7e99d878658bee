"""Fills the gaps of an exchange's history: `python -m data.collect --exchange binanceusdm`."""

from typing import Annotated

import typer

from data.collect.command import DbUrl, Since, Symbols, Until, With, run, utc
from data.collect.filling import fill
from data.collect.gaps import Means
from data.collect.venues import Exchange

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    exchange: Annotated[Exchange, typer.Option(help="Whose history.")],
    db_url: DbUrl,
    symbols: Symbols = [],  # noqa: B006 - typer wants a list, and makes its own
    since: Since = None,
    until: Until = None,
    means: With = Means.TRADES,
) -> None:
    """Find what is missing of an exchange's history, and fill it.

    Looks inside the range and at its ends, by minute and, where the venue has consecutive ids, by
    trade. May be stopped at any time and run again; a second run changes nothing.
    """
    fill(exchange, db_url, symbols, since=utc(since), until=utc(until), means=means)


if __name__ == "__main__":
    run(app)
