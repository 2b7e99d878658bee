"""Trend and momentum of a symbol, computed by code."""

from collections.abc import Mapping
from math import isfinite

from agents.report import TechnicalReport
from data.overlay import read_overlay
from data.snapshot import Snapshot

_FULL_TREND = 2.0  # ATR between the EMAs
_FULL_MOMENTUM = 30.0  # RSI points from 50; beyond 80 and 20 there is no more of it


def report(snapshot: Snapshot) -> TechnicalReport:
    """The technical report on `snapshot`; what is not known is neutral, 0.

    Trend is EMA 21 less EMA 50 in units of ATR, momentum RSI about 50, both by the standard
    indicators of the deciding timeframe; alignment is that of the trends of all timeframes seen.
    """
    values = snapshot.primary.indicators
    trend = _trend(values)
    momentum = _bounded((values["rsi_14"] - 50.0) / _FULL_MOMENTUM)
    overlay = read_overlay(snapshot.frames, snapshot.frames, now=snapshot.taken_at)
    rationale = f"trend {trend:+.2f}, momentum {momentum:+.2f}, alignment {overlay.alignment:+.2f}"
    if overlay.unreadable:
        rationale += f"; neutral, as stale or missing: {', '.join(overlay.unreadable)}"
    return TechnicalReport(
        analyst="technical",
        trend=trend,
        momentum=momentum,
        alignment=overlay.alignment,
        rationale=rationale,
    )


def _trend(values: Mapping[str, float]) -> float:
    atr = values["atr_14"]
    return _bounded((values["ema_21"] - values["ema_50"]) / (_FULL_TREND * atr)) if atr > 0 else 0.0


def _bounded(value: float) -> float:
    """`value` in [-1, 1]; 0 where it is not a number."""
    return max(-1.0, min(1.0, value)) if isfinite(value) else 0.0
