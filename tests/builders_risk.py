"""Intents, accounts, markets and limits in which everything is in order, to be varied by a test."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from data.account import AccountState, ClosedTrade, InFlight, Position
from data.instrument import Instrument, Notional, Price, Quantity, Symbol
from data.regime import Regime
from risk.approval import Verdict, judge
from risk.breaker import RiskState, initial_state
from risk.case import Case
from risk.intent import Direction, OrderIntent, Purpose
from risk.limits import RiskLimits
from risk.market import Market

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
    "max_risk_per_trade": "0.02",
    "max_position": "0.2",
    "max_exposure": "0.8",
    "max_leverage": "5",
    "max_open_positions": 5,
    "max_daily_loss": "0.05",
    "max_weekly_loss": "0.1",
    "max_drawdown": "0.2",
    "derisk_drawdown": "0.1",
    "derisk_size": "0.5",
    "cool_down_after_order": "PT5M",
    "cool_down_after_loss": "PT10M",
    "max_loss_streak": 5,
    "tiers": [
        {"min_confidence": 0.85, "size": "1"},
        {"min_confidence": 0.75, "size": "0.75"},
        {"min_confidence": 0.65, "size": "0.5"},
        {"min_confidence": 0.60, "size": "0.25"},
    ],
    "loss_streaks": [
        {"losses": 3, "cool_down": "PT30M", "size": "1", "min_confidence": 0.7},
        {"losses": 5, "cool_down": "PT1H", "size": "0.5", "min_confidence": 0.8},
    ],
    "regimes": REGIMES,
}


def limits_with(**changes: Any) -> RiskLimits:
    """The default limits of PARAMETERS 1.3 and 1.6, but for `changes`."""
    return RiskLimits.model_validate(SECTION | changes)


LIMITS = limits_with()
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
