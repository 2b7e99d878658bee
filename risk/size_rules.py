"""The rules that a smaller order could satisfy, and the smallest order there is."""

from decimal import Decimal

from data.instrument import Quantity
from risk.case import Case
from risk.objection import Finding, Objection, TooLarge, plain, unknown

_NOTHING = Decimal(0)


def risk_per_trade(case: Case) -> Finding | None:
    """The loss at the stop is a small share of equity."""
    distance, rate = case.stop_distance, case.rate
    if distance is None or rate is None:
        return unknown("risk_per_trade", case.account.currency)
    return _within("risk_per_trade", case, distance * rate, case.limits.max_risk_per_trade)


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
    return _within("total_exposure", case, value, case.limits.max_exposure, _exposure(case))


def leverage(case: Case) -> Finding | None:
    """Gross exposure is no larger a multiple of equity than account and regime allow."""
    value = case.unit_value
    if value is None:
        return unknown("leverage", case.account.currency)
    cap = min(case.limits.max_leverage, case.limits.regimes[case.market.regime].max_leverage)
    return _within("leverage", case, value, cap, _exposure(case))


def _exposure(case: Case) -> Decimal:
    """Gross notional held and in flight, in the account's currency."""
    held = sum((abs(p.notional) for p in case.account.positions.values()), _NOTHING)
    return held + sum(
        (abs(o.notional) for o in case.account.in_flight if not o.reduce_only), _NOTHING
    )


def _within(
    rule: str, case: Case, per_unit: Decimal, share: Decimal, taken: Decimal = _NOTHING
) -> TooLarge | None:
    """Object if `taken` and the order, at `per_unit` a unit, pass `share` of equity."""
    allowed = share * case.equity
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
