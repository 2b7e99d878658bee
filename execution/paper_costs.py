"""What holding a position costs, and where a venue takes it away: funding, borrowing, liquidation.

Pure functions of figures that the caller knows; nothing here is a fill. Amounts are in quote
currency, and exact but for prices, which are divided to 28 digits. Positions are signed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from data.funding import FundingRate
from data.instrument import Notional, Price, Quantity
from execution.exact import EXACT

ROLLOVER_INTERVAL: Final = timedelta(hours=4)
MARGIN_CALL_LEVEL: Final = Decimal("0.80")
LIQUIDATION_LEVEL: Final = Decimal("0.40")
"""Kraken's, both of them "approximately": equity over used margin.

Source: Kraken Support, "Margin call level and margin liquidation level".
"""

_ZERO = Notional(Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRates:
    """Kraken's margin fees as shares of what it lends, fixed when the position is opened.

    Each is 0.01 to 0.02 % (PARAMETERS.md 1.7), 0.025 % for some currencies lent.

    Source: Kraken Support, "What are the fees (opening and rollover) for trading using margin?".
    """

    opening: Decimal
    rollover: Decimal  # each four hours


def funding_paid(rate: FundingRate, position: Quantity, price: Price) -> Notional:
    """What `position`, held when `rate` was due, paid; below zero it was received.

    `price` is the venue's for funding at that time: Binance's mark price, Hyperliquid's oracle.

    Raises:
        ValueError: the rate is not settled, and may change.

    Source:
        Hyperliquid Docs, "Funding": size * oracle price * rate, longs pay where it is above zero;
        Binance Support, "Introduction to Binance Futures Funding Rates": notional * rate.
    """
    if not rate.is_settled:
        raise ValueError(f"{rate.symbol}: the funding of {rate.at} is not settled")
    return Notional(EXACT.multiply(EXACT.multiply(position, price), rate.rate))


def lent(position: Quantity, cost: Notional, price: Price) -> Notional:
    """What Kraken lends for a position that `cost` so much to open: fees and margin are of this.

    A long borrows the quote that it cost, and owes that; a short borrows base, worth the `price`.
    """
    if position >= 0:
        return Notional(cost.copy_abs())
    return Notional(EXACT.multiply(position.copy_abs(), price))


def opening_fee(amount: Notional, rates: MarginRates) -> Notional:
    """For having `amount` lent."""
    return Notional(EXACT.multiply(amount, rates.opening))


def rollover_fee(amount: Notional, rates: MarginRates, times: int) -> Notional:
    """For owing `amount` so many times over four hours."""
    return Notional(EXACT.multiply(EXACT.multiply(amount, rates.rollover), Decimal(times)))


def rollovers(opened_at: datetime, since: datetime, until: datetime) -> int:
    """How often a position opened at `opened_at` rolls over in (since, until].

    The first time is four hours after it was opened.
    """
    before, by = (max((at - opened_at) // ROLLOVER_INTERVAL, 0) for at in (since, until))
    return max(by - before, 0)


def used_margin(amount: Notional, leverage: Decimal) -> Notional:
    """What Kraken binds of the account for `amount` lent, rounded at 28 digits.

    Source: Kraken Support, "Terminology used on the Overview page": opening cost / leverage; and
        "Margin trading examples": a short's is bound in base, so that it grows with the price.
    """
    return Notional(amount / leverage)


def margin_level(equity: Notional, used: Notional) -> Decimal | None:
    """Equity over used margin, of all positions; None where none is used.

    Kraken liquidates below `LIQUIDATION_LEVEL`, the oldest position first.
    """
    return equity / used if used else None


def margin_liquidation_price(
    position: Quantity,
    entry: Price,
    *,
    leverage: Decimal,
    balance: Notional,
    level: Decimal = LIQUIDATION_LEVEL,
) -> Price | None:
    """Where the only position of a Kraken account falls to a margin `level`; None: at no price.

    `balance` is the account without the position's profit, in the quote currency alone.

    Raises:
        ValueError: there is no position.

    Source:
        Kraken Support, "Margin call level and margin liquidation level", solved for the price.
    """
    size = _size(position)
    if position > 0:
        return _real(entry - balance / size + level * entry / leverage)
    return _real((entry + balance / size) / (1 + level / leverage))


def maintenance_share(max_leverage: Decimal) -> Decimal:
    """Hyperliquid's maintenance margin as a share of notional: half the least initial margin.

    Source: Hyperliquid Docs, "Liquidations"; for assets without margin tiers.
    """
    return 1 / (2 * max_leverage)


def maintenance_margin(notionals: Iterable[tuple[Notional, Decimal]]) -> Notional:
    """Of perpetuals margined together: each notional by its share. Less equity is liquidated."""
    parts = (EXACT.multiply(value.copy_abs(), share) for value, share in notionals)
    return Notional(sum(parts, _ZERO))


def perpetual_liquidation_price(
    position: Quantity,
    mark: Price,
    *,
    equity: Notional,
    share: Decimal,
    elsewhere: Notional = _ZERO,
) -> Price | None:
    """The mark price at which equity is down to the maintenance margin; None: at no price.

    `equity` is at the current `mark`, and `elsewhere` the maintenance margin of other positions,
    whose prices stand still; margined alone, it is the position's own equity, and nothing.

    Raises:
        ValueError: there is no position.

    Source:
        Hyperliquid Docs, "Liquidations": price - side * margin available / size / (1 - l * side).
    """
    size = _size(position)
    side = 1 if position > 0 else -1
    available = equity - elsewhere - share * size * mark
    return _real(mark - side * available / size / (1 - share * side))


def _size(position: Quantity) -> Decimal:
    if not position:
        raise ValueError("what is flat cannot be liquidated")
    return position.copy_abs()


def _real(price: Decimal) -> Price | None:
    return Price(price) if price > 0 else None
