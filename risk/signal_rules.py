"""The rules on why something is to be entered: how sure, with which trend, for what gain."""

import math

from data.regime import Regime
from risk.case import Case, readable
from risk.objection import Objection, unknown

_BEAR = (Regime.TRENDING_BEAR, Regime.VOLATILE_BEAR)
_BULL = (Regime.TRENDING_BULL, Regime.VOLATILE_BULL)


def confidence(case: Case) -> Objection | None:
    """Confidence is a probability, and reaches the floor of the regime."""
    seen = case.intent.confidence
    floor = case.confidence_floor
    if floor <= seen <= 1:
        return None
    limit = f"{floor!r} to 1"
    return Objection(rule="confidence", observed=repr(seen), limit=limit, unit="probability")


def low_conf_veto(case: Case) -> Objection | None:
    """While the learned model is unsure nobody enters, whoever's signal was chosen.

    Where there is no such model, the intent's own confidence stands for it; one whose confidence
    is no probability is unsure.
    """
    least, seen = case.limits.no_trade_below, case.market.model_confidence
    if least == 0:
        return None
    seen = case.intent.confidence if seen is None else seen
    if least <= seen <= 1:
        return None
    limit = f"{least!r} to 1"
    return Objection(rule="low_conf_veto", observed=repr(seen), limit=limit, unit="probability")


def dynamic_floor(case: Case) -> Objection | None:
    """In a wild market, or while confidence has lately been wrong, more of it is asked for."""
    floor = case.limits.dynamic_floor
    if floor == 0:
        return None
    wild = _passed(case.market.realised_volatility, case.limits.dynamic_floor_volatility)
    wrong = _passed(case.market.calibration_error, case.limits.dynamic_floor_calibration)
    if wild is None or wrong is None:
        return unknown("dynamic_floor", "probability")
    seen = case.intent.confidence
    if not (wild or wrong) or floor <= seen <= 1:
        return None
    limit = f"{floor!r} to 1"
    return Objection(rule="dynamic_floor", observed=repr(seen), limit=limit, unit="probability")


def _passed(seen: float | None, most: float) -> bool | None:
    """Whether `seen` lies beyond `most`, of which zero is off; None if it cannot be told."""
    if most == 0:
        return False
    return seen > most if seen is not None and 0 <= seen < math.inf else None


def trend(case: Case) -> Objection | None:
    """Nothing is entered against the trend that the regime names (S0-17)."""
    regime, direction = case.market.regime, case.intent.direction
    if not case.limits.trend_gate or regime not in (_BEAR if case.sign > 0 else _BULL):
        return None
    return Objection(rule="trend", observed=f"{direction} in {regime}", limit="with it", unit="")


def overlay_trend(case: Case) -> Objection | None:
    """Nothing is entered against the higher timeframes; where its size is cut instead, see sizing.

    An overlay that is missing, stale or no number is neutral.
    """
    if case.limits.overlay_size > 0 or not case.overlays_against:
        return None
    observed = ", ".join(case.overlays_against)
    limit = f"within {case.limits.overlay_threshold!r}"
    return Objection(rule="overlay_trend", observed=observed, limit=limit, unit="share")


def expected_edge(case: Case) -> Objection | None:
    """Confidence times the predicted move is worth the cost of both ways, and something more."""
    least, move = case.limits.min_net_edge_bps, case.market.expected_move
    if least == 0:
        return None
    if move is None or readable(abs(move)) is None:
        return unknown("expected_edge", "bps")
    edge = (case.intent.confidence * move * case.sign - float(case.cost_share)) * 10_000
    if least <= edge < math.inf:
        return None
    return Objection(
        rule="expected_edge", observed=f"{edge:.6g}", limit=f">= {least:g}", unit="bps"
    )
