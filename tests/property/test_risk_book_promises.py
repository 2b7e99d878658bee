"""What the whole book promises: every limit on, over everything that a verdict may rest on."""

import math
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from data.bar import Timeframe
from data.instrument import Notional, Price, Quantity
from data.regime import Regime
from risk import approval, rules
from risk.approval import ApprovedOrder, Rejection, Revision
from risk.breaker import BreakerActed, Marked, TradingState, next_state
from risk.breaker_orders import breaker_intents
from risk.case import DeskAccount
from risk.limits import SHADOWABLE, RiskLimits
from risk.market import Overlay
from risk.referral import Referral, consent
from risk.rulebook import BOOK, Kind, Unreadable
from risk.volatility import guard_scale, targeted
from tests.builders_risk import (
    BTC,
    FULL,
    FULL_CHANGES,
    INSTRUMENT,
    NOW,
    XRP,
    a_position,
    a_state,
    an_account,
    full_limits_with,
    judged,
)
from tests.builders_risk_full import ETH, SOL, asked, full_situations, size

few = settings(max_examples=30)
FREE = full_limits_with(refer_above=0, refer_below=0)
NO_NUMBERS = [Decimal(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "-1", "0")]
NO_FLOATS = [float("nan"), float("inf"), float("-inf"), -1.0]


def exact(number):
    return Fraction(*number.as_integer_ratio())


def worth(s, verdict):
    return abs(exact(verdict.quantity)) * exact(s["market"].price)


def equity(s):
    return exact(s["account"].equity)


def sign(s):
    return s["intent"].direction.sign


def distance(s):
    return (exact(s["market"].price) - exact(s["intent"].stop)) * sign(s)


def gross(s):
    account = s["account"]
    held = sum(exact(p.notional) for p in account.positions.values())
    return held + sum(exact(o.notional) for o in account.in_flight)


def tied(s):
    """What would lose with the order: XRP moves along with BTC, ETH against it."""
    ways = {XRP: sign(s), ETH: -sign(s)}
    account = s["account"]
    everything = [(p.symbol, p.quantity, p.notional) for p in account.positions.values()]
    everything += [(o.symbol, o.quantity, o.notional) for o in account.in_flight]
    return sum(exact(n) for symbol, q, n in everything if q * ways.get(symbol, 0) > 0)


def leverage_cap(s):
    fall = 1 - equity(s) / exact(s["state"].peak_equity)
    losses, sure = s["state"].loss_streak, s["intent"].confidence
    caps = [5, exact(FULL.regimes[s["market"].regime].max_leverage)]
    caps += [cap for floor, cap in ((0.85, 5), (0.75, 4), (0.65, 3), (0.6, 2)) if sure >= floor][:1]
    caps += [cap for step, cap in ((5, 3), (10, 2), (15, 1)) if fall >= Fraction(step, 100)]
    caps += [cap for step, cap in ((3, 2), (5, 1)) if losses >= step]
    return min(caps)


def risk_after_fees(s):
    fee = exact(FULL.taker_fee)
    return distance(s) + fee * (exact(s["market"].price) + exact(s["intent"].stop))


def reward_after_fees(s):
    fee, price = exact(FULL.taker_fee), exact(s["market"].price)
    target = exact(s["intent"].target)
    return (target - price) * sign(s) - fee * (price + target)


def kelly_share(s):
    p, b = Fraction(repr(s["market"].win_probability)), reward_after_fees(s) / risk_after_fees(s)
    return (p - (1 - p) / b) / 4


def cost(s):
    spread = Fraction(repr(s["market"].spread_bps)) / 10_000
    return 2 * (exact(FULL.taker_fee) + exact(FULL.slippage)) + spread


def volatility_share(s):
    seen, alpha = s["market"].realised_volatility, s["intent"].alpha
    guard = 1.0 if seen <= 0.8 else max(0.25, 0.8 / seen)
    return min(1.0, alpha * guard * 0.2 / seen)


PROMISES = {
    "the loss at the stop": lambda s, v: abs(exact(v.quantity)) * distance(s) <= equity(s) / 50,
    "the position": lambda s, v: worth(s, v) <= equity(s) / 5,
    "the exposure": lambda s, v: worth(s, v) + gross(s) <= equity(s) * 4 / 5,
    "the correlated exposure": lambda s, v: worth(s, v) + tied(s) <= equity(s) * 2 / 5,
    "the leverage": lambda s, v: worth(s, v) + gross(s) <= leverage_cap(s) * equity(s),
    "the collateral": lambda s, v: (worth(s, v) + gross(s)) / 3 <= equity(s) / 2,
    "the value at risk": lambda s, v: (
        worth(s, v) * Fraction("2.33") * Fraction(repr(s["market"].bar_volatility))
        <= equity(s) / 50
    ),
    "the Kelly bet": lambda s, v: (
        abs(exact(v.quantity)) * distance(s)
        <= kelly_share(s) * equity(s) * (1 + Fraction(1, 10**20))
    ),
    "the day's volume": lambda s, v: abs(v.quantity) <= s["market"].adv / 50,
    "the depth": lambda s, v: abs(v.quantity) <= s["market"].depth / 10,
    "volatility": lambda s, v: (
        float(worth(s, v) / equity(s) * 5) <= volatility_share(s) * (1 + 1e-12)
    ),
    "a person's part": lambda s, v: worth(s, v) <= equity(s) * 15 / 100,
    "a person's doubt": lambda s, v: s["intent"].confidence >= 0.62,
    "what it costs": lambda s, v: cost(s) * exact(s["market"].price) <= distance(s),
    "its reward": lambda s, v: 2 * reward_after_fees(s) >= 3 * risk_after_fees(s),
    "its edge": lambda s, v: (
        s["intent"].confidence * abs(s["market"].expected_move) - float(cost(s)) >= 0.001 - 1e-12
    ),
    "a floor in wild markets": lambda s, v: (
        s["intent"].confidence >= 0.65
        or (s["market"].realised_volatility <= 1 and s["market"].calibration_error <= 0.2)
    ),
    "the trend": lambda s, v: not s["market"].regime.endswith("bear" if sign(s) > 0 else "bull"),
    "higher timeframes": lambda s, v: all(
        o.trend * sign(s) >= -0.002 for o in s["market"].overlays
    ),
    "the drawdown": lambda s, v: equity(s) > exact(s["state"].peak_equity) * 4 / 5,
    "the grid": lambda s, v: (exact(v.quantity) / exact(INSTRUMENT.lot)).denominator == 1,
    "the least order": lambda s, v: not INSTRUMENT.is_dust(v.quantity, s["market"].price),
    "the wish": lambda s, v: (
        s["intent"].quantity is None or abs(v.quantity) <= abs(s["intent"].quantity)
    ),
    "the side": lambda s, v: v.quantity * sign(s) > 0,
}


@pytest.mark.req("S0-19", "S0-22", "S1-81", "S1-95", "S2-39", "S2-40", "S2-41", "S2-45", "S3-46")
@pytest.mark.parametrize("promise", PROMISES)
@few
@given(full_situations())
def test_no_approval_breaks(promise, situation):
    """Reckoned in fractions, after all roundings, and not by the rules' own arithmetic."""
    verdict = asked(situation)
    event(type(verdict).__name__)
    if isinstance(verdict, ApprovedOrder):
        assert PROMISES[promise](situation, verdict)


def with_market(s, **changes):
    return s | {"market": replace(s["market"], **changes)}


def with_intent(s, **changes):
    return s | {"intent": replace(s["intent"], **changes)}


def with_state(s, **changes):
    return s | {"state": replace(s["state"], **changes)}


def market_worse(name, by):
    def worse(s):
        return with_market(s, **{name: by(getattr(s["market"], name))})

    return worse


def against(s):
    newest = Overlay(timeframe=Timeframe.M15, trend=-0.01 * sign(s), updated_at=NOW)
    return with_market(s, overlays=(*s["market"].overlays, newest))


def more_held(s):
    more = a_position(str(sign(s)), symbol=SOL, notional=str(s["account"].equity / 10))
    if SOL in s["account"].positions:
        return s
    positions = {**s["account"].positions, SOL: more}
    return s | {"account": replace(s["account"], positions=positions)}


WORSE = {
    "less confidence": lambda s: with_intent(s, confidence=s["intent"].confidence * 0.9),
    "a weaker signal": lambda s: with_intent(s, alpha=s["intent"].alpha * 0.7),
    "more volatility": market_worse("realised_volatility", lambda v: v * 1.7),
    "more volatility of a bar": market_worse("bar_volatility", lambda v: v * 3),
    "a wider spread": market_worse("spread_bps", lambda v: v + 3.0),
    "a shallower book": market_worse("depth", lambda v: v / 3),
    "less volume": market_worse("adv", lambda v: v / 3),
    "a worse calibration": market_worse("calibration_error", lambda v: v + 0.2),
    "a smaller move ahead": market_worse("expected_move", lambda v: v / 4),
    "worse odds": market_worse("win_probability", lambda v: v * 0.8),
    "a less sure model": market_worse("model_confidence", lambda v: v * 0.6),
    "a nearer liquidation": lambda s: with_market(
        s, liquidation_price=Price(s["market"].price * (1 - sign(s) * Decimal("0.025")))
    ),
    "a wider range": market_worse("atr", lambda v: v * 3),
    "a spike": lambda s: with_market(s, mean_atr=s["market"].atr / 4),
    "an unusual move": lambda s: with_market(s, move=-0.04),
    "an older book": lambda s: with_market(s, book_at=NOW - timedelta(seconds=61)),
    "an older price": lambda s: with_market(s, priced_at=NOW - timedelta(seconds=61)),
    "a trend against it": against,
    "a higher peak": lambda s: with_state(
        s, peak_equity=Notional(s["state"].peak_equity * Decimal("1.07"))
    ),
    "a higher peak of the day": lambda s: with_state(
        s, day_peak=Notional(s["account"].equity * Decimal("1.12"))
    ),
    "another loss": lambda s: with_state(s, loss_streak=s["state"].loss_streak + 1),
    "more held": more_held,
    "a nearer target": lambda s: with_intent(
        s, target=Price((s["intent"].target + s["market"].price) / 2)
    ),
    "a desk paused": lambda s: with_state(s, paused_until={"a-desk": NOW + timedelta(minutes=1)}),
}


@pytest.mark.req("S1-85", "S1-92", "S0-19")
@pytest.mark.parametrize("change", WORSE)
@few
@given(full_situations())
def test_never_larger_with(change, situation):
    before = asked(situation)
    event(type(before).__name__)
    assert size(asked(WORSE[change](situation))) <= size(before)


CORRELATIONS = FULL_CHANGES["correlations"]
STREAK = {"losses": 1, "cool_down": "PT1H", "size": "0.1", "min_confidence": 0.9, "max_leverage": 1}
CAUTIOUS = {"max_leverage": 1, "min_confidence": 0.85, "size": "0.1"}
TIGHTER = [
    {"max_correlated_exposure": "0.1"},
    {"max_margin_use": "0.1"},
    {"margin_leverage": "1"},
    {"max_value_at_risk": "0.001"},
    {"kelly_fraction": "0.05"},
    {"max_adv_share": "0.001"},
    {"max_depth_share": "0.01"},
    {"volatility_target": 0.05},
    {"volatility_cap": "0.3"},
    {"volatility_guard": 0.1},
    {"dynamic_floor": 0.85},
    {"no_trade_below": 0.95},
    {"max_cost_to_risk": "0.1"},
    {"min_net_edge_bps": 500.0},
    {"overlay_threshold": 0.0},
    {"min_liquidation_distance": "0.4"},
    {"max_monthly_loss": "0.001"},
    {"restricted_hours": [{"start": "11:00", "end": "13:00"}]},
    {"spike_ratio": 0.1},
    {"unusual_move": 0.0001},
    {"min_depth": "1000000"},
    {"min_correlation": "0.01"},
    {"drawdown_leverage": [{"drawdown": "0.01", "max_leverage": "0.1"}]},
    {"allowed_symbols": [XRP]},
    {"derisk_drawdown": "0.05", "derisk_size": "0.25"},
    {"loss_streaks": [STREAK]},
    {"max_drawdown": "0.1"},
    {"max_open_positions": 2},
    {"min_reward_risk": "4"},
    {"min_stop_atr": 3.0},
    {"min_stop_distance": "0.018"},
    {"taker_fee": "0.01"},
    {"tiers": [{"min_confidence": 0.8, "size": "0.5", "max_leverage": 2}]},
    {"correlations": [{"first": BTC, "second": SOL, "correlation": "0.9"}, *CORRELATIONS]},
    {"dynamic_floor_calibration": 0.01},
    {"dynamic_floor_volatility": 0.01},
    {"max_book_age": "PT0.000001S"},
    {"max_daily_loss": "0.001"},
    {"max_day_drawdown": "0.01"},
    {"max_exposure": "0.3"},
    {"max_leverage": "0.3"},
    {"max_loss_streak": 1},
    {"max_position": "0.05"},
    {"max_positions_per_symbol": 1},
    {"max_price_age": "PT0.000001S"},
    {"max_risk_per_trade": "0.001"},
    {"max_spread_bps": 1.0},
    {"max_stop_distance": "0.018"},
    {"max_stop_distance_of": {BTC: "0.018"}},
    {"max_weekly_loss": "0.001"},
    {"overlay_timeframes": ["15m", "1h", "4h"]},
    {"refer_above": "0.01"},
    {"refer_below": 0.85},
    {"regimes": dict.fromkeys(Regime, CAUTIOUS)},
    {"slippage": "0.005"},
    {"spike_ratio": 0.1, "spike_size": "0.1"},
    {"value_at_risk_sigmas": 10.0},
    {"volatility_guard": 0.1, "volatility_guard_floor": 0.01},
]
ELSEWHERE = {
    "allocation",  # of exchanges; tightened in their own suite
    "cool_down_after_loss",
    "cool_down_after_move",
    "cool_down_after_order",
    "cool_down_after_rebalance",
    "drawdown_closes",
    "max_account_drawdown",  # of what is kept beside, of which these accounts have nothing
    "max_model_failures",
    "model_failure_pause",
    "overlay_max_age",  # which way it is tighter depends on what is read
    "overlay_rule",
    "overlay_size",  # zero, which vetoes, is the tightest
    "referral_span",
    "shadow",
    "spike_span",
    "trend_gate",  # on, which is the tightest
    "warn_daily_loss",
    "warn_exposure",
    "warn_margin_use",
    "weekly_cut",
}
"""Limits that make no single judgement tighter: of what the breaker does later, of what is said."""


@pytest.mark.parametrize("change", TIGHTER, ids=lambda change: next(iter(change)))
@settings(max_examples=20)
@given(full_situations())
def test_a_tighter_limit_never_gives_more(change, situation):
    tighter = asked(situation, limits=full_limits_with(**change))
    assert size(tighter) <= size(asked(situation))


def test_every_limit_is_tightened_or_has_no_tighter_way():
    tightened = {key for change in TIGHTER for key in change}
    assert tightened | ELSEWHERE == set(RiskLimits.model_fields)
    assert not tightened & ELSEWHERE


FLOATS = {
    "intent.alpha",
    "intent.confidence",
    "market.atr",
    "market.bar_volatility",
    "market.calibration_error",
    "market.expected_move",
    "market.realised_volatility",
    "market.spread_bps",
    "market.win_probability",
}
ODD = {
    "account.reconciled": [False],
    "intent.alpha": NO_FLOATS,
    "intent.confidence": NO_FLOATS,
    "intent.limit": NO_NUMBERS,
    "intent.quantity": NO_NUMBERS[:-2],  # of another sign, or nothing: asked elsewhere
    "intent.trigger": NO_NUMBERS,
    "market.book_at": [None],
    "market.expected_move": [None, *NO_FLOATS[:-1]],  # below zero is a move
    "market.priced_at": [None],
}
ASKED = [info for info in BOOK if info.kind is Kind.RULE and (info.entries or info.reductions)]
REJECTING = sorted(
    name
    for name in {name for rule in ASKED for name in rule.inputs}
    if not name.startswith("state.")  # our own, and measured by the mark that judging begins with
    and any(
        rule.inputs.get(name) in (Unreadable.REJECTS, Unreadable.REJECTS_IF_ON) for rule in ASKED
    )
)


@pytest.mark.req("S0-19")
@pytest.mark.parametrize("name", REJECTING)
@settings(max_examples=15)
@given(full_situations(), st.data())
def test_in_doubt_it_rejects(name, situation, data):
    usual = [None, *(NO_FLOATS if name in FLOATS else NO_NUMBERS)]
    value = data.draw(st.sampled_from(ODD.get(name, usual)))
    part, field = name.split(".")
    spoilt = situation | {part: replace(situation[part], **{field: value})}
    assert isinstance(asked(spoilt), Rejection)


@pytest.mark.req("S1-120", "S1-121")
@few
@given(full_situations(), st.sampled_from(["missing", "stale", "nan", "inf"]))
def test_an_overlay_that_cannot_be_read_is_neutral(situation, way):
    unread = {
        "missing": (),
        "stale": tuple(
            replace(o, trend=-1.0 * sign(situation), updated_at=NOW - timedelta(days=9))
            for o in situation["market"].overlays
        ),
        "nan": tuple(replace(o, trend=float("nan")) for o in situation["market"].overlays),
        "inf": tuple(
            replace(o, trend=-math.inf * sign(situation)) for o in situation["market"].overlays
        ),
    }[way]
    plain = asked(with_market(situation, overlays=()))
    assert asked(with_market(situation, overlays=unread)) == plain


@few
@given(full_situations(), st.randoms(use_true_random=False))
def test_the_whole_book_rests_on_its_arguments_alone(situation, random):
    verdict = asked(situation)
    shuffled = random.sample(rules.RULES_FOR_ENTRIES, len(rules.RULES_FOR_ENTRIES))
    with localcontext(prec=6, rounding=ROUND_UP), pytest.MonkeyPatch.context() as patch:
        assert repr(asked(situation)) == repr(verdict)
        patch.setattr(approval, "in_force", lambda off: shuffled)
        again = asked(situation)
    assert type(again) is type(verdict)
    assert size(again) == size(verdict)
    match verdict:
        case Rejection() | Revision() | Referral():
            assert set(again.objections) == set(verdict.objections)
        case ApprovedOrder():
            assert set(again.reductions) == set(verdict.reductions)


@few
@given(full_situations())
def test_a_cut_order_needs_no_second_cut(situation):
    verdict = asked(situation)
    if isinstance(verdict, ApprovedOrder):
        again = asked(with_intent(situation, quantity=verdict.quantity))
        assert (again.quantity, again.reductions) == (verdict.quantity, ())


words = st.text(max_size=20)


@pytest.mark.req("S0-20")
@few
@given(full_situations(), words, words)
def test_nothing_in_an_intents_text_changes_a_verdict(situation, strategy, intent_id):
    verdict = asked(situation)
    said = asked(with_intent(situation, strategy_id=strategy, intent_id=intent_id))
    assert type(said) is type(verdict)
    assert outcome(said) == outcome(verdict)


def outcome(verdict):
    facts = ("quantity", "objections", "reductions", "scales", "shadowed")
    return {name: getattr(verdict, name) for name in facts if hasattr(verdict, name)}


@few
@given(full_situations(), st.sampled_from([TradingState.HALTED, TradingState.REDUCING]))
def test_whatever_is_on_nothing_is_entered_in_a_halt(situation, trading):
    halted = with_state(
        situation,
        trading=trading,
        reason="a test",
        halted_until=NOW + timedelta(hours=1),
        halted_for="a test",
    )
    assert isinstance(asked(halted), Rejection)


@pytest.mark.req("S1-125")
@pytest.mark.parametrize("name", sorted(SHADOWABLE))
@settings(max_examples=20)
@given(full_situations())
def test_a_rule_in_shadow_only_speaks(name, situation):
    """It makes no order smaller, and what is said of it is what it would have said.

    A target may make more of a weak signal, so that without it an order can be smaller.
    """
    acting = asked(situation)
    tried = asked(situation, limits=full_limits_with(shadow=[name]))
    assert size(tried) >= size(acting) or name == "volatility_target"
    assert all(objection.rule == name for objection in tried.shadowed)
    if isinstance(acting, Rejection):
        said = {o for o in acting.objections if o.rule == name}
        assert said <= set(tried.shadowed)


@few
@given(full_situations())
def test_with_everything_in_shadow_what_guards_the_account_still_acts(situation):
    verdict = asked(situation, limits=full_limits_with(shadow=sorted(SHADOWABLE)))
    if isinstance(verdict, ApprovedOrder):
        for promise in ("the loss at the stop", "the position", "the exposure", "the leverage"):
            assert PROMISES[promise](situation, verdict)


def desk_of(situation, **changes):
    return DeskAccount(
        account=situation["account"],
        state=situation["state"],
        limits=full_limits_with(**changes) if changes else situation["limits"],
    )


@few
@given(full_situations())
def test_a_desk_that_is_the_whole_account_changes_nothing(situation):
    verdict = asked(situation)
    with_desk = asked(situation, desk=desk_of(situation))
    assert type(with_desk) is type(verdict)
    assert size(with_desk) == size(verdict)


@few
@given(full_situations(), st.sampled_from(["max_position", "max_risk_per_trade", "max_exposure"]))
def test_a_desks_own_limit_holds_beside_the_accounts(situation, key):
    both = asked(situation, desk=desk_of(situation, **{key: "0.001"}))
    alone = asked(situation, limits=full_limits_with(**{key: "0.001"}))
    assert size(both) <= min(size(alone), size(asked(situation)))


@few
@given(full_situations())
def test_a_desk_in_a_drawdown_enters_nothing_though_the_account_is_well(situation):
    deep = desk_of(situation)
    deep = replace(
        deep, state=replace(deep.state, peak_equity=Notional(situation["account"].equity * 2))
    )
    verdict = asked(situation, desk=deep)
    assert isinstance(verdict, Rejection)
    assert "desk.drawdown_limit" in {o.rule for o in verdict.objections}


soft = st.sampled_from([Decimal("0.001"), Decimal("0.002"), Decimal("0.04"), Decimal("0.08")])


def misplaced(situation, away):
    """The stop so far away, as a share of the price; and nobody who would refer it."""
    stop = situation["market"].price * (1 - sign(situation) * away)
    return with_intent(situation, stop=Price(stop.quantize(INSTRUMENT.tick))) | {"limits": FREE}


@pytest.mark.req("S3-45", "S3-47", "S3-50")
@settings(max_examples=80)
@given(full_situations(), soft, st.floats(0, 1), st.sampled_from(["1", "0.5"]))
def test_everything_inside_an_envelope_passes(situation, away, where, part):
    situation = misplaced(situation, away)
    verdict = asked(situation, can_revise=True)
    event(type(verdict).__name__)
    if not isinstance(verdict, Revision):
        return
    inside = verdict.envelope
    near, far = inside.nearest_stop, inside.farthest_stop
    stop = (near + (far - near) * Decimal(repr(where))).quantize(Decimal("0.01"))
    stop = min(max(stop, min(near, far)), max(near, far))
    wish = INSTRUMENT.quantity(inside.max_quantity * Decimal(part)) * sign(situation)
    if INSTRUMENT.is_dust(wish, situation["market"].price):
        return
    target = inside.nearest_target
    again = with_intent(
        situation,
        stop=Price(stop),
        target=situation["intent"].target if target is None else target,
        quantity=Quantity(wish),
        attempt=1,
    )
    passed = asked(again, can_revise=True)
    assert isinstance(passed, ApprovedOrder), passed
    assert passed.quantity == wish


@pytest.mark.req("S3-47", "S3-50")
@few
@given(full_situations(), soft)
def test_nobody_is_asked_for_a_second_revision(situation, away):
    situation = misplaced(situation, away)
    assert not isinstance(asked(with_intent(situation, attempt=1), can_revise=True), Revision)
    assert not isinstance(asked(situation, can_revise=False), Revision)


@pytest.mark.req("S3-45")
@few
@given(full_situations(), soft)
def test_a_revision_is_a_rejection_where_nobody_can_revise(situation, away):
    situation = misplaced(situation, away)
    verdict = asked(situation, can_revise=True)
    if isinstance(verdict, Revision):
        rejected = asked(situation)
        assert isinstance(rejected, Rejection)
        assert rejected.objections == verdict.objections


REFERS = full_limits_with(refer_above="0.0001")


@few
@given(full_situations())
def test_a_consent_lifts_a_referral_and_nothing_else(situation):
    situation = situation | {"limits": REFERS}
    verdict = asked(situation)
    assert not isinstance(verdict, ApprovedOrder)
    if not isinstance(verdict, Referral):
        return
    yes = consent(verdict, by="Ada", why="looked", now=NOW)
    approved = asked(situation, consent=yes)
    assert isinstance(approved, ApprovedOrder)
    assert approved.quantity == verdict.quantity
    late = situation | {"now": verdict.expires_at}
    assert not isinstance(asked(late, consent=yes), ApprovedOrder)
    halted = with_state(situation, trading=TradingState.HALTED, reason="a test")
    assert isinstance(asked(halted, consent=yes), Rejection)


@few
@given(full_situations())
def test_a_consent_is_good_for_no_more_than_was_shown(situation):
    situation = situation | {"limits": REFERS}
    verdict = asked(situation)
    if not isinstance(verdict, Referral):
        return
    yes = consent(verdict, by="Ada", why="looked", now=NOW)
    less = replace(yes, quantity=Quantity(verdict.quantity / 2))
    assert isinstance(asked(situation, consent=less), Referral)


held = st.dictionaries(
    st.sampled_from([BTC, XRP, ETH]),
    st.decimals("-3", "3", places=4).filter(lambda q: abs(q) > Decimal("0.2")),
    min_size=1,
)
PRICES = {BTC: INSTRUMENT} | {symbol: replace(INSTRUMENT, symbol=symbol) for symbol in (XRP, ETH)}


def breaking(positions, equity):
    account = an_account("1000", *(a_position(str(q), symbol=s) for s, q in positions.items()))
    account = replace(account, equity=Notional(Decimal(equity)))
    marked = Marked(equity=account.equity, at=NOW)
    return account, next_state(a_state(), marked, FULL)


@pytest.mark.req("S0-24", "S0-25")
@few
@given(held, st.sampled_from(["905", "895", "790", "1"]))
def test_a_breakers_orders_only_reduce_and_are_never_trapped(positions, equity):
    account, state = breaking(positions, equity)
    orders = breaker_intents(state, account, FULL, instruments=PRICES, closing=frozenset(), now=NOW)
    event("orders" if orders else "none")
    for intent in orders.intents if orders else ():
        market = replace(MARKET, instrument=PRICES[intent.symbol])
        verdict = judged(intent, account=account, market=market, state=state, limits=FULL)
        assert isinstance(verdict, ApprovedOrder)
        before = positions[intent.symbol]
        after = before + verdict.quantity
        assert after * before >= 0
        assert abs(after) < abs(before)


MARKET = approval.Market(
    instrument=INSTRUMENT,
    price=None,
    priced_at=None,
    rate=None,
    spread_bps=None,
    atr=None,
    regime="unknown",
)


@pytest.mark.req("S0-24")
@few
@given(held)
def test_a_weekly_cut_is_asked_for_once(positions):
    account, state = breaking(positions, "899")
    limits = full_limits_with(max_day_drawdown=1)
    state = next_state(a_state(), Marked(equity=account.equity, at=NOW), limits)
    given = {"instruments": PRICES, "closing": frozenset(), "now": NOW}
    orders = breaker_intents(state, account, limits, **given)
    assert {i.symbol for i in orders.intents} == set(positions)
    assert isinstance(orders.acted, BreakerActed)
    acted = next_state(state, orders.acted, limits)
    assert breaker_intents(acted, account, limits, **given) is None


@given(st.floats(0.001, 50), st.floats(0.001, 50), st.floats(0, 1), st.floats(0.1, 2))
def test_target_and_guard_together_never_trade_more_in_a_wilder_market(one, other, alpha, target):
    """The guard scales the signal, then the cap holds (section 7, row 2)."""
    calm, wild = sorted((one, other))

    def position(volatility):
        guard = guard_scale(volatility, cap=0.8, floor=0.25)
        assert 0.25 <= guard <= 1
        return targeted(alpha * guard, volatility, target=target, cap=1.0)

    assert 0 <= position(wild) <= position(calm) <= 1
