"""The rule book: one function a rule, each of which refuses what it cannot know.

A rule says what it saw and what it allows; None is no objection. Limits of size, distance and
confidence allow the limit itself; loss limits stop at the limit itself (REQUIREMENTS section 8,
row 11); a trend against an entry is one only beyond its threshold (row 7). An order that only
reduces a position is judged by `RULES_FOR_REDUCTIONS`, so that no halt, cool-down, loss, unknown
price or unreconciled ledger traps it, and one that exchanges holdings by `RULES_FOR_EXCHANGES`.
What each rule reads is written down in `risk.rulebook`.
"""

from collections.abc import Callable
from functools import lru_cache

from risk.allocation_rules import (
    exchange_cost,
    exchange_form,
    exchange_funds,
    exchange_limit,
    exchange_size,
    exchange_target,
)
from risk.case import Case
from risk.form_rules import (
    allowed_symbol,
    entry_purpose,
    equity,
    one_entry,
    open_positions,
    opposite_position,
    order_prices,
    positions_per_symbol,
    protection_trigger,
    reconciled,
    reduces_position,
    shortable,
    wished_quantity,
)
from risk.loss_rules import (
    cool_down,
    daily_loss_limit,
    day_drawdown_limit,
    drawdown_limit,
    model_failures,
    monthly_loss_limit,
    restricted_hours,
    trading_state,
    weekly_loss_limit,
)
from risk.market_rules import (
    conversion_rate,
    depth,
    fresh_book,
    fresh_price,
    instrument,
    spread,
    volatility,
)
from risk.objection import Finding
from risk.signal_rules import (
    confidence,
    dynamic_floor,
    expected_edge,
    low_conf_veto,
    overlay_trend,
    trend,
)
from risk.size_rules import (
    adv_cap,
    correlated_exposure,
    depth_share,
    kelly,
    leverage,
    margin_use,
    minimum_order,
    never_flips,
    position_size,
    referral,
    risk_per_trade,
    total_exposure,
    value_at_risk,
)
from risk.stop_rules import (
    liquidation_distance,
    reward_risk,
    round_trip_cost,
    stop_atr,
    stop_distance,
    stop_loss,
)

Rule = Callable[[Case], Finding | None]

RULES_FOR_ENTRIES: tuple[Rule, ...] = (
    instrument,
    allowed_symbol,
    entry_purpose,
    trading_state,
    daily_loss_limit,
    weekly_loss_limit,
    monthly_loss_limit,
    day_drawdown_limit,
    drawdown_limit,
    cool_down,
    model_failures,
    restricted_hours,
    reconciled,
    equity,
    fresh_price,
    conversion_rate,
    fresh_book,
    spread,
    depth,
    volatility,
    order_prices,
    wished_quantity,
    confidence,
    low_conf_veto,
    dynamic_floor,
    trend,
    overlay_trend,
    expected_edge,
    shortable,
    one_entry,
    opposite_position,
    positions_per_symbol,
    open_positions,
    stop_loss,
    stop_distance,
    stop_atr,
    reward_risk,
    round_trip_cost,
    liquidation_distance,
    risk_per_trade,
    kelly,
    position_size,
    total_exposure,
    correlated_exposure,
    leverage,
    margin_use,
    value_at_risk,
    adv_cap,
    depth_share,
    minimum_order,
    referral,
)
RULES_FOR_REDUCTIONS: tuple[Rule, ...] = (
    instrument,
    order_prices,
    wished_quantity,
    reduces_position,
    never_flips,
    protection_trigger,
)
RULES_FOR_EXCHANGES: tuple[Rule, ...] = (
    instrument,
    allowed_symbol,
    trading_state,
    daily_loss_limit,
    weekly_loss_limit,
    monthly_loss_limit,
    day_drawdown_limit,
    drawdown_limit,
    reconciled,
    fresh_price,
    conversion_rate,
    fresh_book,
    spread,
    depth,
    order_prices,
    wished_quantity,
    exchange_form,
    exchange_funds,
    exchange_target,
    exchange_size,
    exchange_limit,
    exchange_cost,
    minimum_order,
)
"""For what moves holdings and bags: no rule on positions or on signals is asked. A halt stops it,
and so does a loss of the trading book that ought to have led to one, or that nobody can tell."""
RULES_FOR_DESKS: tuple[Rule, ...] = (
    trading_state,
    daily_loss_limit,
    weekly_loss_limit,
    monthly_loss_limit,
    day_drawdown_limit,
    drawdown_limit,
    cool_down,
    model_failures,
    equity,
    confidence,
    open_positions,
    risk_per_trade,
    position_size,
    total_exposure,
    correlated_exposure,
    leverage,
    margin_use,
)
"""What a desk's own part of the account is held to as well, by the desk's own limits."""


@lru_cache
def in_force(off: frozenset[str]) -> tuple[Rule, ...]:
    """The rules for entries, without those that their numbers switch off."""
    return tuple(rule for rule in RULES_FOR_ENTRIES if rule.__name__ not in off)


RULES: tuple[Rule, ...] = tuple(
    dict.fromkeys(RULES_FOR_ENTRIES + RULES_FOR_REDUCTIONS + RULES_FOR_EXCHANGES)
)
