"""Cases of rules on opinions, books, models and perpetuals: at each limit, and just past it."""

from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal

import pytest

from data.bar import Timeframe
from data.instrument import Notional, Quantity, Symbol
from data.regime import Regime
from risk import rules
from risk.breaker import ModelFailed, next_state
from risk.intent import Direction
from risk.market import Overlay
from risk.referral import Consent
from tests.builders_risk import (
    BTC,
    FULL_CHANGES,
    INSTRUMENT,
    NOW,
    XRP,
    a_case,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    in_flight,
    limits_with,
    price,
)

MICRO = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
XRP_BTC = Symbol("XRP/BTC")
ETH = Symbol("ETH/USDT")


def quantity(text):
    return Quantity(Decimal(text))


def limited(intent=None, *, market=None, sized="1", case=None, **limits):
    """A case under the builder's limits but for `limits`, with `market`'s changes."""
    return a_case(
        intent,
        sized=sized,
        market=a_market(**(market or {})),
        limits=limits_with(**limits),
        **(case or {}),
    )


def short(**changes):
    return an_entry(**({"stop": "102"} | changes), direction=Direction.SHORT)


def passes(rule, case, name):
    return pytest.param(rule, case, False, id=f"{rule.__name__}: {name}")


def objects(rule, case, name):
    return pytest.param(rule, case, True, id=f"{rule.__name__}: {name}")


def lost(share, **limits):
    account = an_account(str(1000 - 1000 * Decimal(share)))
    return limited(case={"account": account}, **limits)


def overlays(*trends, age=timedelta(0), timeframe=Timeframe.H1):
    return tuple(
        Overlay(timeframe=timeframe, trend=trend, updated_at=NOW - age) for trend in trends
    )


def hourly_and_quarterly(quarterly, hourly):
    """The trends of 15 minutes and of an hour, which counts four times as much."""
    return *overlays(quarterly, timeframe=Timeframe.M15), *overlays(hourly)


def against(*trends, intent=None, **limits):
    given = {"overlay_timeframes": ["15m", "1h"]} | limits
    market = {
        "overlays": trends if trends and isinstance(trends[0], Overlay) else overlays(*trends)
    }
    return limited(intent, market=market, **given)


def at(clock):
    return {"now": NOW.replace(hour=clock.hour, minute=clock.minute, second=clock.second)}


NIGHT = {"restricted_hours": [{"start": "22:00", "end": "02:00"}]}
FAILED = ModelFailed(strategy_id="a-desk", at=NOW)


def failing(times, limits, **failed):
    state = a_state()
    for _ in range(times):
        state = next_state(state, replace(FAILED, **failed), limits)
    return state


def model_case(times, *, later=timedelta(0), **failed):
    limits = limits_with()
    return a_case(state=failing(times, limits, **failed), now=NOW + later)


CORRELATED = {
    "max_correlated_exposure": "0.4",
    "correlations": FULL_CHANGES["correlations"],
}


def correlated(*held, intent=None, sized="1", pending=(), **limits):
    account = an_account("1000", *held, in_flight=pending)
    return limited(intent, sized=sized, case={"account": account}, **(CORRELATED | limits))


def worth(notional, *, symbol=XRP, held="1"):
    return a_position(held, symbol=symbol, notional=notional)


def consented(most, *, confidence=0.9, sized="1.6", expires=MINUTE, intent_id="an-intent"):
    given = Consent(
        intent_id=intent_id,
        quantity=quantity(most),
        by="Ada",
        why="looked",
        at=NOW,
        expires_at=NOW + expires,
    )
    return limited(
        an_entry(confidence=confidence), sized=sized, case={"consent": given}, refer_above="0.15"
    )


STATE = a_state()
LEVERAGE = {key: FULL_CHANGES[key] for key in ("tiers", "loss_streaks", "drawdown_leverage")}
BET = {"kelly_fraction": "0.25", "taker_fee": "0"}
EDGE = {"min_net_edge_bps": 10.0, "taker_fee": "0"}

CASES = [
    passes(rules.monthly_loss_limit, lost("0.14999"), "inside"),
    objects(rules.monthly_loss_limit, lost("0.15"), "at the limit"),
    objects(rules.monthly_loss_limit, a_case(account=an_account(None)), "unknown"),
    passes(rules.day_drawdown_limit, lost("0.09999", max_day_drawdown="0.1"), "inside"),
    objects(rules.day_drawdown_limit, lost("0.1", max_day_drawdown="0.1"), "at the limit"),
    passes(rules.day_drawdown_limit, lost("0.5"), "off"),
    objects(
        rules.day_drawdown_limit,
        limited(case={"state": a_state(day_peak=None)}, max_day_drawdown="0.1"),
        "no peak known",
    ),
    objects(
        rules.day_drawdown_limit,
        limited(case={"state": a_state(day_peak=Notional(Decimal(1112)))}, max_day_drawdown="0.1"),
        "from the day's peak, and not its first equity",
    ),
    passes(rules.model_failures, model_case(2), "two in a row"),
    objects(rules.model_failures, model_case(3), "three in a row"),
    objects(rules.model_failures, model_case(3, later=5 * MINUTE - MICRO), "not quite over"),
    passes(rules.model_failures, model_case(3, later=5 * MINUTE), "over"),
    passes(rules.model_failures, model_case(3, strategy_id="another"), "another desk's"),
    passes(rules.restricted_hours, limited(case=at(time(21, 59, 59)), **NIGHT), "before"),
    objects(rules.restricted_hours, limited(case=at(time(22)), **NIGHT), "from their start"),
    objects(rules.restricted_hours, limited(case=at(time(1, 59, 59)), **NIGHT), "past midnight"),
    passes(rules.restricted_hours, limited(case=at(time(2)), **NIGHT), "at their end"),
    objects(
        rules.restricted_hours,
        limited(restricted_hours=[{"start": "11:00", "end": "13:00"}]),
        "within a day",
    ),
    passes(rules.fresh_book, limited(market={"book_at": NOW - MINUTE}, max_book_age="PT1M"), "old"),
    objects(
        rules.fresh_book,
        limited(market={"book_at": NOW - MINUTE - MICRO}, max_book_age="PT1M"),
        "stale",
    ),
    objects(
        rules.fresh_book,
        limited(market={"book_at": NOW + MINUTE + MICRO}, max_book_age="PT1M"),
        "from the future",
    ),
    objects(rules.fresh_book, limited(max_book_age="PT1M"), "no book"),
    passes(rules.fresh_book, limited(), "off"),
    passes(rules.depth, limited(market={"depth": quantity("10")}, min_depth="1000"), "just deep"),
    objects(rules.depth, limited(market={"depth": quantity("9.99")}, min_depth="1000"), "thin"),
    objects(rules.depth, limited(min_depth="1000"), "unknown"),
    objects(rules.depth, limited(market={"depth": quantity("NaN")}, min_depth="1"), "no number"),
    passes(rules.depth, limited(), "off"),
    passes(
        rules.volatility,
        limited(market={"realised_volatility": 0.5}, volatility_guard=0.8),
        "known",
    ),
    objects(rules.volatility, limited(volatility_guard=0.8), "unknown to the guard"),
    objects(rules.volatility, limited(volatility_target=0.2), "unknown to the target"),
    objects(
        rules.volatility,
        limited(market={"realised_volatility": 0.0}, volatility_target=0.2),
        "none at all",
    ),
    objects(
        rules.volatility,
        limited(market={"realised_volatility": float("nan")}, volatility_target=0.2),
        "no number",
    ),
    passes(rules.volatility, limited(), "off"),
    passes(
        rules.volatility,
        limited(
            volatility_target=0.2,
            volatility_guard=0.8,
            shadow=["volatility_target", "volatility_guard"],
        ),
        "only tried",
    ),
    passes(rules.volatility, limited(an_entry(alpha=0.0)), "no signal at all"),
    objects(rules.volatility, limited(an_entry(alpha=1.01)), "more than the whole signal"),
    objects(rules.volatility, limited(an_entry(alpha=float("nan"))), "a signal of no number"),
    passes(rules.low_conf_veto, limited(an_entry(confidence=0.55), no_trade_below=0.55), "at it"),
    objects(rules.low_conf_veto, limited(an_entry(confidence=0.54), no_trade_below=0.55), "below"),
    objects(
        rules.low_conf_veto,
        limited(market={"model_confidence": 0.54}, no_trade_below=0.55),
        "a cohort's strong signal over an unsure model",
    ),
    objects(
        rules.low_conf_veto,
        limited(market={"model_confidence": float("nan")}, no_trade_below=0.55),
        "no number",
    ),
    passes(rules.low_conf_veto, limited(market={"model_confidence": 0.1}), "off"),
    passes(
        rules.dynamic_floor,
        limited(
            an_entry(confidence=0.6),
            market={"realised_volatility": 1.0},
            dynamic_floor=0.65,
            dynamic_floor_volatility=1.0,
        ),
        "calm, at the limit",
    ),
    objects(
        rules.dynamic_floor,
        limited(
            an_entry(confidence=0.6499),
            market={"realised_volatility": 1.01},
            dynamic_floor=0.65,
            dynamic_floor_volatility=1.0,
        ),
        "wild, and not sure enough",
    ),
    passes(
        rules.dynamic_floor,
        limited(
            an_entry(confidence=0.65),
            market={"realised_volatility": 1.01},
            dynamic_floor=0.65,
            dynamic_floor_volatility=1.0,
        ),
        "wild, at the floor",
    ),
    objects(
        rules.dynamic_floor,
        limited(
            an_entry(confidence=0.6),
            market={"calibration_error": 0.21},
            dynamic_floor=0.65,
            dynamic_floor_calibration=0.2,
        ),
        "often wrong",
    ),
    objects(
        rules.dynamic_floor, limited(dynamic_floor=0.6, dynamic_floor_volatility=1.0), "unknown"
    ),
    passes(rules.trend, limited(trend_gate=True), "long in a bull market"),
    objects(rules.trend, limited(short(), trend_gate=True), "short in a bull market"),
    objects(
        rules.trend,
        limited(market={"regime": Regime.VOLATILE_BEAR}, trend_gate=True),
        "long in a bear market",
    ),
    passes(
        rules.trend,
        limited(short(), market={"regime": Regime.RANGING}, trend_gate=True),
        "no trend",
    ),
    passes(rules.trend, limited(short()), "off"),
    objects(rules.overlay_trend, against(0.01, intent=short()), "1 % up, and short"),
    passes(rules.overlay_trend, against(0.001, intent=short()), "0.1 % up, and short"),
    passes(rules.overlay_trend, against(0.002, intent=short()), "exactly at the threshold"),
    objects(rules.overlay_trend, against(0.0020001, intent=short()), "just past it"),
    passes(rules.overlay_trend, against(-0.002), "exactly at it, and long"),
    objects(rules.overlay_trend, against(-0.0020001), "just past it, and long"),
    passes(rules.overlay_trend, against(0.01), "with it"),
    passes(rules.overlay_trend, against(), "missing"),
    passes(rules.overlay_trend, against(float("nan")), "no number"),
    passes(rules.overlay_trend, against(float("-inf")), "without end"),
    passes(rules.overlay_trend, against(-0.01, overlay_timeframes=[]), "off"),
    passes(rules.overlay_trend, against(-0.01, overlay_timeframes=["4h"]), "not gated"),
    passes(rules.overlay_trend, against(-0.01, overlay_size="0.5"), "halved instead"),
    objects(
        rules.overlay_trend,
        against(*overlays(-0.01, age=timedelta(hours=2))),
        "as old as two intervals",
    ),
    passes(
        rules.overlay_trend,
        against(*overlays(-0.01, age=timedelta(hours=2) + MICRO)),
        "just over two intervals",
    ),
    passes(rules.overlay_trend, against(*overlays(-0.01, age=-MICRO)), "from the future"),
    objects(rules.overlay_trend, against(-0.01, 0.01), "one against, one for: agreement"),
    passes(
        rules.overlay_trend,
        against(-0.01, 0.01, overlay_rule="majority_vote"),
        "one against, one for: majority",
    ),
    objects(
        rules.overlay_trend,
        against(-0.01, -0.01, 0.01, overlay_rule="majority_vote"),
        "two against, one for: majority",
    ),
    passes(
        rules.overlay_trend,
        against(-0.01, -0.01, 0.01, overlay_rule="one_agrees"),
        "two against, one for: one agrees",
    ),
    objects(rules.overlay_trend, against(-0.01, 0.0, overlay_rule="one_agrees"), "none agrees"),
    passes(
        rules.overlay_trend,
        against(*hourly_and_quarterly(-0.01, 0.001), overlay_rule="weighted_average"),
        "the longer one weighs more: for it",
    ),
    objects(
        rules.overlay_trend,
        against(*hourly_and_quarterly(0.01, -0.006), overlay_rule="weighted_average"),
        "the longer one weighs more: against it",
    ),
    passes(
        rules.overlay_trend,
        against(*hourly_and_quarterly(-0.002, -0.002), overlay_rule="weighted_average"),
        "an average exactly at the threshold",
    ),
    passes(
        rules.overlay_trend, against(overlay_rule="weighted_average"), "no trend has an average"
    ),
    # confidence 0.5 of a move of 1 % is 50 bps; 2 x 20 bps of slippage leave 10
    passes(
        rules.expected_edge,
        limited(
            an_entry(confidence=0.5),
            market={"expected_move": 0.0102, "spread_bps": None},
            slippage="0.002",
            **EDGE,
        ),
        "worth it",
    ),
    objects(
        rules.expected_edge,
        limited(
            an_entry(confidence=0.5),
            market={"expected_move": 0.0098, "spread_bps": None},
            slippage="0.002",
            **EDGE,
        ),
        "not worth it",
    ),
    objects(rules.expected_edge, limited(market={"expected_move": -0.5}, **EDGE), "the wrong way"),
    passes(
        rules.expected_edge, limited(short(), market={"expected_move": -0.5}, **EDGE), "down, short"
    ),
    objects(rules.expected_edge, limited(**EDGE), "unknown"),
    objects(
        rules.expected_edge, limited(market={"expected_move": float("nan")}, **EDGE), "no number"
    ),
    passes(rules.expected_edge, limited(), "off"),
    passes(
        rules.positions_per_symbol,
        limited(case={"account": an_account("1000", worth("9", symbol=BTC))}),
        "two",
    ),
    objects(
        rules.positions_per_symbol,
        limited(
            case={
                "account": an_account("1000", worth("9", symbol=BTC), in_flight=(in_flight("1"),))
            }
        ),
        "three, one in flight",
    ),
    passes(
        rules.positions_per_symbol,
        limited(case={"account": an_account(in_flight=(in_flight("-1", reduce_only=True),) * 3)}),
        "exits in flight",
    ),
    # 2 x (0.26 % + 0.24 %) of 100 is 1, half of the distance of 2
    passes(
        rules.round_trip_cost,
        limited(market={"spread_bps": 0.0}, slippage="0.0024", max_cost_to_risk="0.5"),
        "at the limit",
    ),
    objects(
        rules.round_trip_cost,
        limited(market={"spread_bps": 0.1}, slippage="0.0024", max_cost_to_risk="0.5"),
        "past it by the spread",
    ),
    objects(
        rules.round_trip_cost,
        limited(an_entry(stop="99.5"), max_cost_to_risk="1"),
        "a stop of half a percent, inside the costs",
    ),
    objects(rules.round_trip_cost, limited(an_entry(stop=None), max_cost_to_risk="1"), "no stop"),
    passes(rules.round_trip_cost, limited(an_entry(stop="99.9")), "off"),
    passes(
        rules.liquidation_distance,
        limited(market={"liquidation_price": price("97.99")}, min_liquidation_distance="0.0201"),
        "at the limit",
    ),
    objects(
        rules.liquidation_distance,
        limited(market={"liquidation_price": price("98")}, min_liquidation_distance="0.02"),
        "no later than the stop",
    ),
    objects(
        rules.liquidation_distance,
        limited(market={"liquidation_price": price("97")}, min_liquidation_distance="0.0301"),
        "too near",
    ),
    passes(
        rules.liquidation_distance,
        limited(
            short(), market={"liquidation_price": price("103")}, min_liquidation_distance="0.03"
        ),
        "a short's",
    ),
    objects(
        rules.liquidation_distance,
        limited(market={"liquidation_price": price("103")}, min_liquidation_distance="0.03"),
        "on the wrong side",
    ),
    objects(rules.liquidation_distance, limited(min_liquidation_distance="0.02"), "unknown"),
    passes(rules.liquidation_distance, limited(), "off"),
    # p 0.6 at 2 to 1 is a bet of 0.4; a quarter of it is 0.1 of 1000 over a distance of 2: 50
    passes(
        rules.kelly,
        limited(an_entry(target="104"), sized="50", market={"win_probability": 0.6}, **BET),
        "at the limit",
    ),
    objects(
        rules.kelly,
        limited(an_entry(target="104"), sized="50.0001", market={"win_probability": 0.6}, **BET),
        "past it",
    ),
    objects(
        rules.kelly,
        limited(an_entry(target="104"), market={"win_probability": 0.3}, **BET),
        "nothing to be won",
    ),
    objects(rules.kelly, limited(market={"win_probability": 0.6}, **BET), "no target"),
    objects(rules.kelly, limited(an_entry(target="104"), **BET), "not calibrated"),
    objects(
        rules.kelly,
        limited(an_entry(target="104"), market={"win_probability": 1.1}, **BET),
        "no probability",
    ),
    objects(
        rules.kelly,
        limited(an_entry(target="99"), market={"win_probability": 0.9}, **BET),
        "a target on the losing side",
    ),
    passes(rules.kelly, limited(), "off"),
    passes(rules.correlated_exposure, correlated(worth("300")), "at the limit"),
    objects(rules.correlated_exposure, correlated(worth("300.01")), "past it"),
    passes(rules.correlated_exposure, correlated(worth("900", held="-1")), "the other side"),
    passes(
        rules.correlated_exposure, correlated(worth("900"), intent=short(), sized="-1"), "a hedge"
    ),
    objects(
        rules.correlated_exposure,
        correlated(worth("300.01", held="-1"), intent=short(), sized="-1"),
        "short with a short",
    ),
    objects(
        rules.correlated_exposure,
        correlated(worth("300.01", symbol=ETH, held="-1")),
        "long with a short of what moves against it",
    ),
    passes(rules.correlated_exposure, correlated(worth("900", symbol=ETH)), "moving against it"),
    passes(
        rules.correlated_exposure,
        correlated(worth("300.01"), min_correlation="0.76"),
        "too loosely tied",
    ),
    passes(
        rules.correlated_exposure,
        correlated(worth("300"), min_correlation="0.75"),
        "as tied as it counts",
    ),
    objects(
        rules.correlated_exposure,
        correlated(worth("200"), pending=(in_flight("1", symbol=XRP_BTC, notional="100.01"),)),
        "with what is in flight",
    ),
    passes(
        rules.correlated_exposure,
        correlated(pending=(in_flight("1", symbol=XRP, notional="900", reduce_only=True),)),
        "an exit in flight",
    ),
    passes(rules.margin_use, limited(sized="15", max_margin_use="0.5", margin_leverage=3), "at it"),
    objects(
        rules.margin_use,
        limited(sized="15.0001", max_margin_use="0.5", margin_leverage=3),
        "past it",
    ),
    objects(
        rules.margin_use,
        limited(
            sized="5.0001",
            market={"instrument": replace(INSTRUMENT, max_leverage=Decimal(1))},
            max_margin_use="0.5",
            margin_leverage=3,
        ),
        "bought in full",
    ),
    objects(
        rules.margin_use,
        limited(
            case={"account": an_account("1000", worth("1401"))},
            max_margin_use="0.5",
            margin_leverage=3,
        ),
        "with what is held",
    ),
    objects(rules.margin_use, limited(market={"rate": None}), "rate unknown"),
    # 2 sigmas of 1 % of 100 are 2 a unit; 2 % of 1000 are 20
    passes(
        rules.value_at_risk,
        limited(
            sized="10",
            market={"bar_volatility": 0.01},
            max_value_at_risk="0.02",
            value_at_risk_sigmas=2.0,
        ),
        "at the limit",
    ),
    objects(
        rules.value_at_risk,
        limited(
            sized="10.0001",
            market={"bar_volatility": 0.01},
            max_value_at_risk="0.02",
            value_at_risk_sigmas=2.0,
        ),
        "past it",
    ),
    objects(rules.value_at_risk, limited(max_value_at_risk="0.02"), "unknown"),
    passes(rules.value_at_risk, limited(), "off"),
    passes(
        rules.adv_cap,
        limited(sized="2", market={"adv": quantity("100")}, max_adv_share="0.02"),
        "at it",
    ),
    objects(
        rules.adv_cap,
        limited(sized="2.0001", market={"adv": quantity("100")}, max_adv_share="0.02"),
        "past it",
    ),
    objects(rules.adv_cap, limited(max_adv_share="0.02"), "unknown"),
    passes(rules.adv_cap, limited(), "off"),
    passes(
        rules.depth_share,
        limited(sized="-1", market={"depth": quantity("10")}, max_depth_share="0.1"),
        "at it",
    ),
    objects(
        rules.depth_share,
        limited(sized="-1.0001", market={"depth": quantity("10")}, max_depth_share="0.1"),
        "past it",
    ),
    objects(rules.depth_share, limited(max_depth_share="0.1"), "unknown"),
    passes(rules.depth_share, limited(), "off"),
    passes(rules.referral, limited(sized="1.5", refer_above="0.15"), "not large"),
    objects(rules.referral, limited(sized="1.5001", refer_above="0.15"), "large"),
    passes(rules.referral, limited(an_entry(confidence=0.62), refer_below=0.62), "sure enough"),
    objects(rules.referral, limited(an_entry(confidence=0.6199), refer_below=0.62), "not sure"),
    objects(rules.referral, limited(market={"price": None}, refer_above="0.15"), "price unknown"),
    passes(rules.referral, limited(sized="100"), "off"),
    passes(rules.referral, consented("1.6"), "consented to"),
    objects(rules.referral, consented("1.5"), "consented to less"),
    objects(rules.referral, consented("-1.6"), "consented to the other way"),
    objects(rules.referral, consented("1.6", expires=timedelta(0)), "consented to too long ago"),
    objects(rules.referral, consented("1.6", intent_id="another"), "another's consent"),
    passes(
        rules.leverage, limited(an_entry(confidence=0.65), sized="30", **LEVERAGE), "3x of its tier"
    ),
    objects(
        rules.leverage, limited(an_entry(confidence=0.65), sized="30.0001", **LEVERAGE), "past it"
    ),
    objects(
        rules.leverage,
        limited(an_entry(confidence=0.1), sized="20.0001", **LEVERAGE),
        "below all tiers, past the lowest's",
    ),
    passes(
        rules.leverage,
        limited(sized="47.5", case={"account": an_account("950.01")}, **LEVERAGE),
        "just short of the first step of a drawdown",
    ),
    objects(
        rules.leverage,
        limited(sized="28.5001", case={"account": an_account("950")}, **LEVERAGE),
        "past 3x at the first step of a drawdown",
    ),
    objects(
        rules.leverage,
        limited(sized="20.0001", case={"state": replace(STATE, loss_streak=3)}, **LEVERAGE),
        "past 2x after three losses",
    ),
    objects(
        rules.leverage,
        limited(sized="10.0001", case={"state": replace(STATE, loss_streak=5)}, **LEVERAGE),
        "past 1x after five losses",
    ),
]
"""Rule, case, whether it objects."""
