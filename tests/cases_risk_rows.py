"""Every input of the rule book spoilt in every way, and what each scale, breaker and alert does."""

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from data.bar import Timeframe
from data.instrument import Notional
from data.regime import Regime
from risk import rules
from risk.alerts import alerts
from risk.approval import ApprovedOrder, Rejection, judge
from risk.breaker import (
    Marked,
    MarketSeen,
    ModelFailed,
    TradingState,
    initial_state,
    next_state,
    trading_at,
)
from risk.breaker_orders import breaker_intents
from risk.intent import Purpose
from risk.limits import RiskLimits
from risk.market import Overlay
from risk.rulebook import BOOK, RuleInfo, Unreadable
from tests.builders_risk import (
    BTC,
    FULL_CHANGES,
    INSTRUMENT,
    NOW,
    SECTION,
    a_case,
    a_full_market,
    a_position,
    a_state,
    a_trade,
    an_account,
    an_entry,
    limits_with,
)
from tests.cases_risk_exchange import HOLDINGS, an_exchange

NO_NUMBER = (Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"))
NO_FLOAT = (math.nan, math.inf, -math.inf)
DAY = timedelta(days=1)
OFF = {"min_stop_atr": 0.0, "max_spread_bps": 0.0, "spike_ratio": 0.0}
ON = SECTION | FULL_CHANGES | {"refer_above": "0.5"}

SPOILT = {
    "account.cash": NO_NUMBER,
    "account.equity": (None, *NO_NUMBER),
    "account.holdings": (
        (),
        tuple(replace(holding, quantity=Decimal("NaN"), value=None) for holding in HOLDINGS),
    ),
    "account.reconciled": (False,),
    "intent.alpha": NO_FLOAT,
    "intent.confidence": NO_FLOAT,
    "intent.limit": NO_NUMBER,
    "intent.quantity": NO_NUMBER,
    "intent.stop": (None, *NO_NUMBER),
    "intent.target": NO_NUMBER,
    "intent.trigger": NO_NUMBER,
    "market.adv": (None, *NO_NUMBER),
    "market.atr": (None, *NO_FLOAT),
    "market.bar_volatility": (None, *NO_FLOAT),
    "market.book_at": (None, NOW - DAY, NOW + DAY),
    "market.calibration_error": (None, *NO_FLOAT),
    "market.depth": (None, *NO_NUMBER),
    "market.expected_move": (None, *NO_FLOAT),
    "market.liquidation_price": (None, *NO_NUMBER),
    "market.mean_atr": (None, *NO_FLOAT),
    "market.model_confidence": (None, *NO_FLOAT),
    "market.move": (None, *NO_FLOAT),
    "market.overlays": (
        (),
        *((Overlay(timeframe=Timeframe.H1, trend=x, updated_at=NOW),) for x in NO_FLOAT),
        (Overlay(timeframe=Timeframe.H1, trend=-1.0, updated_at=NOW - DAY),),
    ),
    "market.price": (None, *NO_NUMBER),
    "market.priced_at": (None, NOW - DAY, NOW + DAY),
    "market.rate": (None, *NO_NUMBER),
    "market.realised_volatility": (None, *NO_FLOAT),
    "market.spread_bps": (None, *NO_FLOAT),
    "market.win_probability": (None, *NO_FLOAT),
    "state.day_peak": (None, *NO_NUMBER),
    "state.equity_known": (False,),
    "state.peak_equity": (None, *NO_NUMBER),
    "trade.pnl": (None, *NO_NUMBER),
}
"""By input: everything that it can be when it cannot be read."""


def with_its_limits_only(info: RuleInfo) -> RiskLimits:
    """The account's guards, and of all that can be off only what belongs to `info`."""
    return RiskLimits.model_validate(SECTION | OFF | {key: ON[key] for key in info.limits})


def in_order(row=None, name=""):
    """Everything known, and an entry, or an exchange for such a `row`, that every rule passes."""
    is_entry = row is None or row.entries or row.reductions
    purpose = Purpose.HODL if name == "account.cash" else Purpose.ALLOCATION
    return {
        "intent": an_entry(target="110") if is_entry else an_exchange(purpose=purpose),
        "account": an_account("1000", holdings=HOLDINGS),
        "market": a_full_market(),
        "state": a_state(),
    }


def spoilt(name, row=None):
    """The same with one input unreadable, in each of its ways."""
    owner, _, attribute = name.partition(".")
    for value in SPOILT[name]:
        parts = in_order(row, name)
        yield parts | {owner: replace(parts[owner], **{attribute: value})}


def judged(parts, limits):
    return judge(**parts, limits=limits, now=NOW)


def is_refused(name, parts, limits):
    """Judged; what a judgement's own mark makes known again, by the rules alone."""
    if name in ("state.peak_equity", "state.day_peak", "state.equity_known"):
        case = a_case(**(parts | {"limits": limits}))
        return any(rule(case) is not None for rule in rules.RULES_FOR_ENTRIES)
    return isinstance(judged(parts, limits), Rejection)


def rejects(info, name):
    limits = with_its_limits_only(info)
    assert isinstance(judged(in_order(info, name), limits), ApprovedOrder)
    assert all(is_refused(name, parts, limits) for parts in spoilt(name, info))


def rejects_if_on(info, name):
    rejects(info, name)
    off = RiskLimits.model_validate(SECTION | OFF)
    assert all(isinstance(judged(parts, off), ApprovedOrder) for parts in spoilt(name))


def neutral(info, name):
    limits = with_its_limits_only(info)
    if info.name == "alerts":
        assert not any(alerts(p["state"], p["account"], limits) for p in spoilt(name))
        return
    if info.name == "cool_downs":
        blind = (next_state(a_state(), seen(move=value), limits) for value in SPOILT[name])
        assert all(state == a_state() for state in blind)
        return
    usual = judged(in_order(info, name), limits)
    assert isinstance(usual, ApprovedOrder)
    assert all(judged(parts, limits).quantity == usual.quantity for parts in spoilt(name, info))


def neutral_if_missing(info, name):
    limits = with_its_limits_only(info)
    for value, parts in zip(SPOILT[name], spoilt(name), strict=True):
        assert isinstance(judged(parts, limits), ApprovedOrder if value is None else Rejection)
    off = RiskLimits.model_validate(SECTION | OFF)
    assert all(isinstance(judged(parts, off), ApprovedOrder) for parts in spoilt(name))


def stops_entries(info, name):
    limits = with_its_limits_only(info)
    for value in SPOILT[name]:
        blind = next_state(a_state(), Marked(equity=value, at=NOW), limits)
        assert trading_at(blind, NOW) is TradingState.REDUCING
        known = next_state(blind, Marked(equity=Notional(Decimal(1000)), at=NOW), limits)
        assert trading_at(known, NOW) is TradingState.ACTIVE


def counts_as_loss(info, name):
    limits = with_its_limits_only(info)
    for value in SPOILT[name]:
        state = next_state(a_state(), replace(a_trade("1"), pnl=value), limits)
        assert state.loss_streak == 1
        assert state.cool_down_until[BTC] == NOW + limits.cool_down_after_loss


HOW = {
    Unreadable.REJECTS: rejects,
    Unreadable.REJECTS_IF_ON: rejects_if_on,
    Unreadable.NEUTRAL: neutral,
    Unreadable.NEUTRAL_IF_MISSING: neutral_if_missing,
    Unreadable.STOPS_ENTRIES: stops_entries,
    Unreadable.COUNTS_AS_LOSS: counts_as_loss,
}
INPUTS = {
    f"{info.name}: {name}": (info, name, way) for info in BOOK for name, way in info.inputs.items()
}
"""By id: a row of the book, one of its inputs, and what the book says of it."""


def seen(**changes):
    values = {"symbol": BTC, "atr": None, "mean_atr": None, "move": None, "at": NOW}
    return MarketSeen(**(values | changes))


def share_of(parts=(), **limits):
    """What is left of a full size, at wide limits but for `limits`."""
    wide = limits_with(
        tiers=[{"min_confidence": 0.0, "size": 1, "max_leverage": 5}], min_stop_atr=0
    )
    full = judged(in_order(), wide).quantity
    changed = RiskLimits.model_validate(wide.model_dump(mode="json") | limits)
    return judged(in_order() | dict(parts), changed).quantity / full


def tier():
    tiers = [
        {"min_confidence": 0.95, "size": 1, "max_leverage": 5},
        {"min_confidence": 0.5, "size": "0.5", "max_leverage": 5},
    ]
    assert share_of(tiers=tiers) == Decimal("0.5")


def regime():
    assert share_of({"market": a_full_market(regime=Regime.RANGING)}) == Decimal("0.6")


def derisk():
    fallen = {"state": a_state(peak_equity=Notional(Decimal(1120)))}
    assert share_of(fallen) == Decimal("0.5")


def loss_streak():
    assert share_of({"state": a_state(loss_streak=5)}) == Decimal("0.5")


def volatility_spike():
    wild = {"market": a_full_market(atr=3.01, mean_atr=1.0)}
    assert share_of(wild) == Decimal("0.5")
    assert share_of({"market": a_full_market(atr=3.0, mean_atr=1.0)}) == 1


def volatility_guard():
    wild = {"market": a_full_market(realised_volatility=1.6)}
    assert share_of(wild, volatility_guard=0.8) == Decimal("0.5")
    assert share_of(wild) == 1


def volatility_target():
    wild = {"market": a_full_market(realised_volatility=0.4)}
    assert share_of(wild, volatility_target=0.2) == Decimal("0.5")
    assert share_of(wild) == 1


def cool_downs():
    limits = limits_with()
    moved = next_state(a_state(), seen(move=-0.031), limits)
    assert moved.cool_down_until == {BTC: NOW + limits.cool_down_after_move}
    assert next_state(a_state(), seen(move=0.03), limits) == a_state()


def losing():
    state, limits = a_state(), limits_with()
    for _ in range(limits.max_loss_streak + 1):
        assert state.trading is not TradingState.HALTED
        state = next_state(state, a_trade("-1"), limits)
    assert state.trading is TradingState.HALTED


def model_breaker():
    state, limits = a_state(), limits_with()
    for _ in range(limits.max_model_failures):
        assert not state.paused_until
        state = next_state(state, ModelFailed(strategy_id="a-desk", at=NOW), limits)
    assert state.paused_until == {"a-desk": NOW + limits.model_failure_pause}


def equity_unknown():
    state = next_state(a_state(), Marked(equity=None, at=NOW), limits_with())
    assert (state.trading, state.reason) == (TradingState.REDUCING, "equity_unknown")


def account_drawdown():
    limits, state = limits_with(), a_state()
    for whole, halted in (("3000", False), ("1801", False), ("1800", True)):
        state = next_state(
            state, Marked(equity=Decimal(1000), whole=Decimal(whole), at=NOW), limits
        )
        assert (state.trading is TradingState.HALTED) is halted
        assert state.latch is None  # nothing is closed, and no holding sold
    assert state.reason == "account_drawdown_limit"


def closing():
    limits = limits_with()
    for equity, left in (("895", "1"), ("790", "0"), ("960", None)):
        state = initial_state(Notional(Decimal(1000)), NOW)
        state = next_state(state, Marked(equity=Notional(Decimal(equity)), at=NOW), limits)
        account = an_account(equity, a_position("2"))
        orders = breaker_intents(
            state, account, limits, instruments={BTC: INSTRUMENT}, closing=frozenset(), now=NOW
        )
        assert (orders is None) == (left is None)
        if orders is not None:
            (intent,) = orders.intents
            asked = Decimal(-2) if intent.quantity is None else intent.quantity
            assert 2 - abs(asked) == Decimal(left)


def near_a_limit():
    said = alerts(a_state(), an_account("970"), limits_with())
    assert [near.rule for near in said] == ["near.daily_loss"]
    assert not alerts(a_state(), an_account("970.01"), limits_with())


def shadow():
    against = {"market": a_full_market(regime=Regime.TRENDING_BEAR)}
    wide = {"trend_gate": True}
    assert isinstance(judged(in_order() | against, limits_with(**wide)), Rejection)
    tried = judged(in_order() | against, limits_with(**wide, shadow=["trend"]))
    assert isinstance(tried, ApprovedOrder)
    assert [objection.rule for objection in tried.shadowed] == ["trend"]


OTHERS = {
    "tier": tier,
    "regime": regime,
    "derisk": derisk,
    "loss_streak": loss_streak,
    "volatility_spike": volatility_spike,
    "volatility_guard": volatility_guard,
    "volatility_target": volatility_target,
    "cool_downs": cool_downs,
    "losing": losing,
    "model_breaker": model_breaker,
    "equity_unknown": equity_unknown,
    "account_drawdown": account_drawdown,
    "closing": closing,
    "alerts": near_a_limit,
    "shadow": shadow,
}
"""By name: what proves each scale, breaker and alert."""
