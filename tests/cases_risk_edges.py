"""Cases of rules where two readings part: at zero, at one, without end, and two of a kind."""

from datetime import time

from data.instrument import Symbol
from risk import rules
from tests.builders_risk import (
    XRP,
    a_case,
    a_position,
    a_state,
    an_account,
    an_entry,
    in_flight,
    price,
)
from tests.cases_risk_book import (
    BET,
    EDGE,
    MICRO,
    against,
    at,
    correlated,
    limited,
    objects,
    overlays,
    passes,
    worth,
)

INF = float("inf")
EVEN = {"min_net_edge_bps": 2500.0, "taker_fee": "0"}
WILD = {"market": {"realised_volatility": 2.0}, "dynamic_floor_volatility": 1.0}
MAJORITY = {"overlay_rule": "majority_vote"}
ETH = Symbol("ETH/USDT")

FORM = [
    passes(
        rules.open_positions,
        limited(case={"account": an_account("1000", a_position("1"))}, max_open_positions=1),
        "one symbol is counted once",
    ),
    passes(rules.positions_per_symbol, limited(max_positions_per_symbol=1), "the first and only"),
    passes(
        rules.restricted_hours,
        limited(restricted_hours=[{"start": "12:00", "end": "12:00"}]),
        "no time at all",
    ),
    objects(
        rules.restricted_hours,
        limited(restricted_hours=[{"start": "12:00", "end": "13:00"}]),
        "from their start, within a day",
    ),
    passes(
        rules.restricted_hours,
        limited(case=at(time(13)), restricted_hours=[{"start": "12:00", "end": "13:00"}]),
        "at their end, within a day",
    ),
    passes(
        rules.day_drawdown_limit, limited(case={"state": a_state(day_peak=None)}), "off, no peak"
    ),
    passes(rules.spread, limited(market={"spread_bps": 0.0}), "none at all"),
    passes(rules.spread, limited(market={"spread_bps": 0.5}), "half a basis point"),
]
SIGNAL = [
    objects(rules.low_conf_veto, limited(no_trade_below=1), "nothing but certainty"),
    passes(rules.low_conf_veto, limited(an_entry(confidence=1.0), no_trade_below=1), "certain"),
    objects(
        rules.low_conf_veto, limited(an_entry(confidence=1.5), no_trade_below=0.5), "no probability"
    ),
    objects(rules.dynamic_floor, limited(dynamic_floor=1, **WILD), "nothing but certainty"),
    passes(
        rules.dynamic_floor, limited(an_entry(confidence=1.0), dynamic_floor=1, **WILD), "certain"
    ),
    objects(
        rules.dynamic_floor,
        limited(an_entry(confidence=1.5), dynamic_floor=0.5, **WILD),
        "no probability",
    ),
    passes(
        rules.dynamic_floor,
        limited(
            an_entry(confidence=0.6),
            market={"realised_volatility": 0.0},
            dynamic_floor=0.65,
            dynamic_floor_volatility=1.0,
        ),
        "no volatility at all",
    ),
    # half of a move by half is 2500 bps, exactly, in floats too
    passes(
        rules.expected_edge,
        limited(
            an_entry(confidence=0.5), market={"expected_move": 0.5, "spread_bps": None}, **EVEN
        ),
        "at the limit",
    ),
    objects(
        rules.expected_edge,
        limited(an_entry(confidence=INF), market={"expected_move": 0.5}, **EDGE),
        "a confidence without end",
    ),
    objects(rules.overlay_trend, against(-0.01, 0.002, **MAJORITY), "at the threshold none agrees"),
    objects(rules.overlay_trend, against(-0.01, INF, **MAJORITY), "without end none agrees"),
    passes(rules.overlay_trend, against(-0.01, -0.01, 0.01, 0.01, **MAJORITY), "two against two"),
    objects(
        rules.overlay_trend,
        against(*overlays(0.0, age=-MICRO), *overlays(-0.01)),
        "one from the future, then one against",
    ),
]
SIZES = [
    objects(
        rules.liquidation_distance,
        limited(
            an_entry(stop=None),
            market={"liquidation_price": price("80")},
            min_liquidation_distance="0.02",
        ),
        "no stop",
    ),
    passes(
        rules.kelly,
        limited(an_entry(target="104"), market={"win_probability": 1.0}, **BET),
        "a certain win",
    ),
    objects(
        rules.kelly,
        limited(an_entry(target="104"), market={"win_probability": 0.9, "rate": None}, **BET),
        "rate unknown",
    ),
    passes(
        rules.kelly,
        limited(an_entry(target="100.5"), market={"win_probability": 0.99}, **BET),
        "a small reward, and often",
    ),
    objects(rules.leverage, limited(sized="20.0001", max_leverage=2), "past the account's own"),
    objects(
        rules.correlated_exposure,
        correlated(
            worth("200"),
            a_position("1", symbol=Symbol("XRP/BTC"), notional="150"),
        ),
        "two that move along",
    ),
    passes(
        rules.correlated_exposure,
        correlated(pending=(in_flight("1", symbol=Symbol("SOL/USDT"), notional="900"),)),
        "one in flight that is tied to nothing",
    ),
    objects(
        rules.correlated_exposure,
        correlated(
            pending=(
                in_flight("1", symbol=XRP, notional="200"),
                in_flight("-1", symbol=ETH, notional="150"),
            )
        ),
        "two in flight",
    ),
    objects(
        rules.total_exposure,
        a_case(
            account=an_account(
                "1000",
                worth("400"),
                a_position("1", symbol=ETH, notional="400"),
                in_flight=(
                    in_flight("1", symbol=XRP, notional="1"),
                    in_flight("1", symbol=ETH, notional="1"),
                ),
            )
        ),
        "all that is held, and all that is in flight",
    ),
    objects(
        rules.one_entry,
        a_case(account=an_account(in_flight=(in_flight("0.5"), in_flight("-0.2")))),
        "more bought than sold in flight",
    ),
]
CASES = [*FORM, *SIGNAL, *SIZES]
"""Rule, case, whether it objects."""
