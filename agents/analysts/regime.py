"""Which of the seven regimes this is, read by code and slow to change its mind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import NamedTuple

from agents.report import RegimeReport
from data.instrument import Symbol
from data.regime import Regime
from data.snapshot import Snapshot

# PARAMETERS.md 1.3
_TREND_ADX = 25.0  # above it there is a trend
_FLAT_ADX = 20.0  # below it there is none
_CHOPPY = 60.0  # choppiness above it: the price goes back and forth
_HIGH_VOLATILITY = 0.03  # ATR over price, from "high" on
_EXTREME_VOLATILITY = 0.05
_CHANGE_CONFIDENCE = 0.7
_CHANGE_READINGS = 2
_UNCLEAR = 0.5  # the confidence of a reading that no rule names outright


class Reading(NamedTuple):
    """One bar's regime; a confidence of at least 0.7 says that a rule names it outright."""

    regime: Regime
    confidence: float  # [0, 1]; 0 is no reading


NO_READING = Reading(Regime.UNKNOWN, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeState:
    """What the hysteresis of one symbol remembers; all of it, so that it can be stored."""

    regime: Regime  # in force
    candidate: Regime  # what `streak` consecutive confident readings have said instead
    streak: int
    read_at: datetime  # close of the newest bar that was read


def classify(
    *,
    close: float,
    fast_ema: float,
    slow_ema: float,
    adx: float,
    atr: float,
    choppiness: float,
    squeeze: float,
) -> Reading:
    """Name the market at one bar; the first rule that holds decides.

    1. A number is missing: UNKNOWN.
    2. ATR at or above 3 % of the price: VOLATILE_BULL or VOLATILE_BEAR with the price beyond both
       EMAs, CHOPPY with it between them.
    3. ADX above 25 and the price beyond both EMAs: TRENDING_BULL or TRENDING_BEAR.
    4. Bollinger bands inside the Keltner channel: BREAKOUT_POTENTIAL.
    5. Choppiness above 60: RANGING where ADX is below 20, so that both say that nothing moves;
       CHOPPY where it is not, since one sees a move that the other does not.
    6. Otherwise unclear, with too little confidence to change the regime in force: RANGING where
       ADX is below 20, else CHOPPY.

    Upstream had two names for rule 5, RANGING from the model and CHOPPY from its fallback
    (PARAMETERS.md 1.3); here ADX tells them apart.
    """
    if not isfinite(close + fast_ema + slow_ema + adx + atr + choppiness + squeeze):
        return NO_READING
    side = _side(close, fast_ema, slow_ema)
    volatility = atr / close
    if volatility >= _HIGH_VOLATILITY:
        return _volatile(volatility, side)
    if adx > _TREND_ADX and side:
        regime = Regime.TRENDING_BULL if side > 0 else Regime.TRENDING_BEAR
        return Reading(regime, _named((adx - _TREND_ADX) / _TREND_ADX))
    if squeeze:
        return Reading(Regime.BREAKOUT_POTENTIAL, _named(0.0))
    if choppiness <= _CHOPPY:
        return Reading(Regime.RANGING if adx < _FLAT_ADX else Regime.CHOPPY, _UNCLEAR)
    if adx < _FLAT_ADX:
        return Reading(Regime.RANGING, _named((_FLAT_ADX - adx) / _FLAT_ADX))
    return Reading(Regime.CHOPPY, _named((choppiness - _CHOPPY) / (100.0 - _CHOPPY)))


def _side(close: float, fast_ema: float, slow_ema: float) -> int:
    """+1 with the price above both EMAs, -1 below both, 0 between them."""
    return (close > fast_ema and close > slow_ema) - (close < fast_ema and close < slow_ema)


def _volatile(volatility: float, side: int) -> Reading:
    if not side:
        return Reading(Regime.CHOPPY, _named(0.0))
    regime = Regime.VOLATILE_BULL if side > 0 else Regime.VOLATILE_BEAR
    span = _EXTREME_VOLATILITY - _HIGH_VOLATILITY
    return Reading(regime, _named((volatility - _HIGH_VOLATILITY) / span))


def _named(margin: float) -> float:
    """Confidence of a reading that a rule names: 0.7 at its threshold, 1 a full margin past it."""
    return _CHANGE_CONFIDENCE + (1.0 - _CHANGE_CONFIDENCE) * min(margin, 1.0)


def settle(state: RegimeState | None, reading: Reading, at: datetime) -> RegimeState:
    """The state after one more reading.

    Another regime comes into force after two consecutive readings of it with confidence 0.7 or
    more. Where there is no reading, UNKNOWN is in force at once: an old regime is no evidence.
    """
    current = state.regime if state is not None else Regime.UNKNOWN
    regime, confidence = reading
    if regime is Regime.UNKNOWN or regime is current or confidence < _CHANGE_CONFIDENCE:
        kept = regime if regime is Regime.UNKNOWN else current
        return RegimeState(regime=kept, candidate=kept, streak=0, read_at=at)
    streak = state.streak + 1 if state is not None and state.candidate is regime else 1
    if streak >= _CHANGE_READINGS:
        return RegimeState(regime=regime, candidate=regime, streak=0, read_at=at)
    return RegimeState(regime=current, candidate=regime, streak=streak, read_at=at)


def read(snapshot: Snapshot) -> Reading:
    """The reading at the newest bar of `snapshot`, by its standard indicators."""
    values = snapshot.primary.indicators
    return classify(
        close=float(snapshot.bar.close),
        fast_ema=values["ema_21"],
        slow_ema=values["ema_50"],
        adx=values["adx_14"],
        atr=values["atr_14"],
        choppiness=values["choppiness_14"],
        squeeze=values["squeeze_20"],
    )


class RegimeAnalyst:
    """Reports the regime in force, with a memory of its own for every symbol.

    Reading the same bar again changes nothing. `states` is all it remembers: kept and given to a
    new analyst, it goes on where the old one stopped.
    """

    name = "regime"

    def __init__(self, states: Mapping[Symbol, RegimeState] | None = None) -> None:
        self._states = dict(states or {})

    @property
    def states(self) -> Mapping[Symbol, RegimeState]:
        return dict(self._states)

    def report(self, snapshot: Snapshot) -> RegimeReport:
        """Read the newest bar of `snapshot` and say what regime is in force after it."""
        reading = read(snapshot)
        state = self._advance(snapshot, reading)
        return RegimeReport(
            analyst=self.name,
            regime=state.regime,
            reading=reading.regime,
            confidence=reading.confidence,
            rationale=_rationale(snapshot.primary.indicators, state),
        )

    def _advance(self, snapshot: Snapshot, reading: Reading) -> RegimeState:
        symbol, at = snapshot.instrument.symbol, snapshot.bar.closed_at
        state = self._states.get(symbol)
        if state is None or at > state.read_at:
            state = self._states[symbol] = settle(state, reading, at)
        return state


def _rationale(values: Mapping[str, float], state: RegimeState) -> str:
    return (
        f"ADX {values['adx_14']:.1f}, choppiness {values['choppiness_14']:.1f}, "
        f"squeeze {values['squeeze_20']:.0f}; {state.streak} readings for {state.candidate}"
    )
