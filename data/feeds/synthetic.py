"""A made-up market for rehearsals: one-minute bars, each a function of the seed and its time.

The market is built in legs of four hours. A cheap chain of random steps, from a fixed origin on,
says where each leg starts and ends and how wild it is; within a leg, prices follow a bridge drawn
from a seed of its own. So any minute can be had again without the minutes before it, and a daemon
that restarts sees the market it left. Reproduced are the facts that strategies live on: volatility
that clusters, heavy tails, trends and ranges, volume that follows volatility, and pairs that move
together (R. Cont, "Empirical properties of asset returns: stylized facts and statistical issues",
Quantitative Finance 1, 2001). The constants are set by eye to look like 2021, not estimated.
"""

import itertools
import math
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np

from data.bar import Bar, FloatArray, Timeframe
from data.clock import Clock
from data.feed import MarketEvent
from data.feeds.playback import play
from data.instrument import Instrument, Price, Quantity, Symbol, UnknownSymbol
from data.utc import require_utc

ORIGIN = datetime(2020, 1, 1, tzinfo=UTC)  # the market's first bar opens here, whatever the seed
_MINUTE = timedelta(minutes=1)
_LEG = 240  # minutes
_STEPS = 6  # prices a minute, from which its open, high, low and close are taken
_CORRELATION = 0.7
_REVERSION = math.log(2) / (45 * 6)  # share of the distance a leg: half of it in 45 days
_CENTRE_SHARE = 0.1  # how fast the centre of a range follows the price, a leg
_VOLATILITY_MEMORY = (0.97, 0.08)  # leg by leg: AR(1) coefficient and shock of log volatility
_FLURRY_MEMORY = (0.95, 0.11)  # the same minute by minute, within a leg
_JUMP_CHANCE = 0.03  # a leg
_VOLUME_SIGMA = 0.6  # of the log, beyond what volatility explains
_CHAIN, _PATHS = 0, 1  # the uses of a seed
_BLOCK = 256  # legs drawn at once; part of what a seed means

_Noise = TypeVar("_Noise", float, FloatArray)


@dataclass(frozen=True, slots=True)
class _Asset:
    """What BTC, or XRP, is in USDT."""

    usual: float  # log price to which it reverts in the long run
    sigma: float  # of the log price in a leg of usual volatility
    jump_sigma: float


_ASSETS = (
    _Asset(usual=math.log(40_000), sigma=0.0107, jump_sigma=0.012),  # BTC: 50 % a year
    _Asset(usual=math.log(1), sigma=0.0150, jump_sigma=0.018),  # XRP: 70 % a year
)


@dataclass(frozen=True, slots=True)
class _Mood:
    """What kind of market a leg is."""

    drift: float  # in sigmas a leg
    volatility: float  # factor
    pull: float  # share of the distance to the centre that is taken back in a leg
    stay: float  # probability that the next leg is alike


_MOODS = (
    _Mood(drift=0.30, volatility=0.95, pull=0.0, stay=0.94),
    _Mood(drift=-0.30, volatility=1.10, pull=0.0, stay=0.94),
    _Mood(drift=0.0, volatility=0.70, pull=0.15, stay=0.95),
    _Mood(drift=0.0, volatility=1.80, pull=0.0, stay=0.80),
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pair's log price is `btc` and `xrp` times those of BTC and XRP in USDT."""

    row: int  # of its volume noise
    btc: int
    xrp: int
    volume: float  # of a usual minute, in base


_PAIRS = {
    Symbol("BTC/USDT"): _Pair(row=0, btc=1, xrp=0, volume=15.0),
    Symbol("XRP/USDT"): _Pair(row=1, btc=0, xrp=1, volume=200_000.0),
    Symbol("XRP/BTC"): _Pair(row=2, btc=-1, xrp=1, volume=40_000.0),
}


@dataclass(frozen=True, slots=True)
class _Leg:
    """The frame of four hours."""

    start: tuple[float, ...]  # log prices of BTC and XRP
    end: tuple[float, ...]
    jump: float  # in jump sigmas; 0 in most
    volatility: float  # factor


class SyntheticMarket:
    """One-minute bars of BTC/USDT, XRP/USDT and XRP/BTC on the grids of `instruments`.

    Two markets of one seed are the same market; it begins on 2020-01-01 and does not end. The close
    of XRP/BTC is within a tick of the ratio of the other two.

    Args:
        seed: At or above 0.
        instruments: In the order in which bars of the same minute are told.

    Raises:
        UnknownSymbol: an instrument that this market does not trade.
        ValueError: the seed is negative, or there is no instrument.
    """

    def __init__(self, *, seed: int, instruments: Sequence[Instrument]) -> None:
        if not instruments:
            raise ValueError("a market without instruments has no bars")
        for instrument in instruments:
            if instrument.symbol not in _PAIRS:
                raise UnknownSymbol(
                    f"the synthetic market trades {', '.join(_PAIRS)}, not {instrument.symbol}"
                )
        self.name = f"synthetic:{seed}"
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._seed = seed
        self._chain = _Chain(seed)

    def bars_after(self, at: datetime) -> Iterator[Bar]:
        """Every bar that closes after `at`, minute by minute, without end."""
        minute = _minutes(at)
        for leg in itertools.count(minute // _LEG):
            path = self._path(leg)
            skipped = max(0, minute - leg * _LEG)
            columns = [_bars(i, path, leg, skipped, _LEG) for i in self._instruments.values()]
            for row in zip(*columns, strict=True):
                yield from row

    def history(self, symbol: Symbol, until: datetime, count: int) -> list[Bar]:
        """The newest `count` bars closed at or before `until`, or all there are, oldest first."""
        stop = _minutes(until)
        first = max(0, stop - count)
        bars: list[Bar] = []
        for leg in range(first // _LEG, -(-stop // _LEG)):
            span = max(0, first - leg * _LEG), min(_LEG, stop - leg * _LEG)
            bars += _bars(self._instruments[symbol], self._path(leg), leg, *span)
        return bars

    def _path(self, leg: int) -> "_Path":
        return _Path(self._chain.leg(leg), _rng(self._seed, _PATHS, leg))


class SyntheticFeed:
    """A synthetic market told by a clock, from the first bar that closes after `start_after` on.

    A feed that has fallen behind its clock tells the late bars at once and skips none.
    """

    def __init__(self, market: SyntheticMarket, clock: Clock, *, start_after: datetime) -> None:
        self.name = market.name
        self._market = market
        self._clock = clock
        self._start_after = start_after

    def events(self) -> AsyncGenerator[MarketEvent, None]:
        return play(self._market.bars_after(self._start_after), self._clock)


class _Chain:
    """The legs in order, each from the one before; a year of them takes some milliseconds."""

    def __init__(self, seed: int) -> None:
        self._coming = _legs(_rng(seed, _CHAIN))
        self._known: list[_Leg] = []

    def leg(self, index: int) -> _Leg:
        self._known.extend(itertools.islice(self._coming, max(0, index + 1 - len(self._known))))
        return self._known[index]


class _Path:
    """The prices of a leg, step by step, and how lively its minutes are."""

    def __init__(self, leg: _Leg, rng: np.random.Generator) -> None:
        self._pace = leg.volatility * _flurries(rng)
        variance = np.repeat(self._pace**2, _STEPS)
        variance /= variance.sum()
        scale = leg.volatility * np.sqrt(variance)
        noises = _correlated(*rng.standard_normal((2, variance.size)))
        jumped = np.zeros(variance.size)
        jumped[rng.integers(variance.size) :] = leg.jump
        self._logs = [
            start + _bridge(end - start, a.sigma * scale * noise, variance, a.jump_sigma * jumped)
            for a, start, end, noise in zip(_ASSETS, leg.start, leg.end, noises, strict=True)
        ]
        self._volume_noise = rng.standard_normal((len(_PAIRS), _LEG))

    def prices(self, pair: _Pair) -> FloatArray:
        """Shape (_LEG, _STEPS), off any grid."""
        logs: FloatArray = pair.btc * self._logs[0] + pair.xrp * self._logs[1]
        return np.exp(logs).reshape(_LEG, _STEPS)

    def volumes(self, pair: _Pair) -> FloatArray:
        """Shape (_LEG,): more of it in a lively minute."""
        noise: FloatArray = _VOLUME_SIGMA * self._volume_noise[pair.row] - _VOLUME_SIGMA**2 / 2
        volumes: FloatArray = pair.volume * self._pace * np.exp(noise)
        return volumes


def _rng(seed: int, *use: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=use))


def _legs(rng: np.random.Generator) -> Iterator[_Leg]:
    """Leg after leg without end; in plain floats, since each needs the one before."""
    kind, log_volatility = 0, 0.0
    logs = centre = tuple(asset.usual for asset in _ASSETS)
    memory, size = _VOLATILITY_MEMORY
    while True:
        draws = rng.standard_normal((_BLOCK, 4)).tolist(), rng.random((_BLOCK, 3)).tolist()
        for (shock, btc, own, leap), (stay, choice, chance) in zip(*draws, strict=True):
            kind = _next_kind(kind, stay, choice)
            log_volatility = memory * log_volatility + size * shock
            volatility = _MOODS[kind].volatility * math.exp(log_volatility)
            jump = leap if chance < _JUMP_CHANCE else 0.0
            assets = zip(_ASSETS, logs, centre, _correlated(btc, own), strict=True)
            start = logs
            logs = tuple(
                log
                + _drift(asset, _MOODS[kind], log, middle)
                + asset.sigma * volatility * noise
                + asset.jump_sigma * jump
                for asset, log, middle, noise in assets
            )
            centre = tuple(c + _CENTRE_SHARE * (x - c) for c, x in zip(centre, logs, strict=True))
            yield _Leg(start=start, end=logs, jump=jump, volatility=volatility)


def _drift(asset: _Asset, mood: _Mood, log: float, centre: float) -> float:
    """Where a leg leads on average: with the trend, back into the range, and home in the end."""
    trend = mood.drift * asset.sigma
    return trend + mood.pull * (centre - log) + _REVERSION * (asset.usual - log)


def _correlated(btc: _Noise, own: _Noise) -> tuple[_Noise, _Noise]:
    """Independent noise as that of BTC and XRP; without BLAS, whose last bits differ."""
    return btc, _CORRELATION * btc + math.sqrt(1 - _CORRELATION**2) * own


def _next_kind(kind: int, stay: float, choice: float) -> int:
    """The index of the next leg's mood, by two draws from [0, 1)."""
    if stay < _MOODS[kind].stay:
        return kind
    return (kind + 1 + int(choice * (len(_MOODS) - 1))) % len(_MOODS)


def _flurries(rng: np.random.Generator) -> FloatArray:
    """Volatility factors of a leg's minutes, shape (_LEG,): log AR(1) about 1."""
    memory, size = _FLURRY_MEMORY
    shocks = size * rng.standard_normal(_LEG)
    shocks[0] /= math.sqrt(1 - memory**2)  # as if it had gone on for ever
    return np.exp(
        list(itertools.accumulate(shocks.tolist(), lambda last, shock: memory * last + shock))
    )


def _bridge(way: float, steps: FloatArray, variance: FloatArray, jump: FloatArray) -> FloatArray:
    """A random walk of `steps` from 0, exclusive, to `way`, with a `jump` in it; shapes (n,).

    What it misses is made up for in proportion to the variance run through, shares of 1: a Brownian
    bridge in its own time.
    """
    walk: FloatArray = np.cumsum(steps) + jump
    walk += (way - walk[-1]) * np.cumsum(variance)
    return walk


def _bars(instrument: Instrument, path: _Path, leg: int, first: int, stop: int) -> list[Bar]:
    """The bars of the leg's minutes from `first` up to `stop`, exclusive."""
    pair, tick = _PAIRS[instrument.symbol], instrument.tick
    ticks = np.rint(path.prices(pair)[first:stop] / float(tick)).astype(np.int64)
    lots = np.rint(path.volumes(pair)[first:stop] / float(instrument.lot)).astype(np.int64)
    opened = ORIGIN + (leg * _LEG + first) * _MINUTE
    columns = (ticks[:, 0], ticks.max(axis=1), ticks.min(axis=1), ticks[:, -1], lots)
    return [
        Bar(
            symbol=instrument.symbol,
            timeframe=Timeframe.M1,
            closed_at=opened + minute * _MINUTE,
            open=Price(open_ * tick),
            high=Price(high * tick),
            low=Price(low * tick),
            close=Price(close * tick),
            volume=Quantity(volume * instrument.lot),
        )
        for minute, (open_, high, low, close, volume) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start=1
        )
    ]


def _minutes(at: datetime) -> int:
    """Whole minutes since the market began.

    Raises:
        ValueError: it had not begun, or `at` is not in UTC.
    """
    require_utc(at)
    if at < ORIGIN:
        raise ValueError(f"the synthetic market begins at {ORIGIN}, not before {at}")
    return (at - ORIGIN) // _MINUTE
