"""What a private stream says beside orders and fills."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from execution.venue import VenueEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTold:
    """A balance of the account has changed."""

    asset: str
    left: Decimal | None  # None: the stream does not say
    at: datetime  # venue time
    by_trading: bool  # a fill, its fees, interest or funding: what we are told in other ways too


@dataclass(frozen=True, slots=True)
class StillThere:
    """The stream is open, and has had nothing to say for a while."""


Heard = VenueEvent | BalanceTold | StillThere
