"""What a person should know before a limit is reached; nothing here stops an order."""

from collections.abc import Iterator
from decimal import Decimal

from data.account import AccountState
from risk.breaker import RiskState
from risk.case import known
from risk.limits import RiskLimits
from risk.objection import Objection, plain

_NOTHING = Decimal(0)


def alerts(state: RiskState, account: AccountState, limits: RiskLimits) -> tuple[Objection, ...]:
    """What has come near: the day's loss, a drawdown, exposure and collateral, at their marks.

    An unknown equity is no alert here: it stops entries, and the breaker says so.
    """
    equity = known(account.equity)
    return () if equity is None else tuple(_near(state, account, limits, equity))


def _near(
    state: RiskState, account: AccountState, limits: RiskLimits, equity: Decimal
) -> Iterator[Objection]:
    if (start := known(state.day.equity)) is not None:
        yield from _beyond("daily_loss", (start - equity) / start, limits.warn_daily_loss)
    if (peak := known(state.peak_equity)) is not None:
        yield from _beyond("drawdown", (peak - equity) / peak, limits.derisk_drawdown)
    gross = sum((abs(p.notional) for p in account.positions.values()), _NOTHING) / equity
    yield from _beyond("exposure", gross, limits.warn_exposure)
    yield from _beyond("margin_use", gross / limits.margin_leverage, limits.warn_margin_use)


def _beyond(what: str, seen: Decimal, mark: Decimal) -> Iterator[Objection]:
    if mark and seen >= mark:
        yield Objection(
            rule=f"near.{what}", observed=plain(seen), limit=f"< {plain(mark)}", unit="share"
        )
