"""What holders of perpetuals pay each other."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from data.faults import Malformed
from data.instrument import Price, Symbol
from data.utc import require_utc


class MalformedFunding(Malformed):
    """Numbers that no funding rate can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """The rate that was, or as it stands will be, paid at `at`: above zero, longs pay shorts.

    Raises:
        MalformedFunding: the rate is not finite, or the interval is not above zero.
        NaiveTime: a time is not in UTC.
    """

    symbol: Symbol
    at: datetime  # when it is paid, UTC
    seen_at: datetime  # exchange time of the message; a settled rate has `at` here
    rate: Decimal  # share of notional for one interval
    interval: timedelta  # one hour on Hyperliquid, mostly eight on Binance
    mark_price: Price | None = None

    def __post_init__(self) -> None:
        require_utc(self.at)
        require_utc(self.seen_at)
        if not self.rate.is_finite() or self.interval <= timedelta(0):
            raise MalformedFunding(f"{self.symbol} {self.at}: {self.rate} each {self.interval}")

    @property
    def is_settled(self) -> bool:
        """Whether it was paid, and will not change."""
        return self.seen_at >= self.at
