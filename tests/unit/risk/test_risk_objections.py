"""What every rule says when it objects: what it saw, what it allows, in which unit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Notional, Quantity, Symbol
from risk import rules
from risk.breaker import Halt, ModelFailed, OrderPlaced, next_state
from risk.intent import Purpose
from risk.objection import Adjustable, Objection, Referable, TooLarge
from tests.builders_risk import (
    BTC,
    INSTRUMENT,
    LIMITS,
    NOW,
    XRP,
    a_case,
    a_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    an_exit,
    in_flight,
    limits_with,
    price,
)
from tests.cases_risk_book import BET, EDGE, NIGHT, against, correlated, limited, short, worth
from tests.cases_risk_exchange import an_exchange, exchanged, sold

BLIND = a_market(price=None, priced_at=None, rate=None)
EMPTY = an_account(None)
ORDERED = next_state(a_state(), OrderPlaced(symbol=BTC, at=NOW), LIMITS)
HALTED = next_state(a_state(), Halt(by="Ada", why="a look", at=NOW), LIMITS)
ETH = Symbol("ETH/USDT")
EURO = replace(an_account("1000"), currency="EUR")


def objects(rule, case, observed, limit, unit, name="", kind=Objection):
    """A case, and the objection that is expected of it."""
    objection = Objection(rule=rule.__name__, observed=observed, limit=limit, unit=unit)
    expected = objection if kind is Objection else kind(objection)
    return pytest.param(rule, case, expected, id=f"{rule.__name__}: {name}".removesuffix(": "))


def unknown(rule, case, unit, name="unknown"):
    return objects(rule, case, "unknown", "known", unit, name)


def bet(target, chance):
    return limited(an_entry(target=target), market={"win_probability": chance}, **BET)


def adjustable(objection):
    return Adjustable(objection=objection)


def referable(objection):
    return Referable(objection=objection)


def at_most(largest):
    return lambda objection: TooLarge(objection=objection, largest=Quantity(Decimal(largest)))


def paused():
    state = a_state()
    for _ in range(3):
        state = next_state(state, ModelFailed(strategy_id="a-desk", at=NOW), LIMITS)
    return state


def held(notional, **changes):
    account = an_account("1000", a_position("1", symbol=XRP, notional=notional))
    return a_case(account=replace(account, currency="EUR"), **changes)


FORM = [
    objects(rules.instrument, a_case(an_entry(symbol=XRP)), BTC, XRP, "symbol"),
    objects(rules.order_prices, a_case(an_entry(stop="-1")), "-1", "> 0", "quote"),
    objects(rules.wished_quantity, a_case(an_entry("-2")), "-2", "> 0", "base", "long"),
    objects(rules.wished_quantity, a_case(short(wish="2")), "2", "< 0", "base", "short"),
    objects(rules.wished_quantity, a_case(an_exit("NaN")), "NaN", "finite", "base", "exit"),
    objects(
        rules.allowed_symbol, a_case(an_entry(symbol=ETH)), ETH, "BTC/USDT, XRP/USDT", "symbol"
    ),
    objects(
        rules.entry_purpose, a_case(an_entry(purpose=Purpose.EXIT)), "exit", "entry", "purpose"
    ),
    objects(rules.reconciled, a_case(account=an_account(reconciled=False)), "false", "true", ""),
    objects(rules.equity, a_case(account=an_account("-3")), "-3", "> 0", "USDT"),
    objects(rules.equity, a_case(account=EMPTY), "unknown", "> 0", "USDT", "unknown"),
    objects(
        rules.shortable,
        limited(short(), market={"instrument": replace(INSTRUMENT, max_leverage=Decimal(1))}),
        "short",
        "long",
        "direction",
    ),
    objects(
        rules.one_entry,
        a_case(account=an_account("1000", a_position("0.5"), in_flight=(in_flight("0.25"),))),
        "0.5 held, 0.25 in flight",
        "0",
        "BTC",
    ),
    objects(
        rules.opposite_position,
        a_case(account=an_account("1000", a_position("-0.5"))),
        "-0.5 held, 0 in flight",
        "0",
        "BTC",
    ),
    objects(
        rules.open_positions,
        a_case(account=an_account("1000", worth("9")), limits=limits_with(max_open_positions=1)),
        "2",
        "1",
        "symbols",
    ),
    objects(
        rules.positions_per_symbol,
        a_case(
            account=an_account("1000", in_flight=(in_flight("1"),)),
            limits=limits_with(max_positions_per_symbol=1),
        ),
        "2",
        "1",
        "positions",
    ),
    objects(
        rules.reduces_position,
        a_case(an_exit(), sized="1", account=an_account("1000", a_position("2"))),
        "1",
        "against 2",
        "base",
    ),
    objects(
        rules.never_flips,
        a_case(an_exit(), sized="3", account=an_account("1000", a_position("-2"))),
        "3",
        "2",
        "base",
        kind=at_most("2"),
    ),
    objects(
        rules.protection_trigger,
        a_case(an_exit(purpose=Purpose.PROTECTION)),
        "none",
        "a trigger",
        "quote",
    ),
]
LOSSES = [
    objects(
        rules.trading_state,
        a_case(state=HALTED),
        "halted (halted by Ada: a look)",
        "active",
        "",
    ),
    objects(rules.daily_loss_limit, a_case(account=an_account("940")), "0.06", "< 0.05", "share"),
    unknown(rules.daily_loss_limit, a_case(account=EMPTY), "share"),
    objects(rules.weekly_loss_limit, a_case(account=an_account("880")), "0.12", "< 0.1", "share"),
    objects(rules.monthly_loss_limit, a_case(account=an_account("840")), "0.16", "< 0.15", "share"),
    objects(
        rules.drawdown_limit,
        a_case(state=a_state(peak_equity=Notional(Decimal(2000)))),
        "0.5",
        "< 0.2",
        "share",
    ),
    objects(
        rules.day_drawdown_limit,
        limited(case={"account": an_account("800")}, max_day_drawdown="0.1"),
        "0.2",
        "< 0.1",
        "share",
    ),
    objects(
        rules.cool_down,
        a_case(state=ORDERED),
        "2025-03-05T12:00:00+00:00",
        ">= 2025-03-05T12:05:00+00:00",
        "time",
    ),
    objects(
        rules.model_failures,
        a_case(state=paused()),
        "2025-03-05T12:00:00+00:00",
        ">= 2025-03-05T12:05:00+00:00",
        "time",
    ),
    objects(
        rules.restricted_hours,
        limited(case={"now": NOW.replace(hour=23, second=7)}, **NIGHT),
        "23:00:07",
        "not 22:00 to 02:00",
        "UTC",
    ),
]
MARKET = [
    unknown(rules.fresh_price, a_case(market=BLIND), "quote"),
    objects(
        rules.fresh_price,
        limited(market={"priced_at": NOW - timedelta(seconds=90.5)}),
        "90.5",
        "60",
        "s",
    ),
    unknown(rules.fresh_book, limited(max_book_age="PT1M"), "s"),
    unknown(rules.conversion_rate, a_case(market=BLIND, account=EURO), "EUR"),
    objects(rules.spread, limited(market={"spread_bps": 12.5}), "12.5", "10.0", "bps"),
    objects(rules.spread, limited(market={"spread_bps": None}), "unknown", "10.0", "bps", "none"),
    objects(
        rules.depth,
        limited(market={"depth": Decimal(9)}, min_depth="1000", case={"account": EURO}),
        "900",
        ">= 1000",
        "EUR",
    ),
    unknown(rules.depth, limited(min_depth="1000", case={"account": EURO}), "EUR"),
    objects(rules.volatility, a_case(an_entry(alpha=1.5)), "1.5", "0 to 1", "alpha"),
    unknown(rules.volatility, limited(volatility_target=0.2), "a year"),
]
SIGNAL = [
    objects(rules.confidence, a_case(an_entry(confidence=0.5)), "0.5", "0.6 to 1", "probability"),
    objects(
        rules.low_conf_veto,
        limited(an_entry(confidence=0.5), no_trade_below=0.55),
        "0.5",
        "0.55 to 1",
        "probability",
    ),
    objects(
        rules.dynamic_floor,
        limited(
            an_entry(confidence=0.5),
            market={"realised_volatility": 2.0},
            dynamic_floor=0.65,
            dynamic_floor_volatility=1.0,
        ),
        "0.5",
        "0.65 to 1",
        "probability",
    ),
    unknown(
        rules.dynamic_floor,
        limited(dynamic_floor=0.65, dynamic_floor_volatility=1.0),
        "probability",
    ),
    objects(
        rules.trend, limited(short(), trend_gate=True), "short in trending_bull", "with it", ""
    ),
    objects(
        rules.overlay_trend,
        against(-0.01, -0.02),
        "1h_downtrend, 1h_downtrend",
        "within 0.002",
        "share",
    ),
    objects(
        rules.overlay_trend,
        against(-0.002, 0.001, -0.02),
        "1h_downtrend",
        "within 0.002",
        "share",
        "those beyond the threshold alone",
    ),
    objects(
        rules.overlay_trend,
        against(0.01, intent=short()),
        "1h_uptrend",
        "within 0.002",
        "share",
        "short",
    ),
    objects(
        rules.expected_edge,
        limited(
            an_entry(confidence=0.5), market={"expected_move": 0.001, "spread_bps": None}, **EDGE
        ),
        "5",
        ">= 10",
        "bps",
    ),
    unknown(rules.expected_edge, limited(**EDGE), "bps"),
]
STOPS = [
    objects(rules.stop_loss, a_case(an_entry(stop=None)), "none", "a stop", "quote", "none"),
    objects(rules.stop_loss, a_case(an_entry(stop="101")), "101", "below 100", "quote", "long"),
    objects(rules.stop_loss, a_case(short(stop="99")), "99", "above 100", "quote", "short"),
    objects(rules.stop_loss, a_case(market=BLIND), "98", "known price", "quote", "no price"),
    objects(
        rules.stop_distance,
        limited(an_entry(stop="196"), market={"price": Decimal(200)}, max_stop_distance="0.015"),
        "0.02",
        "0.005 to 0.015",
        "share",
        kind=adjustable,
    ),
    unknown(rules.stop_distance, a_case(an_entry(stop=None)), "share"),
    objects(
        rules.stop_atr,
        limited(market={"atr": 1.6}),
        "1.25",
        ">= 1.5",
        "atr",
        kind=adjustable,
    ),
    unknown(rules.stop_atr, limited(market={"atr": None}), "atr"),
    unknown(rules.stop_atr, limited(market={"atr": float("inf")}), "atr", "without end"),
    objects(
        rules.reward_risk,
        limited(an_entry(target="102.5"), taker_fee="0"),
        "1.25",
        ">= 1.5",
        "ratio",
        kind=adjustable,
    ),
    unknown(rules.reward_risk, a_case(an_entry(stop=None, target="110")), "ratio"),
    objects(
        rules.round_trip_cost,
        limited(market={"spread_bps": 0.0}, slippage="0.0024", max_cost_to_risk="0.25"),
        "0.5",
        "<= 0.25",
        "of risk",
        kind=adjustable,
    ),
    unknown(rules.round_trip_cost, limited(an_entry(stop=None), max_cost_to_risk="1"), "share"),
    objects(
        rules.liquidation_distance,
        limited(market={"liquidation_price": price("99")}, min_liquidation_distance="0.05"),
        "0.01",
        ">= 0.05, > 0.02",
        "share",
    ),
    unknown(rules.liquidation_distance, limited(min_liquidation_distance="0.05"), "share"),
]
SIZES = [
    objects(
        rules.risk_per_trade,
        a_case(sized="12", account=EURO, market=a_market(rate=Decimal("1.25"))),
        "30",
        "20",
        "EUR",
        kind=at_most("8"),
    ),
    unknown(rules.risk_per_trade, a_case(an_entry(stop=None), account=EURO), "EUR"),
    # p 0.6 at 2 to 1 is a bet of 0.4; a quarter of it is 100, over 2 x 1.25 a unit
    objects(
        rules.kelly,
        limited(
            an_entry(target="104"),
            sized="60",
            market={"win_probability": 0.6, "rate": Decimal("1.25")},
            case={"account": EURO},
            **BET,
        ),
        "150",
        "100",
        "EUR",
        kind=at_most("40"),
    ),
    objects(
        rules.kelly,
        bet("104", 0.2),
        "-0.05",
        "> 0",
        "share",
        "a losing bet",
    ),
    objects(rules.kelly, bet("104", 0.0), "-0.125", "> 0", "share", "a certain loss"),
    objects(rules.kelly, bet("102", 0.5), "0", "> 0", "share", "a fair bet"),
    objects(rules.kelly, bet("100", 0.9), "0", "> 0", "share", "nothing to be won"),
    unknown(rules.kelly, bet("104", None), "share"),
    objects(rules.position_size, a_case(sized="3"), "300", "200", "USDT", kind=at_most("2")),
    unknown(rules.position_size, a_case(market=BLIND, account=EURO), "EUR"),
    objects(rules.total_exposure, held("750", sized="1"), "850", "800", "EUR", kind=at_most("0.5")),
    objects(
        rules.total_exposure, held("900", sized="1"), "1000", "800", "EUR", "full", at_most("0")
    ),
    unknown(rules.total_exposure, held("750", market=BLIND), "EUR"),
    objects(rules.leverage, held("4950", sized="1"), "5050", "5000", "EUR", kind=at_most("0.5")),
    unknown(rules.leverage, a_case(market=BLIND, account=EURO), "EUR"),
    # 3000 held at 3 binds 1000, as does an order of 30
    objects(
        rules.margin_use,
        limited(
            sized="30",
            case={"account": an_account("2000", worth("3000"))},
            max_margin_use="0.75",
            margin_leverage=3,
        ),
        "2000",
        "1500",
        "USDT",
        kind=at_most("15"),
    ),
    unknown(rules.margin_use, a_case(market=BLIND, account=EURO), "EUR"),
    objects(
        rules.correlated_exposure,
        correlated(worth("350")),
        "450",
        "400",
        "USDT",
        kind=at_most("0.5"),
    ),
    unknown(rules.correlated_exposure, a_case(market=BLIND, account=EURO), "EUR"),
    objects(
        rules.value_at_risk,
        limited(
            sized="15",
            market={"bar_volatility": 0.01},
            max_value_at_risk="0.02",
            value_at_risk_sigmas=2.0,
        ),
        "30",
        "20",
        "USDT",
        kind=at_most("10"),
    ),
    unknown(rules.value_at_risk, limited(max_value_at_risk="0.02", case={"account": EURO}), "EUR"),
    objects(
        rules.adv_cap,
        limited(sized="-3", market={"adv": Decimal(100)}, max_adv_share="0.02"),
        "3",
        "2",
        "base",
        kind=at_most("2"),
    ),
    unknown(rules.adv_cap, limited(max_adv_share="0.02"), "base"),
    objects(
        rules.depth_share,
        limited(sized="3", market={"depth": Decimal(10)}, max_depth_share="0.1"),
        "3",
        "1",
        "base",
        kind=at_most("1"),
    ),
    objects(
        rules.minimum_order,
        a_case(sized="-0.04"),
        "0.04, worth 4",
        "0.0001, worth 5",
        "base, quote",
    ),
    unknown(rules.minimum_order, a_case(market=BLIND), "quote"),
    objects(
        rules.referral,
        limited(sized="2", refer_above="0.15", case={"account": EURO}),
        "200",
        "<= 150 or consent",
        "EUR",
        "large",
        referable,
    ),
    objects(
        rules.referral,
        limited(an_entry(confidence=0.5), refer_below=0.62),
        "0.5",
        ">= 0.62 or consent",
        "probability",
        "unsure",
        referable,
    ),
    unknown(rules.referral, limited(market={"price": None}, refer_above="0.15"), "share"),
    unknown(
        rules.referral,
        limited(an_entry(confidence=float("inf")), refer_below=0.62),
        "share",
        "a confidence without end",
    ),
    unknown(
        rules.referral,
        limited(an_entry(confidence=float("-inf")), refer_below=0.62),
        "share",
        "a confidence without beginning",
    ),
]
EXCHANGES = [
    objects(
        rules.exchange_form,
        exchanged(an_exchange(limit=None)),
        "no quantity or no limit",
        "a quantity and a limit",
        "form",
    ),
    *(
        objects(rules.exchange_form, exchanged(intent), fault, "a quantity and a limit", "form")
        for intent, fault in (
            (an_exchange(trigger=price("99")), "a stop, a target or a trigger"),
            (an_exchange(reduce_only=True), "a reduction"),
            (sold("1", purpose=Purpose.HODL), "a sale from a bag"),
        )
    ),
    objects(
        rules.exchange_funds,
        exchanged(limit_price="100", fee="0.01", sized="2", account=an_account()),
        "202",
        "0",
        "USDT",
        kind=lambda objection: TooLarge(objection=objection, largest=Quantity(Decimal(0))),
    ),
    objects(
        rules.exchange_funds,
        exchanged(sold("1.5"), sized="-1.5"),
        "1.5",
        "1",
        "BTC",
        kind=lambda objection: TooLarge(objection=objection, largest=Quantity(Decimal(1))),
    ),
    unknown(rules.exchange_funds, exchanged(market=BLIND), "given"),
    objects(
        rules.exchange_target,
        exchanged(sized="4"),
        "500",
        "450",
        "USDT",
        kind=lambda objection: TooLarge(objection=objection, largest=Quantity(Decimal("3.5"))),
    ),
    unknown(rules.exchange_target, exchanged(market=BLIND), "USDT"),
    objects(
        rules.exchange_size,
        exchanged(sized="10.1"),
        "1010",
        "1000",
        "USDT",
        kind=lambda objection: TooLarge(objection=objection, largest=Quantity(Decimal(10))),
    ),
    unknown(rules.exchange_size, exchanged(market=BLIND), "USDT"),
    objects(rules.exchange_limit, exchanged(limit_price="101"), "101", "100.5", "quote"),
    unknown(rules.exchange_limit, exchanged(market=BLIND), "quote"),
    objects(rules.exchange_cost, exchanged(max_cost="0.0026"), "0.0027", "0.0026", "share"),
]
SPOKEN = [*FORM, *LOSSES, *MARKET, *SIGNAL, *STOPS, *SIZES, *EXCHANGES]


@pytest.mark.req("S0-19", "S1-96")
@pytest.mark.parametrize(("rule", "case", "expected"), SPOKEN)
def test_what_an_objection_says(rule, case, expected):
    assert rule(case) == expected


def test_every_rule_is_shown_to_say_something():
    assert {param.values[0] for param in SPOKEN} == set(rules.RULES)
