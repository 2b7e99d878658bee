"""The rules on exchanges of what is held for its own sake: rebalancing, and buying for hodl bags.

An exchange opens no position, so it carries no stop and uses no leverage; it has limits of its own
(REQUIREMENTS section 6, "Thirds against trading rules").
"""

from decimal import Decimal

from data.account import InFlight
from data.instrument import Quantity, Side, Symbol
from risk.case import Case, known
from risk.intent import Direction, Purpose
from risk.objection import Finding, Objection, TooLarge, plain, unknown

_NOTHING = Decimal(0)


def exchange_form(case: Case) -> Objection | None:
    """An exchange says how much at which limit, and nothing else; nothing is sold from a bag."""
    fault = case.intent.exchange_fault
    if not fault:
        return None
    limit = "a quantity and a limit"
    return Objection(rule="exchange_form", observed=fault, limit=limit, unit="form")


def exchange_funds(case: Case) -> Finding | None:
    """What an exchange gives is held, and given only once; nothing is borrowed."""
    each, left = _given_for_one(case), _left_to_give(case)
    if each is None or left is None:
        return unknown("exchange_funds", "given")
    return _too_large("exchange_funds", case, _NOTHING, each, left, unit=_given(case))


def exchange_target(case: Case) -> Finding | None:
    """No holding is bought beyond its share of all holdings, orders in flight counted as filled."""
    if case.intent.purpose is Purpose.HODL:
        return None  # a bag has no target: it gets what was set aside for it
    value, currency, taken = case.unit_value, case.account.currency, _taken(case)
    worths = {holding.asset: _worth(holding.value) for holding in case.account.holdings}
    if value is None or None in worths.values():
        return unknown("exchange_target", currency)
    total = sum(worth for worth in worths.values() if worth is not None)
    has = worths.get(taken) or _NOTHING
    for order in case.account.exchanging:
        if _sides_of(order)[1] == taken:
            has += abs(order.notional)
    allowed = case.limits.allocation.targets.get(taken, _NOTHING) * total
    return _too_large("exchange_target", case, has, value, allowed, unit=currency)


def exchange_size(case: Case) -> Finding | None:
    """One exchange is worth no more than so much."""
    value, currency = case.unit_value, case.account.currency
    if value is None:
        return unknown("exchange_size", currency)
    most = case.limits.allocation.max_order
    return _too_large("exchange_size", case, _NOTHING, value, most, unit=currency)


def exchange_limit(case: Case) -> Objection | None:
    """The limit of an exchange is near the mark; nothing is given away at any price."""
    price, limit = case.price, known(case.intent.limit)
    if price is None or limit is None:
        return unknown("exchange_limit", "quote")
    worst = price * (1 + case.sign * case.limits.allocation.max_slippage)
    if limit <= worst if _is_purchase(case) else limit >= worst:
        return None
    return Objection(rule="exchange_limit", observed=plain(limit), limit=plain(worst), unit="quote")


def exchange_cost(case: Case) -> Objection | None:
    """Fee, slippage and half a spread are a small share of what is exchanged."""
    cost, most = case.cost_share / 2, case.limits.allocation.max_cost
    if cost <= most:
        return None
    return Objection(rule="exchange_cost", observed=plain(cost), limit=plain(most), unit="share")


def _worth(value: Decimal | None) -> Decimal | None:
    """`value` where it is a finite amount, zero included."""
    return value if value is not None and value.is_finite() and value >= 0 else None


def _too_large(
    rule: str, case: Case, has: Decimal, each: Decimal, allowed: Decimal, *, unit: str
) -> TooLarge | None:
    """Whether what there is `has` and what `each` unit of base adds is more than `allowed`."""
    after = has + abs(case.quantity) * each
    if after <= allowed:
        return None
    objection = Objection(rule=rule, observed=plain(after), limit=plain(allowed), unit=unit)
    return TooLarge(objection=objection, largest=Quantity(max(allowed - has, _NOTHING) / each))


def _is_purchase(case: Case) -> bool:
    """Whether it gives quote for base."""
    return case.intent.direction is Direction.LONG


def _sides(symbol: Symbol, side: Side) -> tuple[str, str]:
    """What such an order gives, and what it takes."""
    return (symbol.quote, symbol.base) if side is Side.BUY else (symbol.base, symbol.quote)


def _sides_of(order: InFlight) -> tuple[str, str]:
    return _sides(order.symbol, Side.of(order.quantity))


def _given(case: Case) -> str:
    return _sides(case.intent.symbol, Side.BUY if _is_purchase(case) else Side.SELL)[0]


def _taken(case: Case) -> str:
    return _sides(case.intent.symbol, Side.BUY if _is_purchase(case) else Side.SELL)[1]


def _given_for_one(case: Case) -> Decimal | None:
    """What one unit of base costs in what is given, at the worst price allowed, with the fee."""
    if not _is_purchase(case):
        return Decimal(1)
    price = known(case.intent.limit)
    return price * (1 + case.limits.taker_fee) if price is not None else None


def _left_to_give(case: Case) -> Decimal | None:
    """What is held of the given asset, less what other exchanges in flight give of it.

    None where any of it cannot be read.
    """
    given, left = _given(case), _to_give(case)
    worth = case.rate if _is_purchase(case) else case.unit_value
    if worth is None or left is None:
        return None
    for order in case.account.exchanging:
        if not order.quantity.is_finite():
            return None
        if _sides_of(order)[0] == given:
            sells = given == order.symbol.base
            left -= abs(order.quantity) if sells else abs(order.notional) / worth
    return left if left.is_finite() else None


def _to_give(case: Case) -> Decimal | None:
    """What is held of the given asset; for a bag, what the trading book has to spare of it."""
    given, account = _given(case), case.account
    if case.intent.purpose is not Purpose.HODL:
        return next((h.quantity for h in account.holdings if h.asset == given), _NOTHING)
    if given != account.currency:
        return None
    left: Decimal = account.cash
    for order in case.entering:
        left -= abs(order.notional)
    return left
