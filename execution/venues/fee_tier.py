"""What an account pays for its trades."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeTier:
    """What the account pays now: shares of notional."""

    maker: Decimal
    taker: Decimal
