"""The matching core of simulated venues: resting orders, moved by closed bars alone.

Pure: no clock, no I/O. What happens is returned as facts, already applied; `apply` restores them.

Inside one bar, whatever it leaves open is settled against us:

1. At its open, or at the later instant from which an order can fill: market orders, stop orders
   that the price has jumped over, limit orders that find a better price.
2. Stop orders that the bar's low or high reaches.
3. Limit orders that the bar's low or high goes through, and take-profit orders that it reaches; so
   a stop comes before a target.
4. The protective stops of what has just filled, against the whole bar.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from data.bar import Bar
from data.instrument import Instrument, Price, Quantity, Symbol
from execution.depth import Depth, walk
from execution.exact import EXACT
from execution.fee_schedule import TradedVolume
from execution.fill import Fill, Liquidity
from execution.order import Order, OrderStatus
from execution.order_grid import malformed
from execution.paper_terms import (
    PaperTerms,
    best,
    limit_is_passed,
    price_at,
    stop_is_reached,
    worst,
)
from execution.venue import OrderChanged, VenueOrder
from execution.venue_books import Books, VenueBooks
from execution.venue_state import Placed, StopTriggered, VenueFact, VenueState, WorkingOrder

_ZERO = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Step:
    """A piece of the market on its way through the orders of its symbol."""

    instrument: Instrument
    volume: Quantity | None  # what it may still fill; None: no bound
    facts: list[VenueFact] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Pass(Step):
    """One bar on its way."""

    bar: Bar
    set_off: set[str] = field(default_factory=set)  # client order ids, inside the bar

    @property
    def last_instant(self) -> datetime:
        """For what happened inside the bar, nobody knows when."""
        return self.bar.closed_at - timedelta.resolution


class Matching:
    """One account at one simulated venue; `books` stand in for plain ones over `balances`."""

    def __init__(
        self,
        *,
        venue: str,
        instruments: Mapping[Symbol, Instrument],
        terms: PaperTerms,
        balances: Mapping[str, Decimal],
        books: Books | None = None,
    ) -> None:
        self._instruments = instruments
        self._terms = terms
        self._bars: dict[Symbol, Bar] = {}
        self._restored: dict[Symbol, datetime] = {}  # the newest fill that came from `apply`
        self._state = VenueState(venue, latency=terms.latency, books=books or VenueBooks(balances))
        self._traded: TradedVolume | None = None
        if terms.schedule is not None:
            self._traded = TradedVolume(self._state.fills, terms.schedule.currency)

    @property
    def balances(self) -> Mapping[str, Decimal]:
        return self._state.books.balances

    def last_prices(self) -> Mapping[Symbol, Price]:
        return self._last_prices()

    @property
    def open_orders(self) -> Sequence[VenueOrder]:
        return tuple(w.view for book in self._state.resting.values() for w in book.values())

    def order(self, client_order_id: str) -> VenueOrder | None:
        working = self._state.orders.get(client_order_id)
        return working.view if working is not None else None

    def fills(self, *, after: int = 0) -> Sequence[Fill]:
        return tuple(self._state.fills[after:])

    def apply(self, fact: VenueFact) -> None:
        """Restore a fact that this or an earlier `Matching` returned.

        Raises:
            Corrupt: it concerns an order that was never placed.
        """
        self._state.apply(fact)
        if isinstance(fact, Fill):
            self._restored[fact.symbol] = fact.filled_at

    def refusal(self, order: Order) -> str | None:
        """Why the venue would not take `order` on, or None."""
        instrument = self._instruments.get(order.symbol)
        if instrument is None:
            return f"{order.symbol} is not traded here"
        if (flaw := malformed(order, instrument)) is not None:
            return flaw
        if order.reduce_only and not self._state.books.reducible(order.symbol, order.side):
            return "reduce-only, and there is no position to reduce"
        if (replaced := self._replaced(order)) is not None and replaced.is_triggered:
            return f"{order.replaces}, which it replaces, has been triggered"
        price = self._expected_price(order)
        if price is None:
            return None
        if order.quantity * price < instrument.min_notional:
            return f"notional {order.quantity * price} is below {instrument.min_notional}"
        if order.reduce_only:
            return None
        trial = self._trade(order, order.quantity, price, order.approved_at, Liquidity.TAKER)
        return self._shortfall(instrument, trial)

    def place(self, order: Order, at: datetime) -> list[VenueFact]:
        """Take `order` on; nothing happens where its client order id is known already.

        The caller has asked for its `refusal`.
        """
        facts: list[VenueFact] = []
        if order.client_order_id not in self._state.orders:
            self._do(facts, Placed(order=order, at=at))
            self._tell(facts, self._state.orders[order.client_order_id], at)
            if (replaced := self._replaced(order)) is not None:
                self._end(facts, replaced, OrderStatus.CANCELLED, at, "replaced")
        return facts

    def cancel(
        self,
        client_order_id: str,
        at: datetime,
        *,
        status: OrderStatus = OrderStatus.CANCELLED,
        reason: str = "on request",
    ) -> list[VenueFact]:
        """Take what is left of an order off; nothing happens where it is final or unknown."""
        facts: list[VenueFact] = []
        working = self._state.orders.get(client_order_id)
        if working is not None and not working.is_final:
            self._end(facts, working, status, at, reason)
            self._release_idle(facts, working.view.symbol, at)
        return facts

    def observe(self, bar: Bar) -> Sequence[VenueFact]:
        """Let `bar` fill what it can.

        A bar that begins before the last one of its symbol ended fills nothing: it tells of prices
        that are already used, be it a longer bar or the same once more, after a restart too.
        """
        symbol = bar.symbol
        before = self._bars.get(symbol)
        if before is not None and bar.closed_at <= before.closed_at:
            return ()
        resting = self._state.resting.get(symbol)
        if not resting or not self._state.reach(symbol).may_concern(bar):
            self._bars[symbol] = bar
            return ()
        if before is not None and bar.opened_at < before.closed_at:
            return ()
        self._bars[symbol] = bar
        if symbol in self._restored and bar.opened_at <= self._restored[symbol]:
            return ()
        step = self._pass(bar)
        for match in (self._at_start, self._stops, self._limits, self._targets, self._stops):
            self._each(resting, match, step)
        self._release_idle(step.facts, symbol, step.last_instant)
        return step.facts

    def _each(
        self,
        resting: Mapping[str, WorkingOrder],
        match: Callable[[WorkingOrder, _Pass], None],
        step: _Pass,
    ) -> None:
        """Give every order that can fill in this bar its turn, in the order of their arrival."""
        for working in tuple(resting.values()):
            if not working.is_final and self._may_meet(working, step.bar):
                match(working, step)

    def _may_meet(self, working: WorkingOrder, bar: Bar) -> bool:
        """Whether something in `bar` can have filled the order."""
        return working.effective_at < bar.closed_at

    def _pass(self, bar: Bar) -> _Pass:
        instrument = self._instruments[bar.symbol]
        share = self._terms.participation
        volume = instrument.quantity(bar.volume * share) if share is not None else None
        return _Pass(bar=bar, instrument=instrument, volume=volume)

    def _at_start(self, working: WorkingOrder, step: _Pass) -> None:
        price = _start_price(working, step)
        at = max(working.effective_at, step.bar.opened_at)
        view = working.view
        if working.waits:
            if _is_set_off(working, price):
                self._trigger(working, price, at, step)
        elif view.limit is not None:
            self._limit_at_start(working, view.limit, price, at, step)
        else:
            self._take(working, price, at, step)

    def _limit_at_start(
        self, working: WorkingOrder, limit: Price, price: Price, at: datetime, step: _Pass
    ) -> None:
        """An arriving limit order takes what is offered within it; one that rests is met there.

        One that is post-only ends where it would take.
        """
        side = working.view.side
        if working.effective_at < step.bar.opened_at:
            if limit_is_passed(limit, price, side):
                self._fill(working, price, at, Liquidity.MAKER, step)
            return
        offered = self._terms.taker_price(price, side, step.instrument)
        if limit_is_passed(limit, offered, side):
            if working.post_only:
                self._end(step.facts, working, OrderStatus.EXPIRED, at, "post-only: it would take")
            else:
                self._fill(working, offered, at, Liquidity.TAKER, step)

    def _stops(self, working: WorkingOrder, step: _Pass) -> None:
        if not working.takes_profit:
            self._reach_trigger(working, step)

    def _targets(self, working: WorkingOrder, step: _Pass) -> None:
        if working.takes_profit:
            self._reach_trigger(working, step)

    def _reach_trigger(self, working: WorkingOrder, step: _Pass) -> None:
        """Set off what the bar's prices reach, at the trigger or already beyond it.

        Nobody knows which of them came later, so that what it leaves rests until the next bar.
        """
        trigger = working.view.trigger
        if trigger is None or not working.waits:
            return
        price = _start_price(working, step)
        if not _is_set_off(working, price):
            if not _is_set_off(working, worst(step.bar, working.trigger_side)):
                return
            price = trigger
        step.set_off.add(working.view.client_order_id)
        self._trigger(working, price, step.last_instant, step)

    def _limits(self, working: WorkingOrder, step: _Pass) -> None:
        limit, side = working.view.limit, working.view.side
        if working.waits or working.view.client_order_id in step.set_off:
            return
        if limit is not None and limit_is_passed(limit, best(step.bar, side), side):
            self._fill(working, limit, step.last_instant, Liquidity.MAKER, step)

    def _trigger(self, working: WorkingOrder, price: Price, at: datetime, step: _Pass) -> None:
        """Let an order that waited take: within its limit, if it has one, where the rest stays."""
        self._set_off(working, at, step.facts)
        limit, side = working.view.limit, working.view.side
        offered = self._terms.taker_price(price, side, step.instrument)
        if limit is None or limit_is_passed(limit, offered, side) or offered == limit:
            self._fill(working, offered, at, Liquidity.TAKER, step)

    def _set_off(self, working: WorkingOrder, at: datetime, facts: list[VenueFact]) -> None:
        """Turn its trigger off; an entry whose stop has gone off fills no further."""
        self._do(facts, StopTriggered(client_order_id=working.view.client_order_id, at=at))
        parent = self._state.parent(working)
        if parent is not None and not parent.is_final:
            self._end(facts, parent, OrderStatus.CANCELLED, at, "its stop was triggered")

    def _take(self, working: WorkingOrder, price: Price, at: datetime, step: _Pass) -> None:
        offered = self._terms.taker_price(price, working.view.side, step.instrument)
        self._fill(working, offered, at, Liquidity.TAKER, step)

    def _walk(
        self, working: WorkingOrder, depth: Depth, at: datetime, facts: list[VenueFact]
    ) -> None:
        """Take what `depth` offers an order, the best first, no further than its limit."""
        view = working.view
        instrument = self._instruments[view.symbol]
        for level in walk(depth.offered, view.side, working.remaining, view.limit):
            if working.is_final:
                return
            offered = instrument.quantity(level.quantity)
            step = Step(instrument=instrument, volume=offered, facts=facts)
            self._fill(working, level.price, at, Liquidity.TAKER, step)
            depth.take(level.price, offered - (step.volume or _ZERO))

    def _fill(
        self, working: WorkingOrder, price: Price, at: datetime, liquidity: Liquidity, step: Step
    ) -> None:
        """Fill what the position and the bar's volume allow, if it can be paid for."""
        view = working.view
        quantity = working.remaining
        if view.reduce_only:
            quantity = min(quantity, self._state.books.reducible(view.symbol, view.side))
            if not quantity:
                self._end(step.facts, working, OrderStatus.CANCELLED, at, "nothing to reduce")
                return
        if step.volume is not None:
            quantity = min(quantity, step.volume)
        if not quantity:
            return
        fill = self._trade(view, quantity, price, at, liquidity, forced=working.forced)
        if (lacking := self._shortfall(step.instrument, fill)) is not None:
            status = OrderStatus.CANCELLED if view.filled else OrderStatus.REJECTED
            self._end(step.facts, working, status, at, lacking)
            return
        if step.volume is not None:
            step.volume = Quantity(step.volume - quantity)
        self._report(working, fill, step.facts)

    def _report(self, working: WorkingOrder, fill: Fill, facts: list[VenueFact]) -> None:
        """The fill, then where the order and its child stop stand after it."""
        self._do(facts, fill)
        self._tell(facts, working, fill.filled_at)
        child = self._state.child(working)
        if child is not None and not child.is_final:
            self._tell(facts, child, fill.filled_at)

    def _trade(
        self,
        order: Order | VenueOrder,
        quantity: Quantity,
        price: Price,
        at: datetime,
        liquidity: Liquidity,
        *,
        forced: str = "",
    ) -> Fill:
        """The next fill, if it comes to be."""
        return Fill(
            fill_id=f"{self._state.venue}-{len(self._state.fills) + 1}",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=self._fee(quantity, price, at, liquidity),
            fee_asset=order.symbol.quote,
            liquidity=liquidity,
            filled_at=at,
            forced=forced,
        )

    def _fee(self, quantity: Quantity, price: Price, at: datetime, liquidity: Liquidity) -> Decimal:
        traded = self._traded.until(at) if self._traded is not None else _ZERO
        share = self._terms.fee_share(liquidity, traded)
        return EXACT.multiply(EXACT.multiply(quantity, price), share)

    def _expected_price(self, order: Order) -> Price | None:
        if order.limit is not None:
            return order.limit
        if order.trigger is not None:
            return order.trigger
        return self._last_prices().get(order.symbol)

    def _last_prices(self) -> dict[Symbol, Price]:
        return {symbol: bar.close for symbol, bar in self._bars.items()}

    def _shortfall(self, instrument: Instrument, fill: Fill) -> str | None:
        prices = self._last_prices() | {fill.symbol: fill.price}
        return self._state.books.shortfall(instrument, fill, prices)

    def _replaced(self, order: Order) -> WorkingOrder | None:
        """The order that still works and whose place `order` takes."""
        replaced = self._state.orders.get(order.replaces) if order.replaces is not None else None
        return None if replaced is None or replaced.is_final else replaced

    def _release_idle(self, facts: list[VenueFact], symbol: Symbol, at: datetime) -> None:
        """Cancel every reduce-only order that has nothing left to reduce.

        The stop of an entry that may still fill is kept for what comes.
        """
        for working in tuple(self._state.resting.get(symbol, {}).values()):
            view = working.view
            if not view.reduce_only or self._state.books.reducible(symbol, view.side):
                continue
            parent = self._state.parent(working)
            if parent is None or parent.is_final:
                self._end(facts, working, OrderStatus.CANCELLED, at, "nothing to reduce")

    def _end(
        self,
        facts: list[VenueFact],
        working: WorkingOrder,
        status: OrderStatus,
        at: datetime,
        reason: str,
    ) -> None:
        view = replace(working.view, status=status)
        self._do(facts, OrderChanged(order=view, at=at, reason=reason))

    def _tell(self, facts: list[VenueFact], working: WorkingOrder, at: datetime) -> None:
        self._do(facts, OrderChanged(order=working.view, at=at))

    def _do(self, facts: list[VenueFact], fact: VenueFact) -> None:
        self._state.apply(fact)
        facts.append(fact)


def _start_price(working: WorkingOrder, step: _Pass) -> Price:
    """The first price that the order meets in this bar."""
    if working.found_at is not None and working.effective_at > step.bar.opened_at:
        return working.found_at
    return price_at(step.bar, working.effective_at, working.view.side, step.instrument)


def _is_set_off(working: WorkingOrder, price: Price) -> bool:
    """Whether `price` sets off an order that waits for its trigger; a touch does."""
    trigger = working.view.trigger
    return trigger is not None and stop_is_reached(trigger, price, working.trigger_side)
