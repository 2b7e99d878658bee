"""Holdings at their target shares: how far they have drifted, and the trades that bring them back.

Holdings are what is kept for its own sake, apart from what trades hold and from the hodl bags;
nothing here counts those, or sells them. Everything is valued in the account's currency.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import (
    ROUND_DOWN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.faults import Refused
from data.instrument import Instrument, Notional, Price, Quantity, Side, Symbol, Toward
from risk.intent import Direction, OrderIntent, Purpose, intent_id

Share = Annotated[Decimal, Field(gt=0, lt=1)]
Amount = Annotated[Decimal, Field(gt=0)]
Span = Annotated[timedelta, Field(gt=timedelta(0))]

_NOTHING = Decimal(0)
_ONE = Decimal(1)
_SHARE_STEP = Decimal("0.0001")

# What is reckoned may not depend on a context that somebody else has set.
ARITHMETIC = Context(
    prec=50, rounding=ROUND_DOWN, traps=[DivisionByZero, InvalidOperation, Overflow]
)
"""Rounds quotients down, so that no trade goes past what it is for."""


class NoRoute(Refused):
    """No pair that may be traded, and no two, lead from one asset to another."""


class AllocationSettings(BaseModel):
    """When and how holdings are brought back to their shares (PARAMETERS 1.8)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    assets: Annotated[tuple[str, ...], Field(min_length=2)]
    """What is held in equal shares; the last takes the remainder."""
    trigger: Share
    """Drift of one asset, as a share of everything, at which a rebalance begins."""
    warn: Share
    critical: Share
    min_interval: Span
    """Between the beginnings of two rebalances, however far the drift."""
    min_trade: Amount
    """Least value of a trade, and of each part of one, in the account's currency."""
    batch_above: Amount
    """Turnover beyond which trades are cut into batches."""
    batches: Annotated[int, Field(ge=1)]
    batch_interval: Span
    max_slippage: Share
    """How far beyond the mark an order may fill, as a share of it."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if len(set(self.assets)) < len(self.assets):
            raise ValueError("an asset is named twice")
        if not self.trigger <= self.warn <= self.critical:
            raise ValueError("trigger, warn and critical may not fall")
        if self.batch_interval * self.batches > self.min_interval:
            raise ValueError("the batches of one rebalance would reach into the next")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The share, in [0, 1], of all holdings that `asset` is to have."""

    asset: str
    share: Decimal


def equal_targets(assets: Sequence[str]) -> tuple[Target, ...]:
    """Equal shares to four places; the last asset takes the remainder, so that the sum is 1.

    Three assets have 33.33 %, 33.33 % and 33.34 % (REQUIREMENTS section 6, "Allocation").
    """
    share = (_ONE / len(assets)).quantize(_SHARE_STEP, rounding=ROUND_DOWN)
    rest = _ONE - share * (len(assets) - 1)
    return tuple(
        Target(asset=asset, share=rest if asset == assets[-1] else share) for asset in assets
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What is held of each asset, and what a unit of it is worth in the account's currency."""

    quantities: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]  # of at least what `quantities` names

    def __post_init__(self) -> None:
        for asset, quantity in self.quantities.items():
            price = self.prices.get(asset)
            if price is None or not (price.is_finite() and price > 0):
                raise ValueError(f"{asset} is held, and its price is {price}")
            if not (quantity.is_finite() and quantity >= 0):
                raise ValueError(f"nobody holds {quantity} {asset}")

    def value(self, asset: str) -> Notional:
        """What is held of `asset` is worth this."""
        held = self.quantities.get(asset, _NOTHING)
        return Notional(held * self.prices[asset] if held else _NOTHING)

    @property
    def total(self) -> Notional:
        """The worth of everything."""
        return Notional(sum(map(self.value, self.quantities), _NOTHING))

    def price(self, symbol: Symbol) -> Price:
        """The price of a pair that the prices of its assets come to."""
        return Price(self.prices[symbol.base] / self.prices[symbol.quote])


class DriftLevel(StrEnum):
    """How far the asset that has drifted farthest is from its target."""

    CALM = "calm"
    DUE = "due"  # a rebalance may begin
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One asset's share of the holdings against its target; both in [0, 1]."""

    asset: str
    share: Decimal
    target: Decimal

    @property
    def size(self) -> Decimal:
        """How far the one is from the other, as a share of everything."""
        return abs(self.share - self.target)


def drifts(holdings: Holdings, targets: Sequence[Target]) -> tuple[Drift, ...]:
    """The drift of every target's asset; none at all where nothing is held."""
    with localcontext(ARITHMETIC):
        total = holdings.total
        return tuple(
            Drift(
                asset=target.asset,
                share=holdings.value(target.asset) / total,
                target=target.share,
            )
            for target in targets
            if total
        )


def drift_level(found: Sequence[Drift], settings: AllocationSettings) -> DriftLevel:
    """The level of the largest drift; each begins at its number."""
    worst = max((drift.size for drift in found), default=_NOTHING)
    if worst >= settings.critical:
        return DriftLevel.CRITICAL
    if worst >= settings.warn:
        return DriftLevel.WARNING
    return DriftLevel.DUE if worst >= settings.trigger else DriftLevel.CALM


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationTrade:
    """An exchange of one holding for another, at the marks."""

    symbol: Symbol
    side: Side
    quantity: Quantity  # base, above zero, on the lot grid
    price: Price
    value: Notional  # in the account's currency


def trades_to_target(
    holdings: Holdings,
    targets: Sequence[Target],
    instruments: Mapping[Symbol, Instrument],
    *,
    min_trade: Decimal,
) -> tuple[AllocationTrade, ...]:
    """The trades that bring `holdings` to `targets` with the least turnover, sells first.

    What there is too much of is exchanged straight for what there is too little of, wherever the
    pair may be traded; only what is left over goes through a third asset. Each unit of excess
    leaves its asset once, so no road moves less; where a pair is missing, three assets leave only
    one road. No trade gives more than is held by then. Trades worth less than `min_trade`, or too
    small for the venue, are left out.

    Raises:
        NoRoute: see there.
    """
    with localcontext(ARITHMETIC):
        total = holdings.total
        excess = {t.asset: holdings.value(t.asset) - t.share * total for t in targets}
        flows = _flows(excess, instruments)
        found = [_trade(holdings, instruments[symbol], flow) for symbol, flow in flows.items()]
        return tuple(_payable(holdings, sells_first(found), instruments, min_trade))


def _payable(
    holdings: Holdings,
    trades: Sequence[AllocationTrade],
    instruments: Mapping[Symbol, Instrument],
    min_trade: Decimal,
) -> Iterator[AllocationTrade]:
    """Each trade as far as what it gives is held once those before it have filled."""
    for trade in trades:
        instrument, symbol = instruments[trade.symbol], trade.symbol
        if trade.side is Side.SELL:
            most = holdings.quantities.get(symbol.base, _NOTHING)
        else:
            most = holdings.quantities.get(symbol.quote, _NOTHING) / trade.price
        if trade.quantity > most:
            trade = resized(trade, instrument.quantity(most))
        if trade.value >= min_trade and not instrument.is_dust(trade.quantity, trade.price):
            holdings = after(holdings, (trade,))
            yield trade


def sells_first(trades: Sequence[AllocationTrade]) -> tuple[AllocationTrade, ...]:
    """Sells before buys, each in the order given: what a buy costs has come in before it."""
    return tuple(sorted(trades, key=lambda trade: trade.side is Side.BUY))


def after(holdings: Holdings, trades: Sequence[AllocationTrade]) -> Holdings:
    """The holdings once `trades` have filled at their prices, without fees."""
    quantities = dict(holdings.quantities)
    with localcontext(ARITHMETIC):
        for trade in trades:
            change = trade.side.sign * trade.quantity
            base, quote = trade.symbol.base, trade.symbol.quote
            quantities[base] = quantities.get(base, _NOTHING) + change
            quantities[quote] = quantities.get(quote, _NOTHING) - change * trade.price
    return Holdings(quantities=quantities, prices=holdings.prices)


def _flows(excess: Mapping[str, Decimal], pairs: Collection[Symbol]) -> dict[Symbol, Decimal]:
    """What has to be bought of each pair's base, below zero sold, by value."""
    left = dict(excess)
    flows: dict[Symbol, Decimal] = {}
    for direct in (True, False):
        for giver, taker in _matches(left):
            value = min(left[giver], -left[taker])
            if value <= 0:
                continue  # an earlier match has used it up
            path = _direct(giver, taker, pairs) if direct else _path(giver, taker, left, pairs)
            for symbol, sign in path:
                flows[symbol] = flows.get(symbol, _NOTHING) + sign * value
            if path:
                left[giver] -= value
                left[taker] += value
    return flows


def _matches(excess: Mapping[str, Decimal]) -> list[tuple[str, str]]:
    """Everything that there is too much of with everything that there is too little of."""
    ordered = sorted(excess, key=lambda asset: (-abs(excess[asset]), asset))
    givers = [asset for asset in ordered if excess[asset] > 0]
    takers = [asset for asset in ordered if excess[asset] < 0]
    return [(giver, taker) for giver in givers for taker in takers]


_Leg = tuple[Symbol, int]  # +1 buys the base with the quote, -1 sells it


def _direct(giver: str, taker: str, pairs: Collection[Symbol]) -> tuple[_Leg, ...]:
    """The pair of two assets; empty where it may not be traded."""
    for name, sign in ((f"{giver}/{taker}", -1), (f"{taker}/{giver}", 1)):
        if name in pairs:
            return ((Symbol(name), sign),)
    return ()


def _path(
    giver: str, taker: str, assets: Collection[str], pairs: Collection[Symbol]
) -> tuple[_Leg, ...]:
    """From one asset to another through a third."""
    for middle in sorted(assets):
        first, second = _direct(giver, middle, pairs), _direct(middle, taker, pairs)
        if first and second:
            return first + second
    raise NoRoute(f"{giver} cannot be exchanged for {taker} with {', '.join(sorted(pairs))}")


def _trade(holdings: Holdings, instrument: Instrument, flow: Decimal) -> AllocationTrade:
    symbol = instrument.symbol
    unit = holdings.prices[symbol.base]
    quantity = instrument.quantity(abs(flow) / unit)
    return AllocationTrade(
        symbol=symbol,
        side=Side.BUY if flow > 0 else Side.SELL,
        quantity=quantity,
        price=holdings.price(symbol),
        value=Notional(quantity * unit),
    )


def parts(
    trade: AllocationTrade, instrument: Instrument, *, most: int, min_trade: Decimal
) -> Iterator[AllocationTrade]:
    """`trade` in at most `most` equal parts on the lot grid; the first takes the remainder.

    There are fewer where a part would be worth less than `min_trade`, or too little for the venue.
    """
    count = next(n for n in range(most, 0, -1) if n == 1 or _fits(trade, instrument, n, min_trade))
    each = instrument.quantity(trade.quantity / count)
    for n in range(count):
        quantity = trade.quantity - each * (count - 1) if n == 0 else each
        yield resized(trade, Quantity(quantity))


def _fits(trade: AllocationTrade, instrument: Instrument, count: int, min_trade: Decimal) -> bool:
    part = resized(trade, instrument.quantity(trade.quantity / count))
    return part.value >= min_trade and not instrument.is_dust(part.quantity, part.price)


def resized(trade: AllocationTrade, quantity: Quantity) -> AllocationTrade:
    """The same trade of another quantity."""
    return replace(
        trade, quantity=quantity, value=Notional(trade.value * quantity / trade.quantity)
    )


def allocation_intent(
    strategy_id: str,
    trade: AllocationTrade,
    instrument: Instrument,
    *,
    purpose: Purpose,
    planned_at: datetime,
    decided_at: datetime,
    max_slippage: Decimal,
) -> OrderIntent:
    """What the gate is asked: a limit order `max_slippage` beyond the mark, and no stop.

    The id is that of the plan, so that asking twice for one part of it is asking for one order.
    """
    is_buy = trade.side is Side.BUY
    worst = trade.price * (1 + trade.side.sign * max_slippage)
    return OrderIntent(
        intent_id=intent_id(strategy_id, trade.symbol, planned_at, purpose),
        strategy_id=strategy_id,
        symbol=trade.symbol,
        purpose=purpose,
        direction=Direction.LONG if is_buy else Direction.SHORT,
        decided_at=decided_at,
        confidence=1.0,  # no opinion on the market: no rule that reads it is asked
        quantity=Quantity(trade.side.sign * trade.quantity),
        limit=instrument.price(worst, Toward.LOWER if is_buy else Toward.HIGHER),
    )
