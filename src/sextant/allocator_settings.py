"""What the operator says of the holdings: the `[allocation]` section."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.allocation import AllocationSettings, equal_targets
from agents.hodl import HodlSettings
from data.bar import Timeframe
from data.instrument import Symbol
from execution.exact import EXACT
from risk.limits import AllocationLimits


class AllocatorSettings(BaseModel):
    """What is kept beside the trading book, and how often it is looked at (S0-1, S0-2, S0-36)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    enabled: bool
    portfolio: Mapping[str, Annotated[Decimal, Field(ge=0, le=1)]]
    """By asset, which share of its opening balance is kept; the rest is the trading book's. It can
    be changed only together with the account: where books are kept, it says what they began as."""
    timeframe: Timeframe
    """The allocator looks when a bar of this size has closed in every pair of the holdings."""
    patience: Annotated[timedelta, Field(gt=timedelta(0))]
    """An order of the allocator that has rested for so long is cancelled when it next looks; the
    end that the venue may set to what rests comes later."""
    rebalance: AllocationSettings
    hodl: HodlSettings

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name, assets in (("portfolio", self.portfolio), ("hodl.split", self.hodl.split)):
            if unknown := set(assets) - set(self.rebalance.assets):
                raise ValueError(f"{name}: {', '.join(sorted(unknown))} is not in rebalance.assets")
        return self


def portfolio_of(
    balances: Mapping[str, Decimal], settings: AllocatorSettings | None
) -> dict[str, Decimal]:
    """What of the opening `balances` is kept beside the trading book; nothing where that is off."""
    if settings is None or not settings.enabled:
        return {}
    shares = settings.portfolio
    return {
        asset: EXACT.multiply(balances.get(asset, Decimal(0)), shares.get(asset, Decimal(0)))
        for asset in settings.rebalance.assets
    }


def allocation_problems(
    settings: AllocatorSettings,
    *,
    currency: str,
    symbols: frozenset[Symbol],
    limits: AllocationLimits,
) -> Iterator[str]:
    """What keeps it from working with the rest of the configuration, a line each.

    Args:
        symbols: Of all instruments.
        limits: Those of the gate, which every exchange has to pass.
    """
    assets = settings.rebalance.assets
    for asset in assets:
        if asset != currency and f"{asset}/{currency}" not in symbols:
            yield f"rebalance.assets: {asset} needs the instrument {asset}/{currency}"
    if currency not in assets:
        yield f"rebalance.assets: {currency}, the account's currency, is missing"
    if settings.hodl.currency != currency:
        yield f"hodl.currency: {settings.hodl.currency}; the account's is {currency}"
    targets = {target.asset: target.share for target in equal_targets(assets)}
    if limits.targets != targets:
        wanted = ", ".join(f"{asset} {share}" for asset, share in targets.items())
        yield f"rebalance.assets: risk.allocation.targets has other shares than {wanted}"
    for name, slippage in (
        ("rebalance", settings.rebalance.max_slippage),
        ("hodl", settings.hodl.max_slippage),
    ):
        if slippage > limits.max_slippage:
            yield f"{name}.max_slippage: beyond risk.allocation.max_slippage, so none would pass"
