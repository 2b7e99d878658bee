"""A venue has changed how it takes orders."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.instrument import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Relisted:
    """From now on these instruments have these grids and minimums; a fact in the journal."""

    at: datetime
    instruments: tuple[Instrument, ...]  # those that are others than before
    taker_fee: Decimal  # of all: the highest, as a share
