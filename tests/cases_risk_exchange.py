"""Exchanges of holdings: what their rules allow, at each limit and just past it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from data.account import Holding
from data.instrument import Symbol
from risk import rules
from risk.intent import Direction, Purpose
from tests.builders_risk import (
    SECTION,
    XRP,
    a_case,
    a_market,
    an_account,
    an_entry,
    in_flight,
    limits_with,
    price,
)

XRP_BTC = Symbol("XRP/BTC")


def a_holding(asset, quantity, value):
    return Holding(
        asset=asset,
        quantity=Decimal(quantity),
        value=Decimal(value) if value is not None else None,
    )


HOLDINGS = (a_holding("BTC", 1, 100), a_holding("XRP", 600, 300), a_holding("USDT", 500, 500))


def an_exchange(wish="1", limit="100.5", **changes):
    """A purchase of bitcoin for dollars that are held."""
    usual = {"purpose": Purpose.ALLOCATION, "limit": price(limit)}
    return an_entry(wish, **({"stop": None} | usual | changes))


def sold(quantity, limit="99.5", **changes):
    """A sale of bitcoin that is held."""
    return an_exchange(f"-{quantity}", limit, direction=Direction.SHORT, **changes)


def exchanged(
    intent=None, *, sized="1", market=None, limit_price="100.5", fee="0.0026", account=None, **terms
):
    """A case of an exchange; `terms` change the limits of exchanges."""
    made = intent if intent is not None else an_exchange(limit=limit_price)
    return a_case(
        made,
        sized=str(sized),
        market=market or a_market(),
        account=account or an_account("1000", holdings=HOLDINGS),
        limits=limits_with(
            taker_fee=fee,
            allocation=SECTION["allocation"] | {key: str(value) for key, value in terms.items()},
        ),
    )


def held(*holdings, **changes):
    return an_account("1000", holdings=holdings, **changes)


def passes(rule, case, name):
    return pytest.param(rule, case, False, id=f"{rule.__name__}: {name}")


def objects(rule, case, name):
    return pytest.param(rule, case, True, id=f"{rule.__name__}: {name}")


def with_others(*orders):
    return an_account("1000", holdings=HOLDINGS, exchanging=orders)


FORM = [
    passes(rules.exchange_form, exchanged(), "a purchase"),
    passes(rules.exchange_form, exchanged(sold("1")), "a sale"),
    passes(rules.exchange_form, exchanged(an_exchange(purpose=Purpose.HODL)), "for a bag"),
    objects(rules.exchange_form, exchanged(sold("1", purpose=Purpose.HODL)), "from a bag"),
    objects(rules.exchange_form, exchanged(an_exchange(None)), "no quantity"),
    objects(rules.exchange_form, exchanged(an_exchange(limit=None)), "at any price"),
    objects(rules.exchange_form, exchanged(an_exchange(stop="98")), "with a stop"),
    objects(rules.exchange_form, exchanged(an_exchange(target="98")), "with a target"),
    objects(rules.exchange_form, exchanged(an_exchange(trigger=price("98"))), "with a trigger"),
    objects(rules.exchange_form, exchanged(an_exchange(reduce_only=True)), "only to reduce"),
    objects(rules.exchange_form, exchanged(an_exchange(direction=Direction.CLOSE)), "to close"),
]
FUNDS = [
    passes(rules.exchange_funds, exchanged(sized="4.96"), "what is held pays for it"),
    objects(rules.exchange_funds, exchanged(sized="4.97"), "the fee is more than is left"),
    passes(rules.exchange_funds, exchanged(sold("1"), sized="-1"), "all that is held"),
    objects(rules.exchange_funds, exchanged(sold("1"), sized="-1.01"), "more than is held"),
    objects(rules.exchange_funds, exchanged(account=held()), "nothing is held"),
    objects(
        rules.exchange_funds,
        exchanged(account=held(a_holding("USDT", "NaN", None))),
        "what is held is no number",
    ),
    objects(
        rules.exchange_funds,
        exchanged(sized="4", account=with_others(in_flight("1", symbol=XRP, notional="100"))),
        "given in an order in flight",
    ),
    passes(
        rules.exchange_funds,
        exchanged(sized="4", account=with_others(in_flight("-1", symbol=XRP, notional="100"))),
        "what an order in flight brings is not there yet, and not missing",
    ),
    objects(
        rules.exchange_funds,
        exchanged(sold("1"), sized="-0.6", account=with_others(in_flight("-0.5"))),
        "sold already",
    ),
    objects(
        rules.exchange_funds,
        exchanged(
            sold("1"),
            sized="-0.6",
            account=with_others(in_flight("-0.5", notional="10")),
        ),
        "sold already, whatever it is worth",
    ),
    objects(
        rules.exchange_funds,
        exchanged(
            sold("1"),
            sized="-0.6",
            account=with_others(in_flight("100", symbol=XRP_BTC, notional="50")),
        ),
        "given for another coin already",
    ),
    objects(
        rules.exchange_funds,
        exchanged(
            sold("1"),
            sized="-0.4",
            account=with_others(in_flight("-0.3"), in_flight("-0.4")),
        ),
        "sold already in two orders",
    ),
    objects(
        rules.exchange_funds,
        exchanged(
            sized="1",
            account=with_others(
                in_flight("1", symbol=XRP, notional="200"),
                in_flight("1", symbol=XRP, notional="-200"),
            ),
        ),
        "given in two orders in flight, whatever their sign",
    ),
    passes(
        rules.exchange_funds,
        exchanged(sized="1", account=with_others(in_flight("-9", symbol=XRP, notional="900"))),
        "a sale in flight gives none of it",
    ),
    objects(
        rules.exchange_funds,
        exchanged(account=with_others(in_flight("NaN", symbol=XRP, notional="1"))),
        "a quantity in flight that is none",
    ),
    objects(
        rules.exchange_funds,
        exchanged(account=with_others(in_flight("1", symbol=XRP, notional="-Infinity"))),
        "a worth in flight that is none",
    ),
    passes(
        rules.exchange_funds,
        exchanged(
            limit_price="100",
            fee="0",
            sized="5",
            market=replace(a_market(), rate=Decimal(4)),
            account=with_others(),
        ),
        "what is given is counted in its own units",
    ),
    objects(
        rules.exchange_funds,
        exchanged(
            limit_price="100",
            fee="0",
            sized="4.01",
            market=replace(a_market(), rate=Decimal(4)),
            account=with_others(in_flight("1", symbol=XRP, notional="400")),
        ),
        "and so is what another order in flight gives",
    ),
    passes(
        rules.exchange_funds,
        exchanged(
            limit_price="100",
            fee="0",
            sized="4",
            market=replace(a_market(), rate=Decimal(4)),
            account=with_others(in_flight("1", symbol=XRP, notional="400")),
        ),
        "which is no more than that",
    ),
    passes(
        rules.exchange_funds,
        exchanged(an_exchange(purpose=Purpose.HODL), sized="9.9", account=held()),
        "a bag is paid from the trading book",
    ),
    objects(
        rules.exchange_funds,
        exchanged(an_exchange(purpose=Purpose.HODL), sized="10", account=held()),
        "which holds no more",
    ),
    objects(
        rules.exchange_funds,
        exchanged(
            an_exchange(purpose=Purpose.HODL),
            sized="9",
            account=held(in_flight=(in_flight("1", symbol=XRP, notional="100"),)),
        ),
        "nor what an entry in flight may cost",
    ),
    passes(
        rules.exchange_funds,
        exchanged(
            an_exchange(purpose=Purpose.HODL),
            sized="8.9",
            account=held(in_flight=(in_flight("1", symbol=XRP, notional="100"),)),
        ),
        "but all else",
    ),
    passes(
        rules.exchange_funds,
        exchanged(sized="4", account=held(*HOLDINGS, in_flight=(in_flight("9", notional="900"),))),
        "holdings pay for no entry",
    ),
    objects(
        rules.exchange_funds,
        exchanged(
            an_exchange(purpose=Purpose.HODL, symbol=XRP_BTC),
            market=replace(a_market(), rate=Decimal(2)),
        ),
        "a bag is paid in the account's currency alone",
    ),
]
TARGET = [
    passes(rules.exchange_target, exchanged(sized="3.5"), "at its target"),
    objects(rules.exchange_target, exchanged(sized="3.51"), "past its target"),
    objects(
        rules.exchange_target,
        exchanged(sold("1"), sized="-0.1"),
        "of dollars there are too many already",
    ),
    passes(
        rules.exchange_target,
        exchanged(
            sold("1"),
            sized="-1",
            account=held(a_holding("BTC", 8, 800), a_holding("USDT", 100, 100)),
        ),
        "a sale up to the target of what it brings",
    ),
    objects(
        rules.exchange_target,
        exchanged(sized="3", account=with_others(in_flight("0.51"))),
        "with what is bought already",
    ),
    passes(
        rules.exchange_target,
        exchanged(sized="3.5", account=with_others(in_flight("-1"))),
        "what is being sold is still there",
    ),
    objects(
        rules.exchange_target,
        exchanged(account=held(*HOLDINGS[:2], a_holding("USDT", 500, None))),
        "a holding of unknown worth",
    ),
    objects(
        rules.exchange_target,
        exchanged(sized="0.1", account=held(*HOLDINGS[:2], a_holding("USDT", 500, "-1"))),
        "a holding of worth below zero",
    ),
    passes(
        rules.exchange_target,
        exchanged(account=held(*HOLDINGS[::2], a_holding("XRP", 0, 0))),
        "nothing is held of one",
    ),
    passes(
        rules.exchange_target,
        exchanged(account=held(*HOLDINGS[::2], a_holding("XRP", 1, "0.5"))),
        "nor much of it",
    ),
    objects(
        rules.exchange_target,
        exchanged(an_exchange(symbol=Symbol("DOGE/USDT"))),
        "an asset that is to be held of none",
    ),
    passes(
        rules.exchange_target,
        exchanged(an_exchange(purpose=Purpose.HODL), sized="9"),
        "a bag has no target",
    ),
]
SIZE = [
    passes(rules.exchange_size, exchanged(sized="10"), "at the limit"),
    objects(rules.exchange_size, exchanged(sized="10.01"), "beyond it"),
    passes(rules.exchange_cost, exchanged(max_cost="0.0027"), "at the limit"),
    objects(rules.exchange_cost, exchanged(max_cost="0.0026"), "dearer"),
    objects(
        rules.exchange_cost,
        exchanged(market=a_market(spread_bps=100.0)),
        "a wide spread",
    ),
]
LIMIT = [
    passes(rules.exchange_limit, exchanged(), "at the worst price that is allowed"),
    objects(rules.exchange_limit, exchanged(limit_price="100.51"), "dearer than that"),
    passes(rules.exchange_limit, exchanged(limit_price="90"), "a purchase that waits"),
    passes(rules.exchange_limit, exchanged(sold("1")), "a sale at the worst price"),
    objects(rules.exchange_limit, exchanged(sold("1", "99.49")), "cheaper than that"),
    objects(rules.exchange_limit, exchanged(an_exchange(limit=None)), "at any price"),
    objects(rules.exchange_limit, exchanged(market=a_market(price=None)), "an unknown mark"),
]
CASES = [*FORM, *FUNDS, *TARGET, *SIZE, *LIMIT]
"""Rule, case, whether it objects."""
