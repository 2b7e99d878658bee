"""What downloaded files of history hold, and reading them: bars, or bars made of trades."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from data.bar import Bar, Timeframe
from data.faults import Malformed
from data.feed import FeedInterrupted, MarketEvent
from data.feeds.recorded import (
    USUAL,
    BarReading,
    Defect,
    ReadReport,
    RowRefused,
    Tolerance,
    count_rows,
    series_named,
)
from data.feeds.text_file import count_lines, members, open_text
from data.instrument import Notional, Price, Quantity, Side, Symbol
from data.trade import Trade
from data.trade_bars import TradeBars

_EXAMPLES: Final = 20
_QUOTES: Final = "USDT|USDC|USD|EUR|GBP|CAD|AUD|CHF|JPY|DAI|XBT|ETH"
_KRAKENS: Final = re.compile(
    rf"(?P<base>[A-Z0-9]{{2,10}}?)(?P<quote>{_QUOTES})(?:_(?P<minutes>\d+))?\.csv(?:\.gz)?"
)
_SAME: Final = {"XBT": "BTC", "XDG": "DOGE"}  # Kraken's names of what all others call so
_SIZES: Final = {timeframe.delta // timedelta(minutes=1): timeframe for timeframe in Timeframe}


class Layout(StrEnum):
    """What a file holds."""

    OHLCVT = "Kraken's bars"
    TRADES = "Kraken's trades"
    HEADED = "bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A file and what its name says of it; trades become bars of one minute."""

    path: Path
    symbol: Symbol
    timeframe: Timeframe
    layout: Layout


class Reading(Protocol):
    """One pass over a file; `report` says what came of it so far, in so many `rows`."""

    @property
    def rows(self) -> int: ...

    @property
    def report(self) -> ReadReport: ...

    def __iter__(self) -> Iterator[MarketEvent]: ...


def series_of(path: Path) -> Series:
    """What a file says that it holds, by its name.

    Raises:
        Malformed: the name does not tell.
    """
    if (found := _KRAKENS.fullmatch(path.name)) is None:
        symbol, timeframe = series_named(path)
        return Series(path=path, symbol=symbol, timeframe=timeframe, layout=Layout.HEADED)
    base, quote = (_SAME.get(found[part], found[part]) for part in ("base", "quote"))
    size = found["minutes"]
    known = _SIZES.get(int(size or 1))
    if known is None:
        raise Malformed(f"{path}: bars of {size} minutes are no size that is kept")
    return Series(
        path=path,
        symbol=Symbol(f"{base}/{quote}"),
        timeframe=known,
        layout=Layout.TRADES if size is None else Layout.OHLCVT,
    )


def find_series(
    paths: Iterable[Path], symbols: Sequence[str], timeframes: Sequence[Timeframe]
) -> list[Series]:
    """The files named, and those in the archives and folders named, that are wanted.

    Of archives and folders only what is of `symbols` (none means all), of `timeframes`, and named
    so that it tells.

    Raises:
        Malformed: a file that is named tells nothing by its name, or an archive is none.
        OSError: there is no such file.
    """
    found: list[Series] = []
    for path in paths:
        inside = _inside(path)
        if inside is None:
            found.append(series_of(path))
            continue
        found += [
            series
            for series in _telling(inside)
            if series.timeframe in timeframes and (not symbols or series.symbol in symbols)
        ]
    return found


def _inside(path: Path) -> list[Path] | None:
    if path.is_dir():
        return sorted(file for file in path.rglob("*.csv*") if file.is_file())
    return members(path) if path.suffix == ".zip" else None


def _telling(paths: Iterable[Path]) -> Iterator[Series]:
    for path in paths:
        try:
            yield series_of(path)
        except Malformed:  # a read-me, or a pair of no interest
            continue


class TradeArchive:
    """One pass over a trade archive: bars of one minute, quiet ones included.

    The first and the last minute count as whole: the archives are cut at the ends of days.

    Raises:
        Malformed: while iterating, as `BarReading` does.
    """

    def __init__(self, series: Series, tolerance: Tolerance) -> None:
        self._series = series
        self._tolerance = tolerance
        self._trades = self._bars = 0
        self._refused: Counter[Defect] = Counter()
        self._examples: list[RowRefused] = []
        self._ends: tuple[datetime, datetime] | None = None

    @property
    def rows(self) -> int:
        """How many were read so far."""
        return self._trades + self._refused.total()

    @property
    def report(self) -> ReadReport:
        since, until = self._ends or (None, None)
        return ReadReport(
            path=self._series.path,
            bars=self._bars,
            refused=dict(self._refused),
            examples=tuple(self._examples),
            gaps=0,
            missing=0,
            since=since,
            until=until,
        )

    def __iter__(self) -> Iterator[Bar]:
        builder: TradeBars | None = None
        last: Trade | None = None
        with open_text(self._series.path) as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    trade = self._trade(number, line)
                except (ValueError, InvalidOperation, OverflowError, Malformed) as error:
                    self._refuse(number, Defect.MALFORMED, f"{line.rstrip()[:80]!r} ({error})")
                    continue
                builder = builder or self._builder(trade)
                late = builder.late
                yield from self._told(builder.add(trade))
                if builder.late > late:
                    self._refuse(number, Defect.OUT_OF_ORDER, f"trade of {trade.traded_at}")
                    continue
                self._trades, last = self._trades + 1, trade
        if builder is None or last is None:
            raise Malformed(f"{self._series.path}: no trade in it; give another file")
        yield from self._told(builder.close_until(Timeframe.M1.close_after(last.traded_at)))

    def _builder(self, first: Trade) -> TradeBars:
        since = Timeframe.M1.close_after(first.traded_at) - Timeframe.M1.delta
        return TradeBars(self._series.symbol, Timeframe.M1, since=since)

    def _trade(self, number: int, line: str) -> Trade:
        """The trade of a line; its number is its id and its side is anyone's: no bar tells them."""
        time, price, volume = line.split(",")
        seconds, _, fraction = time.partition(".")
        return Trade(
            symbol=self._series.symbol,
            trade_id=number,
            traded_at=datetime.fromtimestamp(int(seconds), UTC)
            + timedelta(microseconds=int(f"{fraction}000000"[:6])),
            side=Side.BUY,
            price=Price(Decimal(price)),
            quantity=Quantity(Decimal(volume)),
        )

    def _told(self, bars: Sequence[Bar]) -> Sequence[Bar]:
        if bars:
            self._bars += len(bars)
            self._ends = (self._ends[0] if self._ends else bars[0].closed_at, bars[-1].closed_at)
        return bars

    def _refuse(self, line: int, defect: Defect, detail: str) -> None:
        self._refused[defect] += 1
        path = self._series.path
        row = RowRefused(path=path, line=line, defect=defect, detail=detail)
        if len(self._examples) < _EXAMPLES:
            self._examples.append(row)
        refused = self._refused.total()
        if not self._tolerance.passes(refused, self._trades + refused):
            raise Malformed(
                f"{path}:{line}: {refused} of {self._trades + refused} rows so far are no trades in"
                f" order (the first: {self._examples[0]}); repair the file, or give another"
            )


def read_series(series: Series, tolerance: Tolerance = USUAL) -> Reading:
    """One pass over a file.

    Raises:
        Malformed: at once for what the file claims to be; more while iterating.
        OSError: it cannot be opened.
    """
    if series.layout is Layout.TRADES:
        return TradeArchive(series, tolerance)
    return BarReading(series.path, series.symbol, series.timeframe, tolerance)


def bars_in(reading: Reading, layout: Layout) -> Iterator[Bar]:
    """The bars of a file; what Kraken leaves out of its bars had no trade, and is put in."""
    last: Bar | None = None
    for event in reading:
        if isinstance(event, Bar):
            last = event
            yield event
        elif (
            layout is Layout.OHLCVT
            and isinstance(event, FeedInterrupted)
            and last is not None
            and event.until is not None
        ):
            yield from _quiet(last, event.until)


def _quiet(last: Bar, until: datetime) -> Iterator[Bar]:
    """Bars without a trade from `last` to the one that closes at `until`."""
    closed_at, delta, close = (
        last.closed_at + last.timeframe.delta,
        last.timeframe.delta,
        last.close,
    )
    while closed_at < until:
        yield Bar(
            symbol=last.symbol,
            timeframe=last.timeframe,
            closed_at=closed_at,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=Quantity(Decimal(0)),
            turnover=Notional(Decimal(0)),
            trades=0,
        )
        closed_at += delta


def rows_in(series: Series) -> int:
    """How many rows a file has, to show how far its reading is; errors as of `read_series`."""
    is_trades = series.layout is Layout.TRADES
    return count_lines(series.path) if is_trades else count_rows(series.path)
