"""`sextant data`: what is kept of the market, whether it is fit, and making it whole."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from data.bar import Timeframe
from data.clock import SystemClock
from data.collect.checking import Checked, Finding, check_minutes, fill_from, findings
from data.collect.filling import fill_shown
from data.collect.gaps import SETTLED, Means
from data.collect.missing import minute_of, poorer_minutes
from data.collect.shown import fill_table, minute
from data.collect.venues import Exchange
from data.faults import Malformed
from data.feeds.recorded import USUAL, Tolerance
from data.instrument import Symbol
from data.kraken_db.archives import find_series
from data.kraken_db.csv_importer import import_all, show_imported
from data.postgres.bars import PostgresBarStore
from data.postgres.coverage import BarCoverage, TradeCoverage, bar_coverage, trade_coverage
from data.postgres.embedded import EmbeddedPostgres, FolderInUse, database
from data.postgres.migrate import migrate
from data.postgres.pool import Pool, connect
from data.postgres.trades import PostgresTradeStore
from sextant.market_settings import LiveMarketSettings
from sextant.settings import Settings, secret

_VENUES: Final = frozenset(Exchange)  # of which there is always more
_CONSECUTIVE: Final = frozenset({Exchange.KRAKEN, Exchange.BINANCE, Exchange.BINANCE_TESTNET})
_NOTHING: Final = "nothing is kept yet: start the daemon, or import or fill history"
_LATE: Final = 2  # intervals: what is older is shown as late


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStatus:
    """What the store holds at `at`."""

    at: datetime
    bars: tuple[BarCoverage, ...]
    trades: tuple[TradeCoverage, ...]


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Pool]:
    """The database of these settings, with the newest schema, whether or not a daemon runs.

    Raises:
        Fault: it cannot be reached, or its schema is none of ours.
    """
    dsn = secret(settings.storage.dsn_env)
    folder = settings.make_state_folder() / "postgres"
    async with contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(database(dsn, folder))
        except FolderInUse:
            address = EmbeddedPostgres(folder).dsn  # a running daemon's server answers us too
        pool = await stack.enter_async_context(await connect(address, size=2))
        await migrate(pool)
        yield pool


def nothing_kept(settings: Settings) -> bool:
    """Whether there is no database yet, which looking need not make."""
    made = settings.state_folder / "postgres" / "data"
    return secret(settings.storage.dsn_env) is None and not made.exists()


async def read_status(pool: Pool, *, now: datetime) -> DataStatus:
    """Coverage, gaps, age and row counts of all that is kept.

    Raises:
        StoreUnavailable: the store cannot be reached now.
    """
    bars, trades = await bar_coverage(pool), await trade_coverage(pool)
    order = list(Timeframe)
    bars.sort(key=lambda found: (found.exchange, found.symbol, order.index(found.timeframe)))
    return DataStatus(at=now, bars=tuple(bars), trades=tuple(trades))


def status_tables(status: DataStatus) -> Iterator[Table]:
    """The same, for people: a table for each exchange, none wider than 80 columns."""
    of_bars = {bars.exchange for bars in status.bars}
    for exchange in sorted(of_bars | {trades.exchange for trades in status.trades}):
        table = Table(
            title=f"{exchange}, as kept at {minute(status.at)} UTC",
            box=box.SIMPLE_HEAD,
            padding=0,
            show_edge=False,
        )
        for heading in ("symbol", "of", "since", "until"):
            table.add_column(heading)
        for heading in ("age", "rows", "missing", "gaps", "parts"):
            table.add_column(heading, justify="right")
        for bars in status.bars:
            if bars.exchange == exchange:
                _add_bars(table, bars, status.at)
        for trades in status.trades:
            if trades.exchange == exchange:
                _add_trades(table, trades, status.at)
        yield table


def _add_bars(table: Table, bars: BarCoverage, now: datetime) -> None:
    is_late = bars.exchange in _VENUES and bars.age(now) > _LATE * bars.timeframe.delta
    table.add_row(
        bars.symbol,
        bars.timeframe.value,
        str((bars.first - bars.timeframe.delta).date()),
        minute(bars.last),
        _age(bars, now),
        *(f"{n:,}" for n in (bars.rows, bars.missing, len(bars.gaps), bars.incomplete)),
        style="yellow" if bars.missing or is_late else None,
    )


def _add_trades(table: Table, trades: TradeCoverage, now: datetime) -> None:
    missing = _missing_ids(trades)
    table.add_row(
        trades.symbol,
        "trades",
        str(trades.first.date()),
        minute(trades.last),
        _age(trades, now),
        f"{trades.rows:,}",
        f"{missing:,}",
        style="yellow" if missing else None,
    )


def status_json(status: DataStatus) -> str:
    """The same, for programs: times in UTC, ages in seconds, gaps by their first and last close."""
    told = {
        "at": status.at,
        "bars": [
            {
                "exchange": bars.exchange,
                "symbol": bars.symbol,
                "timeframe": bars.timeframe.value,
                "first": bars.first,
                "last": bars.last,
                "age": bars.age(status.at).total_seconds(),
                "rows": bars.rows,
                "missing": bars.missing,
                "incomplete": bars.incomplete,
                "gaps": [[gap.first, gap.last] for gap in bars.gaps],
            }
            for bars in status.bars
        ],
        "trades": [
            {
                "exchange": trades.exchange,
                "symbol": trades.symbol,
                "first": trades.first,
                "last": trades.last,
                "age": trades.age(status.at).total_seconds(),
                "rows": trades.rows,
                "missing": _missing_ids(trades),
            }
            for trades in status.trades
        ],
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2, default=str).decode()


def _missing_ids(trades: TradeCoverage) -> int:
    return trades.missing if trades.exchange in _CONSECUTIVE else 0


def _age(found: BarCoverage | TradeCoverage, now: datetime) -> str:
    """Nothing where no venue goes on: a made-up market has a clock of its own."""
    if found.exchange not in _VENUES:
        return ""
    minutes = int(found.age(now).total_seconds()) // 60
    days, hours = minutes // 1_440, minutes // 60
    return f"{days} d" if days else f"{hours} h" if hours else f"{minutes} min"


async def check_store(
    pool: Pool, settings: Settings, *, days: int, now: datetime
) -> tuple[list[Checked], list[Finding]]:
    """The minutes of the last `days` of each symbol that is kept, and everything wrong with them.

    What no venue goes on with, such as a made-up market or an import, ends with its last bar.

    Raises:
        StoreUnavailable: the store cannot be reached now.
    """
    kept = [found for found in await bar_coverage(pool) if found.timeframe is Timeframe.M1]
    checked = []
    for found in kept:
        goes_on = found.exchange in _VENUES
        until = minute_of(now - SETTLED) if goes_on else found.last
        since = max(found.first - Timeframe.M1.delta, until - timedelta(days=days))
        bars = PostgresBarStore(pool, exchange=found.exchange)
        trades = PostgresTradeStore(pool, exchange=found.exchange)
        poorer = await poorer_minutes(bars, trades, found.symbol, since, until)
        checked.append(
            await check_minutes(
                bars,
                found.exchange,
                found.symbol,
                settings.quality,
                since=since,
                until=until,
                now=now if goes_on else found.last,
                missing_ids=await _ids_missing(trades, found, since, until),
                poorer=sum(span.minutes for span in poorer),
            )
        )
    wrong = [finding for each in checked for finding in findings(each)]
    return checked, [*wrong, *_absent(settings, kept)]


async def _ids_missing(
    trades: PostgresTradeStore, found: BarCoverage, since: datetime, until: datetime
) -> int:
    if found.exchange not in _CONSECUTIVE:
        return 0
    ranges = await trades.missing_ids(found.symbol, since, until)
    return sum(last - first + 1 for first, last in ranges)


def _absent(settings: Settings, kept: Iterable[BarCoverage]) -> list[Finding]:
    """Of a live market, what should be kept and is not at all."""
    if not isinstance(settings.market, LiveMarketSettings):
        return []
    exchange = settings.market.source
    there = {found.symbol for found in kept if found.exchange == exchange}
    return [
        Finding(
            exchange=exchange,
            symbol=symbol,
            what="no bar is kept",
            remedy=f"start the daemon, or {fill_from(exchange, symbol, None)}",
        )
        for symbol in settings.traded
        if symbol not in there
    ]


def check_table(checked: Iterable[Checked]) -> Table:
    """Completeness day by day (S1-27)."""
    table = Table(title="share of the five-minute bars that are whole; days are UTC")
    for heading in ("exchange", "symbol", "day"):
        table.add_column(heading)
    for heading in ("share", "5m bars", "minutes", "of"):
        table.add_column(heading, justify="right")
    for each in checked:
        for day in each.days:
            numbers = (day.fives, day.minutes, day.minutes_due)
            table.add_row(
                each.exchange,
                each.symbol,
                str(day.day),
                f"{day.share:.2%}",
                *(f"{number:,}" for number in numbers),
                style=None if day.is_whole else "yellow",
            )
    return table


async def run_status(settings: Settings, *, as_json: bool, console: Console) -> None:
    """Print what is kept."""
    status = DataStatus(at=SystemClock().now(), bars=(), trades=())
    if not nothing_kept(settings):
        async with open_store(settings) as pool:
            status = await read_status(pool, now=status.at)
    if as_json:
        console.out(status_json(status), highlight=False)
    elif status.bars or status.trades:
        for table in status_tables(status):
            console.print(table)
    else:
        console.print(_NOTHING)


async def run_check(settings: Settings, *, days: int, console: Console) -> bool:
    """Print the completeness of each day and everything wrong; whether nothing is."""
    checked: list[Checked] = []
    wrong = _absent(settings, ())
    if not nothing_kept(settings):
        async with open_store(settings) as pool:
            checked, wrong = await check_store(pool, settings, days=days, now=SystemClock().now())
    console.print(check_table(checked) if checked else _NOTHING)
    for finding in wrong:
        console.print(str(finding), markup=False, highlight=False)
    if checked and not wrong:
        console.print("nothing is wrong")
    return not wrong


async def run_fill(
    settings: Settings,
    exchange: Exchange,
    symbols: Sequence[str],
    *,
    since: datetime | None,
    until: datetime | None,
    means: Means,
    console: Console,
) -> None:
    """Fill the gaps of an exchange's history in the store of these settings."""
    wanted = [Symbol(text) for text in symbols]
    async with open_store(settings) as pool:
        reports = await fill_shown(
            pool,
            exchange,
            wanted,
            since=since,
            until=until,
            means=means,
            urls=_urls(settings, exchange),
        )
    console.print(fill_table(reports))


def _urls(settings: Settings, exchange: Exchange) -> Mapping[str, Any] | None:
    """The addresses that the daemon takes for the exchange, too."""
    market = settings.market
    if isinstance(market, LiveMarketSettings) and market.source == exchange:
        return market.urls
    return None


async def run_import(
    settings: Settings,
    paths: Sequence[Path],
    *,
    exchange: str,
    symbols: Sequence[str],
    max_bad: float,
    again: bool,
    console: Console,
) -> None:
    """Import downloaded history into the store of these settings."""
    found = find_series(paths, symbols, [Timeframe.M1])
    if not found:
        raise Malformed(f"nothing to import in {', '.join(map(str, paths))}")
    tolerance = Tolerance(rows=USUAL.rows, share=max_bad)
    async with open_store(settings) as pool:
        done = await import_all(
            pool, found, exchange=exchange, clock=SystemClock(), tolerance=tolerance, again=again
        )
    show_imported(done, console)
