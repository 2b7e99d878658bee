"""No number that is none gets past `judge`, and none makes it raise.

What can be spoilt is read from the fields of the dataclasses themselves: a field that is new is
spoilt by itself, and must reject until it stands in one of the two tables below.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from decimal import Decimal
from types import UnionType
from typing import NewType, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data.account import AccountState
from data.bar import Timeframe
from data.instrument import Price
from risk.approval import ApprovedOrder, Rejection
from risk.breaker import Marked, RiskState, next_state
from risk.case import DeskAccount
from risk.intent import OrderIntent, Purpose
from risk.mark_watch import MarkWatch
from risk.market import Market, Overlay
from risk.referral import Consent, Referral
from tests.builders_risk import (
    BTC,
    FULL,
    FULL_CHANGES,
    NOW,
    SECTION,
    XRP,
    a_full_market,
    a_position,
    a_state,
    an_account,
    an_entry,
    an_exit,
    full_limits_with,
    in_flight,
)
from tests.builders_risk_full import asked, full_situations
from tests.cases_risk_exchange import HOLDINGS, an_exchange

NO_DECIMAL = [Decimal(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity")]
NO_FLOAT = [float(text) for text in ("nan", "inf", "-inf")]
NO_AMOUNT = [Decimal(text) for text in ("0", "-0", "-1", "-1E+9")]

NEUTRAL = {
    "Market.mean_atr": "a spike that cannot be told is none",
    "Market.move": "an unusual move that cannot be told is none",
    "Overlay.trend": "an overlay that cannot be read vetoes nothing (S1-121)",
}
NOT_READ = {
    "AccountState.cash": "equity is",
    "OrderIntent.atr": "by no rule; stops that trail do",
    "RiskState.account_peak": "nothing is kept beside the trading book",
    "Holding.quantity": "no part of the trading book, whose every limit is known without it",
    "Holding.value": "no part of the trading book",
    "InFlight.quantity": "of another symbol; its notional is",
    "Position.entry_price": "the notional is",
    "Position.mark": "the notional is",
    "Position.quantity": "of another symbol; its notional is",
}
"""May pass, but never raise."""

READ_BY_AN_EXCHANGE = {
    "AccountState.equity": "a halt",
    "AccountState.kept": "a halt",
    "Anchor.equity": "a halt",
    "InFlight.notional": "what is given already",
    "InFlight.quantity": "what is given already",
    "Market.depth": "the book",
    "Market.price": "the mark",
    "Market.rate": "the mark",
    "Market.spread_bps": "the book",
    "OrderIntent.limit": "itself",
    "OrderIntent.quantity": "itself",
    "OrderIntent.stop": "itself",
    "OrderIntent.target": "itself",
    "OrderIntent.trigger": "itself",
    "RiskState.day_peak": "a halt",
    "RiskState.peak_equity": "a halt",
}
"""Why each number that is none refuses an exchange of holdings."""
OF_HOLDINGS, OF_A_BAG = {"Holding.quantity", "Holding.value"}, {"AccountState.cash"}

AMOUNTS = [
    "AccountState.equity",
    "Anchor.equity",
    "Market.adv",
    "Market.depth",
    "Market.liquidation_price",
    "Market.price",
    "Market.rate",
    "OrderIntent.stop",
    "OrderIntent.target",
    "RiskState.day_peak",
    "RiskState.peak_equity",
]
"""Zero and less are as unreadable as NaN."""


def number_of(hint):
    """`Decimal` or `float`, where a field is one of them or may be."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    if hint in (Decimal, float):
        return hint
    if get_origin(hint) in (Union, UnionType):
        return next(filter(None, map(number_of, get_args(hint))), None)
    assert not any(map(number_of, get_args(hint))), f"a container of numbers: {hint}"
    return None


def holders(kind, seen):
    """`kind` and every dataclass that its fields name, each once."""
    if is_dataclass(kind) and kind not in seen:
        seen.append(kind)
        for hint in get_type_hints(kind).values():
            holders(hint, seen)
    for inner in get_args(kind):
        holders(inner, seen)
    return seen


KINDS = holders(tuple[RiskState, AccountState, Market, OrderIntent], [])
NUMBERS = {
    f"{kind.__name__}.{field.name}": number_of(get_type_hints(kind)[field.name])
    for kind in KINDS
    for field in fields(kind)
    if number_of(get_type_hints(kind)[field.name])
}


def spoilt(value, name, bad):
    """`value` with `bad` in the field `name` of every such object in it."""
    if is_dataclass(value):
        changes = {f.name: spoilt(getattr(value, f.name), name, bad) for f in fields(value)}
        kind, _, field = name.partition(".")
        return replace(
            value, **(changes | {field: bad} if type(value).__name__ == kind else changes)
        )
    if isinstance(value, Mapping):
        return {key: spoilt(inner, name, bad) for key, inner in value.items()}
    return tuple(spoilt(v, name, bad) for v in value) if isinstance(value, tuple) else value


def bad_values(name):
    bad = NO_FLOAT if NUMBERS[name] is float else NO_DECIMAL
    return [*bad, *(NO_AMOUNT if name in AMOUNTS else ())]


def ways(situation, name):
    """Each way of spoiling `name`; none where no object can be made of it."""
    for bad in bad_values(name):
        try:
            parts = {key: spoilt(part, name, bad) for key, part in situation.items()}
        except ValueError:
            continue
        yield parts | {"limits": situation["limits"]}


# What is held moves along with what is entered, and an overlay is there: every number is reached.
PASSING = {
    "intent": an_entry(
        "0.5", target="110", limit=Price(Decimal("100.5")), trigger=Price(Decimal("99.99"))
    ),
    "account": an_account(
        "1000",
        a_position("0.1", symbol=XRP, notional="10"),
        in_flight=(in_flight("0.1", symbol=XRP, notional="10"),),
    ),
    "market": a_full_market(
        overlays=(Overlay(timeframe=Timeframe.H1, trend=0.01, updated_at=NOW),)
    ),
    "state": a_state(),
    "limits": FULL,
    "now": NOW,
}


HELD = an_account(
    "1000",
    holdings=HOLDINGS,
    exchanging=(in_flight("10", symbol=XRP, notional="10"), in_flight("-0.1", notional="10")),
)
EXCHANGING = {
    purpose: PASSING | {"intent": an_exchange(purpose=purpose), "account": HELD}
    for purpose in (Purpose.ALLOCATION, Purpose.HODL)
}


def passes(verdict):
    return isinstance(verdict, ApprovedOrder | Referral)


def test_what_may_pass_is_written_down_for_fields_that_there_are():
    assert passes(asked(PASSING))
    assert all(passes(asked(parts)) for parts in EXCHANGING.values())
    assert {*NEUTRAL, *NOT_READ, *AMOUNTS} <= set(NUMBERS)
    assert {*READ_BY_AN_EXCHANGE, *OF_HOLDINGS, *OF_A_BAG} <= set(NUMBERS)
    assert {"RiskState.peak_equity", "Anchor.equity", "InFlight.notional"} <= set(NUMBERS)


@pytest.mark.req("S0-19", "S1-121")
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_none_is_refused(name):
    for parts in ways(PASSING, name):
        verdict = asked(parts)
        if name in NEUTRAL:
            assert passes(verdict)
        elif name not in NOT_READ:
            assert isinstance(verdict, Rejection), parts


@pytest.mark.req("S0-19")
@pytest.mark.parametrize("name", NUMBERS)
@settings(max_examples=5)
@given(full_situations(), st.booleans())
def test_whatever_else_is_so_it_is_refused_and_nothing_raises(name, situation, can_revise):
    whole = situation["account"]
    more = a_position("0.1", symbol=XRP, notional="10")
    there = situation | {
        "account": replace(
            whole,
            positions={**whole.positions, XRP: more},
            in_flight=(*whole.in_flight, in_flight("0.1", symbol=XRP, notional="10")),
        )
    }
    for parts in ways(there, name):
        if not isinstance(asked(parts, can_revise=can_revise), Rejection):
            assert name in {**NEUTRAL, **NOT_READ} or name == "OrderIntent.quantity"
        desk = DeskAccount(account=parts["account"], state=parts["state"], limits=FULL)
        of_desk = asked(there, desk=desk)
        is_of_the_desk = name.startswith(("RiskState", "Anchor")) or name == "AccountState.equity"
        if is_of_the_desk and name not in NOT_READ:
            assert isinstance(of_desk, Rejection)


@pytest.mark.req("S0-2", "S0-19", "S0-36")
@pytest.mark.parametrize("purpose", EXCHANGING)
@pytest.mark.parametrize("name", NUMBERS)
def test_no_exchange_rests_on_a_number_that_is_none(name, purpose):
    """Whatever it reads refuses it; what is of trades only changes nothing."""
    own = OF_A_BAG if purpose is Purpose.HODL else OF_HOLDINGS
    for parts in ways(EXCHANGING[purpose], name):
        refused = isinstance(asked(parts), Rejection)
        assert refused == (name in {*READ_BY_AN_EXCHANGE, *own}), parts


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_traps_what_reduces_what_is_held(name):
    """Unless it is the order itself, or what is held, that cannot be read."""
    held = PASSING["account"].positions | {BTC: a_position("0.5")}
    out = PASSING | {
        "intent": an_exit("-0.5"),
        "account": replace(PASSING["account"], positions=held),
    }
    for parts in ways(out, name):
        if name.startswith("OrderIntent.") or name in ("Position.quantity", "Instrument.lot"):
            asked(parts)
        else:
            assert isinstance(asked(parts), ApprovedOrder)


@pytest.mark.parametrize("name", [n for n in NUMBERS if n.startswith(("RiskState", "Anchor"))])
@settings(max_examples=10)
@given(equity=st.none() | st.sampled_from([*NO_DECIMAL, *NO_AMOUNT, Decimal(900), Decimal(2000)]))
def test_the_breaker_goes_on_with_a_number_that_is_none(name, equity):
    """And the watch that stands in for it on every bar says the same."""
    for bad in bad_values(name):
        state = spoilt(a_state(), name, bad)
        marked = next_state(state, Marked(equity=equity, at=NOW), FULL)
        watched = MarkWatch(FULL).after(state, equity, NOW)
        assert repr(watched) == repr(marked)


def numbers_in(section):
    """The path of every number in the limits as an operator writes them."""
    for key, value in section.items() if isinstance(section, dict) else enumerate(section):
        if isinstance(value, dict | list):
            yield from ((key, *path) for path in numbers_in(value))
        elif (isinstance(value, float | int) and not isinstance(value, bool)) or (
            isinstance(value, str) and value.replace(".", "").lstrip("-").isdigit()
        ):
            yield (key,)


def with_number(section, path, number):
    key, *rest = path
    inner = with_number(section[key], rest, number) if rest else number
    if isinstance(section, dict):
        return section | {key: inner}
    return [*section[:key], inner, *section[key + 1 :]]


PATHS = {".".join(map(str, path)): path for path in numbers_in(SECTION | FULL_CHANGES)}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_limit_is_a_number(path):
    for bad in ("NaN", "sNaN", "Infinity", "-Infinity", "-2"):
        with pytest.raises(ValidationError):
            full_limits_with(**with_number(SECTION | FULL_CHANGES, path, bad))


@pytest.mark.parametrize("bad", [*NO_DECIMAL, *NO_AMOUNT], ids=str)
def test_a_consent_to_no_number_is_none(bad):
    limits = full_limits_with(refer_above="0.0001")
    assert isinstance(asked(PASSING, limits=limits), Referral)
    given = {"intent_id": "an-intent", "by": "Ada", "why": "looked", "at": NOW}
    ends = NOW + timedelta(hours=1)
    if not bad.is_finite():
        with pytest.raises(ValueError, match="a consent to"):
            Consent(quantity=bad, expires_at=ends, **given)
        return
    yes = Consent(quantity=bad, expires_at=ends, **given)
    assert isinstance(asked(PASSING, limits=limits, consent=yes), Referral)
