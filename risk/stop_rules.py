"""The rules on where a trade ends: its stop, its target, and what both are worth after costs."""

import math

from risk.case import Case, known
from risk.objection import Adjustable, Objection, adjustable, plain, unknown


def stop_loss(case: Case) -> Objection | None:
    """Every entry carries a stop, on the side where it limits the loss."""
    stop = case.intent.stop
    if stop is None:
        return Objection(rule="stop_loss", observed="none", limit="a stop", unit="quote")
    if case.stop_distance is not None:
        return None
    entry = case.entry_price
    side = "below" if case.sign > 0 else "above"
    limit = f"{side} {plain(entry)}" if entry is not None else "known price"
    return Objection(rule="stop_loss", observed=str(stop), limit=limit, unit="quote")


def stop_distance(case: Case) -> Objection | Adjustable | None:
    """The stop is neither inside the noise nor too far to matter."""
    distance, entry = case.stop_distance, case.entry_price
    if distance is None or entry is None:
        return unknown("stop_distance", "share")
    least, most = case.limits.min_stop_distance, case.limits.stop_distance_cap(case.intent.symbol)
    if least * entry <= distance <= most * entry:
        return None
    observed, limit = plain(distance / entry), f"{plain(least)} to {plain(most)}"
    return adjustable("stop_distance", observed, limit, "share")


def stop_atr(case: Case) -> Objection | Adjustable | None:
    """The stop is not nearer than so many average true ranges."""
    multiple, atr, distance = case.limits.min_stop_atr, case.market.atr, case.stop_distance
    if multiple == 0:
        return None
    if distance is None or atr is None or not 0 < atr < math.inf:
        return unknown("stop_atr", "atr")
    if float(distance) >= multiple * atr:
        return None
    return adjustable("stop_atr", f"{float(distance) / atr:.6g}", f">= {multiple:g}", "atr")


def reward_risk(case: Case) -> Objection | Adjustable | None:
    """A target, where there is one, is worth its risk after the fees of both ways."""
    target, least = case.intent.target, case.limits.min_reward_risk
    if target is None or least == 0:
        return None
    ratio = case.reward_over_risk
    if ratio is None:
        return unknown("reward_risk", "ratio")
    reward, risk = ratio
    if reward >= least * risk:
        return None
    return adjustable("reward_risk", plain(reward / risk), f">= {plain(least)}", "ratio")


def round_trip_cost(case: Case) -> Objection | Adjustable | None:
    """Getting in and out costs no more than so much of what the stop risks."""
    most, distance, entry = case.limits.max_cost_to_risk, case.stop_distance, case.entry_price
    if most == 0:
        return None
    if distance is None or entry is None:
        return unknown("round_trip_cost", "share")
    cost = case.cost_share * entry
    if cost <= most * distance:
        return None
    return adjustable("round_trip_cost", plain(cost / distance), f"<= {plain(most)}", "of risk")


def liquidation_distance(case: Case) -> Objection | None:
    """The venue would liquidate far from the entry, and not before the stop."""
    least, entry = case.limits.min_liquidation_distance, case.entry_price
    if least == 0:
        return None
    distance, liquidation = case.stop_distance, known(case.market.liquidation_price)
    if entry is None or distance is None or liquidation is None:
        return unknown("liquidation_distance", "share")
    buffer = (entry - liquidation) * case.sign
    if buffer >= least * entry and buffer > distance:
        return None
    observed = plain(buffer / entry)
    limit = f">= {plain(least)}, > {plain(distance / entry)}"
    return Objection(rule="liquidation_distance", observed=observed, limit=limit, unit="share")
