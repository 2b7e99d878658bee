"""The allocator: beside the desks, it keeps holdings at their shares and fills hodl bags.

It looks when all its pairs have closed a bar of its timeframe. What it asks for goes through the
same gate and the same engine as a desk's intents. Buys wait until the sells of their batch have
ended; an order that rests for too long is cancelled. A part of every profit of the trading book is
set aside as the trade closes; what buys for a bag is paid by the trading book.

What must be remembered is one `AllocationState`, on record whenever it has changed. What bags hold
is not taken from it, but from the ledger, which follows the fills: so a crash between a fill and
the next state loses nothing and counts nothing twice. Orders go on record first and the state that
says so after them: a crash in between leaves orders in flight, which keep others from being asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from agents.allocation import (
    AllocationTrade,
    Drift,
    DriftLevel,
    Holdings,
    allocation_intent,
    drift_level,
    drifts,
    equal_targets,
    trades_to_target,
)
from agents.hodl import HodlState, after_trade, ended, purchase_due, purchased
from agents.rebalancing import Batch, RebalanceState, step, still_wanted
from data.account import ClosedTrade
from data.bar import Bar
from data.instrument import Instrument, Notional, Side, Symbol
from execution.engine import Engine
from execution.holdings import SetAside
from execution.ledger import Ledger
from execution.tracking import TrackedOrder
from risk.intent import OrderIntent, Purpose, intent_id
from sextant.allocator_settings import AllocatorSettings

ALLOCATOR = "allocation"
"""The strategy id of what it asks for."""

_NOTHING = Decimal(0)
_SHOWN = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationState:
    """What the allocator remembers; a restart goes on from the newest on record."""

    rebalance: RebalanceState = field(default_factory=RebalanceState)
    buys: Batch | None = None  # they wait until the sells of their batch have ended
    hodl: HodlState = field(default_factory=HodlState)
    told: DriftLevel = DriftLevel.CALM  # the alert on drift that is in force


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """A look at the holdings that led to something."""

    at: datetime
    total: Notional  # worth of the portfolio, bags aside
    drifts: tuple[Drift, ...]
    level: DriftLevel
    asked: tuple[OrderIntent, ...]
    given_up: tuple[str, ...]  # client order ids of orders that have rested for too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the allocator wants done, and the state once it is."""

    record: Allocated
    set_aside: SetAside | None
    alert: str  # empty: nothing to tell
    state: AllocationState


class Allocator:
    """Watches what is kept; whoever drives it puts on record and to the gate what it asks for."""

    def __init__(
        self,
        engine: Engine,
        settings: AllocatorSettings,
        *,
        currency: str,
        state: AllocationState,
        write: Callable[[AllocationState], None],
    ) -> None:
        self.settings = settings
        self.state = state
        self.targets = equal_targets(settings.rebalance.assets)
        self._engine = engine
        self._ledger = engine.ledger
        self._currency = currency
        self._write = write

    @property
    def pairs(self) -> Mapping[Symbol, Instrument]:
        """Between which assets it exchanges, on the grid that the venue has now."""
        assets = set(self.settings.rebalance.assets)
        listed = self._engine.instruments.items()
        return {symbol: it for symbol, it in listed if {symbol.base, symbol.quote} <= assets}

    def is_due(self, bar: Bar) -> bool:
        """Whether with `bar` every pair has closed a bar of the timeframe."""
        closed_at = bar.closed_at
        if not self.settings.timeframe.closes_at(closed_at):
            return False
        marks = map(self._ledger.last_mark, self.pairs)
        return all(mark is not None and mark.at == closed_at for mark in marks)

    def close(self, trade: ClosedTrade) -> None:
        """Set a part of a trade's profit aside."""
        hodl = after_trade(self.state.hodl, trade, self.settings.hodl)
        self.become(replace(self.state, hodl=hodl))

    def become(self, state: AllocationState) -> None:
        """Go on from `state`, on record where it is another."""
        if state != self.state:
            self.state = state
            self._write(state)

    def look(self, now: datetime, *, may_ask: bool) -> Look | None:
        """What there is to do; None where nothing is.

        Args:
            may_ask: False while a halt, or books that do not agree, would have all refused.
        """
        holdings = holdings_of(self._ledger, self.settings.rebalance.assets)
        if holdings is None:
            return None
        state = replace(self.state, hodl=self._caught_up(self.state.hodl, now))
        asked: list[OrderIntent] = []
        if may_ask:
            state, rebalancing = self._rebalance(state, holdings, now)
            state, buying = self._fill_bags(state, holdings.prices, now)
            asked = [*rebalancing, *buying]
        found = drifts(holdings, self.targets)
        level = drift_level(found, self.settings.rebalance)
        state, alert = _told(state, found, level)
        given_up, aside = tuple(self._given_up(now)), self._set_aside(state.hodl, now)
        if state == self.state and not (asked or given_up or aside):
            return None
        record = Allocated(
            at=now,
            total=holdings.total,
            drifts=tuple(map(_rounded, found)),
            level=level,
            asked=tuple(asked),
            given_up=given_up,
        )
        return Look(record=record, set_aside=aside, alert=alert, state=state)

    def _rebalance(
        self, state: AllocationState, holdings: Holdings, now: datetime
    ) -> tuple[AllocationState, list[OrderIntent]]:
        """The next orders of a rebalance: none while others of it are under way."""
        if any(order.order.purpose is Purpose.ALLOCATION for order in self._orders()):
            return state, []
        numbers, pairs = self.settings.rebalance, self.pairs
        if state.buys is not None:
            wanted = trades_to_target(holdings, self.targets, pairs, min_trade=numbers.min_trade)
            batch = replace(state.buys, trades=still_wanted(state.buys.trades, wanted))
            return replace(state, buys=None), self._exchanges(batch, batch.trades, now)
        found = step(state.rebalance, holdings, self.targets, pairs, numbers, now=now)
        state = replace(state, rebalance=found.state)
        if found.due is None:
            return state, []
        sells = tuple(trade for trade in found.due.trades if trade.side is Side.SELL)
        buys = found.due.trades[len(sells) :]  # sells stand first
        if sells and buys:
            return replace(state, buys=replace(found.due, trades=buys)), self._exchanges(
                found.due, sells, now
            )
        return state, self._exchanges(found.due, sells or buys, now)

    def _exchanges(
        self, batch: Batch, trades: tuple[AllocationTrade, ...], now: datetime
    ) -> list[OrderIntent]:
        return [
            allocation_intent(
                ALLOCATOR,
                trade,
                self.pairs[trade.symbol],
                purpose=Purpose.ALLOCATION,
                planned_at=batch.planned_at,
                decided_at=now,
                max_slippage=self.settings.rebalance.max_slippage,
            )
            for trade in trades
        ]

    def _fill_bags(
        self, state: AllocationState, prices: Mapping[str, Decimal], now: datetime
    ) -> tuple[AllocationState, list[OrderIntent]]:
        """A purchase for every bag that has enough set aside."""
        numbers = self.settings.hodl
        asked: list[OrderIntent] = []
        while True:
            hodl, due = purchase_due(state.hodl, prices, self.pairs, numbers, now=now)
            if due is None:
                return state, asked
            state = replace(state, hodl=hodl)
            asked.append(
                allocation_intent(
                    ALLOCATOR,
                    due.trade,
                    self.pairs[due.trade.symbol],
                    purpose=Purpose.HODL,
                    planned_at=due.planned_at,
                    decided_at=now,
                    max_slippage=numbers.max_slippage,
                )
            )

    def _caught_up(self, hodl: HodlState, now: datetime) -> HodlState:
        """The bags as the ledger has them, and the purchases that have ended."""
        for asset, bag in self._ledger.holdings.bags.items():
            before = hodl.bag(asset)
            if bag.quantity > before.quantity:
                more, cost = bag.quantity - before.quantity, bag.cost - before.cost
                hodl = purchased(hodl, asset, more, cost)
        for asset, kept in hodl.bags.items():
            if kept.asked_at is None:
                continue
            symbol = Symbol(f"{asset}/{self._currency}")
            order_id = intent_id(ALLOCATOR, symbol, kept.asked_at, Purpose.HODL)
            order = self._engine.blotter.find(order_id)
            if order is None or order.is_done:
                bought = order is not None and order.filled > 0
                hodl = ended(hodl, asset, has_bought=bought, settings=self.settings.hodl, now=now)
        return hodl

    def _set_aside(self, hodl: HodlState, now: datetime) -> SetAside | None:
        """What of the account's currency is to go into its bag, and has not gone yet."""
        bags, currency = self._ledger.holdings.bags, self._currency
        there = bags[currency].quantity if currency in bags else _NOTHING
        more = hodl.bag(currency).quantity - there
        return SetAside(at=now, asset=currency, amount=more) if more > 0 else None

    def _given_up(self, now: datetime) -> Iterator[str]:
        for order in self._orders():
            if not order.cancelling and now - order.recorded_at >= self.settings.patience:
                yield order.client_order_id

    def _orders(self) -> Iterator[TrackedOrder]:
        return (order for order in self._engine.orders if order.order.purpose.exchanges)


def holdings_of(ledger: Ledger, assets: Sequence[str]) -> Holdings | None:
    """The portfolio at the marks; None where an asset has no price.

    A fee may take an asset a little below nothing: of that nothing is held.
    """
    held = ledger.holdings.portfolio
    prices = {asset: price for asset in assets if (price := ledger.rate(asset)) is not None}
    if len(prices) < len(assets):
        return None
    quantities = {asset: max(held.get(asset, _NOTHING), _NOTHING) for asset in assets}
    return Holdings(quantities=quantities, prices=prices)


def _told(
    state: AllocationState, found: tuple[Drift, ...], level: DriftLevel
) -> tuple[AllocationState, str]:
    """The alert on drift: told as it begins and as it grows."""
    calm = level in (DriftLevel.CALM, DriftLevel.DUE)
    if calm or level is state.told:
        told = DriftLevel.CALM if calm else level
        return (state if told is state.told else replace(state, told=told)), ""
    text = "" if state.told is DriftLevel.CRITICAL else f"{level}: {_in_words(found)}"
    return replace(state, told=level), text


def _in_words(found: tuple[Drift, ...]) -> str:
    """Each asset with its share and its target, `BTC 30.1% of 33.33%`."""
    return ", ".join(f"{drift.asset} {drift.share:.1%} of {drift.target:.2%}" for drift in found)


def _rounded(drift: Drift) -> Drift:
    return replace(drift, share=drift.share.quantize(_SHOWN, rounding=ROUND_HALF_EVEN))
