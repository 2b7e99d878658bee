"""What a breaker does beyond stopping entries: the reducing intents that it asks for.

Cut once a week by the weekly limit; closed, as long as anything is held, while the kill switch is
on. They are intents like any other, and judged like any other.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.account import AccountState
from data.instrument import Instrument, Quantity, Symbol
from risk.breaker import (
    DAY_DRAWDOWN,
    DRAWDOWN,
    WEEKLY_LOSS,
    BreakerActed,
    RiskState,
)
from risk.intent import Direction, OrderIntent, Purpose, intent_id
from risk.limits import RiskLimits

FLATTEN = "flatten"
"""What `BreakerActed` says of a person's kill switch; of a breaker's it says the limit."""
BREAKER, OPERATOR = "breaker", "operator"
"""The strategies that a breaker's intents, and those of a person's flatten, are recorded under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOrders:
    """What is to be asked for, and the event that is to be told with it; nothing: None."""

    intents: tuple[OrderIntent, ...]
    acted: BreakerActed


def breaker_intents(
    state: RiskState,
    account: AccountState,
    limits: RiskLimits,
    *,
    instruments: Mapping[Symbol, Instrument],
    closing: AbstractSet[Symbol],
    now: datetime,
) -> BreakerOrders | None:
    """The reductions that the breaker asks for at `now`; of what is dust, none.

    Args:
        instruments: Of every symbol held; a cut lies on its lot grid, towards what is closed.
        closing: Symbols that an order at market closes already; they are left alone.
    """
    if state.latch is not None:
        whole = {symbol: Decimal(1) for symbol in account.positions if symbol not in closing}
        by_breaker = state.latch.reason in (DRAWDOWN, DAY_DRAWDOWN)
        reason, asker = (state.latch.reason, BREAKER) if by_breaker else (FLATTEN, OPERATOR)
        return _orders(reason, asker, whole, account, instruments, now)
    if limits.weekly_cut > 0 and _cuts(state):
        return _orders(
            WEEKLY_LOSS,
            BREAKER,
            dict.fromkeys(account.positions, limits.weekly_cut),
            account,
            instruments,
            now,
        )
    return None


def _cuts(state: RiskState) -> bool:
    """Whether the week's limit was reached, and its cut has not been asked for this week."""
    acted = state.acted.get(WEEKLY_LOSS)
    return state.weekly_reached == state.week.date and (
        acted is None or acted.date() < state.week.date
    )


def _orders(
    reason: str,
    asker: str,
    shares: Mapping[Symbol, Decimal],
    account: AccountState,
    instruments: Mapping[Symbol, Instrument],
    now: datetime,
) -> BreakerOrders | None:
    intents = []
    for symbol, share in sorted(shares.items()):
        position, traded = account.positions[symbol], instruments[symbol]
        held = position.quantity
        part = held if share == 1 else traded.quantity(held * share)
        if part and not traded.is_dust(part, position.mark):
            intents.append(_reduction(asker, symbol, Quantity(-part), now))
    if not intents:
        return None
    return BreakerOrders(intents=tuple(intents), acted=BreakerActed(reason=reason, at=now))


def _reduction(asker: str, symbol: Symbol, quantity: Quantity, now: datetime) -> OrderIntent:
    return OrderIntent(
        intent_id=intent_id(asker, symbol, now, Purpose.FLATTEN),
        strategy_id=asker,
        symbol=symbol,
        purpose=Purpose.FLATTEN,
        direction=Direction.CLOSE,
        decided_at=now,
        confidence=1.0,
        quantity=quantity,
        reduce_only=True,
    )
