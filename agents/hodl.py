"""Hodl bags: a part of every profit is set aside, and what it buys is never sold (S0-36).

A bag only grows: there is no transition that takes from it, and every purchase is a buy. What is
set aside waits in the account's currency until there is enough of it for an order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.allocation import ARITHMETIC, AllocationTrade
from data.account import ClosedTrade
from data.instrument import Instrument, Notional, Price, Side, Symbol

Share = Annotated[Decimal, Field(gt=0, lt=1)]
Amount = Annotated[Decimal, Field(gt=0)]

_NOTHING = Decimal(0)
_CENT_OF_A_CENT = Decimal("0.0001")


class HodlSettings(BaseModel):
    """What is set aside, and when it buys (PARAMETERS 1.8)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    currency: str
    """The account's; its bag needs no order."""
    share: Share
    """Of the net profit of a trade; losses are not counted against it."""
    min_profit: Amount
    """Less net profit than this sets nothing aside."""
    split: Mapping[str, Share]
    """Of what is set aside, by asset; the sum is 1."""
    thresholds: Mapping[str, Amount]
    """By asset: what must have been set aside before it is used, in the account's currency."""
    max_at_once: Amount
    """Most that one trade sets aside."""
    max_a_day: Amount
    """Most that is set aside in a UTC day."""
    max_slippage: Share
    """How far beyond the mark a purchase may fill, as a share of it."""
    retries: Annotated[int, Field(ge=0)]
    """So many purchases in a row may fail to fill before an asset waits until the next UTC day."""
    retry_after: Annotated[timedelta, Field(ge=timedelta(0))]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if sum(self.split.values()) != 1:
            raise ValueError(f"split adds up to {sum(self.split.values())}, not to 1")
        if self.thresholds.keys() != self.split.keys():
            raise ValueError("split and thresholds name different assets")
        if self.currency not in self.split:
            raise ValueError(f"split leaves no share for {self.currency}, which takes remainders")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class HodlBag:
    """One asset: what is kept of it for good, what it cost, and what waits to buy more."""

    quantity: Decimal = _NOTHING
    cost: Decimal = _NOTHING  # in the account's currency
    waiting: Decimal = _NOTHING  # set aside and not spent; a fee may take it below zero
    asked_at: datetime | None = None  # a purchase is under way
    failures: int = 0  # purchases in a row that bought nothing
    not_before: datetime | None = None  # no purchase until then


_EMPTY = HodlBag()


@dataclass(frozen=True, slots=True, kw_only=True)
class HodlState:
    """All bags, by asset, and how much was set aside on `day`."""

    bags: Mapping[str, HodlBag] = field(default_factory=dict)
    day: date | None = None
    set_aside: Decimal = _NOTHING

    def bag(self, asset: str) -> HodlBag:
        """The bag of `asset`, empty if it never had anything."""
        return self.bags.get(asset, _EMPTY)

    def with_bag(self, asset: str, bag: HodlBag) -> "HodlState":
        """The same with another bag of `asset`."""
        return replace(self, bags={**self.bags, asset: bag})


@dataclass(frozen=True, slots=True, kw_only=True)
class HodlPurchase:
    """A purchase for a bag, planned at `planned_at`."""

    asset: str
    planned_at: datetime
    trade: AllocationTrade


def after_trade(state: HodlState, trade: ClosedTrade, settings: HodlSettings) -> HodlState:
    """The state once `trade` is closed; the same object where it sets nothing aside.

    A trade of unknown profit sets nothing aside. What the limits do not let through stays with the
    trading book.
    """
    profit = trade.pnl
    if profit is None or not profit.is_finite() or profit < settings.min_profit:
        return state
    today = trade.closed_at.date()
    so_far = state.set_aside if state.day == today else _NOTHING
    with localcontext(ARITHMETIC):
        amount = _cut(profit * settings.share)
        amount = min(amount, settings.max_at_once, settings.max_a_day - so_far)
    if amount <= 0:
        return state
    state = replace(state, day=today, set_aside=so_far + amount)
    for asset, part in split(amount, settings).items():
        bag = state.bag(asset)
        state = state.with_bag(asset, replace(bag, waiting=bag.waiting + part))
    return _currency_kept(state, settings)


def split(amount: Decimal, settings: HodlSettings) -> dict[str, Decimal]:
    """`amount` by asset, to four places; the currency takes the remainder, so nothing is lost."""
    with localcontext(ARITHMETIC):
        parts = {asset: _cut(amount * share) for asset, share in settings.split.items()}
        rest = amount - sum(parts.values())
        return parts | {settings.currency: parts[settings.currency] + rest}


def _currency_kept(state: HodlState, settings: HodlSettings) -> HodlState:
    """What is set aside in the account's own currency is in its bag, once it is enough."""
    currency = settings.currency
    bag = state.bag(currency)
    if bag.waiting < settings.thresholds[currency]:
        return state
    kept = replace(
        bag, quantity=bag.quantity + bag.waiting, cost=bag.cost + bag.waiting, waiting=_NOTHING
    )
    return state.with_bag(currency, kept)


def purchase_due(
    state: HodlState,
    prices: Mapping[str, Decimal],
    instruments: Mapping[Symbol, Instrument],
    settings: HodlSettings,
    *,
    now: datetime,
) -> tuple[HodlState, HodlPurchase | None]:
    """The next purchase, and the state in which it is under way; assets in the order of `split`.

    Args:
        prices: Of one unit, in the account's currency; what is not priced is not bought.

    One purchase of an asset is under way at a time, until `purchased` or `ended` say otherwise.
    """
    for asset in settings.split:
        bag, price = state.bag(asset), prices.get(asset)
        if asset == settings.currency or price is None or not _may_buy(bag, asset, settings, now):
            continue
        instrument = instruments[Symbol(f"{asset}/{settings.currency}")]
        trade = _purchase(bag.waiting, Price(price), instrument, settings.max_slippage)
        if trade is not None:
            state = state.with_bag(asset, replace(bag, asked_at=now))
            return state, HodlPurchase(asset=asset, planned_at=now, trade=trade)
    return state, None


def purchased(state: HodlState, asset: str, quantity: Decimal, cost: Decimal) -> HodlState:
    """The state once `quantity` was bought for `cost`, in the account's currency, fees included.

    Raises:
        ValueError: nothing was bought, or it cost nothing.
    """
    if not (quantity > 0 and cost > 0):
        raise ValueError(f"no purchase: {quantity} {asset} for {cost}")
    bag = state.bag(asset)
    return state.with_bag(
        asset,
        replace(
            bag,
            quantity=bag.quantity + quantity,
            cost=bag.cost + cost,
            waiting=bag.waiting - cost,
            failures=0,
        ),
    )


def ended(
    state: HodlState, asset: str, *, has_bought: bool, settings: HodlSettings, now: datetime
) -> HodlState:
    """The state once the order for `asset` has ended, refused ones included."""
    bag = replace(state.bag(asset), asked_at=None)
    if has_bought:
        return state.with_bag(asset, replace(bag, failures=0, not_before=None))
    failures = bag.failures + 1
    if failures > settings.retries:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return state.with_bag(asset, replace(bag, failures=0, not_before=midnight))
    not_before = now + settings.retry_after
    return state.with_bag(asset, replace(bag, failures=failures, not_before=not_before))


def _may_buy(bag: HodlBag, asset: str, settings: HodlSettings, now: datetime) -> bool:
    rests = bag.not_before is not None and now < bag.not_before
    return bag.asked_at is None and not rests and bag.waiting >= settings.thresholds[asset]


def _purchase(
    amount: Decimal, price: Price, instrument: Instrument, max_slippage: Decimal
) -> AllocationTrade | None:
    """What `amount` buys even at the worst price allowed; None for what no venue takes."""
    with localcontext(ARITHMETIC):
        quantity = instrument.quantity(amount / (price * (1 + max_slippage)))
    if instrument.is_dust(quantity, price):
        return None
    return AllocationTrade(
        symbol=instrument.symbol,
        side=Side.BUY,
        quantity=quantity,
        price=price,
        value=Notional(quantity * price),
    )


def _cut(amount: Decimal) -> Decimal:
    """To four places, never up."""
    return amount.quantize(_CENT_OF_A_CENT, rounding=ROUND_DOWN)
