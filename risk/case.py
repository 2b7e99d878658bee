"""All that a rule may see: one order, sized, against one account at one moment."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data.account import AccountState
from data.instrument import Quantity
from risk.breaker import RiskState
from risk.intent import OrderIntent
from risk.limits import RiskLimits
from risk.market import Market

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`intent` with the size that is proposed for it, and everything it is judged by."""

    intent: OrderIntent
    quantity: Quantity  # signed, on the lot grid; zero where no size could be found
    account: AccountState
    market: Market
    state: RiskState  # marked with the account's equity at `now`
    limits: RiskLimits
    now: datetime

    @property
    def sign(self) -> int:
        """+1 for a long entry, -1 for a short one."""
        return self.intent.direction.sign

    @property
    def equity(self) -> Decimal:
        """The account's equity; zero, of which every share is nothing, where it is unknown."""
        return known(self.account.equity) or _NOTHING

    @property
    def price(self) -> Decimal | None:
        """The last price, in quote currency."""
        return known(self.market.price)

    @property
    def rate(self) -> Decimal | None:
        """The price of one unit of quote currency in the account's."""
        return known(self.market.rate)

    @property
    def entry_price(self) -> Decimal | None:
        """Where an entry would fill, in quote currency: at the market, or where it waits."""
        price, trigger, limit = self.price, self.intent.trigger, self.intent.limit
        if price is None or (trigger is None and limit is None):
            return price
        better, worse = (min, max) if self.sign > 0 else (max, min)
        if trigger is not None:
            price = worse(price, trigger)
        return better(price, limit) if limit is not None else price

    @property
    def unit_value(self) -> Decimal | None:
        """Notional of one unit of base, in the account's currency, at the dearer of the prices."""
        price, entry, rate = self.price, self.entry_price, self.rate
        if price is None or entry is None or rate is None:
            return None
        return max(price, entry) * rate

    @property
    def stop_distance(self) -> Decimal | None:
        """From the entry to a stop on its losing side, in quote currency; None without one."""
        entry, stop = self.entry_price, known(self.intent.stop)
        if entry is None or stop is None:
            return None
        return known((entry - stop) * self.sign)

    @property
    def drawdown(self) -> Decimal:
        """Fall from peak equity, as a fraction of the peak; 1 where it cannot be told."""
        peak = known(self.state.peak_equity)
        return (peak - self.equity) / peak if peak is not None else Decimal(1)


def known(value: Decimal | None) -> Decimal | None:
    """`value` where it is a finite number above zero, which all prices and rates must be."""
    return value if value is not None and value.is_finite() and value > 0 else None
