"""The table of the rule book against what the code does."""

from types import MethodType

import pytest

from risk import rules
from risk.intent import Purpose
from risk.limits import SHADOWABLE, RiskLimits
from risk.rulebook import ALWAYS_KNOWN, BOOK, Kind, RuleInfo
from tests.builders_risk import (
    FULL,
    XRP,
    a_case,
    a_full_market,
    a_market,
    a_position,
    an_account,
    an_entry,
    in_flight,
    limits_with,
    price,
)
from tests.cases_risk_exchange import an_exchange, exchanged, sold

RULE_ROWS = {info.name: info for info in BOOK if info.kind is Kind.RULE}
CASES = [
    a_case(
        an_entry("0.5", target="110", limit=price("100.5"), trigger=price("99")),
        limits=FULL,
        market=a_full_market(),
        account=an_account("1000", a_position("1", symbol=XRP), in_flight=(in_flight("1"),)),
    ),
    a_case(
        an_entry(confidence=0.5, target="110"),
        sized="100",
        limits=FULL,
        market=a_full_market(realised_volatility=2.0, model_confidence=None),
        account=an_account("1000", a_position("1")),
    ),
    exchanged(),
    exchanged(sold("1")),
    exchanged(an_exchange(purpose=Purpose.HODL)),
]


class Watched:
    """A value whose attributes are noted as they are read."""

    def __init__(self, name, value, seen):
        self.__dict__.update(_name=name, _value=value, _seen=seen)

    def __getattr__(self, attribute):
        value = getattr(self._value, attribute)
        if isinstance(value, MethodType):
            return MethodType(value.__func__, self)
        self._seen.add(f"{self._name}.{attribute}")
        return value


def what_is_read(rule):
    seen = set()
    for case in CASES:
        names = ("intent", "account", "market", "state", "limits")
        watched = {name: Watched(name, getattr(case, name), seen) for name in names}
        rule(a_case(**{"sized": str(case.quantity)} | watched))
    return seen


def test_every_rule_is_in_the_book_once_and_no_other():
    assert [info.name for info in BOOK if info.kind is Kind.RULE] == [
        name for name in RULE_ROWS if name in {rule.__name__ for rule in rules.RULES}
    ]
    assert set(RULE_ROWS) == {rule.__name__ for rule in rules.RULES}


def test_every_limit_is_read_by_something_in_the_book():
    assert {key for info in BOOK for key in info.limits} == set(RiskLimits.model_fields)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_what_a_rule_reads_is_what_the_book_says(rule):
    read = what_is_read(rule)
    inputs = {name for name in read if not name.startswith("limits.")}
    keys = {name.removeprefix("limits.") for name in read if name.startswith("limits.")}
    info = RULE_ROWS[rule.__name__]
    assert inputs - ALWAYS_KNOWN == set(info.inputs)
    assert {key for key in keys if not key.startswith("_")} - {"shadow"} <= set(info.limits)


@pytest.mark.parametrize("rule", rules.RULES_FOR_ENTRIES, ids=lambda rule: rule.__name__)
def test_a_rule_that_is_off_objects_to_nothing(rule):
    """Nothing at all is known, and the order is absurd; what is on says so."""
    market = a_market(price=None, priced_at=None, rate=None, spread_bps=None, atr=None)
    wild = an_entry("1000", stop=None, target="1", confidence=0.99)
    limits = limits_with(max_spread_bps=0, min_stop_atr=0, trend_gate=False, max_price_age="PT1S")
    if rule.__name__ in limits.off:
        assert rule(a_case(wild, sized="1000", market=market, limits=limits)) is None
    assert {info.name for info in BOOK} >= limits.off
    assert not FULL.off


def test_what_can_be_shadowed_is_in_the_book_and_guards_no_account():
    assert {info.name for info in BOOK} >= SHADOWABLE
    guards = {
        "trading_state",
        "daily_loss_limit",
        "weekly_loss_limit",
        "monthly_loss_limit",
        "day_drawdown_limit",
        "drawdown_limit",
        "equity",
        "fresh_price",
        "stop_loss",
        "stop_distance",
        "risk_per_trade",
        "position_size",
        "total_exposure",
        "leverage",
        "margin_use",
        "minimum_order",
        "never_flips",
        "reconciled",
        "referral",
        *(rule.__name__ for rule in rules.RULES if rule.__name__.startswith("exchange_")),
    }
    assert not guards & SHADOWABLE


def test_what_may_be_tried_is_what_the_limits_let_be_tried():
    assert {info.name for info in BOOK if info.can_be_shadowed} == SHADOWABLE


def test_a_row_is_a_rule_of_one_road_or_none():
    for info in BOOK:
        names = {rule.__name__: rule for rule in rules.RULES}
        rule = names.get(info.name) if info.kind is Kind.RULE else None
        assert info.entries == (rule is None or rule in rules.RULES_FOR_ENTRIES)
        assert info.reductions == (rule is not None and rule in rules.RULES_FOR_REDUCTIONS)
        assert info.exchanges == (rule is not None and rule in rules.RULES_FOR_EXCHANGES)


SENTENCES = {
    "leverage": "Gross exposure is no larger a multiple of equity than account, regime, "
    "confidence, drawdown and losing streak allow.",
    "kelly": "The loss at the stop is no more than a part of what Kelly would bet (S2-39).",
    "shadow": "What is only tried is asked and recorded, and does not act.",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_row_says_what_it_does_in_a_sentence(name):
    assert {info.text for info in BOOK if info.name == name} == {SENTENCES[name]}


def test_every_row_is_of_a_kind_and_proves_something():
    assert {info.kind for info in BOOK} == set(Kind)
    assert all(info.rows and isinstance(info.rows, tuple) for info in BOOK)


@pytest.mark.parametrize("info", BOOK, ids=lambda info: f"{info.kind}-{info.name}")
def test_every_row_says_what_it_is(info: RuleInfo, shared_data):
    assert info.text.endswith(".")
    text = (shared_data.parent / "REQUIREMENTS.md").read_text()
    assert all(f"| {row} |" in text for row in info.rows)
    assert info.rows
