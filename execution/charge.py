"""What a venue takes or pays apart from fills: fees for what it lends, and funding."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from data.instrument import Symbol


class ChargeKind(StrEnum):
    """What is paid for."""

    OPENING = "opening"  # that something was lent, once
    ROLLOVER = "rollover"  # that it is still owed, every so often
    FUNDING = "funding"  # between holders of perpetuals, either way
    LIQUIDATION = "liquidation"  # that the venue had to end a position by force


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One change of a balance that no fill makes; `charge_id` is the venue's, unique there."""

    charge_id: str
    kind: ChargeKind
    asset: str
    amount: Decimal  # above zero we have paid it, below zero received
    symbol: Symbol | None  # of the position; None where the venue does not say
    charged_at: datetime  # venue time
