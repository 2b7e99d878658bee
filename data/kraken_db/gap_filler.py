"""Fills the gaps of Kraken's history (S0-31).

`python -m data.kraken_db.gap_filler --db-url "$DATABASE_URL"`; `data.collect` does the work.
"""

import typer

from data.collect.command import DbUrl, Since, Symbols, Until, With, run, utc
from data.collect.filling import fill
from data.collect.gaps import Means
from data.collect.venues import Exchange

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    db_url: DbUrl,
    symbols: Symbols = [],  # noqa: B006 - typer wants a list, and makes its own
    since: Since = None,
    until: Until = None,
    means: With = Means.TRADES,
) -> None:
    """Find what is missing of Kraken's history, and fill it.

    Looks inside the range and at its ends, by minute and by trade id. May be stopped at any time
    and run again; a second run changes nothing. Kraken gives the last 720 one-minute bars, and
    trades from the first on, a thousand a second.
    """
    fill(Exchange.KRAKEN, db_url, symbols, since=utc(since), until=utc(until), means=means)


if __name__ == "__main__":
    run(app)
