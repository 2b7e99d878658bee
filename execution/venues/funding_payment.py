"""What an account has paid or received for holding a perpetual."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.instrument import Quantity, Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPayment:
    """One payment of funding, as the venue has booked it."""

    symbol: Symbol
    at: datetime  # venue time
    position: Quantity  # signed, as held when it was due
    rate: Decimal  # longs pay it where it is above zero
    amount: Decimal  # of the quote currency; above zero is received
