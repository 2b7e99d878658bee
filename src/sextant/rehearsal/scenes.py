"""Where the market of a rehearsal comes from: made up, or recorded bars or trades."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import Final

from data.bar import Bar
from data.faults import Malformed
from data.feeds.recorded import merge, read_bars, series_named
from data.feeds.synthetic import ORIGIN, SyntheticMarket
from data.feeds.text_file import open_text
from data.instrument import Price, Quantity, Side, Symbol, UnknownSymbol
from sextant.rehearsal.listing import KNOWN, Listing
from sextant.rehearsal.market import MarketTrade
from sextant.rehearsal.tape import tape

_PAST: Final = 10_000  # minutes that are there when the market opens
_RECENT: Final = 60  # minutes before that of which every trade is known
_MINUTE: Final = timedelta(minutes=1)
_TRADES_A_MINUTE: Final = 12
_HEADER: Final = "ts_ms,id,side,type,price,amount"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the exchange opens with, and what others trade; some of that before it opens."""

    start: datetime
    listings: tuple[Listing, ...]
    prices: Mapping[Symbol, Price]  # before the tape
    past: Mapping[Symbol, Sequence[Bar]]
    tape: Iterator[tuple[Symbol, MarketTrade]]
    traded: int = 0  # how many trades each pair has had before the tape


def listings_of(symbols: Sequence[str]) -> tuple[Listing, ...]:
    """The listings of pairs.

    Raises:
        UnknownSymbol: one that the exchange does not list.
    """
    unknown = [name for name in symbols if name not in KNOWN]
    if unknown:
        raise UnknownSymbol(f"not listed here: {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    return tuple(KNOWN[Symbol(name)] for name in symbols)


def synthetic(*, seed: int, symbols: Sequence[str], start: datetime) -> Scene:
    """The seeded market of `data.feeds.synthetic`, without end; wherever it starts, it is the same.

    Raises:
        UnknownSymbol: a pair that it does not make.
        ValueError: `start` is before the market's beginning.
    """
    listings = listings_of(symbols)
    instruments = [listing.instrument for listing in listings]
    market = SyntheticMarket(seed=seed, instruments=instruments)
    begins = start - (start - ORIGIN) % _MINUTE - _RECENT * _MINUTE
    past = {each.symbol: market.history(each.symbol, begins, _PAST) for each in listings}
    return Scene(
        start=start,
        listings=listings,
        prices={symbol: _on_grid(bars[-1].close, symbol) for symbol, bars in past.items()},
        past=past,
        tape=tape(
            market.bars_after(begins),
            {each.symbol: each for each in listings},
            seed=seed,
            count=_TRADES_A_MINUTE,
        ),
        traded=(begins - ORIGIN) // _MINUTE * _TRADES_A_MINUTE,
    )


def recorded_bars(paths: Sequence[Path], *, seed: int) -> Scene:
    """Files of bars, each of a pair that its name says; it begins where the last of them does.

    Raises:
        Malformed: a file that is none of bars, or ends before the others begin.
        UnknownSymbol: a pair that the exchange does not list.
    """
    readings = {path: series_named(path) for path in paths}
    listings = listings_of([symbol for symbol, _ in readings.values()])
    firsts = {
        symbol: _first(path, symbol, iter(_bars(path))) for path, (symbol, _) in readings.items()
    }
    start = max(bar.opened_at for bar in firsts.values())
    streams = [_bars_from(path, start) for path in paths]
    opening = {
        symbol: _first(path, symbol, _bars_from(path, start))
        for path, (symbol, _) in readings.items()
    }
    merged = (event for event in merge(streams) if isinstance(event, Bar))
    return Scene(
        start=start,
        listings=listings,
        prices={symbol: _on_grid(bar.open, symbol) for symbol, bar in opening.items()},
        past={},
        tape=tape(
            merged, {each.symbol: each for each in listings}, seed=seed, count=_TRADES_A_MINUTE
        ),
    )


def recorded_trades(path: Path, symbol: str) -> Scene:
    """A file of trades, `ts_ms,id,side,type,price,amount`, as they were.

    Raises:
        Malformed: it is none.
        UnknownSymbol: the exchange does not list the pair.
    """
    (listing,) = listings_of([symbol])
    trades = _trades(path)
    first = next(trades, None)
    if first is None:
        raise Malformed(f"{path}: no trade in it")
    return Scene(
        start=first.at,
        listings=(listing,),
        prices={listing.symbol: first.price},
        past={},
        tape=((listing.symbol, trade) for trade in chain([first], trades)),
    )


def _bars(path: Path) -> Iterator[Bar]:
    symbol, timeframe = series_named(path)
    return (event for event in read_bars(path, symbol, timeframe) if isinstance(event, Bar))


def _bars_from(path: Path, start: datetime) -> Iterator[Bar]:
    return (bar for bar in _bars(path) if bar.opened_at >= start)


def _first(path: Path, symbol: Symbol, bars: Iterator[Bar]) -> Bar:
    first = next(bars, None)
    if first is None:
        raise Malformed(f"{path}: no bar of {symbol} from where the others begin")
    return first


def _trades(path: Path) -> Iterator[MarketTrade]:
    with open_text(path) as lines:
        if lines.readline().strip() != _HEADER:
            raise Malformed(f"{path}: its first line should be {_HEADER}")
        for number, line in enumerate(lines, start=2):
            try:
                stamp, _, side, _, price, quantity = line.strip().split(",")
                yield MarketTrade(
                    at=_EPOCH + timedelta(milliseconds=int(stamp)),
                    price=Price(Decimal(price)),
                    quantity=Quantity(Decimal(quantity)),
                    side=Side(side),
                )
            except (ValueError, InvalidOperation) as error:
                raise Malformed(f"{path}:{number}: {line.strip()!r} is no trade") from error


def _on_grid(price: Price, symbol: Symbol) -> Price:
    tick = KNOWN[symbol].tick
    return Price(round(price / tick) * tick)
