"""What no exchange of holdings may ever do; the book's promises are for entries, these beside them.

What is held for its own sake is no part of the trading book, and the other way round: no entry is
judged by the holdings, readable or not, and no exchange by positions, confidence or regime.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from data.account import Holding
from data.instrument import Notional, Price, Quantity
from data.regime import Regime
from risk import approval, rules
from risk.approval import ApprovedOrder, Rejection
from risk.breaker import TradingState
from risk.case import DeskAccount
from risk.intent import Direction, Purpose
from risk.limits import RiskLimits
from risk.rulebook import BOOK, Unreadable
from tests.builders_risk import (
    FULL,
    INSTRUMENT,
    NOW,
    SECTION,
    XRP,
    full_limits_with,
    in_flight,
    price,
)
from tests.builders_risk_exchange import a_trading_book, exchange_situations
from tests.builders_risk_full import asked, full_situations, size

few = settings(max_examples=25)
TERMS = FULL.allocation
NO_NUMBERS = [Decimal(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "-1")]
NO_FLOATS = [float("nan"), float("inf"), float("-inf"), -1.0]


def exact(number):
    return Fraction(*number.as_integer_ratio())


def sign(s):
    return s["intent"].direction.sign


def is_for_a_bag(s):
    return s["intent"].purpose is Purpose.HODL


def taken(s):
    return "BTC" if sign(s) > 0 else "USDT"


def held(s, asset):
    return sum(exact(h.quantity) for h in s["account"].holdings if h.asset == asset)


def worth(s, asset):
    return sum(exact(h.value) for h in s["account"].holdings if h.asset == asset)


def in_motion(s, asset, way):
    """The worth of what exchanges in flight bring of `asset`, or with a `way` of -1 give of it."""
    found = Fraction(0)
    for order in s["account"].exchanging:
        bought, sold = order.symbol.base, order.symbol.quote
        if order.quantity < 0:
            bought, sold = sold, bought
        found += exact(order.notional) if asset == (bought if way > 0 else sold) else 0
    return found


def value_at_mark(s, verdict):
    """At the mark, or where a sale waits above it."""
    market, at = s["market"], exact(s["market"].price)
    if sign(s) < 0:
        at = max(at, exact(s["intent"].limit))
    return abs(exact(verdict.quantity)) * at * exact(market.rate)


def is_paid_for(s, verdict):
    """From holdings, or for a bag from the trading book's cash; what is in flight is given once."""
    quantity, rate = abs(exact(verdict.quantity)), exact(s["market"].rate)
    if sign(s) < 0:
        sold = [o.quantity for o in s["account"].exchanging if o.symbol == INSTRUMENT.symbol]
        return quantity + sum(-exact(q) for q in sold if q < 0) <= held(s, "BTC")
    cost = quantity * exact(s["intent"].limit) * (1 + exact(FULL.taker_fee))
    if is_for_a_bag(s):
        assert s["account"].currency == "USDT"
        entering = sum(exact(o.notional) for o in s["account"].in_flight)
        return cost + in_motion(s, "USDT", -1) + entering <= exact(s["account"].cash)
    return cost * rate + in_motion(s, "USDT", -1) <= held(s, "USDT") * rate


def is_within_its_target(s, verdict):
    if is_for_a_bag(s):
        return True
    total = sum(worth(s, asset) for asset in ("BTC", "XRP", "USDT"))
    after = worth(s, taken(s)) + in_motion(s, taken(s), 1) + value_at_mark(s, verdict)
    return after <= exact(TERMS.targets[taken(s)]) * total


def is_near_the_mark(s, verdict):
    beyond = sign(s) * (exact(s["intent"].limit) / exact(s["market"].price) - 1)
    return beyond <= exact(TERMS.max_slippage)


def has_the_form(s, verdict):
    intent = verdict.intent
    extras = (intent.stop, intent.target, intent.trigger)
    return extras == (None, None, None) and not intent.reduce_only and intent.limit is not None


PROMISES = {
    "what pays for it": is_paid_for,
    "its target": is_within_its_target,
    "its worth": lambda s, v: value_at_mark(s, v) <= exact(TERMS.max_order),
    "its limit": is_near_the_mark,
    "what it costs": lambda s, v: (
        exact(FULL.taker_fee)
        + exact(FULL.slippage)
        + Fraction(repr(s["market"].spread_bps)) / 20_000
        <= exact(TERMS.max_cost)
    ),
    "its form": has_the_form,
    "a bag": lambda s, v: not is_for_a_bag(s) or v.quantity > 0,
    "the grid": lambda s, v: (exact(v.quantity) / exact(INSTRUMENT.lot)).denominator == 1,
    "the least order": lambda s, v: not INSTRUMENT.is_dust(v.quantity, s["market"].price),
    "the wish": lambda s, v: abs(v.quantity) <= abs(s["intent"].quantity),
    "the side": lambda s, v: v.quantity * sign(s) > 0,
}


@pytest.mark.req("S0-2", "S0-19", "S0-36")
@pytest.mark.parametrize("promise", PROMISES)
@few
@given(exchange_situations())
def test_no_exchange_breaks(promise, situation):
    """Reckoned in fractions, after all roundings, and not by the rules' own arithmetic."""
    verdict = asked(situation)
    event(type(verdict).__name__)
    if isinstance(verdict, ApprovedOrder):
        assert PROMISES[promise](situation, verdict)


def changed(part, **changes):
    def worse(s):
        return s | {part: replace(s[part], **changes)}

    return worse


def more_of(asset, share):
    """The holding of `asset` times `share`."""

    def worse(s):
        found = tuple(
            replace(h, quantity=h.quantity * share, value=Notional(h.value * share))
            if h.asset == asset(s)
            else h
            for h in s["account"].holdings
        )
        return s | {"account": replace(s["account"], holdings=found, cash=s["account"].cash / 3)}

    return worse


def given_away(s):
    return "USDT" if sign(s) > 0 else "BTC"


def another(quantity):
    """One more exchange in flight, of the same pair and the same way."""

    def worse(s):
        more = in_flight(str(quantity * sign(s)), notional="37")
        return s | {"account": replace(s["account"], exchanging=(*s["account"].exchanging, more))}

    return worse


def beyond(s):
    limit = Price(s["market"].price * (1 + sign(s) * Decimal("0.0051")))
    return s | {"intent": replace(s["intent"], limit=limit)}


WORSE = {
    "a wider spread": lambda s: changed("market", spread_bps=s["market"].spread_bps + 3.0)(s),
    "a shallower book": lambda s: changed("market", depth=Quantity(s["market"].depth / 20))(s),
    "an older book": changed("market", book_at=NOW - timedelta(seconds=61)),
    "an older price": changed("market", priced_at=NOW - timedelta(seconds=61)),
    "less of what it gives": more_of(given_away, Decimal("0.5")),
    "more of what it brings": more_of(taken, Decimal("1.3")),
    "another one in flight": another(Decimal("0.2")),
    "a purchase dearer, a sale cheaper": beyond,
    "a higher peak": lambda s: changed(
        "state", peak_equity=Notional(s["account"].equity * Decimal("1.26"))
    )(s),
    "a loss today": lambda s: changed("account", equity=s["account"].equity * Decimal("0.94"))(s),
    "a disagreement with the venue": changed("account", reconciled=False),
}


@pytest.mark.req("S0-2", "S0-19")
@pytest.mark.parametrize("change", WORSE)
@few
@given(exchange_situations())
def test_no_exchange_is_larger_with(change, situation):
    before = asked(situation)
    event(type(before).__name__)
    assert size(asked(WORSE[change](situation))) <= size(before)


def terms(**changes):
    return {"allocation": SECTION["allocation"] | changes}


TIGHTER = {
    "the target of what it brings": terms(targets={"BTC": "0.3", "USDT": "0.2", "XRP": "0.5"}),
    "no target": terms(targets={"ETH": "0.5", "XRP": "0.5"}),
    "its worth": terms(max_order="100"),
    "the limit": terms(max_slippage="0.001"),
    "what it may cost": terms(max_cost="0.0032"),
    "a fee": {"taker_fee": "0.0065"},
    "slippage": {"slippage": "0.0045"},
    "the spread": {"max_spread_bps": 1.0},
    "the age of the price": {"max_price_age": "PT0.000001S"},
    "the age of the book": {"max_book_age": "PT0.000001S"},
    "the depth": {"min_depth": "7000"},
    "the symbols": {"allowed_symbols": [XRP]},
    "the drawdown": {"max_drawdown": "0.12"},
    "the fall within a day": {"max_day_drawdown": "0.01"},
    "the day's loss": {"max_daily_loss": "0.001"},
    "the week's loss": {"max_weekly_loss": "0.001"},
    "the month's loss": {"max_monthly_loss": "0.001"},
}


@pytest.mark.parametrize("change", TIGHTER)
@settings(max_examples=15)
@given(exchange_situations())
def test_a_tighter_limit_never_exchanges_more(change, situation):
    tighter = asked(situation, limits=full_limits_with(**TIGHTER[change]))
    assert size(tighter) <= size(asked(situation))


def test_every_limit_that_an_exchange_reads_is_tightened():
    read = {key for info in BOOK if info.exchanges for key in info.limits}
    assert {key for change in TIGHTER.values() for key in change} == read
    assert read <= set(RiskLimits.model_fields)


FLOATS = {"market.spread_bps"}
UNREAD = {
    "account.reconciled": [False],
    "account.cash": NO_NUMBERS,
    "intent.limit": [None, *NO_NUMBERS],
    "intent.quantity": [None, *NO_NUMBERS[:-1]],
    "intent.stop": NO_NUMBERS,
    "intent.target": NO_NUMBERS,
    "intent.trigger": NO_NUMBERS,
    "market.book_at": [None],
    "market.priced_at": [None],
}
REJECTING = sorted(
    {
        name
        for info in BOOK
        for name, way in info.inputs.items()
        if info.exchanges
        and way in (Unreadable.REJECTS, Unreadable.REJECTS_IF_ON)
        and not name.startswith("state.")  # our own, and measured by the mark of the judgement
    }
    - {"account.holdings"}  # each of them on its own, beneath
)


@pytest.mark.req("S0-19")
@pytest.mark.parametrize("name", REJECTING)
@settings(max_examples=10)
@given(exchange_situations(), st.data())
def test_in_doubt_it_exchanges_nothing(name, situation, data):
    assume(name != "account.cash" or is_for_a_bag(situation))
    usual = [None, *(NO_FLOATS if name in FLOATS else NO_NUMBERS)]
    value = data.draw(st.sampled_from(UNREAD.get(name, usual)))
    part, field = name.split(".")
    spoilt = situation | {part: replace(situation[part], **{field: value})}
    assert isinstance(asked(spoilt), Rejection)


def with_holding(s, asset, **changes):
    found = tuple(replace(h, **changes) if h.asset == asset else h for h in s["account"].holdings)
    return s | {"account": replace(s["account"], holdings=found)}


@pytest.mark.req("S0-2", "S0-19")
@settings(max_examples=60)
@given(exchange_situations(), st.sampled_from(["BTC", "XRP", "USDT"]), st.data())
def test_one_holding_that_cannot_be_valued_stops_every_rebalance(situation, asset, data):
    """The target is a share of all of them; a bag has no target, and is bought all the same."""
    spoilt = with_holding(situation, asset, value=data.draw(st.sampled_from([None, *NO_NUMBERS])))
    if is_for_a_bag(situation):
        assert asked(spoilt) == asked(situation)
    else:
        assert isinstance(asked(spoilt), Rejection)


@pytest.mark.req("S0-2", "S0-19")
@settings(max_examples=60)
@given(exchange_situations(), st.sampled_from(NO_NUMBERS))
def test_nothing_is_given_of_what_nobody_can_count(situation, quantity):
    assume(not is_for_a_bag(situation))
    spoilt = with_holding(situation, given_away(situation), quantity=quantity)
    assert isinstance(asked(spoilt), Rejection)


@few
@given(exchange_situations(), st.randoms(use_true_random=False))
def test_an_exchange_rests_on_its_arguments_alone(situation, random):
    verdict = asked(situation)
    shuffled = random.sample(rules.RULES_FOR_EXCHANGES, len(rules.RULES_FOR_EXCHANGES))
    with localcontext(prec=6, rounding=ROUND_UP), pytest.MonkeyPatch.context() as patch:
        assert repr(asked(situation)) == repr(verdict)
        patch.setattr(approval, "RULES_FOR_EXCHANGES", shuffled)
        again = asked(situation)
    assert type(again) is type(verdict)
    assert size(again) == size(verdict)
    assert said(again) == said(verdict)


def said(verdict):
    if isinstance(verdict, ApprovedOrder):
        return set(verdict.reductions)
    return set(verdict.objections)


@few
@given(exchange_situations())
def test_a_cut_exchange_needs_no_second_cut(situation):
    verdict = asked(situation)
    if isinstance(verdict, ApprovedOrder):
        wish = replace(situation["intent"], quantity=verdict.quantity)
        again = asked(situation | {"intent": wish})
        assert (again.quantity, again.reductions) == (verdict.quantity, ())


@few
@given(exchange_situations())
def test_an_exchange_passes_or_is_rejected(situation):
    """Nobody is asked to revise one, and no person to consent to one."""
    verdict = asked(situation, can_revise=True)
    assert isinstance(verdict, ApprovedOrder | Rejection)
    if isinstance(verdict, ApprovedOrder):
        assert verdict.scales == ()


@pytest.mark.req("S0-23", "S0-25")
@few
@given(exchange_situations(), st.sampled_from([TradingState.HALTED, TradingState.REDUCING]))
def test_nothing_is_exchanged_in_a_halt(situation, trading):
    state = replace(
        situation["state"],
        trading=trading,
        reason="a test",
        halted_until=NOW + timedelta(hours=1),
        halted_for="a test",
    )
    verdict = asked(situation, state=state)
    assert isinstance(verdict, Rejection)
    assert "trading_state" in {objection.rule for objection in verdict.objections}


CHANGES = [
    {"stop": price("98")},
    {"target": price("120")},
    {"trigger": price("99")},
    {"reduce_only": True},
    {"limit": None},
    {"quantity": None},
    {"direction": Direction.CLOSE},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
@settings(max_examples=20)
@given(exchange_situations())
def test_nothing_else_is_done_in_the_name_of_an_exchange(change, situation):
    """Least of all a reduction, whose road is the wider one."""
    verdict = asked(situation | {"intent": replace(situation["intent"], **change)})
    assert isinstance(verdict, Rejection)
    assert "exchange_form" in {objection.rule for objection in verdict.objections}


@few
@given(
    exchange_situations(),
    st.floats(allow_nan=True),
    st.floats(allow_nan=True),
    st.sampled_from(Regime),
    st.text(max_size=20),
)
def test_no_opinion_and_no_position_changes_an_exchange(situation, sure, alpha, regime, text):
    other = {
        "intent": replace(situation["intent"], confidence=sure, alpha=alpha, strategy_id=text),
        "account": replace(situation["account"], positions=a_trading_book()),
        "market": replace(situation["market"], regime=regime, atr=None, overlays=()),
        "state": replace(
            situation["state"], loss_streak=4, cool_down_until={INSTRUMENT.symbol: NOW}
        ),
    }
    first, second = asked(situation), asked(situation | other)
    assert (type(first), size(first), said(first)) == (type(second), size(second), said(second))


@few
@given(exchange_situations())
def test_a_desks_limits_are_for_its_trades(situation):
    desk = DeskAccount(
        account=situation["account"],
        state=situation["state"],
        limits=full_limits_with(max_position="0.001", **terms(max_order="1")),
    )
    assert asked(situation, desk=desk) == asked(situation)


unreadable = st.sampled_from([*NO_NUMBERS, Decimal(0), Decimal(10)])
anything_held = st.lists(
    st.builds(
        Holding,
        asset=st.sampled_from(["BTC", "XRP", "USDT"]),
        quantity=unreadable,
        value=st.none() | unreadable,
    ),
    max_size=3,
).map(tuple)
anything_in_flight = st.sampled_from(
    [(), (in_flight("3", notional="900"),), (in_flight("-3", symbol=XRP, notional="NaN"),)]
)


@pytest.mark.req("S0-19", "S0-23", "S0-25")
@settings(max_examples=80)
@given(full_situations(), anything_held, anything_in_flight)
def test_no_entry_is_judged_by_holdings(situation, held, exchanging):
    """They are in neither equity nor cash, so no limit of the trading book rests on them, and one
    that cannot be priced is no reason to leave a trade that can."""
    account = replace(situation["account"], holdings=held, exchanging=exchanging)
    assert asked(situation, account=account) == asked(situation)


def test_a_purchase_and_a_sale_and_a_bag_pass_somewhere():
    """The promises above are about something."""
    found = {}

    @settings(max_examples=300, database=None, derandomize=True)
    @given(exchange_situations())
    def seen(situation):
        intent, verdict = situation["intent"], asked(situation)
        if isinstance(verdict, ApprovedOrder):
            kind = (intent.purpose, intent.direction, bool(verdict.reductions))
            found[kind] = found.get(kind, 0) + 1

    seen()
    kinds = [(Purpose.ALLOCATION, Direction.LONG), (Purpose.ALLOCATION, Direction.SHORT)]
    kinds.append((Purpose.HODL, Direction.LONG))
    assert {(*kind, cut) for kind in kinds for cut in (True, False)} <= set(found)
