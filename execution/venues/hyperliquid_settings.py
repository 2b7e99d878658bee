"""How the daemon trades at Hyperliquid: the `[venue]` section with kind "hyperliquid"."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field

from data.instrument import Symbol
from execution.dead_man import DeadManSettings
from execution.venues.ccxt_venue import CcxtVenueSettings

Span = Annotated[timedelta, Field(gt=timedelta(0))]
Share = Annotated[Decimal, Field(gt=0, lt=1)]
KEY_NAME: Final = "HYPERLIQUID_AGENT_KEY"
"""Where the environment has the agent's private key."""


class HyperliquidVenueSettings(CcxtVenueSettings):
    """How the account's orders are placed; the agent's key is in the environment."""

    kind: Literal["hyperliquid"]
    testnet: bool = False
    reserve: Annotated[int, Field(ge=0)] = 100
    """Of the actions that the account has left, those that are kept for what reduces positions."""
    leverage: Annotated[Mapping[Symbol, Annotated[int, Field(ge=1, le=5)]], Field(min_length=1)]
    """Of each symbol that is traded; the account's markets are set to it, on cross margin."""
    slippage: Share
    """The most that an order at market gives from the middle, a share of the price."""
    stop_slippage: Share
    """The most that a stop gives from its trigger; a triggered stop fills within it only."""
    order_deadline: Annotated[timedelta, Field(ge=timedelta(seconds=0.5), le=timedelta(minutes=1))]
    """Hyperliquid takes an order no later than this after it was sent."""
    dead_man: DeadManSettings
    """What takes resting entries back if the daemon is no more."""
    request_timeout: Span = timedelta(seconds=10)
    """The longest wait for one answer, in real time."""

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Where the environment has what no log may show."""
        return (KEY_NAME,)
