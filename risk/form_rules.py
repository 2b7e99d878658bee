"""The rules on the form itself, and on what is held already."""

from risk.case import Case, known
from risk.intent import Direction, Purpose
from risk.objection import Objection, plain


def order_prices(case: Case) -> Objection | None:
    """Every price that the intent names is a finite number above zero."""
    intent = case.intent
    for price in (intent.stop, intent.target, intent.trigger, intent.limit):
        if price is not None and known(price) is None:
            return Objection(rule="order_prices", observed=str(price), limit="> 0", unit="quote")
    return None


def wished_quantity(case: Case) -> Objection | None:
    """A wished quantity is a finite number, and its sign that of the direction."""
    wish, sign = case.intent.quantity, case.sign
    if wish is None or (wish.is_finite() and (case.intent.reduces or wish * sign > 0)):
        return None
    limit = "finite" if case.intent.reduces else ("> 0" if sign > 0 else "< 0")
    return Objection(rule="wished_quantity", observed=str(wish), limit=limit, unit="base")


def allowed_symbol(case: Case) -> Objection | None:
    """Only what the operator lists is entered."""
    symbol, allowed = case.intent.symbol, case.limits.allowed_symbols
    if symbol in allowed:
        return None
    limit = ", ".join(sorted(allowed))
    return Objection(rule="allowed_symbol", observed=symbol, limit=limit, unit="symbol")


def entry_purpose(case: Case) -> Objection | None:
    """What is not reduce-only says that it is an entry, so that it is followed up as one."""
    purpose = case.intent.purpose
    if purpose is Purpose.ENTRY:
        return None
    return Objection(rule="entry_purpose", observed=purpose, limit=Purpose.ENTRY, unit="purpose")


def reconciled(case: Case) -> Objection | None:
    """No entry before the ledger and the venue agree."""
    if case.account.reconciled:
        return None
    return Objection(rule="reconciled", observed="false", limit="true", unit="")


def equity(case: Case) -> Objection | None:
    """Equity is known and above zero."""
    if case.equity > 0:
        return None
    value = str(case.account.equity) if case.account.equity is not None else "unknown"
    return Objection(rule="equity", observed=value, limit="> 0", unit=case.account.currency)


def shortable(case: Case) -> Objection | None:
    """Nothing is sold short where it cannot be borrowed."""
    if case.intent.direction is not Direction.SHORT or case.market.instrument.shortable:
        return None
    return Objection(rule="shortable", observed="short", limit="long", unit="direction")


def one_entry(case: Case) -> Objection | None:
    """What is held, or may still fill, is not added to; dust is not held."""
    return _existing("one_entry", case, case.sign)


def opposite_position(case: Case) -> Objection | None:
    """A position is closed before one the other way is opened, so each stop fits its own."""
    return _existing("opposite_position", case, -case.sign)


def _existing(rule: str, case: Case, sign: int) -> Objection | None:
    held, pending = case.held, case.pending
    if held * sign <= 0 and pending * sign <= 0:
        return None
    observed = f"{plain(held)} held, {plain(pending)} in flight"
    return Objection(rule=rule, observed=observed, limit="0", unit=case.intent.symbol.base)


def open_positions(case: Case) -> Objection | None:
    """Not too many symbols at once, entries in flight and this one included."""
    account = case.account
    symbols = {symbol for symbol, position in account.positions.items() if position.quantity}
    symbols |= {order.symbol for order in case.entering}
    symbols.add(case.intent.symbol)
    count, most = len(symbols), case.limits.max_open_positions
    if count <= most:
        return None
    return Objection(rule="open_positions", observed=str(count), limit=str(most), unit="symbols")


def positions_per_symbol(case: Case) -> Objection | None:
    """Not too many positions in one symbol: the one held, entries in flight and this one."""
    symbol = case.intent.symbol
    count = 2 if case.account.held(symbol) else 1
    for order in case.entering:
        count += order.symbol == symbol
    most = case.limits.max_positions_per_symbol
    if count <= most:
        return None
    return Objection(
        rule="positions_per_symbol", observed=str(count), limit=str(most), unit="positions"
    )


def reduces_position(case: Case) -> Objection | None:
    """A reducing order goes against what is held."""
    held = case.account.held(case.intent.symbol)
    if held * case.quantity < 0:
        return None
    observed, limit = plain(case.quantity), f"against {plain(held)}"
    return Objection(rule="reduces_position", observed=observed, limit=limit, unit="base")


def protection_trigger(case: Case) -> Objection | None:
    """A protective order waits for its trigger; at market it would be an exit."""
    if case.intent.purpose is not Purpose.PROTECTION or case.intent.trigger is not None:
        return None
    return Objection(rule="protection_trigger", observed="none", limit="a trigger", unit="quote")
