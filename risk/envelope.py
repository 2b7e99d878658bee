"""Which stops and targets would pass, when nothing but those of an intent was wrong."""

from dataclasses import replace
from decimal import Decimal

from data.instrument import Price, Side, Toward
from risk.case import Case
from risk.intent import OrderIntent


def stop_range(case: Case) -> tuple[Price, Price] | None:
    """The nearest and the farthest stop that every rule on distance takes, on the tick grid."""
    entry, limits = case.entry_price, case.limits
    if entry is None or not case.sign:
        return None
    least = max(
        limits.min_stop_distance * entry,
        Decimal(repr(limits.min_stop_atr * (case.market.atr or 0.0))),
        case.cost_share * entry / limits.max_cost_to_risk
        if limits.max_cost_to_risk
        else Decimal(0),
        case.market.instrument.tick,
    )
    most = limits.stop_distance_cap(case.intent.symbol) * entry
    outward, inward = (Toward.LOWER, Toward.HIGHER) if case.sign > 0 else _SHORT
    nearest = case.market.instrument.price(entry - case.sign * least, outward)
    farthest = case.market.instrument.price(entry - case.sign * most, inward)
    if farthest <= 0 or (nearest - farthest) * case.sign < 0:
        return None
    return nearest, farthest


_SHORT = (Toward.HIGHER, Toward.LOWER)


def nearest_target(case: Case, stop: Price) -> Price | None:
    """The least target that is worth the risk of `stop` after fees; None where none is asked for.

    reward = (target - entry) * sign - fee * (entry + target) >= least * risk, solved for target.
    """
    entry, least, fee = case.entry_price, case.limits.min_reward_risk, case.limits.taker_fee
    if case.intent.target is None or least == 0 or entry is None:
        return None
    risk = abs(entry - stop) + fee * (entry + stop)
    slope = case.sign - fee
    target = (least * risk + entry * (case.sign + fee)) / slope
    side = Side.BUY if case.sign > 0 else Side.SELL
    away = Toward.HIGHER if side is Side.BUY else Toward.LOWER
    return case.market.instrument.price(target, away)


def probe(intent: OrderIntent, stop: Price, target: Price | None) -> OrderIntent:
    """`intent` as its strategy could ask for it."""
    return replace(
        intent,
        stop=stop,
        target=intent.target if target is None else target,
        attempt=intent.attempt + 1,
    )
