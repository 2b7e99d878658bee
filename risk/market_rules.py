"""The rules on what is known of the market, and how well it can be traded."""

from datetime import datetime, timedelta

from risk.case import Case, known, readable
from risk.objection import Objection, plain, unknown


def instrument(case: Case) -> Objection | None:
    """The market data is that of the symbol to be traded."""
    symbol = case.market.instrument.symbol
    if symbol == case.intent.symbol:
        return None
    return Objection(rule="instrument", observed=symbol, limit=case.intent.symbol, unit="symbol")


def fresh_price(case: Case) -> Objection | None:
    """The price is known, and not older, nor dated later, than allowed."""
    if case.price is None:
        return unknown("fresh_price", "quote")
    return _fresh("fresh_price", case, case.market.priced_at, case.limits.max_price_age)


def fresh_book(case: Case) -> Objection | None:
    """The order book is known, and not older, nor dated later, than allowed."""
    most = case.limits.max_book_age
    return _fresh("fresh_book", case, case.market.book_at, most) if most else None


def _fresh(rule: str, case: Case, at: datetime | None, most: timedelta) -> Objection | None:
    if at is None:
        return unknown(rule, "s")
    age = case.now - at
    if -most <= age <= most:
        return None
    observed, limit = f"{age.total_seconds():g}", f"{most.total_seconds():g}"
    return Objection(rule=rule, observed=observed, limit=limit, unit="s")


def conversion_rate(case: Case) -> Objection | None:
    """Quote currency can be valued in the account's."""
    return unknown("conversion_rate", case.account.currency) if case.rate is None else None


def spread(case: Case) -> Objection | None:
    """The spread is known and not too wide."""
    seen, most = case.market.spread_bps, case.limits.max_spread_bps
    if most == 0 or (seen is not None and 0 <= seen <= most):
        return None
    observed = "unknown" if seen is None else repr(seen)
    return Objection(rule="spread", observed=observed, limit=repr(most), unit="bps")


def depth(case: Case) -> Objection | None:
    """The side of the book that the order takes is deep enough for anybody."""
    least, seen, value = case.limits.min_depth, known(case.market.depth), case.unit_value
    if least == 0:
        return None
    if seen is None or value is None:
        return unknown("depth", case.account.currency)
    if seen * value >= least:
        return None
    return Objection(
        rule="depth",
        observed=plain(seen * value),
        limit=f">= {plain(least)}",
        unit=case.account.currency,
    )


def volatility(case: Case) -> Objection | None:
    """Volatility is known where the size rests on it, and the signal's strength is a share."""
    alpha = case.intent.alpha
    if not 0 <= alpha <= 1:
        return Objection(rule="volatility", observed=repr(alpha), limit="0 to 1", unit="alpha")
    if not (case.volatility_target or case.volatility_guard):
        return None
    if readable(case.market.realised_volatility) is None:
        return unknown("volatility", "a year")
    return None
