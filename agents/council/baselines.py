"""Named rules that can fill a seat: each reads a snapshot and says a direction, without a model.

All but `hold` and `seeded_random` follow the trend. All wish alike what a reading means for a
position: against what is held it is CLOSE, and down on an instrument that cannot be sold short
is HOLD. Confidence lies in [0.5, 0.8] and never falls as the reading grows stronger: a rule of
thumb is never surer than 0.8.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from data.indicators import Atr, Ema, Indicator
from data.snapshot import Snapshot
from risk.intent import Direction

_LEAST, _MOST = 0.5, 0.8


class Opinion(NamedTuple):
    """What a rule says of one snapshot."""

    direction: Direction
    confidence: float  # [0.5, 0.8]
    rationale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A rule with its name and what it must see of the deciding timeframe."""

    name: str
    indicators: tuple[Indicator, ...]
    bars: int  # closed bars before the rule can say anything
    opine: Callable[[Snapshot], Opinion]


def confidence(strength: float) -> float:
    """0.5 at strength 0, growing in a straight line to 0.8 at strength 1 and beyond."""
    return _LEAST + (_MOST - _LEAST) * min(strength, 1.0)


def _toward(snapshot: Snapshot, sign: int) -> Direction:
    """What a reading of `sign`, +1 for up and -1 for down, means for the position held."""
    held = snapshot.account.held(snapshot.instrument.symbol)
    if held * sign < 0:
        return Direction.CLOSE
    if sign > 0:
        return Direction.LONG
    return Direction.SHORT if snapshot.instrument.shortable else Direction.HOLD


def _following(snapshot: Snapshot, reading: float, scale: float, what: str) -> Opinion:
    """Follow the sign of `reading`; `scale` is the reading of full strength.

    A reading that is zero or not a number, as while an indicator warms up, follows nothing.
    """
    if reading > 0.0:
        direction = _toward(snapshot, 1)
    elif reading < 0.0:
        direction = _toward(snapshot, -1)
    else:
        return Opinion(Direction.HOLD, _LEAST, f"{what}: no reading")
    return Opinion(direction, confidence(abs(reading) / scale), f"{what}: {reading:+.2f} ATR")


def ema_cross() -> Baseline:
    """Up while EMA 21 is above EMA 50, down below; full strength 2 ATR apart."""

    def opine(snapshot: Snapshot) -> Opinion:
        values = snapshot.primary.indicators
        apart = values["ema_21"] - values["ema_50"]
        return _following(snapshot, _ratio(apart, values["atr_14"]), 2.0, "EMA 21 over EMA 50")

    return Baseline(name="ema_cross", indicators=(Ema(21), Ema(50), Atr(14)), bars=50, opine=opine)


def breakout(window: int = 20) -> Baseline:
    """Up on a close above the highest high of the `window` bars before it, down below the lowest
    low (the Donchian channel); full strength 1 ATR outside."""

    def opine(snapshot: Snapshot) -> Opinion:
        frame = snapshot.primary
        highs = frame.series.high[-window - 1 : -1].tolist()
        if len(highs) < window:
            return Opinion(Direction.HOLD, _LEAST, "breakout: too few bars")
        close = float(snapshot.bar.close)
        above = close - max(highs)
        below = close - min(frame.series.low[-window - 1 : -1].tolist())
        outside = above if above > 0.0 else min(below, 0.0)
        if not outside:
            return Opinion(Direction.HOLD, _LEAST, "breakout: inside the channel")
        reading = _ratio(outside, frame.indicators["atr_14"])
        return _following(snapshot, reading, 1.0, "outside the channel")

    return Baseline(name="breakout", indicators=(Atr(14),), bars=window + 1, opine=opine)


def momentum(bars: int = 10) -> Baseline:
    """Follow the change over `bars` bars once it passes half of what a random walk would make of
    it, ATR times the root of their number; full strength at twice that."""
    root = sqrt(bars)

    def opine(snapshot: Snapshot) -> Opinion:
        frame = snapshot.primary
        closes = frame.series.close
        if len(closes) <= bars:
            return Opinion(Direction.HOLD, _LEAST, "momentum: too few bars")
        change = float(snapshot.bar.close) - float(closes[-bars - 1])
        reading = _ratio(change, frame.indicators["atr_14"] * root)
        if abs(reading) < 0.5:
            return Opinion(Direction.HOLD, _LEAST, "momentum: no more than noise")
        return _following(snapshot, reading, 2.0, "momentum")

    return Baseline(name="momentum", indicators=(Atr(14),), bars=bars + 1, opine=opine)


def volatility_scaled_trend() -> Baseline:
    """Follow the distance of the price from EMA 50 once it passes 1 ATR; full strength at 4.

    Source:
        After T. Moskowitz, Y. H. Ooi, L. H. Pedersen, "Time series momentum", Journal of
        Financial Economics 104(2), 2012: a trend counts in units of its own volatility.
    """

    def opine(snapshot: Snapshot) -> Opinion:
        values = snapshot.primary.indicators
        distance = float(snapshot.bar.close) - values["ema_50"]
        reading = _ratio(distance, values["atr_14"])
        if abs(reading) < 1.0:
            return Opinion(Direction.HOLD, _LEAST, "trend: within 1 ATR of EMA 50")
        return _following(snapshot, reading, 4.0, "price over EMA 50")

    return Baseline(
        name="volatility_scaled_trend", indicators=(Ema(50), Atr(14)), bars=50, opine=opine
    )


def hold() -> Baseline:
    """Always HOLD: the seat that wants nothing."""
    opinion = Opinion(Direction.HOLD, _LEAST, "always holds")
    return Baseline(name="hold", indicators=(), bars=1, opine=lambda _: opinion)


def seeded_random(seed: int = 0) -> Baseline:
    """Up, down or nothing by chance, drawn from seed, symbol and bar: a bar always draws the same,
    whatever was asked before it."""

    def opine(snapshot: Snapshot) -> Opinion:
        at = f"{seed}|{snapshot.instrument.symbol}|{snapshot.bar.closed_at.isoformat()}"
        draw = random.Random(at)
        sign = int(draw.random() * 3.0) - 1
        direction = _toward(snapshot, sign) if sign else Direction.HOLD
        return Opinion(direction, confidence(draw.random()), "drawn by chance")

    return Baseline(name="seeded_random", indicators=(), bars=1, opine=opine)


BASELINES: Mapping[str, Callable[[], Baseline]] = {
    "ema_cross": ema_cross,
    "breakout": breakout,
    "momentum": momentum,
    "volatility_scaled_trend": volatility_scaled_trend,
    "hold": hold,
    "seeded_random": seeded_random,
}
"""Every baseline by its name, with its usual parameters."""


def _ratio(distance: float, atr: float) -> float:
    """`distance` in units of `atr`; not a number where there is no range to measure by."""
    return distance / atr if atr > 0.0 else float("nan")
