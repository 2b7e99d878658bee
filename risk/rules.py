"""The rule book: one function a rule, each of which refuses what it cannot know.

A rule says what it saw and what it allows; None is no objection. Limits of size, distance and
confidence allow the limit itself; loss limits stop at the limit itself (REQUIREMENTS section 8,
row 11). An order that only reduces a position is judged by `RULES_FOR_REDUCTIONS`, so that no halt,
cool-down, loss, unknown price or unreconciled ledger traps it.
"""

import math
from collections.abc import Callable
from decimal import Decimal

from data.instrument import Quantity
from risk.breaker import DAILY_LOSS, DRAWDOWN, WEEKLY_LOSS, TradingState, trading_at
from risk.case import Case, known
from risk.intent import Direction, Purpose
from risk.objection import Finding, Objection, plain, unknown
from risk.size_rules import (
    leverage,
    minimum_order,
    never_flips,
    position_size,
    risk_per_trade,
    total_exposure,
)

Rule = Callable[[Case], Finding | None]
_NOTHING = Decimal(0)


def instrument(case: Case) -> Objection | None:
    """The market data is that of the symbol to be traded."""
    symbol = case.market.instrument.symbol
    if symbol == case.intent.symbol:
        return None
    return Objection(rule="instrument", observed=symbol, limit=case.intent.symbol, unit="symbol")


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


def trading_state(case: Case) -> Objection | None:
    """No entry while the breaker is not ACTIVE."""
    state = trading_at(case.state, case.now)
    if state is TradingState.ACTIVE:
        return None
    reason = case.state.reason
    return Objection(rule="trading_state", observed=f"{state} ({reason})", limit="active", unit="")


def daily_loss_limit(case: Case) -> Objection | None:
    """No entry once the day's loss, unrealised included, has reached its limit."""
    return _loss(DAILY_LOSS, case, case.state.day.equity, case.limits.max_daily_loss)


def weekly_loss_limit(case: Case) -> Objection | None:
    """No entry once the week's loss, unrealised included, has reached its limit."""
    return _loss(WEEKLY_LOSS, case, case.state.week.equity, case.limits.max_weekly_loss)


def drawdown_limit(case: Case) -> Objection | None:
    """No entry once the fall from the peak, unrealised included, has reached its limit."""
    return _loss(DRAWDOWN, case, case.state.peak_equity, case.limits.max_drawdown)


def _loss(rule: str, case: Case, since: Decimal | None, most: Decimal) -> Objection | None:
    start, left = known(since), case.account.equity
    if start is None or left is None or not left.is_finite():
        return unknown(rule, "share")
    lost = (start - left) / start
    if lost < most:
        return None
    return Objection(rule=rule, observed=plain(lost), limit=f"< {plain(most)}", unit="share")


def cool_down(case: Case) -> Objection | None:
    """No entry in a symbol before its cool-down is over."""
    until = case.state.cool_down_until.get(case.intent.symbol)
    if until is None or case.now >= until:
        return None
    observed, limit = case.now.isoformat(), f">= {until.isoformat()}"
    return Objection(rule="cool_down", observed=observed, limit=limit, unit="time")


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


def fresh_price(case: Case) -> Objection | None:
    """The price is known, and not older, nor dated later, than allowed."""
    priced_at, most = case.market.priced_at, case.limits.max_price_age
    if case.price is None or priced_at is None:
        return unknown("fresh_price", "quote")
    age = case.now - priced_at
    if -most <= age <= most:
        return None
    observed, limit = f"{age.total_seconds():g}", f"{most.total_seconds():g}"
    return Objection(rule="fresh_price", observed=observed, limit=limit, unit="s")


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


def confidence(case: Case) -> Objection | None:
    """Confidence is a probability, and reaches the floor of the regime."""
    seen = case.intent.confidence
    floor = case.limits.confidence_floor(case.market.regime, case.state.loss_streak)
    if floor <= seen <= 1:
        return None
    limit = f"{floor!r} to 1"
    return Objection(rule="confidence", observed=repr(seen), limit=limit, unit="probability")


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
    symbol = case.intent.symbol
    held, pending = case.account.held(symbol), case.account.pending(symbol)
    if held and case.price is not None and case.market.instrument.is_dust(held, case.price):
        held = Quantity(_NOTHING)
    if held * sign <= 0 and pending * sign <= 0:
        return None
    observed = f"{plain(held)} held, {plain(pending)} in flight"
    return Objection(rule=rule, observed=observed, limit="0", unit=symbol.base)


def open_positions(case: Case) -> Objection | None:
    """Not too many symbols at once, entries in flight and this one included."""
    account = case.account
    symbols = {symbol for symbol, position in account.positions.items() if position.quantity}
    symbols.update(o.symbol for o in account.in_flight if not o.reduce_only)
    symbols.add(case.intent.symbol)
    count, most = len(symbols), case.limits.max_open_positions
    if count <= most:
        return None
    return Objection(rule="open_positions", observed=str(count), limit=str(most), unit="symbols")


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


def stop_distance(case: Case) -> Objection | None:
    """The stop is neither inside the noise nor too far to matter."""
    distance, entry = case.stop_distance, case.entry_price
    if distance is None or entry is None:
        return unknown("stop_distance", "share")
    least, most = case.limits.min_stop_distance, case.limits.stop_distance_cap(case.intent.symbol)
    if least * entry <= distance <= most * entry:
        return None
    observed, limit = plain(distance / entry), f"{plain(least)} to {plain(most)}"
    return Objection(rule="stop_distance", observed=observed, limit=limit, unit="share")


def stop_atr(case: Case) -> Objection | None:
    """The stop is not nearer than so many average true ranges."""
    multiple, atr, distance = case.limits.min_stop_atr, case.market.atr, case.stop_distance
    if multiple == 0:
        return None
    if distance is None or atr is None or not 0 < atr < math.inf:
        return unknown("stop_atr", "atr")
    if float(distance) >= multiple * atr:
        return None
    observed = f"{float(distance) / atr:.6g}"
    return Objection(rule="stop_atr", observed=observed, limit=f">= {multiple:g}", unit="atr")


def reward_risk(case: Case) -> Objection | None:
    """A target, where there is one, is worth its risk after the fees of both ways."""
    target, least = case.intent.target, case.limits.min_reward_risk
    if target is None or least == 0:
        return None
    entry, stop, distance = case.entry_price, case.intent.stop, case.stop_distance
    if entry is None or stop is None or distance is None or known(target) is None:
        return unknown("reward_risk", "ratio")
    fee = case.limits.taker_fee
    reward = (target - entry) * case.sign - fee * (entry + target)
    risk = distance + fee * (entry + stop)
    if reward >= least * risk:
        return None
    observed, limit = plain(reward / risk), f">= {plain(least)}"
    return Objection(rule="reward_risk", observed=observed, limit=limit, unit="ratio")


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


RULES_FOR_ENTRIES: tuple[Rule, ...] = (
    instrument,
    allowed_symbol,
    entry_purpose,
    trading_state,
    daily_loss_limit,
    weekly_loss_limit,
    drawdown_limit,
    cool_down,
    reconciled,
    equity,
    fresh_price,
    conversion_rate,
    spread,
    order_prices,
    wished_quantity,
    confidence,
    shortable,
    one_entry,
    opposite_position,
    open_positions,
    stop_loss,
    stop_distance,
    stop_atr,
    reward_risk,
    risk_per_trade,
    position_size,
    total_exposure,
    leverage,
    minimum_order,
)
RULES_FOR_REDUCTIONS: tuple[Rule, ...] = (
    instrument,
    order_prices,
    wished_quantity,
    reduces_position,
    never_flips,
    protection_trigger,
)
RULES: tuple[Rule, ...] = tuple(dict.fromkeys(RULES_FOR_ENTRIES + RULES_FOR_REDUCTIONS))
