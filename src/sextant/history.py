"""The market before the first bar of a run: how much of it is needed, and what the store has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import isnan

from data.bar import Bar, Timeframe
from data.faults import Refused
from data.indicators import Indicator
from data.instrument import Symbol
from data.store import BarStore
from sextant.desk import Desk
from sextant.facts import PastKnown, RunStarted

_REACHES = 3  # of an indicator until its beginning has faded: in an EMA to exp(-4)
_FARTHEST = 100_000  # bars within which an indicator must have a value


class PastMissing(Refused):
    """A run on record began with bars that are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPast:
    """Closed bars by symbol and size, oldest first; none is newer than the newest of `base`."""

    base: Timeframe
    bars: Mapping[Symbol, Mapping[Timeframe, Sequence[Bar]]]

    @property
    def newest(self) -> list[Bar]:
        """The newest bar of `base` of each symbol, in order of time."""
        found = (sizes[self.base][-1] for sizes in self.bars.values())
        return sorted(found, key=lambda bar: bar.closed_at)

    @property
    def counts(self) -> dict[Symbol, dict[Timeframe, int]]:
        """How many there are."""
        return {
            symbol: {size: len(bars) for size, bars in sizes.items()}
            for symbol, sizes in self.bars.items()
        }


def linked(needs: Mapping[Timeframe, int]) -> dict[Timeframe, int]:
    """The same or more, so that each size covers what is still open of the next longer one."""
    sizes = sorted(needs, key=lambda size: size.delta, reverse=True)
    joints = {short: long.delta // short.delta for long, short in pairwise(sizes)}
    return {size: max(needs[size], joints.get(size, 0)) for size in sizes}


def bars_to_settle(indicators: Iterable[Indicator]) -> int:
    """After how many bars nothing that is read of `indicators` depends on where they began."""
    return max((_REACHES * _reach(indicator) for indicator in indicators), default=0)


def _reach(indicator: Indicator) -> int:
    """How many bars an indicator needs before its first values."""
    state = indicator.start()
    for count in range(1, _FARTHEST):
        close = 100.0 + count * count % 7  # any market that moves
        values = state.update(60.0 * count, close - 1, close + 1, close - 2, close, 1.0)
        if not any(map(isnan, values)):
            return count
    raise ValueError(f"{indicator} has no value after {_FARTHEST} bars")


async def read_past(
    bars: BarStore,
    base: Timeframe,
    needs: Mapping[Symbol, Mapping[Timeframe, int]],
    *,
    until: Mapping[Symbol, datetime],
) -> MarketPast:
    """The newest bars of each symbol and size up to the symbol's time in `until`.

    `needs` says how many, `base` among them. A symbol without a bar of `base` is left out.

    Raises:
        StoreUnavailable: the store cannot be reached now.
    """
    found = {
        symbol: await _read_sizes(bars, symbol, base, sizes, until[symbol])
        for symbol, sizes in needs.items()
        if symbol in until
    }
    return MarketPast(base=base, bars={symbol: sizes for symbol, sizes in found.items() if sizes})


async def _read_sizes(
    bars: BarStore,
    symbol: Symbol,
    base: Timeframe,
    needs: Mapping[Timeframe, int],
    until: datetime,
) -> dict[Timeframe, list[Bar]]:
    """The bars of one symbol: longer ones no newer than the newest of `base`."""
    shortest = await bars.last(symbol, base, needs[base], until=until)
    if not shortest:
        return {}
    newest = shortest[-1]
    found = {base: shortest}
    for size, count in needs.items():
        if size is not base:
            found[size] = await bars.last(symbol, size, count, until=newest.closed_at)
    if unknown := [size for size in needs if not found[size]]:
        # What is open of them, and the bar before, by which it is known not to be the first of all.
        longest = max(unknown, key=lambda size: size.delta)
        began = longest.close_after(newest.opened_at) - longest.delta
        count = (newest.closed_at - began) // base.delta + 1
        if count > needs[base]:
            found[base] = await bars.last(symbol, base, count, until=newest.closed_at)
    return {size: kept for size, kept in found.items() if kept}


class PastOnRecord:
    """What a journal says that runs began with."""

    def __init__(self) -> None:
        self._bars: dict[tuple[Symbol, Timeframe], tuple[Bar, ...]] = {}

    def take(self, known: PastKnown) -> None:
        """Take in what runs may begin with from now on; the newest of a symbol and size counts."""
        newest = known.bars[-1]
        self._bars[newest.symbol, newest.timeframe] = known.bars

    def lacks(self, past: MarketPast) -> list[PastKnown]:
        """What of `past` is not on record, digit by digit: starts in a row begin with the same."""
        return [
            PastKnown(bars=tuple(bars))
            for symbol, sizes in past.bars.items()
            for size, bars in sizes.items()
            if repr(tuple(bars)) != repr(self._kept(symbol, size))
        ]

    def of(self, run: RunStarted, base: Timeframe) -> MarketPast:
        """What `run`, which follows, began with.

        Raises:
            PastMissing: it is not on record.
        """
        past = MarketPast(
            base=base,
            bars={
                symbol: {size: self._kept(symbol, size) for size in sizes}
                for symbol, sizes in run.past.items()
            },
        )
        if past.counts != run.past:
            raise PastMissing(
                f"the run of {run.at} began with {run.warm_up_bars} bars, and the journal does not"
                " have them: what was decided on them cannot be made again"
            )
        return past

    def _kept(self, symbol: Symbol, size: Timeframe) -> tuple[Bar, ...]:
        return self._bars.get((symbol, size), ())


def warm_up(desks: Sequence[Desk], past: MarketPast) -> None:
    """Let every desk learn the past of its instruments."""
    for desk in desks:
        for symbol, bars in past.bars.items():
            desk.learn(symbol, bars)
