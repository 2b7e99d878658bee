"""Intents, accounts, markets and limits in which everything is in order, to be varied by a test."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from data.account import AccountState, ClosedTrade, InFlight, Position
from data.bar import Timeframe
from data.instrument import Instrument, Notional, Price, Quantity, Symbol
from data.regime import Regime
from risk.approval import Verdict, judge
from risk.breaker import RiskState, initial_state
from risk.case import Case
from risk.intent import Direction, OrderIntent, Purpose
from risk.limits import RiskLimits
from risk.market import Market, Overlay

BTC = Symbol("BTC/USDT")
XRP = Symbol("XRP/USDT")
NOW = datetime(2025, 3, 5, 12, tzinfo=UTC)  # a Wednesday; its week's Monday is the 3rd

REGIMES = {
    Regime.TRENDING_BULL: {"max_leverage": "5", "min_confidence": 0.60, "size": "1"},
    Regime.TRENDING_BEAR: {"max_leverage": "3", "min_confidence": 0.60, "size": "0.8"},
    Regime.RANGING: {"max_leverage": "2", "min_confidence": 0.60, "size": "0.6"},
    Regime.VOLATILE_BULL: {"max_leverage": "2", "min_confidence": 0.65, "size": "0.4"},
    Regime.VOLATILE_BEAR: {"max_leverage": "2", "min_confidence": 0.65, "size": "0.4"},
    Regime.CHOPPY: {"max_leverage": "1", "min_confidence": 0.75, "size": "0.25"},
    Regime.BREAKOUT_POTENTIAL: {"max_leverage": "3", "min_confidence": 0.60, "size": "0.75"},
    Regime.UNKNOWN: {"max_leverage": "1", "min_confidence": 0.70, "size": "0.5"},
}
SECTION: dict[str, Any] = {
    "allowed_symbols": [BTC, XRP],
    "max_price_age": "PT1M",
    "max_spread_bps": 10.0,
    "min_stop_distance": "0.005",
    "max_stop_distance": "0.05",
    "max_stop_distance_of": {BTC: "0.03"},
    "min_stop_atr": 1.5,
    "min_reward_risk": "1.5",
    "taker_fee": "0.0026",
    "slippage": "0",
    "max_cost_to_risk": "0",
    "min_net_edge_bps": 0.0,
    "trend_gate": False,
    "overlay_timeframes": [],
    "overlay_rule": "agreement",
    "overlay_threshold": 0.002,
    "overlay_max_age": 2.0,
    "overlay_size": "0",
    "no_trade_below": 0.0,
    "dynamic_floor": 0.0,
    "dynamic_floor_volatility": 0.0,
    "dynamic_floor_calibration": 0.0,
    "volatility_target": 0.0,
    "volatility_cap": "1",
    "volatility_guard": 0.0,
    "volatility_guard_floor": 0.25,
    "max_book_age": "PT0S",
    "min_depth": "0",
    "max_depth_share": "0",
    "max_adv_share": "0",
    "drawdown_leverage": [],
    "max_margin_use": "10",
    "margin_leverage": "1",
    "max_correlated_exposure": "10",
    "min_correlation": "0.5",
    "correlations": [],
    "max_positions_per_symbol": 2,
    "max_value_at_risk": "0",
    "value_at_risk_sigmas": 2.33,
    "min_liquidation_distance": "0",
    "kelly_fraction": "0",
    "max_monthly_loss": "0.15",
    "max_day_drawdown": "1",
    "weekly_cut": "0.5",
    "drawdown_closes": True,
    "spike_ratio": 3.0,
    "spike_size": "0.5",
    "spike_span": "PT15M",
    "unusual_move": 0.03,
    "cool_down_after_move": "PT10M",
    "cool_down_after_rebalance": "PT30M",
    "max_model_failures": 3,
    "model_failure_pause": "PT5M",
    "restricted_hours": [],
    "refer_above": "0",
    "refer_below": 0.0,
    "referral_span": "PT15M",
    "warn_daily_loss": "0.03",
    "warn_exposure": "0.7",
    "warn_margin_use": "0.4",
    "shadow": [],
    "max_risk_per_trade": "0.02",
    "max_position": "0.2",
    "max_exposure": "0.8",
    "max_leverage": "5",
    "max_open_positions": 5,
    "max_daily_loss": "0.05",
    "max_weekly_loss": "0.1",
    "max_drawdown": "0.2",
    "max_account_drawdown": "0.4",
    "derisk_drawdown": "0.1",
    "derisk_size": "0.5",
    "cool_down_after_order": "PT5M",
    "cool_down_after_loss": "PT10M",
    "max_loss_streak": 5,
    "tiers": [
        {"min_confidence": 0.85, "size": "1", "max_leverage": 5},
        {"min_confidence": 0.75, "size": "0.75", "max_leverage": 5},
        {"min_confidence": 0.65, "size": "0.5", "max_leverage": 5},
        {"min_confidence": 0.60, "size": "0.25", "max_leverage": 5},
    ],
    "loss_streaks": [
        {"losses": 3, "cool_down": "PT30M", "size": "1", "min_confidence": 0.7, "max_leverage": 5},
        {"losses": 5, "cool_down": "PT1H", "size": "0.5", "min_confidence": 0.8, "max_leverage": 5},
    ],
    "regimes": REGIMES,
    "allocation": {
        "targets": {"BTC": "0.5", "XRP": "0.25", "USDT": "0.25"},
        "max_order": "1000",
        "max_slippage": "0.005",
        "max_cost": "0.0075",
    },
}


def limits_with(**changes: Any) -> RiskLimits:
    """The default limits of PARAMETERS 1.3 and 1.6, but for `changes`."""
    return RiskLimits.model_validate(SECTION | changes)


LIMITS = limits_with()
FULL_CHANGES: dict[str, Any] = {
    "slippage": "0.0005",
    "max_cost_to_risk": "1",
    "min_net_edge_bps": 10.0,
    "trend_gate": True,
    "overlay_timeframes": ["15m", "1h"],
    "no_trade_below": 0.55,
    "dynamic_floor": 0.65,
    "dynamic_floor_volatility": 1.0,
    "dynamic_floor_calibration": 0.2,
    "volatility_target": 0.2,
    "volatility_guard": 0.8,
    "max_book_age": "PT1M",
    "min_depth": "1000",
    "max_depth_share": "0.1",
    "max_adv_share": "0.02",
    "drawdown_leverage": [
        {"drawdown": "0.05", "max_leverage": 3},
        {"drawdown": "0.10", "max_leverage": 2},
        {"drawdown": "0.15", "max_leverage": 1},
    ],
    "max_margin_use": "0.5",
    "margin_leverage": "3",
    "max_correlated_exposure": "0.4",
    "correlations": [
        {"first": BTC, "second": XRP, "correlation": "0.75"},
        {"first": BTC, "second": "XRP/BTC", "correlation": "0.60"},
        {"first": XRP, "second": "XRP/BTC", "correlation": "0.85"},
        {"first": BTC, "second": "ETH/USDT", "correlation": "-0.5"},
    ],
    "max_value_at_risk": "0.02",
    "min_liquidation_distance": "0.02",
    "kelly_fraction": "0.25",
    "max_day_drawdown": "0.1",
    "restricted_hours": [{"start": "22:00", "end": "02:00"}],
    "refer_above": "0.15",
    "refer_below": 0.62,
    "tiers": [
        {"min_confidence": 0.85, "size": "1", "max_leverage": 5},
        {"min_confidence": 0.75, "size": "0.75", "max_leverage": 4},
        {"min_confidence": 0.65, "size": "0.5", "max_leverage": 3},
        {"min_confidence": 0.60, "size": "0.25", "max_leverage": 2},
    ],
    "loss_streaks": [
        {
            "losses": 3,
            "cool_down": "PT30M",
            "size": "1",
            "min_confidence": 0.7,
            "max_leverage": 2,
        },
        {
            "losses": 5,
            "cool_down": "PT1H",
            "size": "0.5",
            "min_confidence": 0.8,
            "max_leverage": 1,
        },
    ],
}


def full_limits_with(**changes: Any) -> RiskLimits:
    """Every rule on, with the numbers of the requirements, but for `changes`."""
    return RiskLimits.model_validate(SECTION | FULL_CHANGES | changes)


FULL = full_limits_with()
INSTRUMENT = Instrument(
    symbol=BTC,
    tick=Decimal("0.01"),
    lot=Decimal("0.0001"),
    min_quantity=Quantity(Decimal("0.0001")),
    min_notional=Notional(Decimal(5)),
    max_leverage=Decimal(5),
)


def price(text: str | None) -> Price | None:
    return Price(Decimal(text)) if text is not None else None


def quantity(text: str | None) -> Quantity | None:
    return Quantity(Decimal(text)) if text is not None else None


def an_entry(
    wish: str | None = None, *, stop: str | None = "98", target: str | None = None, **changes: Any
) -> OrderIntent:
    """A long entry at 100; a short one for a `direction` of SHORT, with a stop of its own."""
    entry = OrderIntent(
        intent_id="an-intent",
        strategy_id="a-desk",
        symbol=BTC,
        purpose=Purpose.ENTRY,
        direction=Direction.LONG,
        decided_at=NOW,
        confidence=0.9,
        quantity=quantity(wish),
        stop=price(stop),
        target=price(target),
    )
    return replace(entry, **changes)


def an_exit(wish: str | None = None, **changes: Any) -> OrderIntent:
    closing = an_entry(
        wish, stop=None, purpose=Purpose.EXIT, direction=Direction.CLOSE, reduce_only=True
    )
    return replace(closing, **changes)


def a_market(**changes: Any) -> Market:
    """Everything known, the price 100, and an average true range of 1."""
    market = Market(
        instrument=INSTRUMENT,
        price=Price(Decimal(100)),
        priced_at=NOW,
        rate=Decimal(1),
        spread_bps=2.0,
        atr=1.0,
        regime=Regime.TRENDING_BULL,
    )
    return replace(market, **changes)


def a_full_market(**changes: Any) -> Market:
    """Everything known that any rule could ask for, calm, and with a long entry at 100."""
    return a_market(
        **{
            "overlays": (Overlay(timeframe=Timeframe.H1, trend=0.01, updated_at=NOW),),
            "realised_volatility": 0.2,
            "bar_volatility": 0.002,
            "mean_atr": 1.0,
            "move": 0.001,
            "book_at": NOW,
            "depth": Quantity(Decimal(1000)),
            "adv": Quantity(Decimal(100_000)),
            "model_confidence": 0.9,
            "calibration_error": 0.05,
            "expected_move": 0.05,
            "win_probability": 0.7,
            "liquidation_price": Price(Decimal(80)),
        }
        | changes
    )


def a_position(
    held: str, *, symbol: Symbol = BTC, mark: str = "100", notional: str | None = None
) -> Position:
    value = abs(Decimal(held)) * Decimal(mark) if notional is None else Decimal(notional)
    return Position(
        symbol=symbol,
        quantity=Quantity(Decimal(held)),
        entry_price=Price(Decimal(mark)),
        mark=Price(Decimal(mark)),
        notional=Notional(value),
        opened_at=NOW,
    )


def in_flight(
    remaining: str, *, symbol: Symbol = BTC, notional: str | None = None, reduce_only: bool = False
) -> InFlight:
    value = abs(Decimal(remaining)) * 100 if notional is None else Decimal(notional)
    return InFlight(
        client_order_id="an-order",
        symbol=symbol,
        quantity=Quantity(Decimal(remaining)),
        notional=Notional(value),
        reduce_only=reduce_only,
    )


def an_account(equity: str | None = "1000", *held: Position, **changes: Any) -> AccountState:
    account = AccountState(
        as_of=NOW,
        currency="USDT",
        equity=Notional(Decimal(equity)) if equity is not None else None,
        cash=Notional(Decimal(equity or 0)),
        positions={position.symbol: position for position in held},
    )
    return replace(account, **changes)


def a_state(equity: str = "1000", at: datetime = NOW, **changes: Any) -> RiskState:
    return replace(initial_state(Notional(Decimal(equity)), at), **changes)


def a_trade(pnl: str | None, *, symbol: Symbol = BTC, closed_at: datetime = NOW) -> ClosedTrade:
    return ClosedTrade(
        symbol=symbol,
        quantity=Quantity(Decimal(1)),
        pnl=Notional(Decimal(pnl)) if pnl is not None else None,
        fees=Notional(Decimal(0)),
        opened_at=NOW,
        closed_at=closed_at,
    )


def a_case(intent: OrderIntent | None = None, *, sized: str = "1", **changes: Any) -> Case:
    """What a single rule sees, at a size of the test's choosing."""
    case = Case(
        intent=intent if intent is not None else an_entry(),
        quantity=Quantity(Decimal(sized)),
        account=an_account(),
        market=a_market(),
        state=a_state(),
        limits=LIMITS,
        now=NOW,
    )
    return replace(case, **changes)


def judged(intent: OrderIntent, **changes: Any) -> Verdict:
    given: dict[str, Any] = {
        "account": an_account(),
        "market": a_market(),
        "state": a_state(),
        "limits": LIMITS,
        "now": NOW,
    }
    return judge(intent, **(given | changes))
