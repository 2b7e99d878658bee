"""How the daemon trades at Kraken: the `[venue]` section of config/*.toml with kind "kraken"."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from data.instrument import Symbol
from data.kraken_db.window import KEY_NAMES
from execution.dead_man import DeadManSettings
from execution.venues.ccxt_venue import CcxtVenueSettings

Span = Annotated[timedelta, Field(gt=timedelta(0))]


class KrakenVenueSettings(CcxtVenueSettings):
    """The account's verification, and how its orders are placed; keys are in the environment."""

    kind: Literal["kraken"]
    tier: Literal["starter", "intermediate", "pro"] = "starter"
    """How far the account is verified: what Kraken's counters allow it."""
    reserve: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of each pair's order counter that is kept for what reduces positions."""
    leverage: Mapping[Symbol, Annotated[int, Field(ge=2, le=5)]] = {}
    """Symbols that are traded on margin, and at how much; the others are spot."""
    order_deadline: Annotated[timedelta, Field(ge=timedelta(seconds=0.5), le=timedelta(minutes=1))]
    """The matching engine takes an order no later than this after it was sent."""
    entries_rest: Span | None = None
    """A resting entry expires at Kraken after so long; without it, it stays."""
    attach_stops: bool = True
    """Whether an entry takes its stop along; else protection places it once it is filled.

    Kraken takes one conditional close with an entry, and does not hold it to reducing. A target is
    therefore never attached in the stop's stead: on spot the close would hold back what the stop
    sells, and on margin one that is left when the stop has filled, while nobody is there to cancel
    it, opens another position without a stop. Without this, stop and target are reduce-only orders
    side by side on margin."""
    dead_man: DeadManSettings
    """What takes resting entries back if the daemon is no more."""
    request_timeout: Span = timedelta(seconds=10)
    """The longest wait for one answer, in real time."""

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Where the environment has what no log may show."""
        return KEY_NAMES
