"""Every number of the rule book at exactly its limit, and by the least step on either side of it.

Whether what stands at the limit is stopped there is what REQUIREMENTS says: loss limits stop at
theirs (section 8, row 11), a trend counts beyond its threshold (row 7), the rest allow the number.
A row of the book, or a limit that it reads, without a boundary here fails.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from data.bar import Timeframe
from data.instrument import Notional, Quantity, Symbol
from data.regime import Regime
from risk import rules
from risk.alerts import alerts
from risk.breaker import (
    Marked,
    MarketSeen,
    ModelFailed,
    OrderPlaced,
    Rebalanced,
    TradingState,
    next_state,
    trading_at,
)
from risk.breaker_orders import breaker_intents
from risk.intent import Direction
from risk.market import Overlay
from risk.rulebook import BOOK
from risk.sizing import scales
from tests.builders_risk import (
    BTC,
    INSTRUMENT,
    NOW,
    REGIMES,
    XRP,
    a_case,
    a_market,
    a_position,
    a_state,
    a_trade,
    an_account,
    an_entry,
    an_exit,
    in_flight,
    limits_with,
)
from tests.cases_risk_exchange import exchanged, sold

STEP = Decimal("1E-20")
MICRO, MINUTE, HOUR = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Boundary:
    """One number that a row acts by: whether it acts at `at`, and on which side it does."""

    row: str
    limits: str  # the keys whose number it is; empty for one of the code's
    acts: Callable[[Any], bool]  # of a value, whether the row acts on it
    at: Any
    acts_at: bool
    acts_above: bool


BOUNDARIES: list[Boundary] = []


def boundary(row, limits, at, *, acts_at, acts_above):
    """Add a boundary of a row that is no rule; the function says whether the row acts."""

    def added(acts):
        BOUNDARIES.append(Boundary(row, limits, acts, at, acts_at, acts_above))
        return acts

    return added


def rule(limits, case, at, *, objects_at, above):
    """Add a boundary of a rule: it objects above `at`, or below it, and perhaps at it."""

    def objects(value):
        made, check = case(value)
        return check(made) is not None

    name = case(at)[1].__name__
    BOUNDARIES.append(Boundary(name, limits, objects, at, objects_at, above))


def limited(intent=None, *, market=None, sized="1", case=None, **limits):
    return a_case(
        intent,
        sized=str(sized),
        market=a_market(**(market or {})),
        limits=limits_with(**limits),
        **(case or {}),
    )


def of(text):
    return Decimal(text)


def worth(value, **changes):
    """An account of `value`; of the state's 1000, as much as the builder has."""
    return {"account": replace(an_account(), equity=Notional(value)), **changes}


# Losses: at the limit, nothing is entered (section 8, row 11).
for check, key, share in (
    (rules.daily_loss_limit, "max_daily_loss", "0.05"),
    (rules.weekly_loss_limit, "max_weekly_loss", "0.1"),
    (rules.monthly_loss_limit, "max_monthly_loss", "0.15"),
    (rules.day_drawdown_limit, "max_day_drawdown", "0.1"),
    (rules.drawdown_limit, "max_drawdown", "0.2"),
):
    rule(
        key,
        lambda equity, check=check, key=key, share=share: (
            limited(case=worth(equity), **{key: share}),
            check,
        ),
        1000 * (1 - of(share)),
        objects_at=True,
        above=False,
    )

rule("", lambda x: (limited(case=worth(x)), rules.equity), of("0"), objects_at=True, above=False)
rule(
    "",
    lambda until: (
        a_case(state=replace(a_state(), halted_until=until, halted_for="a test")),
        rules.trading_state,
    ),
    NOW,
    objects_at=False,
    above=True,
)
rule(
    "",
    lambda until: (a_case(state=a_state(cool_down_until={BTC: until})), rules.cool_down),
    NOW,
    objects_at=False,
    above=True,
)
rule(
    "",
    lambda until: (a_case(state=a_state(paused_until={"a-desk": until})), rules.model_failures),
    NOW,
    objects_at=False,
    above=True,
)
for hours, objects_at, above in (
    ({"start": "12:00", "end": "13:00"}, True, True),
    ({"start": "11:00", "end": "12:00"}, False, False),
):
    rule(
        "restricted_hours",
        lambda now, hours=hours: (
            limited(case={"now": now}, restricted_hours=[hours]),
            rules.restricted_hours,
        ),
        NOW,
        objects_at=objects_at,
        above=above,
    )

# What is known of the market
rule(
    "max_price_age",
    lambda age: (limited(market={"priced_at": NOW - age}), rules.fresh_price),
    MINUTE,
    objects_at=False,
    above=True,
)
rule(
    "max_price_age",
    lambda ahead: (limited(market={"priced_at": NOW + ahead}), rules.fresh_price),
    MINUTE,
    objects_at=False,
    above=True,
)
rule(
    "max_book_age",
    lambda age: (limited(market={"book_at": NOW - age}, max_book_age="PT1M"), rules.fresh_book),
    MINUTE,
    objects_at=False,
    above=True,
)
rule(
    "",
    lambda rate: (limited(market={"rate": rate}), rules.conversion_rate),
    of("0"),
    objects_at=True,
    above=False,
)
rule(
    "max_spread_bps",
    lambda bps: (limited(market={"spread_bps": bps}), rules.spread),
    10.0,
    objects_at=False,
    above=True,
)
rule(
    "min_depth",
    lambda depth: (limited(market={"depth": depth}, min_depth="1000"), rules.depth),
    of("10"),
    objects_at=False,
    above=False,
)
for at, above in ((0.0, False), (1.0, True)):
    rule(
        "",
        lambda alpha: (limited(an_entry(alpha=alpha)), rules.volatility),
        at,
        objects_at=False,
        above=above,
    )
for key in ("volatility_target", "volatility_guard"):
    rule(
        key,
        lambda seen, key=key: (
            limited(market={"realised_volatility": seen}, **{key: 0.5}),
            rules.volatility,
        ),
        0.0,
        objects_at=True,
        above=False,
    )

# The form
for name in ("stop", "target", "trigger", "limit"):
    rule(
        "",
        lambda price, name=name: (
            a_case(replace(an_entry(), **{name: price})),
            rules.order_prices,
        ),
        of("0"),
        objects_at=True,
        above=False,
    )
for direction, above in ((Direction.LONG, False), (Direction.SHORT, True)):
    rule(
        "",
        lambda wish, direction=direction: (
            a_case(replace(an_entry(direction=direction), quantity=wish)),
            rules.wished_quantity,
        ),
        of("0"),
        objects_at=True,
        above=above,
    )
# 0.05 at 100 is the least notional, 5: less of it is dust, and not held
for check, sign in ((rules.one_entry, 1), (rules.opposite_position, -1)):
    rule(
        "",
        lambda held, check=check, sign=sign: (
            a_case(account=an_account("1000", a_position(str(held * sign)))),
            check,
        ),
        of("0.05"),
        objects_at=True,
        above=True,
    )
rule(
    "max_positions_per_symbol",
    lambda count: (
        limited(
            case={"account": an_account(in_flight=(in_flight("1"),) * (count - 1))},
            max_positions_per_symbol=2,
        ),
        rules.positions_per_symbol,
    ),
    2,
    objects_at=False,
    above=True,
)
rule(
    "max_open_positions",
    lambda count: (
        a_case(
            account=an_account(
                "1000",
                *(a_position("1", symbol=Symbol(f"A{n}/USDT")) for n in range(count - 1)),
            )
        ),
        rules.open_positions,
    ),
    5,
    objects_at=False,
    above=True,
)

# How sure
NO_TIER = [{"min_confidence": 0.1, "size": 1, "max_leverage": 5}]
TIER = [{"min_confidence": 0.6, "size": 1, "max_leverage": 5}]
LOW_REGIME = REGIMES | {Regime.TRENDING_BULL: {"max_leverage": 5, "min_confidence": 0.3, "size": 1}}
STREAK = [
    {"losses": 3, "cool_down": "PT0S", "size": "0.5", "min_confidence": 0.8, "max_leverage": 1}
]


def sure(**limits):
    return lambda seen: (limited(an_entry(confidence=seen), **limits), rules.confidence)


rule("regimes", sure(tiers=NO_TIER), 0.6, objects_at=False, above=False)
rule("tiers", sure(tiers=TIER, regimes=LOW_REGIME), 0.6, objects_at=False, above=False)
rule("", sure(), 1.0, objects_at=False, above=True)
rule(
    "loss_streaks",
    lambda seen: (
        limited(
            an_entry(confidence=seen), case={"state": a_state(loss_streak=3)}, loss_streaks=STREAK
        ),
        rules.confidence,
    ),
    0.8,
    objects_at=False,
    above=False,
)
rule(
    "loss_streaks",
    lambda losses: (
        limited(
            an_entry(confidence=0.7),
            case={"state": a_state(loss_streak=losses)},
            loss_streaks=STREAK,
        ),
        rules.confidence,
    ),
    3,
    objects_at=True,
    above=True,
)
rule(
    "no_trade_below",
    lambda seen: (
        limited(market={"model_confidence": seen}, no_trade_below=0.55),
        rules.low_conf_veto,
    ),
    0.55,
    objects_at=False,
    above=False,
)
FLOOR = {
    "dynamic_floor": 0.65,
    "dynamic_floor_volatility": 1.0,
    "dynamic_floor_calibration": 0.2,
}


def floored(confidence=0.6, **market):
    given = {"realised_volatility": 0.5, "calibration_error": 0.1} | market
    return limited(an_entry(confidence=confidence), market=given, **FLOOR), rules.dynamic_floor


rule(
    "dynamic_floor",
    lambda seen: floored(seen, realised_volatility=2.0),
    0.65,
    objects_at=False,
    above=False,
)
rule(
    "dynamic_floor_volatility",
    lambda seen: floored(realised_volatility=seen),
    1.0,
    objects_at=False,
    above=True,
)
rule(
    "dynamic_floor_calibration",
    lambda seen: floored(calibration_error=seen),
    0.2,
    objects_at=False,
    above=True,
)


def overlaid(trend, age=timedelta(0)):
    seen = Overlay(timeframe=Timeframe.H1, trend=trend, updated_at=NOW - age)
    return limited(market={"overlays": (seen,)}, overlay_timeframes=["1h"]), rules.overlay_trend


rule("overlay_threshold", overlaid, -0.002, objects_at=False, above=False)
rule("overlay_max_age", lambda age: overlaid(-0.5, age), 2 * HOUR, objects_at=True, above=False)
rule(
    "min_net_edge_bps",
    lambda move: (
        limited(
            an_entry(confidence=1.0),
            market={"expected_move": move, "spread_bps": 0.0},
            min_net_edge_bps=10.0,
            taker_fee=0,
        ),
        rules.expected_edge,
    ),
    0.001,
    objects_at=False,
    above=False,
)

# Where a trade ends; the entry is at 100
for direction, above in ((Direction.LONG, True), (Direction.SHORT, False)):
    rule(
        "",
        lambda stop, direction=direction: (
            a_case(replace(an_entry(direction=direction), stop=stop)),
            rules.stop_loss,
        ),
        of("100"),
        objects_at=True,
        above=above,
    )


def stopped(check, **limits):
    return lambda stop: (limited(replace(an_entry(), stop=stop), **limits), check)


rule("min_stop_distance", stopped(rules.stop_distance), of("99.5"), objects_at=False, above=True)
rule("max_stop_distance_of", stopped(rules.stop_distance), of("97"), objects_at=False, above=False)
rule(
    "max_stop_distance",
    stopped(rules.stop_distance, max_stop_distance_of={}),
    of("95"),
    objects_at=False,
    above=False,
)
rule(
    "min_stop_atr",
    lambda atr: (limited(market={"atr": atr}, min_stop_atr=2.0), rules.stop_atr),
    1.0,
    objects_at=False,
    above=True,
)
rule(
    "min_reward_risk",
    lambda target: (
        limited(replace(an_entry(), target=target), taker_fee=0),
        rules.reward_risk,
    ),
    of("103"),
    objects_at=False,
    above=False,
)
rule(
    "max_cost_to_risk",
    lambda stop: (
        limited(
            replace(an_entry(), stop=stop),
            market={"spread_bps": None},
            max_cost_to_risk="1",
            taker_fee="0.01",
        ),
        rules.round_trip_cost,
    ),
    of("98"),
    objects_at=False,
    above=True,
)


def liquidated(stop):
    return lambda at: (
        limited(
            an_entry(stop=stop), market={"liquidation_price": at}, min_liquidation_distance="0.02"
        ),
        rules.liquidation_distance,
    )


rule("min_liquidation_distance", liquidated("99"), of("98"), objects_at=False, above=True)
rule("", liquidated("97"), of("97"), objects_at=True, above=True)


# How large; 1000 of equity, at 100
def sized(check, market=None, case=None, intent=None, **limits):
    return lambda size: (
        replace(limited(intent, market=market, case=case, **limits), quantity=Quantity(size)),
        check,
    )


rule("max_risk_per_trade", sized(rules.risk_per_trade), of("10"), objects_at=False, above=True)
rule("max_position", sized(rules.position_size), of("2"), objects_at=False, above=True)
rule("max_exposure", sized(rules.total_exposure), of("8"), objects_at=False, above=True)
rule(
    "max_correlated_exposure",
    sized(rules.correlated_exposure, max_correlated_exposure="0.4"),
    of("4"),
    objects_at=False,
    above=True,
)
rule(
    "min_correlation correlations",
    lambda correlation: (
        limited(
            sized="4",
            case={"account": an_account("1000", a_position("1", symbol=XRP))},
            max_correlated_exposure="0.4",
            correlations=[{"first": BTC, "second": XRP, "correlation": correlation}],
        ),
        rules.correlated_exposure,
    ),
    of("0.5"),
    objects_at=True,
    above=True,
)
rule(
    "max_leverage",
    sized(rules.leverage, max_leverage="3"),
    of("30"),
    objects_at=False,
    above=True,
)
rule("regimes", sized(rules.leverage), of("50"), objects_at=False, above=True)
rule(
    "tiers",
    sized(
        rules.leverage,
        tiers=[{"min_confidence": 0.9, "size": 1, "max_leverage": 2}],
    ),
    of("20"),
    objects_at=False,
    above=True,
)
FALLEN = [{"drawdown": "0.1", "max_leverage": 2}]
rule(
    "drawdown_leverage",
    lambda equity: (
        limited(sized="19", case=worth(equity), drawdown_leverage=FALLEN),
        rules.leverage,
    ),
    of("900"),
    objects_at=True,
    above=False,
)
rule(
    "loss_streaks",
    lambda losses: (
        limited(sized="11", case={"state": a_state(loss_streak=losses)}, loss_streaks=STREAK),
        rules.leverage,
    ),
    3,
    objects_at=True,
    above=True,
)
rule(
    "max_margin_use margin_leverage",
    sized(rules.margin_use, max_margin_use="0.5", margin_leverage="3"),
    of("15"),
    objects_at=False,
    above=True,
)
rule(
    "max_value_at_risk value_at_risk_sigmas",
    sized(
        rules.value_at_risk,
        market={"bar_volatility": 0.02},
        max_value_at_risk="0.02",
        value_at_risk_sigmas=2.0,
    ),
    of("5"),
    objects_at=False,
    above=True,
)
# p = 0.6, even odds: f = 0.5 * (0.6 - 0.4) = 0.1 of 1000, over a distance of 2
BET = {"kelly_fraction": "0.5", "taker_fee": 0}
rule(
    "kelly_fraction",
    sized(rules.kelly, {"win_probability": 0.6}, intent=an_entry(target="102"), **BET),
    of("50"),
    objects_at=False,
    above=True,
)
rule(
    "",
    lambda chance: (
        limited(an_entry(target="102"), market={"win_probability": chance}, sized="1E-18", **BET),
        rules.kelly,
    ),
    0.5,
    objects_at=True,
    above=False,
)
rule(
    "max_adv_share",
    sized(rules.adv_cap, {"adv": of("100")}, max_adv_share="0.02"),
    of("2"),
    objects_at=False,
    above=True,
)
rule(
    "max_depth_share",
    sized(rules.depth_share, {"depth": of("100")}, max_depth_share="0.02"),
    of("2"),
    objects_at=False,
    above=True,
)
rule("", sized(rules.minimum_order), of("0.05"), objects_at=False, above=False)
rule(
    "",
    sized(
        rules.minimum_order,
        {"instrument": replace(INSTRUMENT, min_notional=Notional(Decimal(0)))},
    ),
    of("0.0001"),
    objects_at=False,
    above=False,
)
rule(
    "refer_above",
    sized(rules.referral, refer_above="0.15"),
    of("1.5"),
    objects_at=False,
    above=True,
)
rule(
    "refer_below",
    lambda seen: (limited(an_entry(confidence=seen), refer_below=0.62), rules.referral),
    0.62,
    objects_at=False,
    above=False,
)


def reducing(check):
    return lambda size: (
        replace(
            a_case(an_exit(), account=an_account("1000", a_position("2"))),
            quantity=Quantity(-size),
        ),
        check,
    )


rule("", reducing(rules.reduces_position), of("0"), objects_at=True, above=False)
rule("", reducing(rules.never_flips), of("2"), objects_at=False, above=True)


# What scales
def scaled(row, case):
    return any(scale.rule == row for scale in scales(case))


@boundary("tier", "tiers", 0.85, acts_at=False, acts_above=False)
def _tier(seen):
    return scaled("tier", a_case(an_entry(confidence=seen)))


@boundary("derisk", "derisk_drawdown", of("900"), acts_at=True, acts_above=False)
def _derisk(equity):
    return scaled("derisk", limited(case=worth(equity)))


@boundary("loss_streak", "loss_streaks", 3, acts_at=True, acts_above=True)
def _loss_streak(losses):
    case = limited(case={"state": a_state(loss_streak=losses)}, loss_streaks=STREAK)
    return scaled("loss_streak", case)


@boundary("volatility_spike", "spike_span", NOW, acts_at=False, acts_above=True)
def _spike(until):
    return scaled("volatility_spike", a_case(state=a_state(spike_until={BTC: until})))


@boundary("volatility_spike", "spike_ratio", 3.0, acts_at=False, acts_above=True)
def _spiking(atr):
    seen = MarketSeen(symbol=BTC, atr=atr, mean_atr=1.0, move=None, at=NOW)
    return bool(next_state(a_state(), seen, limits_with()).spike_until)


@boundary("volatility_guard", "volatility_guard", 0.8, acts_at=False, acts_above=True)
def _guard(seen):
    case = limited(market={"realised_volatility": seen}, volatility_guard=0.8)
    return scaled("volatility_guard", case)


@boundary("volatility_target", "volatility_target", 0.2, acts_at=False, acts_above=True)
def _target(seen):
    case = limited(market={"realised_volatility": seen}, volatility_target=0.2)
    return scaled("signal", case)


# What the breaker does
def told(event, **limits):
    return next_state(a_state(), event, limits_with(**limits))


@boundary("account_drawdown", "max_account_drawdown", of("1800"), acts_at=True, acts_above=False)
def _account_drawdown(whole):
    state = a_state(account_peak=Decimal(3000))
    event = Marked(equity=Decimal(1000), at=NOW, whole=whole)
    after = next_state(state, event, limits_with(max_account_drawdown="0.4"))
    return after.trading is TradingState.HALTED


@boundary("cool_downs", "unusual_move", 0.03, acts_at=False, acts_above=True)
def _move(move):
    seen = MarketSeen(symbol=BTC, atr=None, mean_atr=None, move=move, at=NOW)
    return bool(told(seen).cool_down_until)


for key, event in (
    ("cool_down_after_order", OrderPlaced(symbol=BTC, at=NOW)),
    ("cool_down_after_rebalance", Rebalanced(symbol=BTC, at=NOW)),
    ("cool_down_after_loss", a_trade("-1")),
    (
        "cool_down_after_move",
        MarketSeen(symbol=BTC, atr=None, mean_atr=None, move=0.04, at=NOW),
    ),
):

    @boundary("cool_downs", key, NOW + HOUR, acts_at=False, acts_above=False)
    def _cooling(now, key=key, event=event):
        state = told(event, **{key: "PT1H"})
        return rules.cool_down(a_case(state=state, now=now)) is not None


@boundary("cool_downs", "", of("0"), acts_at=False, acts_above=False)
def _loss(pnl):
    return bool(told(replace(a_trade("0"), pnl=Notional(pnl))).cool_down_until)


def after_losses(count, **limits):
    state = a_state()
    for _ in range(count):
        state = next_state(state, a_trade("-1"), limits_with(**limits))
    return state


@boundary("losing", "max_loss_streak", 5, acts_at=False, acts_above=True)
def _fatal(losses):
    return after_losses(losses, loss_streaks=[]).trading is TradingState.HALTED


@boundary("losing", "loss_streaks", 3, acts_at=True, acts_above=True)
def _losing(losses):
    steps = [STREAK[0] | {"cool_down": "PT1H"}]
    return after_losses(losses, loss_streaks=steps).trading is TradingState.REDUCING


@boundary("model_breaker", "max_model_failures", 3, acts_at=True, acts_above=True)
def _failing(count):
    state = a_state()
    for _ in range(count):
        state = next_state(state, ModelFailed(strategy_id="a", at=NOW), limits_with())
    return bool(state.paused_until)


@boundary("model_breaker", "model_failure_pause", NOW + HOUR, acts_at=False, acts_above=False)
def _paused(now):
    failed = ModelFailed(strategy_id="a-desk", at=NOW)
    state = told(failed, max_model_failures=1, model_failure_pause="PT1H")
    return rules.model_failures(a_case(state=state, now=now)) is not None


for key, share in (
    ("max_daily_loss", "0.05"),
    ("max_weekly_loss", "0.1"),
    ("max_monthly_loss", "0.15"),
    ("max_day_drawdown", "0.1"),
    ("max_drawdown", "0.2"),
):

    @boundary("trading_state", key, 1000 * (1 - of(share)), acts_at=True, acts_above=False)
    def _marked(equity, key=key, share=share):
        wide = dict.fromkeys(
            ("max_daily_loss", "max_weekly_loss", "max_monthly_loss", "max_drawdown"), 1
        )
        state = told(Marked(equity=Notional(equity), at=NOW), **(wide | {key: share}))
        return state.trading is not TradingState.ACTIVE


for row, end in (
    ("the day", NOW.replace(hour=0) + timedelta(days=1)),
    ("the week", NOW.replace(day=10, hour=0)),
    ("the month", NOW.replace(month=4, day=1, hour=0)),
):

    @boundary("trading_state", "", end, acts_at=False, acts_above=False)
    def _reopens(now, row=row):
        key = {"the day": "daily", "the week": "weekly", "the month": "monthly"}[row]
        wide = dict.fromkeys(
            ("max_daily_loss", "max_weekly_loss", "max_monthly_loss", "max_drawdown"), 1
        )
        lost = Marked(equity=Notional(Decimal(900)), at=NOW)
        state = told(lost, **(wide | {f"max_{key}_loss": "0.1"}))
        return trading_at(state, now) is not TradingState.ACTIVE


@boundary("closing", "drawdown_closes", of("800"), acts_at=True, acts_above=False)
def _closing(equity):
    return cut_at(equity, weekly_cut=0) == 2


@boundary("closing", "weekly_cut", of("900"), acts_at=True, acts_above=False)
def _cutting(equity):
    return cut_at(equity, drawdown_closes=False) == 1


def cut_at(equity, **limits):
    limits = limits_with(**limits)
    state = next_state(a_state(), Marked(equity=Notional(equity), at=NOW), limits)
    orders = breaker_intents(
        state,
        an_account("1000", a_position("2")),
        limits,
        instruments={BTC: INSTRUMENT},
        closing=frozenset(),
        now=NOW,
    )
    return -orders.intents[0].quantity if orders else 0


def near(name, account, **limits):
    said = {alert.rule for alert in alerts(a_state(), account, limits_with(**limits))}
    return f"near.{name}" in said


@boundary("alerts", "warn_daily_loss", of("970"), acts_at=True, acts_above=False)
def _near_the_day(equity):
    return near("daily_loss", worth(equity)["account"])


@boundary("alerts", "derisk_drawdown", of("900"), acts_at=True, acts_above=False)
def _near_the_peak(equity):
    return near("drawdown", worth(equity)["account"])


@boundary("alerts", "warn_exposure", of("700"), acts_at=True, acts_above=True)
def _near_the_exposure(notional):
    return near("exposure", an_account("1000", a_position("1", notional=str(notional))))


@boundary("alerts", "warn_margin_use margin_leverage", of("800"), acts_at=True, acts_above=True)
def _near_the_margin(notional):
    account = an_account("1000", a_position("1", notional=str(notional)))
    return near("margin_use", account, margin_leverage="2")


# Exchanges of holdings: the limit itself is allowed.
rule(
    "",
    lambda x: (exchanged(limit_price="100", fee="0", sized=x), rules.exchange_funds),
    of("5"),
    objects_at=False,
    above=True,
)
rule(
    "",
    lambda x: (exchanged(sold("1"), sized=-x), rules.exchange_funds),
    of("1"),
    objects_at=False,
    above=True,
)
rule(
    "allocation",
    lambda x: (exchanged(sized=x), rules.exchange_target),
    of("3.5"),
    objects_at=False,
    above=True,
)
rule(
    "allocation",
    lambda x: (exchanged(sized=x), rules.exchange_size),
    of("10"),
    objects_at=False,
    above=True,
)
rule(
    "allocation",
    lambda x: (exchanged(limit_price=x), rules.exchange_limit),
    of("100.5"),
    objects_at=False,
    above=True,
)
rule(
    "allocation",
    lambda x: (exchanged(sold("1", x)), rules.exchange_limit),
    of("99.5"),
    objects_at=False,
    above=False,
)
rule(
    "allocation",
    lambda x: (exchanged(max_cost=x), rules.exchange_cost),
    of("0.0027"),
    objects_at=False,
    above=False,
)

NO_NUMBER = {
    "exchange_form": "a form",
    "instrument": "a name",
    "allowed_symbol": "a list of names",
    "entry_purpose": "a kind",
    "reconciled": "yes or no",
    "trend": "a regime",
    "shortable": "yes or no",
    "protection_trigger": "there or not",
    "regime": "a share for each",
    "equity_unknown": "known or not",
    "shadow": "a list of names",
}
NO_THRESHOLD = {
    "allowed_symbols",
    "derisk_size",
    "overlay_rule",
    "overlay_size",
    "overlay_timeframes",
    "referral_span",  # of a referral's end: tests/unit/risk/test_risk_worked_cases.py, case 26
    "regimes",
    "shadow",
    "slippage",
    "spike_size",
    "taker_fee",
    "trend_gate",
    "volatility_cap",
    "volatility_guard_floor",
}
"""Limits that switch, list or scale; what is compared with them is in another one's boundary."""


def stepped(value, up):
    """The next value there is, or as good as."""
    if isinstance(value, float):
        return math.nextafter(value, math.inf if up else -math.inf)
    step = {int: 1, Decimal: STEP}.get(type(value), MICRO)
    return value + step if up else value - step


@pytest.mark.req("S0-19", "S0-22", "S0-23", "S0-24", "S0-25", "S2-42", "S1-108", "S1-97")
@pytest.mark.parametrize("of_row", BOUNDARIES, ids=lambda b: f"{b.row}-{b.limits or 'code'}")
def test_at_its_limit_and_just_beside_it(of_row):
    above, below = stepped(of_row.at, up=True), stepped(of_row.at, up=False)
    assert of_row.acts(above) is of_row.acts_above
    assert of_row.acts(of_row.at) is of_row.acts_at
    assert of_row.acts(below) is not of_row.acts_above


def test_every_row_of_the_book_has_a_boundary_or_no_number():
    bounded = {of_row.row for of_row in BOUNDARIES}
    assert bounded | set(NO_NUMBER) == {info.name for info in BOOK}
    assert not bounded & set(NO_NUMBER)


@pytest.mark.parametrize("info", BOOK, ids=lambda info: f"{info.kind}-{info.name}")
def test_every_limit_that_a_row_compares_with_has_a_boundary(info):
    bounded = {
        key for of_row in BOUNDARIES if of_row.row == info.name for key in of_row.limits.split()
    }
    assert set(info.limits) - NO_THRESHOLD <= bounded
