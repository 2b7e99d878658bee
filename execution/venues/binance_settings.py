"""How the daemon trades at Binance USD-M: `[venue]` with kind "binanceusdm" or its testnet's."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from data.instrument import Symbol
from execution.dead_man import DeadManSettings
from execution.venues.ccxt_venue import CcxtVenueSettings

Span = Annotated[timedelta, Field(gt=timedelta(0))]


def key_names(*, testnet: bool) -> tuple[str, str]:
    """Where the environment has the key, and its secret."""
    prefix = "BINANCE_TESTNET_API" if testnet else "BINANCE_API"
    return f"{prefix}_KEY", f"{prefix}_SECRET"


class BinanceVenueSettings(CcxtVenueSettings):
    """How the account's markets are set, and its orders placed; keys are in the environment."""

    kind: Literal["binanceusdm", "binanceusdm_testnet"]
    reserve: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of the order counters that is kept for what reduces positions."""
    leverage: Annotated[Mapping[Symbol, Annotated[int, Field(ge=1, le=5)]], Field(min_length=1)]
    """Of each symbol that is traded; the account's markets are set to it."""
    margin: Literal["isolated", "cross"] = "isolated"
    triggered_by: Literal["mark", "last"] = "mark"
    """Which price sets off stops."""
    receive_window: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(minutes=1))]
    """Binance takes no request that is older than this."""
    entries_rest: Annotated[timedelta, Field(gt=timedelta(minutes=10))] | None = None
    """A limit entry expires at Binance after so long; without it, it stays."""
    dead_man: DeadManSettings
    """What takes resting entries back if the daemon is no more."""
    request_timeout: Span = timedelta(seconds=10)
    """The longest wait for one answer, in real time."""

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Where the environment has what no log may show."""
        return key_names(testnet=self.kind == "binanceusdm_testnet")
