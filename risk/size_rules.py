"""The rules that a smaller order could satisfy, and the smallest order there is."""

import math
from decimal import Decimal

from data.instrument import Quantity
from risk.case import Case, as_decimal, known, readable
from risk.objection import Finding, Objection, Referable, TooLarge, plain, unknown

_NOTHING = Decimal(0)


def risk_per_trade(case: Case) -> Finding | None:
    """The loss at the stop is a small share of equity."""
    distance, rate = case.stop_distance, case.rate
    if distance is None or rate is None:
        return unknown("risk_per_trade", case.account.currency)
    return _within("risk_per_trade", case, distance * rate, case.limits.max_risk_per_trade)


def kelly(case: Case) -> Finding | None:
    """The loss at the stop is no more than a part of what Kelly would bet (S2-39).

        f = fraction * (p - (1 - p) / b), b the reward over the risk after fees

    Source:
        J. L. Kelly, "A New Interpretation of Information Rate", Bell System Technical Journal
        35(4), 1956, for a bet that loses what was staked or wins b times that.
    """
    part, chance = case.limits.kelly_fraction, case.market.win_probability
    if part == 0:
        return None
    ratio, distance, rate = case.reward_over_risk, case.stop_distance, case.rate
    if ratio is None or distance is None or rate is None or chance is None or not 0 <= chance <= 1:
        return unknown("kelly", "share")
    (reward, risk), p = ratio, as_decimal(chance)
    share = part * (p - (1 - p) * risk / reward) if reward > 0 else _NOTHING
    if share <= 0:
        return Objection(rule="kelly", observed=plain(share), limit="> 0", unit="share")
    return _within("kelly", case, distance * rate, share)


def position_size(case: Case) -> Finding | None:
    """The position's notional is a limited share of equity."""
    value = case.unit_value
    if value is None:
        return unknown("position_size", case.account.currency)
    return _within("position_size", case, value, case.limits.max_position)


def total_exposure(case: Case) -> Finding | None:
    """Everything held and in flight together is a limited share of equity."""
    value = case.unit_value
    if value is None:
        return unknown("total_exposure", case.account.currency)
    return _within("total_exposure", case, value, case.limits.max_exposure, case.exposure)


def leverage(case: Case) -> Finding | None:
    """Gross exposure is no larger a multiple of equity than account, regime, confidence, drawdown
    and losing streak allow."""
    value = case.unit_value
    if value is None:
        return unknown("leverage", case.account.currency)
    return _within("leverage", case, value, _leverage_cap(case), case.exposure)


def _leverage_cap(case: Case) -> Decimal:
    """The lowest of all caps; a confidence that earns nothing has that of the lowest tier."""
    tier = case.tier or case.limits.tiers[-1]
    cap = min(case.limits.max_leverage, case.regime.max_leverage, tier.max_leverage)
    for step in case.limits.drawdown_leverage:
        if case.drawdown < step.drawdown:
            break
        cap = min(cap, step.max_leverage)
    return cap if case.streak is None else min(cap, case.streak.max_leverage)


def margin_use(case: Case) -> Finding | None:
    """Collateral bound is a limited share of equity.

    What is held binds at the least leverage of the venue; so does the order, where its instrument
    gives no less.
    """
    value, least = case.unit_value, case.limits.margin_leverage
    if value is None:
        return unknown("margin_use", case.account.currency)
    per_unit = value / min(least, case.market.instrument.max_leverage)
    bound = case.exposure / least
    return _within("margin_use", case, per_unit, case.limits.max_margin_use, bound)


def correlated_exposure(case: Case) -> Finding | None:
    """What would lose together with the order is a limited share of equity.

    A long counts with longs of what moves along and shorts of what moves against; in full, and
    nothing is netted.
    """
    value = case.unit_value
    if value is None:
        return unknown("correlated_exposure", case.account.currency)
    tied, sign, account, taken = (
        case.limits.tied_to(case.intent.symbol),
        case.sign,
        case.account,
        _NOTHING,
    )
    for symbol, way in tied.items():
        position = account.positions.get(symbol)
        if position is not None and position.quantity * sign * way > 0:
            taken += abs(position.notional)
    for order in case.entering:
        if order.quantity * sign * tied.get(order.symbol, 0) > 0:
            taken += abs(order.notional)
    return _within("correlated_exposure", case, value, case.limits.max_correlated_exposure, taken)


def value_at_risk(case: Case) -> Finding | None:
    """The loss of an unlucky bar is a limited share of equity (S3-46)."""
    most, value = case.limits.max_value_at_risk, case.unit_value
    if most == 0:
        return None
    deviation = readable(case.market.bar_volatility)
    if value is None or deviation is None:
        return unknown("value_at_risk", case.account.currency)
    loss = as_decimal(case.limits.value_at_risk_sigmas) * as_decimal(deviation) * value
    return _within("value_at_risk", case, loss, most)


def adv_cap(case: Case) -> Finding | None:
    """The order is a small share of what is traded in a day (S1-95)."""
    return _share_of("adv_cap", case, case.limits.max_adv_share, case.market.adv)


def depth_share(case: Case) -> Finding | None:
    """The order is a limited share of the side of the book that it takes."""
    return _share_of("depth_share", case, case.limits.max_depth_share, case.market.depth)


def _share_of(rule: str, case: Case, share: Decimal, seen: Decimal | None) -> Finding | None:
    if share == 0:
        return None
    whole = known(seen)
    if whole is None:
        return unknown(rule, "base")
    largest = share * whole
    if abs(case.quantity) <= largest:
        return None
    return TooLarge(
        objection=Objection(
            rule=rule, observed=plain(abs(case.quantity)), limit=plain(largest), unit="base"
        ),
        largest=Quantity(largest),
    )


def _within(
    rule: str, case: Case, per_unit: Decimal, share: Decimal, taken: Decimal = _NOTHING
) -> TooLarge | None:
    """Object if `taken` and the order, at `per_unit` a unit, pass `share` of equity.

    What bags are about to take of equity is gone already.
    """
    allowed = share * case.stake
    observed = taken + abs(case.quantity) * per_unit
    if observed <= allowed:
        return None
    currency = case.account.currency
    return TooLarge(
        objection=Objection(
            rule=rule, observed=plain(observed), limit=plain(allowed), unit=currency
        ),
        largest=Quantity(max(allowed - taken, _NOTHING) / per_unit),
    )


def minimum_order(case: Case) -> Objection | None:
    """The venue takes an order of this size; what is too small is refused, never rounded up."""
    price, traded = case.price, case.market.instrument
    if price is None:
        return unknown("minimum_order", "quote")
    if case.quantity and not traded.is_dust(case.quantity, price):
        return None
    limit = f"{plain(traded.min_quantity)}, worth {plain(traded.min_notional)}"
    observed = f"{plain(abs(case.quantity))}, worth {plain(abs(case.quantity) * price)}"
    return Objection(rule="minimum_order", observed=observed, limit=limit, unit="base, quote")


def referral(case: Case) -> Objection | Referable | None:
    """A person consents to what is large, or not very sure (S2-48)."""
    most, least, seen = case.limits.refer_above, case.limits.refer_below, case.intent.confidence
    if most == 0 and least == 0:
        return None
    value = case.unit_value
    if value is None or not -math.inf < seen < math.inf:
        return unknown("referral", "share")
    worth, allowed = abs(case.quantity) * value, most * case.equity
    is_large = most > 0 and worth > allowed
    if not is_large and seen >= least:
        return None
    if case.consent is not None and case.consent.covers(case.intent, case.quantity, case.now):
        return None
    currency = case.account.currency
    if is_large:
        observed, limit, unit = plain(worth), f"<= {plain(allowed)} or consent", currency
    else:
        observed, limit, unit = repr(seen), f">= {least!r} or consent", "probability"
    return Referable(
        objection=Objection(rule="referral", observed=observed, limit=limit, unit=unit)
    )


def never_flips(case: Case) -> TooLarge | None:
    """A reducing order ends at flat."""
    held = abs(case.account.held(case.intent.symbol))
    wished = abs(case.quantity)
    if wished <= held:
        return None
    objection = Objection(
        rule="never_flips", observed=plain(wished), limit=plain(held), unit="base"
    )
    return TooLarge(objection=objection, largest=Quantity(held))
