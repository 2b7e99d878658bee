"""Every rule alone, at exactly its limit and just past it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from data.instrument import Price, Symbol
from data.regime import Regime
from risk import rules
from risk.breaker import Halt, Marked, OrderPlaced, next_state
from risk.intent import Direction, Purpose
from risk.objection import objection_of
from tests import cases_risk_book, cases_risk_edges, cases_risk_exchange
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

NAN, INF = Decimal("NaN"), Decimal("Infinity")
SPOT = replace(INSTRUMENT, max_leverage=Decimal(1))
SECOND, MICRO = timedelta(seconds=1), timedelta(microseconds=1)


def short(**changes):
    return an_entry(**({"stop": "102"} | changes), direction=Direction.SHORT)


def entry(**changes):
    return a_case(an_entry(**changes))


def with_market(intent=None, **changes):
    return a_case(intent, market=a_market(**changes))


def with_account(*args, intent=None, sized="1", **changes):
    return a_case(intent, sized=sized, account=an_account(*args, **changes))


def with_state(state):
    return a_case(state=state)


def lost(share, **changes):
    return a_case(account=an_account(str(1000 - 1000 * Decimal(share))), **changes)


def passes(rule, case, name):
    return pytest.param(rule, case, False, id=f"{rule.__name__}: {name}")


def objects(rule, case, name):
    return pytest.param(rule, case, True, id=f"{rule.__name__}: {name}")


S0_22 = pytest.mark.req("S0-22")

CASES = [
    passes(rules.instrument, a_case(), "the market of the symbol"),
    objects(rules.instrument, entry(symbol=XRP), "another's market"),
    passes(rules.order_prices, entry(target="110", limit=price("99")), "prices"),
    objects(rules.order_prices, entry(stop="NaN"), "a stop that is no number"),
    objects(rules.order_prices, entry(target="-1"), "a target below zero"),
    objects(rules.order_prices, entry(trigger=price("0")), "a trigger of zero"),
    objects(rules.order_prices, entry(limit=price("Infinity")), "a limit without end"),
    passes(rules.wished_quantity, entry(wish="1"), "long"),
    passes(rules.wished_quantity, entry(), "as much as the rules give"),
    passes(rules.wished_quantity, a_case(short(wish="-1")), "short"),
    objects(rules.wished_quantity, entry(wish="-1"), "long, yet to be sold"),
    objects(rules.wished_quantity, a_case(short(wish="1")), "short, yet to be bought"),
    objects(rules.wished_quantity, entry(wish="0"), "nothing"),
    objects(rules.wished_quantity, entry(wish="NaN"), "not a number"),
    objects(rules.wished_quantity, entry(wish="-Infinity"), "without end"),
    passes(rules.wished_quantity, a_case(an_exit("3")), "a reduction of either sign"),
    objects(rules.wished_quantity, a_case(an_exit("NaN")), "a reduction that is no number"),
    passes(rules.allowed_symbol, a_case(), "listed"),
    objects(rules.allowed_symbol, entry(symbol=Symbol("DOGE/USDT")), "not listed"),
    passes(rules.entry_purpose, a_case(), "an entry"),
    objects(rules.entry_purpose, entry(purpose=Purpose.EXIT), "an exit that could open"),
    passes(rules.trading_state, a_case(), "active"),
    objects(
        rules.trading_state,
        with_state(next_state(a_state(), Halt(by="a", why="b", at=NOW), LIMITS)),
        "halted",
    ),
    objects(
        rules.trading_state,
        with_state(next_state(a_state(), Marked(equity=Decimal(950), at=NOW), LIMITS)),
        "reducing",
    ),
    objects(
        rules.trading_state,
        with_state(next_state(a_state(), Marked(equity=None, at=NOW), LIMITS)),
        "equity unknown",
    ),
    passes(rules.daily_loss_limit, lost("0.04999"), "inside"),
    objects(rules.daily_loss_limit, lost("0.05"), "at the limit"),
    objects(rules.daily_loss_limit, with_account(None), "unknown"),
    passes(rules.weekly_loss_limit, lost("0.09999"), "inside"),
    objects(rules.weekly_loss_limit, lost("0.1"), "at the limit"),
    objects(rules.weekly_loss_limit, with_account("NaN"), "not a number"),
    passes(rules.drawdown_limit, lost("0.19999"), "inside"),
    objects(rules.drawdown_limit, lost("0.2"), "at the limit"),
    objects(rules.drawdown_limit, with_state(a_state(peak_equity=None)), "no peak known"),
    objects(
        rules.cool_down,
        a_case(
            state=next_state(a_state(), OrderPlaced(symbol=BTC, at=NOW), LIMITS),
            now=NOW + timedelta(minutes=5) - MICRO,
        ),
        "not quite over",
    ),
    passes(
        rules.cool_down,
        a_case(
            state=next_state(a_state(), OrderPlaced(symbol=BTC, at=NOW), LIMITS),
            now=NOW + timedelta(minutes=5),
        ),
        "over",
    ),
    passes(
        rules.cool_down,
        with_state(next_state(a_state(), OrderPlaced(symbol=XRP, at=NOW), LIMITS)),
        "another symbol's",
    ),
    passes(rules.reconciled, a_case(), "agreed"),
    objects(rules.reconciled, with_account(reconciled=False), "not agreed"),
    passes(rules.equity, with_account("0.01"), "a cent"),
    objects(rules.equity, with_account("0"), "zero"),
    objects(rules.equity, with_account("-1"), "below zero"),
    objects(rules.equity, with_account("NaN"), "not a number"),
    objects(rules.equity, with_account("Infinity"), "without end"),
    objects(rules.equity, with_account(None), "unknown"),
    passes(rules.fresh_price, with_market(priced_at=NOW - 60 * SECOND), "as old as allowed"),
    objects(rules.fresh_price, with_market(priced_at=NOW - 60 * SECOND - MICRO), "stale"),
    passes(rules.fresh_price, with_market(priced_at=NOW + 60 * SECOND), "the venue's clock ahead"),
    objects(rules.fresh_price, with_market(priced_at=NOW + 61 * SECOND), "from the future"),
    objects(rules.fresh_price, with_market(priced_at=None), "of unknown age"),
    objects(rules.fresh_price, with_market(price=None), "no price"),
    objects(rules.fresh_price, with_market(price=Decimal(0)), "a price of zero"),
    objects(rules.fresh_price, with_market(price=NAN), "no number"),
    passes(rules.conversion_rate, a_case(), "known"),
    objects(rules.conversion_rate, with_market(rate=None), "unknown"),
    objects(rules.conversion_rate, with_market(rate=Decimal(0)), "zero"),
    objects(rules.conversion_rate, with_market(rate=INF), "without end"),
    passes(rules.spread, with_market(spread_bps=10.0), "at the limit"),
    objects(rules.spread, with_market(spread_bps=10.01), "too wide"),
    objects(rules.spread, with_market(spread_bps=None), "unknown"),
    objects(rules.spread, with_market(spread_bps=float("nan")), "no number"),
    objects(rules.spread, with_market(spread_bps=-0.1), "a crossed book"),
    passes(
        rules.spread,
        a_case(market=a_market(spread_bps=None), limits=limits_with(max_spread_bps=0)),
        "off",
    ),
    passes(rules.confidence, entry(confidence=0.60), "at the floor"),
    objects(rules.confidence, entry(confidence=0.5999999), "below the floor"),
    passes(rules.confidence, entry(confidence=1.0), "certain"),
    objects(rules.confidence, entry(confidence=1.0000001), "no probability"),
    objects(rules.confidence, entry(confidence=float("nan")), "no number"),
    objects(rules.confidence, entry(confidence=float("inf")), "without end"),
    passes(
        rules.confidence, with_market(an_entry(confidence=0.75), regime=Regime.CHOPPY), "choppy"
    ),
    objects(
        rules.confidence, with_market(an_entry(confidence=0.74), regime=Regime.CHOPPY), "too choppy"
    ),
    objects(
        rules.confidence, a_case(an_entry(confidence=0.79), state=a_state(loss_streak=5)), "losing"
    ),
    passes(rules.shortable, a_case(short()), "borrowed"),
    objects(rules.shortable, with_market(short(), instrument=SPOT), "spot"),
    passes(rules.shortable, with_market(instrument=SPOT), "long on spot"),
    passes(rules.one_entry, with_account("1000", a_position("1", symbol=XRP)), "another symbol"),
    objects(rules.one_entry, with_account("1000", a_position("1")), "held"),
    passes(rules.one_entry, with_account("1000", a_position("-1")), "held the other way"),
    passes(rules.one_entry, with_account("1000", a_position("0.04")), "dust"),
    objects(
        rules.one_entry,
        a_case(account=an_account("1000", a_position("0.04")), market=a_market(price=None)),
        "perhaps dust",
    ),
    objects(rules.one_entry, with_account(in_flight=(in_flight("0.5"),)), "in flight"),
    passes(
        rules.one_entry,
        with_account(in_flight=(in_flight("0.5", reduce_only=True),)),
        "a reduction in flight",
    ),
    objects(
        rules.one_entry, with_account("1000", a_position("-1"), intent=short()), "short and held"
    ),
    passes(rules.opposite_position, with_account("1000", a_position("1")), "the same way"),
    objects(rules.opposite_position, with_account("1000", a_position("-1")), "the other way"),
    objects(
        rules.opposite_position,
        with_account(intent=short(), in_flight=(in_flight("0.5"),)),
        "in flight the other way",
    ),
    passes(
        rules.open_positions,
        with_account("1000", *(a_position("1", symbol=Symbol(f"A{n}/USDT")) for n in range(4))),
        "the fifth",
    ),
    objects(
        rules.open_positions,
        with_account("1000", *(a_position("1", symbol=Symbol(f"A{n}/USDT")) for n in range(5))),
        "the sixth",
    ),
    objects(
        rules.open_positions,
        with_account(
            "1000",
            *(a_position("1", symbol=Symbol(f"A{n}/USDT")) for n in range(4)),
            in_flight=(in_flight("1", symbol=XRP),),
        ),
        "the sixth, one in flight",
    ),
    passes(rules.stop_loss, entry(stop="99.99"), "below a long"),
    objects(rules.stop_loss, entry(stop=None), "none"),
    objects(rules.stop_loss, entry(stop="100"), "at the entry"),
    objects(rules.stop_loss, entry(stop="101"), "above a long"),
    objects(rules.stop_loss, entry(stop="NaN"), "no number"),
    passes(rules.stop_loss, a_case(short(stop="100.01")), "above a short"),
    objects(rules.stop_loss, a_case(short(stop="99")), "below a short"),
    objects(rules.stop_loss, with_market(price=None), "a price unknown"),
    objects(rules.stop_loss, entry(limit=price("97")), "above a limit order's price"),
    passes(rules.stop_loss, entry(stop="98", limit=price("110")), "a limit the market betters"),
    objects(
        rules.stop_loss, entry(stop="101", limit=price("110")), "between the market and the limit"
    ),
    passes(rules.stop_loss, entry(stop="101", trigger=price("105")), "below a trigger"),
    passes(rules.stop_distance, entry(stop="99.5"), "as near as allowed"),
    objects(rules.stop_distance, entry(stop="99.51"), "too near"),
    passes(rules.stop_distance, entry(stop="97"), "as far as allowed for BTC"),
    objects(rules.stop_distance, entry(stop="96.99"), "too far for BTC"),
    passes(rules.stop_distance, a_case(short(stop="103")), "a short's, as far as allowed"),
    objects(rules.stop_distance, a_case(short(stop="103.01")), "a short's, too far"),
    passes(rules.stop_distance, entry(stop="95", symbol=XRP), "as far as allowed for others"),
    objects(rules.stop_distance, entry(stop="94.99", symbol=XRP), "too far for others"),
    objects(rules.stop_distance, entry(stop=None), "none"),
    passes(rules.stop_atr, entry(stop="98.5"), "as near as allowed"),
    objects(rules.stop_atr, entry(stop="98.51"), "too near"),
    objects(rules.stop_atr, with_market(atr=None), "unknown"),
    objects(rules.stop_atr, with_market(atr=float("nan")), "no number"),
    objects(rules.stop_atr, with_market(atr=0.0), "zero"),
    objects(rules.stop_atr, entry(stop=None), "no stop"),
    passes(
        rules.stop_atr,
        a_case(market=a_market(atr=None), limits=limits_with(min_stop_atr=0)),
        "off",
    ),
    passes(rules.reward_risk, a_case(), "no target"),
    # at a fee of 0.2: reward 128 - 65.6 = 62.4, risk 2 + 39.6 = 41.6
    passes(
        rules.reward_risk,
        a_case(an_entry(target="228"), limits=limits_with(taker_fee="0.2")),
        "at the limit after fees",
    ),
    objects(
        rules.reward_risk,
        a_case(an_entry(target="227.99"), limits=limits_with(taker_fee="0.2")),
        "just below after fees",
    ),
    passes(
        rules.reward_risk,
        a_case(an_entry(target="103"), limits=limits_with(taker_fee="0")),
        "exactly at the limit",
    ),
    objects(
        rules.reward_risk,
        a_case(an_entry(target="102.99"), limits=limits_with(taker_fee="0")),
        "just below",
    ),
    objects(rules.reward_risk, entry(target="103"), "at the limit before fees, not after"),
    objects(rules.reward_risk, entry(target="99"), "a target on the losing side"),
    passes(
        rules.reward_risk,
        a_case(short(target="97"), limits=limits_with(taker_fee="0")),
        "a short's, at the limit",
    ),
    objects(rules.reward_risk, entry(target="NaN"), "no number"),
    objects(rules.reward_risk, entry(target="110", stop=None), "no stop"),
    passes(
        rules.reward_risk,
        a_case(an_entry(target="100.01"), limits=limits_with(min_reward_risk="0")),
        "off",
    ),
    passes(rules.risk_per_trade, a_case(sized="10"), "at the limit"),
    objects(rules.risk_per_trade, a_case(sized="10.0001"), "past the limit"),
    passes(rules.risk_per_trade, a_case(short(), sized="-10"), "short, at the limit"),
    objects(rules.risk_per_trade, a_case(short(), sized="-10.0001"), "short, past the limit"),
    objects(
        rules.risk_per_trade,
        a_case(sized="10", market=a_market(rate=Decimal("1.1"))),
        "past the limit in the account's currency",
    ),
    objects(rules.risk_per_trade, entry(stop=None), "no stop"),
    objects(rules.risk_per_trade, with_account(None), "equity unknown"),
    passes(rules.position_size, a_case(sized="2"), "at the limit"),
    objects(rules.position_size, a_case(sized="2.0001"), "past the limit"),
    objects(
        rules.position_size,
        a_case(an_entry(trigger=price("101")), sized="2"),
        "past the limit where it would fill",
    ),
    objects(rules.position_size, with_market(rate=None), "rate unknown"),
    passes(
        rules.total_exposure,
        with_account("1000", a_position("1", symbol=XRP, notional="700")),
        "at the limit",
    ),
    objects(
        rules.total_exposure,
        with_account("1000", a_position("1", symbol=XRP, notional="700.01")),
        "past the limit",
    ),
    objects(
        rules.total_exposure,
        with_account("1000", a_position("-1", symbol=XRP, notional="700.01")),
        "shorts do not net",
    ),
    objects(
        rules.total_exposure,
        with_account(
            "1000",
            a_position("1", symbol=XRP, notional="400"),
            in_flight=(in_flight("1", symbol=XRP, notional="300.01"),),
        ),
        "past the limit with what is in flight",
    ),
    passes(
        rules.total_exposure,
        with_account(
            "1000",
            a_position("1", symbol=XRP, notional="700"),
            in_flight=(in_flight("-1", symbol=XRP, notional="700", reduce_only=True),),
        ),
        "a resting stop adds nothing",
    ),
    objects(rules.total_exposure, with_market(price=None), "price unknown"),
    pytest.param(rules.leverage, a_case(sized="50"), False, marks=S0_22, id="leverage: 5x"),
    pytest.param(
        rules.leverage, a_case(sized="50.0001"), True, marks=S0_22, id="leverage: past 5x"
    ),
    passes(
        rules.leverage, a_case(sized="10", market=a_market(regime=Regime.UNKNOWN)), "1x, unknown"
    ),
    objects(
        rules.leverage,
        a_case(sized="10.0001", market=a_market(regime=Regime.UNKNOWN)),
        "past 1x, unknown",
    ),
    objects(
        rules.leverage,
        with_account("1000", a_position("1", symbol=XRP, notional="4950"), sized="0.5001"),
        "past 5x with what is held",
    ),
    objects(rules.leverage, with_market(rate=None), "rate unknown"),
    passes(rules.minimum_order, a_case(sized="0.05"), "worth the least"),
    objects(rules.minimum_order, a_case(sized="0.0499"), "worth less"),
    objects(rules.minimum_order, a_case(sized="0"), "nothing"),
    objects(
        rules.minimum_order,
        a_case(sized="0.00009", market=a_market(price=Price(Decimal(10**6)))),
        "too little",
    ),
    objects(rules.minimum_order, with_market(price=None), "price unknown"),
    passes(
        rules.reduces_position,
        with_account("1000", a_position("2"), intent=an_exit(), sized="-1"),
        "sold out of a long",
    ),
    objects(
        rules.reduces_position,
        with_account("1000", a_position("2"), intent=an_exit(), sized="1"),
        "bought into a long",
    ),
    objects(rules.reduces_position, with_account(intent=an_exit(), sized="-1"), "nothing is held"),
    objects(
        rules.reduces_position,
        with_account("1000", a_position("2"), intent=an_exit(), sized="0"),
        "nothing is sold",
    ),
    passes(
        rules.never_flips,
        with_account("1000", a_position("-2"), intent=an_exit(), sized="2"),
        "to flat",
    ),
    objects(
        rules.never_flips,
        with_account("1000", a_position("-2"), intent=an_exit(), sized="2.0001"),
        "through zero",
    ),
    passes(
        rules.protection_trigger,
        a_case(an_exit(purpose=Purpose.PROTECTION, trigger=price("98"))),
        "waits",
    ),
    objects(
        rules.protection_trigger, a_case(an_exit(purpose=Purpose.PROTECTION)), "waits for nothing"
    ),
    passes(rules.protection_trigger, a_case(an_exit()), "an exit need not wait"),
]


CASES += cases_risk_book.CASES + cases_risk_edges.CASES + cases_risk_exchange.CASES


@pytest.mark.req("S0-19", "S0-26", "S1-94", "S1-101", "S1-138")
@pytest.mark.parametrize(("rule", "case", "objecting"), CASES)
def test_a_rule_at_its_limit(rule, case, objecting):
    assert (rule(case) is not None) == objecting


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_rule_is_shown_to_object_and_to_pass(rule):
    shown = {param.values[2] for param in CASES if param.values[0] is rule}
    assert shown == {True, False}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_rule_explains_itself(rule):
    for param in CASES:
        if param.values[0] is rule and (finding := rule(param.values[1])) is not None:
            objection = objection_of(finding)
            assert objection.rule == rule.__name__
            assert objection.observed
            assert objection.limit
